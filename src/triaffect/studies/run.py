"""From a prediction table and the files of a study to its summary."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from triaffect.errors import TableError
from triaffect.studies.events import EVENT, EVENT_TIMES
from triaffect.studies.groups import Groups
from triaffect.studies.measures import StudyMeasures, describe_measures
from triaffect.studies.people import PARTICIPANT, People, check_names
from triaffect.studies.signals import Episode, Signals, clip_series, episodes
from triaffect.studies.study import Study, StudyWarning, events_in
from triaffect.studies.table_file import StoredTable
from triaffect.tables.postprocess import (
    Postprocessing,
    arrow_of,
    order_rows,
    postprocess_frame,
    tasks_of_frame,
)
from triaffect.tables.schema import faces_of, split_segments, to_pandas
from triaffect.tasks.task import Task

if TYPE_CHECKING:
    import pandas as pd

    from triaffect.studies.study import StudyFile


def measure_stored(
    stored: StoredTable,
    people: StudyFile | None = None,
    events: Sequence[StudyFile] = (),
    event_length: str | float | None = None,
    by: Sequence[str] = (),
    baseline: str = "",
) -> tuple[Study, StudyMeasures]:
    """Measure the people of a prediction table.

    Args:
        stored: The table.
        people: Who is who; None for the columns that the table has from `predict`.
        events: What happened when; none for the column that the table has.
        event_length: How long events last that are points.
        by: Columns to group by; without metadata they are taken for people's columns.
        baseline: Name of the event that is everybody's baseline; empty for none.

    Returns:
        The study, and the measures of all rows.

    Raises:
        TableError: A file cannot be read, or they do not fit the table.
    """
    rows, by = stored.rows, tuple(dict.fromkeys(by))
    taken = [name for name in rows.column_names if name not in (PARTICIPANT, *stored.people)]
    study = Study.open(stored.clips, people, events, "", event_length, taken)
    if people is None:
        own = stored.people
        own += tuple(n for n in by if own and n in rows.column_names and n not in (*own, EVENT))
        study = Study(_people_of(rows, own), study.events)
    if not events:
        study = Study(study.people, events_in(rows, stored.event_times))
    study = Study(study.people, study.events, baseline, by)
    study.check_baseline()
    study.check_groups()
    tables = study.annotate([rows]) if people is not None else iter([rows])
    measured = list(study.subtract_baseline(tables, stored.tasks))
    measures = open_measures(study, stored.tasks, measured[0].column_names)
    for table in measured:
        measures.add(table)
    return study, measures


def study_summary(study: Study, measures: StudyMeasures) -> tuple[pa.Table, list[str]]:
    """Sum a study up: by group where columns are named, else a row for each person and period.

    Args:
        study: The study.
        measures: Its measures.

    Returns:
        The table, and remarks on who is left out.

    Raises:
        TableError: Nobody is in a group.
    """
    if study.by:
        groups = Groups.of(measures, study.by)
        return groups.table(measures), groups.remarks
    return measures.table(measures.schema(study.people)), []


def summary_notes(study: Study, schema: pa.Schema) -> dict[str, str]:
    """Describe the columns of a summary.

    Args:
        study: The study.
        schema: Schema of the summary.

    Returns:
        Text by name of the column.
    """
    notes = {
        **study.notes(),
        **describe_measures(schema.names),
        "event": "name of the event",
        "clip": "the clip",
        "face_id": "number of the face; the lowest of several of one participant",
        "start_s": "where the period starts, in seconds of the clip",
        "end_s": "where it ends",
        "seconds": "how long the participants were seen, in seconds",
        "measure": "what is measured, as columns of the summary without groups are named",
        "participants": "people whose mean it is",
        "clips": "their clips",
        "mean": "mean over participants; each counts once",
        "sd": "standard deviation over participants",
        "low": "lower end of the 95 % interval of the mean over participants (Student's t)",
        "high": "upper end of it",
    }
    return {name: notes[name] for name in schema.names if name in notes}


def open_measures(study: Study, tasks: Sequence[Task], columns: Sequence[str]) -> StudyMeasures:
    """Begin to measure rows as they are predicted.

    Args:
        study: The study.
        tasks: What is predicted, with the thresholds from which a column counts as present.
        columns: Names of the table's columns.

    Raises:
        TableError: A column of the people is called as one of the summary.
    """
    measures = StudyMeasures(Signals.of(tasks, columns), study.people_columns, study.events)
    check_names(study.people_columns, measures.schema(None).names, "the table")
    return measures


def summarize_study(
    table: pd.DataFrame,
    thresholds: Mapping[str, float] | None,
    people: StudyFile | None,
    events: Sequence[StudyFile],
    by: Sequence[str],
    baseline: str,
    event_length: str | float | None,
) -> pd.DataFrame:
    """Summarize a prediction table in memory by person and event, or by groups of people.

    Args:
        table: The table, its rows in any order.
        thresholds: Probability from which an action unit counts as present, by column; None for
            those of the tasks.
        people: As `measure_stored` takes it.
        events: Likewise.
        by: Likewise.
        baseline: Likewise.
        event_length: Likewise.

    Returns:
        The summary, with the same ``attrs``; a `StudyWarning` says what is doubtful.

    Raises:
        TableError: It is no prediction table, or a file of the study does not fit.
    """
    tasks = tasks_of_frame(table, ("clip", "time_s", "face_id"), thresholds)
    own = (PARTICIPANT,) if PARTICIPANT in table.columns else ()
    times = table.attrs.get(EVENT_TIMES, ())
    stored = StoredTable(arrow_of(order_rows(table)), tuple(tasks), {}, own, event_times=times)
    study, measures = measure_stored(stored, people, events, event_length, by, baseline)
    result, remarks = study_summary(study, measures)
    for line in dict.fromkeys([*study.remarks, *measures.remarks(), *remarks]):
        warnings.warn(line, StudyWarning, stacklevel=3)
    frame: pd.DataFrame = result.to_pandas()
    if "face_id" in frame:
        frame["face_id"] = frame["face_id"].astype("Int64")
    frame.attrs.update(table.attrs)
    return frame


def annotate_frame(table: pd.DataFrame, study: Study, steps: Postprocessing) -> pd.DataFrame:
    """Add to a prediction table in memory what a study says of it, in the order of `predict`.

    Args:
        table: The table, clip by clip and rising in time.
        study: Who is who and what happened when.
        steps: How it is post-processed, once faces of one participant have become one.

    Returns:
        A table with further columns and the same ``attrs``.
    """
    tasks = tasks_of_frame(table, ("clip", "time_s", "face_id"), table.attrs.get("thresholds"))
    named = to_pandas(pa.concat_tables(study.annotate([arrow_of(table)])))
    smoothed = postprocess_frame(named, steps)
    tables = study.subtract_baseline([arrow_of(smoothed)], tasks)
    result = to_pandas(pa.concat_tables(tables))
    result.attrs.update(table.attrs)
    if study.events is not None:
        result.attrs[EVENT_TIMES] = study.events.to_json()
    return result


def _people_of(rows: pa.Table, columns: Sequence[str]) -> People | None:
    """The people that a table names itself."""
    if not columns:
        return None
    numeric = [n for n in columns if not pa.types.is_string(rows.schema.field(n).type)]
    notes: dict[str, dict[int | None, tuple[str | float | None, ...]]] = {}
    faces = faces_of(rows).tolist()
    cells = zip(*(rows[name].to_pylist() for name in columns), strict=True)
    for clip, face, values in zip(rows["clip"].to_pylist(), faces, cells, strict=True):
        if values[0] is not None:
            notes.setdefault(clip, {})[face] = values
    return People(tuple(columns), notes, frozenset(numeric))


def list_episodes(
    stored: StoredTable, people: StudyFile | None, keys: Sequence[str]
) -> tuple[list[Episode], dict[str, str], list[str]]:
    """List when each sign of each person began and ended.

    Args:
        stored: The table.
        people: Who is who; None for the columns that the table has.
        keys: Signs and classes.

    Returns:
        The episodes, clip by clip and in order of time; names of the signs for a reader; and what
        is doubtful, a line each.

    Raises:
        TableError: There is no such sign, or the people's file does not fit.
    """
    signals = Signals.of(stored.tasks, stored.rows.column_names)
    titles = {sign.key: sign.title for sign in signals.signs}
    titles |= {name: name for name in signals.classes}
    if not keys:
        raise TableError(f"signs of {', '.join(titles)}", "none", where="--signs")
    for key in keys:
        if key not in titles:
            raise TableError(f"signs of {', '.join(titles)}", repr(key), where="--signs")
    taken = [name for name in stored.rows.column_names if name not in (PARTICIPANT, *stored.people)]
    study = Study.open(stored.clips, people, (), "", None, taken)
    names = stored.people if people is None else study.people_columns
    listed: list[Episode] = []
    for segment in split_segments(study.annotate([stored.rows])):
        for series in clip_series(pa.concat_tables(segment), signals, names):
            listed += episodes(series, signals, keys)
    return listed, titles, list(study.remarks)
