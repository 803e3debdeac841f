"""Detect voice activity: tell a voice from noise, hum, machines, tones and music.

Contract: stretches of one second of the log-mel spectrum (`triaffect.voice.log_mel`), 100
rows of 64 bands. A stretch is first made independent of level: its largest value becomes 0,
and what lies more than 30 dB below is raised to there. A voice is then known by its shape in
frequency and in time at once (formants and harmonics that move with the syllables, 2 to 8
times a second), as numbers that do not depend on where in the stretch it moves:

- the two-dimensional cosine transform of the stretch, its power summed over 7 ranges of
  ripples along frequency times 6 ranges of changes along time, as logarithms;
- the mean spectrum's first cosine coefficients: how the sound is coloured;
- of the rows within 15 dB of the loudest: their share, how far they rise out of their own
  mean (a tone far, noise little) and how steadily, how fast the spectrum changes and in what
  jumps, and whether loudness rises as it falls (a struck string's does not).

A small network of one hidden layer, whose weights lie in ``activity.json``
(`benchmarks/fit_voice_activity.py` makes them), turns them into one number: above 0 it is a voice.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np

from triaffect.types import BoolArray, FloatArray
from triaffect.voice.log_mel import BANDS, FLOOR, ROWS_PER_S

WEIGHTS = Path(__file__).parent / "activity.json"
ROWS = ROWS_PER_S
"""Rows of a stretch."""
HOP_ROWS = 25
"""Rows from one stretch of a stream to the next."""
HOP_S = HOP_ROWS / ROWS_PER_S

NOTHING = -20.0
"""Score of silence."""
_RANGE = 3.0 * np.log(10.0)
_ACTIVE = 1.5 * np.log(10.0)
_RIPPLES = (0, 1, 2, 3, 5, 9, 17, 32)
_CHANGES = (0, 1, 4, 8, 16, 32, 64)
"""Where the ranges of cosine coefficients begin and end; change k is k / 2 a second."""
_COLOURS = 6
_LEAST = 1e-4
"""Added to powers before their logarithm."""
MOST = 4.0
"""Standard deviations from the mean that a number may lie before it counts as nearer."""


def describe(spectra: FloatArray) -> FloatArray:
    """Describe stretches by the numbers that tell a voice from other sounds; see the module.

    Args:
        spectra: Log-mel spectra, shape (N, 100, 64).

    Returns:
        Finite numbers that do not depend on level, shape (N, 55): the 42 powers, the spectrum's
        5 coefficients, and the 8 of the loud rows, float32.

    Examples:
        >>> spectra = np.random.default_rng(0).normal(-8, 2, (3, 100, 64)).astype(np.float32)
        >>> describe(spectra).shape
        (3, 55)
        >>> bool(np.allclose(describe(spectra), describe(spectra - 2), atol=1e-3))
        True
    """
    loudest = spectra.max(axis=(1, 2), keepdims=True)
    level = np.maximum(spectra - loudest, np.float32(-_RANGE))
    ripples = _ALONG_TIME @ (level @ _ALONG_BANDS)
    power = np.add.reduceat(ripples * ripples, _CHANGES[:-1], axis=1)
    power = np.add.reduceat(power, _RIPPLES[:-1], axis=2) / _SIZES
    pooled = np.log(power + _LEAST).reshape(len(level), _SIZES.size)
    color = ripples[:, 0, 1:_COLOURS]
    return np.concatenate([pooled, color, _describe_course(level)], axis=1)


def voice_scores(spectra: FloatArray) -> FloatArray:
    """Judge how surely stretches hold a voice: log odds, `NOTHING` for silence.

    Args:
        spectra: Log-mel spectra, shape (N, 100, 64).

    Returns:
        Shape (N,), float32; above 0 it is rather a voice.

    Examples:
        >>> voice_scores(np.full((1, ROWS, BANDS), FLOOR, np.float32)).tolist()
        [-20.0]
    """
    net = _network()
    standard = np.clip((describe(spectra) - net["mean"]) / net["spread"], -MOST, MOST)
    hidden = np.tanh(standard @ net["hidden"] + net["hidden_bias"])
    scores = hidden @ net["out"] + net["out_bias"]
    silent = spectra.max(axis=(1, 2)) <= FLOOR
    return np.where(silent, np.float32(NOTHING), scores).astype(np.float32)


class Seconds:
    """Cuts a second out of a spectrum every quarter of a second, as its rows come.

    Stretch k ends (k + 1) · 0.25 s after the sound's start; before the sound and after it there
    is silence. How many rows come at once never changes a result, and memory does not grow.
    """

    def __init__(self) -> None:
        self._held = np.full((ROWS - HOP_ROWS, BANDS), FLOOR, np.float32)

    def push(self, rows: FloatArray) -> FloatArray:
        """Take the next rows and return the stretches that they complete.

        Args:
            rows: Of the log-mel spectrum, shape (T, 64).

        Returns:
            Log-mel spectra, shape (n, 100, 64).
        """
        held = np.concatenate([self._held, rows])
        starts = range(0, len(held) - ROWS + 1, HOP_ROWS)
        self._held = held[len(starts) * HOP_ROWS :]
        whole = [held[start : start + ROWS] for start in starts]
        return np.stack(whole) if whole else np.empty((0, ROWS, BANDS), np.float32)

    def finish(self) -> FloatArray:
        """Return the stretches (n, 100, 64) that are left, until nothing but silence follows."""
        return self.push(np.full((ROWS, BANDS), FLOOR, np.float32))


def _describe_course(level: FloatArray) -> FloatArray:
    """Describe what the loud rows are like and how they follow each other: (N, 8)."""
    loud = level.max(axis=2)
    active = loud > -_ACTIVE
    share = active.mean(axis=1)
    rise = loud - level.mean(axis=2)
    height, sway = _moments(rise, active)
    change = np.abs(np.diff(level, axis=1)).mean(axis=2)
    speed, jumps = _moments(change, active[:, 1:] & active[:, :-1])
    step = np.diff(level.mean(axis=2), axis=1)
    size = np.sqrt((step**2).mean(axis=1)) + np.float32(0.01)
    lean = (step**3).mean(axis=1) / size**3
    sharp = (step**4).mean(axis=1) / size**4
    columns = [share, height, sway, np.log(speed + _LEAST), np.log(jumps + _LEAST)]
    columns += [np.cbrt(lean), np.log(sharp + _LEAST), np.log(size)]
    return np.stack(columns, axis=1, dtype=np.float32, casting="same_kind")


def _moments(values: FloatArray, chosen: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Mean and spread of the chosen values of each row; 0 where none is chosen."""
    count = np.maximum(chosen.sum(axis=1), 1)
    mean = (values * chosen).sum(axis=1) / count
    square = ((values - mean[:, None]) ** 2 * chosen).sum(axis=1) / count
    return mean, np.sqrt(square)


def _cosines(count: int, most: int) -> FloatArray:
    """Orthonormal cosine transform, its first coefficients: shape (count, most)."""
    turn = np.outer(np.arange(count) + 0.5, np.arange(most)) * np.pi / count
    scale = np.where(np.arange(most) == 0, 1.0, np.sqrt(2.0)) / np.sqrt(count)
    return np.asarray(np.cos(turn) * scale, np.float32)


_ALONG_BANDS = _cosines(BANDS, _RIPPLES[-1]) / np.float32(np.sqrt(BANDS))
_ALONG_TIME = np.ascontiguousarray(_cosines(ROWS, _CHANGES[-1]).T) / np.float32(np.sqrt(ROWS))
_SIZES = np.outer(np.diff(_CHANGES), np.diff(_RIPPLES)).astype(np.float32)


@lru_cache(maxsize=1)
def _network() -> dict[str, FloatArray]:
    stored = json.loads(WEIGHTS.read_text("utf-8"))
    return {name: np.asarray(values, np.float32) for name, values in stored.items()}
