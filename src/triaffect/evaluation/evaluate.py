"""What a network is worth on one split of a store: by part, by corpus, and by whole recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.datasets.batches import Samples
from triaffect.errors import StoreError, TriaffectError
from triaffect.features.model_folder import DESCRIPTION, load_model_folder
from triaffect.features.own_networks import check_networks
from triaffect.features.store import FeatureStore
from triaffect.metrics.abaw import EVERY_ROW, chance_score, score_statistics, statistics_of
from triaffect.metrics.bootstrap import LEVEL, bootstrap
from triaffect.tasks.task import Task
from triaffect.training.run_folder import RunFolder
from triaffect.training.scoring import Predictions, truth_of
from triaffect.training.view import video_of
from triaffect.types import IntArray, SourceKind, Targets
from triaffect.types import Split as SplitName


@dataclass(frozen=True)
class Resampling:
    """How intervals are found; see `triaffect.metrics.bootstrap`.

    Attributes:
        resamples: How often units are drawn anew; 0 finds no intervals.
        seed: Decides what is drawn.
    """

    resamples: int
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """As plain values, with what is resampled."""
        unit = "video; in sets of stills the person"
        return {"level": LEVEL, "resamples": self.resamples, "seed": self.seed, "unit": unit}


@dataclass(frozen=True)
class Split:
    """Rows of one split of a store.

    Attributes:
        store: The store.
        samples: Its rows, as the network takes them.
        rows: Which of them belong to the split.
        tasks: What to score.
    """

    store: FeatureStore
    samples: Samples
    rows: IntArray
    tasks: Sequence[Task]

    def corpora(self) -> NDArray[np.str_]:
        """Corpus of each row."""
        return self.samples.rows.corpus[self.rows]

    def sources(self) -> NDArray[np.str_]:
        """Source id of each row."""
        moments = self.samples.rows.moments[self.rows]
        return self.store.moments.dictionary_column("source")[moments]

    def unasked(self) -> int:
        """How many labelled rows of the same split the network cannot be asked about."""
        columns = tuple(column for task in self.tasks for column in task.columns)
        labelled = self.store.moments.labeled(columns)[0]
        labelled[self.samples.rows.moments[self.rows]] = False
        name = str(self.samples.rows.split[self.rows[:1]][0])
        return int((labelled & (self.store.moments.dictionary_column("split") == name)).sum())

    def units(self) -> IntArray:
        """What each row is resampled with: its video, or in a set of stills its person.

        The pictures of one source may be a whole corpus of strangers; copies of one picture
        count as one person there.
        """
        source, names = self._coded("source")
        person, _ = self._coded("person")
        video = dict(zip(self.store.sources, video_of(self.store), strict=True))
        numbers: dict[str, int] = {}
        own = [numbers.setdefault(video[name] or "", len(numbers)) for name in names]
        is_still = np.array([video[name] is None for name in names])
        return np.where(is_still[source], len(numbers) + person, np.array(own)[source])

    def _coded(self, column: str) -> tuple[IntArray, list[str]]:
        """A text column of the rows as numbers, and the texts they stand for."""
        words = self.store.moments.dictionary_column(column)
        moments = self.samples.rows.moments[self.rows]
        return words.codes[moments].astype(np.int64), list(words.values)


def split_of(store: FeatureStore, samples: Samples, name: str, tasks: Sequence[Task]) -> Split:
    """Rows of a split.

    Raises:
        TriaffectError: No split has that name.
        StoreError: It has no rows.
    """
    if name not in set(SplitName):
        near = get_close_matches(name, list(SplitName), 1)
        remedy = f"did you mean {near[0]}?" if near else ""
        raise TriaffectError("one of " + ", ".join(SplitName), repr(name), remedy, where="--split")
    rows = np.flatnonzero(samples.rows.split == name)
    if not len(rows):
        others = samples.rows.split.unique()
        remedy = f"it has {' and '.join(others)}" if others else "extract a corpus with labels"
        expected = f"labelled rows of the split '{name}'"
        raise StoreError(expected, "none", remedy, where=store.path)
    return Split(store, samples, rows, tasks)


def check_run(root: Path, store: FeatureStore) -> None:
    """See that a store holds vectors of the networks that a run's exported model has.

    Raises:
        StoreError: It was made with others.
        ModelError: The model folder is damaged.
    """
    exported = RunFolder(root).model
    if (exported / DESCRIPTION).is_file():
        model = load_model_folder(exported)
        if model.manifest.fusion is not None:  # else the run made a network, not used one
            check_networks(model, store)


def evaluate(split: Split, prediction: Predictions, how: Resampling) -> dict[str, Any]:
    """Official score of all rows and of each corpus, with intervals.

    Args:
        split: The rows.
        prediction: Activated predictions for them, shape (rows, K) each.
        how: How often and by what seed units are resampled.

    Returns:
        ``all`` and ``corpora`` by name, each with ``rows``, ``official``, ``tasks``,
        ``accuracy`` where classes exclude, ``intervals`` unless none are wanted and, for a
        corpus of recordings with one label each, ``recordings``: their number, accuracy and
        mean recall when a recording's predictions are averaged.
    """
    truth, units, corpora = truth_of(split.samples, split.rows), split.units(), split.corpora()
    names = np.unique(corpora)
    found: dict[str, Any] = {"all": _scored(split, truth, prediction, EVERY_ROW, units, how)}
    found["corpora"] = {}
    for name in names:
        at = np.flatnonzero(corpora == name)
        one = found["all"] if len(names) == 1 else None
        one = one or _scored(split, truth, prediction, at, units, how)
        found["corpora"][str(name)] = {**one, **_recordings(split, truth, prediction, at)}
    return found


def chance(split: Split) -> dict[str, float]:
    """The best that a constant answer reaches on these rows, chosen with the labels known."""
    return chance_score(truth_of(split.samples, split.rows), split.tasks).official


def _scored(
    split: Split,
    truth: dict[str, Targets],
    prediction: Predictions,
    at: IntArray | slice,
    units: IntArray,
    how: Resampling,
) -> dict[str, Any]:
    _, unit = np.unique(units[at], return_inverse=True)
    statistics = statistics_of(truth, prediction, split.tasks, unit, int(unit.max()) + 1, at)
    score = score_statistics(statistics, split.tasks)
    accuracy = {
        key: one.details.accuracy
        for key, one in score.tasks.items()
        if one.count and one.details.accuracy is not None
    }
    found = {"rows": len(unit), **score.to_json(), "accuracy": accuracy}
    if how.resamples:
        made = bootstrap(statistics, split.tasks, how.resamples, how.seed)
        found["intervals"] = made.to_json()
    return found


def _recordings(
    split: Split, truth: dict[str, Targets], prediction: Predictions, at: IntArray
) -> dict[str, Any]:
    """Scores by whole recording of the rows of one corpus, if it is one of recordings."""
    kinds = {entry.source: entry.kind for entry in split.store.entries}
    sources = split.sources()[at]
    if kinds[str(sources[0])] != SourceKind.SOUND:
        return {}
    return {
        "recordings": {
            task.key: _by_recording(truth[task.key].values[at], prediction[task.key][at], sources)
            for task in split.tasks
            if task.exclusive
        }
    }


def _by_recording(
    truth: NDArray[np.float32], prediction: NDArray[np.float32], sources: NDArray[np.str_]
) -> dict[str, float]:
    """Accuracy and mean recall over recordings, their rows' predictions averaged."""
    _, inverse = np.unique(sources, return_inverse=True)
    count = np.bincount(inverse)
    mean = [
        np.stack([np.bincount(inverse, column) for column in values.T], 1) / count[:, None]
        for values in (truth, prediction)
    ]
    label, guess = mean[0].argmax(1), mean[1].argmax(1)
    recalls = [float((guess[label == c] == c).mean()) for c in np.unique(label)]
    return {
        "count": len(count),
        "accuracy": float((label == guess).mean()),
        "mean_recall": float(np.mean(recalls)),
    }
