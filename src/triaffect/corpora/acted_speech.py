"""Corpora of acted sentences: one sound file an utterance, one emotion for the whole of it.

``Actor_NN/MM-CC-EE-II-SS-RR-AA.flac``, where EE is the emotion and AA the actor. The strength
II is not used. Actors 17-20 are kept for testing and 15-16 for choosing a model.

``SSTTTEv.flac`` in one folder: speaker, text, the emotion's letter (after its German name)
and version. Speakers 03 and 08 are kept for testing and 09 for choosing a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.frame_clock import EvenlyNumbered
from triaffect.corpora.rows import DEFAULT_RATE, MEANING, Key, TaskLabels, build_moments
from triaffect.errors import AnnotationError, MediaError
from triaffect.media.container import audio_stream, duration_s, open_container
from triaffect.tasks.expression import EXPRESSION, EXPRESSIONS, one_hot
from triaffect.types import NO_FACE, LabelOrigin, Moments, Source, SourceKind, Split

SOUND_SUFFIXES = frozenset({".flac", ".wav"})
MOMENT_HOP_S = 0.5
"""Seconds from one moment of an utterance to the next."""


class ActedSpeech(EvenlyNumbered):
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
        files: Pattern of the paths of its sound files, relative to the folder.
        file_name: What a file's name without suffix says, in its groups ``speaker`` and
            ``emotion``.
        speaker_prefix: Stands before a name's speaker in ids and in the two sets below.
        emotions: The corpus's own word for each code of an emotion; all of them in `MEANING`.
        test_speakers: Speakers kept for testing.
        validation_speakers: Speakers kept for choosing a model.
    """

    name: str
    description: str
    files: ClassVar[str]
    file_name: ClassVar[re.Pattern[str]]
    speaker_prefix: ClassVar[str] = ""
    emotions: ClassVar[Mapping[str, str]]
    test_speakers: ClassVar[frozenset[str]]
    validation_speakers: ClassVar[frozenset[str]]
    aligned = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files = {
            f"{self.name}/{path.relative_to(root).with_suffix('').as_posix()}": path
            for path in self._sound_files(root)
        }

    @classmethod
    def _sound_files(cls, root: Path) -> Iterator[Path]:
        """List the corpus's sound files, in any order."""
        return (path for path in root.glob(cls.files) if path.suffix in SOUND_SUFFIXES)

    @classmethod
    def recognizes(cls, root: Path) -> bool:
        """Return whether a path is of this corpus's form.

        Args:
            root: A folder or file; a folder that holds sound files where this corpus has them is.
        """
        return root.is_dir() and any(cls._sound_files(root))

    def sources(self) -> list[Source]:
        """List one sound source a file, sorted by id."""
        return [
            Source(source_id, SourceKind.SOUND, sound=path)
            for source_id, path in sorted(self._files.items())
        ]

    def moments(self, source: Source) -> Moments:
        """Read the labels of one utterance.

        Args:
            source: One of `sources`.

        Returns:
            A row a moment, all with the same expression, without a face (track `NO_FACE`), of
            the label set EXPR; their frames are counted at `DEFAULT_RATE`.

        Raises:
            AnnotationError: The file's name does not say speaker and emotion.
            MediaError: The file is no sound.
        """
        path = self._files[source.source_id]
        match = self.file_name.fullmatch(path.stem)
        if match is None:
            raise AnnotationError(f"a file name of {self.description}", repr(path.name), where=path)
        speaker = self.speaker_prefix + match["speaker"]
        split = Split.VALIDATION if speaker in self.validation_speakers else Split.TRAIN
        with open_container(path) as container:
            seconds = duration_s(container) if audio_stream(container) else None
        if not seconds:
            raise MediaError("a sound file", "no sound, or none of known length", where=path)
        times_s = middle_times_s(seconds)
        number = EXPRESSIONS.index(MEANING[self.emotions[match["emotion"]]])
        labels = TaskLabels.from_nan(one_hot(np.full(len(times_s), number)))
        keys: dict[str, Key] = {
            "source": source.source_id,
            "person": f"{self.name}/{speaker}",
            "track": NO_FACE,
            "frame": np.round(times_s * DEFAULT_RATE).astype(np.int32),
            "time_s": times_s,
            "split": Split.TEST if speaker in self.test_speakers else split,
            "label_set": EXPRESSION.key,
        }
        return build_moments(len(times_s), keys, {EXPRESSION.key: labels}, LabelOrigin.HUMAN)

    def images(self, source: Source) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield nothing: there are no pictures."""
        del source
        return iter(())


def middle_times_s(seconds: float) -> NDArray[np.float64]:
    """List the whole half seconds in the middle half of a sound, or its middle if there are none.

    Args:
        seconds: Length of the sound, in seconds.

    Returns:
        Times in seconds from its start, rising, at least one; shape (N,).

    Examples:
        >>> middle_times_s(4.0).tolist()
        [1.0, 1.5, 2.0, 2.5, 3.0]
        >>> middle_times_s(0.6).tolist()
        [0.3]
    """
    first = np.ceil(0.25 * seconds / MOMENT_HOP_S)
    last = np.floor(0.75 * seconds / MOMENT_HOP_S)
    if last < first:
        return np.array([seconds / 2])
    return np.arange(first, last + 1) * MOMENT_HOP_S


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


class Ravdess(ActedSpeech):
    """Reader of the spoken sentences of RAVDESS (Livingstone and Russo, 2018)."""

    name = "ravdess"
    description = "RAVDESS: Actor_NN/03-01-EE-II-SS-RR-NN.flac or .wav"
    files = "Actor_*/*"
    file_name = re.compile(r"\d\d-\d\d-(?P<emotion>0[1-8])-\d\d-\d\d-\d\d-(?P<speaker>\d\d)")
    speaker_prefix = "Actor_"
    emotions = RAVDESS_EMOTIONS
    test_speakers = frozenset({"Actor_17", "Actor_18", "Actor_19", "Actor_20"})
    validation_speakers = frozenset({"Actor_15", "Actor_16"})


EMODB_EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}


class EmoDb(ActedSpeech):
    """Reader of EMO-DB (Burkhardt et al. 2005)."""

    name = "emodb"
    description = "EMO-DB: SSTTTEv.flac or .wav, such as 03a01Fa.flac"
    files = "*"
    file_name = re.compile(r"(?P<speaker>\d\d)[a-z]\d\d(?P<emotion>[WLEAFTN])[a-z]?")
    emotions = EMODB_EMOTIONS
    test_speakers = frozenset({"03", "08"})
    validation_speakers = frozenset({"09"})

    @classmethod
    def recognizes(cls, root: Path) -> bool:
        """Return whether a path is of this corpus's form.

        Args:
            root: A folder or file; a folder that holds a sound file named as in EMO-DB is.
        """
        return root.is_dir() and any(
            cls.file_name.fullmatch(p.stem) for p in cls._sound_files(root)
        )
