"""Read files of features that other programs wrote, and match them to the sources of a store.

A table may say when and whose each row is: ``time_s``, or ``frame`` counted from 0; and
``face_id``. OpenFace's tables are known by their own columns: there ``timestamp`` is the time,
``frame`` counts from 1, and a row without ``success`` has no values.

A file is named by its source's id, with or without the corpus in front, or by the last part of
the id; the clip's own suffix may be left out: ``talk/anna.mp4`` of a table of labels has
``talk/anna.mp4.npy``, ``talk/anna.npy`` or ``anna.npy``.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from triaffect.errors import TableError
from triaffect.tasks.task import cell, is_blank, read_numbers

if TYPE_CHECKING:
    import pandas as pd

ARRAY, PARQUET, CSV = ".npy", ".parquet", ".csv"
SUFFIXES = (ARRAY, PARQUET, CSV)
SOURCE_COLUMNS = ("source", "clip")
"""Columns of a table of many sources that say which one a row belongs to."""

_OPENFACE = frozenset({"frame", "face_id", "timestamp", "confidence", "success"})
_KEYS = frozenset({*SOURCE_COLUMNS, *_OPENFACE, "time_s", "person", "split"})
"""Columns that a pattern never matches, and that are no values unless asked for by name."""
Spellings = Callable[[str], list[str]]
"""Lists the ways to name a source, the most exact first."""

_CHUNK = 8192
"""Rows of a table read at once: tens of megabytes for a thousand columns."""
_MATRIX = 2


@dataclass(frozen=True)
class RawRows:
    """Rows as a file has them.

    Attributes:
        values: Numbers, maybe not finite, shape (T, D).
        columns: Their names; empty for an array.
        frame: Number of each row from 0, shape (T,); None where the file does not say.
        time_s: Time of each row, shape (T,); None likewise.
        track: Number of the face of each row, shape (T,); None likewise.
    """

    values: NDArray[Any]
    columns: tuple[str, ...] = ()
    frame: NDArray[np.int64] | None = None
    time_s: NDArray[np.float64] | None = None
    track: NDArray[np.int64] | None = None


def read_rows(path: Path, patterns: Sequence[str]) -> RawRows:
    """Read the file of one source.

    Args:
        path: An array (T, D) in NumPy's format, never one of Python objects, or a table.
        patterns: Names and patterns of a table's columns; empty for every number of a Parquet
            table.

    Returns:
        Its rows; an array's are memory-mapped, and say neither when nor whose they are.

    Raises:
        TableError: It is broken, of another shape or type, or lacks a column asked for.
    """
    if path.suffix.lower() == ARRAY:
        return _read_array(path, patterns)
    return rows_of(read_table(path), patterns, path)


def _read_array(path: Path, patterns: Sequence[str]) -> RawRows:
    expected = "an array of numbers, shape (rows, values)"
    if patterns:
        raise TableError("a table to choose columns from", "an array", where=path)
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        got = str(error).splitlines()[0]
        raise TableError(expected, got, "save it with numpy.save", where=path) from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        got = f"type {values.dtype}" if isinstance(values, np.ndarray) else "an archive"
        raise TableError(expected, got, where=path)
    if values.ndim != _MATRIX or 0 in values.shape:
        raise TableError(expected, f"shape {values.shape}", where=path)
    return RawRows(values)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table whole.

    Args:
        path: A Parquet or CSV file.

    Raises:
        TableError: It is no such table.
    """
    import pandas as pd  # noqa: PLC0415 - heavy

    return pd.concat(list(chunks(path)), ignore_index=True)


def chunks(path: Path, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
    """Read a table in parts; names of a CSV file's columns lose the spaces around them.

    Args:
        path: A Parquet or CSV file.
        columns: Only these; None for all.

    Yields:
        Parts of at most 8,192 rows; of a Parquet file an empty one first.

    Raises:
        TableError: It is no such table.
    """
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

    try:
        if path.suffix.lower() == PARQUET:
            with pq.ParquetFile(path) as file:
                empty = file.schema_arrow.empty_table().to_pandas(ignore_metadata=True)
                yield empty if columns is None else empty[list(columns)]
                for batch in file.iter_batches(_CHUNK, columns=columns):
                    yield batch.to_pandas(ignore_metadata=True)
        else:
            yield from _csv_chunks(path, columns)
    except (OSError, ValueError, pa.ArrowException) as error:
        got = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TableError(f"a {path.suffix[1:]} table", got, where=path) from error


def _csv_chunks(path: Path, columns: Sequence[str] | None) -> Iterator[pd.DataFrame]:
    import pandas as pd  # noqa: PLC0415 - heavy

    with pd.read_csv(
        path,
        chunksize=_CHUNK,
        skipinitialspace=True,
        usecols=None if columns is None else lambda name: name.strip() in columns,
        converters=dict.fromkeys(SOURCE_COLUMNS, str.strip),
        low_memory=False,
    ) as parts:
        for part in parts:
            if not isinstance(part.index, pd.RangeIndex):  # pandas takes too much for row names
                raise TableError("as many cells a row as columns", "more", where=path)
            yield part.rename(columns=str.strip)


def rows_of(table: pd.DataFrame, patterns: Sequence[str], path: Path) -> RawRows:
    """Take values, times and faces out of a table.

    Args:
        table: The rows of one source.
        patterns: As for `read_rows`.
        path: The file, for messages.

    Returns:
        The rows, in the table's order. Of a column whose cells are lists of K numbers each number
        is a value of its own; rows of OpenFace without success have none that is finite.

    Raises:
        TableError: A column is missing or is not numbers, or there is no row.
    """
    columns = _chosen(table, patterns, path)
    if not len(table):
        raise TableError("at least one row", "none", where=path)
    blocks = {name: _block(table, name, path) for name in columns}
    values = np.concatenate(list(blocks.values()), axis=1)
    names: list[str] = []
    for name, block in blocks.items():
        listed = [f"{name}.{k}" for k in range(block.shape[1])]
        names += listed if _has_lists(table, name) else [name]
    if not values.shape[1]:
        raise TableError("at least one value a row", "none", where=path)
    openface = set(table.columns) >= _OPENFACE
    if openface:
        values[_values(table, "success", path) == 0] = np.nan
    time = next((name for name in ("time_s", "timestamp") if name in table.columns), None)
    frame, track = (_whole(table, name, path) for name in ("frame", "face_id"))
    return RawRows(
        values,
        tuple(names),
        frame=None if frame is None else frame - int(openface),
        time_s=None if time is None else _complete(table, time, path),
        track=track,
    )


def _chosen(table: pd.DataFrame, patterns: Sequence[str], path: Path) -> tuple[str, ...]:
    """Name the columns asked for, in the order asked; a pattern's in the table's order."""
    free = [str(name) for name in table.columns if name not in _KEYS]
    if not patterns:
        if path.suffix.lower() == CSV:
            remedy = "name them, or patterns such as 'AU*_r', with --columns"
            raise TableError("to be told which columns of a CSV file", "none", remedy, where=path)
        numbers = [
            name for name in free if table[name].dtype.kind in "biuf" or _has_lists(table, name)
        ]
        if not numbers:
            raise TableError("a column of numbers", ", ".join(table.columns) or "none", where=path)
        return tuple(numbers)
    chosen: dict[str, None] = {}
    for name in patterns:
        matching = [name] if name in table.columns else fnmatch.filter(free, name)
        if not matching:
            got = ", ".join(free[:8]) + (" …" if len(free) > 8 else "")  # noqa: PLR2004
            raise TableError(f"a column {name}", got or "none", "check --columns", where=path)
        chosen |= dict.fromkeys(matching)
    return tuple(chosen)


def _has_lists(table: pd.DataFrame, column: str) -> bool:
    """Tell whether the cells of a column are lists of numbers, as embeddings often are."""
    return any(isinstance(value, np.ndarray) for value in table[column].head(_CHUNK))


def _block(table: pd.DataFrame, column: str, path: Path) -> NDArray[np.float64]:
    """Read a column's values, shape (T, 1), or (T, K) of one whose cells are K numbers each."""
    if not _has_lists(table, column):
        return _values(table, column, path)[:, None]
    cells = table[column].tolist()
    width = next(len(value) for value in cells if isinstance(value, np.ndarray))
    block = np.full((len(cells), width), np.nan)
    for row, value in enumerate(cells):
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiu" and len(value) == width:
            block[row] = value
        elif not is_blank(value):
            where = cell(str(path), row, column)
            raise TableError(f"a list of {width} numbers", f"{value!s:.60}", where=where)
    return block


def _values(table: pd.DataFrame, column: str, path: Path) -> NDArray[np.float64]:
    """Read a column as numbers, maybe not finite; text is an error that names its cell."""
    if table[column].dtype.kind in "biuf":
        return np.array(table[column].to_numpy(np.float64, na_value=np.nan))
    return read_numbers(table, column, str(path))


def _complete(table: pd.DataFrame, column: str, path: Path) -> NDArray[np.float64]:
    values = _values(table, column, path)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        where = cell(str(path), int(wrong[0]), column)
        raise TableError("a number in every row", "none", where=where)
    return values


def _whole(table: pd.DataFrame, column: str, path: Path) -> NDArray[np.int64] | None:
    if column not in table.columns:
        return None
    values = _complete(table, column, path)
    wrong = np.flatnonzero((values < 0) | (values != np.floor(values)) | (values >= 2**31))
    if len(wrong):
        where = cell(str(path), int(wrong[0]), column)
        raise TableError("a whole number from 0", f"{values[wrong[0]]:g}", where=where)
    return values.astype(np.int64)


@dataclass
class Matches:
    """Which files, or names in a table, belong to which sources.

    Attributes:
        files: File, or name in a table, of each source.
        unused: Names that belong to no source.
        mistakes: Message by name, or source, for those that cannot be used.
        without: Sources for which there is nothing, not even a mistake.
    """

    files: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    mistakes: dict[str, str] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)


def source_spellings(source: str) -> list[str]:
    """List the ways to name a source of a store, the exact ones first."""
    inner = source.partition("/")[2] or source
    exact = [source, inner, PurePosixPath(source).name]
    return [*exact, *(str(PurePosixPath(name).with_suffix("")) for name in exact)]


def path_spellings(path: str) -> list[str]:
    """List the ways to name a media file: the last one or more parts of its path."""
    parts = [part for part in PurePosixPath(path).parts if part != "/"] or [path]
    exact = ["/".join(parts[-count:]) for count in range(1, len(parts) + 1)]
    return [way for name in exact for way in (name, str(PurePosixPath(name).with_suffix("")))]


def match_names(
    names: Sequence[str], sources: Sequence[str], spell: Spellings = source_spellings
) -> Matches:
    """Find the source of each name.

    A name that fits several sources, and names that fit the same source, are mistakes; the
    more exact way to write an id wins.

    Args:
        names: Names without the suffix of the file.
        sources: Ids.
        spell: Lists the ways to name a source, the most exact first.

    Returns:
        The matches; see the module for the ways to write an id.

    Examples:
        >>> matches = match_names(["anna", "b"], ["clips/anna.mp4", "clips/ben.mp4"])
        >>> matches.files, matches.unused
        ({'clips/anna.mp4': 'anna'}, ['b'])
    """
    meant: list[dict[str, list[str]]] = []
    for source in sources:
        for rank, spelling in enumerate(spell(source)):
            meant += [{} for _ in range(rank + 1 - len(meant))]
            meant[rank].setdefault(spelling, []).append(source)
    matches = Matches()
    claims: dict[str, list[str]] = {}
    for name in names:
        fitting = next((rank[name] for rank in meant if name in rank), [])
        if not fitting:
            matches.unused.append(name)
        elif len(fitting) > 1:
            several = ", ".join(fitting[:3])
            matches.mistakes[name] = f"fits several sources ({several}): use the whole id"
        else:
            claims.setdefault(fitting[0], []).append(name)
    for source, claiming in claims.items():
        if len(claiming) == 1:
            matches.files[source] = claiming[0]
        else:
            matches.mistakes[source] = "several files or names: " + ", ".join(claiming)
    matched = matches.files.keys() | matches.mistakes.keys()
    matches.without = [source for source in sources if source not in matched]
    return matches


def files_in(folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """List the files of features in a folder and those below it.

    Links are followed only to files within the folder.

    Args:
        folder: The folder.

    Returns:
        File by its path relative to the folder, with its suffix; message by the path of each
        link that leads out of the folder or to another folder.
    """
    files: dict[str, Path] = {}
    mistakes: dict[str, str] = {}
    root = folder.resolve()
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(name for name in (*folders, *names) if not name.startswith(".")):
            path = Path(parent, name)
            inside = path.relative_to(folder).as_posix()
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                mistakes[inside] = "a link that leads out of the folder is not followed"
            elif path.is_symlink() and path.is_dir():
                mistakes[inside] = "a link to a folder is not followed"
            elif path.suffix.lower() in SUFFIXES and path.is_file():
                files[inside] = path
        folders[:] = [name for name in folders if not name.startswith(".")]
    return files, mistakes
