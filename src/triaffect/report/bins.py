"""Means over equal stretches of time, gathered from rows as they come.

A stretch is so short at first that it holds one frame; when there are too many of them, each
two neighbours become one. A video of any length so takes the same memory, and stretches
without a row stay empty.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from triaffect.types import IntArray

FINEST_S = 1 / 128
"""Seconds of a stretch at first; doubling it gives 0.25, 0.5, 1 s and so on."""

MOST_BINS = 1200
"""Stretches between the first row and the last; about the pixels that a page has for them."""


class Grid:
    """How long a stretch is, for all that is seen and heard in one clip.

    Attributes:
        step_s: Seconds of a stretch.
    """

    def __init__(self) -> None:
        self.step_s = FINEST_S
        self._series: list[Series] = []

    def series(self, width: int) -> Series:
        """A new, empty series on this grid.

        Args:
            width: Values of a row.
        """
        made = Series(width)
        self._series.append(made)
        return made

    def drop(self, series: Series) -> None:
        """Forget a series."""
        self._series.remove(series)

    def reach(self, start_s: float, end_s: float) -> None:
        """Make stretches long enough for rows from the clip's first time to this one."""
        while end_s // self.step_s - start_s // self.step_s >= MOST_BINS:
            self.step_s *= 2
            for each in self._series:
                each.coarsen()

    def places(self, times_s: NDArray[np.float64]) -> IntArray:
        """Number of the stretch of each time, shape (N,)."""
        return np.floor(times_s / self.step_s).astype(np.int64)


class Series:
    """Sums over stretches of time, from the first that has a row to the last.

    Args:
        width: Values of a row.

    Attributes:
        first: Number of the first stretch.
        rows: Rows of each stretch, shape (B,).
        marks: Time of the first row of each, and x, y, width and height of its box, shape (B, 5).
    """

    def __init__(self, width: int) -> None:
        self.first = 0
        self.rows = np.zeros(0, np.int64)
        self.marks = np.full((0, 5), np.nan)
        self._sums, self._counts = np.zeros((0, width)), np.zeros((0, width), np.int64)

    def add(
        self, places: IntArray, values: NDArray[np.float64], marks: NDArray[np.float64]
    ) -> None:
        """Add rows in order of time.

        Args:
            places: Stretch of each row, ascending, none before the last one added, shape (N,).
            values: NaN where blank, shape (N, width).
            marks: Time and box of each row, shape (N, 5).
        """
        if not len(self.rows):
            self.first = int(places[0])
        self._grow(int(places[-1]) - self.first + 1)
        starts = np.flatnonzero(np.diff(places, prepend=places[0] - 1))
        at = places[starts] - self.first
        new = self.rows[at] == 0
        self.marks[at[new]] = marks[starts[new]]
        there = ~np.isnan(values)
        self.rows[at] += np.diff(np.append(starts, len(places)))
        self._sums[at] += np.add.reduceat(np.where(there, values, 0), starts)
        self._counts[at] += np.add.reduceat(there, starts, dtype=np.int64)

    def _grow(self, length: int) -> None:
        more = max(0, length - len(self.rows))
        self.rows = np.pad(self.rows, (0, more))
        self.marks = np.pad(self.marks, ((0, more), (0, 0)), constant_values=np.nan)
        self._sums = np.pad(self._sums, ((0, more), (0, 0)))
        self._counts = np.pad(self._counts, ((0, more), (0, 0)))

    def coarsen(self) -> None:
        """Make each two stretches one."""
        before, after = self.first % 2, (self.first + len(self.rows)) % 2
        pairs = [
            np.pad(each, [(before, after)] + [(0, 0)] * (each.ndim - 1)).reshape(
                -1, 2, *each.shape[1:]
            )
            for each in (self.rows, self.marks, self._sums, self._counts)
        ]
        rows, marks, sums, counts = pairs
        self.marks = np.where(rows[:, :1] > 0, marks[:, 0], marks[:, 1])
        self.rows, self._sums, self._counts = rows.sum(1), sums.sum(1), counts.sum(1)
        self.first //= 2

    def means(self) -> NDArray[np.float64]:
        """Mean of each value over each stretch, NaN where there is none, shape (B, width)."""
        with np.errstate(invalid="ignore"):
            values: NDArray[np.float64] = self._sums / self._counts
        return values

    def on(self, places: IntArray, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """What a value for each stretch, (B, …), is at other places (P,); NaN outside, (P, …)."""
        found = np.full((len(places), *values.shape[1:]), np.nan)
        inside = (places >= self.first) & (places < self.first + len(self.rows))
        found[inside] = values[places[inside] - self.first]
        return found
