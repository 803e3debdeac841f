"""Reading the file of a table of labels: CSV as spreadsheets write it, or Parquet.

Of a CSV file, cells stay text; of a Parquet file, numbers stay numbers, whatever their type, and
what else is read becomes text. Both read alike afterwards: a null or a NaN is a blank cell.

A CSV file is UTF-8, with or without a byte order mark, with any line ends, cells in double
quotes where they hold a separator. The separator is a comma; a semicolon or a tab, which
spreadsheets write where the comma is the decimal sign, if the header says so, and then numbers
may have a decimal comma.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from triaffect.errors import TableError
from triaffect.tasks.columns import is_blank, shown

CSV, PARQUET = ".csv", ".parquet"
FIRST_COLUMN = "clip"
"""The column that every table has, by which the separator is told."""

_LONGEST_REASON = 300
_SEPARATORS = ",;\t"
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+\s*")


def read_table(path: Path, numbers: Iterable[str], texts: Iterable[str]) -> pd.DataFrame:
    """The wanted columns of a table, as many of them as it has.

    Args:
        path: The file, CSV or Parquet by its name.
        numbers: Names of columns of numbers.
        texts: Names of columns of text.

    Returns:
        One row a row of the file; text, or numbers with NaN for blank.

    Raises:
        TableError: It is no such file, a row does not fit the header, or the name of a column is
            there twice or differs from a wanted one in case or spaces only.
    """
    read = _read_parquet if path.suffix.lower() == PARQUET else _read_csv
    return read(path, set(numbers), set(texts))


def header_of(path: Path) -> list[str]:
    """Names of the columns of a table that `read_table` has read."""
    if path.suffix.lower() == PARQUET:
        return [str(name) for name in pq.read_schema(path).names]
    with path.open(encoding="utf-8-sig", newline="") as stream:
        names = next(csv.reader(stream, delimiter=_separator(stream)), [])
    return [name.strip() for name in names if name.strip()]


def _wanted_columns(header: list[str], wanted: set[str], path: Path) -> dict[str, int]:
    """Place of each wanted column that the header has."""
    known = {name.lower(): name for name in wanted}
    places: dict[str, int] = {}
    for place, name in enumerate(header):
        column = known.get(name.strip().lower())
        if column is None:
            continue
        if column != name:
            remedy = "rename it; it would be passed over"
            raise TableError(f"a column named {column}", shown(name), remedy, where=path)
        if column in places:
            raise TableError("each column once", f"{column} twice", where=path)
        places[column] = place
    return places


def _read_csv(path: Path, numbers: set[str], texts: set[str]) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            separator = _separator(stream)
            rows = csv.reader(stream, delimiter=separator, strict=True)
            header = next(rows, [])
            if not any(name.strip() for name in header):
                raise TableError("a CSV table in UTF-8", "no header line", where=path)
            places = _wanted_columns(header, numbers | texts, path)
            cells = list(_cells(rows, len(header), list(places.values()), path))
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        remedy = "save it as 'CSV UTF-8'"
        raise TableError("a CSV table in UTF-8", _told(error), remedy, where=path) from error
    table = pd.DataFrame(cells, columns=list(places), dtype=object)
    if separator != ",":
        for column in numbers & places.keys():
            table[column] = [_with_point(cell) for cell in table[column]]
    return table


def _told(error: Exception) -> str:
    """What a library says, as one line; it may quote any byte of the file."""
    line = str(error).strip().partition("\n")[0].replace("\t", "a tab")[:_LONGEST_REASON]
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _separator(stream: TextIO) -> str:
    """The separator by which the header has the column that every table has."""
    header = stream.readline()
    stream.seek(0)
    for separator in _SEPARATORS:
        names = next(csv.reader([header], delimiter=separator), [])
        if FIRST_COLUMN in (name.strip().lower() for name in names):
            return separator
    return ","


def _cells(
    rows: Iterator[list[str]], width: int, places: list[int], path: Path
) -> Iterator[list[str]]:
    """The wanted cells of each row; a row that ends early is blank from there."""
    for number, row in enumerate(rows, 1):
        if any(cell.strip() for cell in row[width:]):
            got = f"{len(row)}, the last of them {shown(row[-1])}"
            remedy = "put text with a comma in double quotes"
            raise TableError(f"{width} cells", got, remedy, where=f"{path}, row {number}")
        yield [row[place] if place < len(row) else "" for place in places]


def _with_point(cell: str) -> str:
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell


def _read_parquet(path: Path, numbers: set[str], texts: set[str]) -> pd.DataFrame:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        places = _wanted_columns(file.schema_arrow.names, numbers | texts, path)
        table = file.read(list(places))
        table.validate(full=True)
        columns = {
            name: _column(table.column(name), name in texts, f"{path}, column {name}")
            for name in places
        }
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise TableError("a Parquet table", _told(error), "write it again", where=path) from error
    return pd.DataFrame(columns, index=range(table.num_rows))


def _column(column: pa.ChunkedArray, is_text: bool, where: str) -> NDArray[np.generic]:
    """One column as text with blanks, or as numbers with NaN; a column of text stays text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_null(kind):
        return np.full(len(column), "", object)
    readable = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if readable and not is_text:
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy())
    if not (readable or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise TableError("numbers or text", f"a column of type {kind}", where=where)
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    text = column.cast(pa.large_string()).fill_null("")
    return np.array(text.to_pylist(), object)


def blank_rows(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows say nothing at all, shape (rows,)."""
    blank = np.ones(len(table), np.bool_)
    for name in table.columns:
        column = table[name]
        if column.dtype.kind == "f":
            blank &= column.isna().to_numpy()
        else:
            blank &= np.array([is_blank(cell) for cell in column], np.bool_)
    return blank
