"""Tables of other programs, and the mappings by which their columns become labels.

How a table's columns become labels is a *mapping*, a TOML file::

    title = "OpenFace 2.2"       # what made the table
    origin = "teacher"           # human, derived, teacher or rendered
    clip = "clip"                # column with the file's path or name
    frame = "frame"              # column with the frame; left out where a row is a whole file
    first_frame = 1              # number of the first frame there
    reliable = { column = "confidence", least = 0.8 }   # other rows are passed over

    [columns.AU12]               # a column of a task
    from = ["AU12_r"]            # the mean of these
    center = 0.54                # a unit is as likely present as not; a rating is 0
    scale = 0.93                 # a unit's odds grow by e; a rating is 1

Of an expression, such as ``p_happiness``, (mean - center) / scale is its probability. Those that a
mapping leaves out have none; where the others sum to less than 2/3 there is no label.

Columns that a table lacks are passed over, with a warning, if it has any. Blank cells, and what
programs write for no number, are none. A table is read as `triaffect.corpora.table_file` says,
but for spaces around the names of its columns.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from triaffect.corpora.music.tables import refuse_computed_tags
from triaffect.corpora.table_file import (
    blank_rows,
    optional_numbers,
    read_header,
    read_table,
    texts,
)
from triaffect.errors import TableError
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION, EXPRESSIONS
from triaffect.tasks.task import cell, read_numbers, shown
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL
from triaffect.types import IntArray, LabelOrigin

PACKAGED = ("openface", "blendshapes", "category_means")
"""Mappings that come with the package, by name."""

_MOST_LOGITS = 6.0
_MOST_CERTAIN, _LEAST_SPREAD = 0.2, 0.05
"""More of a unit at the end of the scale, or a smaller deviation of it, is another scale: OpenFace
and MediaPipe have at most 0.01 there, and at least 0.7 of deviation, over four sets of faces."""
_FARTHEST = 25.0
"""Logits beyond which no measure of a unit lies: MediaPipe's have at most 15, -999 thousands."""
_FEWEST_PRESENT, _FEWEST_ROWS = 0.005, 100
"""Half of the units present in a smaller share of so many rows is a smaller scale: of 100 to 300
rows of those sets at most a third of the units are, of intensities divided by 3 nine of eleven."""
_END = 0.8
"""Ratings that all lie beyond, on one side, are on a smaller scale than their mapping's."""
_MOST_BLANK = 0.5
MOST_OTHER = 1 / 3
"""Share for "other", or for no expression of ours, beyond which the rest says nothing."""
_MOST_TOTAL, _ROUNDING = 1.05, 1e-6
_NO_NUMBER = ("na", "n/a", "#n/a", "<na>", "nan", "-nan", "nan(ind)", "-nan(ind)", "null", "none")
"""What programs write into a cell without a number, in small letters."""


class _MappingTable(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ReliableRows(_MappingTable):
    """Rows of a table count if a column holds at least some value."""

    column: str
    least: FiniteFloat


class ColumnMapping(_MappingTable):
    """One column of a task from the mean of some of a table's: (mean - center) / scale.

    Attributes:
        sources: Columns of the table, ``from`` in the file.
        center: Of a unit, the mean from which it is more likely present; of a rating or a
            probability, its zero.
        scale: Of a unit, what a logit is worth; of a rating or a probability, what 1 is worth.
            Negative turns it.
    """

    sources: Annotated[tuple[str, ...], Field(alias="from", min_length=1)]
    center: FiniteFloat
    scale: FiniteFloat


class LabelMapping(_MappingTable):
    """How the columns of another program's table become labels; see the module."""

    title: str
    origin: LabelOrigin
    clip: str = "clip"
    frame: str | None = None
    first_frame: int = 0
    reliable: ReliableRows | None = None
    columns: dict[str, ColumnMapping] = {}
    expression_means: dict[str, tuple[FiniteFloat, FiniteFloat]] = {}


_RANGES = {
    ACTION_UNITS.key: (-_MOST_LOGITS, _MOST_LOGITS),
    VALENCE_AROUSAL.key: (-1.0, 1.0),
    EXPRESSION.key: (0.0, 1.0),
}
"""Where logits of units, ratings and probabilities lie."""

_MAPPED = {
    column: task for task in (ACTION_UNITS, VALENCE_AROUSAL, EXPRESSION) for column in task.columns
}
"""Tasks whose columns a mapping may name, by column."""


def read_mapping(name: str) -> LabelMapping:
    """Read a mapping.

    Args:
        name: One of `PACKAGED`, or the path of a TOML file.

    Raises:
        TableError: There is no such file, or it holds what no mapping has, or maps nothing.
    """
    try:
        if name in PACKAGED:
            text = (files("triaffect.corpora") / "mappings" / f"{name}.toml").read_text("utf-8")
        else:
            text = Path(name).read_text("utf-8")
        mapping = LabelMapping.model_validate(tomllib.loads(text))
    except OSError as error:
        expected = f"{', '.join(PACKAGED)}, or a TOML file of a mapping"
        raise TableError(expected, error.strerror or "no file", where=name) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise TableError("a mapping of columns", f"{key}: {first['msg']}", where=name) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TableError("a TOML file of a mapping", str(error), where=name) from error
    for table, words, names in (
        ("columns", mapping.columns, tuple(_MAPPED)),
        ("expression_means", mapping.expression_means, EXPRESSIONS),
    ):
        if unknown := [word for word in words if word not in names]:
            expected = f"[{table}] of {', '.join(names)}"
            raise TableError(expected, ", ".join(unknown), where=name)
    if any(each.scale == 0 for each in mapping.columns.values()):
        raise TableError("a scale other than 0", "0", where=name)
    if not mapping.columns and not mapping.expression_means:
        expected = "columns of labels, such as [columns.AU12] or [columns.valence]"
        raise TableError(expected, "none", where=name)
    return mapping


@dataclass(frozen=True)
class SoftLabelTable:
    """A table read by its mapping.

    Attributes:
        mapping: The mapping.
        columns: Columns of tasks that it has.
        values: Logits of units, ratings in [-1, 1]; NaN for none, shape (rows, columns).
        rows: Row by clip, as the table names it, and by frame; the frame is None in a table
            without such a column.
        lines: Number of each row in its file, from 0, shape (rows,).
        path: The file or folder.
        doubts: What may be wrong with its columns, a sentence each.
    """

    mapping: LabelMapping
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    rows: Mapping[str, Mapping[int | None, int]]
    lines: IntArray
    path: Path
    doubts: tuple[str, ...]

    def cell(self, clip: str, row: int, column: str) -> str:
        """Name a cell for an error, with its file.

        Args:
            clip: A clip, as the table names it.
            row: One of its rows.
            column: Name of the column.
        """
        file = self.path / f"{clip}.csv" if self.path.is_dir() else self.path
        return cell(str(file), int(self.lines[row]), column)

    @staticmethod
    def read(mapping: LabelMapping, path: Path) -> SoftLabelTable:
        """Read a table, CSV or Parquet, or a folder of CSV files, one a clip and named as it.

        Args:
            mapping: What its columns mean.
            path: The file or folder.

        Raises:
            TableError: It cannot be read, lacks the clip's column or all columns of the mapping,
                has a cell that is no number, a row without a clip or a second one of a moment, or
                is `refuse_computed_tags`'s table.
        """
        refuse_computed_tags(path)
        is_folder = path.is_dir()
        paths = sorted(path.glob("*.csv")) if is_folder else [path]
        if not paths:
            raise TableError("CSV files, one a clip", "none", where=path)
        parts = [_TableFile.read(mapping, each, each.stem if is_folder else None) for each in paths]
        columns = _columns_there(mapping, parts)
        rows: dict[str, dict[int | None, int]] = {}
        keys = (key for part in parts for key in zip(part.clips, part.frames, strict=True))
        for number, (clip, frame) in enumerate(keys):
            if frame in rows.setdefault(clip, {}):
                at = "" if frame is None else f", frame {frame + mapping.first_frame}"
                remedy = "name the column of frames in the mapping"
                if mapping.frame is not None:
                    remedy = "of several faces, leave the rows of the one that the labels are for"
                raise TableError("each picture once", f"{clip}{at} twice", remedy, where=path)
            rows[clip][frame] = number
        values = np.concatenate([part.stack(columns) for part in parts])
        doubts = [*_doubt_header(parts, path)]
        for k, column in enumerate(columns):
            if doubt := _doubt_column(column, values[:, k]):
                doubts.append(f"{path}: {column}: {doubt}")
            values[:, k] = values[:, k].clip(*_RANGES[_MAPPED[column].key])
        if doubt := _doubt_units(columns, values):
            doubts.append(f"{path}: {doubt}")
        columns, values, doubt = _complete_expressions(columns, values)
        if doubt:
            doubts.append(f"{path}: {doubt}")
        lines = np.concatenate([part.lines for part in parts])
        return SoftLabelTable(mapping, columns, values, rows, lines, path, tuple(doubts))


@dataclass(frozen=True)
class _TableFile:
    """What a file has.

    Attributes:
        path: The file.
        values: Logits or ratings by column of a task, shape (rows,) each.
        clips: Clip of each row.
        frames: Frame of each row from 0, None where it has no such column.
        lines: Number of each row in the file, shape (rows,).
        lacks: Columns that the mapping names for one of a task and the file lacks, by that.
    """

    path: Path
    values: Mapping[str, NDArray[np.float64]]
    clips: Sequence[str]
    frames: Sequence[int | None]
    lines: IntArray
    lacks: Mapping[str, Sequence[str]]

    def stack(self, columns: Sequence[str]) -> NDArray[np.float64]:
        """Values of some columns, NaN for those it lacks, shape (rows, columns)."""
        none = np.full(len(self.lines), np.nan)
        return np.stack([self.values.get(column, none) for column in columns], axis=1)

    @staticmethod
    def read(mapping: LabelMapping, path: Path, stem: str | None) -> _TableFile:
        """Read a file, of one clip if it has a stem."""
        table = _read_columns(mapping, path, stem)
        lacks = {
            column: [name for name in each.sources if name not in table.columns]
            for column, each in mapping.columns.items()
        }
        there = {column: mapping.columns[column] for column in lacks if not lacks[column]}
        if not there:
            names = sorted({name for each in mapping.columns.values() for name in each.sources})
            got = f"none of them but {_some_columns(path, (*names, mapping.clip))}"
            remedy = "rename some, or write a mapping for this table"
            raise TableError(f"columns such as {', '.join(names[:4])}", got, remedy, where=path)
        where, reliable = str(path), mapping.reliable
        counts = ~blank_rows(table)
        if reliable and reliable.column in table.columns:
            counts &= read_numbers(table, reliable.column, where) >= reliable.least
        lines = np.flatnonzero(counts)
        numbers = {
            name: read_numbers(table[name].where(counts).to_frame(), name, where)[lines]
            for each in there.values()
            for name in each.sources
        }
        values = {
            column: (np.mean([numbers[name] for name in each.sources], axis=0) - each.center)
            / each.scale
            for column, each in there.items()
        }
        clips = [stem] * len(lines) if stem is not None else _clips(mapping, table, lines, where)
        frames = _frames(mapping, table, lines, where)
        return _TableFile(path, values, clips, frames, lines, {k: v for k, v in lacks.items() if v})


def _read_columns(mapping: LabelMapping, path: Path, stem: str | None) -> pd.DataFrame:
    """Read the columns that a mapping names; what means no number is blank."""
    names = {name for each in mapping.columns.values() for name in each.sources}
    names |= {mapping.frame} if mapping.frame is not None else set()
    names |= {mapping.reliable.column} if mapping.reliable else set()
    keys = names if stem is not None else {mapping.clip}
    table = read_table(path, names, {mapping.clip} if stem is None else (), keys, padded=True)
    if stem is None and mapping.clip not in table.columns:
        got, remedy = _some_columns(path, keys), "rename one, or name another in the mapping"
        raise TableError(f"a column {mapping.clip}", got, remedy, where=path)
    for name in names & set(table.columns):
        if table[name].dtype == object:
            is_none = table[name].str.strip().str.lower().isin(_NO_NUMBER)
            table[name] = table[name].mask(is_none, "")
    return table


def _some_columns(path: Path, keys: Iterable[str]) -> str:
    """The first names of a header, for an error; any bytes may be among them."""
    names = ", ".join(read_header(path, keys)[:5])
    return names if names.isprintable() else shown(names)


def _clips(mapping: LabelMapping, table: pd.DataFrame, lines: IntArray, where: str) -> list[str]:
    """Clip of each of some rows, as a plain path."""
    names = texts(table, mapping.clip)
    for line in lines.tolist():
        if not names[line]:
            at = cell(where, line, mapping.clip)
            raise TableError("the path or name of a clip", "a blank cell", where=at)
    return [PurePosixPath(names[line]).as_posix() for line in lines.tolist()]


def _frames(
    mapping: LabelMapping, table: pd.DataFrame, lines: IntArray, where: str
) -> Sequence[int | None]:
    """Frame of each of some rows from 0, None if the table has no such column."""
    if mapping.frame is None or mapping.frame not in table.columns:
        return [None] * len(lines)
    numbers = optional_numbers(table, mapping.frame, where, whole=True)[lines]
    wrong = np.flatnonzero(~(numbers >= mapping.first_frame))
    if len(wrong):
        at = cell(where, int(lines[wrong[0]]), mapping.frame)
        got = f"{numbers[wrong[0]]:g}".replace("nan", "a blank cell")
        raise TableError(f"a whole number from {mapping.first_frame}", got, where=at)
    frames: list[int | None] = (numbers - mapping.first_frame).astype(int).tolist()
    return frames


def _columns_there(mapping: LabelMapping, parts: Sequence[_TableFile]) -> tuple[str, ...]:
    """Columns of tasks that a file has, and all expressions of the mapping if it has one.

    An expression whose column is missing so leaves no label of any.
    """
    there = {name for part in parts for name in part.values}
    if any(_MAPPED[name] is EXPRESSION for name in there):
        there |= {name for name in mapping.columns if _MAPPED[name] is EXPRESSION}
    return tuple(name for name in mapping.columns if name in there)


def _complete_expressions(
    columns: tuple[str, ...], values: NDArray[np.float64]
) -> tuple[tuple[str, ...], NDArray[np.float64], str]:
    """Put all expressions in the place of those that are there, as `whole_shares` does."""
    classes = [k for k, column in enumerate(columns) if _MAPPED[column] is EXPRESSION]
    if not classes:
        return columns, values, ""
    names = [columns[k] for k in classes]
    shares, doubt = whole_shares(names, values[:, classes])
    others = tuple(name for name in columns if name not in names)
    whole = np.concatenate([np.delete(values, classes, axis=1), shares], axis=1)
    return others + EXPRESSION.columns, whole, doubt


def _doubt_header(parts: Sequence[_TableFile], path: Path) -> list[str]:
    """Say which columns of the mapping are missing, so that some of a task are."""
    lacking = [part for part in parts if part.lacks]
    if not lacking:
        return []
    lacks = lacking[0].lacks
    names = ", ".join(dict.fromkeys(name for each in lacks.values() for name in each))
    some = ""
    if len(parts) > 1:
        some = f"{len(lacking):,} of {len(parts):,} files, such as {lacking[0].path.name}: "
    return [f"{path}: {some}no column {names}, and so no labels of {', '.join(lacks)}"]


def _doubt_units(columns: Sequence[str], values: NDArray[np.float64]) -> str | None:
    """Name the units that are hardly ever present, if they are half of them or more."""
    units = [k for k, column in enumerate(columns) if _MAPPED[column] is ACTION_UNITS]
    logits = values[:, units]
    rows = int((~np.isnan(logits)).any(axis=1).sum())
    absent = (logits > 0).sum(axis=0) < _FEWEST_PRESENT * (~np.isnan(logits)).sum(axis=0)
    if rows < _FEWEST_ROWS or absent.sum() < max(2, len(units) / 2):
        return None
    names = ", ".join(columns[units[k]] for k in np.flatnonzero(absent))
    scale = "on a smaller scale than the mapping's? they would be learned as absent"
    return f"{names}: present in almost none of {rows:,} rows; {scale}"


def whole_shares(
    names: Sequence[str], shares: NDArray[np.float64]
) -> tuple[NDArray[np.float64], str]:
    """Complete probabilities of some expressions to all of them, summing to 1.

    Args:
        names: Columns of the expressions.
        shares: Their probabilities, shape (N, K).

    Returns:
        Shape (N, 8), NaN where one is missing, or where they sum to less than 2/3; and what may be
        wrong with them, if anything.

    >>> whole_shares(["p_anger", "p_happiness"], np.array([[0.2, 0.6], [0.1, 0.1]]))[0][:, :5]
    array([[0.  , 0.25, 0.  , 0.  , 0.75],
           [ nan,  nan,  nan,  nan,  nan]])
    """
    total = shares.sum(axis=1)  # NaN where one is
    is_label = total >= 1 - MOST_OTHER
    whole = np.zeros((len(shares), EXPRESSION.width))
    for k, name in enumerate(names):
        whole[:, EXPRESSION.columns.index(name)] = shares[:, k]
    whole = np.where(is_label[:, None], whole / np.where(is_label, total, 1)[:, None], np.nan)
    low, high = int((total < 1 - MOST_OTHER).sum()), int((total > _MOST_TOTAL).sum())
    scale = "on another scale than its mapping?"
    if high:
        return whole, f"probabilities of expressions sum to more than 1 in {high:,} rows; {scale}"
    if 2 * low > len(total):
        return whole, f"probabilities of expressions sum to less than 2/3 in {low:,} rows; {scale}"
    return whole, ""


def _doubt_column(column: str, values: NDArray[np.float64]) -> str | None:
    """Say what may be wrong with a column's logits or ratings, before they are held in range."""
    there = values[~np.isnan(values)]
    if len(there) < (1 - _MOST_BLANK) * len(values):
        return f"{len(values) - len(there):,} of {len(values):,} cells are blank, and no labels"
    if not len(there):
        return None
    other = "on another scale than its mapping?"
    certain = float((there >= _MOST_LOGITS).mean())
    far, outside = (int((np.abs(there) > end).sum()) for end in (_FARTHEST, 1 + 1e-6))
    codes = "numbers are far off its mapping's scale; codes for none? leave such cells blank"
    ends = "ratings are outside its mapping's scale, and taken as its ends"
    is_narrow = len(there) > 1 and there.std() < _LEAST_SPREAD
    checks = [
        (certain > _MOST_CERTAIN, f"present beyond doubt in {certain:.0%} of the rows; {other}"),
        (far > 0, f"{far:,} of {len(there):,} {codes}"),
        (is_narrow, f"hardly differs between rows; {other}"),
    ]
    if _MAPPED[column] is EXPRESSION:
        low, high = _RANGES[EXPRESSION.key]
        wrong = int(((there < low - _ROUNDING) | (there > high + _ROUNDING)).sum())
        checks = [(wrong > 0, f"{wrong:,} of {len(there):,} probabilities are outside 0 to 1")]
    if _MAPPED[column] is VALENCE_AROUSAL:
        is_at_end = len(there) > 1 and bool(there.min() >= _END or there.max() <= -_END)
        checks = [
            (outside > 0, f"{outside:,} of {len(there):,} {ends}"),
            (is_narrow, f"hardly differs between rows; {other}"),
            (is_at_end, f"all ratings are at one end; {other}"),
        ]
    return next((text for is_doubtful, text in checks if is_doubtful), None)
