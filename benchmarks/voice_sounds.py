"""Voices, and what may happen to them on the way, to fit and check voice activity detection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.random import Generator
from synthetic_sounds import make

from triaffect.synthetic.voice import (
    RATE,
    Feeling,
    Voice,
    plan_speech,
    room_noise,
    speak,
)
from triaffect.types import FloatArray
from triaffect.voice.activity import Seconds
from triaffect.voice.log_mel import log_mel

SPOKEN_DB = -25.0
"""Rows of a clean recording this far under its loudest count as spoken."""
NOISES = ("white", "pink", "brown", "band", "fan", "hum", "wind", "rain")


def ravdess_files(folder: Path, first: int, last: int) -> list[Path]:
    """Recordings of the actors from one number to another."""
    actors = [f"Actor_{number:02}" for number in range(first, last + 1)]
    return [path for actor in actors for path in sorted((folder / actor).glob("*.flac"))]


def emodb_files(folder: Path, held_out: bool) -> list[Path]:
    """Recordings of speakers 03 and 08, or of the others."""
    files = sorted(folder.glob("*.flac"))
    return [path for path in files if (path.name[:2] in ("03", "08")) == held_out]


def rendered(seed: int) -> tuple[FloatArray, FloatArray]:
    """A rendered voice as the made corpus has it: without the room's noise, and with it."""
    random = np.random.default_rng([7, seed])
    seconds = float(random.uniform(4, 7))
    times = np.linspace(0, seconds, 4)
    feeling = Feeling(times, random.uniform(-1, 1, 4), random.uniform(-1, 1, 4))
    start, stop = random.uniform(0, 1), seconds - random.uniform(0, 1)
    voice = Voice(float(random.uniform(85, 260)), float(random.uniform(0.85, 1.15)))
    speech = plan_speech(feeling, [(start, stop)], random)
    clean = speak(voice, feeling, speech, seconds, random)
    return clean, clean + room_noise(seconds, random)


def spoken(clean: FloatArray) -> np.ndarray:
    """Which hundredths of a second of a clean recording are spoken, shape (T,)."""
    power = np.square(clean, dtype=np.float64)
    rows = np.add.reduceat(power, np.arange(0, len(power), RATE // 100))
    smooth = np.convolve(rows, np.ones(5) / 5, mode="same")
    return smooth > smooth.max() * 10 ** (SPOKEN_DB / 10)


def stretches(sound: FloatArray) -> FloatArray:
    """The seconds that a sound is judged by, shape (N, 100, 64)."""
    seconds = Seconds()
    return np.concatenate([seconds.push(log_mel(sound)), seconds.finish()])


def filtered(sound: FloatArray, low_hz: float, high_hz: float) -> FloatArray:
    """Keep a band."""
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
    gain = 1 / np.sqrt(1 + (low_hz / np.maximum(hertz, 1)) ** 16 + (hertz / high_hz) ** 16)
    return np.fft.irfft(np.fft.rfft(sound) * gain, len(sound)).astype(np.float32)


def telephone(sound: FloatArray, random: Generator) -> FloatArray:
    """300 to 3,400 Hz, in 8-bit µ-law."""
    loud = filtered(sound, 300, 3400) * random.uniform(1, 4)
    loud = np.clip(loud, -1, 1)
    code = np.round(np.sign(loud) * np.log1p(255 * np.abs(loud)) / np.log(256) * 127) / 127
    return (np.sign(code) * np.expm1(np.abs(code) * np.log(256)) / 255).astype(np.float32)


def half_rate(sound: FloatArray, random: Generator) -> FloatArray:
    """Sampled 8,000 times a second."""
    del random
    return filtered(sound, 20, 3900)


def clipped(sound: FloatArray, random: Generator) -> FloatArray:
    """Far too loud for the recorder."""
    return np.clip(sound * random.uniform(3, 12) / np.abs(sound).max(), -1, 1).astype(np.float32)


def noisy(sound: FloatArray, random: Generator, lowest_db: float = 10.0) -> FloatArray:
    """With noise of some kind under it, 10 to 25 dB below the spoken parts."""
    kind, seed = NOISES[random.integers(len(NOISES))], int(random.integers(1 << 30))
    noise = make(kind, len(sound) / RATE + 0.01, seed)[: len(sound)]
    talk = np.repeat(spoken(sound), RATE // 100)[: len(sound)]
    loud = np.sqrt(np.mean(np.square(sound[talk], dtype=np.float64)))
    gain = loud / noise.std() * 10 ** (-random.uniform(lowest_db, lowest_db + 15) / 20)
    return (sound + gain * noise).astype(np.float32)


def echoing(sound: FloatArray, random: Generator) -> FloatArray:
    """In a room that dies away within 0.2 to 0.8 s."""
    length = RATE // 2
    tail = random.standard_normal(length) * 10 ** (
        -3 * np.arange(length) / RATE / random.uniform(0.2, 0.8)
    )
    tail *= random.uniform(0.2, 1) / np.sqrt(np.square(tail).sum())
    tail[0] += 1
    size = len(sound) + length
    both = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(tail, size), size)
    return both[: len(sound)].astype(np.float32)


def quiet(sound: FloatArray, random: Generator) -> FloatArray:
    """30 dB quieter."""
    del random
    return sound * np.float32(10**-1.5)


def damaged(sound: FloatArray, random: Generator) -> tuple[FloatArray, bool]:
    """Through an echo, noise and a line at random, at any level; whether there is noise."""
    if random.random() < 0.3:
        sound = echoing(sound, random)
    has_noise = bool(random.random() < 0.5)
    if has_noise:
        sound = noisy(sound, random, lowest_db=8)
    return at_level(through_a_line(sound, random), random.uniform(-60, 0)), has_noise


def through_a_line(sound: FloatArray, random: Generator) -> FloatArray:
    """Four of six sounds come through one of the lines below."""
    lines = (telephone, half_rate, clipped, thin, plain, plain)
    return lines[random.integers(len(lines))](sound, random)


def thin(sound: FloatArray, random: Generator) -> FloatArray:
    """By a small loudspeaker."""
    return filtered(sound, 100 * 2 ** random.uniform(0, 1.5), 6000)


def plain(sound: FloatArray, random: Generator) -> FloatArray:
    """As it is."""
    del random
    return sound


def at_level(sound: FloatArray, level_db: float) -> FloatArray:
    """With its largest sample at so many decibels."""
    return (sound * (10 ** (level_db / 20) / max(np.abs(sound).max(), 1e-9))).astype(np.float32)


CHANGES: dict[str, Callable[[FloatArray, Generator], FloatArray]] = {
    "clean": plain,
    "telephone": telephone,
    "8 kHz": half_rate,
    "clipped": clipped,
    "noisy": noisy,
    "echo": echoing,
    "quiet": quiet,
}
"""What a voice goes through, by name."""
