"""Scores of the ABAW challenges: the official one of whole sets, and the authors' batch means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from triaffect.tasks.presence import PRESENT
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task, TaskScore
from triaffect.types import Targets

if TYPE_CHECKING:
    import pandas as pd

Truth = Mapping[str, Targets]
Prediction = Mapping[str, NDArray[np.floating]]
Statistics = Mapping[str, NDArray[np.float64]]

EVERY_ROW = slice(None)
_ALMOST = 1e-6


@dataclass(frozen=True)
class Score:
    """Scores of all tasks over one set.

    A number can be had by its name, ``score["valence_ccc"]`` or ``score.valence_ccc``; `values`
    has them all, and `to_frame` makes a table of them.

    Attributes:
        tasks: Each task's score by key; 0 with a count of 0 where nothing is annotated.
        reachable: The best official scores that these labels allow, where that is less than a
            whole one: a class or unit that does not occur counts as 0 whatever is predicted.

    Examples:
        >>> from triaffect.tasks.task import targets_of
        >>> truth = {"VA": targets_of(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]) / 2)}
        >>> predictions = {"VA": np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 1.0]]) / 2}
        >>> score = score_targets(truth, predictions)
        >>> score["valence_ccc"], round(score["arousal_ccc"], 3), round(score["P_VA"], 3)
        (1.0, 0.667, 0.833)
    """

    tasks: dict[str, TaskScore]
    reachable: Mapping[str, float] = field(default_factory=dict)

    @property
    def official(self) -> dict[str, float]:
        """The challenge's scores: ``P_<key>`` of each task and their sum ``P_MTL``."""
        values = {f"P_{key}": score.value for key, score in self.tasks.items()}
        return {**values, "P_MTL": sum(values.values())}

    @property
    def annotated(self) -> dict[str, float]:
        """Those of `official` whose tasks have annotations; their sum if they are several."""
        official, counts = self.official, [score.count for score in self.tasks.values()]
        several = sum(count > 0 for count in counts) > 1
        return {
            name: official[name]
            for name, count in zip(official, [*counts, several], strict=True)
            if count
        }

    @property
    def values(self) -> dict[str, float]:
        """Every number by name: the official ones, then ``<part>_<metric>`` of each part."""
        parts = {
            f"{name}_{score.metric.lower()}": value
            for score in self.tasks.values()
            for name, value in score.parts.items()
        }
        return {**self.official, **parts}

    def __getitem__(self, name: str) -> float:
        """Return a number by its name, such as ``"P_VA"`` or ``"AU12_f1"``.

        Raises:
            KeyError: There is none of that name; the message names the nearest.
        """
        values = self.values
        if name not in values:
            near = get_close_matches(name, values, 1)
            remedy = f"; did you mean {near[0]}?" if near else ""
            raise KeyError(f"expected one of {', '.join(values)}, got {name!r}{remedy}")
        return values[name]

    def __getattr__(self, name: str) -> float:
        """Return a number by its name in small letters, such as ``p_va`` or ``au12_f1``."""
        if not name.startswith("_") and name != "tasks":  # copying and pickling look for those
            by_name = {key.lower(): value for key, value in self.values.items()}
            if name.lower() in by_name:
                return by_name[name.lower()]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def to_frame(self) -> pd.DataFrame:
        """Return a table with a row for each task and each of its parts.

        Returns:
            Columns ``task``, ``part`` (empty for the whole task), ``metric``, ``value`` and
            ``rows``, the task's annotated rows.
        """
        import pandas as pd  # noqa: PLC0415 - heavy

        rows = [
            (key, part, score.metric, value, score.count)
            for key, score in self.tasks.items()
            for part, value in {"": score.value, **score.parts}.items()
        ]
        return pd.DataFrame(rows, columns=["task", "part", "metric", "value", "rows"])

    def to_json(self) -> dict[str, Any]:
        """Return everything as numbers, strings and dicts that `json.dumps` takes.

        A task's ``parts`` hold its scores by name; its `ScoreDetails` stand beside them.
        """
        tasks = {
            key: {
                "value": score.value,
                "parts": dict(score.parts),
                "count": score.count,
                **score.details.to_json(),
            }
            for key, score in self.tasks.items()
        }
        return {"official": self.official, "tasks": tasks}


def statistics_of(
    truth: Truth,
    prediction: Prediction,
    tasks: Sequence[Task],
    group: NDArray[np.integer],
    groups: int,
    rows: NDArray[np.integer] | slice = EVERY_ROW,
) -> Statistics:
    """Compute every task's additive statistics of each group of rows, (groups, S) each.

    Args:
        truth: Labels by task key; a task may be absent.
        prediction: Activated predictions by task key, shape (N, K), NaN where there is none.
        tasks: What to score.
        group: Group of each row that counts, from 0, shape (R,).
        groups: Number of groups.
        rows: Which of the N rows count, shape (R,); one may count several times.

    Returns:
        By task key, float64, shape (groups, S); zeros for a task without labels.
    """
    statistics = {}
    for task in tasks:
        if task.key in truth:
            labels, valid = truth[task.key].values[rows], truth[task.key].valid[rows]
            values = prediction[task.key][rows]
            statistics[task.key] = task.statistics(labels, values, valid, group, groups)
        else:
            empty = np.zeros((0, task.width))
            statistics[task.key] = task.statistics(empty, empty, empty > 0, group[:0], groups)
    return statistics


def score_statistics(statistics: Statistics, tasks: Sequence[Task] = TASKS) -> Score:
    """Compute the official score of all groups together.

    Args:
        statistics: From `statistics_of`, shape (groups, S) by task key.
        tasks: What to score.

    Returns:
        The score; of a task without labels, 0 with a count of 0.
    """
    return Score({task.key: task.score_of(statistics[task.key].sum(0)) for task in tasks})


def score_targets(truth: Truth, prediction: Prediction, tasks: Sequence[Task] = TASKS) -> Score:
    """Compute the official score of a whole set.

    Args:
        truth: Labels by task key; a task may be absent.
        prediction: Activated predictions by task key, shape (N, K), NaN where there is none.
        tasks: What to score.

    Returns:
        The score; of a task that is not in the truth, 0 with a count of 0.
    """
    together = np.zeros(max((len(t) for t in truth.values()), default=0), np.int64)
    return score_statistics(statistics_of(truth, prediction, tasks, together, 1), tasks)


def reachable_scores(truth: Truth, tasks: Sequence[Task] = TASKS) -> dict[str, float]:
    """Compute the best official scores that labels allow: those of the labels themselves.

    Args:
        truth: Labels by task key; a task may be absent.
        tasks: What is scored.

    Returns:
        ``P_<key>`` of each annotated task and their sum ``P_MTL``; nothing if every part of
        every annotated task can be reached.

    Examples:
        >>> from triaffect.tasks.task import targets_of
        >>> truth = {"EXPR": targets_of(np.eye(8)[:3])}
        >>> reachable_scores(truth)
        {'P_EXPR': 0.375, 'P_MTL': 0.375}
    """
    perfect = {}
    for task in tasks:
        if task.key in truth:
            values = truth[task.key].values
            perfect[task.key] = values >= PRESENT if task.threshold_columns else values
    score = score_targets(truth, {k: v.astype(np.float64) for k, v in perfect.items()}, tasks)
    best = {f"P_{key}": each.value for key, each in score.tasks.items() if each.count}
    if all(value > 1 - _ALMOST for value in best.values()):
        return {}
    return {**best, "P_MTL": sum(best.values())}


def chance_score(truth: Truth, tasks: Sequence[Task] = TASKS) -> Score:
    """Compute the best score of a constant prediction, chosen with the labels at hand.

    Args:
        truth: Labels by task key; a task may be absent.
        tasks: What to score.

    Returns:
        Each task's score without parts; 0 with a count of 0 where nothing is annotated.

    Examples:
        >>> from triaffect.tasks.task import targets_of
        >>> chance_score({"VA": targets_of(np.zeros((3, 2)))})["P_VA"]
        0.0
    """
    scores = {}
    for task in tasks:
        if task.key in truth:
            targets = truth[task.key]
            value = task.chance(targets.values, targets.valid)
            scores[task.key] = TaskScore(
                value, count=int(targets.valid.any(axis=1).sum()), metric=task.metric
            )
        else:
            scores[task.key] = TaskScore(0.0, metric=task.metric)
    return Score(scores)


def per_batch_score(
    truth: Truth,
    prediction: Prediction,
    batches: NDArray[np.integer],
    tasks: Sequence[Task] = TASKS,
) -> Score:
    """Score as the authors' program does: each mini-batch by itself, then a plain mean.

    It flatters weak predictors, so it serves to choose epochs as the program did and to
    compare with its numbers. A batch without labels of a task does not count for that task.

    Args:
        truth: Labels by task key; a task may be absent.
        prediction: Activated predictions by task key, shape (N, K).
        batches: Rows of each mini-batch, shape (batches, size).
        tasks: What to score.

    Returns:
        Each task's mean without parts; 0 with a count of 0 where nothing is annotated.
    """
    count, size = batches.shape
    group = np.repeat(np.arange(count), size)
    statistics = statistics_of(truth, prediction, tasks, group, count, batches.ravel())
    scores = {}
    for task in tasks:
        own = statistics[task.key]
        labelled = own[own[:, 0] > 0]
        mean = float(task.batch_scores(labelled).mean()) if len(labelled) else 0.0
        rows = int(labelled[:, 0].sum())
        scores[task.key] = TaskScore(mean, count=rows, metric=task.metric)
    return Score(scores)
