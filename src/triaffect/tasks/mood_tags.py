"""Mood tags of music: which of the 56 moods and themes of MTG-Jamendo a piece has.

They describe pieces of music, not faces, so they are no part of every store, table and model:
`triaffect.tasks.registry.TASKS` leaves them out. A store has their columns once they are named,
as by ``triaffect extract --task TAGS``, and a recipe names them among its ``tasks``.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from triaffect.tasks.presence import PresenceTask
from triaffect.tasks.task import ScoreDetails, Task

MOODS = (
    *("action", "adventure", "advertising", "background", "ballad", "calm", "children"),
    *("christmas", "commercial", "cool", "corporate", "dark", "deep", "documentary", "drama"),
    *("dramatic", "dream", "emotional", "energetic", "epic", "fast", "film", "fun", "funny"),
    *("game", "groovy", "happy", "heavy", "holiday", "hopeful", "inspiring", "love"),
    *("meditative", "melancholic", "melodic", "motivational", "movie", "nature", "party"),
    *("positive", "powerful", "relaxing", "retro", "romantic", "sad", "sexy", "slow", "soft"),
    *("soundscape", "space", "sport", "summer", "trailer", "travel", "upbeat", "uplifting"),
)
"""The tags of the data set's published splits, in the order of its list."""

EDGES = np.arange(-28, 13) / 4
"""Logits at which predictions are counted apart: a tag of one piece in a hundred is at -4.6."""

_COUNTS = 2 * (len(EDGES) + 1)


class MoodTags(PresenceTask):
    """56 logits through a sigmoid, scored by the mean average precision (PR-AUC) over the tags.

    Ranks of all pieces cannot be added up from parts, but counts can: predictions are counted in
    steps of a quarter of a logit, within which pieces count as standing in any order. On made
    predictions that is at most 0.01 from the score of all ranks. Tags that no piece of a set has
    score 0 there.

    Args:
        thresholds: Lowest probability of "present" by column; 0.5 for one not named. No score
            depends on them.
    """

    key = "TAGS"
    name = "mood_tags"
    columns = tuple(f"tag_{mood}" for mood in MOODS)
    part_names = columns
    threshold_columns = columns
    titles = MappingProxyType({f"tag_{mood}": mood for mood in MOODS})
    metric = "PR-AUC"

    @override
    def statistics(
        self,
        truth: NDArray[np.floating],
        prediction: NDArray[np.floating],
        valid: NDArray[np.bool_],
        group: NDArray[np.integer],
        groups: int,
    ) -> NDArray[np.float64]:
        rows = np.bincount(group[valid.any(axis=1)], minlength=groups)[:, None]
        logits = self.deactivate(np.nan_to_num(prediction))
        step = np.searchsorted(EDGES, logits, "right")
        first = (group[:, None] * self.width + np.arange(self.width)) * _COUNTS
        cells = first + (truth >= 0.5) * (_COUNTS // 2) + step  # noqa: PLR2004 - labels are 0 or 1
        counts = np.bincount(cells[valid], minlength=groups * self.width * _COUNTS)
        return np.concatenate([rows, counts.reshape(groups, -1)], axis=1).astype(np.float64)

    @override
    def part_scores(self, statistics: NDArray[np.float64]) -> NDArray[np.float64]:
        absent, present = self._counts(statistics)
        hits = np.cumsum(present[..., ::-1], -1)  # from the surest step down
        alarms = np.cumsum(absent[..., ::-1], -1)
        own = present[..., ::-1]
        right = hits - np.maximum(own - 1, 0) / 2  # of the middle one of a step's tagged pieces
        wrong = alarms - absent[..., ::-1] / 2
        precision = right / np.maximum(right + wrong, 1)
        return np.asarray((precision * own).sum(-1) / np.maximum(hits[..., -1], 1), np.float64)

    @override
    def batch_scores(self, statistics: NDArray[np.float64]) -> NDArray[np.float64]:
        return Task.batch_scores(self, statistics)

    @override
    def details(self, statistics: NDArray[np.float64]) -> ScoreDetails:
        """Return PR-AUC, ROC-AUC and counts of each tag."""
        absent, present = self._counts(statistics)
        below = np.cumsum(absent, -1) - absent / 2
        pairs = absent.sum(-1) * present.sum(-1)
        roc = (present * below).sum(-1) / np.maximum(pairs, 1)
        precision, support = self.part_scores(statistics), present.sum(-1)
        rows = support + absent.sum(-1)
        by_part = {
            name: {"pr_auc": pr, "roc_auc": own, "support": int(has), "rows": int(n)}
            for name, pr, own, has, n in zip(
                self.part_names, precision.tolist(), roc.tolist(), support, rows, strict=True
            )
        }
        return ScoreDetails(by_part)

    @override
    def chance(self, truth: NDArray[np.floating], valid: NDArray[np.bool_]) -> float:
        """Mean share of pieces that have a tag: what the same answer for all of them scores."""
        return self.score(truth, np.zeros_like(truth), valid).value

    def _counts(
        self, statistics: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pieces without and with each tag by step of their logit, shapes (..., K, steps)."""
        shape = (*statistics.shape[:-1], self.width, 2, _COUNTS // 2)
        counts = statistics[..., 1:].reshape(shape)
        return counts[..., 0, :], counts[..., 1, :]


MOOD_TAGS = MoodTags()
