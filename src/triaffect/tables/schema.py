"""The prediction table: its columns, its rows, and its series of one face.

One row a frame and face; a frame without a face has one row with a blank id and box. Numbers
are rounded here, once, so that the table in memory and the file written from it are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.faces.head_pose import head_pose
from triaffect.tasks.task import Task
from triaffect.types import NO_FACE, BoolArray, FloatArray, IntArray

_KEYS = (
    pa.field("clip", pa.string()),
    pa.field("frame", pa.int64()),
    pa.field("time_s", pa.float64()),
    pa.field("face_id", pa.int64()),
)
_BOX = ("box_x", "box_y", "box_w", "box_h")
_POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
_LANDMARKS = tuple(f"{point}_{axis}" for point in _POINTS for axis in "xy")
_POSE = ("head_yaw_deg", "head_pitch_deg", "head_roll_deg")
FACE_COLUMNS = (*_BOX, "detection", *_LANDMARKS, *_POSE, "face_px", "sharpness")
"""Columns about a face itself; blank in the row of a frame without one."""

_FLAGS = (pa.field("face_seen", pa.bool_()), pa.field("voice_heard", pa.bool_()))
_PIXEL_DIGITS, _DEGREE_DIGITS, _DIGITS = 2, 1, 6


@dataclass(frozen=True)
class Instants:
    """Faces and times of rows, one for each face of a frame, or one for a frame without a face.

    Attributes:
        frame: 0-based frame numbers, shape (N,).
        time_s: Seconds from the start, shape (N,).
        track: Face track, `NO_FACE` for none, shape (N,).
        box: x, y, width, height in pixels, NaN for no face, shape (N, 4).
        detection: Detector score in [0, 1], NaN for no face, shape (N,).
        landmarks: Left eye, right eye, nose, left and right mouth corner as the viewer sees
            them, in pixels, NaN for no face, shape (N, 5, 2).
        sharpness: See `triaffect.faces.quality`, NaN for no face, shape (N,).
    """

    frame: IntArray
    time_s: NDArray[np.float64]
    track: IntArray
    box: FloatArray
    detection: FloatArray
    landmarks: FloatArray
    sharpness: FloatArray

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.frame)

    def __getitem__(self, rows: slice | BoolArray) -> Instants:
        """Some of the rows."""
        return Instants(*(values[rows] for values in self._columns()))

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return tuple(getattr(self, field.name) for field in fields(self))

    @staticmethod
    def faceless(frame: IntArray, time_s: NDArray[np.float64]) -> Instants:
        """Rows of frames (N,) in which no face is."""
        n = len(frame)
        blank = np.full((n, 5, 2), np.nan, np.float32)
        none, box = blank[:, 0, 0], blank.reshape(n, 10)[:, :4]
        return Instants(frame, time_s, np.full(n, NO_FACE, np.int64), box, none, blank, none)

    @staticmethod
    def concat(parts: Sequence[Instants]) -> Instants:
        """Join rows in order."""
        columns = zip(*(part._columns() for part in parts), strict=True)
        return Instants(*(np.concatenate(values) for values in columns))


def table_schema(tasks: Sequence[Task]) -> pa.Schema:
    """Arrow schema of the prediction table for these tasks."""
    columns = [*_KEYS, *(pa.field(name, pa.float64()) for name in FACE_COLUMNS)]
    for task in tasks:
        blank = task.decode(np.full((1, task.width), np.nan))
        for name in task.prediction_columns:
            is_text = blank[name].dtype == object
            columns.append(pa.field(name, pa.string() if is_text else pa.float64()))
    return pa.schema([*columns, *_FLAGS])


def printable(path: object) -> str:
    """A path as text that any file can hold: bytes of its name that are no text are marked."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def build_table(
    clip: str,
    instants: Instants,
    predictions: Mapping[str, NDArray[np.floating]],
    voice_active: BoolArray,
    tasks: Sequence[Task],
) -> pa.Table:
    """Put rows together.

    Args:
        clip: The path as the user gave it.
        instants: N rows.
        predictions: Activated predictions by task key, shape (N, K); a NaN row is blank.
        voice_active: Whether a voice sounds around each row, shape (N,).
        tasks: Whose columns to write, in order.
    """
    face_seen = instants.track != NO_FACE
    columns: dict[str, pa.Array] = {
        "clip": pa.array([printable(clip)] * len(instants), pa.string()),
        "frame": pa.array(instants.frame),
        "time_s": _numbers(instants.time_s),
        "face_id": pa.array(instants.track, mask=~face_seen),
        **_face_columns(instants),
        "face_seen": pa.array(face_seen),
        "voice_heard": pa.array(voice_active),
    }
    for task in tasks:
        columns |= task_columns(task, predictions[task.key])
    schema = table_schema(tasks)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _face_columns(instants: Instants) -> dict[str, pa.Array]:
    box, n = instants.box, len(instants)
    pixels = [*zip(_BOX, box.T, strict=True)]
    pixels += zip(_LANDMARKS, instants.landmarks.reshape(n, -1).T, strict=True)
    pixels.append(("face_px", box[:, 2:].min(axis=1)))
    columns = {name: _numbers(values, _PIXEL_DIGITS) for name, values in pixels}
    for name, values in zip(_POSE, head_pose(instants.landmarks).T, strict=True):
        columns[name] = _numbers(values, _DEGREE_DIGITS)
    columns["detection"] = _numbers(instants.detection)
    columns["sharpness"] = _numbers(instants.sharpness, _PIXEL_DIGITS)
    return columns


def task_columns(task: Task, prediction: NDArray[np.floating]) -> dict[str, pa.Array]:
    """A task's columns from activated predictions (N, K), rounded; a NaN row is blank."""
    return {
        name: pa.array(values, pa.string()) if values.dtype == object else _numbers(values)
        for name, values in task.decode(prediction).items()
    }


def number_columns(names: Sequence[str], values: NDArray[np.floating]) -> dict[str, pa.Array]:
    """Columns of numbers (N, K) by name, rounded, blank where NaN."""
    return {name: _numbers(column) for name, column in zip(names, values.T, strict=True)}


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """The table for a user: blank numbers NaN, ``face_id`` a nullable integer."""
    frame: pd.DataFrame = table.to_pandas()
    frame["face_id"] = frame["face_id"].astype("Int64")
    return frame


def _numbers(values: NDArray[np.generic], digits: int = _DIGITS) -> pa.Array:
    rounded = np.round(values.astype(np.float64), digits) + 0.0  # -0.0 becomes 0.0
    return pa.array(rounded, pa.float64(), from_pandas=True)


Times = NDArray[np.float64]
Values = NDArray[np.float64]


def split_segments(tables: Iterable[pa.Table]) -> Iterator[Iterator[pa.Table]]:
    """Parts of a table, grouped into segments of one clip over which time does not fall.

    Each segment must be read to its end before the next is asked for.
    """
    for _, parts in groupby(_numbered(tables), key=itemgetter(0)):
        yield (part for _, part in parts)


def _numbered(tables: Iterable[pa.Table]) -> Iterator[tuple[int, pa.Table]]:
    """Slices that lie within one segment, with the number of the segment."""
    number, clip, time_s = 0, None, -np.inf
    for table in tables:
        if not len(table):
            continue
        clips, times = table["clip"].to_numpy(), times_of(table)
        is_new = clips != np.append(np.array([clip], object), clips[:-1])
        is_new |= times < np.append(time_s, times[:-1])
        cuts = np.flatnonzero(is_new)
        edges = np.unique([0, *cuts, len(table)]).tolist()
        for start, end in pairwise(edges):
            number += bool(is_new[start])
            yield number, table.slice(start, end - start)
        clip, time_s = clips[-1], times[-1]


def times_of(table: pa.Table) -> Times:
    """Seconds from the start, shape (N,)."""
    times: Times = table["time_s"].to_numpy().astype(np.float64)
    return times


def faces_of(table: pa.Table) -> IntArray:
    """Number of the face, `NO_FACE` for none, shape (N,)."""
    faces: IntArray = table["face_id"].cast(pa.int64()).fill_null(NO_FACE).to_numpy()
    return faces


def values_of(table: pa.Table, columns: Sequence[str]) -> Values:
    """Columns of numbers, NaN where blank, shape (N, K)."""
    values = np.empty((len(table), len(columns)))
    for k, name in enumerate(columns):
        values[:, k] = table[name].cast(pa.float64()).to_numpy()
    return values


def rows_by_face(faces: IntArray) -> Iterator[tuple[int, IntArray]]:
    """Each face, or `NO_FACE`, with the numbers of its rows in order."""
    order = np.argsort(faces, kind="stable")
    unique, starts = np.unique(faces[order], return_index=True)
    yield from zip(unique.tolist(), np.split(order, starts[1:]), strict=True)


def with_columns(table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    """The table with columns put at its end; those of the same names give way."""
    result = table.drop_columns([name for name in table.column_names if name in columns])
    for name, values in columns.items():
        result = result.append_column(name, values)
    return result


def tasks_in(names: Sequence[str], tasks: Sequence[Task]) -> tuple[Task, ...]:
    """The tasks of which a table has every column."""
    return tuple(task for task in tasks if set(task.prediction_columns) <= set(names))
