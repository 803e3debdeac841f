"""The table under the column names of other programs, as far as theirs mean the same.

What a program's columns are called, and which of ours mean the same, is declared by the tasks
(`Task.column_aliases`) and below; ``docs/reference/other-programs.md`` says where it was looked up,
and what is left out and why. A column of ours that a table lacks leaves theirs out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from triaffect.tables.schema import values_of
from triaffect.tasks.task import Task

_LANDMARKS = (("nose", 30), ("mouth_left", 48), ("mouth_right", 54))
"""Ours, and its number among the 68 points of iBUG that both programs give. Eyes have six points
each there and none in the middle."""


@dataclass(frozen=True)
class Column:
    """A column of another program.

    Attributes:
        name: Its name there.
        ours: Ours that means the same.
        first_number: Theirs is a whole number that starts here where ours starts at 0 or false;
            None if theirs is the same as ours.
        note: What that changes, in words.
    """

    name: str
    ours: str
    first_number: int | None = None
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
            Column("frame", "frame", 1, "counted from 1"),
            Column("face_id", "face_id"),
            Column("timestamp", "time_s"),
            Column("confidence", "detection"),
            Column("success", "face_seen", 0, "1 or 0"),
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


def rename_columns(table: pa.Table, program_key: str, tasks: Sequence[Task]) -> pa.Table:
    """Return the rows under another program's column names.

    Args:
        table: A prediction table, or a part of one.
        program_key: A key of `PROGRAMS`.
        tasks: Whose columns it has, with the thresholds from which one counts as present.

    Returns:
        As many rows, in order; of ours, only what the program has a column for, or its user
        cannot do without.
    """
    program = PROGRAMS[program_key]
    columns_out = _other_columns(table, program.before)
    for task in tasks:
        columns_out |= _of_task(table, task, program_key, program.presence)
    own = tuple(Column(name, name) for name in program.own)
    return pa.table(columns_out | _other_columns(table, (*program.after, *own)))


def describe_columns(program_key: str, tasks: Sequence[Task]) -> dict[str, str]:
    """Describe of what each column with a name of theirs is made, and how.

    >>> from triaffect.tasks.registry import TASKS
    >>> describe_columns("openface", TASKS)["frame"]
    "OpenFace 2's; our frame, counted from 1"

    Args:
        program_key: A key of `PROGRAMS`.
        tasks: Whose columns the table has, with their thresholds.

    Returns:
        Text by the program's column name.
    """
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
    result = {}
    for column in columns:
        if column.ours in table.column_names:
            values = table[column.ours]
            if column.first_number is not None:
                import pyarrow.compute as pc  # noqa: PLC0415 - heavy

                values = pc.add(values.cast(pa.int64()), column.first_number)
            result[column.name] = values
    return result


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
