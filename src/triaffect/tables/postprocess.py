"""Post-process prediction tables: smoothing, baseline, renamed columns, summary.

It happens to finished rows, part by part, so that rows computed once serve any form, and the
command line and Python give the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from triaffect.errors import TableError
from triaffect.io.durations import parse_duration
from triaffect.tables import baseline as own
from triaffect.tables.interop import check_program, renamed
from triaffect.tables.schema import tasks_in, to_pandas
from triaffect.tables.smoothing import OFF, Smoothing, smoothed, smoothed_fields
from triaffect.tables.summary import summarised, summary_schema
from triaffect.tables.writers import check_table_output
from triaffect.tasks.registry import available_tasks
from triaffect.tasks.task import Task


@dataclass(frozen=True)
class TableForm:
    """How a prediction table is written.

    Attributes:
        smooth: With what its numbers are smoothed; the raw ones stay.
        baseline_s: How many of its first seconds are a face's neutral; None to compare nothing.
        columns: The program whose column names are taken, a key of
            `triaffect.tables.interop.PROGRAMS`; None for our own.
        summary: Where to write a row for each clip and face; None for nowhere.
    """

    smooth: Smoothing = OFF
    baseline_s: float | None = None
    columns: str | None = None
    summary: Path | None = None

    @staticmethod
    def parse(
        smooth: str = "off",
        baseline: str | float | None = None,
        columns: str | None = None,
        summary: Path | None = None,
    ) -> TableForm:
        """Read a form as a user writes it.

        Raises:
            TableError: One of them cannot be, or they do not go together.
        """
        form = TableForm(
            Smoothing.parse(smooth),
            None if baseline is None else read_baseline(baseline),
            None if columns is None else check_program(columns),
            summary,
        )
        if form.columns and (form.smooth != OFF or form.baseline_s is not None):
            expected = "raw numbers under another program's column names"
            got, remedy = "smoothing or a baseline too", "ask for them in a table of its own"
            raise TableError(expected, got, remedy, where="columns")
        return form

    def options(self) -> dict[str, Any]:
        """What was asked for of the table itself, for its description."""
        return {
            "smooth": str(self.smooth),
            "baseline_s": self.baseline_s,
            "columns": self.columns or "triaffect",
        }


PLAIN = TableForm()
"""The table as it was predicted."""


def read_baseline(text: str | float) -> float:
    """Seconds of a face's beginning that are its neutral.

    Raises:
        TableError: It is no length of time from 0.1 s to 600 s.
    """
    return parse_duration(
        text, "baseline", least_s=own.LEAST_S, most_s=own.MOST_S, error=TableError
    )


def formed(
    tables: Iterable[pa.Table], form: TableForm, tasks: Sequence[Task]
) -> Iterator[pa.Table]:
    """Bring a table that comes in parts into a form; the parts may be cut elsewhere after.

    Args:
        tables: Its parts, clip by clip and rising in time.
        form: The form.
        tasks: Whose columns it has, with the thresholds from which one counts as present.
    """
    tables = smoothed(tables, form.smooth, tasks)
    if form.baseline_s is not None:
        tables = own.above_own(tables, form.baseline_s, tasks)
    for table in tables:
        yield renamed(table, form.columns, tasks) if form.columns else table


def formed_schema(schema: pa.Schema, form: TableForm, tasks: Sequence[Task]) -> pa.Schema:
    """Arrow schema of a table of a schema that was brought into a form."""
    if form.columns:
        return renamed(schema.empty_table(), form.columns, tasks).schema
    fields = list(schema)
    if form.smooth != OFF:
        fields += smoothed_fields(schema, tasks)
    if form.baseline_s is not None:
        names = own.compared_columns(tasks)
        fields += [schema.field(name).with_name(name + own.SUFFIX) for name in names]
    return pa.schema(fields)


def check_outputs(output: Path, form: TableForm) -> None:
    """Make sure, before any work is done, that the table and its summary can be written.

    Raises:
        TableError: A place is none for a table, or both are the same.
    """
    check_table_output(output)
    if form.summary is None:
        return
    check_table_output(form.summary)
    if form.summary.absolute() == output.absolute():
        raise TableError("a summary beside the table", "the same file", where=form.summary)


_NEEDED = ("clip", "time_s", "face_id")
_SUMMED = ("detection", "voice_heard")


def form_frame(
    table: pd.DataFrame, form: TableForm, thresholds: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Bring a prediction table into a form.

    Args:
        table: The table, clip by clip and rising in time.
        form: The form; a summary is not written.
        thresholds: Probability from which an action unit counts as present, by column.

    Raises:
        TableError: It is no prediction table.
    """
    if form == PLAIN:
        return table
    tasks = _tasks_of(table, _NEEDED, thresholds)
    result = _frame(formed([_arrow(table)], form, tasks))
    result.attrs.update(table.attrs)
    return result


def summary_frame(
    table: pd.DataFrame, thresholds: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Sum a prediction table up, a row for each clip and face.

    Args:
        table: The table, clip by clip and rising in time.
        thresholds: Probability from which an action unit counts as present, by column.

    Raises:
        TableError: It is no prediction table.
    """
    tasks = _tasks_of(table, (*_NEEDED, *_SUMMED), thresholds)
    none = summary_schema(tasks).empty_table()
    result = _frame([none, *summarised([_arrow(table)], tasks)])
    result.attrs.update(table.attrs)
    return result


def _tasks_of(
    table: pd.DataFrame, needed: Sequence[str], thresholds: Mapping[str, float] | None
) -> list[Task]:
    missing = [name for name in needed if name not in table.columns]
    tasks = tasks_in(list(table.columns), available_tasks())
    if missing or not tasks:
        got = f"none named {', '.join(missing)}" if missing else "one without predictions"
        raise TableError("a prediction table", got, where="table")
    return [task.with_thresholds(thresholds or {}) for task in tasks]


def _arrow(table: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata()


def _frame(tables: Iterable[pa.Table]) -> pd.DataFrame:
    return to_pandas(pa.concat_tables(tables))
