"""The aligned face of each labelled moment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from triaffect.datasets.batches import InputArrays, Rows, label_rows
from triaffect.datasets.windows import by_source, frame_rows, require_extractor
from triaffect.features.extractors.onnx import GRAY_INPUTS
from triaffect.features.store import FeatureStore
from triaffect.tasks.task import Task
from triaffect.types import IntArray

CROP_SIDE = 64


class CropSamples:
    """Rows whose input is the moment's own aligned face, 64x64 gray levels.

    Args:
        store: Store made with a face extractor of gray crops, ``gray64`` or ``gray64_close``.
        tasks: Whose labels count.
        drop_partial: See `label_rows`.
    """

    def __init__(
        self, store: FeatureStore, tasks: Sequence[Task], drop_partial: bool = False
    ) -> None:
        name = store.face_spec.name if store.face_spec else "none"
        require_extractor("gray64" if name in GRAY_INPUTS else name, "gray64", "face")
        self._store = store
        moments = store.moments
        # one sortable number for a track and a frame
        needed = (moments.column("track").astype(np.int64) << 32) + moments.column("frame").astype(
            np.int64
        )
        stored = (store.face_track.astype(np.int64) << 32) + store.face_frame
        self._face_row = np.full(len(moments), -1, np.int64)
        for source, here in by_source(store, store.moments):
            start, stop = store.entries[source].face
            rows = frame_rows(stored[start:stop], needed[here])
            self._face_row[here] = np.where(rows >= 0, rows + start, -1)
        self.rows: Rows = label_rows(moments, self._face_row >= 0, tasks, drop_partial)

    def inputs(self, rows: IntArray) -> InputArrays:
        """Return ``crop``, gray levels (N, 64, 64) uint8, of rows by number, shape (N,)."""
        crops = self._store.face[self._face_row[self.rows.moments[rows]]]
        return {"crop": np.asarray(crops).reshape(-1, CROP_SIDE, CROP_SIDE)}
