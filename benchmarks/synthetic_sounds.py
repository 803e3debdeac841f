"""Synthetic sounds without a voice: noise, clicks, machines, tones, music.

Voice activity detection is fitted on them (`fit_voice_activity.py`) and tested with them. Each kind
is a function from a length and a random generator to a sound of 16,000 samples a second, mono;
`make` brings its largest sample to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from triaffect.types import FloatArray

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


# Music and other tones: tunes, chords, drums, bells, sirens, birds.

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


# Every kind of sound.


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
