"""A corpus made for tests; importable, so that worker processes can have it."""

import os
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from tests.features.stored import moments
from triaffect.corpora.frame_clock import FrameClock
from triaffect.errors import AnnotationError, MediaError
from triaffect.types import Source, SourceKind


@dataclass
class MadeCorpus:
    """Folders of pictures, each maybe with a sound; some may be broken on purpose.

    Attributes:
        root: Folder in which ``NAME/0.png …`` and ``NAME.wav`` lie.
        broken: What goes wrong, by source name.
        pause_s: How long each picture takes.
    """

    root: Path
    name: str = "made"
    aligned: bool = True
    broken: dict[str, str] = field(default_factory=dict)
    pause_s: float = 0.0

    def sources(self):
        names = sorted(path.name for path in self.root.iterdir() if path.is_dir())
        return [self._source(name) for name in names]

    def _source(self, name):
        sound = self.root / f"{name}.wav"
        return Source(
            f"{self.name}/{name}", SourceKind.IMAGES, images=self.root / name,
            sound=sound if sound.exists() else None,
        )  # fmt: skip

    def moments(self, source):
        name = Path(source.source_id).name
        if self.broken.get(name) == "labels":
            raise AnnotationError("12 action units", "13", where="labels.txt:7")
        return moments(source.source_id, 5, sum(name.encode()))

    def images(self, source):
        how = self.broken.get(Path(source.source_id).name)
        for path in sorted(source.images.iterdir(), key=lambda path: int(path.stem)):
            time.sleep(self.pause_s)
            if how == "images" and path.stem == "3":
                raise MediaError("an image", "noise", where=path)
            if how == "bug":
                raise IndexError("list index out of range")
            if how == "crash":
                os._exit(1)
            yield int(path.stem), cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)

    def frame_rate(self, source):
        return 25.0

    def clock(self, source):
        return FrameClock(self.frame_rate(source))

    def problems(self):
        return []


def write_pictures(root, names=("a", "b", "c"), count=7, size=112):
    """Noise pictures, a few frame numbers missing."""
    for name in names:
        (root / name).mkdir(parents=True)
        generator = np.random.default_rng(sum(name.encode()))
        for frame in [k for k in range(count + 1) if k != 2]:
            picture = generator.integers(0, 256, (size, size, 3), np.uint8)
            cv2.imwrite(str(root / name / f"{frame}.png"), picture)
    return root


def write_sound(path, seconds, rate=16_000):
    """A WAV file of noise."""
    noise = np.random.default_rng(len(path.name)).normal(0, 3000, round(seconds * rate))
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(rate)
        stream.writeframes(noise.astype("<i2").tobytes())


def write_ferplus(folder, count):
    """A FER+ file of noise pictures."""
    generator = np.random.default_rng(0)
    votes = np.zeros((count, 10), np.uint8)
    votes[:, generator.integers(0, 7, count)] = 10
    folder.mkdir()
    np.savez(
        folder / "ferplus.npz",
        images=generator.integers(0, 256, (count, 48, 48), np.uint8),
        votes=votes,
        split=np.array(["Training"] * count),
        vote_columns=np.array(
            ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear",
             "contempt", "unknown", "NF"]
        ),
    )  # fmt: skip
    return folder
