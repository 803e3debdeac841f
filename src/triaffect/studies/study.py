"""A study: who is in the clips, what happened when, and which period is everybody's baseline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from triaffect.errors import TableError, TriaffectError, alike_names
from triaffect.io.durations import parse_duration
from triaffect.studies.event_files import events_of, read_events
from triaffect.studies.events import EVENT, EVENT_TIMES, Event, Events, event_mask
from triaffect.studies.groups import GROUP_COLUMNS
from triaffect.studies.measures import summary_columns
from triaffect.studies.people import People
from triaffect.studies.sheets import ClipNames, name_few, read_sheet, sheet_of
from triaffect.tables import presence, smoothing
from triaffect.tables.baseline import SUFFIX, baseline_columns
from triaffect.tables.schema import (
    faces_of,
    round_numbers,
    rows_by_face,
    split_segments,
    times_of,
    values_of,
    with_columns,
)
from triaffect.tasks.registry import available_tasks
from triaffect.tasks.task import Task
from triaffect.types import NO_FACE

if TYPE_CHECKING:
    import pandas as pd

    StudyFile = str | Path | pd.DataFrame


_SUFFIXES = (smoothing.SUFFIX, presence.SUFFIX, SUFFIX)
"""Endings of columns that are computed from a table's own."""


class StudyWarning(UserWarning):
    """Something in the files of a study is doubtful, or has no rows in the table."""


@dataclass(frozen=True)
class Study:
    """What is added to a prediction table, and what its summary goes by.

    Attributes:
        people: Who is who; None if nobody is named.
        events: What happened when; None for whole clips.
        baseline: Name of the event that is everybody's baseline; empty for none.
        by: Columns of the people by which a summary groups them.
    """

    people: People | None = None
    events: Events | None = None
    baseline: str = ""
    by: tuple[str, ...] = ()

    @staticmethod
    def open(
        clips: Sequence[str],
        people: StudyFile | None = None,
        events: Sequence[StudyFile] = (),
        baseline: str = "",
        event_length: str | float | None = None,
        taken: Sequence[str] = (),
        by: tuple[str, ...] = (),
    ) -> Study:
        """Read the files of a study.

        Args:
            clips: Names of the clips, as in the table.
            people: Who is who: a CSV file, or a table in memory; see `People.parse`.
            events: What happened when: files that `read_events` reads, or tables in memory.
            baseline: Name of an event, from which on ``_above_own`` columns are added.
            event_length: How long events last that are points, such as "5s"; None leaves them out.
            taken: Names of columns that the table has already.
            by: Columns of the people by which a summary groups them.

        Returns:
            The study; doubtful things are among its remarks.

        Raises:
            TableError: A file cannot be read, or fits none of the clips.
        """
        names = ClipNames(clips)
        read_people = None
        if people is not None:
            sheet = (
                read_sheet(Path(people))
                if isinstance(people, (str, Path))
                else sheet_of(people, "people")
            )
            computed = [name + suffix for name in taken for suffix in _SUFFIXES]
            reserved = (*taken, *computed, *summary_columns(available_tasks()))
            read_people = People.parse(sheet, names, reserved)
        read: list[Event] = []
        remarks: list[str] = []
        for source in events:
            if isinstance(source, (str, Path)):
                own, lines = read_events(Path(source))
                read += own
                remarks += lines
            else:
                read += events_of(sheet_of(source, "events"))
        length_s = None
        if event_length is not None:
            length_s = parse_duration(event_length, "--event-length", error=TableError)
        matched = None
        if events:
            title = ", ".join(str(s) if isinstance(s, (str, Path)) else "events" for s in events)
            matched = Events.match(read, names, title, length_s, remarks)
        study = Study(read_people, matched, baseline, by)
        study.check_baseline()
        study.check_groups()
        return study

    def check_baseline(self) -> None:
        """Make sure that the baseline is one of the events.

        Raises:
            TableError: It is not.
        """
        names = self.events.names if self.events else ()
        if self.baseline and self.baseline not in names:
            got = f"{self.baseline!r}, " + (
                f"with the events {', '.join(names)}" if names else "without --events"
            )
            raise TableError("a time such as 5s, or an event's name", got, where="--baseline")

    def check_groups(self) -> None:
        """Make sure that the columns to group by are the people's, or the event.

        Raises:
            TableError: One is not, or is called as a column of the summary.
        """
        for name in self.by:
            if name not in self.people_columns and not (name == EVENT and self.events):
                there = ", ".join(self.people_columns) or "none; name them by --people"
                raise TableError(f"a column of the people, {there}", repr(name), where="--by")
            if name in GROUP_COLUMNS and name != EVENT:
                got = f"{name}, which is one of the summary's own columns"
                raise TableError("a column to group by", got, "name it otherwise", where="--by")

    @property
    def is_empty(self) -> bool:
        """Whether it adds nothing."""
        return self.people is None and self.events is None

    @property
    def people_columns(self) -> tuple[str, ...]:
        """Names of the people's columns, participant first."""
        return () if self.people is None else self.people.columns

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is doubtful in the files, a line each."""
        parts = [part.remarks for part in (self.people, self.events) if part is not None]
        remarks = [line for lines in parts for line in lines]
        alike = [] if self.people is None else self.people.alike
        if self.events is not None and (names := alike_names(self.events.names)):
            few = name_few([" and ".join(each) for each in names])
            alike.append(f"{EVENT}: alike but for capitals or spaces: {few}")
        remarks += [f"{line}; they count as different" for line in alike]
        if self.baseline and self.events:
            without = [
                clip
                for clip, own in self.events.by_clip.items()
                if all(event.name != self.baseline for event in own)
            ]
            if without:
                few = name_few(without)
                remarks.append(f"clips without the baseline {self.baseline}: {few}; blank there")
        return tuple(remarks)

    def fields(self) -> list[pa.Field]:
        """List the fields that `annotate` adds."""
        fields = [] if self.people is None else self.people.fields()
        return [*fields, *([] if self.events is None else [pa.field(EVENT, pa.string())])]

    def annotate(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Add who is who and what happened when; faces of one participant become one.

        Args:
            tables: Parts of a prediction table.

        Yields:
            The same rows with further columns.
        """
        for table in tables:
            named = table if self.people is None else self.people.annotate(table)
            yield named if self.events is None else self.events.annotate(named)

    def subtract_baseline(
        self, tables: Iterable[pa.Table], tasks: Sequence[Task]
    ) -> Iterator[pa.Table]:
        """Add how far values are above the face's median in the baseline event of its clip.

        A clip is held until its end, as the event may come late.

        Args:
            tables: Parts of a prediction table, clip by clip and rising in time.
            tasks: Whose columns to compare.

        Yields:
            The same rows with columns ending in ``_above_own``, blank where there is no baseline.
        """
        if not self.baseline or self.events is None:
            yield from tables
            return
        columns = baseline_columns(tasks)
        for segment in split_segments(tables):
            table = pa.concat_tables(segment)
            times, values = times_of(table), values_of(table, columns)
            own = self.events.by_clip.get(table["clip"][0].as_py(), ())
            marked = np.zeros(len(times), bool)
            for event in own:
                marked |= event_mask(event, times) & (event.name == self.baseline)
            above = np.full_like(values, np.nan)
            for face, rows in rows_by_face(faces_of(table)):
                neutral = values[rows[marked[rows]]]
                for k, column in enumerate(neutral.T if face != NO_FACE else ()):
                    valid = column[~np.isnan(column)]
                    if len(valid):
                        above[rows, k] = values[rows, k] - np.median(valid)
            added = zip(columns, above.T, strict=True)
            yield with_columns(table, {name + SUFFIX: round_numbers(each) for name, each in added})

    def options(self) -> dict[str, object]:
        """Return what the table's metadata hold of it."""
        names = list(self.events.names) if self.events else []
        times = self.events.to_json() if self.events else []
        people = {"people": list(self.people_columns)}
        return {**people, "events": names, EVENT_TIMES: times, "baseline": self.baseline}

    def notes(self) -> Mapping[str, str]:
        """Describe the columns that it adds, by name."""
        notes = {
            name: f"{name} of the person, from the people's file" for name in self.people_columns
        }
        if self.people is not None:
            notes["participant"] = "who it is, from the people's file; blank where nobody is named"
        if self.events is not None:
            notes[EVENT] = "names of the events of the moment, separated by |; blank outside of any"
        return notes


PLAIN_STUDY = Study()
"""Nobody is named and nothing happened."""


def is_duration(text: str) -> bool:
    """Tell whether a baseline is a time, not the name of an event.

    >>> is_duration("5s"), is_duration("rest")
    (True, False)

    Args:
        text: As a user wrote it.
    """
    try:
        parse_duration(text, "")
    except TriaffectError:
        return False
    return True


def events_in(table: pa.Table, times: object = ()) -> Events | None:
    """Read the events back that a table's column holds.

    Args:
        table: Rows with ``clip``, ``time_s`` and maybe ``event``, clip by clip.
        times: As `Events.to_json` writes them beside a table; what fits its column.

    Returns:
        The events of those times if the column is made from them, else each name's runs of
        moments, from the first to where the last one ends; None without the column.
    """
    if EVENT not in table.column_names:
        return None
    stated = Events.of_json(times)
    if stated is not None and _cells(stated.annotate(table)) == _cells(table):
        return stated
    by_clip: dict[str, list[Event]] = {}
    for segment in split_segments([table]):
        part = pa.concat_tables(segment)
        times, first = np.unique(times_of(part), return_index=True)
        cells = [part[EVENT][int(row)].as_py() or "" for row in first]
        names = [cell.split("|") if cell else [] for cell in cells]
        ends = np.append(times[1:], times[-1] + (np.diff(times)[-1] if len(times) > 1 else 1.0))
        begun: dict[str, float] = {}
        events = by_clip.setdefault(part["clip"][0].as_py(), [])
        for k, own in enumerate([*names, []]):
            for name in [each for each in begun if each not in own]:
                start_s = begun.pop(name)
                clip = part["clip"][0].as_py()
                events.append(Event(clip, start_s, float(ends[k - 1]), name, "the table"))
            for name in own:
                begun.setdefault(name, float(times[k]) if k < len(times) else 0.0)
        events.sort(key=lambda each: (each.start_s, each.name))
    return Events({clip: own for clip, own in by_clip.items() if own})


def _cells(table: pa.Table) -> list[str | None]:
    cells: list[str | None] = table[EVENT].to_pylist()
    return cells
