"""Scores of the ABAW challenges: the official one of whole sets, and the authors' batch means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task, TaskScore
from triaffect.types import Targets

Truth = Mapping[str, Targets]
Prediction = Mapping[str, NDArray[np.floating]]
Statistics = Mapping[str, NDArray[np.float64]]

EVERY_ROW = slice(None)


@dataclass(frozen=True)
class Score:
    """Scores of all tasks over one set.

    Attributes:
        tasks: Each task's score by key; 0 with a count of 0 where nothing is annotated.
    """

    tasks: dict[str, TaskScore]

    @property
    def official(self) -> dict[str, float]:
        """``P_<key>`` of each task and their sum ``P_MTL``."""
        values = {f"P_{key}": score.value for key, score in self.tasks.items()}
        return {**values, "P_MTL": sum(values.values())}

    def to_json(self) -> dict[str, Any]:
        """Everything as numbers, strings and dicts that `json.dumps` takes.

        A task's ``parts`` hold its scores by name; what its `details` tell of the parts is
        under ``by_part``, the rest of them beside it.
        """
        return {
            "official": self.official,
            "tasks": {key: _task_json(score) for key, score in self.tasks.items()},
        }


def _task_json(score: TaskScore) -> dict[str, Any]:
    details = dict(score.details)
    by_part = {"by_part": details.pop("parts")} if "parts" in details else {}
    plain = {"value": score.value, "parts": dict(score.parts), "count": score.count}
    return {**plain, **by_part, **details}


def statistics_of(
    truth: Truth,
    prediction: Prediction,
    tasks: Sequence[Task],
    group: NDArray[np.integer],
    groups: int,
    rows: NDArray[np.integer] | slice = EVERY_ROW,
) -> Statistics:
    """Every task's additive statistics of each group of rows, shape (groups, S) each.

    Args:
        truth: Labels by task key; a task may be absent.
        prediction: Activated predictions by task key, shape (N, K), NaN where there is none.
        tasks: What to score.
        group: Group of each row that counts, from 0, shape (R,).
        groups: Number of groups.
        rows: Which of the N rows count, shape (R,); one may count several times.
    """
    found = {}
    for task in tasks:
        if task.key in truth:
            targets = truth[task.key]
            labels, said, valid = targets.values[rows], prediction[task.key][rows], targets.valid
            found[task.key] = task.statistics(labels, said, valid[rows], group, groups)
        else:
            nothing = np.zeros((0, task.width))
            found[task.key] = task.statistics(nothing, nothing, nothing > 0, group[:0], groups)
    return found


def score_statistics(statistics: Statistics, tasks: Sequence[Task] = TASKS) -> Score:
    """Official score of all groups together."""
    return Score({task.key: task.score_of(statistics[task.key].sum(0)) for task in tasks})


def score_targets(truth: Truth, prediction: Prediction, tasks: Sequence[Task] = TASKS) -> Score:
    """Official score of a whole set.

    Args:
        truth: Labels by task key; a task may be absent.
        prediction: Activated predictions by task key, shape (N, K), NaN where there is none.
        tasks: What to score.
    """
    together = np.zeros(max((len(t) for t in truth.values()), default=0), np.int64)
    return score_statistics(statistics_of(truth, prediction, tasks, together, 1), tasks)


def chance_score(truth: Truth, tasks: Sequence[Task] = TASKS) -> Score:
    """The best that a constant prediction, chosen with the labels known, reaches on them."""
    scores = {}
    for task in tasks:
        if task.key in truth:
            targets = truth[task.key]
            value = task.chance(targets.values, targets.valid)
            scores[task.key] = TaskScore(value, {}, int(targets.valid.any(axis=1).sum()))
        else:
            scores[task.key] = TaskScore(0.0)
    return Score(scores)


def per_batch_score(
    truth: Truth,
    prediction: Prediction,
    batches: NDArray[np.integer],
    tasks: Sequence[Task] = TASKS,
) -> Score:
    """The authors' program's own metric: each mini-batch scored alone, then a plain mean.

    It flatters weak predictors, so it serves to choose epochs as the program did and to
    compare with its numbers. A batch without labels of a task does not count for that task.

    Args:
        truth: Labels by task key; a task may be absent.
        prediction: Activated predictions by task key, shape (N, K).
        batches: Rows of each mini-batch, shape (batches, size).
        tasks: What to score.
    """
    count, size = batches.shape
    group = np.repeat(np.arange(count), size)
    statistics = statistics_of(truth, prediction, tasks, group, count, batches.ravel())
    return Score({task.key: _mean_of_batches(task, statistics[task.key]) for task in tasks})


def _mean_of_batches(task: Task, statistics: NDArray[np.float64]) -> TaskScore:
    labelled = statistics[statistics[:, 0] > 0]
    if not len(labelled):
        return TaskScore(0.0)
    return TaskScore(float(task.batch_scores(labelled).mean()), {}, int(labelled[:, 0].sum()))
