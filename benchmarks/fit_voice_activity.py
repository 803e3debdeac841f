"""Fit what tells a voice from other sounds: python benchmarks/fit_voice_activity.py RAVDESS EMODB.

RAVDESS holds ``Actor_01`` to ``Actor_24`` with FLAC files of speech, EMODB the FLAC files of
EMO-DB. Voices are RAVDESS' actors 1 to 14, EMO-DB's speakers but 03 and 08, and rendered ones,
each as it is and twice with echo, noise, telephone or clipping; what is no voice is made
(`synthetic_sounds.py`). Writes ``src/triaffect/voice/activity.json``; 4 minutes
on one core. Needs scikit-learn.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from synthetic_sounds import KINDS, RATE, make
from voice_sounds import (
    at_level,
    damaged,
    echoing,
    emodb_files,
    ravdess_files,
    rendered,
    spoken,
    stretches,
    through_a_line,
)

from triaffect.media.audio import read_sound
from triaffect.types import FloatArray
from triaffect.voice.activity import HOP_ROWS, MOST, ROWS, WEIGHTS, describe
from triaffect.voice.log_mel import FLOOR

SEED, HIDDEN, DECAY, ROUNDS = 0, 24, 0.1, 20
RENDERED, EACH, SECONDS = 300, 100, 4.0
"""Rendered voices; made sounds of each kind, and how long they are."""
VOICE, LEAST = "voice", 0.35
"""Share of a second that must be spoken for it to teach what a voice is."""
SURER = 1.0
"""Log odds taken off: music that is taken for a voice does more harm than a voice missed."""


@dataclass(frozen=True)
class Lessons:
    """What is learnt from: numbers (N, F), whether a voice (N,), kind of sound (N,)."""

    numbers: FloatArray
    voice: NDArray[np.bool_]
    kind: NDArray[np.str_]

    def without(self, kind: str) -> NDArray[np.bool_]:
        """Which of them such sounds have no part in, (N,)."""
        return ~np.isin(self.kind, [each for each in set(self.kind) if kind in each.split("+")])

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Lessons:
        return Lessons(self.numbers[chosen], self.voice[chosen], self.kind[chosen])


def spoken_share(talk: NDArray[np.bool_], count: int) -> NDArray[np.float64]:
    """How much of each stretch of a recording is spoken, (count,)."""
    padded = np.concatenate([np.zeros(ROWS - HOP_ROWS), talk, np.zeros(2 * ROWS)])
    total = np.concatenate([[0], np.cumsum(padded)])
    starts = np.arange(count) * HOP_ROWS
    return (total[starts + ROWS] - total[starts]) / ROWS


def voice_lessons(
    clean: FloatArray, sound: FloatArray, random: Generator
) -> Iterator[tuple[FloatArray, NDArray[np.bool_]]]:
    """Numbers and answers of a voice as it is and twice damaged.

    Noise before and after the voice teaches what is none; there is little to learn from
    the silence of a studio, or from the edge of a word.
    """
    for turn in range(3):
        changed, has_noise = damaged(sound, random) if turn else (sound, False)
        each = stretches(changed)
        share = spoken_share(spoken(clean), len(each))
        clear = (share >= LEAST) | ((share == 0) & has_noise)
        clear &= each.max(axis=(1, 2)) > FLOOR
        yield describe(each[clear]), share[clear] >= LEAST


def other_lesson(kind: str, seed: int, random: Generator) -> tuple[FloatArray, str]:
    """Numbers and kinds of a made sound, sometimes with another under it, through some line."""
    sound = make(kind, SECONDS, seed)
    if random.random() < 0.3:
        under = list(KINDS)[random.integers(len(KINDS))]
        other, kind = make(under, SECONDS, seed + 50_000), f"{kind}+{under}"
        sound = sound / sound.std() + other / other.std() * 10 ** (-random.uniform(0, 20) / 20)
    if random.random() < 0.15:
        sound = echoing(sound, random)
    if random.random() < 0.5:
        sound = through_a_line(sound / np.abs(sound).max(), random)
    each = stretches(at_level(sound, random.uniform(-65, 0)))
    return describe(each[each.max(axis=(1, 2)) > FLOOR]), kind


def lessons(ravdess: Path, emodb: Path) -> Lessons:
    """Everything that is learnt from."""
    random = np.random.default_rng(SEED)
    files = ravdess_files(ravdess, 1, 14) + emodb_files(emodb, held_out=False)
    recorded = ((sound, sound) for sound in (read_sound(path, RATE) for path in files))
    made = (rendered(seed) for seed in range(RENDERED))
    found = [
        (numbers, voice, VOICE)
        for source in (recorded, made)
        for clean, sound in source
        for numbers, voice in voice_lessons(clean, sound, random)
    ]
    for kind in KINDS:
        for seed in range(1000, 1000 + EACH):
            numbers, kinds = other_lesson(kind, seed, random)
            found.append((numbers, np.zeros(len(numbers), bool), kinds))
    numbers, voice = (np.concatenate([each[k] for each in found]) for k in (0, 1))
    return Lessons(numbers, voice, np.concatenate([np.full(len(v), k) for _, v, k in found]))


def fit(taught: Lessons, rounds: int = ROUNDS) -> dict[str, NDArray[np.float64]]:
    """The weights of `triaffect.voice.activity`."""
    mean, spread = taught.numbers.mean(axis=0), taught.numbers.std(axis=0) + 1e-3
    standard = np.clip((taught.numbers - mean) / spread, -MOST, MOST)
    net = MLPClassifier(
        (HIDDEN,),
        activation="tanh",
        alpha=DECAY,
        batch_size=256,
        learning_rate_init=3e-3,
        max_iter=rounds,
        random_state=SEED,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it stops when it is told to
        net.fit(standard, taught.voice)
    return {
        "mean": mean,
        "spread": spread,
        "hidden": net.coefs_[0],
        "hidden_bias": net.intercepts_[0],
        "out": net.coefs_[1][:, 0],
        "out_bias": net.intercepts_[1][0] - SURER,
    }


def main(ravdess: Path, emodb: Path) -> None:
    taught = lessons(ravdess, emodb)
    print(f"{len(taught.voice)} stretches, {taught.voice.mean():.0%} of them voices")
    exact = {name: np.asarray(values, np.float64) for name, values in fit(taught).items()}
    weights = {name: np.round(values, 4).tolist() for name, values in exact.items()}
    WEIGHTS.write_text(json.dumps(weights, separators=(",", ":")) + "\n", "utf-8")
    print(f"{WEIGHTS.name}: {WEIGHTS.stat().st_size} bytes")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
