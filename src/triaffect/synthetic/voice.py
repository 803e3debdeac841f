"""A voice-like sound whose pitch, loudness, rate and brightness follow what is felt.

Glottal pulses and breath noise pass through three formants that move from vowel to vowel.
Arousal raises pitch, loudness, speech rate and brightness and shortens pauses; valence bends
the end of a phrase's pitch upwards or downwards and widens its melody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
_FRAME, _HOP = 512, 160
_VOWELS = np.array(
    [
        [730, 1090, 2440],
        [270, 2290, 3010],
        [300, 870, 2240],
        [530, 1840, 2480],
        [570, 840, 2410],
        [490, 1350, 1690],
    ],
    np.float64,
)
"""Formants of six vowels, Hz (Peterson and Barney, 1952)."""
_OPENNESS = np.array([1.0, 0.35, 0.3, 0.6, 0.65, 0.5])
_BANDWIDTHS = np.array([80.0, 110.0, 160.0])
_FORMANT_GAINS = np.array([1.0, 0.55, 0.25])


@dataclass(frozen=True)
class Voice:
    """What does not change about a voice.

    Attributes:
        pitch_hz: Pitch at rest.
        tract: Length of the vocal tract against the average; longer lowers the formants.
    """

    pitch_hz: float
    tract: float


@dataclass(frozen=True)
class Feeling:
    """Valence and arousal over time.

    Attributes:
        times_s: Ascending, (T,).
        valence: In [-1, 1], (T,).
        arousal: In [-1, 1], (T,).
    """

    times_s: NDArray[np.float64]
    valence: NDArray[np.float64]
    arousal: NDArray[np.float64]

    def at(self, times_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Valence and arousal at other times."""
        return (
            np.interp(times_s, self.times_s, self.valence),
            np.interp(times_s, self.times_s, self.arousal),
        )


@dataclass(frozen=True)
class Speech:
    """Syllables, each a row: start and end in seconds, vowel, stress, phrase position.

    Attributes:
        syllables: Shape (N, 5); the last column is 0 at a phrase's start and 1 at its end.
    """

    syllables: NDArray[np.float64]

    def aperture(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far the mouth is open for speech, 0 in pauses, up to about 1, (T,)."""
        wide = np.zeros(len(times_s))
        for start, end, vowel, stress, _ in self.syllables:
            bump = np.clip((times_s - start) * (end - times_s) / ((end - start) / 2) ** 2, 0, 1)
            wide = np.maximum(wide, np.sqrt(bump) * _OPENNESS[int(vowel)] * stress)
        return wide


def plan_speech(
    feeling: Feeling, turns: list[tuple[float, float]], random: np.random.Generator
) -> Speech:
    """Syllables within a speaker's turns (start and end, s), faster with higher arousal."""
    rows: list[tuple[float, ...]] = []
    for start, stop in turns:
        time = start + random.uniform(0.02, 0.25)
        while time < stop - 0.15:
            count = int(random.integers(3, 9))
            for syllable in range(count):
                arousal = float(feeling.at(np.array([time]))[1][0])
                length = random.uniform(0.75, 1.3) / (4.2 + 2.2 * arousal)
                if time + length > stop:
                    break
                vowel = int(random.integers(len(_VOWELS)))
                stress = random.uniform(0.6, 1.0)
                rows.append(
                    (time, time + 0.85 * length, vowel, stress, syllable / max(count - 1, 1))
                )
                time += length
            time += random.uniform(0.12, 0.5) * (1 - 0.5 * arousal)
    return Speech(np.array(rows, np.float64).reshape(-1, 5))


def speak(
    voice: Voice, feeling: Feeling, speech: Speech, seconds: float, random: np.random.Generator
) -> NDArray[np.float32]:
    """Sound of planned speech, 16 kHz mono in [-1, 1], without the room's noise."""
    count = round(seconds * RATE)
    times = np.arange(count) / RATE
    frames = np.arange(0, count + _HOP, _HOP) / RATE
    source = _pulses(voice, feeling, speech, times, random)
    breath = random.standard_normal(count) * 0.05
    loud = np.interp(times, frames, _loudness(feeling, speech, frames))
    sound = _filter((source + breath) * loud, _envelopes(voice, feeling, speech, frames))
    return np.asarray(np.clip(sound[:count], -1, 1), np.float32)


def utter(
    seconds: float, *, valence: float, arousal: float, pitch_hz: float = 160.0, seed: int = 0
) -> NDArray[np.float32]:
    """A voice that talks all the time with one feeling, 16 kHz mono in [-1, 1]."""
    random = np.random.default_rng(seed)
    feeling = Feeling(np.array([0, seconds]), np.full(2, valence), np.full(2, arousal))
    speech = plan_speech(feeling, [(0, seconds)], random)
    return speak(Voice(pitch_hz, 1.0), feeling, speech, seconds, random)


def room_noise(seconds: float, random: np.random.Generator) -> NDArray[np.float32]:
    """The hum and hiss of a room, 16 kHz."""
    white = random.standard_normal(round(seconds * RATE) + 8)
    soft = np.convolve(white, np.ones(8) / 8, mode="same")[8:]
    level = 10 ** random.uniform(-3.2, -2.2)
    return np.asarray(level * soft, np.float32)


def _pulses(
    voice: Voice,
    feeling: Feeling,
    speech: Speech,
    times: NDArray[np.float64],
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """Glottal flow: its pitch follows arousal, the phrase's fall and each syllable's stress."""
    valence, arousal = feeling.at(times)
    melody = np.zeros(len(times))
    if len(speech.syllables):
        middle = speech.syllables[:, :2].mean(1)
        position, stress = speech.syllables[:, 4], speech.syllables[:, 3]
        lilt = 1 + np.interp(middle, feeling.times_s, feeling.valence)
        bend = -0.16 * position + 0.22 * position**3 * (lilt - 0.8) + 0.25 * (stress - 0.8) * lilt
        melody = np.interp(times, middle, bend)
    slow = np.interp(times, np.linspace(0, times[-1] + 1, 40), random.normal(0, 0.03, 40))
    octaves = 0.75 * arousal + 0.10 * valence + melody + slow
    jitter = 0.006 * np.repeat(random.standard_normal(len(times) // 80 + 1), 80)[: len(times)]
    phase = np.cumsum(voice.pitch_hz * 2.0 ** (octaves + jitter) / RATE) % 1.0
    openness = 0.62 - 0.14 * arousal
    flow = np.where(phase < openness, np.sin(np.pi * phase / openness) ** 2, 0.0)
    return np.diff(flow, prepend=flow[0]) * 4


def _loudness(feeling: Feeling, speech: Speech, times: NDArray[np.float64]) -> NDArray[np.float64]:
    _, arousal = feeling.at(times)
    envelope = np.zeros(len(times))
    for start, end, _, stress, _ in speech.syllables:
        rise = np.clip((times - start) / 0.03, 0, 1) * np.clip((end - times) / 0.05, 0, 1)
        envelope = np.maximum(envelope, rise * (0.5 + 0.5 * stress))
    return envelope * 10 ** ((-20 + 13 * arousal) / 20)


def _envelopes(
    voice: Voice, feeling: Feeling, speech: Speech, times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Gain of every frequency in every frame, shape (frames, bins)."""
    formants = np.tile(_VOWELS[5], (len(times), 1))
    if len(speech.syllables):
        middle, vowel = speech.syllables[:, :2].mean(1), speech.syllables[:, 2].astype(int)
        formants = np.stack([np.interp(times, middle, _VOWELS[vowel, k]) for k in range(3)], 1)
    valence, arousal = feeling.at(times)
    formants = formants / voice.tract * (1 + 0.04 * valence[:, None])
    hertz = np.fft.rfftfreq(_FRAME, 1 / RATE)
    away = (hertz[None, :, None] - formants[:, None]) / _BANDWIDTHS
    peaks = (_FORMANT_GAINS / np.sqrt(1 + away**2)).sum(-1)
    tilt = (-9 + 5 * arousal)[:, None] / 20
    octave = np.log2(np.maximum(hertz, 200) / 200)[None]
    return np.asarray(peaks * 10 ** (tilt * octave / 2) * 14)


def _filter(source: NDArray[np.float64], gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape a signal's spectrum frame by frame, with overlapping windows."""
    frames = len(gains)
    padded = np.zeros(frames * _HOP + _FRAME)
    padded[: len(source)] = source
    window = np.hanning(_FRAME)
    starts = np.arange(frames) * _HOP
    index = starts[:, None] + np.arange(_FRAME)
    pieces = np.fft.irfft(np.fft.rfft(padded[index] * window) * gains, axis=1)
    out = np.zeros_like(padded)
    np.add.at(out, index, pieces * window)
    return np.asarray(out / (window**2).sum() * _HOP)
