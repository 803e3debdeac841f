"""A table of labels for one's own media: the columns of a prediction table, as CSV or Parquet.

Columns: ``clip`` (a video, image or sound, relative to the table's folder), ``frame`` (from 0) or
``time_s`` or both, any label columns of the tasks (a blank cell is not annotated), and as wanted
``face_id`` (blank: no face; column absent: the first face), ``split`` (train, validation or test;
default train) and ``person`` (default: the clip). Other columns are passed over, so that a
corrected prediction table can be learnt from. A row without a label is no moment.

Times are on the clock of `triaffect.media`: of a row with ``time_s`` alone, the frame is the one
of the video shown nearest to it; with ``frame`` alone, the time is that frame's own time stamp,
and if both are given, both are taken as they are. A time without a picture (before the first
frame, after the last) has no face. A sound's frames are numbered at 30 a second. A picture is
frame 0 at time 0 and needs neither column.

The ``p_`` columns of the expressions are a distribution that adds up to 1, or counts of raters'
votes, which are divided by their number; a row has all of them or none. With an ``expression``
column they are passed over.

A row with labels of one task belongs to that task's label set, one with more to "MTL".
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from triaffect.corpora.clock import FrameClock
from triaffect.corpora.own_media import OwnMedia, media_in
from triaffect.corpora.rows import (
    MULTI_TASK_SET,
    NO_FACE_TRACK,
    Key,
    build_moments,
)
from triaffect.corpora.table_file import CSV, PARQUET, blank_rows, header_of, read_table
from triaffect.corpora.table_rows import (
    check_places,
    clips,
    optional_numbers,
    refuse_contradictions,
    splits,
    texts,
    tracks,
    votes_as_shares,
    whole_numbers,
)
from triaffect.errors import AnnotationError, TableError
from triaffect.media.container import duration_s, opened
from triaffect.media.suffixes import kind_by_name
from triaffect.tasks.columns import cell, need_columns, shown
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.types import (
    BoolArray,
    FloatArray,
    IntArray,
    LabelOrigin,
    Moments,
    Source,
    SourceKind,
)

FILE_NAMES = ("labels.csv", "labels.parquet")

_NUMBERS, _TEXTS = ("frame", "time_s", "face_id"), ("clip", "person", "split")
_PREDICTED = ("box_x", "box_y", "box_w", "box_h", "detection", "face_seen", "voice_heard")
"""What else a prediction table has."""

_GUESSED = 20
"""Of so many clips that are not there it is guessed which file may be meant."""

_SLACK_S = 1.0
"""A time so long after the end of a clip is of another clip, or in other units than seconds."""


class LabelTable(OwnMedia):
    """Reader of a table of labels. The table is checked whole when it is opened.

    What only a clip's file can tell, such as how many frames it has, is checked when the labels
    of that clip are asked for.

    Args:
        root: The CSV or Parquet file, or its folder if it is called ``labels.csv`` or
            ``labels.parquet``.
        tasks: The tasks whose label columns are read.

    Raises:
        TableError: A column is missing or a cell holds what it cannot; the message names
            file, row and column.
    """

    name = "table"
    form = (
        f"table of labels: {' or '.join(FILE_NAMES)}, or any {CSV} or {PARQUET} file, with clip, "
        "frame or time_s, and label columns"
    )

    def __init__(self, root: Path, tasks: Sequence[Task] = TASKS) -> None:
        super().__init__()
        self.root = root
        self._path, self._tasks = _table_file(root), tasks
        columns = [column for task in tasks for column in task.prediction_columns]
        measured = {column for task in tasks for column in task.columns}
        words = [column for column in columns if column not in measured]
        table = read_table(self._path, (*_NUMBERS, *measured), (*_TEXTS, *words))
        where = str(self._path)
        need_columns(table, ("clip",), where)
        blank = blank_rows(table)
        self._rows = clips(table, blank, self._path)
        self._frames = whole_numbers(table, "frame", where)
        self._times_s = optional_numbers(table, "time_s", where)
        self._tracks = tracks(table, where)
        self._splits = splits(table, where)
        self._persons = texts(table, "person")
        self._labels = _read_labels(votes_as_shares(table, tasks, where), tasks, self._path)
        self._labelled = np.any([~np.isnan(v).all(1) for v in self._labels.values()], axis=0)
        places = {"frame": self._frames, "time_s": self._times_s}
        check_places(places, self._labelled, self._pictures(len(table)), where)

    @property
    def passed_over(self) -> list[str]:
        """Columns that are neither read nor of a prediction table: perhaps labels, misspelt."""
        labels = {column for task in self._tasks for column in task.prediction_columns}
        known = labels.union(*(task.columns for task in self._tasks), _NUMBERS, _TEXTS, _PREDICTED)
        return [name for name in header_of(self._path) if name not in known]

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether this is a CSV or Parquet file, or a folder with one of the known names."""
        path = _table_file(root)
        return path.suffix.lower() in (CSV, PARQUET) and path.is_file()

    def sources(self) -> list[Source]:
        """List one source a clip, sorted by id."""
        return [self._source(self._path.parent, clip) for clip in sorted(self._rows)]

    def moments(self, source: Source) -> Moments:
        """Labels of one clip.

        Raises:
            AnnotationError: Frame or time is not given and the clip that would tell is not there.
            MediaError: Or it cannot be read.
            TableError: A frame or time that the clip does not have, or rows of one moment
                whose labels contradict each other.
        """
        rows = self._rows[source.source_id.removeprefix(f"{self.name}/")]
        rows = rows[self._labelled[rows]]
        labels = {key: values[rows] for key, values in self._labels.items()}
        frames, times_s, seen = self._places(source, rows)
        refuse_contradictions(labels, (frames, times_s, self._tracks[rows]), rows, str(self._path))
        keys: dict[str, Key] = {
            "source": source.source_id,
            "person": [self._persons[row] or source.source_id for row in rows],
            "track": np.where(seen, self._tracks[rows], NO_FACE_TRACK).astype(np.int32),
            "frame": frames.astype(np.int32),
            "time_s": times_s,
            "split": [self._splits[row] for row in rows],
            "label_set": _label_sets(labels, len(rows)),
        }
        return build_moments(len(rows), keys, labels, LabelOrigin.HUMAN, self._tasks)

    def problems(self) -> list[AnnotationError]:
        """List the clips that are not there, each with its first row."""
        return list(self._missing.values())

    @cached_property
    def _missing(self) -> dict[str, AnnotationError]:
        """What is wrong with each clip that is not there."""
        folder = self._path.parent
        missing: dict[str, AnnotationError] = {}
        absent = [clip for clip in self._rows if not (folder / clip).exists()]
        there = [file.relative_to(folder).as_posix() for file in media_in(folder)] if absent else []
        for clip in absent:
            near = get_close_matches(clip, there, 1) if len(missing) < _GUESSED else []
            remedy = f"did you mean {near[0]}?" if near else "check the path"
            where = cell(str(self._path), int(self._rows[clip][0]), "clip")
            missing[clip] = AnnotationError(f"a file in {folder}", shown(clip), remedy, where=where)
        return missing

    def _check_there(self, source: Source) -> None:
        clip = source.source_id.removeprefix(f"{self.name}/")
        if clip in self._missing:
            raise self._missing[clip]

    def _pictures(self, count: int) -> BoolArray:
        """Which rows are of a picture, shape (rows,)."""
        pictures = np.zeros(count, np.bool_)
        for clip, rows in self._rows.items():
            pictures[rows] = kind_by_name(Path(clip).suffix) is SourceKind.IMAGES
        return pictures

    def _places(
        self, source: Source, rows: IntArray
    ) -> tuple[IntArray, NDArray[np.float64], BoolArray]:
        """Frame, time and whether there is a picture then, of each row of a clip."""
        frames, times_s = self._frames[rows], self._times_s[rows]
        seen = np.ones(len(rows), np.bool_)
        if source.images is not None:
            return np.zeros(len(rows), np.int64), np.zeros(len(rows)), seen
        timed, framed = ~np.isnan(times_s), ~np.isnan(frames)
        if timed.all() and framed.all():
            return frames.astype(np.int64), times_s, seen
        clock = self.clock(source)
        self._check_frames(clock, frames, rows)
        if (timed & ~framed).any():
            self._check_times(source, clock, times_s, rows)
        seen[~framed] = clock.is_shown(times_s[~framed])
        frames[~framed] = clock.frames(times_s[~framed])
        times_s[~timed] = clock.times(frames[~timed].astype(np.int64))
        return frames.astype(np.int64), times_s, seen

    def _check_frames(self, clock: FrameClock, frames: NDArray[np.float64], rows: IntArray) -> None:
        after = np.flatnonzero(frames >= len(clock.times_s))
        if len(after) and len(clock.times_s):
            where = cell(str(self._path), int(rows[after[0]]), "frame")
            expected = f"a frame of the video, from 0 to {len(clock.times_s) - 1}"
            raise TableError(expected, f"{frames[after[0]]:g}", where=where)

    def _check_times(
        self, source: Source, clock: FrameClock, times_s: NDArray[np.float64], rows: IntArray
    ) -> None:
        self._check_there(source)
        end_s = _end_s(source, clock)
        # The length of a sound without an index is estimated from its first seconds.
        latest_s = (end_s or np.inf) * (1 if len(clock.times_s) else 2) + _SLACK_S
        after = np.flatnonzero(times_s > latest_s)
        if len(after):
            where = cell(str(self._path), int(rows[after[0]]), "time_s")
            expected = f"seconds from the start of a clip that ends at {end_s:.2f} s"
            raise TableError(expected, f"{times_s[after[0]]:g}", where=where)


def _table_file(root: Path) -> Path:
    if not root.is_dir():
        return root
    there = [root / name for name in FILE_NAMES if (root / name).is_file()]
    if len(there) > 1:
        raise TableError(
            f"one of {' and '.join(FILE_NAMES)}", "both", "give the file itself", where=root
        )
    return there[0] if there else root / FILE_NAMES[0]


def _end_s(source: Source, clock: FrameClock) -> float | None:
    """When a clip ends, as far as its file says."""
    path = source.video or source.sound
    assert path is not None  # noqa: S101 - a picture has no such times
    with opened(path) as container:
        declared_s = duration_s(container)
    return max(declared_s or 0.0, clock.end_s) if len(clock.times_s) else declared_s


def _read_labels(table: pd.DataFrame, tasks: Sequence[Task], path: Path) -> dict[str, FloatArray]:
    """Labels (rows, K) by task key, NaN where not annotated."""
    labels = {}
    for task in tasks:
        targets = task.read_labels(table, str(path))
        if targets.valid.any():
            labels[task.key] = np.where(targets.valid, targets.values, np.float32(np.nan))
    if not labels:
        columns = ", ".join(column for task in tasks for column in task.prediction_columns)
        raise TableError(f"a label in at least one of {columns}", "none", where=path)
    return labels


def _label_sets(labels: dict[str, FloatArray], rows: int) -> list[str]:
    sets = np.full(rows, MULTI_TASK_SET, dtype=object)
    given = {key: ~np.isnan(values).all(1) for key, values in labels.items()}
    alone = np.sum(list(given.values()), axis=0) == 1
    for key, has in given.items():
        sets[has & alone] = key
    return list(sets)
