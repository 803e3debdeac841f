"""Single crops, and stretches of log-mel spectrum, around each labelled moment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from triaffect.datasets.batches import InputArrays, Rows, label_rows
from triaffect.datasets.lookup import by_source, frame_rows, gather
from triaffect.errors import StoreError
from triaffect.features.store import FeatureStore
from triaffect.tasks.task import Task
from triaffect.types import IntArray
from triaffect.voice.log_mel import ROWS_PER_S, SILENCE

CROP_SIDE = 64


class CropSamples:
    """Rows whose input is the moment's own aligned face, 64x64 gray levels.

    Args:
        store: Store made with the face extractor ``gray64``.
        tasks: Whose labels count.
        drop_partial: See `label_rows`.
    """

    def __init__(
        self, store: FeatureStore, tasks: Sequence[Task], drop_partial: bool = False
    ) -> None:
        _require(store.face_spec.name if store.face_spec else "none", "gray64", "face")
        self._store = store
        moments = store.moments
        frame = moments.column("frame").astype(np.int64)
        track = moments.column("track").astype(np.int64)
        self._face_row = np.full(len(moments), -1, np.int64)
        for source, here in by_source(store, store.moments):
            start, stop = store.entries[source].face
            key = _track_frame(store.face_track[start:stop], store.face_frame[start:stop])
            found = frame_rows(key, _track_frame(track[here], frame[here]))
            self._face_row[here] = np.where(found >= 0, found + start, -1)
        self.rows: Rows = label_rows(moments, self._face_row >= 0, tasks, drop_partial)

    def inputs(self, rows: IntArray) -> InputArrays:
        """``crop`` (N, 64, 64) uint8."""
        crops = self._store.face[self._face_row[self.rows.moments[rows]]]
        return {"crop": np.asarray(crops).reshape(-1, CROP_SIDE, CROP_SIDE)}


def _track_frame(track: NDArray[np.generic], frame: NDArray[np.generic]) -> IntArray:
    """One sortable number for a track and a frame."""
    return (track.astype(np.int64) << 32) + frame.astype(np.int64)


class LogmelSamples:
    """Rows whose input is the log-mel spectrum around the moment.

    Args:
        store: Store made with the voice extractor ``logmel64``.
        tasks: Whose labels count.
        stretch_s: Length of the stretch in seconds; the moment is in its middle.
        drop_partial: See `label_rows`.
    """

    def __init__(
        self,
        store: FeatureStore,
        tasks: Sequence[Task],
        stretch_s: float,
        drop_partial: bool = False,
    ) -> None:
        _require(store.voice_spec.name if store.voice_spec else "none", "logmel64", "voice")
        self._store = store
        self._length = round(stretch_s * ROWS_PER_S)
        moments = store.moments
        self._range = np.zeros((len(moments), 2), np.int64)
        for source, here in by_source(store, store.moments):
            self._range[here] = store.entries[source].voice
        centre = np.round(moments.column("time_s").astype(np.float64) * ROWS_PER_S)
        self._first = self._range[:, 0] + centre.astype(np.int64) - self._length // 2
        has_sound = self._range[:, 1] > self._range[:, 0]
        self.rows: Rows = label_rows(moments, has_sound, tasks, drop_partial)

    def inputs(self, rows: IntArray) -> InputArrays:
        """``logmel`` (N, T, 64) float32, padded with silence beyond the sound's ends."""
        moments = self.rows.moments[rows]
        wanted = self._first[moments, None] + np.arange(self._length)
        start, stop = self._range[moments].T
        inside = (wanted >= start[:, None]) & (wanted < stop[:, None])
        stretch = gather(self._store.voice, np.where(inside, wanted, -1))
        stretch[~inside] = SILENCE
        return {"logmel": stretch}


def _require(got: str, expected: str, modality: str) -> None:
    if got != expected:
        raise StoreError(
            f"a store with the {modality} extractor {expected}",
            got,
            f"extract it with --{modality} {expected}",
        )
