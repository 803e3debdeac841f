"""Check a corpus: what its labels hold, what is missing, shared or contradictory, what is broken.

`check_labels` reads all labels and no media. `check_media` opens every video and sound, which must
decode; a video is read in `FRAMES` places and at its end. Of a folder of pictures up to `PICTURES`
are read, of an array `ARRAY_PICTURES`, spread evenly. The size of a face is the shorter side of
its box: of the largest face in a frame or picture, or of the stored picture where faces are
aligned already.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from triaffect.corpora.base import Corpus, is_stills
from triaffect.corpora.rows import name_videos
from triaffect.errors import MediaError, TriaffectError, alike_names
from triaffect.faces.detection import (
    CROP_DETECTION_SIZE,
    CROP_THRESHOLD,
    SMALL_PX,
    CenterFace,
    usual_size,
)
from triaffect.io.workers import WorkerPool
from triaffect.media.audio import sound_chunks
from triaffect.media.container import audio_stream, open_container, stream_duration_s, video_stream
from triaffect.media.content import index_problem, ogg_end
from triaffect.media.find import PICTURES as PICTURE_SUFFIXES
from triaffect.media.frames_at import SampledFrames
from triaffect.media.images import one_opencv_thread
from triaffect.media.probe import read_image
from triaffect.tasks.registry import available_tasks
from triaffect.tasks.task import Task
from triaffect.types import CORPUS_SPLITS, Moments, Source, SourceKind

_ARRAY_SUFFIX = ".npz"
"""A file with an array of pictures."""


@dataclass
class ColumnSums:
    """Running sums of one label column.

    Attributes:
        count: Annotated rows.
        total: Sum of their values; of probabilities, how many rows show the class or unit.
        squares: Sum of the squares.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        """Mean of the annotated values; of probabilities, the positive rate; NaN without any."""
        return self.total / self.count if self.count else float("nan")

    @property
    def deviation(self) -> float:
        """Standard deviation of the annotated values; NaN without any."""
        return max(self.squares / self.count - self.mean**2, 0) ** 0.5 if self.count else self.mean

    def add(self, labeled: NDArray[np.float64]) -> None:
        """Add annotated values.

        Args:
            labeled: Shape (N,), without NaN.
        """
        self.count += len(labeled)
        self.total += float(labeled.sum())
        self.squares += float((labeled**2).sum())

    def to_json(self) -> dict[str, float]:
        """Return count, mean and deviation, rounded to six decimals; there must be a value."""
        mean, deviation = round(self.mean, 6), round(self.deviation, 6)
        return {"count": self.count, "mean": mean, "deviation": deviation}


@dataclass
class LabelReport:
    """What the labels of a corpus hold.

    A row is annotated for a task if it has any of its label columns, and completely if it has
    all of them.

    Attributes:
        sources: Number of sources of each kind.
        rows: Number of rows by (label set, split).
        split_rows: Number of rows by split.
        annotated: Annotated rows by (task key, split).
        complete: Completely annotated rows, likewise.
        together: Rows by (keys of all tasks they are annotated for, split).
        columns: Sums by (label column, split).
        classes: Rows whose likeliest class it is, by (label column of exclusive classes, split).
        without_media: Ids of sources whose images, video or sound are not there.
        without_sound: Ids of sources of moving pictures whose sound is not there.
        people: Splits in which each person occurs.
        videos: Splits in which each video occurs; see `triaffect.corpora.rows`.
        errors: Everything that is wrong with label files and videos.
    """

    sources: Counter[SourceKind] = field(default_factory=Counter)
    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    split_rows: Counter[str] = field(default_factory=Counter)
    annotated: Counter[tuple[str, str]] = field(default_factory=Counter)
    complete: Counter[tuple[str, str]] = field(default_factory=Counter)
    together: Counter[tuple[tuple[str, ...], str]] = field(default_factory=Counter)
    columns: dict[tuple[str, str], ColumnSums] = field(
        default_factory=lambda: defaultdict(ColumnSums)
    )
    classes: Counter[tuple[str, str]] = field(default_factory=Counter)
    without_media: list[str] = field(default_factory=list)
    without_sound: list[str] = field(default_factory=list)
    people: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    videos: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    errors: list[TriaffectError] = field(default_factory=list)

    @property
    def shared_people(self) -> dict[str, list[str]]:
        """Splits of the people who occur in more than one."""
        return {name: sorted(its) for name, its in sorted(self.people.items()) if len(its) > 1}

    @property
    def alike_people(self) -> list[list[str]]:
        """People whose names differ in capitals or spaces only: perhaps one, in two splits."""
        return alike_names(sorted(self.people))

    @property
    def shared_videos(self) -> dict[str, list[str]]:
        """Splits of the videos that occur in more than one."""
        return {name: sorted(its) for name, its in sorted(self.videos.items()) if len(its) > 1}

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        named = {"+".join(keys): keys for keys, _ in self.together}
        return {
            "sources": {str(kind): count for kind, count in sorted(self.sources.items())},
            "rows": _group_by_split(self.rows),
            "annotated": _group_by_split(self.annotated),
            "complete": _group_by_split(self.complete),
            "together": {
                name: {s: n for s in CORPUS_SPLITS if (n := self.together[keys, s])}
                for name, keys in named.items()
            },
            "labels": _group_by_split({k: v.to_json() for k, v in self.columns.items() if v.count}),
            "classes": _group_by_split(self.classes),
            "people": {
                "count": len(self.people),
                "shared": self.shared_people,
                "alike": self.alike_people,
            },
            "videos": {"count": len(self.videos), "shared": self.shared_videos},
            "without_media": self.without_media,
            "without_sound": self.without_sound,
            "mistakes": [str(error) for error in self.errors],
        }


def _group_by_split(values: Mapping[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
    """Values by name and split, without those that are nothing."""
    grouped: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for (name, split), value in values.items():
        if value:
            grouped[name][str(split)] = value
    return dict(grouped)


def check_labels(
    corpus: Corpus,
    progress: Callable[[int, int, str], None] = lambda *_: None,
    tasks: Sequence[Task] | None = None,
) -> LabelReport:
    """Read all labels of a corpus; no pictures and no sound.

    Args:
        corpus: The corpus.
        progress: Called after each source: sources done, sources in all, its id.
        tasks: The tasks whose labels are counted; None for all that are available.

    Returns:
        What the labels hold. A source whose labels cannot be read is counted with its media alone,
        and what is wrong with it is among the errors.
    """
    tasks = tasks or available_tasks()
    report = LabelReport(errors=list(corpus.problems()))
    sources = corpus.sources()
    files: dict[str, str | None] = {}
    for source in sources:  # the file with its sound, or else its picture
        paths = (path for path in (source.sound, source.video, source.images) if path is not None)
        is_video = not is_stills(corpus, source)
        files[source.source_id] = str(next(paths, source.source_id)) if is_video else None
    videos = name_videos(files)
    for done, source in enumerate(sources, 1):
        _count_media(report, corpus, source)
        try:
            moments = corpus.moments(source)
        except TriaffectError as error:
            report.errors.append(error)
        else:
            _count_rows(report, moments, videos[source.source_id])
            _count_labels(report, moments, tasks)
        progress(done, len(sources), source.source_id)
    return report


def _count_media(report: LabelReport, corpus: Corpus, source: Source) -> None:
    """Count a source by its kind, and list it if its main file, or its sound, is not there."""
    report.sources[source.kind] += 1
    main = {
        SourceKind.IMAGES: source.images,
        SourceKind.VIDEO: source.video,
        SourceKind.SOUND: source.sound,
    }[source.kind]
    moves = source.kind is not SourceKind.SOUND and not is_stills(corpus, source)
    if main is None or not main.exists():
        report.without_media.append(source.source_id)
    elif moves and (source.sound is None or not source.sound.exists()):
        report.without_sound.append(source.source_id)


def _count_rows(report: LabelReport, moments: Moments, video: str | None) -> None:
    """Count rows by label set and split, and note the splits of people and video."""
    table = moments.table
    for row in table.group_by(["label_set", "split"]).aggregate([([], "count_all")]).to_pylist():
        report.rows[row["label_set"], row["split"]] += row["count_all"]
        report.split_rows[row["split"]] += row["count_all"]
        if video is not None:
            report.videos[video].add(row["split"])
    for row in table.group_by(["person", "split"]).aggregate([]).to_pylist():
        report.people[row["person"]].add(row["split"])


def _count_labels(report: LabelReport, moments: Moments, tasks: Sequence[Task]) -> None:
    """Count annotated rows and sum up label columns, by split."""
    targets = {task.key: moments.targets(task.key, task.columns) for task in tasks}
    for split in CORPUS_SPLITS:
        mine = pc.equal(moments.table["split"], split).to_numpy()
        for task in tasks:
            valid = targets[task.key].valid[mine]
            values = targets[task.key].values[mine].astype(np.float64)
            report.annotated[task.key, split] += int(valid.any(1).sum())
            report.complete[task.key, split] += int(valid.all(1).sum())
            for k, column in enumerate(task.columns):
                report.columns[column, split].add(values[valid[:, k], k])
            if task.exclusive:
                likeliest = np.bincount(values[valid.all(1)].argmax(1), minlength=task.width)
                for column, count in zip(task.columns, likeliest, strict=True):
                    report.classes[column, split] += int(count)
        labeled = [targets[task.key].valid[mine].any(1) for task in tasks]
        codes = np.sum([has << k for k, has in enumerate(labeled)], axis=0)
        for code, count in enumerate(np.bincount(codes)):
            if count:
                keys = tuple(task.key for k, task in enumerate(tasks) if code >> k & 1)
                report.together[keys, split] += int(count)


SMALL_FACE_PX = 32
"""A source whose faces are smaller than this, by their median, shows too little of them."""


class Quiet(StrEnum):
    """Why a sound has nothing to hear."""

    MISSING = "missing"
    SILENT = "silent"


@dataclass
class SourceFindings:
    """What the check of one source's media ended in.

    Attributes:
        source: Its id.
        broken: What does not decode, a line each.
        pictures: Frames and pictures that did.
        searched: In how many of them a face was looked for.
        faces_px: Size of the largest face of each of them that has one, in pixels.
        audible: Whether there is something to hear.
        quiet: Why there is not, where there should be.
        short_s: Seconds of sound and of picture, where the sound is much shorter.
    """

    source: str
    broken: list[str] = field(default_factory=list)
    pictures: int = 0
    searched: int = 0
    faces_px: list[float] = field(default_factory=list)
    audible: bool = False
    quiet: Quiet | None = None
    short_s: tuple[float, float] | None = None

    @contextmanager
    def collect_errors(self) -> Iterator[None]:
        """Record an error of one file and continue."""
        try:
            yield
        except TriaffectError as error:
            self.broken.append(str(error))
        except Exception as error:  # a decoder's surprise
            self.broken.append(f"{self.source}: {type(error).__name__}: {error}")


@dataclass
class MediaReport:
    """What the check of all sources' media ended in.

    Attributes:
        sources: How many were looked into.
        pictures: Frames and pictures that were decoded.
        searched_sources: Sources in which faces were looked for, or are aligned already.
        searched: Pictures in which they were.
        with_faces: Pictures that have one.
        broken: What does not decode, a line each, and a source that it belongs to.
        broken_sources: All sources that have something broken.
        face_px: Median size of the faces of each source that has any, in pixels.
        faceless: Sources without a face in any picture.
        audible: Sources with something to hear.
        quiet: Sources with nothing to hear, by why.
        short_s: Seconds of sound and of picture of sources whose sound is much shorter.
    """

    sources: int = 0
    pictures: int = 0
    searched_sources: int = 0
    searched: int = 0
    with_faces: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    broken_sources: list[str] = field(default_factory=list)
    face_px: dict[str, float] = field(default_factory=dict)
    faceless: list[str] = field(default_factory=list)
    audible: int = 0
    quiet: dict[Quiet, list[str]] = field(default_factory=lambda: {each: [] for each in Quiet})
    short_s: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, findings: SourceFindings) -> None:
        """Add what was found out of one source.

        Args:
            findings: Of the source, which was not added before.
        """
        self.sources += 1
        self.pictures += findings.pictures
        self.searched += findings.searched
        self.with_faces += len(findings.faces_px)
        self.broken |= dict.fromkeys(findings.broken, findings.source)
        if findings.broken:
            self.broken_sources.append(findings.source)
        if findings.searched:
            self.searched_sources += 1
            if findings.faces_px:
                self.face_px[findings.source] = median(findings.faces_px)
            else:
                self.faceless.append(findings.source)
        self.audible += findings.audible
        if findings.quiet:
            self.quiet[findings.quiet].append(findings.source)
        if findings.short_s:
            self.short_s[findings.source] = findings.short_s

    @property
    def small(self) -> dict[str, float]:
        """Face size of the sources where it is too small, the smallest first."""
        small = {name: size for name, size in self.face_px.items() if size < SMALL_FACE_PX}
        return dict(sorted(small.items(), key=lambda item: item[1]))

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        sizes = sorted(self.face_px.values())
        return {
            "sources": self.sources,
            "pictures": self.pictures,
            "broken": list(self.broken),
            "broken_sources": self.broken_sources,
            "faces": {
                "sources": self.searched_sources,
                "pictures": self.searched,
                "found": self.with_faces,
                "median_px": round(median(sizes), 1) if sizes else None,
                "too_small_below_px": SMALL_FACE_PX,
                "too_small": {name: round(size, 1) for name, size in self.small.items()},
                "none_found": self.faceless,
            },
            "sound": {
                "heard": self.audible,
                **{str(why): names for why, names in self.quiet.items()},
                "short": {
                    name: {"sound_s": round(sound, 2), "picture_s": round(picture, 2)}
                    for name, (sound, picture) in self.short_s.items()
                },
            },
        }


FRAMES, PICTURES, ARRAY_PICTURES = 5, 20, 200
"""Read of a video, in a folder of pictures, and in an array of pictures."""

LISTENED_S, LISTENING_RATE = 60, 8000
"""Seconds of a sound that are read until something is audible, and samples/s."""

SILENCE = 1e-4
"""What stays below this, -80 dB of full scale, is nothing to hear."""

SHORT_S, SHORT_SHARE = 1.0, 0.1
"""A sound is short if it lacks this many seconds of its picture, and this share of it."""

_JPEG_START, _JPEG_END, _TAIL = b"\xff\xd8", b"\xff\xd9", 1024

_CheckedPicture = NDArray[np.uint8]
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class MediaJob:
    """A source to check.

    Attributes:
        source: The source.
        faces: Whether to look for faces.
    """

    source: Source
    faces: bool


def check_media(
    corpus: Corpus,
    jobs: int = 1,
    face_sources: int = 300,
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> MediaReport:
    """Check the media of every source; a broken one never stops the others.

    Args:
        corpus: The corpus. It is sent to the processes, so its class must be importable.
        jobs: Processes.
        face_sources: In how many sources at most, spread evenly, faces are looked for.
        progress: Called after each source: sources done, sources in all, its id.

    Returns:
        What was found out, over all sources.

    Raises:
        TriaffectError: No process can be started.
    """
    sources = corpus.sources()
    shows = []
    for k, source in enumerate(sources):
        picture = source.video if source.kind is SourceKind.VIDEO else source.images
        is_aligned = source.kind is SourceKind.IMAGES and corpus.aligned
        if not is_aligned and picture is not None and picture.exists():
            shows.append(k)
    chosen = set(pick_evenly(shows, face_sources))
    todo = [MediaJob(source, k in chosen) for k, source in enumerate(sources)]
    report = MediaReport()
    results = WorkerPool(partial(MediaChecker, corpus), _died).results(todo, jobs)
    for done, findings in enumerate(results, 1):
        report.add(findings)
        progress(done, len(todo), findings.source)
    return report


def pick_evenly(items: Sequence[_Item], count: int) -> list[_Item]:
    """Pick items that are spread evenly over all of them.

    Args:
        items: What to pick from.
        count: How many at most.

    Returns:
        Each item once, in the same order; all of them if they are no more than that.

    Examples:
        >>> pick_evenly("abcdefgh", 2), pick_evenly("ab", 3)
        (['c', 'g'], ['a', 'b'])
    """
    if len(items) <= count:
        return list(items)
    return [items[int((k + 0.5) / count * len(items))] for k in range(count)]


def _died(job: MediaJob) -> SourceFindings:
    reason = "the process died of it: out of memory, or a fault in a decoder"
    return SourceFindings(job.source.source_id, [f"{job.source.source_id}: {reason}"])


class MediaChecker:
    """Checks the media of one source after another.

    Args:
        corpus: Whose sources they are.
        _is_cancelled: Not used; a check is too short to cancel.
    """

    def __init__(self, corpus: Corpus, _is_cancelled: Callable[[], bool]) -> None:
        self._corpus = corpus

    @one_opencv_thread()
    def __call__(self, job: MediaJob) -> SourceFindings:
        """Check one source; files that are missing are for `check_labels` to report."""
        source, findings = job.source, SourceFindings(job.source.source_id)
        if source.images is not None and source.images.exists():
            with findings.collect_errors():
                self._pictures(source.images, job, findings)
        before = len(findings.broken)
        if source.video is not None and source.video.exists():
            with findings.collect_errors():
                frames = SampledFrames(source.video, FRAMES if job.faces else 1)
                for frame in frames:
                    if source.kind is SourceKind.VIDEO:
                        self._measure(frame.rgb, job, findings)
                if frames.problem:
                    got, remedy = frames.problem, "copy it again"
                    raise MediaError("a whole video", got, remedy, where=source.video)
        readable = len(findings.broken) == before or source.sound != source.video
        if source.sound is not None and source.sound.exists() and readable:
            with findings.collect_errors():
                _check_sound(source.sound, findings)
        return findings

    def _pictures(self, path: Path, job: MediaJob, findings: SourceFindings) -> None:
        """Check some pictures of an array, of a folder, or the one that the path is."""
        if path.suffix == _ARRAY_SUFFIX:
            total = sum(1 for _ in self._corpus.images(job.source))
            chosen = set(pick_evenly(range(total), ARRAY_PICTURES))
            for number, (_, rgb) in enumerate(self._corpus.images(job.source)):
                if number in chosen:
                    self._measure(rgb, job, findings)
            return
        files = [path]
        if path.is_dir():
            suffixes = PICTURE_SUFFIXES
            visible = (file for file in path.iterdir() if not file.name.startswith("."))
            files = sorted(file for file in visible if file.suffix.lower() in suffixes)
        if not files:
            findings.searched += 1  # a folder without a crop: none has a face
        for file in pick_evenly(files, PICTURES):
            with findings.collect_errors():
                self._measure(_whole_picture(file), job, findings)

    def _measure(self, rgb: _CheckedPicture, job: MediaJob, findings: SourceFindings) -> None:
        """Count a picture, and measure its largest face where faces are aligned or looked for."""
        findings.pictures += 1
        if job.source.kind is SourceKind.IMAGES and self._corpus.aligned:
            findings.searched += 1
            findings.faces_px.append(float(min(rgb.shape[:2])))
        elif job.faces:
            longer, detector = max(rgb.shape[:2]), copy(self._detector)
            if longer <= SMALL_PX:
                detector.size, detector.threshold = CROP_DETECTION_SIZE, CROP_THRESHOLD
            boxes = detector(rgb).boxes
            if not len(boxes) and longer > SMALL_PX:  # to tell small faces from none
                detector.size = 2 * usual_size(longer)
                boxes = detector(rgb).boxes
            findings.searched += 1
            if len(boxes):
                findings.faces_px.append(float(boxes[:, 2:].min(axis=1).max()))

    @cached_property
    def _detector(self) -> CenterFace:
        """Finds faces as extraction does; loaded when the first one is looked for."""
        return CenterFace()


def _whole_picture(path: Path) -> _CheckedPicture:
    """Read a picture, of which the decoder would fill a missing end with gray in silence."""
    with path.open("rb") as file:
        start = file.read(len(_JPEG_START))
        file.seek(max(0, path.stat().st_size - _TAIL))
        if start == _JPEG_START and _JPEG_END not in file.read():
            raise MediaError("a whole JPEG picture", "a cut-off one", "copy it again", where=path)
    return read_image(path)


def _check_sound(path: Path, findings: SourceFindings) -> None:
    """Check that a sound is audible, and lasts as long as its picture."""
    with open_container(path) as container:
        sound, picture = audio_stream(container), video_stream(container)
        if sound is None and picture is None:
            raise MediaError("a sound", "a file without one", "check the file", where=path)
        if sound is None:
            findings.quiet = Quiet.MISSING
            return
        sound_s = stream_duration_s(container, sound)
        picture_s = stream_duration_s(container, picture) if picture else None
    loudest = None
    for second, chunk in enumerate(sound_chunks(path, LISTENING_RATE)):
        loudest = max(loudest or 0.0, float(np.abs(chunk).max(initial=0)))
        if loudest > SILENCE or second == LISTENED_S:
            break
    if loudest is None:
        raise MediaError("a sound that decodes", "nothing", "record it again", where=path)
    findings.audible = loudest > SILENCE
    if not findings.audible:
        findings.quiet = Quiet.SILENT
    if sound_s and picture_s and picture_s - sound_s > max(SHORT_S, SHORT_SHARE * picture_s):
        findings.short_s = sound_s, picture_s
    if picture is None and (problem := index_problem(path) or ogg_end(path)[0]):
        raise MediaError("a whole sound", problem, "copy it again", where=path)
