"""Confidence intervals of scores, by resampling whole videos (bootstrap).

Rows of one video are nearly copies of each other, so the unit that is drawn with replacement
is the video (or whatever else is independent of the rest), never the row. Statistics of each
unit add up, so a resample is a row of counts times a matrix of statistics: the cost does not
grow with the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.metrics.abaw import Statistics
from triaffect.tasks.task import Task

LEVEL = 0.95
_BLOCK = 1 << 22
"""Counts held at a time: resamples times units."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Intervals:
    """Percentile intervals of every score; None where fewer than two units have labels.

    Attributes:
        official: Of ``P_<key>`` of each task, and of ``P_MTL``.
        parts: By task key, of each of its parts.
        units: Units with labels, by task key.
    """

    official: dict[str, Interval | None]
    parts: dict[str, dict[str, Interval | None]]
    units: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"official": self.official, "parts": self.parts, "units": self.units}


def bootstrap(
    statistics: Statistics, tasks: Sequence[Task], resamples: int, seed: int = 0
) -> Intervals:
    """Compute 95 % intervals of the official scores, all tasks from the same resamples.

    Args:
        statistics: By task key, of each unit, shape (units, S).
        tasks: What is scored.
        resamples: How often as many units are drawn as there are.
        seed: Decides what is drawn.

    Returns:
        The intervals from the 2.5th to the 97.5th percentile.
    """
    labelled = {task.key: statistics[task.key][:, 0] > 0 for task in tasks}
    units = {key: int(has.sum()) for key, has in labelled.items()}
    some = np.any(list(labelled.values()), axis=0)
    sums: dict[str, list[NDArray[np.float64]]] = {key: [] for key in statistics}
    counted = {key: each[some] for key, each in statistics.items()}
    for counts in draws(int(some.sum()), resamples, seed):
        for key, each in counted.items():
            sums[key].append(counts @ each)
    parts = {task.key: task.part_scores(np.concatenate(sums[task.key])) for task in tasks}
    values = {key: each.mean(axis=1) for key, each in parts.items()}
    official = {f"P_{key}": _interval(each, units[key] > 1) for key, each in values.items()}
    has_interval = bool(some.any()) and 1 not in units.values()
    official["P_MTL"] = _interval(np.sum(list(values.values()), axis=0), has_interval)
    return Intervals(
        official,
        {
            task.key: {
                name: _interval(parts[task.key][:, k], units[task.key] > 1)
                for k, name in enumerate(task.part_names)
            }
            for task in tasks
        },
        units,
    )


def draws(units: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Draw as many units as there are, with replacement, again and again.

    Args:
        units: How many there are.
        resamples: How often they are drawn.
        seed: Decides what is drawn.

    Yields:
        How often each unit is drawn, shape (some resamples, units), in blocks that limit memory.
        The rows of all blocks do not depend on their sizes.

    Examples:
        >>> [block.sum(axis=1).tolist() for block in draws(3, 2, seed=0)]
        [[3.0, 3.0]]
    """
    rng = np.random.default_rng(seed)
    most = max(1, _BLOCK // max(units, 1))
    for start in range(0, resamples, most):
        count = min(most, resamples - start)
        cells = rng.integers(max(units, 1), size=(count, units)) + units * np.arange(count)[:, None]
        drawn = np.bincount(cells.ravel(), minlength=count * units)
        yield drawn.reshape(count, units).astype(np.float64)


def _interval(values: NDArray[np.float64], has_interval: bool) -> Interval | None:
    if not has_interval:
        return None
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
