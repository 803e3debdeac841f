"""External features: rows that another program made, as a part of a feature store.

A stream has a folder within the store, written by `triaffect.features.external.writer`::

    external/<name>/external.json   name, dim, number type, rate, offset, columns, versions
    external/<name>/sources.jsonl   a line for each joined source, the only authority on what
                                    is there: range of rows, file it came from, digest
    external/<name>/rows.bin        rows, sorted by source, face, time
    external/<name>/keys.bin        track int32 (-1: of no face in particular), frame int32
                                    (-1: unknown), time_s float64 of each

All numbers are little-endian. Rows behind the last line count for nothing. A row with a value
that is no finite number is absent: it was left out when the file was joined.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.errors import StoreError
from triaffect.features.row_file import map_rows
from triaffect.features.timeline import KEY_DTYPE, NO_FRAME, FileTimeline
from triaffect.io.records import parse_record
from triaffect.types import FloatArray

FORMAT = 1
FOLDER, DESCRIPTION, SOURCES = "external", "external.json", "sources.jsonl"
ROWS, KEYS = "rows.bin", "keys.bin"
DTYPES = ("float32", "float16")
OWN_STREAMS = ("face", "voice")
"""The streams that a store's own extractors make; no other can have their names."""

_LONGEST_NAME = 64
_REMEDY = "join it with --replace"
_SCALE_ROWS = 4096


@dataclass(frozen=True)
class ExternalSpec:
    """What a stream is.

    Attributes:
        name: Such as ``"clip"``.
        dim: Width of a row.
        dtype: One of `DTYPES`.
        rate: Rows a second; None for a row a frame.
        offset_s: Added to the time of every row when it was joined.
        wanted: Names and patterns of the columns asked for; empty for all.
        columns: Names of a row's values; empty where the file had none.
        any_face: The files' numbers of faces were passed over.
    """

    name: str
    dim: int
    dtype: str
    rate: float | None
    offset_s: float
    wanted: tuple[str, ...]
    columns: tuple[str, ...]
    any_face: bool

    @property
    def row_dtype(self) -> np.dtype[Any]:
        """Return the NumPy type of `dtype`, little-endian."""
        return np.dtype(self.dtype).newbyteorder("<")

    def period_s(self, frame_rate: float) -> float:
        """Return the seconds between the rows of a source with so many frames/s."""
        return 1 / (self.rate or frame_rate)


@dataclass(frozen=True)
class Joined:
    """One joined source: its line in ``sources.jsonl``.

    Attributes:
        source: Its id.
        rows: First row and end.
        absent: Rows of the file that were left out, for a value that is no finite number.
        file: Name of the file it came from.
        bytes: Size of that file.
        sha256: Its hash.
        digest: Hash of the rows and their keys.
    """

    source: str
    rows: tuple[int, int]
    absent: int
    file: str
    bytes: int
    sha256: str
    digest: str


@dataclass(frozen=True)
class Scale:
    """Mean and spread of a stream's values, to bring columns of any unit to one scale.

    Attributes:
        mean: Shape (D,).
        std: Above 0, shape (D,).
    """

    mean: FloatArray
    std: FloatArray


class ExternalStream:
    """A stream opened for reading; get one with `FeatureStore.external`.

    Args:
        folder: The stream's folder.
        spec: What it is.
        lines: Its sources, in the order of their rows.

    Attributes:
        spec: What it is.
        joined: Its sources by id, in the order of their rows.
        values: Rows (R, D), memory-mapped.
        track: Face of each row or `ANY_TRACK`, shape (R,).
        frame: Frame of each row or `NO_FRAME`, shape (R,).
        time_s: Time of each row in its source, shape (R,).
    """

    def __init__(self, folder: Path, spec: ExternalSpec, lines: tuple[Joined, ...]) -> None:
        self.spec = spec
        self.joined = {line.source: line for line in lines}
        count = lines[-1].rows[1] if lines else 0
        self.values = map_rows(folder / ROWS, spec.row_dtype, spec.dim, count)
        self._keys = map_rows(folder / KEYS, KEY_DTYPE, 0, count)

    @cached_property
    def track(self) -> NDArray[np.int32]:
        """Return the face of each row or `ANY_TRACK`, shape (R,)."""
        return np.ascontiguousarray(self._keys["track"])

    @cached_property
    def frame(self) -> NDArray[np.int32]:
        """Return the frame of each row or `NO_FRAME`, shape (R,)."""
        return np.ascontiguousarray(self._keys["frame"])

    @cached_property
    def time_s(self) -> NDArray[np.float64]:
        """Return the time of each row in its source, in seconds, shape (R,)."""
        return np.ascontiguousarray(self._keys["time_s"])

    def timeline(self, source: str, in_frames: bool = False) -> FileTimeline:
        """Return the rows of a source as a timeline, empty if it was not joined.

        Args:
            source: Its id.
            in_frames: Time them in frames, not in seconds.
        """
        start, stop = self.joined[source].rows if source in self.joined else (0, 0)
        times = (self.frame if in_frames else self.time_s)[start:stop]
        return FileTimeline(self.values, self.track[start:stop], times, start)

    def has_frames(self, source: str) -> bool:
        """Tell whether the frames of a source's rows are known."""
        start, stop = self.joined[source].rows if source in self.joined else (0, 0)
        return start < stop and self.frame[start] != NO_FRAME

    def scale(self, sources: Collection[str]) -> Scale:
        """Measure mean and spread over some sources, or over all if none of these has rows.

        At most 4096 rows, evenly spaced, are looked at.

        Args:
            sources: Ids of sources.

        Returns:
            Mean 0 and spread 1 of a stream without rows; spread 1 of constant values.
        """
        ranges = [line.rows for line in self.joined.values() if line.source in sources]
        parts = [np.arange(start, stop, dtype=np.int64) for start, stop in ranges]
        rows = np.concatenate(parts) if parts else np.empty(0, np.int64)
        if not len(rows):
            rows = np.arange(len(self.values))
        some = rows[np.linspace(0, len(rows) - 1, min(len(rows), _SCALE_ROWS)).astype(np.int64)]
        values = self.values[some].astype(np.float64)
        if not len(values):
            return Scale(np.zeros(self.spec.dim, np.float32), np.ones(self.spec.dim, np.float32))
        std = values.std(0)
        constant = std <= np.finfo(np.float32).eps * (1 + np.abs(values.mean(0)))
        return Scale(values.mean(0).astype(np.float32), np.where(constant, 1, std).astype("f4"))


def extra_inputs(stream: str) -> tuple[str, str]:
    """Name the two inputs of a further stream: its vectors, and which of them are there.

    Examples:
        >>> extra_inputs("pose")
        ('extra.pose', 'extra.pose.present')
    """
    return f"extra.{stream}", f"extra.{stream}.present"


def check_name(name: str) -> str:
    """Check that a stream may have a name, and return it.

    Raises:
        StoreError: It is too long, has other characters than a to z, 0 to 9 and _, or is that of
            a store's own stream.

    Examples:
        >>> check_name("clip_b32")
        'clip_b32'
    """
    plain = re.fullmatch(r"[a-z0-9_]+", name) and len(name) <= _LONGEST_NAME
    if not plain or name in OWN_STREAMS:
        raise StoreError(
            f"a name of at most {_LONGEST_NAME} characters a-z, 0-9 and _, "
            f"other than {' and '.join(OWN_STREAMS)}",
            repr(name),
            where="--name",
        )
    return name


def names_in(store: Path) -> list[str]:
    """List the streams in the folder of a store, sorted by name."""
    return sorted(path.parent.name for path in (store / FOLDER).glob(f"*/{DESCRIPTION}"))


def open_stream(store: Path, name: str) -> ExternalStream:
    """Open a stream of a store.

    Args:
        store: Folder of the store.
        name: The stream's name.

    Raises:
        StoreError: It is not there, damaged or of another format.
    """
    if name not in names_in(store):
        raise StoreError(
            f"an external stream called '{name}'",
            ", ".join(names_in(store)) or "none at all",
            f"join it: triaffect join {store} FEATURES --name {name}",
            where=store,
        )
    folder = store / FOLDER / name
    spec = read_spec(folder)
    return ExternalStream(folder, spec, read_lines(folder)[0])


def streams_of_run(path: Path) -> list[str]:
    """List the external streams that a run's network reads.

    Args:
        path: A run folder, or where its model folder would be; anything else has none.

    Returns:
        Their names, each once, in the order in which the recipe has them.
    """
    for folder in (path, path.parent):
        try:
            data = json.loads((folder / "run.json").read_text("utf-8"))["recipe"]["data"]
            used = [data["face"], data["voice"], *data["extra"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return [name for name in dict.fromkeys(used) if name not in OWN_STREAMS]
    return []


def read_spec(folder: Path) -> ExternalSpec:
    """Read what the stream in a folder is.

    Args:
        folder: The stream's folder.

    Raises:
        StoreError: Its description is damaged or of another format.
    """
    file = folder / DESCRIPTION
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        got = f"{type(error).__name__}: {error}"
        raise StoreError("a stream's description", got, _REMEDY, where=file) from error
    version = content.pop("format", None) if isinstance(content, dict) else None
    if version != FORMAT:
        expected = f"a stream's description of format {FORMAT}"
        raise StoreError(expected, f"format {version!r}", _REMEDY, where=file)
    content.pop("versions", None)
    return parse_record(ExternalSpec, content, StoreError, _REMEDY, file)


def read_lines(folder: Path) -> tuple[tuple[Joined, ...], int]:
    """Read the joined sources of a stream; a line cut off at the end is passed over.

    Args:
        folder: The stream's folder.

    Returns:
        The sources in the order of their rows, and the bytes of whole lines.

    Raises:
        StoreError: A whole line is not what this program writes, or a source's rows do not follow
            those of the line before.
    """
    file = folder / SOURCES
    content = file.read_bytes() if file.is_file() else b""
    size = content.rfind(b"\n") + 1
    lines: list[Joined] = []
    for number, line in enumerate(content[:size].splitlines(), 1):
        where = f"{file}:{number}"
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise StoreError("a source's line", str(error), _REMEDY, where=where) from error
        joined = parse_record(Joined, fields, StoreError, _REMEDY, where)
        start, stop = joined.rows
        if start != (lines[-1].rows[1] if lines else 0) or stop < start:
            expected = "rows behind those of the line before"
            raise StoreError(expected, f"{start} to {stop}", _REMEDY, where=where)
        lines.append(joined)
    return tuple(lines), size
