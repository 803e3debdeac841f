"""Read a prediction table back that `triaffect predict` wrote, with what describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json

from triaffect.errors import TableError, one_line
from triaffect.features.model_folder import OutputValidity, validities_without_face
from triaffect.studies.events import EVENT, EVENT_TIMES
from triaffect.studies.people import PARTICIPANT
from triaffect.tables.metadata import read_metadata
from triaffect.tables.schema import row_order, tasks_in
from triaffect.tasks.registry import TASKS, available_tasks
from triaffect.tasks.task import Task

READ_BACK = (".csv", ".parquet", ".jsonl")
"""Endings of tables that are read; the others are for other programs."""

_NEEDED = ("clip", "time_s", "face_id")
_TEXTS = (
    *("clip", PARTICIPANT, EVENT),
    *(name for task in TASKS for name in task.prediction_columns if name not in task.columns),
)


@dataclass(frozen=True)
class StoredTable:
    """A prediction table.

    Attributes:
        rows: Its rows.
        tasks: Whose columns it has, with the model's thresholds.
        outputs: How far each output holds on people, by column.
        people: Names of the people's columns, participant first; empty for none.
        remarks: What is doubtful, a line each.
        event_times: When its events were, as its metadata have it; see `Events.to_json`.
    """

    rows: pa.Table
    tasks: tuple[Task, ...]
    outputs: Mapping[str, OutputValidity] = field(default_factory=dict)
    people: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    event_times: object = ()

    @property
    def clips(self) -> list[str]:
        """Names of its clips, in order."""
        names: list[str] = self.rows["clip"].unique().to_pylist()
        return names


def read_prediction_table(path: Path) -> StoredTable:
    """Read a prediction table.

    Args:
        path: CSV (with comma, semicolon or tab), Parquet or JSON lines; its metadata are read
            where they lie.

    Returns:
        The table; without metadata, 0.5 is the threshold of every action unit.

    Raises:
        TableError: It cannot be read, or is no prediction table with our own column names.
    """
    suffix = path.suffix.lower()
    if suffix not in READ_BACK:
        got, remedy = repr(suffix or "no ending"), "predict into one of these; others can be added"
        raise TableError(f"a table ending in {', '.join(READ_BACK)}", got, remedy, where=path)
    try:
        rows = _read(path, suffix)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        got = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
        remedy = "give the table that triaffect predict wrote"
        raise TableError("a prediction table", got, remedy, where=path) from error
    missing = [name for name in _NEEDED if name not in rows.column_names]
    tasks = tasks_in(rows.column_names, available_tasks())
    if missing or not tasks or not len(rows):
        got = f"none named {', '.join(missing)}" if missing else "one without predictions"
        remedy = "give the table that triaffect predict wrote, with its own column names"
        raise TableError("a prediction table", got, remedy, where=path)
    order = row_order(rows)  # a spreadsheet may have sorted them otherwise
    rows = rows if order is None else rows.take(order)
    remarks, people = [], tuple(n for n in (PARTICIPANT,) if n in rows.column_names)
    try:
        metadata = read_metadata(path)
    except TableError:
        remarks.append(f"{path}: no metadata beside it; 0.5 is the threshold of every action unit")
        return StoredTable(_texts(rows, ()), tasks, {}, people, tuple(remarks))
    described = metadata.options.get("people", [])
    people = tuple(name for name in described if name in rows.column_names) or people
    levels = [task.with_thresholds(metadata.thresholds) for task in tasks]
    outputs, times = metadata.model.outputs, metadata.options.get(EVENT_TIMES, ())
    if rows["face_id"].null_count == len(rows):
        outputs = validities_without_face(outputs)
    return StoredTable(_texts(rows, people), tuple(levels), outputs, people, event_times=times)


def _read(path: Path, suffix: str) -> pa.Table:
    if suffix == ".parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

        return pq.read_table(path)
    if suffix == ".jsonl":
        return pyarrow.json.read_json(path)
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline()
    separator = max(",;\t", key=lambda each: (header.count(each), each == ","))
    names = [name.strip('" \r\n') for name in header.split(separator)]
    return pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            decimal_point="," if separator == ";" else ".",
            column_types={name: pa.string() for name in _TEXTS if name in names},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=["", "NaN", "nan"],
        ),
    )


def _texts(rows: pa.Table, people: Sequence[str]) -> pa.Table:
    """The rows, columns of numbers that are all blank as numbers, the event's as text."""
    for k, entry in enumerate(rows.schema):
        kind = None
        if entry.name in _TEXTS and not pa.types.is_string(entry.type):
            kind = pa.string()
        elif pa.types.is_null(entry.type):
            kind = pa.string() if entry.name in people else pa.float64()
        if kind is not None:
            rows = rows.set_column(k, entry.name, rows[entry.name].cast(kind))
    return rows
