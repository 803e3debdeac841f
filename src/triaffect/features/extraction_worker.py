"""The computing half of an extraction: one job after another, wherever an engine runs it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2

from triaffect.corpora.base import Corpus
from triaffect.errors import DiskError, ModelError, TriaffectError
from triaffect.features.crops import Crops
from triaffect.features.extractors.onnx import OnnxVoice
from triaffect.features.extractors.registry import face_extractor, voice_extractor
from triaffect.features.extractors.spec import ExtractorSpec
from triaffect.features.row_file import RowFile, map_rows
from triaffect.features.store import FACE, FACE_KEYS, KEY_DTYPE, TIME_DTYPE, VOICE, VOICE_TIMES
from triaffect.features.store_writer import FaceRows
from triaffect.io.atomic import writing
from triaffect.io.workers import Stopped
from triaffect.media.audio import sound_chunks
from triaffect.types import FeatureSeries, Moments, Source
from triaffect.voice.log_mel import RATE
from triaffect.voice.stream import heard_rows


@dataclass(frozen=True)
class Settings:
    """What every job of an extraction has in common; sent to each worker.

    Attributes:
        corpus: The corpus.
        face: Name of the face extractor, see `registry.face_extractor`.
        voice: Name of the voice extractor.
        pending: Folder for rows that wait to be written.
    """

    corpus: Corpus
    face: str
    voice: str
    pending: Path


@dataclass(frozen=True)
class Job:
    """One source, or one part of a source whose images are divided; part 0 does the rest of it.

    Attributes:
        number: Its place in the order of writing.
        source: The source.
        part: Which part.
        parts: Of how many.
    """

    number: int
    source: Source
    part: int = 0
    parts: int = 1


@dataclass(frozen=True)
class Outcome:
    """What became of a job; its rows are in its files.

    Attributes:
        faces: How many face rows.
        voices: How many voice rows.
        moments: Labels of the source, from part 0; None if they could not be read.
        frame_rate: Frames/s of its frame numbers, from part 0.
        problems: What could not be read.
    """

    faces: int = 0
    voices: int = 0
    moments: Moments | None = None
    frame_rate: float = 0.0
    problems: tuple[str, ...] = ()


class Worker:
    """Computes jobs of one extraction.

    Args:
        settings: The extraction.
        wanted: Tells whether anybody still wants the results.

    Raises:
        ModelError: There is no such extractor.
    """

    def __init__(self, settings: Settings, wanted: Callable[[], bool]) -> None:
        cv2.setNumThreads(1)
        self._settings, self._wanted = settings, wanted
        self._face = face_extractor(settings.face)
        self._voice = voice_extractor(settings.voice)
        self._problems: list[str] = []

    def __call__(self, job: Job) -> Outcome:
        """Compute one job. What is wrong with the source ends up among its problems.

        Raises:
            ModelError: A network does not work; no other job would do better.
            DiskError: There is no room for the rows.
        """
        self._problems = []
        folder = spill_folder(self._settings.pending, job.number)
        shutil.rmtree(folder, ignore_errors=True)  # of a process that died
        with writing(folder):
            folder.mkdir(parents=True)
        corpus, source = self._settings.corpus, job.source
        moments, rate, faces, voices = None, 0.0, 0, 0
        with self._noting("labels"):
            rate = corpus.frame_rate(source)
            moments = corpus.moments(source) if job.part == 0 else None
        if not self._problems:
            faces = self._write_faces(job, folder)
            voices = self._write_voices(source, folder) if job.part == 0 else 0
        return Outcome(faces, voices, moments, rate, tuple(self._problems))

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """Whatever one source does, the others go on."""
        try:
            yield
        except (ModelError, DiskError, Stopped):
            raise
        except TriaffectError as error:
            self._problems.append(f"{what}: {error}")
        except Exception as error:  # a reader's surprise must not end a night's work
            self._problems.append(f"{what}: {type(error).__name__}: {error}")

    def _write_faces(self, job: Job, folder: Path) -> int:
        if self._face is None:
            return 0
        spec = self._face.spec
        crops = Crops(self._settings.corpus, job.source, job.part, job.parts)
        with (
            RowFile(folder / FACE, spec.row_dtype, spec.dim) as values,
            RowFile(folder / FACE_KEYS, KEY_DTYPE, 0) as keys,
            self._noting("faces"),
        ):
            for batch in crops:
                self._check_wanted()
                values.append(self._face(batch.crops))
                keys.append(batch.keys)
        if crops.problem:
            self._problems.append(f"faces: {crops.problem}")
        return keys.count

    def _write_voices(self, source: Source, folder: Path) -> int:
        if self._voice is None or source.sound is None:
            return 0
        spec = self._voice.spec
        with (
            RowFile(folder / VOICE, spec.row_dtype, spec.dim) as values,
            RowFile(folder / VOICE_TIMES, TIME_DTYPE, 0) as times,
            self._noting("voice"),
        ):
            for series in self._heard(source.sound):
                self._check_wanted()
                values.append(series.values)
                times.append(series.times_s)
        return times.count

    def _heard(self, sound: Path) -> Iterator[FeatureSeries]:
        """Rows of a sound; of a network only those with a voice, as prediction takes them.

        A spectrum is kept whole: a voice network's stretches begin and end in its silence.
        """
        voice = self._voice
        assert voice is not None  # noqa: S101 - whoever asks has looked
        chunks = sound_chunks(sound, voice.spec.rate)
        if isinstance(voice, OnnxVoice) and voice.spec.rate == RATE:
            yield from heard_rows(voice, chunks)
        else:
            yield from voice.stream(chunks)

    def _check_wanted(self) -> None:
        if not self._wanted():
            raise Stopped


def spill_folder(pending: Path, number: int) -> Path:
    """Where a job leaves its rows."""
    return pending / f"{number:06d}"


def spilled_faces(folder: Path, spec: ExtractorSpec, count: int) -> FaceRows:
    """Face rows that a job left, memory-mapped."""
    values = map_rows(folder / FACE, spec.row_dtype, spec.dim, count)
    return FaceRows(values, map_rows(folder / FACE_KEYS, KEY_DTYPE, 0, count))


def spilled_voices(folder: Path, spec: ExtractorSpec, count: int) -> FeatureSeries:
    """Voice rows that a job left, memory-mapped."""
    values = map_rows(folder / VOICE, spec.row_dtype, spec.dim, count)
    return FeatureSeries(values, map_rows(folder / VOICE_TIMES, TIME_DTYPE, 0, count))


def died(job: Job) -> Outcome:
    """The outcome of a job that killed the process it ran in."""
    del job
    return Outcome(problems=("the process died of it: out of memory, or a fault in a decoder",))
