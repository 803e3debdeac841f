"""Aff-Wild2 and any corpus of its form: aligned crops, videos with sound, annotation files.

A video name is a source and a person; the two people of a twin video (``_left``, ``_right``) are
two of each and share the sound. Rows keep the label set that they come from, "MTL" for the
multi-task files. A row without any label is left out. A row whose image is not there stays, for a
moment may still have a voice; which inputs a network needs is decided where samples are made.

Everything may lie in the corpus's folder itself or one folder below it::

    cropped_aligned*/<video>/00001.jpg
    [batch* | new_vids* /] <video>.mp4 or .avi
    VA_Estimation_Challenge | EXPR_Classification_Challenge | EXPR_Recognition_Challenge |
        AU_Detection_Challenge / Train_Set | Validation_Set | Test_Set / <video>.txt
    [MTL_Challenge /] train_set.txt | training_set_annotations.txt, validation_set.txt |
        validation_set_annotations.txt, test_set_annotations.txt

The corpus's folder may be one of crops itself. Suffixes may be in upper case. The two people of
a twin video, ``<video>_left`` and ``<video>_right``, share its raw video unless each has its own.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.aff_wild2_files import (
    MULTI_TASK_FORMAT,
    SINGLE_TASK_FORMATS,
    FileFormat,
    ImageLabels,
    blame_first,
    read_frames,
    read_image_labels,
)
from triaffect.corpora.frame_clock import FrameClock
from triaffect.corpora.rows import (
    DEFAULT_RATE,
    MULTI_TASK_SET,
    Key,
    TaskLabels,
    build_moments,
    join_moments,
    source_frame_rate,
)
from triaffect.errors import AnnotationError, MediaError
from triaffect.media.probe import read_image
from triaffect.media.video import VideoFrames
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION, one_hot
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL
from triaffect.types import (
    IntArray,
    LabelOrigin,
    Moments,
    Source,
    SourceKind,
    Split,
)

RENDERED_MARK = "SYNTHETIC.json"
"""A file in a corpus's folder that says its faces and labels were made by a program."""

_IMAGE = re.compile(r"[0-9]{1,8}\.jpe?g", re.IGNORECASE | re.ASCII)
END_SLACK_S = 0.5
"""Lines so long after the end of the raw video describe nothing that can be seen or heard."""

_LOG = logging.getLogger(__name__)

CHALLENGES = {
    "VA_Estimation_Challenge": VALENCE_AROUSAL.key,
    "EXPR_Classification_Challenge": EXPRESSION.key,
    "EXPR_Recognition_Challenge": EXPRESSION.key,
    "AU_Detection_Challenge": ACTION_UNITS.key,
}
SPLIT_FOLDERS = {
    "Train_Set": Split.TRAIN,
    "Validation_Set": Split.VALIDATION,
    "Test_Set": Split.TEST,
}
MULTI_TASK_FOLDER = "MTL_Challenge"
MULTI_TASK_FILES = {
    "train_set.txt": Split.TRAIN,
    "training_set_annotations.txt": Split.TRAIN,
    "validation_set.txt": Split.VALIDATION,
    "validation_set_annotations.txt": Split.VALIDATION,
    "test_set_annotations.txt": Split.TEST,
}
CROPS_PREFIX = "cropped_aligned"
VIDEO_SUFFIXES = (".mp4", ".avi")
VIDEO_FOLDERS = ("batch", "new_vids")
"""How the folders begin that raw videos are handed out in."""
TWIN_SUFFIXES = ("_left", "_right")

_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Layout:
    """The files of one Aff-Wild2 folder.

    Attributes:
        crops: Folder of aligned faces by the video's name.
        raw: Raw video by its name without suffix.
        single: By the video's name, its single-task files by (task key, split).
        multi: Multi-task file by split.
        problems: Files and folders that are there twice, of which the first is used.
    """

    crops: dict[str, Path] = field(default_factory=dict)
    raw: dict[str, Path] = field(default_factory=dict)
    single: dict[str, dict[tuple[str, Split], Path]] = field(default_factory=dict)
    multi: dict[Split, Path] = field(default_factory=dict)
    problems: list[AnnotationError] = field(default_factory=list)

    def raw_video(self, name: str) -> Path | None:
        """Find the raw video behind a name; the two people of a twin video share theirs.

        Args:
            name: Name of a source: a video's, maybe with one of `TWIN_SUFFIXES`.

        Returns:
            Its file; None if there is none.

        Examples:
            >>> Layout(raw={"a": Path("a.mp4")}).raw_video("a_left").name
            'a.mp4'
        """
        for suffix in ("", *TWIN_SUFFIXES):
            if name.endswith(suffix) and (path := self.raw.get(name.removesuffix(suffix))):
                return path
        return None


def find_layout(root: Path) -> Layout:
    """List the files of an Aff-Wild2 folder; none of them is opened.

    Args:
        root: The corpus's folder, or its folder of crops.

    Returns:
        What is there, empty where nothing is. Of files and folders that are there twice, the first
        is listed, and each other one is among the problems.
    """
    layout = Layout()
    if root.name.startswith(CROPS_PREFIX):
        _add_crops(layout, root)
        return layout
    skipped = (CROPS_PREFIX, MULTI_TASK_FOLDER)  # looked into by name, from the folder above
    below = [folder for folder in _folders(root) if not folder.name.startswith(skipped)]
    for base in [root, *below]:
        for folder in _folders(base, CROPS_PREFIX):
            _add_crops(layout, folder)
        for folder in [base, *_folders(base, VIDEO_FOLDERS)]:
            for path in _visible(folder):
                if path.suffix.lower() in VIDEO_SUFFIXES:
                    _add(layout, layout.raw, path.stem, path)
        _add_annotations(layout, base)
    return layout


def _visible(folder: Path) -> Iterator[Path]:
    """Entries of a folder in order, without hidden ones such as the ``._x`` of archives."""
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return (entry for entry in entries if not entry.name.startswith("."))


def _folders(folder: Path, beginnings: str | tuple[str, ...] = "") -> list[Path]:
    entries = (entry for entry in _visible(folder) if entry.name.startswith(beginnings))
    return [entry for entry in entries if entry.is_dir()]


def _add_crops(layout: Layout, folder: Path) -> None:
    for each in _folders(folder):
        _add(layout, layout.crops, each.name, each)


def _add_annotations(layout: Layout, base: Path) -> None:
    """Add the single-task files and the multi-task files of one folder."""
    for challenge, key in CHALLENGES.items():
        for folder, split in SPLIT_FOLDERS.items():
            for path in _visible(base / challenge / folder):
                if path.suffix.lower() == ".txt":
                    _add(layout, layout.single.setdefault(path.stem, {}), (key, split), path)
    for name, split in MULTI_TASK_FILES.items():
        for path in (base / name, base / MULTI_TASK_FOLDER / name):
            if path.is_file():
                _add(layout, layout.multi, split, path)


def _add(layout: Layout, files: dict[_Key, Path], key: _Key, path: Path) -> None:
    if files.setdefault(key, path) != path:
        error = AnnotationError(
            f"one of its kind, {files[key]}", "another", "move one away", where=path
        )
        layout.problems.append(error)


class AffWild2:
    """Reader of the form of Aff-Wild2.

    Args:
        root: The folder; the top of this file says what it may hold.
    """

    name = "aff_wild2"
    description = (
        "Aff-Wild2: cropped_aligned/ and VA_Estimation_Challenge/, EXPR_Classification_Challenge/, "
        "AU_Detection_Challenge/ or MTL_Challenge/"
    )
    aligned = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self._layout = find_layout(root)
        rendered = (root / RENDERED_MARK).is_file()
        self._origin = LabelOrigin.RENDERED if rendered else LabelOrigin.HUMAN

    @classmethod
    def recognizes(cls, root: Path) -> bool:
        """Return whether a path is of this corpus's form.

        Args:
            root: A folder or file; a folder that holds crops or annotation files is.
        """
        if not root.is_dir():
            return False
        layout = find_layout(root)
        return bool(layout.crops or layout.single or layout.multi)

    def sources(self) -> list[Source]:
        """List the videos that have crops or labels, sorted by id."""
        names = self._layout.crops.keys() | self._layout.single.keys()
        for multi in self._multi.values():
            names |= multi.names
        sources = []
        for name in sorted(names):
            images, raw = self._layout.crops.get(name), self._layout.raw_video(name)
            source_id = f"{self.name}/{name}"
            sources.append(Source(source_id, SourceKind.IMAGES, images, video=raw, sound=raw))
        return sources

    def moments(self, source: Source) -> Moments:
        """Read the labels of one video in all its label sets, up to the end of its raw video.

        Args:
            source: One of `sources`.

        Returns:
            A row for each labeled frame of each label set; a frame that has labels in several
            sets has a row in each.

        Raises:
            AnnotationError: A file of this video is wrong, or a line of a multi-task file
                that names it.
            MediaError: Its raw video is there but cannot be read.
        """
        name, clock = source.source_id.removeprefix(f"{self.name}/"), self.clock(source)
        parts = []
        for (key, split), path in self._layout.single.get(name, {}).items():
            file_format = SINGLE_TASK_FORMATS[key]
            labels = read_frames(path, file_format)
            frames = np.arange(len(labels.values))
            parts.append(self._moments(name, clock, split, key, file_format, frames, labels))
        for split, multi in self._multi.items():
            frames, labels = multi.rows(name)
            file_format = MULTI_TASK_FORMAT
            parts.append(
                self._moments(name, clock, split, MULTI_TASK_SET, file_format, frames, labels)
            )
        return join_moments(parts)

    def images(self, source: Source) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield the crops of one video in order; a broken one is left out, with a log line.

        Args:
            source: One of `sources`.

        Yields:
            0-based frame number, and RGB pixels, uint8, shape (H, W, 3). Of two files with the
            same number, which may be written with any number of digits, the first counts.
        """
        images: dict[int, Path] = {}
        for path in sorted(source.images.iterdir()) if source.images else []:
            if _IMAGE.fullmatch(path.name) and int(path.stem) > 0:
                first = images.setdefault(int(path.stem), path)
                if first != path:
                    _LOG.warning("left out: %s, the image is there as %s", path, first.name)
        for number, path in sorted(images.items()):
            try:
                yield number - 1, read_image(path)
            except MediaError as error:
                _LOG.warning("left out: %s", error)

    def frame_rate(self, source: Source) -> float:
        """Return the average frames/s of the raw video; 30 where there is none.

        Args:
            source: One of `sources`.

        Raises:
            MediaError: There is one, but it cannot be read.
        """
        return source_frame_rate(source)

    def clock(self, source: Source) -> FrameClock:
        """Return the clock of frames at that rate, from the first of the raw video on.

        Args:
            source: One of `sources`.

        Raises:
            MediaError: The raw video cannot be read.
        """
        if source.video is None:
            return FrameClock(DEFAULT_RATE)
        info = VideoFrames(source.video).info
        return FrameClock(info.frame_rate, info.start_s, length_s=info.duration_s)

    def problems(self) -> list[AnnotationError]:
        """List what is there twice, and of each file the first wrong line that names no video."""
        lines = [problem for multi in self._multi.values() if (problem := multi.problem(""))]
        return self._layout.problems + lines

    @cached_property
    def _multi(self) -> Mapping[Split, _MultiTaskFile]:
        return {split: _MultiTaskFile(path) for split, path in self._layout.multi.items()}

    def _moments(
        self,
        name: str,
        clock: FrameClock,
        split: Split,
        label_set: str,
        file_format: FileFormat,
        frames: IntArray,
        labels: TaskLabels,
    ) -> Moments:
        labeled = np.asarray(labels.valid.any(1), np.bool_)
        if clock.length_s is not None:  # an average rate may be a little off at the end
            labeled &= clock.times(frames) < clock.length_s + END_SLACK_S
        frames, labels = frames[labeled], labels.take(labeled)
        columns = np.array(file_format.tasks)
        by_task = {
            key: TaskLabels(labels.values[:, columns == key], labels.valid[:, columns == key])
            for key in dict.fromkeys(file_format.tasks)
        }
        if EXPRESSION.key in by_task:  # one number in the file, a distribution in the table
            number = by_task[EXPRESSION.key]
            classes = one_hot(number.values[:, 0].astype(np.int64))
            valid = np.repeat(number.valid, EXPRESSION.width, axis=1)
            by_task[EXPRESSION.key] = TaskLabels(classes, valid)
        keys: dict[str, Key] = {
            "source": f"{self.name}/{name}",
            "person": f"{self.name}/{name}",
            "track": 0,
            "frame": frames.astype(np.int32),
            "time_s": clock.times(frames),
            "split": split,
            "label_set": label_set,
        }
        return build_moments(len(frames), keys, by_task, self._origin)


class _MultiTaskFile:
    """A multi-task file, its lines sorted by video.

    A file that cannot be read at all has no lines and one problem that names no video.

    Attributes:
        names: Videos that the file's lines name, the wrong lines included.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._lines = read_image_labels(path)
        except AnnotationError as unreadable:
            none = np.empty(0, np.int64)
            labels = TaskLabels.from_nan(np.empty((0, len(MULTI_TASK_FORMAT.values)), np.float32))
            problems = [("", unreadable)]
            self._lines = ImageLabels(np.empty(0, np.object_), none, none, labels, problems)
        self._problems: defaultdict[str, list[AnnotationError]] = defaultdict(list)
        for video, error in self._lines.problems:
            self._problems[video].append(error)
        videos, number = np.unique(self._lines.video.astype(str), return_inverse=True)
        order = np.argsort(number, kind="stable")
        ends = np.searchsorted(number[order], np.arange(len(videos)), side="right")
        self._rows = dict(zip(videos.tolist(), np.split(order, ends), strict=False))
        self.names: set[str] = (self._problems.keys() | self._rows.keys()) - {""}

    def problem(self, name: str) -> AnnotationError | None:
        """The first wrong line that names a video, or none if ``name`` is empty."""
        wrong = self._problems.get(name)
        return blame_first(wrong) if wrong else None

    def rows(self, name: str) -> tuple[IntArray, TaskLabels]:
        """Frames (N,) and labels (N, 15) of a video; lines that repeat another count once.

        Raises:
            AnnotationError: A line that names the video is wrong, or contradicts another.
        """
        if wrong := self.problem(name):
            raise wrong
        rows = self._rows.get(name, np.empty(0, np.int64))
        frames, labels = self._lines.frame[rows], self._lines.labels.take(rows)
        unique, first, again = np.unique(frames, return_index=True, return_inverse=True)
        chosen = labels.take(first)
        same = labels.values == chosen.values[again]
        same &= labels.valid == chosen.valid[again]
        if not same.all():
            row = int(np.flatnonzero(~same.all(1))[0])
            earlier = self._lines.line[rows[first[again[row]]]]
            raise AnnotationError(
                "one line for each image",
                f"other labels for the image of line {earlier}",
                where=f"{self._path}:{self._lines.line[rows[row]]}",
            )
        return unique, chosen
