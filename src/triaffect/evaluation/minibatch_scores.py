"""The score of the authors' program (arXiv 2203.13072): means over shuffled mini-batches.

The largest pool of rows decides: I = ceil(n / 256) iterations. Every pool is shuffled and cut
into I batches of floor(n / I) rows, the tail dropped; each batch is scored alone, a unit that
neither occurs nor is predicted as F1 = 1, and the plain mean over batches is the score. It
depends on the shuffle, so it is told for several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from triaffect.corpora.rows import MULTI_TASK_SET
from triaffect.datasets.batches import Samples, plan_epoch
from triaffect.evaluation.evaluate import Split
from triaffect.metrics.abaw import Score, per_batch_score, score_statistics, statistics_of
from triaffect.tasks.task import Task
from triaffect.training.build import TrainingContext
from triaffect.training.scoring import Predictions, truth_of
from triaffect.types import IntArray

BATCH_SIZE = 256
"""Rows a batch of the largest pool, at most."""

SHUFFLES = 5


def authors_scores(
    split: Split, prediction: Predictions, pools: Mapping[str, IntArray], seed: int = 0
) -> dict[str, Any]:
    """The authors' score of each pool, for several shuffles.

    Args:
        split: The rows.
        prediction: Activated predictions for them, shape (rows, K) each.
        pools: Rows by pool name, among those of the split; none of them empty.
        seed: Of the first shuffle; the others have the seeds after it.

    Returns:
        ``batch_size``, ``iterations``, ``seeds`` and ``pools``: of each its ``rows``, ``batch``,
        ``authors`` (values in the order of ``seeds``, by name) and, of the same rows,
        ``official``. Told are the tasks that the pool has labels of; ``P_MTL`` if it has all.
    """
    truth = truth_of(split.samples, split.rows)
    places = {name: np.searchsorted(split.rows, rows) for name, rows in pools.items()}
    plans = {each: plan_epoch(places, BATCH_SIZE, 1, (each,)) for each in _seeds(seed)}
    told = {}
    for name, rows in places.items():
        scores = [
            _told(per_batch_score(truth, prediction, plan.rows[name], split.tasks))
            for plan in plans.values()
        ]
        alone = statistics_of(truth, prediction, split.tasks, np.zeros_like(rows), 1, rows)
        told[name] = {
            "rows": len(rows),
            "batch": plans[seed].rows[name].shape[1],
            "authors": {key: [score[key] for score in scores] for key in scores[0]},
            "official": _told(score_statistics(alone, split.tasks)),
        }
    return {
        "batch_size": BATCH_SIZE,
        "iterations": plans[seed].iterations,
        "seeds": list(plans),
        "pools": told,
    }


def pools_of_run(work: TrainingContext, split: str) -> dict[str, IntArray]:
    """Rows of the pools that the recipe's updates draw from; empty ones are left out."""
    drawn = {name for stage in work.recipe.stages.values() for name in stage.updates}
    return {name: rows for name, rows in work.pools(split).items() if name in drawn}


def pools_of_sets(samples: Samples, split: str, tasks: Sequence[Task]) -> dict[str, IntArray]:
    """Rows of each label set, in the paper's order; empty ones are left out."""
    names = (MULTI_TASK_SET, *(task.key for task in tasks))
    pools = {name: samples.rows.where(split, [name]) for name in names}
    return {name: rows for name, rows in pools.items() if len(rows)}


def _seeds(first: int) -> range:
    return range(first, first + SHUFFLES)


def _told(score: Score) -> dict[str, float]:
    """Official names of the tasks with labels, and their sum if that is all of them."""
    told = {f"P_{key}": each.value for key, each in score.tasks.items() if each.count}
    return score.official if len(told) == len(score.tasks) else told
