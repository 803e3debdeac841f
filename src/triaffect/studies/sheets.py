"""Small tables that people write by hand: any usual encoding, separator and decimal sign.

A spreadsheet saves CSV as its country does: separated by a comma, a semicolon or a tab, numbers
with a decimal point or comma, as UTF-8 with or without a mark, UTF-16 or Windows-1252. All are read
alike; only text that is no UTF-8 and carries no mark is a guess, which is remarked on.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from triaffect.errors import TableError, one_line, printable
from triaffect.io.durations import parse_duration

if TYPE_CHECKING:
    import pandas as pd

BLANK = ("", "na", "n/a", "#n/a", "nan")
"""Cells without a value, in any case: R, spreadsheets and pandas write a missing one so."""

_SEPARATORS = ",;\t"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NAMED = 3
"""Cases that a remark names before it only counts."""

_MOST_BYTES = 64 << 20
"""A larger file is no table that somebody wrote by hand."""


@dataclass(frozen=True)
class Sheet:
    """A table as it was read: every cell text without spaces around it, "" for those of `BLANK`.

    Attributes:
        name: Its file, for messages.
        header: Names of the columns.
        rows: Cells of each row, as many as the header has.
        lines: Number of each row's line in the file, from 1.
        remarks: What is doubtful in how it was read, a line each.
    """

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    remarks: tuple[str, ...] = ()

    def position(self, *aliases: str, expected: str = "") -> int | None:
        """Look a column up by any of its names, in any case.

        >>> Sheet("t.csv", ("Clip", "Start (s)"), (), ()).position("start", "start (s)")
        1

        Args:
            *aliases: Names in small letters, the usual one first.
            expected: What the column is, if there must be one.

        Returns:
            Its number from 0; None if it is not there and need not be.

        Raises:
            TableError: It is not there and must be, or is there twice.
        """
        names = [name.casefold() for name in self.header]
        matches = [k for k, name in enumerate(names) if name in aliases]
        if len(matches) > 1:
            got = " and ".join(self.header[k] for k in matches)
            raise TableError(f"one column {aliases[0]}", got, "leave one out", where=self.name)
        if not matches and expected:
            remedy = f"name the column with {expected} {aliases[0]}"
            raise TableError(
                f"a column {aliases[0]}", f"columns {self.columns}", remedy, where=self.name
            )
        return matches[0] if matches else None

    @property
    def columns(self) -> str:
        """The names of the columns in one line."""
        return ", ".join(name or "(no name)" for name in self.header)

    def where(self, row: int) -> str:
        """Name a row for a message.

        Args:
            row: Its number, from 0.
        """
        return f"{self.name}, line {self.lines[row]}"

    def seconds(self, row: int, column: int) -> float | None:
        """Read a time, with a decimal point or comma, in seconds or as 1:30.

        Args:
            row: Number of the row, from 0.
            column: Number of the column.

        Returns:
            Seconds; None for a blank cell.

        Raises:
            TableError: It is no time from 0 on.
        """
        text = self.rows[row][column]
        if not text or text.casefold() == "none":
            return None
        where = f"{self.where(row)}, column {self.header[column]}"
        return parse_duration(text.replace(",", "."), where, error=TableError)

    def need_rows(self, what: str) -> None:
        """Make sure that there is a row.

        Args:
            what: What a row is, such as "event".

        Raises:
            TableError: There is none.
        """
        if not self.rows:
            raise TableError(f"at least one {what}", "a header alone", "add rows", where=self.name)


def read_sheet(path: Path, *, header_with: str = "", separator: str = "") -> Sheet:
    """Read a table that somebody wrote: CSV of any country, or the first sheet of an .xlsx.

    Args:
        path: The file.
        header_with: Name of a column of the header, in small letters, if lines may come before it.
        separator: What separates cells, if there is no header; columns have no names then.

    Returns:
        The table, without blank rows.

    Raises:
        TableError: It cannot be read, is empty, or a row has more cells than the header.
    """
    name = printable(path)
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        return _sheet(name, _read_excel(path), (), header_with)
    text, remarks = read_text(path)
    has_header, separator = not separator, separator or _separator(text, header_with)
    try:
        lines = list(csv.reader(io.StringIO(text), delimiter=separator, strict=True))
    except csv.Error as error:
        remedy = "save it as 'CSV UTF-8'"
        raise TableError("a CSV table", one_line(error), remedy, where=name) from error
    if not has_header:
        width = max(map(len, lines), default=0)
        lines = [[""] * width, *lines]
    return _sheet(name, lines, remarks, header_with)


def read_text(path: Path) -> tuple[str, tuple[str, ...]]:
    """Read a text file of any usual encoding.

    Args:
        path: The file.

    Returns:
        The text, and remarks on how it was read.

    Raises:
        TableError: It is missing, no file, empty, too large, or no text.
    """
    name, remedy = printable(path), "save it as 'CSV UTF-8'"
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise TableError("a table of at most 64 MB", "a larger file", where=name)
        content = path.read_bytes()
    except OSError as error:
        got = error.strerror or one_line(error)
        raise TableError("a file that can be read", got, "check its path", where=name) from error
    encoding = next((each for mark, each in _MARKS if content.startswith(mark)), "")
    if not encoding and content[1::2].count(0) > len(content) // 4:
        encoding = "utf-16-le"  # without a mark; Latin letters have a zero byte each
    remarks: tuple[str, ...] = ()
    try:
        text = content.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding:
            raise TableError("text", "bytes that are none", remedy, where=name) from error
        text = content.decode("cp1252", "replace")
        remarks = (f"{name}: read as Windows-1252, as it is no UTF-8; check letters with accents",)
    if "\0" in text:
        raise TableError("a table as text", "a binary file", remedy, where=name)
    if not text.strip():
        raise TableError("a table with a header", "an empty file", remedy, where=name)
    return text, remarks


def sheet_of(table: pd.DataFrame, name: str) -> Sheet:
    """Make a sheet of a table in memory, as if it had been read.

    Args:
        table: The table.
        name: What messages call it.

    Returns:
        The same rows as text; missing values are blank.
    """
    cells = table.astype(object).where(table.notna(), "")
    rows = tuple(tuple(_cell(str(cell)) for cell in row) for row in cells.to_numpy().tolist())
    header = tuple(str(column).strip() for column in table.columns)
    return Sheet(name, header, rows, tuple(range(2, len(rows) + 2)))


def _sheet(
    name: str, lines: Sequence[Sequence[str]], remarks: tuple[str, ...], header_with: str
) -> Sheet:
    """Split lines of cells into header and rows; blank lines are left out."""
    numbered = [
        (number, [cell.strip() for cell in line]) for number, line in enumerate(lines, 1) if line
    ]
    start = 0
    if header_with:
        named = (
            k for k, (_, line) in enumerate(numbered) if header_with in map(str.casefold, line)
        )
        start = next(named, 0)
    if not numbered:
        raise TableError("a table with a header", "an empty one", "add rows", where=name)
    header = numbered[start][1]
    while header and not header[-1] and any(header):
        header = header[:-1]
    rows, numbers = [], []
    for number, cells in numbered[start + 1 :]:
        line = [_cell(cell) for cell in cells]
        if not any(line):
            continue
        if any(line[len(header) :]):
            remedy = "put text with a separator in double quotes"
            where = f"{name}, line {number}"
            raise TableError(f"{len(header)} cells", f"{len(line)}", remedy, where=where)
        rows.append(tuple([*line, *[""] * len(header)][: len(header)]))
        numbers.append(number)
    return Sheet(name, tuple(header), tuple(rows), tuple(numbers), remarks)


def _cell(text: str) -> str:
    """A cell without spaces around it; "" for one without a value."""
    stripped = text.strip()
    return "" if stripped.casefold() in BLANK else stripped


def _separator(text: str, header_with: str) -> str:
    """The separator that cuts the header into most cells."""
    lines = [line for line in text.splitlines() if line.strip()]
    header = next((line for line in lines if header_with in line.casefold()), lines[0])
    return max(_SEPARATORS, key=lambda each: (header.count(each), each == ","))


def _read_excel(path: Path) -> list[list[str]]:
    """The cells of the first sheet of a workbook."""
    import openpyxl  # noqa: PLC0415 - an extra

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows = list(book.worksheets[0].iter_rows(values_only=True))
        book.close()
    except Exception as error:
        remedy = "save it again, or as CSV"
        raise TableError("an Excel workbook", one_line(error), remedy, where=path) from error
    return [["" if cell is None else str(cell) for cell in row] for row in rows]


class ClipNames:
    """Names of clips as a table has them, to be looked up by what people write for them.

    Args:
        clips: The names, mostly paths.
    """

    def __init__(self, clips: Iterable[str]) -> None:
        self.clips = tuple(dict.fromkeys(clips))

    def match(self, text: str, where: str) -> str | None:
        """Look a clip up by its path, the end of its path, or its name without ending.

        >>> ClipNames(["videos/P01.mp4", "videos/P02.mp4"]).match("p01", "people.csv")
        'videos/P01.mp4'

        Args:
            text: What somebody wrote.
            where: Where, for the message.

        Returns:
            The clip; None if there is none of that name.

        Raises:
            TableError: There are several.
        """
        stated_path = PurePosixPath(text.replace("\\", "/")).as_posix().casefold()
        tests: tuple[Callable[[str], bool], ...] = (
            lambda path: path == stated_path,
            lambda path: path.endswith(f"/{stated_path}") or stated_path.endswith(f"/{path}"),
            lambda path: PurePosixPath(path).name == PurePosixPath(stated_path).name,
            lambda path: PurePosixPath(path).stem == PurePosixPath(stated_path).name,
        )
        for test in tests:
            matches = [clip for clip in self.clips if test(clip.replace("\\", "/").casefold())]
            if len(matches) == 1:
                return matches[0]
            if matches:
                got, remedy = f"{len(matches)}: {', '.join(matches[:3])}", "write more of its path"
                raise TableError(f"one clip named {text}", got, remedy, where=where)
        return None


def name_few(texts: Sequence[str]) -> str:
    """Name the first of several cases in a message, and count the others.

    >>> name_few(["a", "b", "c", "d"])
    'a, b, c and 1 more'

    Args:
        texts: The cases.
    """
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {more} more" if more > 0 else "")
