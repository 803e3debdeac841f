"""The prediction table: its columns, its rows, and its series of one face.

One row a frame and face; a frame without a face has one row with a blank id and box. Numbers
are rounded here, once, so that the table in memory and the file written from it are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.errors import printable
from triaffect.faces.head_pose import head_pose
from triaffect.tasks.task import Task
from triaffect.types import NO_FACE, BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

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

_FLAGS = (
    pa.field("face_seen", pa.bool_()),
    pa.field("voice_heard", pa.bool_()),
    pa.field("window_share", pa.float64()),
)
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
        """Return some of the rows: a slice, or those where a mask of shape (N,) is true."""
        return Instants(*(values[rows] for values in self._columns()))

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return tuple(getattr(self, field.name) for field in fields(self))

    @staticmethod
    def faceless(frame: IntArray, time_s: NDArray[np.float64]) -> Instants:
        """Return rows of frames in which no face is.

        Args:
            frame: 0-based frame numbers, shape (N,).
            time_s: Seconds from the start, shape (N,).

        Returns:
            A row for each, without a track, its numbers NaN.
        """
        n = len(frame)
        blank = np.full((n, 5, 2), np.nan, np.float32)
        none, box = blank[:, 0, 0], blank.reshape(n, 10)[:, :4]
        return Instants(frame, time_s, np.full(n, NO_FACE, np.int64), box, none, blank, none)

    @staticmethod
    def concat(parts: Sequence[Instants]) -> Instants:
        """Join rows.

        Args:
            parts: At least one; their rows stay in order.
        """
        columns = zip(*(part._columns() for part in parts), strict=True)
        return Instants(*(np.concatenate(values) for values in columns))


def table_schema(tasks: Sequence[Task]) -> pa.Schema:
    """Compute the Arrow schema of the prediction table.

    >>> from triaffect.tasks.registry import TASKS
    >>> table_schema(TASKS[:1]).names[-4:]
    ['arousal', 'face_seen', 'voice_heard', 'window_share']

    Args:
        tasks: What is predicted, in the order of the columns.

    Returns:
        Keys, box, landmarks, pose and quality of the face, columns of the tasks, and what the
        predictions rest on.
    """
    columns = [*_KEYS, *(pa.field(name, pa.float64()) for name in FACE_COLUMNS)]
    for task in tasks:
        blank = task.decode(np.full((1, task.width), np.nan))
        for name in task.prediction_columns:
            is_text = blank[name].dtype == object
            columns.append(pa.field(name, pa.string() if is_text else pa.float64()))
    return pa.schema([*columns, *_FLAGS])


def build_table(
    clips: str | Sequence[str],
    instants: Instants,
    predictions: Mapping[str, NDArray[np.floating]],
    voice_active: BoolArray,
    tasks: Sequence[Task],
    window_share: FloatArray,
) -> pa.Table:
    """Build a prediction table.

    Args:
        clips: The path as the user gave it; or that of each row.
        instants: N rows.
        predictions: Activated predictions by task key, shape (N, K); a NaN row is blank.
        voice_active: Whether a voice sounds around each row, shape (N,).
        tasks: Whose columns to write, in order.
        window_share: Share of the network's window in which the face of each row was seen, in
            [0, 1], shape (N,). It is blank in a row without a face.

    Returns:
        N rows with the columns of `table_schema`, numbers rounded as in every file.
    """
    face_seen, n, box = instants.track != NO_FACE, len(instants), instants.box
    names = [printable(clips)] * n if isinstance(clips, str) else list(map(printable, clips))
    pixels = [*zip(_BOX, box.T, strict=True)]
    pixels += zip(_LANDMARKS, instants.landmarks.reshape(n, -1).T, strict=True)
    pixels += [("face_px", box[:, 2:].min(axis=1)), ("sharpness", instants.sharpness)]
    degrees = zip(_POSE, head_pose(instants.landmarks).T, strict=True)
    columns: dict[str, pa.Array] = {
        "clip": text_column(names),
        "frame": column(instants.frame),
        "time_s": round_numbers(instants.time_s),
        "face_id": column(instants.track, face_seen),
        "detection": round_numbers(instants.detection),
        **{name: round_numbers(values, _PIXEL_DIGITS) for name, values in pixels},
        **{name: round_numbers(values, _DEGREE_DIGITS) for name, values in degrees},
        "face_seen": column(face_seen),
        "voice_heard": column(voice_active),
        "window_share": round_numbers(np.where(face_seen, window_share, np.nan)),
    }
    for task in tasks:
        columns |= task_columns(task, predictions[task.key])
    schema = table_schema(tasks)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def task_columns(task: Task, prediction: NDArray[np.floating]) -> dict[str, pa.Array]:
    """Compute a task's columns.

    Args:
        task: The task.
        prediction: Activated predictions, shape (N, K); a NaN row is blank.

    Returns:
        N values by column name: rounded numbers, or the name of a class as text.
    """
    return {
        name: text_column(values) if values.dtype == object else round_numbers(values)
        for name, values in task.decode(prediction).items()
    }


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """Convert a table for a user.

    Args:
        table: A prediction table, or a summary of one.

    Returns:
        The same rows: blank numbers NaN, ``face_id`` a nullable integer.
    """
    frame: pd.DataFrame = table.to_pandas()
    frame["face_id"] = frame["face_id"].astype("Int64")
    return frame


def round_numbers(values: NDArray[np.generic], digits: int = _DIGITS) -> pa.Array:
    """Round a column of numbers as every table has them.

    >>> round_numbers(np.array([0.12345678, np.nan, -0.0])).to_pylist()
    [0.123457, None, 0.0]

    Args:
        values: Numbers, NaN where blank, shape (N,).
        digits: Decimal digits that stay.

    Returns:
        N numbers as float64, null where blank.
    """
    rounded = np.round(values.astype(np.float64), digits) + 0.0  # -0.0 becomes 0.0
    return column(rounded, ~np.isnan(rounded))


def column(values: NDArray[np.generic], valid: BoolArray | None = None) -> pa.Array:
    """Make a column of numbers or flags.

    Not by `pa.array`, whose first call imports pandas: a third of the time of a start.

    >>> column(np.array([1.5, 2.5]), np.array([True, False])).to_pylist()
    [1.5, None]

    Args:
        values: Integers, floats or bools, shape (N,).
        valid: False where blank, shape (N,); None for no blanks.

    Returns:
        N values of the same type.
    """
    values = np.ascontiguousarray(values)
    is_bool = values.dtype == np.bool_
    kind = pa.from_numpy_dtype(values.dtype)
    data = np.packbits(values.astype(np.bool_), bitorder="little") if is_bool else values
    blanks = None
    if valid is not None and not valid.all():
        blanks = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [blanks, pa.py_buffer(data)])


def text_column(texts: Iterable[str | None]) -> pa.Array:
    """Make a column of texts, as `column` does.

    >>> text_column(["a", None, "é"]).to_pylist()
    ['a', None, 'é']

    Args:
        texts: Texts, None where blank.

    Returns:
        The texts.
    """
    texts = list(texts)
    encoded = [b"" if text is None else text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    valid = np.packbits([text is not None for text in texts], bitorder="little")
    buffers = [valid, ends, np.frombuffer(b"".join(encoded) or b" ", np.uint8)]
    return pa.Array.from_buffers(pa.string(), len(texts), [pa.py_buffer(each) for each in buffers])


Times = NDArray[np.float64]
Values = NDArray[np.float64]


def split_segments(tables: Iterable[pa.Table]) -> Iterator[Iterator[pa.Table]]:
    """Split a table that comes in parts into segments of one clip over which time does not fall.

    >>> clips, times = ["a", "a", "a", "b"], [0.0, 1.0, 0.5, 0.6]
    >>> table = pa.table({"clip": clips, "time_s": times})
    >>> [[len(part) for part in segment] for segment in split_segments([table[:1], table[1:]])]
    [[1, 1], [1], [1]]

    Args:
        tables: Parts of a table with the columns ``clip`` and ``time_s``.

    Yields:
        The parts of each segment. It must be read to its end before the next is taken.
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


def row_order(table: pa.Table) -> NDArray[np.intp] | None:
    """Find the order in which a table's rows are clip by clip and rising in time.

    >>> clips, times = ["a", "b", "a"], [1.0, 0.0, 0.5]
    >>> row_order(pa.table({"clip": clips, "time_s": times, "face_id": [0, 0, 0]})).tolist()
    [2, 0, 1]

    Args:
        table: N rows with the columns ``clip``, ``time_s`` and ``face_id``.

    Returns:
        Numbers of the rows, shape (N,). None if they are in that order; and if a face is there
        twice at one time, as in recordings of one name after another, which are not mixed.
    """
    clips = np.asarray(table["clip"].combine_chunks().dictionary_encode().indices.fill_null(-1))
    times, faces = times_of(table), faces_of(table)
    is_next = clips[1:] != clips[:-1]
    is_grouped = is_next.sum() < len(np.unique(clips))
    if len(clips) < 2 or (is_grouped and not (~is_next & (times[1:] < times[:-1])).any()):  # noqa: PLR2004
        return None
    order = np.lexsort((faces, times, clips))
    keys = np.stack([clips, times, faces])[:, order]
    return None if (keys[:, 1:] == keys[:, :-1]).all(axis=0).any() else order


def times_of(table: pa.Table) -> Times:
    """Return the times of a table's rows.

    Args:
        table: N rows of a prediction table.

    Returns:
        Seconds from the start of each row's clip, shape (N,), float64.
    """
    return _numbers(table["time_s"])


def faces_of(table: pa.Table) -> IntArray:
    """Return the numbers of the faces of a table's rows.

    Args:
        table: N rows of a prediction table.

    Returns:
        Number of each row's face, `NO_FACE` for none, shape (N,), int64.
    """
    return np.nan_to_num(_numbers(table["face_id"]), nan=NO_FACE).astype(np.int64)


def values_of(table: pa.Table, columns: Sequence[str]) -> Values:
    """Return columns of numbers, or of flags as 0 and 1.

    Args:
        table: N rows.
        columns: K names.

    Returns:
        Their values, NaN where blank, shape (N, K), float64.
    """
    values = np.empty((len(table), len(columns)))
    for k, name in enumerate(columns):
        values[:, k] = _numbers(table[name])
    return values


def _numbers(values: pa.ChunkedArray) -> Values:
    """Read a column of numbers or flags, NaN where blank.

    Not by ``to_numpy``, which imports pandas, as `column` explains.
    """
    parts = [np.empty(0)]
    for chunk in values.chunks:
        is_bool = pa.types.is_boolean(chunk.type)
        if not (is_bool or pa.types.is_integer(chunk.type) or pa.types.is_floating(chunk.type)):
            parts.append(chunk.cast(pa.float64()).to_numpy(zero_copy_only=False))
            continue
        valid, data = chunk.buffers()
        rows, dtype = slice(chunk.offset, chunk.offset + len(chunk)), chunk.type.to_pandas_dtype()
        raw = _bits(data) if is_bool else np.frombuffer(data or b"", dtype)
        part = raw[rows].astype(np.float64)
        if chunk.null_count:
            part[_bits(valid)[rows] == 0] = np.nan
        parts.append(part)
    return np.concatenate(parts)


def _bits(buffer: pa.Buffer | None) -> NDArray[np.uint8]:
    return np.unpackbits(np.frombuffer(buffer or b"", np.uint8), bitorder="little")


def rows_by_face(faces: IntArray) -> Iterator[tuple[int, IntArray]]:
    """Group rows by face.

    >>> [(face, rows.tolist()) for face, rows in rows_by_face(np.array([1, 0, 1]))]
    [(0, [1]), (1, [0, 2])]

    Args:
        faces: Number of each row's face, or `NO_FACE`, shape (N,).

    Yields:
        Each face in ascending order, with the numbers of its rows in order.
    """
    if not len(faces):
        return
    order = np.argsort(faces, kind="stable")
    unique, starts = np.unique(faces[order], return_index=True)
    yield from zip(unique.tolist(), np.split(order, starts[1:]), strict=True)


def with_columns(table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    """Put columns at the end of a table.

    Args:
        table: N rows; its own columns of the same names are left out.
        columns: N values by name.

    Returns:
        The longer table.
    """
    result = table.drop_columns([name for name in table.column_names if name in columns])
    for name, values in columns.items():
        result = result.append_column(name, values)
    return result


def tasks_in(names: Sequence[str], tasks: Sequence[Task]) -> tuple[Task, ...]:
    """Select the tasks of which a table has every column.

    >>> from triaffect.tasks.registry import TASKS
    >>> [task.key for task in tasks_in(["clip", "valence", "arousal"], TASKS)]
    ['VA']

    Args:
        names: Names of the table's columns.
        tasks: Tasks to choose from.

    Returns:
        Those of them, in their order.
    """
    return tuple(task for task in tasks if set(task.prediction_columns) <= set(names))
