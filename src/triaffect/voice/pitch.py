"""Pitch of a voice along time, and how periodic its sound is.

Contract: a row for each 10 ms, as `triaffect.voice.log_mel` has them, of 40 ms around its middle:
the pitch in octaves above 150 Hz (0 where the sound is not periodic), and the periodicity in
[0, 1]. The autocorrelation of the windowed sound at 8,000 samples/s is divided by that of its
window (Boersma 1993, Proceedings of the Institute of Phonetic Sciences 17, 97-110); of the periods
of 62 to 450 Hz the one of the greatest value counts, a longer one only if it is clearly greater.
"""

from __future__ import annotations

import numpy as np

from triaffect.types import FloatArray

PITCH_COLUMNS = 2
"""Pitch and periodicity."""
PITCH_FRAME = 640
"""Samples that a row looks at, at 16,000 samples/s: three periods of 75 Hz."""
REFERENCE_HZ = 150.0
_RATE = 8000
_FFT = 512
_LOWEST_HZ, _HIGHEST_HZ = 62, 450
_SHORTEST, _LONGEST = _RATE // _HIGHEST_HZ, _RATE // _LOWEST_HZ
_LONGER = 0.02
"""By how much more periodic a sound must be at twice the period for that to count."""
_PERIODIC = 0.3
"""Below this periodicity a sound has no pitch."""
_SILENT = 1e-6
"""Energy of a row that is nothing beside its own rounding."""


def pitch_rows(frames: FloatArray) -> FloatArray:
    """Compute pitch and periodicity of frames of a sound.

    Args:
        frames: Mono at 16,000 samples/s in [-1, 1], shape (T, 640).

    Returns:
        Shape (T, 2), float32: octaves above 150 Hz, and periodicity in [0, 1].

    Examples:
        >>> tone = np.sin(2 * np.pi * 300 / 16000 * np.arange(640)).astype(np.float32)
        >>> pitch_rows(np.stack([tone, 0 * tone])).round(1).tolist()
        [[1.0, 1.0], [0.0, 0.0]]
    """
    halved = (frames[:, ::2] + frames[:, 1::2]) / 2
    halved = (halved - halved.mean(1, keepdims=True)) * _HANN
    spectrum = np.fft.rfft(halved, _FFT)
    power = spectrum.real**2 + spectrum.imag**2
    product = np.fft.irfft(power, _FFT)[:, : _LONGEST + 2]
    likeness = product / (product[:, :1] + _SILENT) / _OF_WINDOW
    periods = np.arange(_SHORTEST, _LONGEST + 1)
    best = periods[(likeness[:, periods] - _PREFERENCE).argmax(1)]
    rows = np.arange(len(frames))
    before, at, after = (likeness[rows, best + step] for step in (-1, 0, 1))
    bend = before - 2 * at + after
    peak = np.where(bend < 0, (before - after) / np.minimum(2 * bend, -_SILENT), 0).clip(-0.5, 0.5)
    octaves = np.log2(_RATE / REFERENCE_HZ / (best + peak))
    periodicity = at.clip(0, 1)
    pitch = np.where(periodicity >= _PERIODIC, octaves, 0)
    return np.stack([pitch, periodicity], 1).astype(np.float32)


def _window_likeness() -> FloatArray:
    """Autocorrelation of the window at each period, 1 at none, shape (periods,)."""
    power = np.abs(np.fft.rfft(_HANN.astype(np.float64), _FFT)) ** 2
    likeness = np.fft.irfft(power, _FFT)[: _LONGEST + 2]
    scaled: FloatArray = (likeness / likeness[0]).astype(np.float32)
    return scaled


_HANN: FloatArray = np.hanning(PITCH_FRAME // 2 + 1)[:-1].astype(np.float32)
_OF_WINDOW = _window_likeness()
_PREFERENCE: FloatArray = (
    _LONGER * np.log2(np.arange(_SHORTEST, _LONGEST + 1) / _SHORTEST)
).astype(np.float32)
