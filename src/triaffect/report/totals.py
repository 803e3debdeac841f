"""Sums over all rows of somebody, and what a table says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from triaffect.tasks.task import Task

_NAMED = 3
"""Classes, and units, that a summary names."""

_RARE = 0.005
"""What is there in a smaller share of the rows is not named."""


class Totals:
    """Sums of the predictions of each task.

    Args:
        tasks: Whose values the rows hold, in order.

    Attributes:
        rows: Rows so far.
        told: Rows with a prediction.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tuple(tasks)
        self._sums = [np.zeros((2, task.width)) for task in tasks]
        self.rows = self.told = 0

    def add(self, values: NDArray[np.float64]) -> None:
        """Add rows: the tasks' values first, NaN where blank, shape (N, at least their width)."""
        self.rows += len(values)
        start, told = 0, np.zeros(len(values), bool)
        for task, sums in zip(self._tasks, self._sums, strict=True):
            own = values[:, start : start + task.width]
            there = ~np.isnan(own).any(axis=1)
            np.add(sums, _sums(task, own[there]), out=sums)
            told |= there
            start += task.width
        self.told += int(told.sum())

    def cells(self) -> Iterator[str]:
        """What is said of each task: a mean for each value, or what was there how often."""
        for task, sums in zip(self._tasks, self._sums, strict=True):
            if not self.told:
                yield "nothing"
            elif task.exclusive or task.threshold_columns:
                yield _often(task, sums[0] / self.told)
            else:
                yield _means(task, sums / self.told)


def _sums(task: Task, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often each class or unit was there; or the sums of values and of their squares."""
    sums = np.zeros((2, task.width))
    if task.exclusive:
        sums[0] = np.bincount(values.argmax(axis=1), minlength=task.width) if len(values) else 0
    elif task.threshold_columns:
        sums[0] = task.submitted(values).sum(axis=0)
    else:
        sums[:] = values.sum(axis=0), (values**2).sum(axis=0)
    return sums


def _often(task: Task, shares: NDArray[np.float64]) -> str:
    order = np.argsort(-shares, kind="stable")[:_NAMED]
    named = [(task.title(task.columns[k]), shares[k]) for k in order if shares[k] > _RARE]
    return ", ".join(f"{title} {percent(share)}" for title, share in named) or "none"


def _means(task: Task, means: NDArray[np.float64]) -> str:
    spread = np.sqrt(np.maximum(means[1] - means[0] ** 2, 0))
    return ", ".join(
        f"{task.title(column)} {round(mean, 2) + 0.0:.2f}\u00a0±\u00a0{sd:.2f}"
        for column, mean, sd in zip(task.columns, means[0], spread, strict=True)
    )


def percent(share: float) -> str:
    """A share in whole per cent, which no line break takes apart."""
    return f"{100 * share:.0f}\u00a0%"
