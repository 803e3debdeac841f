"""What a set of samples offers, and the batches of an epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triaffect.tasks.task import Task
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL
from triaffect.types import Batch, DictionaryColumn, IntArray, Moments, Split, Targets


def uniform(rng: np.random.Generator, count: int, low: float, high: float) -> Tensor:
    """Draw a number in [low, high) for each row.

    Args:
        rng: Source of the random numbers.
        count: How many rows.
        low: Least number.
        high: End of the range.

    Returns:
        Shape (count,), float32.
    """
    return torch.from_numpy(rng.uniform(low, high, count).astype(np.float32))


def stripe(rng: np.random.Generator, count: int, length: int, share: float) -> Tensor:
    """Draw one run of hidden positions in each row.

    Args:
        rng: Source of the random numbers.
        count: How many rows.
        length: Positions in a row.
        share: Largest part of a row that a run covers, in [0, 1].

    Returns:
        True where hidden, shape (count, length), bool.
    """
    width = (uniform(rng, count, 0, share) * length)[:, None]
    start = (uniform(rng, count, 0, 1)[:, None]) * (length - width)
    position = torch.arange(length)[None]
    return (position >= start) & (position < start + width)


def some(rng: np.random.Generator, count: int, share: float) -> Tensor:
    """Draw some rows.

    Args:
        rng: Source of the random numbers.
        count: How many rows there are.
        share: Chance of each to be drawn, in [0, 1].

    Returns:
        Ascending row numbers, shape (drawn,), int64.
    """
    return torch.from_numpy(np.flatnonzero(rng.random(count) < share))


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
    split: DictionaryColumn
    label_set: DictionaryColumn
    corpus: DictionaryColumn
    targets: dict[str, Targets]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.moments)

    def where(self, split: str, label_sets: Sequence[str]) -> IntArray:
        """Find the rows of one split that belong to any of some annotation sets.

        Args:
            split: ``train``, ``validation`` or ``test``.
            label_sets: The sets; one may be narrowed to one corpus, as in ``"ravdess/EXPR"``.

        Returns:
            Ascending row numbers.
        """
        selected = self.label_set.isin(label_sets)
        for narrow in (name for name in label_sets if "/" in name):
            corpus, label_set = narrow.split("/", 1)
            selected |= (self.corpus == corpus) & (self.label_set == label_set)
        return np.flatnonzero((self.split == split) & selected)


class Samples(Protocol):
    """Rows with their labels, and the inputs of a network that are made of them when needed."""

    rows: Rows

    def inputs(self, rows: IntArray) -> InputArrays:
        """Make the input arrays of rows.

        Args:
            rows: Row numbers in `rows`, shape (N,).

        Returns:
            Arrays (N, …) by the name of the network's input.
        """


def label_rows(
    moments: Moments,
    usable: NDArray[np.bool_],
    tasks: Sequence[Task],
    drop_partial: bool,
    unlabelled: bool = False,
    drop_minus_one: bool = False,
) -> Rows:
    """Select the rows with at least one label and the inputs that the network needs.

    Args:
        moments: All moments of a store.
        usable: Which of them have their inputs, shape (moments,).
        tasks: Whose labels count.
        drop_partial: Keep single-task rows only with all their task's columns, and other
            rows only with every column of every task.
        unlabelled: Keep rows without any label too.
        drop_minus_one: Leave out rows of the VA set whose valence or arousal is exactly -1.

    Returns:
        The rows in the order of the moments; a row's corpus is the first part of its source's id.
    """
    label_set = moments.dictionary_column("label_set")
    labelled = {task.key: moments.labeled(task.columns) for task in tasks}
    keep = usable & (unlabelled | np.any([some for some, _ in labelled.values()], axis=0))
    if drop_partial:
        whole = {key: every for key, (_, every) in labelled.items()}
        all_whole = np.all(list(whole.values()), axis=0)
        keep &= np.select([label_set == key for key in whole], list(whole.values()), all_whole)
    if drop_minus_one and VALENCE_AROUSAL.key in labelled:
        values = moments.targets(VALENCE_AROUSAL.key, VALENCE_AROUSAL.columns).values
        keep &= ~((label_set == VALENCE_AROUSAL.key) & (values.min(1) == -1))
    rows = np.flatnonzero(keep)
    sources = moments.dictionary_column("source")
    corpora = [name.partition("/")[0] for name in sources.values]
    different = list(dict.fromkeys(corpora))
    codes = np.array([different.index(name) for name in corpora], np.int64)
    targets = {}
    for task in tasks:  # no more than one task's labels are held twice meanwhile
        every_row = moments.targets(task.key, task.columns)
        targets[task.key] = every_row if len(rows) == len(every_row) else take(every_row, rows)
    return Rows(
        moments=rows,
        split=moments.dictionary_column("split").take(rows),
        label_set=label_set.take(rows),
        corpus=DictionaryColumn.from_codes(different, codes[sources.codes]).take(rows),
        targets=targets,
    )


def balanced(rows: Rows, keys: Sequence[str], by_corpus: bool = False) -> Rows:
    """Let rows of rare classes weigh more: by the inverse square root of their frequency.

    Args:
        rows: Rows of all splits; frequencies are those of the training rows.
        keys: Tasks of exclusive classes; their weights average 1 over the training rows.
        by_corpus: Count a class of each corpus by itself, so that rows of small corpora weigh
            more too.

    Returns:
        The same rows with other weights; a class rarer than `RAREST` weighs as if it were that
        frequent. Rows without labels keep their weight, and so do all if no training row has any.
    """
    changed = dict(rows.targets)
    group = rows.corpus.codes if by_corpus else np.zeros(len(rows), np.int64)
    for key in keys:
        targets = rows.targets[key]
        labelled = targets.valid.all(1)
        training = labelled & (rows.split == Split.TRAIN)
        if not training.any():
            continue
        frequency = np.zeros((int(group.max()) + 1, targets.values.shape[1]))
        np.add.at(frequency, group[training], targets.values[training] / training.sum())
        factor = 1 / np.sqrt(np.maximum(frequency, RAREST))
        factor = factor / (frequency * factor).sum()
        weight = np.where(labelled, (targets.values * factor[group]).sum(1), 1) * targets.weight
        changed[key] = replace(targets, weight=weight.astype(np.float32))
    return replace(rows, targets=changed)


def take(targets: Targets, rows: IntArray) -> Targets:
    """Select the labels of rows by number, shape (n,), in that order."""
    return Targets(targets.values[rows], targets.valid[rows], targets.weight[rows])


@dataclass(frozen=True)
class EpochPlan:
    """Rows of every update of one epoch; a function of sizes, seed and epoch alone.

    Attributes:
        iterations: I; each does one update of every kind.
        rows: For each kind its rows, shape (I, batch).
    """

    iterations: int
    rows: Mapping[str, IntArray]

    def updates(self, kinds: Sequence[str], start: int = 0) -> Iterator[tuple[int, str, IntArray]]:
        """List the updates in their order.

        Args:
            kinds: Kinds of update of an iteration, in their order; those without rows are none.
            start: First iteration.

        Yields:
            Iteration, kind and row numbers of the batch.
        """
        for iteration in range(start, self.iterations):
            for kind in kinds:
                if kind in self.rows:
                    yield iteration, kind, self.rows[kind][iteration]


def plan_epoch(
    pools: Mapping[str, IntArray],
    batch_size: int,
    min_batch: int,
    seed: Sequence[int],
    iterations: int | None = None,
) -> EpochPlan:
    """Shuffle every pool and cut it into as many batches as the largest one gives.

    The paper's rule: I = ceil(n_max / batch_size) iterations, and floor(n / I) rows a batch
    of each pool, the tail dropped. A pool too small for ``min_batch`` rows is gone through
    again and again; an empty pool has no updates.

    Args:
        pools: Row numbers by kind.
        batch_size: Rows a batch of the largest pool, at most.
        min_batch: Rows a batch, at least.
        seed: Numbers that decide the order: run seed, stage, epoch.
        iterations: Do so many iterations instead of going once through the largest pool.

    Returns:
        The plan; the same arguments always give the same one.

    Examples:
        >>> plan = plan_epoch({"VA": np.arange(5), "EXPR": np.arange(2)}, 2, 1, [0])
        >>> plan.iterations, {kind: rows.shape for kind, rows in plan.rows.items()}
        (3, {'VA': (3, 1), 'EXPR': (3, 1)})
    """
    filled = {kind: rows for kind, rows in pools.items() if len(rows)}
    largest = max((len(rows) for rows in filled.values()), default=0)
    natural = math.ceil(largest / batch_size)
    count = natural if iterations is None else iterations
    plan = {}
    for position, (kind, rows) in enumerate(filled.items()):
        rng = np.random.default_rng([*seed, position])
        size = max(min_batch, len(rows) // natural)
        needed = size * count
        rounds = math.ceil(needed / len(rows))
        order = np.concatenate([rng.permutation(rows) for _ in range(rounds)])
        plan[kind] = order[:needed].reshape(count, size)
    return EpochPlan(count, plan)


def make_batch(samples: Samples, kind: str, rows: IntArray) -> Batch:
    """Put inputs and labels of some rows together.

    Args:
        samples: Where they come from.
        kind: What the batch is for, as in `EpochPlan`.
        rows: Row numbers in ``samples.rows``, shape (N,).

    Returns:
        Arrays (N, …) in the order of `rows`.
    """
    targets = {key: take(t, rows) for key, t in samples.rows.targets.items()}
    return Batch(kind, samples.inputs(rows), targets, rows)
