"""Windows of stored vectors around each labelled moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from triaffect.errors import StoreError
from triaffect.features.store import FeatureStore
from triaffect.features.windows import voice_rows, window_rows
from triaffect.samples.dataset import InputArrays, Rows, label_rows
from triaffect.samples.stills import as_video
from triaffect.tasks.task import Task
from triaffect.types import BoolArray, FloatArray, IntArray, Moments, Window

HALF_FRAME = 0.5


class WindowSamples:
    """Rows of a store whose inputs are windows of face vectors and one voice vector.

    Args:
        store: Feature store with vectors of a face and a voice network.
        tasks: Whose labels count.
        window: Which face vectors a moment sees.
        in_frames: The window counts frames, not seconds.
        complete: Only moments with every face of their window, and their voice.
        drop_partial: See `label_rows`.
        single_task_frame_offset: Added to the frame of rows that are not of the MTL set
            when their features are looked up.
        stills_as_video: See `triaffect.samples.stills`.
        drop_minus_one: See `label_rows`.
        moments: Rows to take in place of the store's own labelled ones; they need no labels.
    """

    def __init__(
        self,
        store: FeatureStore,
        tasks: Sequence[Task],
        window: Window,
        in_frames: bool = False,
        complete: bool = False,
        drop_partial: bool = False,
        single_task_frame_offset: int = 0,
        stills_as_video: bool = False,
        drop_minus_one: bool = False,
        moments: Moments | None = None,
    ) -> None:
        self._store = store
        wanted = store.moments if moments is None else moments
        faces, voices = _look_up(store, wanted, window, in_frames, single_task_frame_offset)
        usable = (faces >= 0).any(1) | (voices >= 0)
        if complete:
            usable = (faces >= 0).all(1) & (voices >= 0)
        self.rows: Rows = label_rows(
            wanted, usable, tasks, drop_partial, moments is not None, drop_minus_one
        )
        self._face_rows, self._voice_row = faces[self.rows.moments], voices[self.rows.moments]
        if stills_as_video:
            self._face_rows, self._voice_row = as_video(
                self.rows, self._face_rows, self._voice_row, tasks
            )

    def inputs(self, rows: IntArray) -> InputArrays:
        """``face`` (N, W, Df), ``face_present`` (N, W), ``voice`` (N, Dv), ``voice_present`` (N,).

        What is absent is zero there; the presence says so.
        """
        names = ("face", "face_present", "voice", "voice_present")
        return dict(zip(names, self.arrays(rows), strict=True))

    def arrays(self, rows: IntArray) -> tuple[FloatArray, BoolArray, FloatArray, BoolArray]:
        """The arrays of `inputs` in that order."""
        face_rows, voice_row = self._face_rows[rows], self._voice_row[rows]
        return (
            _gather(self._store.face, face_rows),
            face_rows >= 0,
            _gather(self._store.voice, voice_row),
            voice_row >= 0,
        )


def _gather(values: NDArray[np.generic], rows: IntArray) -> NDArray[np.float32]:
    gathered = np.zeros((*rows.shape, values.shape[1]), np.float32)
    present = rows >= 0
    gathered[present] = values[rows[present]]
    return gathered


def _look_up(
    store: FeatureStore, moments: Moments, window: Window, in_frames: bool, offset: int
) -> tuple[IntArray, IntArray]:
    """Row of every window position's face vector, and of the voice vector; -1 where absent."""
    faces = np.full((len(moments), len(window.offsets_s())), -1, np.int64)
    voices = np.full(len(moments), -1, np.int64)
    shift = np.where(moments.column("label_set").astype(str) == "MTL", 0, offset)
    frame = moments.column("frame").astype(np.int64) + shift
    time_s = moments.column("time_s").astype(np.float64)
    track = moments.column("track").astype(np.int64)
    for source, here in by_source(store, moments):
        for start, stop in _tracks(store, source):
            mine = here[track[here] == store.face_track[start]]
            if not len(mine):
                continue
            if store.is_stills(source):
                rows = frame_rows(store.face_frame[start:stop], frame[mine])
                faces[mine, -1] = np.where(rows >= 0, rows + start, -1)
                continue
            clock, at = store.face_time_s[start:stop], time_s[mine]
            if in_frames:
                clock, at = store.face_frame[start:stop].astype(float), frame[mine].astype(float)
            tolerance = HALF_FRAME if in_frames else None
            found = window_rows(clock, at, window, tolerance)
            faces[mine] = np.where(found >= 0, found + start, -1)
        voices[here] = _voice_rows(store, source, time_s[here])
    return faces, voices


def by_source(store: FeatureStore, moments: Moments) -> Iterator[tuple[int, IntArray]]:
    """Ordinal of each source that has moments, and the rows of those moments."""
    ordinals = {name: ordinal for ordinal, name in enumerate(store.sources)}
    names, inverse = np.unique(moments.column("source").astype(str), return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    for name, here in zip(
        names, np.split(order, np.cumsum(np.bincount(inverse))[:-1]), strict=True
    ):
        if name not in ordinals:
            raise StoreError("moments of stored sources only", f"source '{name}'")
        yield ordinals[name], here


def source_range(ordinals: NDArray[np.generic], source: int) -> tuple[int, int]:
    """First row and end of one source in a sorted column of source ordinals."""
    return (
        int(np.searchsorted(ordinals, source, "left")),
        int(np.searchsorted(ordinals, source, "right")),
    )


def frame_rows(frames: NDArray[np.generic], wanted: IntArray) -> IntArray:
    """Row of each wanted frame number in a sorted column; -1 where it is missing."""
    if not len(frames):
        return np.full(len(wanted), -1, np.int64)
    rows = np.searchsorted(frames, wanted).clip(0, len(frames) - 1)
    return np.where(frames[rows] == wanted, rows, -1).astype(np.int64)


def _tracks(store: FeatureStore, source: int) -> Iterator[tuple[int, int]]:
    start, stop = source_range(store.face_source, source)
    if start == stop:
        return
    edges = np.flatnonzero(np.diff(store.face_track[start:stop])) + start + 1
    bounds = [start, *edges.tolist(), stop]
    yield from pairwise(bounds)


def _voice_rows(store: FeatureStore, source: int, at_s: NDArray[np.float64]) -> IntArray:
    """Stored voice vector of each instant; -1 where there is none."""
    start, stop = source_range(store.voice_source, source)
    if store.voice_spec is None or store.voice_spec.window is None:
        return np.full(len(at_s), -1, np.int64)
    rows = voice_rows(store.voice_time_s[start:stop], at_s, store.voice_spec.window)
    return np.where(rows >= 0, rows + start, -1)
