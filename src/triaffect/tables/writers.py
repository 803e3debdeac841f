"""Write prediction tables as CSV, Parquet or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from triaffect.errors import TableError
from triaffect.io.atomic import check_output, replace_file, write_text
from triaffect.tables.results import meta_name

KEY = "triaffect"
"""Name of what is told about a table among a Parquet file's metadata."""


class Sink(Protocol):
    """A file that takes rows."""

    def write(self, table: pa.Table) -> None:
        """Append rows."""

    def close(self) -> None:
        """Finish the file."""


class CsvSink:
    """CSV with quotes only where needed, ``true`` and ``false``, and nothing for a blank."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._file.write(",".join(schema.names) + "\n")

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        frame: pd.DataFrame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        for name in frame.select_dtypes(bool).columns:
            frame[name] = np.where(frame[name], "true", "false")
        frame.to_csv(self._file, header=False, index=False, lineterminator="\n")

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class JsonLinesSink:
    """A JSON object a row and line; a blank is ``null``."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        for row in table.to_pylist():
            self._file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class ParquetSink:
    """Parquet with what is told about the table in its schema's metadata."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pyarrow.parquet.ParquetWriter(path, schema)

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        self._writer.write(table)

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


SINKS: dict[str, Callable[[Path, pa.Schema], Sink]] = {
    ".csv": CsvSink,
    ".parquet": ParquetSink,
    ".jsonl": JsonLinesSink,
}
"""By the ending of the file's name."""


def described(path: Path, schema: pa.Schema, about: Mapping[str, Any] | None) -> pa.Schema:
    """The schema to write a file with: of Parquet it holds what is told about the table."""
    if about is None or path.suffix.lower() != ".parquet":
        return schema
    return schema.with_metadata({KEY: json.dumps(about, ensure_ascii=False)})


def describe_beside(path: Path, about: Mapping[str, Any] | None) -> None:
    """Write what is told about a table into a file beside it, unless it is Parquet.

    Raises:
        DiskError: It cannot be written.
    """
    if about is not None and path.suffix.lower() != ".parquet":
        text = json.dumps(about, ensure_ascii=False, indent=1)
        write_text(meta_name(path), text + "\n")


FORMATS = tuple(SINKS)
_ROWS_AT_ONCE = 4096
"""Rows are gathered up to this many before they are written: small Parquet groups are slow."""


def check_table_output(path: Path) -> Path:
    """Make sure, before any work is done, that a table can be written there.

    Raises:
        TableError: The suffix names no known form.
        DiskError: It is a folder, or its folder cannot be made or written to.
    """
    if path.suffix.lower() not in FORMATS:
        got = f"'{path.suffix}'" if path.suffix else "no suffix"
        raise TableError(f"an output ending in {' or '.join(FORMATS)}", got, where=path)
    return check_output(path)


@contextmanager
def table_writer(
    path: Path, schema: pa.Schema, about: Mapping[str, Any] | None = None
) -> Iterator[Callable[[pa.Table], None]]:
    """Write a table part by part to a file aside, which takes its place if all goes well.

    Args:
        path: Where the table goes; its suffix decides the form. What is there is replaced.
        schema: Schema of every part.
        about: What is told about the table: Parquet holds it as metadata, beside another file
            it goes into ``<path>.meta.json``.

    Yields:
        A function that appends rows.

    Raises:
        DiskError: There is no room, or it cannot be written; what was there stays.
    """
    kind = SINKS[path.suffix.lower()]
    held: list[pa.Table] = []

    def append(table: pa.Table) -> None:
        held.append(table)
        if sum(len(part) for part in held) >= _ROWS_AT_ONCE:
            ready = pa.concat_tables(held)
            held.clear()  # first, so that Ctrl-C here cannot write rows twice
            sink.write(ready)

    with (
        replace_file(path, unlocked=True) as temporary,
        closing(kind(temporary, described(path, schema, about))) as sink,
    ):
        yield append
        if held:
            sink.write(pa.concat_tables(held))
    describe_beside(path, about)
