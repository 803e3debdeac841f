"""What happened when: named periods of clips, and the column that they become in a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa

from triaffect.errors import TableError
from triaffect.studies.sheets import ClipNames, name_few
from triaffect.tables.schema import Times, text_column, times_of, with_columns

EVENT = "event"
EVENT_TIMES = "event_times"
"""In a table's metadata, when its events were."""

SEPARATOR = "|"
"""Between names of events that overlap, in a cell of the table."""


@dataclass(frozen=True)
class Event:
    """A named period of a clip, or a point where `end_s` is None.

    Attributes:
        clip: The clip as somebody wrote it, then as the table has it; None if the file says none.
        start_s: Seconds from the clip's start.
        end_s: Its end; a moment at it is outside.
        name: What happened.
        where: File and line, for messages.
        is_named_by_file: Whether no cell names the clip, but the name of the file; it is of the
            only clip then, whatever that is called.
    """

    clip: str | None
    start_s: float
    end_s: float | None
    name: str
    where: str
    is_named_by_file: bool = False

    @property
    def length_s(self) -> float:
        """How long it lasts; 0 for a point."""
        return 0.0 if self.end_s is None else self.end_s - self.start_s

    def __str__(self) -> str:
        """In words, for messages."""
        end = "" if self.end_s is None else f" to {self.end_s:g}"
        return f"{self.name} ({self.clip}, {self.start_s:g}{end} s)"


@dataclass(frozen=True)
class Events:
    """The events of clips.

    Attributes:
        by_clip: Events by clip of the table, in order of their start; those of one name never
            overlap.
        remarks: What is doubtful, a line each.
    """

    by_clip: Mapping[str, Sequence[Event]]
    remarks: Sequence[str] = field(default=())

    @staticmethod
    def match(
        events: Iterable[Event],
        clips: ClipNames,
        files: str,
        point_length_s: float | None = None,
        remarks: Sequence[str] = (),
    ) -> Events:
        """Bring events to the clips of a table.

        Args:
            events: The events as they were read.
            clips: The clips of the table.
            files: What messages call their files.
            point_length_s: How long a point lasts; None leaves points out.
            remarks: On how they were read.

        Returns:
            Those of the table's clips.

        Raises:
            TableError: An event has no name or ends before it starts, or none is left.
        """
        notes, by_clip = list(remarks), defaultdict[str, list[Event]](list)
        unmatched, points, twice = list[str](), list[str](), list[str]()
        for event in events:
            own = _resolve(event, clips, point_length_s)
            if own.clip is None:
                unmatched.append(f"{event.clip or 'no clip named'} ({event.where})")
            elif own.end_s is None:
                points.append(f"{event.name} ({event.where})")
            elif any(str(own) == str(each) for each in by_clip[own.clip]):
                twice.append(str(own))
            else:
                by_clip[own.clip].append(own)
        if points:
            notes.append(f"{files}: points have no length and are left out: {name_few(points)}")
        if twice:
            notes.append(f"{files}: the same event twice; it counts once: {name_few(twice)}")
        united = {clip: _unite(each, notes) for clip, each in by_clip.items() if each}
        if not united:
            raise _nothing_left(files, clips, unmatched, points)
        if unmatched:
            notes.append(f"{files}: no such clip in the table: {name_few(unmatched)}")
        return Events(united, tuple(notes))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the events, in order of their first appearance."""
        return tuple(dict.fromkeys(each.name for own in self.by_clip.values() for each in own))

    def to_json(self) -> list[dict[str, str | float]]:
        """Return when each was, as `of_json` reads it back."""
        return [
            {"clip": clip, "name": e.name, "start_s": e.start_s, "end_s": e.end_s or 0.0}
            for clip, own in self.by_clip.items()
            for e in own
        ]

    @staticmethod
    def of_json(listed: object) -> Events | None:
        """Read events back.

        Args:
            listed: As `to_json` returns them.

        Returns:
            The events; None if that is no such list, or an empty one.
        """
        by_clip = defaultdict[str, list[Event]](list)
        try:
            for each in listed if isinstance(listed, (list, tuple)) else ():
                times = float(each["start_s"]), float(each["end_s"])
                clip, name = str(each["clip"]), str(each["name"])
                by_clip[clip].append(Event(clip, *times, name, "the table"))
        except (KeyError, TypeError, ValueError):
            return None
        return Events(dict(by_clip)) if by_clip else None

    def annotate(self, table: pa.Table) -> pa.Table:
        """Add a column with the events of each row's moment.

        Args:
            table: Rows with ``clip`` and ``time_s``.

        Returns:
            The same rows; names of several events are separated by `SEPARATOR`.
        """
        clips, times = np.array(table["clip"].to_pylist(), object), times_of(table)
        cells: list[str | None] = [None] * len(table)
        for clip in set(clips.tolist()):
            own = np.flatnonzero(clips == clip)
            for event in self.by_clip.get(clip, ()):
                for row in own[event_mask(event, times[own])].tolist():
                    before = cells[row]
                    cells[row] = (
                        event.name if before is None else f"{before}{SEPARATOR}{event.name}"
                    )
        return with_columns(table, {EVENT: text_column(cells)})

    def outside(self, last_s: Mapping[str, float]) -> list[str]:
        """Remark on events that lie outside their clips.

        Args:
            last_s: Time of the last row of each clip that has been read.

        Returns:
            A line each for those wholly and those partly outside.
        """
        wholly, partly = list[str](), list[str]()
        for clip, own in self.by_clip.items():
            if clip not in last_s:
                continue
            step_s = 1.0  # a recording may go on a little after its last row
            for event in own:
                if event.start_s > last_s[clip]:
                    wholly.append(f"{event}, which ends at {last_s[clip]:g} s")
                elif (event.end_s or 0) > last_s[clip] + step_s:
                    partly.append(f"{event}, which ends at {last_s[clip]:g} s")
        lines = []
        if wholly:
            lines.append(f"events after the end of their clip have no rows: {name_few(wholly)}")
        if partly:
            lines.append(f"events end after their clip and are cut there: {name_few(partly)}")
        return lines


def event_mask(event: Event, times: Times) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which moments lie in an event.

    >>> event_mask(Event("a.mp4", 1.0, 2.0, "smile", ""), np.array([0.5, 1.0, 2.0])).tolist()
    [False, True, False]

    Args:
        event: The event, with an end.
        times: Seconds, shape (N,).

    Returns:
        Shape (N,).
    """
    assert event.end_s is not None  # noqa: S101
    slack_s = 1e-6  # times are rounded to microseconds
    return np.asarray((times >= event.start_s - slack_s) & (times < event.end_s - slack_s))


def _resolve(event: Event, clips: ClipNames, point_length_s: float | None) -> Event:
    """An event with the name of its clip in the table, None if there is none, and its end."""
    if not event.name:
        raise TableError("a name of the event", "a blank cell", "name it", where=event.where)
    if event.end_s is not None and event.end_s < event.start_s:
        got = f"{event.start_s:g} s to {event.end_s:g} s"
        remedy = "swap them, or mend the one that is wrong"
        raise TableError("an event that ends after it starts", got, remedy, where=event.where)
    clip = clips.match(event.clip, event.where) if event.clip is not None else None
    if clip is None and event.is_named_by_file and len(clips.clips) == 1:
        clip = clips.clips[0]
    end_s = event.end_s
    if end_s is None or end_s == event.start_s:
        end_s = None if point_length_s is None else event.start_s + point_length_s
    return replace(event, clip=clip, end_s=end_s, name=event.name.replace(SEPARATOR, "/"))


def _unite(events: Sequence[Event], remarks: list[str]) -> list[Event]:
    """Order a clip's events and unite those of one name that overlap; remark on overlaps."""
    ordered = sorted(events, key=lambda each: (each.start_s, each.end_s or 0))
    united: list[Event] = []
    same, mixed = list[str](), list[str]()
    for event in ordered:
        end_s = event.end_s or event.start_s
        last = next((k for k in reversed(range(len(united))) if united[k].name == event.name), None)
        before_s = -1.0 if last is None else united[last].end_s or 0.0
        if last is not None and event.start_s < before_s:
            same.append(str(event))
            united[last] = replace(united[last], end_s=max(before_s, end_s))
        else:
            united.append(event)
    for one, other in pairwise(united):
        if other.start_s < (one.end_s or 0):
            mixed.append(f"{one} and {other}")
    if same:
        remarks.append(f"events of one name overlap and are united: {name_few(same)}")
    if mixed:
        remarks.append(f"events overlap; rows in both count for both: {name_few(mixed)}")
    return united


def _nothing_left(
    files: str, clips: ClipNames, unmatched: Sequence[str], points: Sequence[str]
) -> TableError:
    if points and not unmatched:
        remedy = "say how long they last by --event-length, such as 5s"
        return TableError("events with an end", f"points: {name_few(points)}", remedy, where=files)
    if unmatched:
        example = f", such as {clips.clips[0]}" if clips.clips else ""
        remedy = f"write the clips as the table does{example}, or name the file like its clip"
        got = f"none: {name_few(unmatched)}"
        return TableError("events of a clip of the table", got, remedy, where=files)
    return TableError("at least one event", "none", "add rows", where=files)
