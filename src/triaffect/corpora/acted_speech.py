"""Corpora of acted sentences: one sound file an utterance, one emotion for the whole of it.

``Actor_NN/MM-CC-EE-II-SS-RR-AA.flac``, where EE is the emotion and AA the actor. The strength
II is not used. Actors 17-20 are kept for testing and 15-16 for choosing a model.

``SSTTTEv.flac`` in one folder: speaker, text, the emotion's letter (after its German name)
and version. Speakers 03 and 08 are kept for testing and 09 for choosing a model.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.frame_clock import FrameClock
from triaffect.corpora.rows import DEFAULT_RATE, MEANING, Key, TaskLabels, build_moments
from triaffect.errors import AnnotationError, MediaError
from triaffect.media.container import audio_stream, duration_s, open_container
from triaffect.tasks.expression import EXPRESSION, EXPRESSIONS, one_hot
from triaffect.types import NO_FACE, LabelOrigin, Moments, Source, SourceKind, Split

SOUND_SUFFIXES = frozenset({".flac", ".wav"})
MOMENT_HOP_S = 0.5


@dataclass(frozen=True)
class Utterance:
    """What a file's name says: who speaks, and with which emotion in the corpus's own word."""

    speaker: str
    emotion: str


class ActedSpeech(ABC):
    """A folder of acted sentences.

    An utterance has a moment every half second of its middle half, where nobody is silent
    yet; a shorter one has a single moment in the middle. Every moment carries the utterance's
    emotion as a one-hot distribution over the expressions. Speakers, never utterances, are
    dealt out to the splits.

    Args:
        root: The corpus's folder.

    Attributes:
        name: The corpus's name, first part of its source ids.
        description: What its folder looks like, for error messages.
        test_speakers: Speakers kept for testing.
        validation_speakers: Speakers kept for choosing a model.
    """

    name: str
    description: str
    test_speakers: ClassVar[frozenset[str]]
    validation_speakers: ClassVar[frozenset[str]]
    aligned = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files = {self._source_id(path): path for path in self._sound_files(root)}

    @classmethod
    def recognizes(cls, root: Path) -> bool:
        """Whether the folder looks like this corpus."""
        return root.is_dir() and any(cls._sound_files(root))

    @classmethod
    @abstractmethod
    def _sound_files(cls, root: Path) -> Iterator[Path]:
        """Sound files of the corpus, in any order."""

    @abstractmethod
    def _utterance(self, stem: str) -> Utterance | None:
        """Read a file name without its suffix; None where it is not of the corpus's form."""

    def sources(self) -> list[Source]:
        """List one sound source a file, sorted by id."""
        return [
            Source(source_id, SourceKind.SOUND, sound=path)
            for source_id, path in sorted(self._files.items())
        ]

    def moments(self, source: Source) -> Moments:
        """Labels of one utterance.

        Raises:
            AnnotationError: The file's name does not say speaker and emotion.
            MediaError: The file is no sound.
        """
        path = self._files[source.source_id]
        utterance = self._utterance(path.stem)
        if utterance is None:
            raise AnnotationError(f"a file name of {self.description}", repr(path.name), where=path)
        times_s = middle_times_s(sound_duration_s(path))
        number = EXPRESSIONS.index(MEANING[utterance.emotion])
        labels = TaskLabels.from_nan(one_hot(np.full(len(times_s), number)))
        keys: dict[str, Key] = {
            "source": source.source_id,
            "person": f"{self.name}/{utterance.speaker}",
            "track": NO_FACE,
            "frame": np.round(times_s * DEFAULT_RATE).astype(np.int32),
            "time_s": times_s,
            "split": self._split(utterance.speaker),
            "label_set": EXPRESSION.key,
        }
        return build_moments(len(times_s), keys, {EXPRESSION.key: labels}, LabelOrigin.HUMAN)

    def images(self, source: Source) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield nothing: there are no pictures."""
        del source
        return iter(())

    def frame_rate(self, source: Source) -> float:
        """Frames/s of the numbering of moments."""
        del source
        return DEFAULT_RATE

    def clock(self, source: Source) -> FrameClock:
        """The clock of that numbering."""
        return FrameClock(self.frame_rate(source))

    def problems(self) -> list[AnnotationError]:
        """List nothing: every file belongs to its source."""
        return []

    def _source_id(self, path: Path) -> str:
        return f"{self.name}/{path.relative_to(self.root).with_suffix('').as_posix()}"

    def _split(self, speaker: str) -> Split:
        if speaker in self.test_speakers:
            return Split.TEST
        return Split.VALIDATION if speaker in self.validation_speakers else Split.TRAIN


def middle_times_s(seconds: float) -> NDArray[np.float64]:
    """Whole half seconds in the middle half of a sound, or its middle if there are none."""
    first = np.ceil(0.25 * seconds / MOMENT_HOP_S)
    last = np.floor(0.75 * seconds / MOMENT_HOP_S)
    if last < first:
        return np.array([seconds / 2])
    return np.arange(first, last + 1) * MOMENT_HOP_S


def sound_duration_s(path: Path) -> float:
    """Length of a sound by its header, in seconds.

    Raises:
        MediaError: The file cannot be opened or holds no sound of known length.
    """
    with open_container(path) as container:
        seconds = duration_s(container) if audio_stream(container) else None
    if not seconds:
        raise MediaError("a sound file", "no sound, or none of known length", where=path)
    return seconds


RAVDESS_EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
_NAME = re.compile(r"\d\d-\d\d-(?P<emotion>0[1-8])-\d\d-\d\d-\d\d-(?P<actor>\d\d)")


class Ravdess(ActedSpeech):
    """Reader of the spoken sentences of RAVDESS."""

    name = "ravdess"
    description = "RAVDESS: Actor_NN/03-01-EE-II-SS-RR-NN.flac or .wav"
    test_speakers = frozenset({"Actor_17", "Actor_18", "Actor_19", "Actor_20"})
    validation_speakers = frozenset({"Actor_15", "Actor_16"})

    @classmethod
    def _sound_files(cls, root: Path) -> Iterator[Path]:
        return (path for path in root.glob("Actor_*/*") if path.suffix in SOUND_SUFFIXES)

    def _utterance(self, stem: str) -> Utterance | None:
        match = _NAME.fullmatch(stem)
        return match and Utterance(f"Actor_{match['actor']}", RAVDESS_EMOTIONS[match["emotion"]])


EMODB_EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
_NAME_EMODB = re.compile(r"(?P<speaker>\d\d)[a-z]\d\d(?P<emotion>[WLEAFTN])[a-z]?")


class EmoDb(ActedSpeech):
    """Reader of EMO-DB."""

    name = "emodb"
    description = "EMO-DB: SSTTTEv.flac or .wav, such as 03a01Fa.flac"
    test_speakers = frozenset({"03", "08"})
    validation_speakers = frozenset({"09"})

    @classmethod
    def recognizes(cls, root: Path) -> bool:
        """Whether the folder holds a file named as in EMO-DB."""
        return root.is_dir() and any(_NAME_EMODB.fullmatch(p.stem) for p in cls._sound_files(root))

    @classmethod
    def _sound_files(cls, root: Path) -> Iterator[Path]:
        return (path for path in root.glob("*") if path.suffix in SOUND_SUFFIXES)

    def _utterance(self, stem: str) -> Utterance | None:
        match = _NAME_EMODB.fullmatch(stem)
        return match and Utterance(match["speaker"], EMODB_EMOTIONS[match["emotion"]])
