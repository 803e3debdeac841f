"""What a network is worth on one split of a store: by corpus, and by whole recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.errors import StoreError
from triaffect.features.store import FeatureStore
from triaffect.samples.dataset import Samples, take
from triaffect.tasks.abaw import chance_score, score_targets
from triaffect.tasks.task import Task
from triaffect.training.scoring import Predictions, truth_of
from triaffect.types import IntArray, SourceKind, Targets


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
        return self.store.moments.column("source").astype(str)[moments]


def split_of(store: FeatureStore, samples: Samples, name: str, tasks: Sequence[Task]) -> Split:
    """Rows of a split.

    Raises:
        StoreError: There are none.
    """
    rows = np.flatnonzero(samples.rows.split == name)
    if not len(rows):
        raise StoreError(f"labelled rows of the split '{name}'", "none", where=store.path)
    return Split(store, samples, rows, tasks)


def evaluate(split: Split, prediction: Predictions) -> dict[str, Any]:
    """Official score of all rows and of each corpus, and accuracy where classes exclude.

    Args:
        split: The rows.
        prediction: Activated predictions for them, shape (rows, K) each.

    Returns:
        ``all`` and ``corpora`` by name, each with ``rows``, ``official``, ``tasks`` and, for
        a corpus of recordings with one label each, ``recordings``: their number, accuracy
        and mean recall when a recording's predictions are averaged.
    """
    truth = truth_of(split.samples, split.rows)
    corpora = split.corpora()
    found: dict[str, Any] = {"all": _scored(split, truth, prediction, np.arange(len(split.rows)))}
    found["corpora"] = {
        str(name): _corpus(split, truth, prediction, np.flatnonzero(corpora == name))
        for name in np.unique(corpora)
    }
    return found


def chance(split: Split) -> dict[str, float]:
    """The best that a constant answer reaches on these rows, chosen with the labels known."""
    return chance_score(truth_of(split.samples, split.rows), split.tasks).official


def _scored(
    split: Split, truth: dict[str, Targets], prediction: Predictions, at: IntArray
) -> dict[str, Any]:
    some = {key: take(targets, at) for key, targets in truth.items()}
    score = score_targets(some, {key: p[at] for key, p in prediction.items()}, split.tasks)
    accuracy = {
        task.key: _accuracy(truth[task.key].values[at][whole], prediction[task.key][at][whole])
        for task in split.tasks
        if task.exclusive and (whole := some[task.key].valid.all(1)).any()
    }
    return {"rows": len(at), **score.to_json(), "accuracy": accuracy}


def _corpus(
    split: Split, truth: dict[str, Targets], prediction: Predictions, at: IntArray
) -> dict[str, Any]:
    found = _scored(split, truth, prediction, at)
    kinds = {entry.source: entry.kind for entry in split.store.entries}
    sources = split.sources()[at]
    if kinds[str(sources[0])] == SourceKind.SOUND:
        found["recordings"] = {
            task.key: _by_recording(truth[task.key].values[at], prediction[task.key][at], sources)
            for task in split.tasks
            if task.exclusive
        }
    return found


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


def _accuracy(truth: NDArray[np.float32], prediction: NDArray[np.float32]) -> float:
    return float((truth.argmax(1) == prediction.argmax(1)).mean())
