"""Prediction tables as files: CSV or Parquet, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from triaffect.errors import TableError
from triaffect.inference.table import to_pandas

FORMATS = (".csv", ".parquet")
_ROWS_AT_ONCE = 4096
"""Rows are gathered up to this many before they are written: small Parquet groups are slow."""


class _Sink(Protocol):
    def write(self, table: pa.Table) -> None:
        """Append rows."""

    def close(self) -> None:
        """Finish the file."""


def check_output(path: Path) -> Path:
    """Make sure, before any work is done, that a table can be written there.

    Raises:
        TableError: The suffix names no known form, or the place is a folder or has none.
    """
    if path.suffix.lower() not in FORMATS:
        got = f"'{path.suffix}'" if path.suffix else "no suffix"
        raise TableError(f"an output ending in {' or '.join(FORMATS)}", got, where=path)
    if path.is_dir():
        raise TableError("an output file", "a folder", "name a file in it", where=path)
    if not path.absolute().parent.is_dir():
        raise TableError("an output in an existing folder", "no such folder", where=path)
    if not os.access(path.absolute().parent, os.W_OK):
        raise TableError("a folder that can be written to", "one that cannot", where=path)
    return path


class TableWriter:
    """Writes a table part by part to a file aside, which takes its place when all went well.

    Args:
        path: Where the table goes; its suffix decides the form. What is there is replaced.
        schema: Schema of every part.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema
        self._aside = path.with_name(f".{path.name}.{os.getpid()}")
        is_csv = path.suffix.lower() == ".csv"
        sink = _CsvSink if is_csv else pyarrow.parquet.ParquetWriter
        self._sink: _Sink = sink(self._aside, schema)
        self._held: list[pa.Table] = []

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        self._held.append(table)
        if sum(len(part) for part in self._held) >= _ROWS_AT_ONCE:
            self._flush()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._flush()
        self._sink.close()
        if error is None:
            self._aside.replace(self._path)
        else:
            self._aside.unlink()

    def _flush(self) -> None:
        if self._held:
            self._sink.write(pa.concat_tables(self._held))
            self._held = []


class _CsvSink:
    """CSV with quotes only where needed, ``true`` and ``false``, and nothing for a blank."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._file.write(",".join(schema.names) + "\n")

    def write(self, table: pa.Table) -> None:
        frame = to_pandas(table)
        for name in frame.select_dtypes(bool).columns:
            frame[name] = np.where(frame[name], "true", "false")
        frame.to_csv(self._file, header=False, index=False, lineterminator="\n")

    def close(self) -> None:
        self._file.close()
