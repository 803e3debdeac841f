"""A piece of log-mel spectrum around each labelled moment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from triaffect.datasets.batches import InputArrays, Rows, label_rows
from triaffect.datasets.windows import by_source, gather, require_extractor
from triaffect.errors import StoreError
from triaffect.features.extractors.onnx import PITCHED, SPECTRA, SPECTRUM
from triaffect.features.store import FeatureStore
from triaffect.tasks.acoustics import ACOUSTICS
from triaffect.tasks.task import Task
from triaffect.types import FloatArray, IntArray
from triaffect.voice.acoustics import acoustic_features
from triaffect.voice.log_mel import ROWS_PER_S, SILENT_ROW

_AT_ONCE = 256
"""Rows whose acoustic features are computed together: 20 MB of spectra of three seconds."""


class LogmelSamples:
    """Rows whose input is the log-mel spectrum around the moment.

    Labels of the task ``ACOUSTICS`` are computed from the spectra, for every moment with sound.

    Args:
        store: Store made with the voice extractor ``logmel64`` or ``logmel64_pitch``.
        tasks: Whose labels count.
        span_s: Seconds of the spectrum; the moment is in its middle.
        drop_partial: See `label_rows`.

    Raises:
        StoreError: The store has no spectra, or the task ``ACOUSTICS`` no pitch to compute from.
    """

    def __init__(
        self,
        store: FeatureStore,
        tasks: Sequence[Task],
        span_s: float,
        drop_partial: bool = False,
    ) -> None:
        name = store.voice_spec.name if store.voice_spec else "none"
        computed = any(task is ACOUSTICS for task in tasks)
        if computed and name != PITCHED:
            remedy = f"extract the sound again with --voice {PITCHED}"
            raise StoreError(f"a store of {PITCHED} for {ACOUSTICS.key}", name, remedy)
        require_extractor(SPECTRUM if name in SPECTRA else name, SPECTRUM, "voice")
        self._store = store
        self._length = round(span_s * ROWS_PER_S)
        moments = store.moments
        self._range = np.zeros((len(moments), 2), np.int64)
        for source, here in by_source(store, store.moments):
            self._range[here] = store.entries[source].voice
        centre = np.round(moments.column("time_s").astype(np.float64) * ROWS_PER_S)
        self._first = self._range[:, 0] + centre.astype(np.int64) - self._length // 2
        has_sound = self._range[:, 1] > self._range[:, 0]
        self.rows: Rows = label_rows(moments, has_sound, tasks, drop_partial, computed)
        if computed:
            features = np.full((len(self.rows), ACOUSTICS.width), np.nan, np.float32)
            for first in range(0, len(features), _AT_ONCE):
                numbers = np.arange(first, min(first + _AT_ONCE, len(features)))
                features[numbers] = acoustic_features(self._segments(numbers))
            self.rows.targets[ACOUSTICS.key] = ACOUSTICS.standardize(features)

    def inputs(self, numbers: IntArray) -> InputArrays:
        """Cut ``logmel`` (N, T, 64 or 66) out of the stored spectra, for rows by number (N,).

        It is float32 log power, with pitch if the store has it, and silence beyond the ends.
        """
        return {"logmel": self._segments(numbers)}

    def _segments(self, numbers: IntArray) -> FloatArray:
        moments = self.rows.moments[numbers]
        rows = self._first[moments, None] + np.arange(self._length)
        start, stop = self._range[moments].T
        inside = (rows >= start[:, None]) & (rows < stop[:, None])
        spectrum = gather(self._store.voice, np.where(inside, rows, -1))
        spectrum[~inside] = SILENT_ROW[: spectrum.shape[2]]
        return spectrum
