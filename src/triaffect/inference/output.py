"""Prediction tables as files: CSV, Parquet or JSON lines, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from triaffect.errors import TableError
from triaffect.features.disk import writing
from triaffect.inference.sinks import SINKS, describe_beside, described

FORMATS = tuple(SINKS)
_ROWS_AT_ONCE = 4096
"""Rows are gathered up to this many before they are written: small Parquet groups are slow."""


def check_output(path: Path) -> Path:
    """Make sure, before any work is done, that a table can be written there.

    Raises:
        TableError: The suffix names no known form, or the place is a folder or has none.
    """
    if path.suffix.lower() not in FORMATS:
        got = f"'{path.suffix}'" if path.suffix else "no suffix"
        raise TableError(f"an output ending in {' or '.join(FORMATS)}", got, where=path)
    return check_place(path)


def check_place(path: Path) -> Path:
    """Make sure that a file can be written there.

    Raises:
        TableError: The place is a folder or has none that can be written to.
    """
    if path.is_dir():
        raise TableError("an output file", "a folder", "name a file in it", where=path)
    if not path.absolute().parent.is_dir():
        raise TableError("an output in an existing folder", "no such folder", where=path)
    if not os.access(path.absolute().parent, os.W_OK):
        raise TableError("a folder that can be written to", "one that cannot", where=path)
    return path


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
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    kind = SINKS[path.suffix.lower()]
    held: list[pa.Table] = []

    def append(table: pa.Table) -> None:
        held.append(table)
        if sum(len(part) for part in held) >= _ROWS_AT_ONCE:
            ready = pa.concat_tables(held)
            held.clear()  # first, so that Ctrl-C here cannot write rows twice
            sink.write(ready)

    try:
        with writing(path), closing(kind(aside, described(path, schema, about))) as sink:
            yield append
            if held:
                sink.write(pa.concat_tables(held))
        with writing(path):
            aside.replace(path)
            describe_beside(path, about)
    finally:
        aside.unlink(missing_ok=True)
