"""What the command line does to tables, for tables in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import pyarrow as pa

from triaffect.errors import TableError
from triaffect.inference.form import PLAIN, TableForm, formed
from triaffect.inference.series import tasks_in
from triaffect.inference.summary import summarised, summary_schema
from triaffect.inference.table import to_pandas
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task

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
    return _frame(formed([_arrow(table)], form, tasks))


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
    return _frame([none, *summarised([_arrow(table)], tasks)])


def _tasks_of(
    table: pd.DataFrame, needed: Sequence[str], thresholds: Mapping[str, float] | None
) -> list[Task]:
    missing = [name for name in needed if name not in table.columns]
    tasks = tasks_in(list(table.columns), TASKS)
    if missing or not tasks:
        got = f"none named {', '.join(missing)}" if missing else "one without predictions"
        raise TableError("a prediction table", got, where="table")
    return [task.with_thresholds(thresholds or {}) for task in tasks]


def _arrow(table: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata()


def _frame(tables: Iterable[pa.Table]) -> pd.DataFrame:
    return to_pandas(pa.concat_tables(tables))
