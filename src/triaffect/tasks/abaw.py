"""The official score of the ABAW challenges: whole sets, never batch means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task, TaskScore
from triaffect.types import Targets

Truth = Mapping[str, Targets]
Prediction = Mapping[str, NDArray[np.floating]]


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

    def to_json(self) -> dict[str, object]:
        """Everything as numbers, strings and dicts that `json.dumps` takes."""
        tasks = {
            key: {"value": score.value, "parts": dict(score.parts), "count": score.count}
            for key, score in self.tasks.items()
        }
        return {"official": self.official, "tasks": tasks}


class ScoreAccumulator:
    """The official score, batch by batch, with the same result as over the whole set.

    Args:
        tasks: What to score.
    """

    def __init__(self, tasks: Sequence[Task] = TASKS) -> None:
        self._accumulators = {task.key: task.accumulator() for task in tasks}

    def update(self, truth: Truth, prediction: Prediction) -> None:
        """Add rows.

        Args:
            truth: Labels by task key; a task may be absent.
            prediction: Activated predictions by task key, shape (N, K), NaN where there is none.
        """
        for key, accumulator in self._accumulators.items():
            if key in truth:
                targets = truth[key]
                accumulator.update(targets.values, prediction[key], targets.valid)

    def compute(self) -> Score:
        """Score everything added so far."""
        return Score({key: each.compute() for key, each in self._accumulators.items()})


def score_targets(truth: Truth, prediction: Prediction, tasks: Sequence[Task] = TASKS) -> Score:
    """Official score of a whole set.

    Args:
        truth: Labels by task key; a task may be absent.
        prediction: Activated predictions by task key, shape (N, K), NaN where there is none.
        tasks: What to score.
    """
    accumulator = ScoreAccumulator(tasks)
    accumulator.update(truth, prediction)
    return accumulator.compute()


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
    batches: Iterable[tuple[Truth, Prediction]], tasks: Sequence[Task] = TASKS
) -> Score:
    """The authors' program's own metric: each mini-batch scored alone, then a plain mean.

    It flatters weak predictors, so it serves to choose epochs as the program did, never as a
    result. A batch without labels of a task does not count for that task.

    Args:
        batches: Labels and activated predictions of each mini-batch.
        tasks: What to score.
    """
    values: dict[str, list[float]] = {task.key: [] for task in tasks}
    rows = dict.fromkeys(values, 0)
    for truth, prediction in batches:
        for task in tasks:
            targets = truth.get(task.key)
            if targets is not None and targets.valid.any():
                one = task.batch_score(targets.values, prediction[task.key], targets.valid)
                values[task.key].append(one)
                rows[task.key] += int(targets.valid.any(axis=1).sum())
    return Score(
        {
            key: TaskScore(float(np.mean(each)) if each else 0.0, {}, rows[key])
            for key, each in values.items()
        }
    )
