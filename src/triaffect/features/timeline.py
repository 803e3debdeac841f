"""Feature rows by track and time, and which of them a moment's window holds.

A `Timeline` is appended to in order of time and asked for windows. Prediction keeps a
`MemoryTimeline` of the recent past; extraction writes, and training reads, a `FileTimeline`,
whose rows are memory-mapped. Both search with the same functions, so a network is shown in
prediction exactly the windows it was trained on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.features.row_file import RowFile, map_rows
from triaffect.types import BoolArray, FloatArray, IntArray, Window

ANY_TRACK = -1
"""Track of rows that belong to no face in particular: every moment looks at them."""
NO_FRAME = -1
"""Frame of a row whose frame is not known."""
KEY_DTYPE = np.dtype([("track", "<i4"), ("frame", "<i4"), ("time_s", "<f8")])

_ROUNDING_S = 1e-6
"""Times are sums of floats: a distance this much over the tolerance still counts."""

_Times = NDArray[np.float64]
_Series = tuple[int, _Times, IntArray | slice]
"""A track, the ascending times of its rows, and where these rows are."""


class Timeline(ABC):
    """Feature rows of one source; see the module.

    Attributes:
        dim: Width of a row.
    """

    dim: int

    @abstractmethod
    def append(
        self,
        tracks: NDArray[np.integer],
        times_s: _Times,
        values: NDArray[Any],
        frames: NDArray[np.integer] | None = None,
    ) -> None:
        """Add rows at the end.

        Args:
            tracks: The face of each row, or `ANY_TRACK`, shape (N,).
            times_s: Seconds from the start; within a track they ascend, from one call to the
                next as well, shape (N,).
            values: The rows, shape (N, dim).
            frames: Their frames, where a file is to remember them, shape (N,).
        """

    @abstractmethod
    def forget(self, before_s: float) -> None:
        """Allow rows from before a time to be dropped: no later window reaches them."""

    @abstractmethod
    def take(self, rows: IntArray) -> FloatArray:
        """Read rows by number.

        Args:
            rows: Row numbers, -1 for none, of any shape.

        Returns:
            The rows, zeros for none, float32, of the shape of ``rows`` and dim.
        """

    @abstractmethod
    def _series(self) -> Iterator[_Series]:
        """Yield every track, in ascending order."""

    def windows(
        self, tracks: NDArray[np.integer], at_s: _Times, window: Window
    ) -> tuple[FloatArray, BoolArray]:
        """Collect what the windows of moments hold.

        Args:
            tracks: The face of each moment, shape (N,).
            at_s: Times of the moments, shape (N,).
            window: Which instants a moment looks at, W of them.

        Returns:
            Rows, zero where absent, shape (N, W, dim), and presence, shape (N, W).
        """
        rows = self.window_rows(tracks, at_s, window)
        return self.take(rows), rows >= 0

    def window_rows(
        self,
        tracks: NDArray[np.integer],
        at: _Times,
        window: Window,
        tolerance: float | None = None,
    ) -> IntArray:
        """Number the rows that `windows` takes.

        Args:
            tracks: The face of each moment, shape (N,).
            at: Times of the moments, or their frames in a timeline of frames, shape (N,).
            window: Which instants a moment looks at, W of them, in the same unit.
            tolerance: The farthest a row may be from its position; None is half a hop.

        Returns:
            Row numbers, -1 where absent, shape (N, W).
        """
        width = len(window.offsets_s())
        return self._search(
            tracks, at, (width,), lambda times, some: window_rows(times, some, window, tolerance)
        )

    def nearest(self, tracks: NDArray[np.integer], at: _Times, tolerance: float) -> IntArray:
        """Number the row nearest to each moment.

        Args:
            tracks: The face of each moment, shape (N,).
            at: Times of the moments, or their frames in a timeline of frames, shape (N,).
            tolerance: The farthest a row may be from its moment, in the same unit.

        Returns:
            Row numbers, -1 where none is near enough, shape (N,).
        """
        return self._search(
            tracks, at, (), lambda times, some: nearest_rows(times, some, tolerance)
        )

    def voices(self, at_s: _Times, window: Window) -> IntArray:
        """Number the voice row of each moment; see `voice_rows`.

        Args:
            at_s: Times of the moments in seconds, shape (N,).
            window: How the voice rows were made.

        Returns:
            Row numbers, -1 where absent, shape (N,).
        """
        tracks = np.full(len(at_s), ANY_TRACK)
        return self._search(tracks, at_s, (), lambda times, some: voice_rows(times, some, window))

    def _search(
        self,
        tracks: NDArray[np.integer],
        at: _Times,
        shape: tuple[int, ...],
        search: Callable[[_Times, _Times], IntArray],
    ) -> IntArray:
        """Search each track for the moments of its face."""
        result = np.full((len(at), *shape), -1, np.int64)
        for track, times, rows in self._series():
            mine = np.flatnonzero(tracks == track) if track != ANY_TRACK else slice(None)
            here = at[mine]
            if not len(here):
                continue
            local = search(times, here)
            if isinstance(rows, slice):
                result[mine] = np.where(local >= 0, local + rows.start, -1)
            else:
                result[mine] = np.where(local >= 0, rows[local], -1)
        return result


class MemoryTimeline(Timeline):
    """The recent past in memory; `forget` bounds it.

    Args:
        dim: Width of a row.
        extractor: Makes rows (N, dim) of what was appended, such as crops, when a window first
            holds them; None where rows are appended.

    Examples:
        >>> timeline = MemoryTimeline(dim=1)
        >>> timeline.append(np.zeros(3, int), np.array([0.0, 0.5, 1.0]), np.array([[1], [2], [3]]))
        >>> rows, present = timeline.windows(np.array([0]), np.array([0.5]), Window(1.0, 0.5, True))
        >>> rows[0, :, 0].tolist(), present[0].tolist()
        ([0.0, 1.0, 2.0], [False, True, True])
    """

    def __init__(self, dim: int, extractor: Callable[..., NDArray[Any]] | None = None) -> None:
        self.dim, self._extractor = dim, extractor
        self._tracks, self._times_s = np.empty(0, np.int64), np.empty(0)
        self._values = np.empty((0, dim), np.float32)
        self._inputs: list[NDArray[Any] | None] = []

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._times_s)

    @property
    def end_s(self) -> float:
        """Return the time of the last row; minus infinity without any."""
        return float(self._times_s[-1]) if len(self) else -np.inf

    def append(
        self,
        tracks: NDArray[np.integer],
        times_s: _Times,
        values: NDArray[Any],
        frames: NDArray[np.integer] | None = None,
    ) -> None:
        """Add rows at the end, or what the extractor makes rows of, which is a value each.

        Frames are not remembered; see `Timeline.append` for the arguments.
        """
        del frames
        self._tracks = np.concatenate([self._tracks, tracks])
        self._times_s = np.concatenate([self._times_s, times_s])
        if self._extractor is None:
            new = np.asarray(values, np.float32)
        else:
            new = np.zeros((len(values), self.dim), np.float32)
            self._inputs += list(values)
        self._values = np.concatenate([self._values, new])

    def forget(self, before_s: float) -> None:
        """Drop rows from before a time."""
        stays = self._times_s >= before_s
        self._tracks, self._times_s = self._tracks[stays], self._times_s[stays]
        self._values = self._values[stays]
        if self._extractor is not None:
            self._inputs = [self._inputs[row] for row in np.flatnonzero(stays)]

    def take(self, rows: IntArray) -> FloatArray:
        """Read rows by number, zeros for -1; see `Timeline.take`."""
        if not len(self):
            return np.zeros((*rows.shape, self.dim), np.float32)
        if self._extractor is not None:
            needed = sorted(set(rows[rows >= 0].tolist()))  # np.unique imports numpy.ma
            new = [row for row in needed if self._inputs[row] is not None]
            if new:  # all of them at once
                inputs = np.stack([self._inputs[row] for row in new])
                self._values[new] = np.asarray(self._extractor(inputs), np.float32)
                for row in new:
                    self._inputs[row] = None
        return np.where((rows >= 0)[..., None], self._values[rows], np.float32(0))

    def _series(self) -> Iterator[_Series]:
        for track in sorted(set(self._tracks.tolist())):
            rows = np.flatnonzero(self._tracks == track)
            yield track, self._times_s[rows], rows


class FileTimeline(Timeline):
    """Rows in files that only grow, read on demand.

    Args:
        values: Rows of a file, memory-mapped, shape (R, dim).
        tracks: Track of each of the rows from ``first_row`` on that are one source's, (M,).
        times: Times of these rows in seconds, or their frames, for windows counted in frames.
        first_row: Number of the first of them.
    """

    def __init__(
        self,
        values: NDArray[Any],
        tracks: NDArray[np.integer],
        times: NDArray[Any],
        first_row: int = 0,
    ) -> None:
        self.dim = values.shape[1]
        self._values, self._tracks, self._first_row = values, tracks, first_row
        self._times = np.asarray(times, np.float64)
        self._files: tuple[RowFile, RowFile] | None = None

    @staticmethod
    def create(folder: Path, name: str, dtype: np.dtype[Any], dim: int) -> FileTimeline:
        """Make files for rows to be appended to: ``NAME.bin`` and ``NAME_keys.bin``.

        Args:
            folder: Where; it exists.
            name: Beginning of the files' names.
            dtype: Type of a row's values.
            dim: Width of a row.

        Returns:
            An empty timeline; close it after the last row.

        Raises:
            DiskError: They cannot be written.
        """
        timeline = FileTimeline(np.empty((0, dim), dtype), np.empty(0, np.int32), np.empty(0))
        files = (f"{name}.bin", dtype, dim), (f"{name}_keys.bin", KEY_DTYPE, 0)
        rows, keys = (RowFile(folder / file, kind, width) for file, kind, width in files)
        timeline._files = rows, keys
        return timeline

    @staticmethod
    def read(
        folder: Path, name: str, dtype: np.dtype[Any], dim: int, count: int
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Map rows that were appended to files.

        Args:
            folder: Where the files are.
            name: Beginning of their names.
            dtype: Type of a row's values.
            dim: Width of a row.
            count: How many rows.

        Returns:
            Values, shape (count, dim), and keys of type `KEY_DTYPE`, shape (count,).

        Raises:
            StoreError: There are fewer.
        """
        values = map_rows(folder / f"{name}.bin", dtype, dim, count)
        return values, map_rows(folder / f"{name}_keys.bin", KEY_DTYPE, 0, count)

    def __len__(self) -> int:
        """Count the rows."""
        return self._files[0].count if self._files else len(self._times)

    def close(self) -> None:
        """Close the files; nothing can be appended any more."""
        for file in self._files or ():
            file.close()

    def append(
        self,
        tracks: NDArray[np.integer],
        times_s: _Times,
        values: NDArray[Any],
        frames: NDArray[np.integer] | None = None,
    ) -> None:
        """Write rows at the end of the files; see `Timeline.append` for the arguments.

        Raises:
            DiskError: They cannot be written.
            ValueError: The timeline was not made by `create`, or rows have another width.
        """
        if self._files is None:
            raise ValueError("a timeline made by create expected, got one opened for reading")
        keys = np.empty(len(times_s), KEY_DTYPE)
        keys["track"], keys["time_s"] = tracks, times_s
        keys["frame"] = NO_FRAME if frames is None else frames
        rows_file, keys_file = self._files
        rows_file.append(values)
        keys_file.append(keys)

    def forget(self, before_s: float) -> None:
        """Do nothing: files remember everything."""

    def _map(self) -> None:
        """Map what has been appended since."""
        if self._files is not None and len(self._times) < self._files[0].count:
            self._values, keys = (file.map() for file in self._files)
            self._tracks, self._times = keys["track"], keys["time_s"]

    def take(self, rows: IntArray) -> FloatArray:
        """Read rows by number, zeros for -1; see `Timeline.take`."""
        self._map()
        if not len(self._values):
            return np.zeros((*rows.shape, self.dim), np.float32)
        taken = np.asarray(self._values).take(np.where(rows < 0, 0, rows), axis=0)
        return np.where((rows >= 0)[..., None], taken, 0).astype(np.float32, copy=False)

    def _series(self) -> Iterator[_Series]:
        self._map()
        if not len(self._times):
            return
        edges = [0, *(np.flatnonzero(np.diff(self._tracks)) + 1).tolist(), len(self._times)]
        names = self._tracks[edges[:-1]].tolist()
        if len(set(names)) == len(names) and sorted(names) == names:
            for track, start, stop in zip(names, edges[:-1], edges[1:], strict=True):
                rows = slice(start + self._first_row, stop + self._first_row)
                yield track, self._times[start:stop], rows
            return
        for track in sorted(set(names)):  # as they were appended, track by track or mixed
            at = np.flatnonzero(self._tracks == track)
            yield track, self._times[at], at + self._first_row


def nearest_rows(times_s: _Times, at_s: NDArray[np.float64], tolerance_s: float) -> IntArray:
    """Find the row nearest in time to each instant.

    Args:
        times_s: Ascending times of the rows in seconds, shape (M,).
        at_s: Instants in seconds, any shape.
        tolerance_s: The farthest a row may be from its instant, in seconds.

    Returns:
        Row numbers with the shape of `at_s`; -1 where no row is near enough. Of two equally
        near rows the earlier one is taken.

    Examples:
        >>> nearest_rows(np.array([0.0, 1.0, 2.0]), np.array([0.4, 0.5, 9.0]), 0.5).tolist()
        [0, 0, -1]
    """
    if len(times_s) == 0:
        return np.full(np.shape(at_s), -1, np.int64)
    after = np.searchsorted(times_s, at_s)
    left = np.clip(after - 1, 0, len(times_s) - 1)
    right = np.clip(after, 0, len(times_s) - 1)
    left_distance = np.abs(at_s - times_s[left])
    right_distance = np.abs(times_s[right] - at_s)
    rows = np.where(right_distance < left_distance - _ROUNDING_S, right, left)
    distance = np.minimum(left_distance, right_distance)
    return np.where(distance <= tolerance_s + _ROUNDING_S, rows, -1).astype(np.int64)


def window_rows(
    times: _Times, at: NDArray[np.float64], window: Window, tolerance: float | None = None
) -> IntArray:
    """Find the rows of one track under the window of each moment.

    A window position is filled by the row nearest in time within half a hop, so that windows
    mean the same at every frame rate and across dropped frames.

    Args:
        times: Ascending times of the track's rows, in the window's unit (seconds, or frames
            for a window counted in frames), shape (M,).
        at: Times of the moments in the same unit, shape (N,).
        window: Which instants a moment looks at, W of them.
        tolerance: The farthest a row may be from its position; None is half a hop.

    Returns:
        Row numbers into `times`, shape (N, W); -1 where the track has no row.

    Examples:
        >>> window_rows(np.arange(3.0), np.array([1.0]), Window(2.0, 1.0, causal=True)).tolist()
        [[-1, 0, 1]]
    """
    positions = np.asarray(at, np.float64)[:, None] + window.offsets_s()
    return nearest_rows(times, positions, window.hop_s / 2 if tolerance is None else tolerance)


def voice_rows(times_s: _Times, at_s: NDArray[np.float64], window: Window) -> IntArray:
    """Find the voice row of each moment: the nearest one, at most a hop away.

    Voice rows lie at multiples of the hop within the sound, so every moment within the sound
    has one. Rows of a causal extractor never come from after the moment.

    Args:
        times_s: Ascending times of the voice rows in seconds, shape (M,).
        at_s: Times of the moments in seconds, shape (N,).
        window: How the voice rows were made; its hop and causality matter here.

    Returns:
        Row numbers, shape (N,); -1 where there is no sound.

    Examples:
        >>> times_s = np.array([0.0, 0.5])
        >>> voice_rows(times_s, np.array([0.4]), Window(1.0, 0.5, causal=True)).tolist()
        [0]
    """
    at_s = np.asarray(at_s, np.float64)
    if not window.causal:
        return nearest_rows(times_s, at_s, window.hop_s)
    rows = np.searchsorted(times_s, at_s + _ROUNDING_S, side="right") - 1
    age_s = at_s - times_s[rows] if len(times_s) else np.zeros_like(at_s)
    return np.where(age_s <= window.hop_s + _ROUNDING_S, rows, -1).astype(np.int64)
