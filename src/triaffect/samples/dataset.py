"""What a set of samples offers: rows with labels, and their inputs on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from triaffect.tasks.task import Task
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL
from triaffect.types import IntArray, Moments, Split, Targets

RAREST = 0.005
"""A class rarer than this weighs as if it were this frequent."""

InputArrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Rows:
    """Labels and provenance of the rows of a sample set, all of length N.

    Attributes:
        moments: Rows in the store's Moments table.
        split: ``train``, ``validation`` or ``test``.
        label_set: Annotation set of each row.
        corpus: Corpus of each row.
        targets: Labels by task key.
    """

    moments: IntArray
    split: NDArray[np.str_]
    label_set: NDArray[np.str_]
    corpus: NDArray[np.str_]
    targets: dict[str, Targets]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.moments)

    def where(self, split: str, label_sets: Sequence[str]) -> IntArray:
        """Row numbers of one split that belong to any of these annotation sets.

        A set may be narrowed to one corpus, as in ``"ravdess/EXPR"``.
        """
        wanted = np.isin(self.label_set, list(label_sets))
        for narrow in (name for name in label_sets if "/" in name):
            corpus, label_set = narrow.split("/", 1)
            wanted |= (self.corpus == corpus) & (self.label_set == label_set)
        return np.flatnonzero((self.split == split) & wanted)


class Samples(Protocol):
    """Rows and their inputs."""

    rows: Rows

    def inputs(self, rows: IntArray) -> InputArrays:
        """Input arrays of these rows by name, rows first."""


def label_rows(
    moments: Moments,
    usable: NDArray[np.bool_],
    tasks: Sequence[Task],
    drop_partial: bool,
    unlabelled: bool = False,
    drop_minus_one: bool = False,
) -> Rows:
    """Rows with at least one label and the inputs that the network needs.

    Args:
        moments: All moments of a store.
        usable: Which of them have their inputs, shape (moments,).
        tasks: Whose labels count.
        drop_partial: Keep single-task rows only with all their task's columns, and other
            rows only with every column of every task.
        unlabelled: Keep rows without any label too.
        drop_minus_one: Leave out rows of the VA set whose valence or arousal is exactly -1.
    """
    label_set = moments.column("label_set").astype(str)
    targets = {task.key: moments.targets(task.key, task.columns) for task in tasks}
    keep = usable & (unlabelled | np.any([t.valid.any(1) for t in targets.values()], axis=0))
    if drop_partial:
        whole = {key: t.valid.all(1) for key, t in targets.items()}
        all_whole = np.all(list(whole.values()), axis=0)
        keep &= np.select([label_set == key for key in whole], list(whole.values()), all_whole)
    if drop_minus_one and VALENCE_AROUSAL.key in targets:
        lowest = targets[VALENCE_AROUSAL.key].values.min(1) == -1
        keep &= ~((label_set == VALENCE_AROUSAL.key) & lowest)
    kept = np.flatnonzero(keep)
    return Rows(
        moments=kept,
        split=moments.column("split").astype(str)[kept],
        label_set=label_set[kept],
        corpus=_corpora(moments)[kept],
        targets={key: take(t, kept) for key, t in targets.items()},
    )


def _corpora(moments: Moments) -> NDArray[np.str_]:
    """Corpus of each moment: the first part of its source's id."""
    sources, inverse = np.unique(moments.column("source").astype(str), return_inverse=True)
    return np.array([name.partition("/")[0] for name in sources], np.str_)[inverse]


def balanced(rows: Rows, keys: Sequence[str]) -> Rows:
    """Let rows of rare classes weigh more: by the inverse square root of their frequency.

    Args:
        rows: Rows of all splits; frequencies are those of the training rows.
        keys: Tasks of exclusive classes; their weights average 1 over the training rows.
    """
    changed = dict(rows.targets)
    for key in keys:
        targets = rows.targets[key]
        labelled = targets.valid.all(1)
        training = labelled & (rows.split == Split.TRAIN)
        frequency = targets.values[training].mean(0) if training.any() else np.ones(1)
        factor = 1 / np.sqrt(np.maximum(frequency, RAREST))
        factor = factor / (frequency * factor).sum()
        weight = np.where(labelled, targets.values @ factor, 1) * targets.weight
        changed[key] = replace(targets, weight=weight.astype(np.float32))
    return replace(rows, targets=changed)


def take(targets: Targets, rows: IntArray) -> Targets:
    """Labels of some rows."""
    return Targets(targets.values[rows], targets.valid[rows], targets.weight[rows])
