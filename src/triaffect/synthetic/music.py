"""Made music and other tones: tunes, chords, drums, bells, sirens, birds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from triaffect.synthetic.sound_parts import (
    RATE,
    Sound,
    banded,
    coloured,
    decay,
    held,
    loudness,
    overtones,
    place,
    tones,
    wander,
)

_SCALE = np.array([0, 2, 4, 5, 7, 9, 11, 12])
"""Semitones of a major scale."""
_RESTS = 0.15
"""Share of notes that a rest follows."""


def _melody(seconds: float, random: np.random.Generator) -> Iterator[tuple[float, float, float]]:
    """Start (s), length (s) and pitch (Hz) of each note of a made-up tune."""
    beat = random.uniform(0.12, 0.5)
    root, place, at = 110 * 2 ** random.uniform(0, 2.5), int(random.integers(8)), 0.0
    while at < seconds:
        length = beat * float(random.choice([0.5, 1, 1, 1, 2, 3]))
        yield at, length, root * 2 ** (_SCALE[place] / 12)
        place = int(np.clip(place + random.integers(-3, 4), 0, 7))
        at += length + (beat if random.random() < _RESTS else 0)


def _sines(seconds: float, random: np.random.Generator) -> Sound:
    """A melody of plain tones."""
    sound = np.zeros(round(seconds * RATE))
    for at, length, hertz in _melody(seconds, random):
        pitch = np.full(round(length * RATE), hertz)
        place(sound, at, tones(pitch, np.ones(1)) * held(length, 0.01, 0.03))
    return sound


def _plucked(seconds: float, random: np.random.Generator) -> Sound:
    """A melody on strings that are struck or plucked: high partials die first."""
    sound, gains = np.zeros(round(seconds * RATE)), overtones(14, random)
    fall, attack = random.uniform(0.1, 0.9), random.uniform(0.002, 0.02)
    for at, length, hertz in _melody(seconds, random):
        ring = length * random.uniform(1, 2)
        pitch = np.full(round(ring * RATE), hertz)
        for k, gain in enumerate(gains):
            partial = tones(pitch * (k + 1), np.array([gain]))
            place(sound, at, partial * decay(ring, attack, fall / (1 + 0.3 * k)))
    return sound


def _chords(seconds: float, random: np.random.Generator) -> Sound:
    """Struck chords."""
    sound, gains, at = np.zeros(round(seconds * RATE)), overtones(10, random), 0.0
    root, length = 80 * 2 ** random.uniform(0, 2), random.uniform(0.3, 1.5)
    fall, attack = random.uniform(0.2, 1.5), random.uniform(0.003, 0.08)
    while at < seconds:
        base = root * 2 ** (_SCALE[random.integers(7)] / 12)
        for step in (0, random.choice([3, 4]), 7, 12):
            pitch = np.full(round(1.2 * length * RATE), base * 2 ** (step / 12))
            place(sound, at, tones(pitch, gains) * decay(1.2 * length, attack, fall))
        at += length
    return sound


def _organ(seconds: float, random: np.random.Generator) -> Sound:
    """Chords that stay as they are."""
    sound, gains, at = np.zeros(round(seconds * RATE)), overtones(8, random), 0.0
    root = 80 * 2 ** random.uniform(0, 2)
    while at < seconds:
        length = random.uniform(0.8, 4)
        base = root * 2 ** (_SCALE[random.integers(7)] / 12)
        for step in (0, random.choice([3, 4]), 7, 12):
            pitch = np.full(round(length * RATE), base * 2 ** (step / 12))
            place(sound, at, tones(pitch, gains) * held(length, 0.05, 0.08))
        at += length
    return sound


def _vibrato(seconds: float, random: np.random.Generator) -> Sound:
    """Bowed or blown notes with vibrato, through the instrument's fixed body."""
    sound, gains = np.zeros(round(seconds * RATE)), overtones(16, random)
    depth, rate = random.uniform(0.003, 0.03), random.uniform(4, 7)
    for at, length, hertz in _melody(seconds, random):
        t = np.arange(round(length * RATE)) / RATE
        pitch = hertz * (1 + depth * np.sin(2 * np.pi * rate * t) * np.clip(t / 0.2, 0, 1))
        place(sound, at, tones(pitch, gains) * held(length, random.uniform(0.02, 0.1), 0.05))
    low = random.uniform(100, 500)
    return banded(sound, low, low * 2 ** random.uniform(2, 5))


def _glissando(seconds: float, random: np.random.Generator) -> Sound:
    """A pitch that slides up and down: sirens, slides, theremins."""
    octaves = random.uniform(0.1, 1) * wander(seconds, random.uniform(0.5, 4), random)
    pitch = 200 * 2 ** (random.uniform(0, 2) + octaves)
    loud = np.exp(random.uniform(0, 0.4) * wander(seconds, 1, random))
    return tones(pitch, overtones(int(random.choice([1, 2, 6, 12])), random)) * loud


def _bells(seconds: float, random: np.random.Generator) -> Sound:
    """Struck metal: partials that are no multiples of each other."""
    sound, at = np.zeros(round(seconds * RATE)), 0.0
    while at < seconds:
        ratios = np.sort(random.uniform(1, 9, 7))
        pitch = np.full(round(2 * RATE), 200 * 2 ** random.uniform(0, 3))
        place(sound, at, tones(pitch, overtones(7, random), ratios) * decay(2, 0.002, 0.5))
        at += random.uniform(0.2, 1.5)
    return sound


def _beeps(seconds: float, random: np.random.Generator) -> Sound:
    """Telephones and alarms: one or two tones, on and off."""
    low, high = 350 * 2 ** random.uniform(0, 2.5, 2)
    t = np.arange(round(seconds * RATE)) / RATE
    both = np.sin(2 * np.pi * low * t) + random.choice([0, 1]) * np.sin(2 * np.pi * high * t)
    on = (t * random.uniform(0.8, 10)) % 1 < random.uniform(0.3, 0.8)
    return np.asarray(both * np.convolve(on, np.ones(80) / 80, mode="same"))


def _birds(seconds: float, random: np.random.Generator) -> Sound:
    """Chirps: short high whistles that sweep."""
    sound, at = np.zeros(round(seconds * RATE)), 0.0
    while at < seconds:
        length = random.uniform(0.03, 0.25)
        sweep = np.linspace(0, random.uniform(-0.6, 0.6), round(length * RATE))
        pitch = random.uniform(1800, 5000) * 2**sweep
        place(sound, at, tones(pitch, np.array([1, 0.1])) * held(length, 0.01, 0.02))
        at += length + random.exponential(0.2)
    return sound + random.uniform(0, 0.01) * coloured(seconds, 3, random)


def _drums(seconds: float, random: np.random.Generator) -> Sound:
    """Kick, snare and cymbal on the beats of a bar."""
    sound, step = np.zeros(round(seconds * RATE)), random.uniform(0.1, 0.25)
    fall = np.exp(-np.arange(round(0.3 * RATE)) / RATE / 0.04)
    kick = tones(45 + 80 * fall, np.ones(1)) * decay(0.3, 0.002, 0.1)
    snare = banded(coloured(0.2, 0, random), 300, 6000) * decay(
        0.2, 0.001, random.uniform(0.03, 0.1)
    )
    hat = banded(coloured(0.08, 0, random), 4000, 9000) * decay(0.08, 0.001, 0.02)
    bar = random.random((3, 8)) < np.array([[0.4], [0.3], [0.7]])
    bar[0, 0] = True
    for number in range(int(seconds / step) + 1):
        for piece, plays, gain in zip((kick, 0.5 * snare, 0.3 * hat), bar, (1, 1, 1), strict=True):
            if plays[number % 8]:
                place(sound, number * step, piece * gain * random.uniform(0.7, 1))
    return sound


def _ensemble(seconds: float, random: np.random.Generator) -> Sound:
    """Drums, chords and a tune together."""
    parts = (_drums, _chords, (_plucked, _vibrato, _sines)[random.integers(3)])
    played = [part(seconds, random) for part in parts]
    strong = random.uniform(0.2, 1, len(parts))
    return sum(
        (g * p / loudness(p) for g, p in zip(strong, played, strict=True)),
        np.zeros(round(seconds * RATE)),
    )


def _sweeps(seconds: float, random: np.random.Generator) -> Sound:
    """A synthesiser's notes through a filter that opens and closes."""
    source = (_organ, _vibrato, _chords)[random.integers(3)](seconds, random)
    moves = 0.5 + random.uniform(0.2, 0.5) * np.sin(
        2 * np.pi * random.uniform(0.2, 5) * np.arange(len(source)) / RATE
    )
    low, high = banded(source, 50, 500), banded(source, 1000, 5000)
    return low * (1 - moves) / loudness(low) + high * moves / max(float(loudness(high)), 1e-9)


MUSIC: dict[str, Callable[[float, np.random.Generator], Sound]] = {
    "sines": _sines,
    "plucked": _plucked,
    "chords": _chords,
    "organ": _organ,
    "vibrato": _vibrato,
    "glissando": _glissando,
    "bells": _bells,
    "beeps": _beeps,
    "birds": _birds,
    "drums": _drums,
    "sweeps": _sweeps,
    "ensemble": _ensemble,
}
"""Every kind by its name."""
