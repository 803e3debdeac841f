"""The computing half of an extraction: its jobs, and what an engine needs to compute them.

Frames become crops, and sound becomes rows, as when predicting: by `triaffect.faces.stream` and
`triaffect.voice.stream`. Images of a corpus that are aligned already are taken as they are.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.base import Corpus
from triaffect.errors import DiskError, ModelError, TriaffectError
from triaffect.faces.stream import FaceStream, resize_crop
from triaffect.features.extractors.onnx import OnnxVoice
from triaffect.features.extractors.registry import face_extractor, folder_of, voice_extractor
from triaffect.features.model_folder import load_model_folder
from triaffect.features.timeline import ANY_TRACK, KEY_DTYPE, FileTimeline
from triaffect.io.atomic import disk_errors
from triaffect.io.engines import Workload, machine_name
from triaffect.io.workers import Cancelled
from triaffect.media.audio import sound_chunks
from triaffect.media.images import one_opencv_thread
from triaffect.media.video import COVER, VideoFrames
from triaffect.types import FeatureSeries, Moments, Source
from triaffect.voice.log_mel import RATE
from triaffect.voice.stream import VoiceStream

BATCH = 32
T = TypeVar("T")
_Key = tuple[int, int, float]


@dataclass(frozen=True)
class ExtractionSettings:
    """What every job of an extraction has in common; sent to each worker.

    Attributes:
        corpus: The corpus.
        face: Name of the face extractor, see `registry.face_extractor`.
        voice: Name of the voice extractor.
        pending: Folder for rows that wait to be written.
        sound_track: Which of a file's several sounds is read, from 1; None chooses by itself.
    """

    corpus: Corpus
    face: str
    voice: str
    pending: Path
    sound_track: int | None = None


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
        remarks: What is doubtful in how it was read.
    """

    faces: int = 0
    voices: int = 0
    moments: Moments | None = None
    frame_rate: float = 0.0
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class CropBatch:
    """A few face crops.

    Attributes:
        crops: RGB, uint8, shape (N, 112, 112, 3).
        keys: track, frame, time_s of each, of type `KEY_DTYPE`, shape (N,).
    """

    crops: NDArray[np.uint8]
    keys: NDArray[Any]


@dataclass
class SourceCrops:
    """Reads the face crops of a source.

    Of a large picture all faces are taken; a small one in which none is detected is taken whole,
    as the crop of the face that its corpus says it shows.

    Attributes:
        corpus: Whose source it is.
        job: The source, and which of every ``job.parts`` batches of its images to take; the
            others are some other process's. A video is one part.
        faces: Detects, follows and aligns.
        problem: After reading: what was wrong with a video of which some could be read.
        remarks: After reading: what is doubtful in how a video was read.
    """

    corpus: Corpus
    job: Job
    faces: FaceStream
    problem: str | None = None
    remarks: Sequence[str] = ()

    def __iter__(self) -> Iterator[CropBatch]:
        """Yield the crops.

        Raises:
            MediaError: The pictures cannot be read.
        """
        source = self.job.source
        if source.images is not None:
            yield from self._read_images(source)
        elif source.video is not None and self.job.part == 0:
            yield from self._read_video(source.video)

    def _read_images(self, source: Source) -> Iterator[CropBatch]:
        clock = self.corpus.clock(source)
        for number, images in enumerate(batches(self.corpus.images(source), BATCH)):
            if number % self.job.parts == self.job.part:
                times_s = clock.times(np.array([frame for frame, _ in images])).tolist()
                faces: list[tuple[_Key, NDArray[np.uint8]]] = []
                for (frame, image), time_s in zip(images, times_s, strict=True):
                    if self.corpus.aligned:
                        crops = resize_crop(image)[None]
                    else:
                        crops = self.faces.read_picture(image, assume_face=True).crops
                    faces += [((track, frame, time_s), crop) for track, crop in enumerate(crops)]
                yield from _batched(faces)

    def _read_video(self, path: Path) -> Iterator[CropBatch]:
        frames = VideoFrames(path)
        if frames.is_single and frames.info.has_sound:
            self.remarks = [COVER]  # as in prediction
            return
        with closing(self.faces.follow(frames)) as stream:
            yield from _batched(
                ((track, frame.index, frame.time_s), crop)
                for frame in stream
                for track, crop in zip(frame.tracks.tolist(), frame.crops, strict=True)
            )
        self.problem, self.remarks = frames.problem, frames.remarks


def _batched(faces: Iterable[tuple[_Key, NDArray[np.uint8]]]) -> Iterator[CropBatch]:
    for batch in batches(faces, BATCH):
        keys = np.array([key for key, _ in batch], KEY_DTYPE)
        yield CropBatch(np.stack([crop for _, crop in batch]), keys)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Divide items into lists of one size; the last may be shorter.

    Args:
        items: The items.
        size: Items a list.

    Yields:
        The lists, in order.

    Examples:
        >>> list(batches("abcde", 2))
        [['a', 'b'], ['c', 'd'], ['e']]
    """
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


class Worker:
    """Computes jobs of one extraction.

    Args:
        settings: The extraction.
        is_cancelled: Returns whether the results are no longer needed.

    Raises:
        ModelError: There is no such extractor.
    """

    def __init__(self, settings: ExtractionSettings, is_cancelled: Callable[[], bool]) -> None:
        self._settings, self._is_cancelled = settings, is_cancelled
        self._face = face_extractor(settings.face)
        self._voice = voice_extractor(settings.voice)
        self._faces = FaceStream()
        self._problems: list[str] = []
        self._remarks: list[str] = []

    @one_opencv_thread()
    def __call__(self, job: Job) -> Outcome:
        """Compute one job. What is wrong with the source ends up among its problems.

        Args:
            job: The job.

        Returns:
            What became of it; its rows are in files in its `spill_folder`.

        Raises:
            ModelError: A network does not work; no other job would do better.
            DiskError: There is no room for the rows.
            Cancelled: The results are no longer needed.
        """
        self._problems, self._remarks = [], []
        folder = spill_folder(self._settings.pending, job.number)
        shutil.rmtree(folder, ignore_errors=True)  # of a process that died
        with disk_errors(folder):
            folder.mkdir(parents=True)
        corpus, source = self._settings.corpus, job.source
        moments, rate, faces, voices = None, 0.0, 0, 0
        with self._noting("labels"):
            rate = corpus.frame_rate(source)
            moments = corpus.moments(source) if job.part == 0 else None
        if not self._problems:
            faces = self._write_faces(job, folder)
            voices = self._write_voices(source, folder) if job.part == 0 else 0
        return Outcome(faces, voices, moments, rate, tuple(self._problems), tuple(self._remarks))

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """Note errors of a source as its problems: whatever one does, the others go on."""
        try:
            yield
        except (ModelError, DiskError, Cancelled):
            raise
        except TriaffectError as error:
            self._problems.append(f"{what}: {error}")
        except Exception as error:  # a reader's surprise must not end a night's work
            self._problems.append(f"{what}: {type(error).__name__}: {error}")

    def _write_faces(self, job: Job, folder: Path) -> int:
        if self._face is None:
            return 0
        spec = self._face.spec
        crops = SourceCrops(self._settings.corpus, job, self._faces)
        timeline = FileTimeline.create(folder, "face", spec.row_dtype, spec.dim)
        with closing(timeline), self._noting("faces"):
            for batch in crops:
                if self._is_cancelled():
                    raise Cancelled
                rows, keys = self._face(batch.crops), batch.keys
                timeline.append(keys["track"], keys["time_s"], rows, keys["frame"])
        if crops.problem:
            self._problems.append(f"faces: {crops.problem}")
        self._remarks += crops.remarks
        return len(timeline)

    def _write_voices(self, source: Source, folder: Path) -> int:
        if self._voice is None or source.sound is None:
            return 0
        spec = self._voice.spec
        timeline = FileTimeline.create(folder, "voice", spec.row_dtype, spec.dim)
        with closing(timeline), self._noting("voice"):
            lost: list[str] = []
            track = self._settings.sound_track
            chunks = sound_chunks(source.sound, spec.rate, lost, self._remarks, track)
            rows: Iterable[FeatureSeries]
            if isinstance(self._voice, OnnxVoice) and spec.rate == RATE:
                # only those with a voice, as prediction takes them
                rows = (each.where(each.active) for each in VoiceStream(self._voice, chunks))
            else:
                # a spectrum is stored whole: a voice network's windows begin and end in silence
                rows = self._voice.stream(chunks)
            for series in rows:
                if self._is_cancelled():
                    raise Cancelled
                tracks = np.full(len(series.times_s), ANY_TRACK)
                timeline.append(tracks, series.times_s, series.values)
            self._problems += [f"voice: {each}" for each in lost]
        return len(timeline)


def spill_folder(pending: Path, number: int) -> Path:
    """Name the folder in which a job leaves its rows.

    Examples:
        >>> spill_folder(Path("store/pending"), 7).as_posix()
        'store/pending/000007'
    """
    return pending / f"{number:06d}"


@dataclass(frozen=True)
class ExtractionWork(Workload[Job, Outcome]):
    """The jobs of an extraction as a workload; the rows of a job are in its `spill_folder`.

    Attributes:
        settings: What the jobs have in common.
    """

    settings: ExtractionSettings

    def start(self, is_cancelled: Callable[[], bool]) -> Worker:
        """Load the extractors; see `Workload.start`."""
        return Worker(self.settings, is_cancelled)

    def died(self, item: Job) -> Outcome:
        """Make the outcome of a job that killed the process it ran in."""
        del item
        return Outcome(problems=("the process died of it: out of memory, or a fault in a decoder",))

    def pack(self) -> Mapping[str, bytes]:
        """Read every file of the extractors' model folders; see `Workload.pack`."""
        return {
            f"{part}/{file}": content
            for part, name in (("face", self.settings.face), ("voice", self.settings.voice))
            if (folder := folder_of(name)) is not None
            for file, content in load_model_folder(folder).read_networks().items()
        }

    def on_node(self, packed: Path, output: Path) -> ExtractionWork:
        """Return it with the networks that came along; see `Workload.on_node`."""
        root = self.settings.corpus.root
        if not root.exists():
            remedy = "mount or copy it to the same path on every machine"
            expected, got = f"the corpus at {root}", "no such file or folder"
            raise TriaffectError(expected, got, remedy, where=machine_name())
        here = replace(self.settings, pending=output)
        if (packed / "face").exists():
            here = replace(here, face=str(packed / "face"))
        if (packed / "voice").exists():
            here = replace(here, voice=str(packed / "voice"))
        return ExtractionWork(here)

    def folder(self, item: Job) -> Path:
        """Name the job's `spill_folder`."""
        return spill_folder(self.settings.pending, item.number)
