"""A table of labels for one's own media: the columns of a prediction table, as CSV or Parquet.

The file is read as `triaffect.corpora.table_file` says.

Columns: ``clip`` (a video, image or sound, relative to the table's folder), ``frame`` (from 0) or
``time_s`` or both, any label columns of the tasks (a blank cell is not annotated), and as wanted
``face_id`` (blank: no face; column absent: the first face), ``split`` (train, validation or test;
default train) and ``person`` (default: the clip). Other columns are passed over, so that a
corrected prediction table can be learnt from. A row without a label is no moment.

Times are on the clock of `triaffect.media`: of a row with ``time_s`` alone, the frame is the one
of the video shown nearest to it; with ``frame`` alone, the time is that frame's own time stamp,
and if both are given, both are taken as they are. A time without a picture (before the first
frame, after the last) has no face. A sound's frames are numbered at 30 a second. A picture is
frame 0 at time 0 and needs neither column. A row of a video or sound with neither labels the whole
clip: it is learned from at every half second of its middle half (`middle_times_s`), as a spoken
sentence's beginning and end say little.

The ``p_`` columns of the expressions are a distribution that adds up to 1, or counts of raters'
votes, which are divided by their number; a row has all of them or none. With an ``expression``
column they are passed over.

A row with labels of one task belongs to that task's label set, one with more to "MTL".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from itertools import compress
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from triaffect.corpora.acted_speech import middle_times_s
from triaffect.corpora.frame_clock import FrameClock
from triaffect.corpora.media_folder import CSV, PARQUET, OwnMedia, can_be_clip, media_in
from triaffect.corpora.rows import (
    MULTI_TASK_SET,
    Key,
    TaskLabels,
    build_moments,
)
from triaffect.corpora.table_file import (
    blank_rows,
    optional_numbers,
    read_header,
    read_table,
    texts,
)
from triaffect.errors import AnnotationError, MediaError, TableError
from triaffect.media.container import duration_s, open_container
from triaffect.media.find import kind_by_name
from triaffect.tasks.expression import EXPRESSION
from triaffect.tasks.registry import available_tasks
from triaffect.tasks.task import (
    Task,
    cell,
    need_columns,
    read_numbers,
    shown,
    targets_of,
)
from triaffect.types import (
    CORPUS_SPLITS,
    NO_FACE,
    BoolArray,
    IntArray,
    LabelOrigin,
    Moments,
    Source,
    SourceKind,
    Split,
)


def clips(table: pd.DataFrame, path: Path) -> dict[str, IntArray]:
    """Find the rows of each clip; one that is blank in every column is no clip's.

    Args:
        table: The table, with a column ``clip``.
        path: Its file; clips are named relative to its folder.

    Returns:
        By the clip's path, with slashes and without steps such as ``./``: numbers of its rows.

    Raises:
        TableError: A path is empty, absolute, or leads out of the table's folder.
    """
    rows: dict[str, list[int]] = {}
    plain: dict[str, str] = {}
    names = texts(table, "clip")
    for row in np.flatnonzero(~blank_rows(table)).tolist():
        clip = names[row]
        if clip not in plain:
            if not can_be_clip(clip):
                where = cell(str(path), row, "clip")
                raise TableError(
                    f"the path of a clip inside {path.parent}", shown(clip), where=where
                )
            plain[clip] = PurePosixPath(clip).as_posix()
        rows.setdefault(plain[clip], []).append(row)
    return {clip: np.array(numbers) for clip, numbers in rows.items()}


def splits(table: pd.DataFrame, where: str) -> list[str]:
    """Read the split of each row; train where the cell is blank or the column is not there.

    Args:
        table: The table.
        where: The file, for messages.

    Returns:
        Names of splits in small letters, one a row.

    Raises:
        TableError: A cell names no split.
    """
    names = set(CORPUS_SPLITS)
    named = [text.lower() or str(Split.TRAIN) for text in texts(table, "split")]
    for row, split in enumerate(named):
        if split not in names:
            where = cell(where, row, "split")
            raise TableError("one of " + ", ".join(CORPUS_SPLITS), shown(split), where=where)
    return named


def votes_as_shares(table: pd.DataFrame, tasks: Sequence[Task], where: str) -> pd.DataFrame:
    """Divide counts of votes for the expressions by their number.

    Rows whose cells are whole numbers that add up to more than 1 are votes.

    Args:
        table: The table.
        tasks: The tasks that are read; nothing is done if the expression is none of them.
        where: The file, for messages.

    Returns:
        The table with distributions in place of votes; the same one if it has an ``expression``
        column, or none of the ``p_`` columns.

    Raises:
        TableError: A row, or the table, has some of the columns only.
    """
    columns = EXPRESSION.columns
    if EXPRESSION not in tasks or EXPRESSION.name in table.columns:
        return table
    if not set(columns) & set(table.columns):
        return table
    need_columns(table, columns, where)
    values = np.stack([read_numbers(table, column, where) for column in columns], axis=1)
    blank = np.isnan(values)
    partial = np.flatnonzero(blank.any(1) & ~blank.all(1))
    if len(partial):
        row = int(partial[0])
        column = columns[int(blank[row].argmax())]
        remedy = "write 0 for what nobody chose"
        raise TableError(f"all of {columns[0]} to {columns[-1]}, or none", "a blank cell", remedy,
                         where=cell(where, row, column))  # fmt: skip
    total = values.sum(1, keepdims=True)
    votes = (values == np.floor(values)).all(1) & (values >= 0).all(1) & (total[:, 0] > 1)
    values[votes] /= total[votes]
    return table.assign(**dict(zip(columns, values.T, strict=True)))


def refuse_contradictions(
    labels: Mapping[str, TaskLabels],
    instant: Sequence[NDArray[np.generic]],
    rows: IntArray,
    where: str,
) -> None:
    """See that rows of one moment of one face do not differ in a label.

    Args:
        labels: Labels of N rows by task key.
        instant: Frame, time and face of each row, shape (N,) each.
        rows: The rows' numbers in the table, shape (N,).
        where: The table, for the message.

    Raises:
        TableError: Two rows contradict each other.
    """
    _, moment = np.unique(np.stack(instant), axis=1, return_inverse=True)
    for each in labels.values():
        for column, valid in zip(each.values.T, each.valid.T, strict=True):
            labeled = np.flatnonzero(valid)
            order = labeled[np.lexsort((labeled, moment[labeled]))]
            again = (moment[order][1:] == moment[order][:-1]) & (
                column[order][1:] != column[order][:-1]
            )
            if again.any():
                first, second = (int(rows[order[np.flatnonzero(again)[0] + k]]) for k in (0, 1))
                raise TableError(
                    "one label for each moment of a face",
                    f"another one than in row {first + 1}",
                    "leave one of the two rows out",
                    where=f"{where}, row {second + 1}",
                )


FILE_NAMES = ("labels.csv", "labels.parquet")

_NUMBERS, _TEXTS = ("frame", "time_s", "face_id"), ("clip", "person", "split")
_KEYS = ("clip",)
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
        unlabeled: Whether it may be without labels, which other programs' tables have then.

    Raises:
        TableError: A column is missing or a cell holds what it cannot; the message names
            file, row and column.
    """

    name = "table"
    description = (
        f"table of labels: {' or '.join(FILE_NAMES)}, or any {CSV} or {PARQUET} file, with clip, "
        "frame or time_s, and label columns"
    )

    def __init__(
        self, root: Path, tasks: Sequence[Task] | None = None, *, unlabeled: bool = False
    ) -> None:
        super().__init__()
        self.root = root
        tasks = tasks or available_tasks()
        self._path, self._tasks = _table_file(root), tasks
        columns = [column for task in tasks for column in task.prediction_columns]
        measured = {column for task in tasks for column in task.columns}
        words = [column for column in columns if column not in measured]
        table = read_table(self._path, (*_NUMBERS, *measured), (*_TEXTS, *words), _KEYS)
        where = str(self._path)
        need_columns(table, ("clip",), where)
        self._rows = clips(table, self._path)
        self._frames = optional_numbers(table, "frame", where, whole=True)
        self._times_s = optional_numbers(table, "time_s", where)
        faces = optional_numbers(table, "face_id", where, whole=True)
        faceless = NO_FACE if "face_id" in table.columns else 0  # the first face, if not said
        self._tracks = np.where(np.isnan(faces), faceless, faces).astype(np.int64)
        self._splits = splits(table, where)
        self._persons = texts(table, "person")
        self._labels = _read_labels(votes_as_shares(table, tasks, where), tasks, where)
        if not self._labels and not unlabeled:
            raise TableError(
                f"a label in at least one of {', '.join(columns)}",
                "none",
                "name a column so, or map another: extract --labels-from MAPPING.toml=TABLE.csv",
                where=where,
            )
        self._labeled = np.zeros(len(table), np.bool_)
        for each in self._labels.values():
            self._labeled |= each.valid.any(1)
        self._check_moments(where)

    @property
    def passed_over(self) -> list[str]:
        """Names of columns neither read nor of a prediction table: perhaps labels, misspelt."""
        labels = {column for task in self._tasks for column in task.prediction_columns}
        columns = (task.columns for task in self._tasks)
        names = labels.union(*columns, _NUMBERS, _TEXTS, _PREDICTED)
        return [name for name in read_header(self._path, _KEYS) if name not in names]

    @classmethod
    def recognizes(cls, root: Path) -> bool:
        """Return whether a path is of this corpus's form.

        Args:
            root: A CSV or Parquet file, or a folder with one of `FILE_NAMES`.
        """
        path = _table_file(root)
        return path.suffix.lower() in (CSV, PARQUET) and path.is_file()

    def sources(self) -> list[Source]:
        """List one source a clip, sorted by id."""
        return [self._source(self._path.parent, clip) for clip in sorted(self._rows)]

    def moments(self, source: Source) -> Moments:
        """Read the labels of one clip.

        Args:
            source: One of `sources`.

        Returns:
            Its labeled rows, in the table's order.

        Raises:
            AnnotationError: Frame or time is not given and the clip that would tell is not there.
            MediaError: Or it cannot be read.
            TableError: A frame or time that the clip does not have, or rows of one moment
                whose labels contradict each other.
        """
        rows = self._rows[source.source_id.removeprefix(f"{self.name}/")]
        rows, times_s = self._spread(source, rows[self._labeled[rows]])
        labels = {key: each.take(rows) for key, each in self._labels.items()}
        frames, times_s, seen = self._instants(source, rows, times_s)
        refuse_contradictions(labels, (frames, times_s, self._tracks[rows]), rows, str(self._path))
        sets = np.full(len(rows), MULTI_TASK_SET, dtype=object)
        labeled = {key: each.valid.any(1) for key, each in labels.items()}
        single = np.sum(list(labeled.values()), axis=0) == 1
        for key, has in labeled.items():
            sets[has & single] = key
        keys: dict[str, Key] = {
            "source": source.source_id,
            "person": [self._persons[row] or source.source_id for row in rows],
            "track": np.where(seen, self._tracks[rows], NO_FACE).astype(np.int32),
            "frame": frames.astype(np.int32),
            "time_s": times_s,
            "split": [self._splits[row] for row in rows],
            "label_set": list(sets),
        }
        return build_moments(len(rows), keys, labels, LabelOrigin.HUMAN, self._tasks)

    def people(self, source: Source, frames: IntArray) -> list[tuple[str, str] | None]:
        """Find out whose face is the first one at frames that the table need not label.

        Args:
            source: One of `sources`.
            frames: 0-based numbers, shape (N,).

        Returns:
            Person and split at each: those of all rows of the clip's first face, or of any face
            where none is of the first; where the rows differ, those of the row of that frame, and
            None without one.

        Raises:
            AnnotationError: The clip that would tell a time's frame is not there.
            MediaError: Or it cannot be read.
            TableError: A frame or time that the clip does not have.
        """
        rows = self._rows[source.source_id.removeprefix(f"{self.name}/")]
        first = rows[self._tracks[rows] == 0]
        rows = first if len(first) else rows
        people = [(self._persons[row] or source.source_id, self._splits[row]) for row in rows]
        if len(set(people)) == 1:
            return [people[0]] * len(frames)
        is_timed = ~(np.isnan(self._times_s[rows]) & np.isnan(self._frames[rows]))
        timed = rows[is_timed]
        at = self._instants(source, timed, self._times_s[timed])[0].tolist()
        by_frame = dict(zip(at, compress(people, is_timed), strict=True))
        return [by_frame.get(frame) for frame in frames.tolist()]

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

    def _check_moments(self, where: str) -> None:
        """Check that no labeled row of a picture says another moment than 0.

        Raises:
            TableError: One does.
        """
        instants = {"frame": self._frames, "time_s": self._times_s}
        pictures = np.zeros(len(self._frames), np.bool_)
        for clip, rows in self._rows.items():
            pictures[rows] = kind_by_name(Path(clip).suffix) is SourceKind.IMAGES
        for column, values in instants.items():
            wrong = np.flatnonzero(self._labeled & pictures & (values > 0))
            if len(wrong):
                row = int(wrong[0])
                got = f"{values[row]:g}"
                raise TableError("0 or blank for a picture", got, where=cell(where, row, column))

    def _spread(self, source: Source, rows: IntArray) -> tuple[IntArray, NDArray[np.float64]]:
        """Repeat rows that label a whole clip for its moments; rows and the times they say."""
        times_s = self._times_s[rows]
        whole = np.isnan(times_s) & np.isnan(self._frames[rows])
        if source.images is not None or not whole.any():
            return rows, times_s
        self._check_there(source)
        middle_s = whole_clip_times_s(source, self.clock(source))
        counts = np.where(whole, len(middle_s), 1)
        spread_s = np.repeat(times_s, counts)
        spread_s[np.repeat(whole, counts)] = np.tile(middle_s, int(whole.sum()))
        return np.repeat(rows, counts), spread_s

    def _instants(
        self, source: Source, rows: IntArray, times_s: NDArray[np.float64]
    ) -> tuple[IntArray, NDArray[np.float64], BoolArray]:
        """Frame, time and whether there is a picture then, of each row of a clip."""
        frames, times_s = self._frames[rows], times_s.copy()
        seen = np.ones(len(rows), np.bool_)
        if source.images is not None:
            return np.zeros(len(rows), np.int64), np.zeros(len(rows)), seen
        timed, framed = ~np.isnan(times_s), ~np.isnan(frames)
        if timed.all() and framed.all():
            return frames.astype(np.int64), times_s, seen
        clock = self.clock(source)
        after = np.flatnonzero(frames >= len(clock.times_s))
        if len(after) and len(clock.times_s):
            where = cell(str(self._path), int(rows[after[0]]), "frame")
            expected = f"a frame of the video, from 0 to {len(clock.times_s) - 1}"
            raise TableError(expected, f"{frames[after[0]]:g}", where=where)
        if (timed & ~framed).any():
            self._check_times(source, clock, times_s, rows)
        seen[~framed] = clock.is_shown(times_s[~framed])
        frames[~framed] = clock.frames(times_s[~framed])
        times_s[~timed] = clock.times(frames[~timed].astype(np.int64))
        return frames.astype(np.int64), times_s, seen

    def _check_times(
        self, source: Source, clock: FrameClock, times_s: NDArray[np.float64], rows: IntArray
    ) -> None:
        """Check that no time is long after the end of the clip, as far as its file says that."""
        self._check_there(source)
        path = source.video or source.sound
        assert path is not None  # noqa: S101 - a picture has no such times
        with open_container(path) as container:
            end_s = duration_s(container)
        if len(clock.times_s):
            end_s = max(end_s or 0.0, clock.end_s)
        # The length of a sound without an index is estimated from its first seconds.
        latest_s = (end_s or np.inf) * (1 if len(clock.times_s) else 2) + _SLACK_S
        after = np.flatnonzero(times_s > latest_s)
        if len(after):
            where = cell(str(self._path), int(rows[after[0]]), "time_s")
            expected = f"seconds from the start of a clip that ends at {end_s:.2f} s"
            raise TableError(expected, f"{times_s[after[0]]:g}", where=where)


def whole_clip_times_s(source: Source, clock: FrameClock) -> NDArray[np.float64]:
    """List the moments from which a label of a whole video or sound is learned.

    Args:
        source: The video or sound.
        clock: Its clock.

    Returns:
        Seconds from its start, as of `middle_times_s`, shape (N,).

    Raises:
        MediaError: The file cannot be read, or does not say how long it is.
    """
    path = source.video or source.sound
    assert path is not None  # noqa: S101 - what is no picture is one of them
    with open_container(path) as container:
        seconds = duration_s(container) or 0.0
    if len(clock.times_s):
        seconds = clock.end_s or seconds
    if not seconds:
        raise MediaError("a clip of a length that can be told", "none", where=path)
    return middle_times_s(seconds)


def _table_file(root: Path) -> Path:
    if not root.is_dir():
        return root
    there = [root / name for name in FILE_NAMES if (root / name).is_file()]
    if len(there) > 1:
        raise TableError(
            f"one of {' and '.join(FILE_NAMES)}", "both", "give the file itself", where=root
        )
    return there[0] if there else root / FILE_NAMES[0]


def _read_labels(table: pd.DataFrame, tasks: Sequence[Task], where: str) -> dict[str, TaskLabels]:
    """Labels of all rows by task key, of the tasks that have any."""
    labels = {}
    for task in tasks:
        targets = targets_of(task.read_values(table, where))
        if targets.valid.any():
            labels[task.key] = TaskLabels(targets.values, targets.valid)
    return labels
