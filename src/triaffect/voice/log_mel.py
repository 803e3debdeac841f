"""Log-mel spectrum of a sound, the same whether it comes whole or in chunks.

Contract: mono sound at 16,000 samples/s in [-1, 1]. Row i looks at 25 ms (a Hann window of 400
samples, zero-padded to 512) around (i + 0.5) · 10 ms, so that row i stands for the sound from
10·i to 10·(i + 1) ms and a stretch of S seconds is exactly 100·S rows. Beyond the ends the
sound is silent. Each row holds ln(p + 1e-6) for the power p under each of 64 triangles with
peak 1, evenly spaced on the mel scale 2595·log10(1 + f/700) from 60 to 7,600 Hz. Full-scale
tones reach about 10; silence is `FLOOR`. Two more columns hold pitch and periodicity where they
are asked for (`triaffect.voice.pitch`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from triaffect.types import FloatArray
from triaffect.voice.pitch import PITCH_COLUMNS, PITCH_FRAME, pitch_rows

RATE = 16_000
BANDS = 64
ROWS_PER_S = 100
_FRAME, _HOP, _FFT = 400, 160, 512
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 7600.0
_OFFSET = 1e-6
FLOOR = float(np.log(np.float32(_OFFSET)))
"""Value of every band in silence."""
SILENCE = float(np.float16(FLOOR))
"""What spectra are padded with beyond a sound's ends, in training as in prediction: `FLOOR` at
the half precision of stored spectra (-13.8125), which the shipped voice network is run with."""
SILENT_ROW: FloatArray = np.array([SILENCE] * BANDS + [0] * PITCH_COLUMNS, np.float32)
"""A row of silence with its pitch and periodicity; its first 64 values without."""

_BLOCK = ROWS_PER_S
"""Rows computed at once. Always as many, so that chunk sizes never change a result."""


def log_mel(sound: FloatArray) -> FloatArray:
    """Compute the log-mel spectrum of a whole sound.

    Args:
        sound: Mono at 16,000 samples/s in [-1, 1], shape (samples,).

    Returns:
        Shape (ceil(samples / 160), 64), float32; row i stands for 10·i to 10·(i + 1) ms.

    Examples:
        >>> silence = log_mel(np.zeros(1601, np.float32))
        >>> silence.shape, silence.max().round(4) == np.float32(FLOOR).round(4)
        ((11, 64), np.True_)
    """
    return np.concatenate([np.empty((0, BANDS), np.float32), *log_mel_stream([sound])])


def log_mel_stream(chunks: Iterable[FloatArray], *, pitch: bool = False) -> Iterator[FloatArray]:
    """Compute the log-mel spectrum of a sound that comes in chunks, in bounded memory.

    Args:
        chunks: Mono at 16,000 samples/s in [-1, 1], shape (samples,) each, of any size.
        pitch: Add the columns of pitch and periodicity.

    Yields:
        Consecutive rows, shape (T, 64), or (T, 66) with pitch; the first 64 columns together
        equal `log_mel` of the joined chunks.
    """
    spectrum = LogMel(pitch=pitch)
    for chunk in chunks:
        yield from spectrum.push(chunk)
    yield from spectrum.finish()


class LogMel:
    """Computes the log-mel spectrum of a sound that is pushed chunk by chunk.

    Blocks of rows are cut at the same places whatever the chunks: 100 rows each, the last fewer.

    Args:
        pitch: Add the columns of pitch and periodicity: rows of 66 values in place of 64.
    """

    def __init__(self, *, pitch: bool = False) -> None:
        self._frame = PITCH_FRAME if pitch else _FRAME
        self._need = (_BLOCK - 1) * _HOP + self._frame  # samples that a block looks at
        self._held = np.zeros((self._frame - _HOP) // 2, np.float32)
        self._samples = self._rows = 0

    def push(self, chunk: FloatArray) -> Iterator[FloatArray]:
        """Take the next samples and yield the rows that they complete.

        Args:
            chunk: Mono at 16,000 samples/s in [-1, 1], shape (samples,).

        Yields:
            Blocks of rows, shape (100, 64) or (100, 66), float32.
        """
        self._samples += len(chunk)
        self._held = np.concatenate([self._held, chunk])
        while len(self._held) >= self._need:
            yield self._next()

    def finish(self) -> Iterator[FloatArray]:
        """Yield the rows that are left, shape (T, 64) or (T, 66), when no more samples come."""
        while (left := -(-self._samples // _HOP) - self._rows) > 0:
            self._held = np.pad(self._held, (0, max(0, self._need - len(self._held))))
            yield self._next()[:left]

    def _next(self) -> FloatArray:
        """Compute the next block of 100 rows, and let its samples go."""
        held = self._held[: self._need]
        frames = np.lib.stride_tricks.sliding_window_view(held, self._frame)[::_HOP]
        margin = (self._frame - _FRAME) // 2
        spectrum = np.fft.rfft(frames[:, margin : margin + _FRAME] * _HANN, _FFT)
        power = spectrum.real**2 + spectrum.imag**2
        self._held = self._held[_BLOCK * _HOP :]
        self._rows += _BLOCK
        rows: FloatArray = np.log(power @ _TRIANGLES + np.float32(_OFFSET))
        if self._frame == PITCH_FRAME:
            rows = np.concatenate([rows, pitch_rows(frames)], 1)
        return rows


def _band_edges_hz() -> NDArray[np.float64]:
    """Where bands begin, peak and end, evenly spaced on the mel scale, shape (66,)."""
    low, high = 2595 * np.log10(1 + np.array([_LOWEST_HZ, _HIGHEST_HZ]) / 700)
    edges: NDArray[np.float64] = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    return edges


def _triangles() -> FloatArray:
    """Compute the weight of each of the FFT's 257 powers in each band, shape (257, 64)."""
    edges_hz = _band_edges_hz()
    bins_hz = np.arange(_FFT // 2 + 1) * (RATE / _FFT)
    rise = (bins_hz[:, None] - edges_hz[:-2]) / np.diff(edges_hz)[:-1]
    fall = (edges_hz[2:] - bins_hz[:, None]) / np.diff(edges_hz)[1:]
    weights: NDArray[np.float64] = np.clip(np.minimum(rise, fall), 0, None)
    return weights.astype(np.float32)


CENTERS_HZ = _band_edges_hz()[1:-1]
"""Where the triangles of the bands peak, shape (64,), float64."""
_HANN: FloatArray = np.hanning(_FRAME + 1)[:-1].astype(np.float32)
_TRIANGLES = _triangles()
