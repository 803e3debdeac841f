"""A small table of one's own: sentences of RAVDESS as they would sound over a bad telephone.

    python benchmarks/make_telephone_table.py RAVDESS OUT

Writes ``OUT/*.wav`` (300 to 3,400 Hz at 8,000 samples/s, noise 15 dB below the voice, 8-bit mu-law)
and ``OUT/labels.csv``: four actors to learn from, two of validation, four to test on, whom
the shipped weights have not learned from either. The noise is that of seed 0.
"""

import csv
import sys
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.acted_speech import RAVDESS_EMOTIONS
from triaffect.corpora.rows import MEANING
from triaffect.media.audio import read_sound

RATE = 8_000
BAND_HZ = (300, 3_400)
NOISE = 10 ** (-15 / 20)
LEVELS = 127
SPLITS = {"train": (1, 2, 3, 4), "validation": (15, 16), "test": (17, 18, 19, 20)}
MOMENTS = (0.25, 0.375, 0.5, 0.625, 0.75)
"""Shares of a recording's length at which it is labelled."""


def over_telephone(sound: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(sound)
    hz = np.fft.rfftfreq(len(sound), 1 / RATE)
    spectrum[(hz < BAND_HZ[0]) | (hz > BAND_HZ[1])] = 0
    narrow = np.fft.irfft(spectrum, len(sound))
    noisy = narrow + rng.normal(size=len(sound)) * narrow.std() * NOISE
    compressed = np.sign(noisy) * np.log1p(255 * np.abs(noisy).clip(0, 1)) / np.log(256)
    coarse = np.round(compressed * LEVELS) / LEVELS
    return np.sign(coarse) * (256 ** np.abs(coarse) - 1) / 255


def write_wav(path: Path, sound: NDArray[np.float64]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound.clip(-1, 1) * 32_767).astype("<i2").tobytes())


def main(corpus: Path, out: Path) -> None:
    rng = np.random.default_rng(0)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for split, actors in SPLITS.items():
        for actor in actors:
            for path in sorted((corpus / f"Actor_{actor:02}").glob("*.flac")):
                sound = over_telephone(read_sound(path, RATE), rng)
                write_wav(out / f"{path.stem}.wav", sound)
                expression = MEANING[RAVDESS_EMOTIONS[path.stem.split("-")[2]]]
                rows += [
                    (f"{path.stem}.wav", round(at * len(sound) / RATE, 3), actor, split, expression)
                    for at in MOMENTS
                ]
    with (out / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("clip", "time_s", "person", "split", "expression"))
        writer.writerows(rows)
    print(f"{out}: {len(rows) // len(MOMENTS)} recordings, {len(rows)} labelled moments")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
