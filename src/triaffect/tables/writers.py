"""Write prediction tables as CSV, Parquet or JSON lines, for Excel and for SPSS."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import pyarrow as pa

from triaffect.errors import TableError
from triaffect.io.atomic import check_output, disk_errors, sync_file, sync_folder, write_text
from triaffect.tables.office import ExcelWriter, SpssWriter, check_library
from triaffect.tables.results import meta_name

KEY = "triaffect"
"""Name of a table's metadata among those of a Parquet file."""

_ROWS_AT_ONCE = 4096
"""Rows are gathered up to this many before they are written: small Parquet groups are slow."""


class FormatWriter(Protocol):
    """Writes rows to a file of one format; made of a path and the rows' schema."""

    def write(self, table: pa.Table) -> None:
        """Append rows.

        Args:
            table: Rows of the schema.

        Raises:
            OSError: There is no room.
        """

    def close(self, metadata: str | None) -> None:
        """Finish the file.

        Args:
            metadata: JSON; written into the file if the format has room for it, else ignored.
                None for none.
        """


class CsvWriter:
    """CSV with quotes only where needed, ``true`` and ``false``, and nothing for a blank."""

    _separator, _decimal, _encoding = ",", ".", "utf-8"

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("w", encoding=self._encoding, newline="")
        csv.writer(self._file, delimiter=self._separator, lineterminator="\n").writerow(
            schema.names
        )

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        columns = []
        for name, kind in zip(table.schema.names, table.schema.types, strict=True):
            values = table.column(name).to_pylist()
            if pa.types.is_boolean(kind):
                values = [value if value is None else str(value).lower() for value in values]
            elif self._decimal != "." and pa.types.is_floating(kind):
                values = [v if v is None else repr(v).replace(".", self._decimal) for v in values]
            columns.append(values)
        # As one text, so that Ctrl-C leaves whole lines.
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=self._separator, lineterminator="\n")
        writer.writerows(zip(*columns, strict=True))
        self._file.write(text.getvalue())

    def close(self, metadata: str | None) -> None:
        """Finish the file."""
        del metadata
        self._file.close()


class DecimalCommaWriter(CsvWriter):
    """CSV as spreadsheets read it where the comma is the decimal sign.

    A semicolon between cells, and a mark at the start by which they know UTF-8.
    """

    _separator, _decimal, _encoding = ";", ",", "utf-8-sig"


class JsonLinesWriter:
    """A JSON object a row and line; a blank is ``null``."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        del schema
        self._file = path.open("w", encoding="utf-8", newline="")

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in table.to_pylist()]
        self._file.write("".join(f"{line}\n" for line in lines))

    def close(self, metadata: str | None) -> None:
        """Finish the file."""
        del metadata
        self._file.close()


class ParquetWriter:
    """Parquet with a table's metadata in its schema."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

        # Arrow's own copy of the schema would be read in place of metadata added at the end.
        self._writer = pq.ParquetWriter(path, schema, store_schema=False)

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        self._writer.write(table)

    def close(self, metadata: str | None) -> None:
        """Finish the file."""
        if metadata is not None:
            self._writer.add_key_value_metadata({KEY: metadata})
        self._writer.close()


WRITERS: dict[str, Callable[[Path, pa.Schema], FormatWriter]] = {
    ".csv": CsvWriter,
    ".parquet": ParquetWriter,
    ".jsonl": JsonLinesWriter,
    ".xlsx": ExcelWriter,
    ".sav": SpssWriter,
}
"""By the ending of the file's name."""

FORMATS = tuple(WRITERS)


def check_table_output(path: Path, *, decimal_comma: bool = False) -> Path:
    """Make sure, before any work is done, that a table can be written somewhere.

    Args:
        path: The table; its folder is made.
        decimal_comma: Whether numbers are to have a decimal comma, which is for CSV.

    Returns:
        The path.

    Raises:
        TableError: The suffix names no format, or one without decimal commas, the library that
            writes it is not installed, or the name is not UTF-8.
        DiskError: It is a folder, or its folder cannot be made or written to.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        got = f"'{path.suffix}'" if path.suffix else "no suffix"
        raise TableError(f"an output ending in {' or '.join(FORMATS)}", got, where=path)
    if decimal_comma and suffix != ".csv":
        got, remedy = f"a table ending in {suffix}", "leave --decimal-comma out"
        raise TableError("a .csv for decimal commas", got, remedy, where=path)
    check_library(path)
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        got = "bytes that are no text"
        raise TableError("an output whose name is UTF-8", got, where=path) from error
    return check_output(path)


class TableWriter:
    """Writes a table part by part to a temporary file, which replaces the table if all goes well.

    To be used in a ``with`` statement.

    Args:
        path: Where the table goes; its suffix decides the format. What is there is replaced.
        schema: Schema of every part.
        metadata: Written with the table: Parquet holds it, beside another file it goes into
            ``<path>.meta.json``.
        decimal_comma: Whether a CSV has decimal commas, and semicolons between cells.

    Attributes:
        path: As given; may be changed until the end, to another name of this folder.
        metadata: As given; read at the end.
        rows: How many were appended.
        notes: What each column means, by name, where there are no metadata; read at the end.

    Raises:
        DiskError: There is no room, or it cannot be written; what was there stays.
    """

    def __init__(
        self,
        path: Path,
        schema: pa.Schema,
        metadata: Mapping[str, Any] | None = None,
        *,
        decimal_comma: bool = False,
    ) -> None:
        self.path, self.metadata, self.rows = path, metadata, 0
        self.notes: dict[str, str] = {}
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}")
        self._waiting: list[pa.Table] = []
        self._rows_waiting = 0
        self._is_discarded = False
        with disk_errors(path):
            writer = DecimalCommaWriter if decimal_comma else WRITERS[path.suffix.lower()]
            self._file = writer(self._temporary, schema)

    def append(self, table: pa.Table) -> None:
        """Append rows.

        Args:
            table: Rows of the schema; they are written once there are some thousand.

        Raises:
            DiskError: There is no room.
        """
        self._waiting.append(table)
        self.rows += len(table)
        self._rows_waiting += len(table)
        if self._rows_waiting >= _ROWS_AT_ONCE:
            self._flush()

    def discard(self) -> None:
        """Leave what was there as it is, whatever was appended."""
        self._is_discarded = True

    def _flush(self) -> None:
        if self._waiting:
            # joined, which is much faster to read than a thousand pieces of a row each
            ready = pa.concat_tables(self._waiting).combine_chunks()
            self._rows_waiting = 0
            self._waiting.clear()  # first, so that Ctrl-C here cannot write rows twice
            with disk_errors(self.path):
                self._file.write(ready)

    def __enter__(self) -> TableWriter:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the table where it goes, or throw it away after an error."""
        text = None if self.metadata is None else json.dumps(self.metadata, ensure_ascii=False)
        described = text
        if self.notes:
            described = json.dumps({"columns": self.notes}, ensure_ascii=False)
        is_written = error is None and not self._is_discarded
        try:
            with disk_errors(self.path):
                try:
                    if is_written:
                        self._flush()
                finally:
                    self._file.close(described)
                if is_written:
                    sync_file(self._temporary)
                    # Before the table: without room for its description there is to be no table.
                    if self.metadata is not None and self.path.suffix.lower() != ".parquet":
                        text = json.dumps(self.metadata, ensure_ascii=False, indent=1)
                        write_text(meta_name(self.path), text + "\n")
                    self._temporary.replace(self.path)
                    sync_folder(self.path.parent)
        finally:
            self._temporary.unlink(missing_ok=True)


def write_table(
    path: Path, table: pa.Table, notes: Mapping[str, str], *, decimal_comma: bool = False
) -> None:
    """Write a whole table that is no prediction table, such as a summary of one.

    Args:
        path: Where it goes; its suffix decides the format. What is there is replaced.
        table: The rows.
        notes: What each column means, by name; for formats that hold labels of columns.
        decimal_comma: Whether a CSV has decimal commas, and semicolons between cells.

    Raises:
        DiskError: There is no room, or it cannot be written; what was there stays.
    """
    with TableWriter(path, table.schema, decimal_comma=decimal_comma) as writer:
        writer.notes = dict(notes)
        writer.append(table)
