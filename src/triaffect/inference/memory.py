"""The recent past of a stream: face vectors by track, voice rows, loudness.

Each forgets what no later moment can look at, so memory does not grow with the video.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from triaffect.features.windows import voice_rows, window_rows
from triaffect.inference.table import NO_FACE, Instants
from triaffect.types import BoolArray, FeatureSeries, FloatArray, Window

_QUIET = 1e-4
"""Largest sample (of 1) of a sound in which nothing is heard: -80 dB, a muted microphone."""

_STEP_S = 0.1
"""Loudness is kept for stretches of this length."""

_SLACK = 1e-6
"""Part of a stretch by which an edge may be off because times are sums of floats."""


class FaceMemory:
    """Feature vectors of the faces seen lately, each track apart.

    Args:
        window: Which instants a moment looks at.
        dim: Width of a vector.
    """

    def __init__(self, window: Window, dim: int) -> None:
        self._window, self._dim = window, dim
        self._reach = window.offsets_s()[[0, -1]] + np.array([-1, 1]) * window.hop_s / 2
        self._tracks: dict[int, tuple[NDArray[np.float64], FloatArray]] = {}

    @property
    def look_ahead_s(self) -> float:
        """How far past a moment its window reaches; 0 for a causal window."""
        return 0.0 if self._window.causal else float(self._reach[1])

    def add(self, instants: Instants, vectors: FloatArray) -> None:
        """Remember vectors (N, dim): those of the N rows that have a face, in order of time."""
        has_face = instants.track != NO_FACE
        track, time_s = instants.track[has_face], instants.time_s[has_face]
        for one in np.unique(track):
            mine = track == one
            times, values = self._tracks.get(int(one), (np.empty(0), np.empty((0, self._dim))))
            self._tracks[int(one)] = (
                np.concatenate([times, time_s[mine]]),
                np.concatenate([values, vectors[mine]]).astype(np.float32),
            )

    def windows(self, instants: Instants) -> tuple[FloatArray, BoolArray]:
        """What the windows of moments hold.

        Args:
            instants: N moments; one without a face has an empty window.

        Returns:
            Vectors, zero where absent, shape (N, W, dim), and presence, shape (N, W).
        """
        track, at_s = instants.track, instants.time_s
        shape = len(at_s), len(self._window.offsets_s())
        vectors, present = np.zeros((*shape, self._dim), np.float32), np.zeros(shape, bool)
        for one in np.unique(track[track != NO_FACE]):
            times, values = self._tracks[int(one)]
            mine = np.flatnonzero(track == one)
            rows = window_rows(times, at_s[mine], self._window)
            present[mine] = rows >= 0
            vectors[mine] = np.where((rows >= 0)[..., None], values[rows], 0)
        return vectors, present

    def forget(self, before_s: float) -> None:
        """Drop what no moment from this time on can look at."""
        oldest_s = before_s + self._reach[0]
        kept = {}
        for one, (times, values) in self._tracks.items():
            first = int(np.searchsorted(times, oldest_s))
            if first < len(times):
                kept[one] = (times[first:], values[first:])
        self._tracks = kept


class Loudness:
    """Watches sound go by and tells where something could be heard.

    Args:
        rate: Samples per second.
    """

    def __init__(self, rate: int) -> None:
        self._step = max(1, round(rate * _STEP_S))
        self._peaks: deque[float] = deque()
        self._first = 0  # number of the stretch that the oldest peak belongs to

    def watch(self, chunks: Iterator[FloatArray]) -> Iterator[FloatArray]:
        """Pass chunks of any size on, noting how loud they are."""
        held = np.empty(0, np.float32)
        for chunk in chunks:
            held = np.concatenate([held, np.abs(chunk)])
            whole = len(held) // self._step * self._step
            self._peaks.extend(held[:whole].reshape(-1, self._step).max(axis=1).tolist())
            held = held[whole:]
            yield chunk
        if len(held):
            self._peaks.append(float(held.max()))

    def heard(self, time_s: NDArray[np.float64], window: Window) -> BoolArray:
        """Whether anything sounds in the windows (N,) whose sound has gone by."""
        loud = np.array([0, *np.cumsum(np.array(self._peaks) > _QUIET)])
        low = time_s - (window.span_s if window.causal else window.span_s / 2)
        start, end = low / _STEP_S + _SLACK, (low + window.span_s) / _STEP_S - _SLACK
        edges = np.stack([np.floor(start), np.ceil(end)]) - self._first
        first, last = np.clip(edges, 0, len(loud) - 1).astype(int)
        return np.asarray(loud[last] > loud[first], np.bool_)

    def forget(self, before_s: float) -> None:
        """Drop what lies before this time."""
        while self._peaks and (self._first + 1) * _STEP_S <= before_s:
            self._peaks.popleft()
            self._first += 1


class VoiceMemory:
    """Voice rows pulled from a stream as far as they are needed, and no farther back.

    Args:
        rows: Rows in order of time; none for a source without sound.
        loudness: What the sound behind those rows was watched by.
        window: How the rows were made.
        dim: Width of a row.
    """

    def __init__(
        self, rows: Iterator[FeatureSeries], loudness: Loudness, window: Window, dim: int
    ) -> None:
        self._rows: Iterator[FeatureSeries] | None = rows
        self._loudness, self._window = loudness, window
        self._times_s = np.empty(0)
        self._values = np.empty((0, dim), np.float32)
        self._heard = np.empty(0, np.bool_)

    def at(self, at_s: NDArray[np.float64]) -> tuple[FloatArray, BoolArray]:
        """The voice of moments at ascending times, shape (N,).

        Returns:
            Rows, zero where there is no voice, shape (N, dim), and presence, shape (N,).
        """
        self._pull(float(at_s[-1]) + self._window.hop_s)
        if not len(self._times_s):
            return np.zeros((len(at_s), self._values.shape[1]), np.float32), np.zeros_like(
                at_s, bool
            )
        rows = voice_rows(self._times_s, at_s, self._window)
        present = (rows >= 0) & self._heard[rows]
        return np.where(present[:, None], self._values[rows], 0).astype(np.float32), present

    def forget(self, before_s: float) -> None:
        """Drop what no moment from this time on can ask for."""
        first = int(np.searchsorted(self._times_s, before_s - 2 * self._window.hop_s))
        self._times_s, self._values = self._times_s[first:], self._values[first:]
        self._heard = self._heard[first:]

    def _pull(self, until_s: float) -> None:
        while self._rows and (not len(self._times_s) or self._times_s[-1] < until_s):
            series = next(self._rows, None)
            if series is None:
                self._rows = None
                return
            heard = self._loudness.heard(series.times_s, self._window)
            self._times_s = np.concatenate([self._times_s, series.times_s])
            self._values = np.concatenate([self._values, series.values.astype(np.float32)])
            self._heard = np.concatenate([self._heard, heard])
            if len(series.times_s):
                self._loudness.forget(float(series.times_s[-1]) - self._window.span_s)
