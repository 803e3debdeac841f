"""Post-process prediction tables: smoothing, baseline, renamed columns, summary.

It happens to finished rows, part by part, so that rows computed once serve every choice, and the
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
from triaffect.tables import baseline as face_baseline
from triaffect.tables.interop import check_program, rename_columns
from triaffect.tables.schema import tasks_in, to_pandas
from triaffect.tables.smoothing import OFF, Smoothing, smooth_fields, smooth_parts
from triaffect.tables.summary import summarize_parts, summary_schema
from triaffect.tables.writers import check_table_output
from triaffect.tasks.registry import available_tasks
from triaffect.tasks.task import Task


@dataclass(frozen=True)
class Postprocessing:
    """The steps from rows as predicted to a table as written.

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
    ) -> Postprocessing:
        """Parse the steps as a user writes them.

        Raises:
            TableError: One of them cannot be, or they do not go together.
        """
        steps = Postprocessing(
            Smoothing.parse(smooth),
            None if baseline is None else read_baseline(baseline),
            None if columns is None else check_program(columns),
            summary,
        )
        if steps.columns and (steps.smooth != OFF or steps.baseline_s is not None):
            expected = "raw numbers under another program's column names"
            got, remedy = "smoothing or a baseline too", "ask for them in a table of its own"
            raise TableError(expected, got, remedy, where="columns")
        return steps

    def options(self) -> dict[str, Any]:
        """Options of the table itself, for its metadata."""
        return {
            "smooth": str(self.smooth),
            "baseline_s": self.baseline_s,
            "columns": self.columns or "triaffect",
        }


PLAIN = Postprocessing()
"""The table as it was predicted."""


def read_baseline(text: str | float) -> float:
    """Seconds of a face's beginning that are its neutral.

    Raises:
        TableError: It is no length of time from 0.1 s to 600 s.
    """
    return parse_duration(
        text,
        "baseline",
        least_s=face_baseline.LEAST_S,
        most_s=face_baseline.MOST_S,
        error=TableError,
    )


def postprocess(
    tables: Iterable[pa.Table], steps: Postprocessing, tasks: Sequence[Task]
) -> Iterator[pa.Table]:
    """Post-process a table that comes in parts; the parts may be cut elsewhere after.

    Args:
        tables: Its parts, clip by clip and rising in time.
        steps: The steps.
        tasks: Whose columns it has, with the thresholds from which one counts as present.
    """
    tables = smooth_parts(tables, steps.smooth, tasks)
    if steps.baseline_s is not None:
        tables = face_baseline.subtract_baseline(tables, steps.baseline_s, tasks)
    for table in tables:
        yield rename_columns(table, steps.columns, tasks) if steps.columns else table


def postprocess_schema(
    schema: pa.Schema, steps: Postprocessing, tasks: Sequence[Task]
) -> pa.Schema:
    """Arrow schema of a post-processed table, from the schema of its rows as predicted."""
    if steps.columns:
        return rename_columns(schema.empty_table(), steps.columns, tasks).schema
    fields = list(schema)
    if steps.smooth != OFF:
        fields += smooth_fields(schema, tasks)
    if steps.baseline_s is not None:
        names = face_baseline.baseline_columns(tasks)
        fields += [schema.field(name).with_name(name + face_baseline.SUFFIX) for name in names]
    return pa.schema(fields)


def check_outputs(output: Path, steps: Postprocessing) -> None:
    """Make sure, before any work is done, that the table and its summary can be written.

    Raises:
        TableError: One of them names no table format, or both are the same file.
    """
    check_table_output(output)
    if steps.summary is None:
        return
    check_table_output(steps.summary)
    if steps.summary.absolute() == output.absolute():
        raise TableError("a summary beside the table", "the same file", where=steps.summary)


_NEEDED = ("clip", "time_s", "face_id")
_SUMMED = ("detection", "voice_heard")


def postprocess_frame(
    table: pd.DataFrame, steps: Postprocessing, thresholds: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Post-process a prediction table in memory.

    Args:
        table: The table, clip by clip and rising in time.
        steps: The steps; a summary is not written.
        thresholds: Probability from which an action unit counts as present, by column.

    Raises:
        TableError: It is no prediction table.
    """
    if steps == PLAIN:
        return table
    tasks = _tasks_of(table, _NEEDED, thresholds)
    result = _frame(postprocess([_arrow(table)], steps, tasks))
    result.attrs.update(table.attrs)
    return result


def summarize_frame(
    table: pd.DataFrame, thresholds: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Summarize a prediction table in memory, a row for each clip and face.

    Args:
        table: The table, clip by clip and rising in time.
        thresholds: Probability from which an action unit counts as present, by column.

    Raises:
        TableError: It is no prediction table.
    """
    tasks = _tasks_of(table, (*_NEEDED, *_SUMMED), thresholds)
    none = summary_schema(tasks).empty_table()
    result = _frame([none, *summarize_parts([_arrow(table)], tasks)])
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
