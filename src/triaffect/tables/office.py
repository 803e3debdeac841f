"""Write tables for Excel and SPSS; each needs a library of the extra ``office``."""

from __future__ import annotations

import importlib.util
import json
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa

from triaffect.errors import TableError
from triaffect.tasks.registry import available_tasks

LIBRARIES = {".xlsx": "openpyxl", ".sav": "pyreadstat"}
"""What writes a format, by the ending of the file's name."""

MOST_ROWS = 1_048_575
"""Rows of an Excel sheet below its header."""

_LONGEST_LABEL, _LONGEST_NAME = 250, 60
"""Bytes of a label and a name of SPSS, which has 256 and 64 for them."""

_RESERVED = frozenset(
    ["all", "and", "by", "eq", "ge", "gt", "le", "lt", "ne", "not", "or", "to", "with"]
)
"""Words of SPSS's own, which no variable can have as its name."""


def check_library(path: Path) -> None:
    """Make sure that what writes a format is installed.

    Args:
        path: The table.

    Raises:
        TableError: It is not.
    """
    library = LIBRARIES.get(path.suffix.lower())
    if library is not None and importlib.util.find_spec(library) is None:
        remedy = 'pip install "triaffect[office]", or write a .csv'
        raise TableError(f"{library} to write it", "none installed", remedy, where=path)


class ExcelWriter:
    """An Excel workbook: a sheet of rows, and one that says what the columns mean.

    Args:
        path: The workbook.
        schema: Schema of the rows.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import openpyxl  # noqa: PLC0415 - an extra

        self._path, self._rows, self._names = path, 0, list(schema.names)
        self._book = openpyxl.Workbook(write_only=True)
        self._sheet = self._book.create_sheet("table")
        self._sheet.freeze_panes = "A2"
        self._sheet.append(self._names)

    def write(self, table: pa.Table) -> None:
        """Append rows.

        Args:
            table: Rows of the schema.

        Raises:
            TableError: They are more than a sheet can have.
        """
        self._rows += len(table)
        if self._rows > MOST_ROWS:
            remedy = "write a .csv or .parquet, or fewer rows by --stride 0.2s"
            raise TableError(f"at most {MOST_ROWS:,} rows for Excel", "more", remedy)
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            self._sheet.append([_plain_text(cell) for cell in row])

    def close(self, metadata: str | None) -> None:
        """Finish the workbook.

        Args:
            metadata: JSON with the meanings of the columns under ``columns``.
        """
        notes = _notes(metadata)
        if notes:
            meanings = self._book.create_sheet("columns")
            meanings.append(["column", "meaning"])
            for name in self._names:
                meanings.append([name, notes.get(name, "")])
        self._book.save(self._path)


class SpssWriter:
    """An SPSS file with labels of variables, and of the values of classes and flags.

    The rows are held until the end, as the format needs them all.

    Args:
        path: The file.
        schema: Schema of the rows.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._parts = path, [schema.empty_table()]

    def write(self, table: pa.Table) -> None:
        """Append rows.

        Args:
            table: Rows of the schema.
        """
        self._parts.append(table)

    def close(self, metadata: str | None) -> None:
        """Write the file.

        Args:
            metadata: JSON with the meanings of the columns under ``columns``.
        """
        import pyreadstat  # noqa: PLC0415 - an extra

        frame = pa.concat_tables(self._parts).to_pandas()
        classes = {
            column: {part: number for number, part in enumerate(task.part_names)}
            for task in available_tasks()
            if task.exclusive
            for column in task.prediction_columns
            if column not in task.columns
        }
        labels: dict[str, dict[float, str]] = {}
        for name in frame.columns:
            if name.removesuffix("_smooth") in classes:
                codes = classes[name.removesuffix("_smooth")]
                frame[name] = frame[name].map(codes).astype("float64")
                labels[name] = {float(number): part for part, number in codes.items()}
            elif frame[name].dtype == bool:
                frame[name] = frame[name].astype("float64")
                labels[name] = {0.0: "no", 1.0: "yes"}
            elif frame[name].dtype.kind == "O" or str(frame[name].dtype) == "str":
                frame[name] = frame[name].fillna("").astype(str)
        notes = _notes(metadata)
        names = _spss_names(list(frame.columns))
        pyreadstat.write_sav(
            frame.rename(columns=names),
            str(self._path),
            column_labels=[_cut(notes.get(name, ""), _LONGEST_LABEL) for name in frame.columns],
            variable_value_labels={names[name]: values for name, values in labels.items()},
        )


def _notes(metadata: str | None) -> dict[str, str]:
    content: dict[str, Any] = json.loads(metadata) if metadata else {}
    return dict(content.get("columns") or {})


def _plain_text(cell: object) -> object:
    """A cell whose text Excel does not take for a formula or refuse."""
    if not isinstance(cell, str):
        return cell
    text = "".join(letter for letter in cell if letter.isprintable() or letter in "\n\t")
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _cut(text: str, size: int) -> str:
    """The beginning of a text that has at most so many bytes, in whole letters.

    >>> _cut("Größe", 4), _cut("Größe", 99)
    ('Grö', 'Größe')
    """
    return text.encode()[:size].decode(errors="ignore")


def _spss_names(columns: list[str]) -> dict[str, str]:
    """Names that SPSS takes: letters, digits and underscores, from a letter on, no two alike."""
    names: dict[str, str] = {}
    used: set[str] = set()
    for column in columns:
        plain = "".join(c if c.isalnum() or c == "_" else "_" for c in column)
        is_name = plain[:1].isalpha() and plain.casefold() not in _RESERVED
        plain = _cut(plain if is_name else f"v_{plain}", _LONGEST_NAME)
        candidates = (plain if k == 0 else f"{plain}_{k}" for k in count())
        names[column] = next(each for each in candidates if each.casefold() not in used)
        used.add(names[column].casefold())
    return names
