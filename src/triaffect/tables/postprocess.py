"""Post-process prediction tables: smoothing, baseline, renamed columns, summary.

It happens to finished rows, part by part, so that rows computed once serve every choice, and the
command line and Python give the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from triaffect.errors import TableError
from triaffect.io.atomic import check_distinct
from triaffect.io.durations import parse_duration
from triaffect.tables import baseline as face_baseline
from triaffect.tables.interop import PROGRAMS, rename_columns
from triaffect.tables.schema import row_order, tasks_in, to_pandas
from triaffect.tables.smoothing import OFF, Smoothing, smooth_fields, smooth_parts
from triaffect.tables.summary import summarize_parts, summary_schema
from triaffect.tables.writers import check_table_output
from triaffect.tasks.registry import available_tasks
from triaffect.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd


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

        >>> Postprocessing.parse("causal:0.4s", baseline="10 s").options()
        {'smooth': 'causal:0.4s', 'baseline_s': 10.0, 'columns': 'triaffect'}

        Args:
            smooth: As `Smoothing.parse` reads it.
            baseline: Seconds of a face's beginning that are its neutral, 0.1 to 600, as number
                or text; None to compare nothing.
            columns: The program whose column names are taken; None for our own.
            summary: Where to write a row for each clip and face; None for nowhere.

        Returns:
            The steps.

        Raises:
            TableError: One of them cannot be, or they do not go together.
        """
        smoothing, baseline_s = Smoothing.parse(smooth), None
        if baseline is not None:
            least_s, most_s = face_baseline.LEAST_S, face_baseline.MOST_S
            baseline_s = parse_duration(
                baseline, "baseline", least_s=least_s, most_s=most_s, error=TableError
            )
        if columns is not None and columns not in PROGRAMS:
            raise TableError(f"one of {', '.join(PROGRAMS)}", repr(columns), where="columns")
        steps = Postprocessing(smoothing, baseline_s, columns, summary)
        if steps.columns and (steps.smooth != OFF or steps.baseline_s is not None):
            expected = "raw numbers under another program's column names"
            got, remedy = "smoothing or a baseline too", "ask for them in a table of its own"
            raise TableError(expected, got, remedy, where="columns")
        return steps

    def options(self) -> dict[str, Any]:
        """Return the options of the table itself, as its metadata hold them."""
        return {
            "smooth": str(self.smooth),
            "baseline_s": self.baseline_s,
            "columns": self.columns or "triaffect",
        }


PLAIN = Postprocessing()
"""The table as it was predicted."""


def postprocess(
    tables: Iterable[pa.Table], steps: Postprocessing, tasks: Sequence[Task]
) -> Iterator[pa.Table]:
    """Post-process a table that comes in parts; the parts may be cut elsewhere after.

    Args:
        tables: Its parts, clip by clip and rising in time.
        steps: The steps.
        tasks: Whose columns it has, with the thresholds from which one counts as present.

    Yields:
        The same rows in order, with the columns of `postprocess_schema`.
    """
    tables = smooth_parts(tables, steps.smooth, tasks)
    if steps.baseline_s is not None:
        tables = face_baseline.subtract_baseline(tables, steps.baseline_s, tasks)
    for table in tables:
        yield rename_columns(table, steps.columns, tasks) if steps.columns else table


def postprocess_schema(
    schema: pa.Schema, steps: Postprocessing, tasks: Sequence[Task]
) -> pa.Schema:
    """Compute the Arrow schema of a post-processed table.

    Args:
        schema: Schema of its rows as predicted.
        steps: The steps.
        tasks: Whose columns it has, with their thresholds.

    Returns:
        The schema of what `postprocess` yields.
    """
    if steps.columns:
        return rename_columns(schema.empty_table(), steps.columns, tasks).schema
    fields = list(schema)
    if steps.smooth != OFF:
        fields += smooth_fields(schema, tasks)
    if steps.baseline_s is not None:
        names = face_baseline.baseline_columns(tasks)
        fields += [schema.field(name).with_name(name + face_baseline.SUFFIX) for name in names]
    return pa.schema(fields)


def check_outputs(output: Path, steps: Postprocessing, *, decimal_comma: bool = False) -> None:
    """Make sure, before any work is done, that the table and its summary can be written.

    Args:
        output: The table; its folder is made.
        steps: The steps, with the summary.
        decimal_comma: Whether numbers are to have a decimal comma, which is for CSV.

    Raises:
        TableError: One of them names no table format.
        DiskError: One of them cannot be written, or both are the same file.
    """
    check_table_output(output, decimal_comma=decimal_comma)
    if steps.summary is None:
        return
    check_table_output(steps.summary, decimal_comma=decimal_comma)
    check_distinct([output, steps.summary])


_NEEDED = ("clip", "time_s", "face_id")
_SUMMED = ("detection", "voice_heard")


def postprocess_frame(
    table: pd.DataFrame, steps: Postprocessing, thresholds: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Post-process a prediction table in memory.

    Args:
        table: The table; rows in another order than clip by clip and rising in time are
            computed in that, and stay where they are.
        steps: The steps; a summary is not written.
        thresholds: Probability from which an action unit counts as present, by column; None for
            those of the tasks.

    Returns:
        A new table with the same index and ``attrs``; the table itself if there is nothing to do.

    Raises:
        TableError: It is no prediction table.
    """
    if steps == PLAIN:
        return table
    tasks = tasks_of_frame(table, _NEEDED, thresholds)
    rows = arrow_of(table)
    order = row_order(rows)
    parts = [*postprocess([rows if order is None else rows.take(order)], steps, tasks)]
    none = postprocess_schema(rows.schema, steps, tasks).empty_table()
    computed = pa.concat_tables(parts or [none])
    computed = computed if order is None else computed.take(np.argsort(order))
    result = to_pandas(computed)
    result.index = table.index
    result.attrs.update(table.attrs)
    return result


def summarize_frame(
    table: pd.DataFrame, thresholds: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Summarize a prediction table in memory, a row for each clip and face.

    Args:
        table: The table, its rows in any order.
        thresholds: Probability from which an action unit counts as present, by column; None for
            those of the tasks.

    Returns:
        A table with the columns of `triaffect.tables.summary.summary_schema`, and the same
        ``attrs``.

    Raises:
        TableError: It is no prediction table.
    """
    tasks = tasks_of_frame(table, (*_NEEDED, *_SUMMED), thresholds)
    none = summary_schema(tasks).empty_table()
    parts = summarize_parts([arrow_of(order_rows(table))], tasks)
    result = to_pandas(pa.concat_tables([none, *parts]))
    result.attrs.update(table.attrs)
    return result


def order_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Sort the rows of a user's table clip by clip and rising in time.

    Args:
        table: A prediction table.

    Returns:
        The table itself if they are; see `triaffect.tables.schema.row_order`.
    """
    if not set(_NEEDED) <= set(table.columns):
        return table
    order = row_order(arrow_of(table[list(_NEEDED)]))
    return table if order is None else table.iloc[order]


def tasks_of_frame(
    table: pd.DataFrame, needed: Sequence[str], thresholds: Mapping[str, float] | None
) -> list[Task]:
    """List the tasks whose columns a table has.

    Args:
        table: A prediction table.
        needed: Further columns that it must have.
        thresholds: Probability from which a column counts as present, by column; None for those
            of the tasks.

    Returns:
        The tasks with their thresholds.

    Raises:
        TableError: It is no prediction table.
    """
    missing = [name for name in needed if name not in table.columns]
    tasks = tasks_in(list(table.columns), available_tasks())
    if missing or not tasks:
        got = f"none named {', '.join(missing)}" if missing else "one without predictions"
        raise TableError("a prediction table", got, where="table")
    return [task.with_thresholds(thresholds or {}) for task in tasks]


def arrow_of(table: pd.DataFrame) -> pa.Table:
    """Convert a table of a user.

    Args:
        table: The table.

    Returns:
        The same rows and columns.
    """
    return pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata()
