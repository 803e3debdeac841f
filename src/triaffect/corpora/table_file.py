"""Tables as files, CSV or Parquet: the requested ones of their columns, as numbers or text.

A CSV file is UTF-8, with or without a byte order mark, with any line ends, cells in double
quotes where they hold a separator. The separator is a comma; a semicolon or a tab, which
spreadsheets write where the comma is the decimal sign, if the header says so, and then numbers
may have a decimal comma.

Of a CSV file, cells stay text; of a Parquet file, numbers stay numbers, whatever their type, and
what else is read becomes text. Both read alike afterwards: a null or a NaN is a blank cell.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from triaffect.corpora.media_folder import PARQUET
from triaffect.errors import TableError
from triaffect.tasks.task import cell, is_blank, read_numbers, shown
from triaffect.types import BoolArray

_LONGEST_REASON = 300
_SEPARATORS = ",;\t"
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+\s*")
_LARGEST = np.iinfo(np.int32).max


def read_table(
    path: Path,
    numbers: Iterable[str],
    texts: Iterable[str],
    keys: Iterable[str],
    *,
    padded: bool = False,
) -> pd.DataFrame:
    """Read the requested columns of a table, as many of them as it has.

    Args:
        path: The file, CSV or Parquet by its name.
        numbers: Names of columns of numbers.
        texts: Names of columns of text.
        keys: Columns of which every such table has one: a CSV file's separator is that by which
            its header has any.
        padded: Whether spaces around the names of a CSV file's columns are none of theirs, as
            programs write them.

    Returns:
        One row a row of the file; text, or numbers with NaN for blank.

    Raises:
        TableError: It is no such file, a row does not fit the header, or the name of a column is
            there twice or differs from a requested one in case or spaces only.
    """
    if path.suffix.lower() == PARQUET:
        return _read_parquet(path, set(numbers), set(texts))
    return _read_csv(path, set(numbers), set(texts), keys, padded=padded)


def read_header(path: Path, keys: Iterable[str]) -> list[str]:
    """Read the names of all columns of a table.

    Args:
        path: The file, CSV or Parquet by its name, which `read_table` has read.
        keys: As of `read_table`.

    Returns:
        The names, without spaces around them; those that are blank are left out.
    """
    if path.suffix.lower() == PARQUET:
        return [str(name) for name in pq.read_schema(path).names]
    with path.open(encoding="utf-8-sig", newline="") as stream:
        header = next(csv.reader(stream, delimiter=_separator(stream, keys)), [])
    return [name.strip() for name in header if name.strip()]


def _bare(name: str) -> str:
    """Leave out of a column's name what is easily mistyped: capitals and spaces."""
    return "".join(name.split()).lower()


def _select_columns(header: list[str], requested: set[str], path: Path) -> dict[str, int]:
    """Return the position of each requested column that the header has."""
    names = {_bare(name): name for name in requested}
    positions: dict[str, int] = {}
    for position, name in enumerate(header):
        column = name if name in requested else names.get(_bare(name))
        if column is None:
            continue
        if column != name:
            remedy = "rename it; it would be passed over"
            raise TableError(f"a column named {column}", shown(name), remedy, where=path)
        if column in positions:
            raise TableError("each column once", f"{column} twice", where=path)
        positions[column] = position
    return positions


def _read_csv(
    path: Path, numbers: set[str], texts: set[str], keys: Iterable[str], *, padded: bool
) -> pd.DataFrame:
    """Read the requested columns of a CSV file as text; a row that ends early is blank there."""
    lines: list[list[str]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            separator = _separator(stream, keys)
            rows = csv.reader(stream, delimiter=separator, skipinitialspace=padded, strict=True)
            header = [name.strip() if padded else name for name in next(rows, [])]
            if not any(name.strip() for name in header):
                remedy = "write the names of the columns into its first line"
                raise TableError("a CSV table in UTF-8", "no header line", remedy, where=path)
            positions = _select_columns(header, numbers | texts, path)
            for number, row in enumerate(rows, 1):
                if any(text.strip() for text in row[len(header) :]):
                    got = f"{len(row)}, the last of them {shown(row[-1])}"
                    remedy = "put text with a comma in double quotes, write numbers with a point"
                    where = f"{path}, row {number}"
                    raise TableError(f"{len(header)} cells", got, remedy, where=where)
                lines.append([row[k] if k < len(row) else "" for k in positions.values()])
    except OSError as error:
        raise TableError("a CSV table", error.strerror or str(error), where=path) from error
    except (csv.Error, UnicodeDecodeError) as error:
        remedy = "save it as 'CSV UTF-8'"
        raise TableError("a CSV table in UTF-8", _reason(error), remedy, where=path) from error
    table = pd.DataFrame(lines, columns=list(positions), dtype=object)
    for column in numbers & positions.keys():
        commas = [row for row, text in enumerate(table[column]) if _DECIMAL_COMMA.fullmatch(text)]
        if commas and separator == ",":
            remedy = "write it so, or separate the cells by semicolons"
            where = cell(str(path), commas[0], column)
            got = shown(table[column].iloc[commas[0]])
            raise TableError("a number with a decimal point", got, remedy, where=where)
        if commas:  # spreadsheets write it so where the comma is the decimal sign
            table.loc[commas, column] = table.loc[commas, column].str.replace(",", ".")
    return table


def _reason(error: Exception) -> str:
    """What a library says, as one line; it may quote any byte of the file."""
    line = str(error).strip().partition("\n")[0].replace("\t", "a tab")[:_LONGEST_REASON]
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _separator(stream: TextIO, keys: Iterable[str]) -> str:
    """The separator by which the header has any of the columns, a comma if none does."""
    header = stream.readline()
    stream.seek(0)
    names = {_bare(name) for name in keys}
    for separator in _SEPARATORS:
        line = next(csv.reader([header], delimiter=separator, skipinitialspace=True), [])
        if not names.isdisjoint(map(_bare, line)):
            return separator
    return ","


def _read_parquet(path: Path, numbers: set[str], texts: set[str]) -> pd.DataFrame:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        names = list(_select_columns(file.schema_arrow.names, numbers | texts, path))
        table = file.read(names)
        table.validate(full=True)
        columns = {
            name: _column(table.column(name), name in texts, f"{path}, column {name}")
            for name in names
        }
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise TableError("a Parquet table", _reason(error), "write it again", where=path) from error
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


def blank_rows(table: pd.DataFrame) -> BoolArray:
    """Find the rows that are blank in every column, which spreadsheets leave at the end.

    Args:
        table: The table.

    Returns:
        Shape (rows,), bool.
    """
    blank: BoolArray = np.ones(len(table), np.bool_)
    for name in table.columns:
        column = table[name]
        if column.dtype.kind == "f":
            blank &= column.isna().to_numpy()
        else:
            blank &= np.array([is_blank(value) for value in column], np.bool_)
    return blank


def optional_numbers(
    table: pd.DataFrame, column: str, where: str, *, whole: bool = False
) -> NDArray[np.float64]:
    """Read a column of numbers from 0.

    Args:
        table: The table.
        column: Its name; it need not be there.
        where: The file, for messages.
        whole: Whether they must be whole, and fit into 32 bits.

    Returns:
        Shape (rows,); NaN where blank or absent.

    Raises:
        TableError: A cell is no number, or a negative, broken or too large one.
    """
    if column not in table.columns:
        return np.full(len(table), np.nan)
    values = read_numbers(table, column, where)
    broken = (values != np.floor(values)) & ~np.isnan(values) | (values > _LARGEST)
    checks = [("a number from 0", values < 0), ("a whole number from 0", broken & whole)]
    for expected, wrong in checks:
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            got = shown(table[column].iloc[row])
            raise TableError(expected, got, where=cell(where, row, column))
    return values


def texts(table: pd.DataFrame, column: str) -> list[str]:
    """Return a column of text without spaces around it.

    Args:
        table: The table.
        column: Its name; it need not be there.

    Returns:
        A text a row; empty where blank or absent.
    """
    if column not in table.columns:
        return [""] * len(table)
    return [text.strip() for text in table[column]]
