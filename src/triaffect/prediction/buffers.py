"""The recent past of a stream: faces and their vectors by track, voice rows.

Each forgets what no later moment can look at, so memory does not grow with the video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.features.timeline import voice_rows, window_rows
from triaffect.tables.schema import Instants
from triaffect.types import NO_FACE, BoolArray, FloatArray, IntArray, Window
from triaffect.voice.stream import VoiceRows


@dataclass
class _Track:
    """Faces of one track in order of time: when, and vector or, until it is asked for, crop."""

    times_s: NDArray[np.float64]
    crops: list[NDArray[np.uint8] | None]
    vectors: FloatArray


class FaceMemory:
    """The faces seen lately, each track apart; vectors of those that a window asks for.

    Args:
        window: Which instants a moment looks at.
        extractor: Makes vectors of crops.
        dim: Width of a vector.
    """

    def __init__(self, window: Window, extractor: Callable[..., NDArray[Any]], dim: int) -> None:
        self._window, self._extractor, self._dim = window, extractor, dim
        self._reach = window.offsets_s()[[0, -1]] + np.array([-1, 1]) * window.hop_s / 2
        self._tracks: dict[int, _Track] = {}

    @property
    def look_ahead_s(self) -> float:
        """How far past a moment its window reaches; 0 for a causal window."""
        return 0.0 if self._window.causal else float(self._reach[1])

    def add(self, instants: Instants, crops: NDArray[np.uint8]) -> None:
        """Remember crops (M, 112, 112, 3): those of the rows that have a face, in order of time."""
        has_face = instants.track != NO_FACE
        track, time_s = instants.track[has_face], instants.time_s[has_face]
        for one in np.unique(track).tolist():
            mine = np.flatnonzero(track == one)
            blank = np.zeros((len(mine), self._dim), np.float32)
            known = self._tracks.setdefault(one, _Track(time_s[:0], [], blank[:0]))
            known.times_s = np.concatenate([known.times_s, time_s[mine]])
            known.crops += [crops[row] for row in mine]
            known.vectors = np.concatenate([known.vectors, blank])

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
        looked_at = {}
        for one in np.unique(track[track != NO_FACE]).tolist():
            mine = np.flatnonzero(track == one)
            rows = window_rows(self._tracks[one].times_s, at_s[mine], self._window)
            looked_at[one] = mine, rows
        self._extract({one: rows for one, (_, rows) in looked_at.items()})
        for one, (mine, rows) in looked_at.items():
            present[mine] = rows >= 0
            vectors[mine] = np.where((rows >= 0)[..., None], self._tracks[one].vectors[rows], 0)
        return vectors, present

    def _extract(self, rows_of: dict[int, IntArray]) -> None:
        """Make those vectors that are not made yet, all tracks' together."""
        places, crops = [], []
        for one, rows in rows_of.items():
            track = self._tracks[one]
            for row in np.unique(rows[rows >= 0]).tolist():
                crop, track.crops[row] = track.crops[row], None
                if crop is not None:
                    places.append((track, row))
                    crops.append(crop)
        if crops:
            vectors = np.asarray(self._extractor(np.stack(crops)), np.float32)
            for (track, row), vector in zip(places, vectors, strict=True):
                track.vectors[row] = vector

    def forget(self, before_s: float) -> None:
        """Drop what no moment from this time on can look at."""
        oldest_s = before_s + self._reach[0]
        kept = {}
        for one, track in self._tracks.items():
            first = int(np.searchsorted(track.times_s, oldest_s))
            if first < len(track.times_s):
                kept[one] = _Track(
                    track.times_s[first:], track.crops[first:], track.vectors[first:]
                )
        self._tracks = kept


class VoiceMemory:
    """Voice rows pulled from a stream as far as they are needed, and no farther back.

    Args:
        rows: Rows in order of time; none for a source without sound.
        window: How the rows were made.
        dim: Width of a row.
    """

    def __init__(self, rows: Iterable[VoiceRows], window: Window, dim: int) -> None:
        self._rows, self._window = iter(rows), window
        self._is_over = False
        nothing = np.empty(0)
        self._past = VoiceRows(np.empty((0, dim), np.float32), nothing, nothing.astype(np.bool_))

    def at(self, at_s: NDArray[np.float64]) -> tuple[FloatArray, BoolArray]:
        """The voice of moments at ascending times, shape (N,).

        Returns:
            Rows, zero where there is no voice, shape (N, dim), and presence, shape (N,).
        """
        self._pull(float(at_s[-1]) + self._window.hop_s)
        values, times_s, active = self._past.values, self._past.times_s, self._past.active
        if not len(times_s):
            return np.zeros((len(at_s), values.shape[1]), np.float32), np.zeros_like(at_s, bool)
        rows = voice_rows(times_s, at_s, self._window)
        present = (rows >= 0) & active[rows]
        return np.where(present[:, None], values[rows], 0).astype(np.float32), present

    def forget(self, before_s: float) -> None:
        """Drop what no moment from this time on can ask for."""
        self._past = self._past.where(self._past.times_s >= before_s - 2 * self._window.hop_s)

    def _pull(self, until_s: float) -> None:
        past = self._past
        while not self._is_over and (not len(past.times_s) or past.times_s[-1] < until_s):
            series = next(self._rows, None)
            if series is None:
                self._is_over = True
                break
            past = VoiceRows(
                np.concatenate([past.values, series.values.astype(np.float32)]),
                np.concatenate([past.times_s, series.times_s]),
                np.concatenate([past.active, series.active]),
            )
        self._past = past
