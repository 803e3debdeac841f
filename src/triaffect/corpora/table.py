"""A table of labels for one's own media: the columns of a prediction table, as a CSV file.

Columns: ``clip`` (a video, image or sound, relative to the table's folder), ``frame`` (from 0),
any label columns of the tasks (a blank cell is not annotated), and as wanted ``face_id`` (blank:
no face; column absent: the first face), ``time_s`` (default: frame / the clip's frame rate),
``split`` (train, validation or test; default train) and ``person`` (default: the clip). Other
columns are passed over, so that a corrected prediction table can be learnt from.

A row with labels of one task belongs to that task's label set, one with more to "MTL".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from triaffect.corpora.rows import (
    MULTI_TASK_SET,
    NO_FACE_TRACK,
    Key,
    build_moments,
    source_frame_rate,
)
from triaffect.errors import AnnotationError, TableError
from triaffect.media.source import read_image
from triaffect.tasks.columns import is_blank, need_columns, read_numbers
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.types import (
    FloatArray,
    IntArray,
    LabelOrigin,
    Moments,
    Source,
    SourceKind,
    Split,
)

FILE_NAME = "labels.csv"
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
SOUND_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".m4a"})


class LabelTable:
    """Reader of a table of labels. The table is checked whole when it is opened.

    Args:
        root: The CSV file, or its folder if it is called ``labels.csv``.
        tasks: The tasks whose label columns are read.

    Raises:
        TableError: A column is missing or a cell holds what it cannot; the message names
            file, row and column.
    """

    name = "table"
    form = f"table of labels: {FILE_NAME}, or any .csv file, with clip, frame and label columns"
    aligned = False

    def __init__(self, root: Path, tasks: Sequence[Task] = TASKS) -> None:
        self.root = root
        self._path, self._tasks = _table_file(root), tasks
        table = _read_table(self._path)
        self._rows = _rows_by_clip(table, self._path)
        self._frames = _whole_numbers(table, "frame", self._path)
        self._tracks = _tracks(table, self._path)
        self._times_s = _optional_numbers(table, "time_s", self._path)
        self._splits = _splits(table, self._path)
        self._persons = _texts(table, "person")
        self._labels = _read_labels(table, tasks, self._path)
        self._labelled = np.any([~np.isnan(v).all(1) for v in self._labels.values()], axis=0)

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether this is a CSV file, or a folder with one called ``labels.csv``."""
        path = _table_file(root)
        return path.suffix.lower() == ".csv" and path.is_file()

    def sources(self) -> list[Source]:
        """List one source a clip, sorted by id."""
        return [self._source(clip) for clip in sorted(self._rows)]

    def moments(self, source: Source) -> Moments:
        """Labels of one clip.

        Raises:
            MediaError: The times are not given and the video that would tell cannot be read.
        """
        rows = self._rows[source.source_id.removeprefix(f"{self.name}/")]
        rows = rows[self._labelled[rows]]
        labels = {key: values[rows] for key, values in self._labels.items()}
        keys: dict[str, Key] = {
            "source": source.source_id,
            "person": [self._persons[row] or source.source_id for row in rows],
            "track": self._tracks[rows].astype(np.int32),
            "frame": self._frames[rows].astype(np.int32),
            "time_s": self._row_times_s(source, rows),
            "split": [self._splits[row] for row in rows],
            "label_set": _label_sets(labels, len(rows)),
        }
        return build_moments(len(rows), keys, labels, LabelOrigin.HUMAN, self._tasks)

    def images(self, source: Source) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield frame 0 and the picture of a clip that is one; nothing for another.

        Raises:
            MediaError: The picture cannot be read.
        """
        if source.images is not None:
            yield 0, read_image(source.images)

    def frame_rate(self, source: Source) -> float:
        """Average frames/s of a video, 30 for anything else.

        Raises:
            MediaError: The video cannot be read.
        """
        return source_frame_rate(source)

    def problems(self) -> list[AnnotationError]:
        """List nothing: a table with a mistake does not open."""
        return []

    def _source(self, clip: str) -> Source:
        path = self._path.parent / clip
        source_id = f"{self.name}/{clip}"
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return Source(source_id, SourceKind.IMAGES, images=path)
        if path.suffix.lower() in SOUND_SUFFIXES:
            return Source(source_id, SourceKind.SOUND, sound=path)
        return Source(source_id, SourceKind.VIDEO, video=path, sound=path)

    def _row_times_s(self, source: Source, rows: IntArray) -> NDArray[np.float64]:
        times_s = self._times_s[rows]
        if np.isnan(times_s).any():
            derived = self._frames[rows] / self.frame_rate(source)
            times_s = np.where(np.isnan(times_s), derived, times_s)
        return times_s


def _table_file(root: Path) -> Path:
    return root / FILE_NAME if root.is_dir() else root


def _read_table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise TableError("a CSV table in UTF-8", str(error).strip(), where=path) from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes what is too much for row names
        raise TableError("as many cells a row as columns", "more", where=path)
    need_columns(table, ("clip", "frame"), str(path))
    return table.fillna("")  # rows that end early


def _rows_by_clip(table: pd.DataFrame, path: Path) -> dict[str, IntArray]:
    clips: dict[str, list[int]] = {}
    for row, clip in enumerate(table["clip"].str.strip()):
        clips.setdefault(clip, []).append(row)
    for clip, rows in clips.items():
        if not _is_inside(clip):
            expected = f"the path of a clip inside {path.parent}"
            raise TableError(expected, repr(clip), where=f"{path}, row {rows[0] + 1}, column clip")
    return {clip: np.array(rows) for clip, rows in clips.items()}


def _is_inside(clip: str) -> bool:
    """Whether a path is relative and never climbs, by the rules of either system."""
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind(clip)
        if not path.name or path.anchor or ".." in path.parts:
            return False
    return True


def _whole_numbers(table: pd.DataFrame, column: str, path: Path) -> IntArray:
    values = read_numbers(table, column, str(path))
    wrong = np.flatnonzero(~((values >= 0) & (values == np.floor(values))))
    if len(wrong):
        row = int(wrong[0])
        got = repr(table[column].iloc[row])
        where = f"{path}, row {row + 1}, column {column}"
        raise TableError("a whole number from 0", got, where=where)
    return values.astype(np.int64)


def _tracks(table: pd.DataFrame, path: Path) -> IntArray:
    if "face_id" not in table.columns:
        return np.zeros(len(table), np.int64)
    given = ~table["face_id"].map(is_blank).to_numpy(bool)
    filled = table.assign(face_id=table["face_id"].where(given, "0"))
    return np.where(given, _whole_numbers(filled, "face_id", path), NO_FACE_TRACK)


def _optional_numbers(table: pd.DataFrame, column: str, path: Path) -> NDArray[np.float64]:
    if column not in table.columns:
        return np.full(len(table), np.nan)
    return read_numbers(table, column, str(path))


def _texts(table: pd.DataFrame, column: str) -> list[str]:
    if column not in table.columns:
        return [""] * len(table)
    return [text.strip() for text in table[column]]


def _splits(table: pd.DataFrame, path: Path) -> list[str]:
    splits = [text.lower() or str(Split.TRAIN) for text in _texts(table, "split")]
    for row, split in enumerate(splits):
        if split not in set(Split):
            where = f"{path}, row {row + 1}, column split"
            raise TableError("one of " + ", ".join(Split), repr(split), where=where)
    return splits


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
