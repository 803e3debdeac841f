"""The score of the authors' program (arXiv 2203.13072): means over shuffled mini-batches.

The largest pool of rows decides: I = ceil(n / 256) iterations. Every pool is shuffled and cut
into I batches of floor(n / I) rows, the tail dropped; each batch is scored by itself, a unit that
neither occurs nor is predicted as F1 = 1, and the plain mean over batches is the score. It
depends on the shuffle, so it is computed for several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from triaffect.corpora.rows import MULTI_TASK_SET
from triaffect.datasets.batches import Samples, plan_epoch
from triaffect.evaluation.results import AuthorsResult, PoolResult
from triaffect.metrics.abaw import (
    Prediction,
    Truth,
    per_batch_score,
    score_statistics,
    statistics_of,
)
from triaffect.tasks.task import Task
from triaffect.types import IntArray

if TYPE_CHECKING:
    from triaffect.training.build import TrainingContext

BATCH_SIZE = 256
"""Rows a batch of the largest pool, at most."""

SHUFFLES = 5


def authors_scores(
    truth: Truth,
    prediction: Prediction,
    pools: Mapping[str, IntArray],
    tasks: Sequence[Task],
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
) -> AuthorsResult:
    """Compute the authors' score of each pool, for several shuffles.

    Scores are of the tasks that a pool has labels of, with ``P_MTL`` if it has several.

    Args:
        truth: Labels by task key, N rows.
        prediction: Activated predictions for them, shape (N, K) each.
        pools: Rows by pool name; none of them empty.
        tasks: What to score.
        seed: Of the first shuffle; the others have the seeds after it.
        batch_size: Rows a batch of the largest pool, at most.

    Returns:
        By pool a score for each of `SHUFFLES` shuffles, and the official score of the same rows.
    """
    seeds = range(seed, seed + SHUFFLES)
    plans = {each: plan_epoch(pools, batch_size, 1, (each,)) for each in seeds}
    results = {}
    for name, rows in pools.items():
        scores = [
            per_batch_score(truth, prediction, plan.rows[name], tasks).annotated
            for plan in plans.values()
        ]
        whole = statistics_of(truth, prediction, tasks, np.zeros_like(rows), 1, rows)
        results[name] = PoolResult(
            rows=len(rows),
            batch=plans[seed].rows[name].shape[1],
            authors={key: [score[key] for score in scores] for key in scores[0]},
            official=score_statistics(whole, tasks).annotated,
        )
    return AuthorsResult(
        batch_size=batch_size,
        iterations=plans[seed].iterations,
        seeds=list(seeds),
        pools=results,
    )


def pools_of_run(work: TrainingContext, split: str) -> dict[str, IntArray]:
    """Return the rows of the pools that a recipe's updates draw from, without empty ones.

    Args:
        work: The run.
        split: "train", "validation" or "test".

    Returns:
        Indices into the samples' rows by name of the pool, shape (rows,) each.
    """
    drawn = {name for stage in work.recipe.stages.values() for name in stage.updates}
    return {name: rows for name, rows in work.pools(split).items() if name in drawn}


def pools_of_sets(samples: Samples, split: str, tasks: Sequence[Task]) -> dict[str, IntArray]:
    """Return the rows of each label set, in the paper's order, without empty ones.

    Args:
        samples: The rows.
        split: "train", "validation" or "test".
        tasks: Each is the key of a label set; the multi-task set comes first.

    Returns:
        Indices into the samples' rows by label set, shape (rows,) each.
    """
    names = (MULTI_TASK_SET, *(task.key for task in tasks))
    pools = {name: samples.rows.where(split, [name]) for name in names}
    return {name: rows for name, rows in pools.items() if len(rows)}
