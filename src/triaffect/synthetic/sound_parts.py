"""What made sounds are put together from: noise of a colour, tones, envelopes. 16,000 samples/s."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
Sound = NDArray[np.float64]
"""Mono samples at any level, shape (samples,)."""


def coloured(seconds: float, slope_db: float, random: np.random.Generator) -> Sound:
    """Noise whose power falls by so many decibels an octave."""
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(random.standard_normal(count))
    hertz = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 30)
    return np.fft.irfft(spectrum * hertz ** (-slope_db / 6.02), count)


def banded(sound: Sound, low_hz: float, high_hz: float) -> Sound:
    """Keep a band, with edges of a third of an octave or so."""
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
    gain = 1 / np.sqrt(1 + (low_hz / np.maximum(hertz, 1)) ** 12 + (hertz / high_hz) ** 12)
    return np.fft.irfft(np.fft.rfft(sound) * gain, len(sound))


def wander(seconds: float, per_s: float, random: np.random.Generator) -> Sound:
    """A smooth random curve with about so many independent values a second, spread 1."""
    points = random.standard_normal(int(seconds * per_s) + 4)
    at = np.arange(round(seconds * RATE)) / RATE * per_s + 1
    left, part = at.astype(int), at % 1
    part = (1 - np.cos(np.pi * part)) / 2
    return np.asarray(points[left] * (1 - part) + points[left + 1] * part)


def tones(pitch_hz: Sound, gains: Sound, ratios: Sound | None = None, phase: float = 0.0) -> Sound:
    """Sum of partials of a moving pitch; those above half the sampling rate are left out."""
    turns = 2 * np.pi * np.cumsum(pitch_hz) / RATE
    sound = np.zeros(len(pitch_hz))
    for number, gain in enumerate(gains):
        ratio = number + 1 if ratios is None else ratios[number]
        if ratio * pitch_hz.max() < 0.48 * RATE:
            sound += gain * np.sin(ratio * turns + phase * number)
    return sound


def place(sound: Sound, at_s: float, piece: Sound) -> None:
    """Add a piece to a sound where it begins; what reaches over the end is cut."""
    start = round(at_s * RATE)
    piece = piece[: max(0, len(sound) - start)]
    sound[start : start + len(piece)] += piece


def decay(seconds: float, attack_s: float, fall_s: float) -> Sound:
    """A loudness that rises at once and dies away."""
    t = np.arange(round(seconds * RATE)) / RATE
    return np.minimum(t / attack_s, 1) * np.exp(-t / fall_s) * np.clip((seconds - t) / 0.01, 0, 1)


def held(seconds: float, attack_s: float, release_s: float) -> Sound:
    """A loudness that rises, stays and falls."""
    t = np.arange(round(seconds * RATE)) / RATE
    return np.clip(t / attack_s, 0, 1) * np.clip((seconds - t) / release_s, 0, 1)


def overtones(count: int, random: np.random.Generator) -> Sound:
    """Strengths of an instrument's partials."""
    fall = random.uniform(0.5, 2.5)
    return np.arange(1, count + 1) ** -fall * random.uniform(0.3, 1, count)


def loudness(sound: Sound) -> float:
    """Root mean square, never 0."""
    return max(float(sound.std()), 1e-9)
