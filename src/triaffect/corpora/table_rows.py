"""Checking the columns of a table of labels; every mistake is told with its row and column."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from triaffect.corpora.rows import NO_FACE_TRACK
from triaffect.errors import TableError
from triaffect.tasks.columns import cell, need_columns, read_numbers, shown
from triaffect.tasks.expression import EXPRESSION
from triaffect.tasks.task import Task
from triaffect.types import BoolArray, FloatArray, IntArray, Split

_LARGEST = np.iinfo(np.int32).max
_NEVER_IN_NAMES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's control characters, line ends, and what stands for bytes that are no text."""

_LONGEST_NAME = 255
"""Bytes that a file's name may have on common systems."""


def clips(table: pd.DataFrame, blank: BoolArray, path: Path) -> dict[str, IntArray]:
    """Rows of each clip by its path, relative to the table; blank rows are no clip's.

    Raises:
        TableError: A path is empty, absolute, or leads out of the table's folder.
    """
    found: dict[str, list[int]] = {}
    plain: dict[str, str] = {}
    names = texts(table, "clip")
    for row in np.flatnonzero(~blank).tolist():
        clip = names[row]
        if clip not in plain:
            if not can_be_clip(clip):
                where = cell(str(path), row, "clip")
                raise TableError(
                    f"the path of a clip inside {path.parent}", shown(clip), where=where
                )
            plain[clip] = PurePosixPath(clip).as_posix()
        found.setdefault(plain[clip], []).append(row)
    return {clip: np.array(rows) for clip, rows in found.items()}


def can_be_clip(clip: str) -> bool:
    """Whether a path can be a file's, is relative and never climbs, on either system."""
    if any(unicodedata.category(letter) in _NEVER_IN_NAMES for letter in clip):
        return False
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind(clip)
        if not path.name or path.anchor or ".." in path.parts:
            return False
        if any(len(part.encode()) > _LONGEST_NAME for part in path.parts):
            return False
    return True


def whole_numbers(table: pd.DataFrame, column: str, where: str) -> NDArray[np.float64]:
    """A column of whole numbers, NaN where blank or absent, shape (rows,).

    Raises:
        TableError: A number that is negative, broken, or too large for 32 bits.
    """
    values = optional_numbers(table, column, where)
    wrong = np.flatnonzero((values != np.floor(values)) & ~np.isnan(values) | (values > _LARGEST))
    if len(wrong):
        row = int(wrong[0])
        got = shown(table[column].iloc[row])
        raise TableError("a whole number from 0", got, where=cell(where, row, column))
    return values


def optional_numbers(table: pd.DataFrame, column: str, where: str) -> NDArray[np.float64]:
    """A column of numbers from 0, NaN where blank or absent, shape (rows,).

    Raises:
        TableError: A cell is no number or a negative one.
    """
    if column not in table.columns:
        return np.full(len(table), np.nan)
    values = read_numbers(table, column, where)
    wrong = np.flatnonzero(values < 0)
    if len(wrong):
        row = int(wrong[0])
        got = shown(table[column].iloc[row])
        raise TableError("a number from 0", got, where=cell(where, row, column))
    return values


def tracks(table: pd.DataFrame, where: str) -> IntArray:
    """Number of the face of each row; `NO_FACE_TRACK` where blank, 0 without the column.

    Raises:
        TableError: A cell is no whole number from 0.
    """
    if "face_id" not in table.columns:
        return np.zeros(len(table), np.int64)
    faces = whole_numbers(table, "face_id", where)
    return np.where(np.isnan(faces), NO_FACE_TRACK, faces).astype(np.int64)


def texts(table: pd.DataFrame, column: str) -> list[str]:
    """A column of text without spaces around it, empty where absent."""
    if column not in table.columns:
        return [""] * len(table)
    return [text.strip() for text in table[column]]


def splits(table: pd.DataFrame, where: str) -> list[str]:
    """Split of each row, train where it is not said.

    Raises:
        TableError: A cell names no split.
    """
    known = set(Split)
    named = [text.lower() or str(Split.TRAIN) for text in texts(table, "split")]
    for row, split in enumerate(named):
        if split not in known:
            where = cell(where, row, "split")
            raise TableError("one of " + ", ".join(Split), shown(split), where=where)
    return named


def check_places(
    places: dict[str, NDArray[np.float64]], labelled: BoolArray, pictures: BoolArray, where: str
) -> None:
    """Make sure that labelled rows say which moment they describe, and a picture's no other than 0.

    Args:
        places: ``frame`` and ``time_s`` of each row, NaN where blank, each of shape (rows,).
        labelled: Which rows have a label.
        pictures: Which rows are of a picture, whose only moment is frame 0, time 0.
        where: The file, for messages.

    Raises:
        TableError: A row says neither, or a picture's another one.
    """
    for column, values in places.items():
        wrong = np.flatnonzero(labelled & pictures & (values > 0))
        if len(wrong):
            row = int(wrong[0])
            got = f"{values[row]:g}"
            raise TableError("0 or blank for a picture", got, where=cell(where, row, column))
    nowhere = np.all([np.isnan(values) for values in places.values()], axis=0)
    wrong = np.flatnonzero(labelled & ~pictures & nowhere)
    if len(wrong):
        place = f"{where}, row {int(wrong[0]) + 1}"
        raise TableError(" or ".join(places), "neither", "say which moment it is", where=place)


def votes_as_shares(table: pd.DataFrame, tasks: Sequence[Task], where: str) -> pd.DataFrame:
    """The table with counts of votes for the expressions divided by their number.

    Rows whose cells are whole numbers that add up to more than 1 are votes.

    Raises:
        TableError: A row, or the table, has some of the columns only.
    """
    columns = EXPRESSION.columns
    if EXPRESSION not in tasks or EXPRESSION.name in table.columns:
        return table
    if not set(columns) & set(table.columns):
        return table
    need_columns(table, columns, where)
    values = np.stack([read_numbers(table, column, where) for column in columns], axis=1)
    blank = np.isnan(values)
    partial = np.flatnonzero(blank.any(1) & ~blank.all(1))
    if len(partial):
        row = int(partial[0])
        column = columns[int(blank[row].argmax())]
        remedy = "write 0 for what nobody chose"
        raise TableError(f"all of {columns[0]} to {columns[-1]}, or none", "a blank cell", remedy,
                         where=cell(where, row, column))  # fmt: skip
    total = values.sum(1, keepdims=True)
    votes = (values == np.floor(values)).all(1) & (values >= 0).all(1) & (total[:, 0] > 1)
    values[votes] /= total[votes]
    return table.assign(**dict(zip(columns, values.T, strict=True)))


def refuse_contradictions(
    labels: Mapping[str, FloatArray],
    place: Sequence[NDArray[np.generic]],
    rows: IntArray,
    where: str,
) -> None:
    """See that rows of one moment of one face do not differ in a label.

    Args:
        labels: Labels (N, K) by task key, NaN where not annotated.
        place: Frame, time and face of each row, shape (N,) each.
        rows: The rows' numbers in the table, shape (N,).
        where: The table, for the message.

    Raises:
        TableError: Two rows contradict each other.
    """
    _, moment = np.unique(np.stack(place), axis=1, return_inverse=True)
    for values in labels.values():
        for column in values.T:
            given = np.flatnonzero(~np.isnan(column))
            order = given[np.lexsort((given, moment[given]))]
            again = (moment[order][1:] == moment[order][:-1]) & (
                column[order][1:] != column[order][:-1]
            )
            if again.any():
                first, second = (int(rows[order[np.flatnonzero(again)[0] + k]]) for k in (0, 1))
                raise TableError(
                    "one label for each moment of a face",
                    f"another one than in row {first + 1}",
                    "leave one of the two rows out",
                    where=f"{where}, row {second + 1}",
                )
