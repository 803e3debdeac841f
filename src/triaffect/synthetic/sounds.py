"""Sounds that are no voice: noise, clicks, machines, tones, music.

What tells a voice from other sounds is fitted on them (`benchmarks/fit_hearing.py`) and tested
with them. Each kind is a function from a length and a random generator to a sound of 16,000
samples a second, mono; `make` brings its largest sample to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

import numpy as np

from triaffect.synthetic.music import MUSIC
from triaffect.synthetic.sound_parts import (
    RATE,
    Sound,
    banded,
    coloured,
    decay,
    loudness,
    overtones,
    place,
    tones,
    wander,
)
from triaffect.types import FloatArray


def make(kind: str, seconds: float, seed: int) -> FloatArray:
    """One sound of a kind, the same for the same seed.

    Args:
        kind: A key of `KINDS`.
        seconds: How long it is.
        seed: Which of endlessly many.

    Returns:
        Shape (samples,), its largest sample 1 or -1.
    """
    sound = KINDS[kind](seconds, np.random.default_rng([crc32(kind.encode()), seed]))
    return np.asarray(sound / max(float(np.abs(sound).max()), 1e-9), np.float32)


def _white(seconds: float, random: np.random.Generator) -> Sound:
    return coloured(seconds, 0, random)


def _pink(seconds: float, random: np.random.Generator) -> Sound:
    return coloured(seconds, random.uniform(2, 4), random)


def _brown(seconds: float, random: np.random.Generator) -> Sound:
    return coloured(seconds, random.uniform(5, 8), random)


def _band(seconds: float, random: np.random.Generator) -> Sound:
    low = 100 * 2 ** random.uniform(0, 4)
    return banded(_white(seconds, random), low, low * 2 ** random.uniform(0.7, 3))


def _wind(seconds: float, random: np.random.Generator) -> Sound:
    """Gusts: low noise that swells, and a whistle in it that moves."""
    gust = np.exp(random.uniform(0.4, 1.2) * wander(seconds, random.uniform(0.4, 3), random))
    high = banded(_white(seconds, random), 400, random.uniform(700, 2500))
    howl = np.exp(wander(seconds, random.uniform(0.3, 2), random))
    return _brown(seconds, random) / 3 * gust + random.uniform(0, 0.02) * high * howl


def _puffs(seconds: float, random: np.random.Generator) -> Sound:
    """Steam, waves, a saw: noise that comes and goes a few times a second."""
    rate = random.uniform(0.5, 8)
    turn = rate * np.arange(round(seconds * RATE)) / RATE + 0.1 * wander(seconds, 2, random)
    swell = (0.5 + 0.5 * np.sin(2 * np.pi * turn)) ** random.uniform(0.5, 4)
    low = 100 * 2 ** random.uniform(0, 4)
    noise = banded(_pink(seconds, random), low, low * 2 ** random.uniform(1.5, 4))
    return noise * (swell + random.uniform(0, 0.1))


def _bursts(
    seconds: float, rate: float, random: np.random.Generator, longest_s: float = 0.03
) -> Sound:
    """Short knocks at random moments, each of its own strength and colour."""
    sound = np.zeros(round(seconds * RATE))
    for at_s in random.uniform(0, seconds, max(1, random.poisson(rate * seconds))):
        length = random.uniform(0.3, 1) * longest_s
        noise = _white(length + 0.005, random) * decay(length + 0.005, 0.0005, length / 4)
        low = 150 * 2 ** random.uniform(0, 3.5)
        place(sound, at_s, banded(noise, low, 4 * low) * np.exp(random.normal(0, 0.5)))
    return sound


def _rain(seconds: float, random: np.random.Generator) -> Sound:
    drops = _bursts(seconds, random.uniform(30, 150), random, 0.01)
    return drops + random.uniform(0, 0.3) * loudness(drops) * _white(seconds, random)


def _clicks(seconds: float, random: np.random.Generator) -> Sound:
    sound = np.zeros(round(seconds * RATE))
    count = max(1, random.poisson(random.uniform(1, 20) * seconds))
    sound[random.integers(0, len(sound), count)] = random.normal(0, 1, count)
    return sound + random.uniform(0, 0.002) * _white(seconds, random)


def _keyboard(seconds: float, random: np.random.Generator) -> Sound:
    keys = _bursts(seconds, random.uniform(3, 10), random, random.uniform(0.02, 0.08))
    return keys + random.uniform(0, 0.03) * loudness(keys) * _pink(seconds, random)


def _steps(seconds: float, random: np.random.Generator) -> Sound:
    """Footsteps and hammering: nearly even thuds."""
    sound, gap, at = np.zeros(round(seconds * RATE)), random.uniform(0.15, 0.7), 0.0
    high = random.uniform(300, 3000)
    while at < seconds:
        length = random.uniform(0.05, 0.2)
        thud = _brown(length, random) * decay(length, 0.002, length / 5)
        place(sound, at, banded(thud, 40, high) * random.uniform(0.5, 1))
        at += gap * random.uniform(0.9, 1.1)
    return sound + random.uniform(0, 0.02) * loudness(sound) * _pink(seconds, random)


def _applause(seconds: float, random: np.random.Generator) -> Sound:
    return _bursts(seconds, random.uniform(40, 120), random, 0.06)


def _hum(seconds: float, random: np.random.Generator) -> Sound:
    """Mains hum with overtones, drifting a little."""
    pitch = random.choice([50.0, 60.0, 100.0, 120.0]) * (1 + 0.01 * wander(seconds, 0.5, random))
    hum = tones(pitch, overtones(20, random), phase=random.uniform(0, 6))
    hum *= 1 + random.uniform(0, 0.2) * wander(seconds, 1, random)
    return hum + random.uniform(0, 0.1) * loudness(hum) * _white(seconds, random)


def _fan(seconds: float, random: np.random.Generator) -> Sound:
    pitch = random.uniform(60, 300) * (1 + 0.01 * wander(seconds, 1, random))
    blades = tones(pitch, overtones(8, random), phase=random.uniform(0, 6))
    air = _pink(seconds, random)
    beat = 1 + random.uniform(0, 0.5) * np.sin(2 * np.pi * np.cumsum(pitch) / RATE / 7)
    return blades / loudness(blades) * random.uniform(0.05, 1) + air / loudness(air) * beat


def _engine(seconds: float, random: np.random.Generator) -> Sound:
    """Firing pulses whose rate goes up and down, through a fixed resonance, and some noise."""
    revs = random.uniform(20, 120) * np.exp(
        random.uniform(0.02, 0.4) * wander(seconds, random.uniform(0.3, 2), random)
    )
    phase = np.cumsum(revs) / RATE
    rough = 1 + 0.3 * random.standard_normal(int(phase[-1]) + 2)[phase.astype(int)]
    fire = rough * np.exp(-(phase % 1) * random.uniform(5, 30))
    low = random.uniform(40, 200)
    body = banded(fire - fire.mean(), low, low * 2 ** random.uniform(2, 5))
    noise = _pink(seconds, random)
    return body / loudness(body) + random.uniform(0.02, 0.5) * noise / loudness(noise)


def _bubbles(seconds: float, random: np.random.Generator) -> Sound:
    """Running water: many short rising chirps."""
    sound = np.zeros(round(seconds * RATE))
    for at in random.uniform(0, seconds, random.poisson(random.uniform(3, 60) * seconds) + 1):
        length = random.uniform(0.02, 0.1)
        pitch = np.linspace(1, random.uniform(1.05, 1.6), round(length * RATE))
        chirp = tones(400 * 2 ** random.uniform(0, 2.3) * pitch, np.ones(1))
        place(sound, at, chirp * decay(length, 0.003, length / 3) * random.uniform(0.1, 1))
    return sound + random.uniform(0, 0.1) * loudness(sound) * _pink(seconds, random)


def _rubbing(seconds: float, random: np.random.Generator) -> Sound:
    """Cloth, paper, a broom: noise whose colour and strength move as a hand does."""
    parts = []
    for low in 150 * 2 ** np.arange(0, 5.5):
        noise = banded(_white(seconds, random), low, 2 * low)
        strong = random.uniform(0.3, 1.5) * wander(seconds, random.uniform(2, 8), random)
        parts.append(noise * np.exp(strong) * low ** -random.uniform(0, 0.8))
    stroke = np.clip(wander(seconds, random.uniform(1, 6), random) + random.uniform(0, 2), 0.02, 3)
    return sum(parts, np.zeros(round(seconds * RATE))) * stroke


def _creaks(seconds: float, random: np.random.Generator) -> Sound:
    """Doors and brakes: ticks so fast that they have a pitch, which slides."""
    turn = np.cumsum(40 * 2 ** (1.5 * wander(seconds, random.uniform(1, 5), random))) / RATE
    ticks = np.diff(np.floor(turn), prepend=0) * random.uniform(0.5, 1, len(turn))
    low = 300 * 2 ** random.uniform(0, 2)
    loud = np.clip(wander(seconds, random.uniform(1, 4), random) + 0.5, 0.02, 2)
    return banded(ticks - ticks.mean(), low, low * 2 ** random.uniform(1, 3)) * loud


KINDS: dict[str, Callable[[float, np.random.Generator], Sound]] = {
    "white": _white,
    "pink": _pink,
    "brown": _brown,
    "band": _band,
    "wind": _wind,
    "puffs": _puffs,
    "rain": _rain,
    "clicks": _clicks,
    "keyboard": _keyboard,
    "steps": _steps,
    "applause": _applause,
    "hum": _hum,
    "fan": _fan,
    "engine": _engine,
    "bubbles": _bubbles,
    "rubbing": _rubbing,
    "creaks": _creaks,
    **MUSIC,
}
"""Every kind by its name."""
