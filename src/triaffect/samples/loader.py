"""Which rows each update of an epoch gets, and the batches made of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from triaffect.samples.dataset import Samples, take
from triaffect.types import Batch, IntArray


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
        """Iteration, kind and rows of each update, from iteration ``start`` on."""
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
    """Inputs and labels of some rows."""
    targets = {key: take(t, rows) for key, t in samples.rows.targets.items()}
    return Batch(kind, samples.inputs(rows), targets, rows)
