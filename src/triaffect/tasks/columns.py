"""Reading numbers out of a table's columns, whatever pandas made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from triaffect.errors import TableError
from triaffect.types import Targets

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 60
LEAVE_BLANK = "leave the cell blank where there is no annotation"


def is_blank(value: object) -> bool:
    """Whether a cell says nothing: None, a missing value or white space."""
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, (float, np.floating)):
        return bool(np.isnan(value))
    return value is None or repr(value) in ("<NA>", "NaT")


def shown(value: object) -> str:
    """A value for an error, the first letters of a long one."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def cell(where: str, row: int, column: str) -> str:
    """Name a cell for an error; ``row`` counts from 0, the text from 1."""
    return f"{where}, row {row + 1}, column {column}"


def read_numbers(table: pd.DataFrame, column: str, where: str) -> NDArray[np.float64]:
    """One column as numbers, NaN where blank, shape (rows,).

    Raises:
        TableError: Text that is not a finite number.
    """
    series = table[column]
    if series.dtype.kind in "biuf":
        values = series.to_numpy(np.float64, na_value=np.nan)
    else:
        cells = series.tolist()
        values = np.array([_number(value, where, i, column) for i, value in enumerate(cells)])
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise TableError("a finite number", "infinity", where=cell(where, row, column))
    return values.astype(np.float64)


def _number(value: object, where: str, row: int, column: str) -> float:
    if is_blank(value):
        return np.nan
    number = plain_number(value)
    if np.isnan(number):
        raise TableError("a number", shown(value), LEAVE_BLANK, where=cell(where, row, column))
    return number


def plain_number(value: object) -> float:
    """A number, or text that is one as everybody writes it; NaN for anything else."""
    if isinstance(value, str) and ("_" in value or not value.strip().isascii()):
        return np.nan  # Python takes 1_0 for ten, and digits of any script
    try:
        return float(value)  # type: ignore[arg-type]  # the point is to find out
    except (TypeError, ValueError):
        return np.nan


def read_ranged(
    table: pd.DataFrame, columns: tuple[str, ...], low: float, high: float, where: str
) -> NDArray[np.float64]:
    """Several columns as numbers in [low, high], NaN where blank or absent, shape (rows, K).

    Raises:
        TableError: Text that is not a number, or a number out of range.
    """
    values = np.full((len(table), len(columns)), np.nan)
    for k, column in enumerate(columns):
        if column in table.columns:
            values[:, k] = read_numbers(table, column, where)
    wrong = (values < low) | (values > high)
    if wrong.any():
        row, k = (int(index) for index in np.argwhere(wrong)[0])
        raise TableError(
            f"a number from {low:g} to {high:g}",
            f"{values[row, k]:g}",
            LEAVE_BLANK,
            where=cell(where, row, columns[k]),
        )
    return values


def targets_of(values: NDArray[np.float64]) -> Targets:
    """Targets of weight 1 from numbers with NaN where nothing is annotated, shape (N, K)."""
    valid = ~np.isnan(values)
    held = np.where(valid, values, 0).astype(np.float32)
    return Targets(held, valid, np.ones(len(values), np.float32))


def need_columns(table: pd.DataFrame, columns: tuple[str, ...], where: str) -> None:
    """Make sure that a table has all of the columns.

    Raises:
        TableError: One is missing.
    """
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise TableError(
            "columns " + ", ".join(columns), "none named " + ", ".join(missing), where=where
        )
