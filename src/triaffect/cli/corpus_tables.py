"""The tables that ``triaffect corpus check`` prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from triaffect.corpora.survey import ColumnSums, Survey
from triaffect.tasks.task import Task
from triaffect.types import Split

SPLITS = tuple(str(split) for split in Split)


def rows_table(found: Survey) -> Table:
    """Rows by label set and split."""
    table = _table("rows", "label set")
    sets = dict.fromkeys(label_set for label_set, _ in sorted(found.rows))
    for label_set in sets:
        table.add_row(label_set, *(_count(found.rows[label_set, split]) for split in SPLITS))
    return table


def annotated_table(found: Survey, tasks: Sequence[Task]) -> Table:
    """Rows with a complete label of each task, and their share of the split's rows."""
    table = _table("annotated", "task")
    for task in tasks:
        cells = []
        for split in SPLITS:
            count, rows = found.annotated[task.key, split], found.split_rows[split]
            cells.append(f"{count:,} ({count / rows:.0%})" if count else "")
        table.add_row(task.key, *cells)
    return table


def labels_table(found: Survey, tasks: Sequence[Task]) -> Table:
    """Every label column: count and rate of what is present, or mean and deviation."""
    table = _table("labels", "column")
    for task in tasks:
        is_probability = task.display_range[0] >= 0
        for column in task.columns:
            sums = [found.columns.get((column, split), ColumnSums()) for split in SPLITS]
            if any(each.count for each in sums):
                table.add_row(column, *(_summary(each, is_probability) for each in sums))
    return table


def _table(title: str, first: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(first)
    for split in SPLITS:
        table.add_column(split, justify="right")
    return table


def _count(rows: int) -> str:
    return f"{rows:,}" if rows else ""


def _summary(sums: ColumnSums, is_probability: bool) -> str:
    if not sums.count:
        return ""
    if is_probability:
        return f"{sums.total:,.0f} ({sums.mean:.1%})"
    return f"{sums.mean:+.2f} ± {sums.deviation:.2f}"
