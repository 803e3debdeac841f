"""Find the stored rows that each moment sees, and gather them into arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from triaffect.corpora.rows import MULTI_TASK_SET
from triaffect.errors import StoreError
from triaffect.features.external.format import ANY_FACE, NO_FRAME, ExternalStream, Run
from triaffect.features.store import Entry, FeatureStore
from triaffect.features.timeline import nearest_rows, voice_rows, window_rows
from triaffect.types import FloatArray, IntArray, Moments, RowNumbers, Window


def gather(values: NDArray[Any], rows: RowNumbers) -> FloatArray:
    """Rows of a stream as float32, zeros where there is none.

    Args:
        values: Memory-mapped rows, shape (R, D).
        rows: Row numbers, -1 for none; any shape.

    Returns:
        A new array of the shape of ``rows`` and D.
    """
    shape, flat = (*rows.shape, values.shape[1]), rows.reshape(-1)
    if not values.size:
        return np.zeros(shape, np.float32)
    missing = flat < 0
    found = as_float32(np.asarray(values).take(np.where(missing, 0, flat), axis=0))
    if missing.any():
        found[missing] = 0
    return found.reshape(shape)


def as_float32(values: NDArray[Any]) -> FloatArray:
    """The same numbers as float32.

    PyTorch widens half precision many times faster than NumPy, to the same numbers.
    """
    if values.dtype == np.float16:
        return torch.from_numpy(values).float().numpy()
    return values.astype(np.float32, copy=False)


HALF_FRAME = 0.5


@dataclass(frozen=True)
class Looking:
    """How a moment looks at a stream of vectors.

    Attributes:
        window: Which vectors it sees, in seconds or frames.
        in_frames: The window counts frames.
        single_task_offset: Added to the frame of rows that are not of the MTL set.
    """

    window: Window
    in_frames: bool = False
    single_task_offset: int = 0


@dataclass(frozen=True)
class _Series:
    """Rows that windows are filled from.

    Attributes:
        runs: Rows of a source, face by face.
        frame: Frame of each row or `NO_FRAME`.
        time_s: Time of each row.
    """

    runs: Callable[[str], list[Run]]
    frame: NDArray[np.int32]
    time_s: NDArray[np.float64]


@dataclass(frozen=True)
class _Asked:
    """Where moments are: time, track, frame and what is added to it, each of length N."""

    frame: NDArray[np.int32]
    offset: NDArray[np.int32]
    time_s: NDArray[np.float64]
    track: NDArray[np.int32]

    @staticmethod
    def of(moments: Moments, single_task_offset: int = 0) -> _Asked:
        alone = moments.dictionary_column("label_set") != MULTI_TASK_SET
        return _Asked(
            moments.column("frame").astype(np.int32, copy=False),
            alone.astype(np.int32) * single_task_offset,
            moments.column("time_s").astype(np.float64, copy=False),
            moments.column("track").astype(np.int32, copy=False),
        )

    def __getitem__(self, rows: IntArray) -> _Asked:
        return _Asked(self.frame[rows], self.offset[rows], self.time_s[rows], self.track[rows])

    def shifted_frame(self) -> IntArray:
        """Frame whose features are looked up, shape (N,)."""
        return self.frame.astype(np.int64) + self.offset


def face_windows(store: FeatureStore, moments: Moments, looking: Looking) -> RowNumbers:
    """Row of every window position's face vector, -1 where absent, shape (N, W)."""
    ordinals = {name: ordinal for ordinal, name in enumerate(store.sources)}
    series = _Series(
        lambda source: _tracks(store, ordinals[source]), store.face_frame, store.face_time_s
    )
    return _windows(store, series, moments, looking)


def external_windows(
    store: FeatureStore, stream: ExternalStream, moments: Moments, looking: Looking
) -> RowNumbers:
    """Row of every window position in an external stream, -1 where absent, shape (N, W).

    As for faces, a position is filled by the row nearest in time within half a hop; a window
    in frames takes the very frame, where the stream knows the frames of its rows.
    """
    series = _Series(stream.runs, stream.frame, stream.time_s)
    return _windows(store, series, moments, looking)


def external_rows(store: FeatureStore, stream: ExternalStream, moments: Moments) -> RowNumbers:
    """Row of an external stream nearest to each moment, at most a period away; shape (N,).

    A picture of a set of stills has the row of its own frame. -1 where there is none.
    """
    asked, found = _Asked.of(moments), absent((len(moments),), len(stream.values))
    for entry, run, mine in _by_run(store, stream.runs, moments, asked):
        if entry.stills:
            rows = frame_rows(stream.frame[run.start : run.stop], asked[mine].shifted_frame())
        else:
            period_s = stream.spec.period_s(entry.frame_rate)
            rows = nearest_rows(stream.time_s[run.start : run.stop], asked.time_s[mine], period_s)
        found[mine] = np.where(rows >= 0, rows + run.start, -1)
    return found


def stored_voices(store: FeatureStore, moments: Moments) -> RowNumbers:
    """Row of each moment's voice vector in the store, -1 where absent, shape (N,)."""
    voices = absent((len(moments),), len(store.voice))
    time_s = moments.column("time_s").astype(np.float64)
    for source, here in by_source(store, moments):
        voices[here] = _voice_rows(store, source, time_s[here])
    return voices


def _windows(
    store: FeatureStore, series: _Series, moments: Moments, looking: Looking
) -> RowNumbers:
    asked = _Asked.of(moments, looking.single_task_offset)
    found = absent((len(moments), len(looking.window.offsets_s())), len(series.frame))
    for entry, run, mine in _by_run(store, series.runs, moments, asked):
        rows = _run_windows(entry, run, series, asked[mine], looking)
        found[mine] = np.where(rows >= 0, rows + run.start, -1)
    return found


def _by_run(
    store: FeatureStore, runs: Callable[[str], list[Run]], moments: Moments, asked: _Asked
) -> Iterator[tuple[Entry, Run, IntArray]]:
    """Each run of rows that some moments look at: its source, itself, and those moments."""
    for source, here in by_source(store, moments):
        for run in runs(store.sources[source]):
            mine = here if run.track == ANY_FACE else here[asked.track[here] == run.track]
            if len(mine):
                yield store.entries[source], run, mine


def _run_windows(
    entry: Entry, run: Run, series: _Series, asked: _Asked, looking: Looking
) -> IntArray:
    """Rows within one run, shape (N, W)."""
    frames, times = series.frame[run.start : run.stop], series.time_s[run.start : run.stop]
    window, wanted = looking.window, asked.shifted_frame()
    if entry.stills:
        rows = np.full((len(wanted), len(window.offsets_s())), -1, np.int64)
        rows[:, -1] = frame_rows(frames, wanted)
        return rows
    if not looking.in_frames:
        return window_rows(times, asked.time_s, window)
    if frames[0] != NO_FRAME:
        return window_rows(frames.astype(float), wanted.astype(float), window, HALF_FRAME)
    rate = entry.frame_rate
    seconds = Window(window.span_s / rate, window.hop_s / rate, window.causal)
    return window_rows(times, asked.time_s + asked.offset / rate, seconds)


def by_source(store: FeatureStore, moments: Moments) -> Iterator[tuple[int, IntArray]]:
    """Ordinal of each source that has moments, and the rows of those moments."""
    if not len(moments):
        return
    ordinals = {name: ordinal for ordinal, name in enumerate(store.sources)}
    sources = moments.dictionary_column("source")
    order = np.argsort(sources.codes, kind="stable")
    ends = np.cumsum(np.bincount(sources.codes, minlength=len(sources.values)))
    for name, here in zip(sources.values, np.split(order, ends[:-1]), strict=True):
        if name not in ordinals:
            raise StoreError("moments of stored sources only", f"source '{name}'")
        yield ordinals[name], here


def absent(shape: tuple[int, ...], rows: int) -> RowNumbers:
    """Row numbers that are all -1, of the smallest of two types that can count the rows."""
    if rows <= np.iinfo(np.int32).max:
        return np.full(shape, -1, np.int32)
    return np.full(shape, -1, np.int64)


def frame_rows(frames: NDArray[np.generic], wanted: IntArray) -> IntArray:
    """Row of each wanted frame number in a sorted column; -1 where it is missing."""
    if not len(frames):
        return np.full(len(wanted), -1, np.int64)
    rows = np.searchsorted(frames, wanted).clip(0, len(frames) - 1)
    return np.where(frames[rows] == wanted, rows, -1).astype(np.int64)


def _tracks(store: FeatureStore, source: int) -> list[Run]:
    start, stop = store.entries[source].face
    edges = (np.flatnonzero(np.diff(store.face_track[start:stop])) + start + 1).tolist()
    bounds = pairwise([start, *edges, stop])
    return [Run(int(store.face_track[a]), a, b) for a, b in bounds if a < b]


def _voice_rows(store: FeatureStore, source: int, at_s: NDArray[np.float64]) -> IntArray:
    """Stored voice vector of each instant; -1 where there is none."""
    start, stop = store.entries[source].voice
    if store.voice_spec is None or store.voice_spec.window is None:
        return np.full(len(at_s), -1, np.int64)
    rows = voice_rows(store.voice_time_s[start:stop], at_s, store.voice_spec.window)
    return np.where(rows >= 0, rows + start, -1)
