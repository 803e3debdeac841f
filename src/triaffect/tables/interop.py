"""The table under the column names of other programs, as far as theirs mean the same.

What a program's columns are called, and which of ours mean the same, is declared by the tasks
(`Task.column_aliases`) and below; ``docs/reference/other-programs.md`` says where it was looked up,
and what is left out and why. A column of ours that a table lacks leaves theirs out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from triaffect.errors import TableError
from triaffect.tables.schema import values_of
from triaffect.tasks.task import Task

_LANDMARKS = (("nose", 30), ("mouth_left", 48), ("mouth_right", 54))
"""Ours, and its number among the 68 points of iBUG that both programs give. Eyes have six points
each there and none in the middle."""


def _same(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values


def _from_one(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.add(values.cast(pa.int64()), 1)


def _zero_or_one(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.cast(pa.int64())


@dataclass(frozen=True)
class Column:
    """A column of another program.

    Attributes:
        name: Its name there.
        ours: Ours that means the same.
        how: Brings ours into its form.
        note: What that changes, in words.
    """

    name: str
    ours: str
    how: Callable[[pa.ChunkedArray], pa.ChunkedArray] = _same
    note: str = ""


@dataclass(frozen=True)
class OtherProgram:
    """Another program and its table.

    Attributes:
        name: As it calls itself.
        before: Columns before those of the tasks.
        after: Columns after them.
        own: Columns of ours at the end, which it has none for and a user cannot do without.
        presence: Its columns of what may be present say 0 or 1, not how probable it is.
    """

    name: str
    before: tuple[Column, ...]
    after: tuple[Column, ...]
    own: tuple[str, ...]
    presence: bool = False


def _points() -> tuple[Column, ...]:
    return tuple(
        Column(f"{axis}_{number}", f"{point}_{axis}")
        for axis in ("x", "y")
        for point, number in _LANDMARKS
    )


PROGRAMS = {
    "openface": OtherProgram(
        "OpenFace 2",
        (
            Column("frame", "frame", _from_one, "counted from 1"),
            Column("face_id", "face_id"),
            Column("timestamp", "time_s"),
            Column("confidence", "detection"),
            Column("success", "face_seen", _zero_or_one, "1 or 0"),
            *_points(),
        ),
        (),
        ("clip",),
        presence=True,
    ),
    "pyfeat": OtherProgram(
        "Py-Feat",
        (
            Column("FaceRectX", "box_x"),
            Column("FaceRectY", "box_y"),
            Column("FaceRectWidth", "box_w"),
            Column("FaceRectHeight", "box_h"),
            Column("FaceScore", "detection"),
            *_points(),
        ),
        (Column("input", "clip"), Column("frame", "frame")),
        ("time_s", "face_id"),
    ),
}
"""By the program_key that asks for it."""


def check_program(program_key: str) -> str:
    """Make sure that a program is known.

    Raises:
        TableError: It is not.
    """
    if program_key not in PROGRAMS:
        raise TableError(f"one of {', '.join(PROGRAMS)}", repr(program_key), where="columns")
    return program_key


def rename_columns(table: pa.Table, program_key: str, tasks: Sequence[Task]) -> pa.Table:
    """The rows under another program's column names.

    Args:
        table: A prediction table, or a part of one.
        program_key: A key of `PROGRAMS`.
        tasks: Whose columns it has, with the thresholds from which one counts as present.
    """
    program = PROGRAMS[program_key]
    columns_out = _other_columns(table, program.before)
    for task in tasks:
        columns_out |= _of_task(table, task, program_key, program.presence)
    own = tuple(Column(name, name) for name in program.own)
    return pa.table(columns_out | _other_columns(table, (*program.after, *own)))


def describe_columns(program_key: str, tasks: Sequence[Task]) -> dict[str, str]:
    """Of what each column with a name of theirs is made, and how."""
    program = PROGRAMS[program_key]
    notes = {
        column.name: f"{program.name}'s; our {column.ours}" + (column.note and f", {column.note}")
        for column in (*program.before, *program.after)
    }
    for task in tasks:
        levels = task.present_from if program.presence else {}
        for ours, theirs in task.column_aliases.get(program_key, {}).items():
            how = f", 1 from {levels[ours]:g} on, else 0" if ours in levels else ""
            notes[theirs] = f"{program.name}'s; our {ours}{how}"
    return notes


def _other_columns(
    table: pa.Table, columns: Sequence[Column]
) -> dict[str, pa.ChunkedArray | pa.Array]:
    there = set(table.column_names)
    return {c.name: c.how(table[c.ours]) for c in columns if c.ours in there}


def _of_task(
    table: pa.Table, task: Task, program_key: str, presence: bool
) -> dict[str, pa.ChunkedArray | pa.Array]:
    names = task.column_aliases.get(program_key, {})
    if not presence or not task.threshold_columns:
        return {theirs: table[ours] for ours, theirs in names.items()}
    values = values_of(table, task.columns)
    present = task.submitted(values).astype(np.int64)
    columns = {name: k for k, name in enumerate(task.columns)}
    return {
        theirs: pa.array(present[:, columns[ours]], mask=np.isnan(values[:, columns[ours]]))
        for ours, theirs in names.items()
    }
