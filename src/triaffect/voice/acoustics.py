"""Acoustic features of a segment of sound: pitch, voicing, loudness, its modulation, spectrum.

What openSMILE calls functionals: numbers of fixed meaning for a whole segment, computed from its
log-mel power and its pitch. A network that learns to say them needs no labels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from triaffect.types import FloatArray
from triaffect.voice.log_mel import BANDS, FLOOR, ROWS_PER_S

VOICED, LOUD = 0.5, 8.0
"""Periodicity from which on a row has a voice's pitch; natural-log power below the loudest row,
down to which it is heard (35 dB)."""
SILENT = FLOOR + float(np.log(BANDS)) + 1
"""Natural-log power of a row up to which it is silence, whatever else the segment has."""
FEWEST = 15
"""Rows that a number is computed from."""
LARGEST_STEP = 0.3
"""Octaves a row: more is a mistake of the pitch."""
MODULATION_HZ = ((0.5, 2), (2, 4), (4, 8), (8, 16))
GROUPS = 16
"""Of bands, whose power beside the whole counts."""
ACOUSTIC_FEATURES = (
    *("pitch_mean", "pitch_sd", "pitch_median", "pitch_range", "pitch_step", "voiced_share"),
    *("periodicity_mean", "periodicity_sd", "loudness_mean", "loudness_sd", "loudness_range"),
    *("loudness_step_mean", "loudness_step_sd"),
    *(f"modulation_{low:g}_{high:g}_hz" for low, high in MODULATION_HZ),
    *(f"bands_{group}_{what}" for group in range(GROUPS) for what in ("mean", "sd")),
)
"""Names of the 49, in their order."""


@dataclass
class _Numbers:
    """Numbers of N segments, collected one by one, NaN where there are too few rows."""

    values: list[FloatArray] = field(default_factory=list)

    def add(self, rows: FloatArray, counts: NDArray[np.bool_], *, spread: bool = True) -> None:
        """Mean and, with ``spread``, deviation of rows (N, T) where they count."""
        count = counts.sum(1)
        enough = np.where(count >= FEWEST, 1.0, np.nan)
        mean = (rows * counts).sum(1) / np.maximum(count, 1)
        self.values.append(mean * enough)
        if spread:
            square = ((rows - mean[:, None]) ** 2 * counts).sum(1) / np.maximum(count, 1)
            self.values.append(np.sqrt(square) * enough)

    def add_range(self, rows: FloatArray, counts: NDArray[np.bool_], *, median: bool) -> None:
        """From the 10th to the 90th percentile of rows (N, T) where they count."""
        there = counts.sum(1) >= FEWEST
        counted = np.where(counts & there[:, None], rows, np.nan)
        counted[~there, 0] = 0  # no percentile of nothing
        low, middle, high = np.nanquantile(counted, [0.1, 0.5, 0.9], axis=1)
        none = np.where(there, 1.0, np.nan)
        self.values += [middle * none] if median else []
        self.values.append((high - low) * none)


def acoustic_features(spectra: FloatArray) -> FloatArray:
    """Compute the acoustic features of segments of sound.

    Args:
        spectra: Natural-log mel power, pitch in octaves above 150 Hz and periodicity, 100 rows a
            second, shape (N, T, 66).

    Returns:
        Shape (N, 49), in the order of `ACOUSTIC_FEATURES`; NaN where too little is voiced,
        all of them where too little is loud.
        Pitch is in octaves, loudness in natural-log power below the loudest row, a modulation the
        logarithm of its share.

    Examples:
        >>> silence = np.full((1, 300, 66), -13.8, np.float32)
        >>> features = acoustic_features(silence)
        >>> features.shape, bool(np.isnan(features).all())
        ((1, 49), True)
    """
    bands, octaves, periodicity = (
        spectra[:, :, :BANDS], spectra[:, :, BANDS], spectra[:, :, BANDS + 1]
    )  # fmt: skip
    power = np.logaddexp.reduce(bands, 2)
    below = power.max(1, keepdims=True) - power
    is_loud = (below < LOUD) & (power > SILENT)
    is_voiced = (periodicity > VOICED) & is_loud & (octaves != 0)
    numbers = _Numbers()
    numbers.add(octaves, is_voiced)
    numbers.add_range(octaves, is_voiced, median=True)
    steps = np.minimum(np.abs(np.diff(octaves, axis=1)), LARGEST_STEP)
    numbers.add(steps, is_voiced[:, 1:] & is_voiced[:, :-1], spread=False)
    numbers.values.append(is_voiced.sum(1) / np.maximum(is_loud.sum(1), 1))
    numbers.add(periodicity, is_voiced)
    numbers.add(-below, is_loud)
    numbers.add_range(-below, is_loud, median=False)
    numbers.add(np.abs(np.diff(power, axis=1)), is_loud[:, 1:])
    numbers.values += _modulation(below)
    shape = (*bands.shape[:2], GROUPS, BANDS // GROUPS)
    groups = (bands - power[:, :, None]).reshape(shape).mean(3)
    for k in range(GROUPS):
        numbers.add(groups[:, :, k], is_voiced)
    features = np.stack(numbers.values, 1).astype(np.float32)
    features[is_loud.sum(1) < FEWEST] = np.nan
    return features


def _modulation(below: FloatArray) -> list[FloatArray]:
    """Logarithm of the share of each range of `MODULATION_HZ` in how loudness (N, T) moves."""
    envelope = np.maximum(-below, -LOUD)
    envelope = (envelope - envelope.mean(1, keepdims=True)) * np.hanning(envelope.shape[1])
    energy = np.abs(np.fft.rfft(envelope, axis=1)) ** 2
    hertz = np.fft.rfftfreq(envelope.shape[1], 1 / ROWS_PER_S)
    whole = energy[:, (hertz >= MODULATION_HZ[0][0]) & (hertz < 20)].sum(1) + 1e-3  # noqa: PLR2004
    return [
        np.log(energy[:, (hertz >= low) & (hertz < high)].sum(1) / whole + 1e-3)
        for low, high in MODULATION_HZ
    ]
