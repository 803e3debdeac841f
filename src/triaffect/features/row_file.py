"""Files of equal-sized rows: appended to, cut back to a known length, memory-mapped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.errors import StoreError
from triaffect.io.atomic import disk_errors


class RowFile:
    """A file of raw rows, open for appending.

    Args:
        path: The file; created if it is missing.
        dtype: Type of a row's elements, or a structured type.
        width: Elements a row; 0 for rows that are one (structured) element.
        keep: Rows to keep of a file that is there; the rest, left by an interrupted write,
            is cut off.

    Attributes:
        count: Rows written so far.

    Raises:
        StoreError: The file has fewer rows than are to be kept.
        DiskError: It cannot be written, now or later.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], width: int, keep: int = 0) -> None:
        self.dtype, self.width, self.count = dtype, width, 0
        self._row_bytes = dtype.itemsize * max(1, width)
        # unbuffered: what has been appended can be mapped at once
        self._path = path
        with disk_errors(path):
            self._stream = path.open("ab", buffering=0)
        if os.fstat(self._stream.fileno()).st_size < keep * self._row_bytes:
            self._stream.close()
            raise _too_short(path, keep)
        self.cut(keep)

    def cut(self, count: int) -> None:
        """Drop all rows but the first ``count``.

        Raises:
            DiskError: The file cannot be written.
        """
        with disk_errors(self._path):
            self._stream.truncate(count * self._row_bytes)
        self.count = count

    def append(self, rows: NDArray[Any]) -> None:
        """Write rows at the end.

        Args:
            rows: Shape (N, width), or (N,) for a structured type; cast to the file's type.

        Raises:
            ValueError: They have another shape.
            DiskError: They cannot be written.
        """
        data = np.ascontiguousarray(rows, self.dtype)
        shape = (len(rows), self.width) if self.width else (len(rows),)
        if data.shape != shape:
            raise ValueError(f"rows of shape {shape} expected, got {data.shape}")
        view = data.reshape(-1).view("u1").data if data.size else memoryview(b"")
        with disk_errors(self._path):
            while len(view):
                view = view[self._stream.write(view) :]
        self.count += len(rows)

    def map(self) -> NDArray[Any]:
        """Map the rows written so far; see `map_rows`."""
        return map_rows(self._path, self.dtype, self.width, self.count)

    def sync(self) -> None:
        """Wait until the rows are on the disk."""
        with disk_errors(self._path):
            os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def map_rows(path: Path, dtype: np.dtype[Any], width: int, count: int) -> NDArray[Any]:
    """Map the first rows of a file, which are read on demand.

    Args:
        path: The file.
        dtype: Type of a row's elements, or a structured type.
        width: Elements a row; 0 for rows that are one element.
        count: How many rows.

    Returns:
        A read-only array, shape (count, width) or (count,).

    Raises:
        StoreError: The file is missing or has fewer rows.
    """
    shape = (count, width) if width else (count,)
    if count == 0 or shape[-1] == 0:
        return np.empty(shape, dtype)
    if not path.is_file() or path.stat().st_size < count * dtype.itemsize * max(1, width):
        raise _too_short(path, count)
    return np.memmap(path, dtype, "r", shape=shape)


def _too_short(path: Path, rows: int) -> StoreError:
    got = "fewer" if path.exists() else "no such file"
    return StoreError(f"{rows} rows", got, "the store is damaged: make it again", where=path)
