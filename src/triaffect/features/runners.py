"""Face crops and sound to feature rows.

Face extractors take aligned crops uint8 (N, 112, 112, 3) RGB. Voice extractors take mono sound
in [-1, 1] at their own rate, chunk by chunk, and give rows in order of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.features.logmel import BANDS, RATE, ROWS_PER_S, log_mel_stream
from triaffect.features.spec import ExtractorSpec
from triaffect.types import FeatureSeries, FloatArray, Window

GRAY_SIDE = 64


class FaceExtractor(Protocol):
    """Aligned face crops to rows; a crop's row does not depend on its neighbours."""

    @property
    def spec(self) -> ExtractorSpec:
        """What it is."""

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.generic]:
        """Rows (N, spec.dim) of type spec.dtype from crops (N, 112, 112, 3) RGB uint8."""


class VoiceExtractor(Protocol):
    """Sound to rows over time, in memory that does not grow with its length."""

    @property
    def spec(self) -> ExtractorSpec:
        """What it is."""

    def stream(self, chunks: Iterable[FloatArray]) -> Iterator[FeatureSeries]:
        """Rows in order of time, from mono chunks of any size at ``spec.rate`` samples/s."""


class Gray64:
    """The crop itself as 64×64 gray levels: what a face network learns from."""

    spec = ExtractorSpec("gray64", "builtin-1", GRAY_SIDE * GRAY_SIDE, "uint8")

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.generic]:
        """Rows (N, 4096) uint8."""
        return gray64(crops).reshape(len(crops), -1)


class LogMel64:
    """The log-mel spectrum itself, 100 rows a second: what a voice network learns from."""

    spec = ExtractorSpec(
        "logmel64", "builtin-1", BANDS, "float16", RATE, Window(0.025, 1 / ROWS_PER_S, causal=False)
    )

    def stream(self, chunks: Iterable[FloatArray]) -> Iterator[FeatureSeries]:
        """Rows (T, 64) float16; a row's time is the middle of its window."""
        count = 0
        for rows in log_mel_stream(chunks):
            times_s = (count + np.arange(len(rows)) + 0.5) / ROWS_PER_S
            count += len(rows)
            yield FeatureSeries(rows.astype(np.float16), times_s)


def gray64(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Gray levels of face crops, averaged down to 64×64.

    Args:
        crops: RGB, shape (N, 112, 112, 3).

    Returns:
        Shape (N, 64, 64).
    """
    gray = np.empty((len(crops), GRAY_SIDE, GRAY_SIDE), np.uint8)
    for out, crop in zip(gray, crops, strict=True):
        level = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        cv2.resize(level, (GRAY_SIDE, GRAY_SIDE), dst=out, interpolation=cv2.INTER_AREA)
    return gray
