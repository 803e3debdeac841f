"""Extract a corpus into a feature store: workers compute, the parent writes.

The store does not depend on the engine or the number of workers: what a worker computes is fixed
by its job, and results are written in the order of the jobs. A job's rows come in files under the
store's ``pending`` folder, so that a long video needs no memory, and at most a few jobs a worker
wait to be written.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from triaffect.corpora.base import Corpus, is_stills
from triaffect.errors import StoreError, TriaffectError
from triaffect.features.extraction_worker import (
    ExtractionSettings,
    ExtractionWork,
    Job,
    Outcome,
    spill_folder,
)
from triaffect.features.extractors.onnx import (
    FaceExtractor,
    OnnxFace,
    OnnxVoice,
    VoiceExtractor,
)
from triaffect.features.extractors.registry import (
    NONE,
    SHIPPED,
    face_extractor,
    voice_extractor,
)
from triaffect.features.extractors.spec import ExtractorSpec
from triaffect.features.model_folder import copy_part
from triaffect.features.store import EXTRACTORS
from triaffect.features.store_writer import FaceRows, SourceInfo, StoreWriter
from triaffect.features.timeline import FileTimeline
from triaffect.io.engines import Engine, Processes
from triaffect.tasks.registry import available_tasks
from triaffect.tasks.task import Task
from triaffect.types import FeatureSeries, Moments, Source

PENDING = "pending"
ARRAY_SUFFIX, ARRAY_PARTS = ".npz", 16
"""Into how many jobs an array file of images is divided, whatever the number of workers."""

ExtractionProgress = Callable[[int, int, str], None]
"""Told after each job: jobs done, jobs in all, id of the source."""


@dataclass
class ExtractionReport:
    """What an extraction did.

    Attributes:
        added: Sources added.
        there: Sources that the store had already.
        faces: Face rows added.
        voices: Voice rows added.
        moments: Labelled moments added.
        failures: Message by id of sources that could not be extracted.
        problems: Message by id of sources of which a part is missing.
        remarks: Message by id of sources that were read in one of several ways.
        mistakes: Mistakes in files that all sources of the corpus share.
        seconds: Time it took.
    """

    added: int = 0
    there: int = 0
    faces: int = 0
    voices: int = 0
    moments: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    seconds: float = 0.0


def extract(
    corpus: Corpus,
    store_path: Path,
    face: str,
    voice: str,
    workers: int | Engine = 1,
    limit: int | None = None,
    progress: ExtractionProgress = lambda done, total, source: None,
    tasks: Sequence[Task] | None = None,
    sound_track: int | None = None,
) -> ExtractionReport:
    """Extract every source of a corpus that a store does not have yet.

    What was written stays when it is interrupted; another run goes on from there.

    Args:
        corpus: The corpus. It is sent to the workers, so its class must be importable.
        store_path: The store; made if it is missing, else added to.
        face: Face extractor by name, see `registry.face_extractor`.
        voice: Voice extractor by name.
        workers: Processes that compute, or another engine; the store is the same.
        limit: Only the first so many sources.
        progress: Told after each job.
        tasks: Tasks whose labels the store has; None for all that are available.
        sound_track: Which of a file's several sounds is read, from 1; None takes the default one,
            or the one most like a voice, as prediction does.

    Returns:
        What was done. A source that cannot be read is told there and in the store.

    Raises:
        ModelError: There is no such extractor, or it does not work.
        TriaffectError: The engine cannot compute.
        StoreError: The store is of other extractors, of another corpus of the same name, or has
            other labels of a source than the corpus has now.
        DiskError: There is no room for the rows.
    """
    started = time.monotonic()
    extractors = face_extractor(face), voice_extractor(voice)
    face_spec, voice_spec = (extractor.spec if extractor else None for extractor in extractors)
    report = ExtractionReport(mistakes=[str(mistake) for mistake in corpus.problems()])
    tasks = tasks or available_tasks()
    with StoreWriter.create_or_resume(store_path, face_spec, voice_spec, tasks) as writer:
        copy_networks(extractors, store_path)
        todo: list[Job] = []
        for source in _missing(corpus, limit, writer, report):
            is_array = source.images is not None and source.images.suffix == ARRAY_SUFFIX
            parts = ARRAY_PARTS if is_array and face != NONE else 1
            todo += [Job(len(todo) + part, source, part, parts) for part in range(parts)]
        settings = ExtractionSettings(corpus, face, voice, store_path / PENDING, sound_track)
        shutil.rmtree(settings.pending, ignore_errors=True)
        engine = Processes(workers) if isinstance(workers, int) else workers
        try:
            _Writing(settings, face_spec, voice_spec, writer, report).run(todo, engine, progress)
        finally:
            shutil.rmtree(settings.pending, ignore_errors=True)
    report.seconds = time.monotonic() - started
    return report


def copy_networks(
    extractors: tuple[FaceExtractor | None, VoiceExtractor | None], store_path: Path
) -> None:
    """Copy the networks that a store's rows come from into the store.

    Args:
        extractors: Of faces and of voices; builtin ones have no network.
        store_path: The store.

    Raises:
        ModelError: A file of a network has changed.
        DiskError: There is no room for a copy.
    """
    for part, extractor in zip(("face", "voice"), extractors, strict=True):
        if isinstance(extractor, OnnxFace | OnnxVoice):
            folder, copy = extractor.folder, store_path / EXTRACTORS / part
            copy_part(folder, part, copy, may_lack_weights=folder.path == SHIPPED)


def _missing(
    corpus: Corpus, limit: int | None, writer: StoreWriter, report: ExtractionReport
) -> Iterator[Source]:
    """Yield the sources that the store does not have."""
    for source in islice(corpus.sources(), limit):
        if not writer.has(source.source_id):
            yield source
            continue
        report.there += 1
        if changed := _changed(corpus, source, writer):
            raise StoreError(
                f"{source.source_id} as it was extracted",
                changed,
                "extract into a new store, or delete this one and extract again",
                where=writer.path,
            )


def _changed(corpus: Corpus, source: Source, writer: StoreWriter) -> str:
    """Say what is no longer as it was when a source was added; empty if all is."""
    before = [file["size"] for file in writer.entry(source.source_id).files]
    if before != [file["size"] for file in _files(source)]:
        return "files of another size: they were changed, or are of another corpus"
    try:
        moments = corpus.moments(source)
    except TriaffectError as error:
        return f"labels that cannot be read ({error})"
    if writer.same_labels(source.source_id, moments):
        return ""
    return "other labels: the labels, or how they are read (such as --va-delay), have changed"


@dataclass(frozen=True)
class _Writing:
    """Writes what the workers compute: the parent's half of an extraction.

    Attributes:
        settings: What the jobs have in common.
        face: Face extractor of the store; None if there is none.
        voice: Voice extractor likewise.
        writer: The store.
        report: Is filled in.
    """

    settings: ExtractionSettings
    face: ExtractorSpec | None
    voice: ExtractorSpec | None
    writer: StoreWriter
    report: ExtractionReport

    def run(self, todo: list[Job], engine: Engine, progress: ExtractionProgress) -> None:
        """Write each source as soon as its last part has come."""
        parts: list[Outcome] = []
        with closing(engine.results(ExtractionWork(self.settings), todo)) as results:
            for done, (job, outcome) in enumerate(zip(todo, results, strict=True), 1):
                parts.append(outcome)
                if len(parts) == job.parts:
                    self._write(job, parts)
                    parts = []
                progress(done, len(todo), job.source.source_id)

    def _write(self, last: Job, parts: list[Outcome]) -> None:
        """Write a source whose parts end with job ``last``."""
        source_id, report = last.source.source_id, self.report
        problem = "; ".join(dict.fromkeys(text for part in parts for text in part.problems))
        remark = "; ".join(dict.fromkeys(text for part in parts for text in part.remarks))
        folders = [
            spill_folder(self.settings.pending, last.number - len(parts) + 1 + k)
            for k in range(len(parts))
        ]
        moments = parts[0].moments
        if moments is None or (problem and not any(part.faces + part.voices for part in parts)):
            report.failures[source_id] = problem
            self.writer.fail(source_id, problem)
        else:
            faces = _read_faces(self.face, folders, parts)
            remark = "; ".join(filter(None, [remark, _doubt_faces(moments, faces)]))
            info = SourceInfo(
                source=source_id,
                corpus=self.settings.corpus.name,
                kind=last.source.kind.value,
                stills=is_stills(self.settings.corpus, last.source),
                frame_rate=parts[0].frame_rate,
                files=_files(last.source),
                problem="; ".join(filter(None, [problem, remark])) or None,
            )
            voice = None
            if self.voice is not None:
                layout = self.voice.row_dtype, self.voice.dim, parts[0].voices
                values, keys = FileTimeline.read(folders[0], "voice", *layout)
                voice = FeatureSeries(values, keys["time_s"])
            entry = self.writer.add(info, moments, faces, voice)
            report.added += 1
            report.faces += entry.face[1] - entry.face[0]
            report.voices += entry.voice[1] - entry.voice[0]
            report.moments += len(moments)
            if problem:
                report.problems[source_id] = problem
            if remark:
                report.remarks[source_id] = remark
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _read_faces(
    spec: ExtractorSpec | None, folders: list[Path], parts: list[Outcome]
) -> FaceRows | None:
    """Read the face rows that the jobs of one source left in their folders."""
    if spec is None:
        return None
    rows = [
        FileTimeline.read(folder, "face", spec.row_dtype, spec.dim, part.faces)
        for folder, part in zip(folders, parts, strict=True)
    ]
    if len(rows) == 1:  # a long video's stay on the disk
        return FaceRows(*rows[0])
    values, keys = zip(*rows, strict=True)
    return FaceRows(np.concatenate(values), np.concatenate(keys))


def _doubt_faces(moments: Moments, faces: FaceRows | None) -> str:
    """Say which further faces have labels, but are none of those detected; empty if there are none.

    The first face is not missed: pictures of which nobody's face is detected are common.
    """
    if faces is None:
        return ""
    labeled = moments.column("track")
    unseen = np.setdiff1d(labeled[labeled > 0], faces.keys["track"])  # type: ignore[operator]
    if not len(unseen):
        return ""
    count = np.isin(labeled, unseen).sum()
    return f"{count:,} labels of face_id {', '.join(map(str, unseen))}, which no face of it has"


def _files(source: Source) -> tuple[dict[str, Any], ...]:
    """Describe what a source is read from: paths, sizes and times of change.

    A file's size is its bytes, a folder's the number of files in it.
    """
    files = []
    for path in dict.fromkeys((source.images, source.video, source.sound)):
        if path is not None:
            size, changed_ns = 0, 0
            if path.exists():
                is_folder = path.is_dir()
                size = sum(1 for _ in path.iterdir()) if is_folder else path.stat().st_size
                changed_ns = path.stat().st_mtime_ns
            files.append({"path": str(path), "size": size, "mtime_ns": changed_ns})
    return tuple(files)
