"""Read events as other programs write them: plain CSV, ELAN, BORIS, PsychoPy, Audacity.

- **Plain**: a table with ``clip``, ``start``, ``end`` (or ``duration``) and ``name``.
- **ELAN** ``.eaf``: every annotation of a time-aligned tier; its name is its text, or the tier's if
  it has none. The clip is the linked media file.
- **BORIS**: tabular events (``START`` and ``STOP`` in rows of their own) or aggregated ones.
- **PsychoPy**: every ``NAME.started`` with its ``NAME.stopped``, in the clock of the experiment.
- **Audacity**: a label file, start and end and text between tabs.

A file that names no clip is of the clip that is called like it, or of the only one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from triaffect.errors import TableError, one_line, printable
from triaffect.studies.events import Event
from triaffect.studies.sheets import Sheet, read_sheet, read_text

_CLIP = ("clip", "video", "file", "filename", "media", "media file name", "media file path")
_START = ("start", "start_s", "start (s)", "onset", "begin", "from", "start time", "begin time")
_END = ("end", "end_s", "end (s)", "stop", "stop (s)", "offset", "to", "end time", "stop time")
_LENGTH = ("duration", "duration_s", "duration (s)", "length")
_NAME = ("name", "event", "label", "code", "behavior", "behaviour", "annotation", "trial_type")
_TIME = re.compile(r"-?\d+(?:[.,]\d+)?")
_PLAYER = re.compile(r"^(?:player )?#?\d+:(?=.)", re.IGNORECASE)
"""What BORIS puts before the path of a video."""


def read_events(path: Path) -> tuple[list[Event], tuple[str, ...]]:
    """Read the events of a file, whichever program wrote it.

    Args:
        path: ``.eaf``, or a table or label file as text.

    Returns:
        The events, and remarks on how they were read.

    Raises:
        TableError: It cannot be read, or a time is no time from 0 on.
    """
    if path.suffix.lower() == ".eaf":
        return _read_elan(path), ()
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        sheet = read_sheet(path)
    else:
        text, _ = read_text(path)
        lines = [line for line in text.splitlines() if line.strip()]
        if _is_audacity(lines):
            return _read_audacity(read_sheet(path, separator="\t"), path.stem)
        boris = any(
            "behavior" in line.casefold() and "subject" in line.casefold() for line in lines
        )
        sheet = read_sheet(path, header_with="behavior" if boris else "")
    return events_of(sheet, path.stem), sheet.remarks


def events_of(sheet: Sheet, stem: str | None = None) -> list[Event]:
    """Read the events of a table.

    >>> from triaffect.studies.sheets import Sheet
    >>> sheet = Sheet("e.csv", ("clip", "start", "end", "name"), (("a", "1,5", "2", "joke"),), (2,))
    >>> print(events_of(sheet)[0])
    joke (a, 1.5 to 2 s)

    Args:
        sheet: The table.
        stem: Name of the clip if the table has no column for it.

    Returns:
        The events in the order of the rows.

    Raises:
        TableError: A column is missing, or a time is no time from 0 on.
    """
    if any(name.casefold().endswith(".started") for name in sheet.header):
        return _psychopy(sheet, stem)
    if sheet.position("behavior") is not None and (
        sheet.position("status") is not None
        or (sheet.position("behavior type") is not None and sheet.position("time") is not None)
    ):
        return _boris_tabular(sheet, stem)
    clip_at = sheet.position(*_CLIP, expected="" if stem is not None else "the clip")
    start_at = sheet.position(*_START, expected="the start in seconds")
    end_at, length_at = sheet.position(*_END), sheet.position(*_LENGTH)
    name_at = sheet.position(*_NAME, expected="what happened")
    assert start_at is not None and name_at is not None  # noqa: PT018, S101
    if end_at is None and length_at is None:
        remedy = "name the column with the end in seconds end, or give duration"
        raise TableError("a column end", f"columns {sheet.columns}", remedy, where=sheet.name)
    sheet.need_rows("event")
    events = []
    for row, cells in enumerate(sheet.rows):
        start_s = _start(sheet, row, start_at)
        end_s = None if end_at is None else sheet.seconds(row, end_at)
        if end_s is None and length_at is not None:
            length_s = sheet.seconds(row, length_at)
            end_s = None if length_s is None else start_s + length_s
        clip = _clip(cells, clip_at, stem)
        if clip_at is not None and not cells[clip_at]:
            remedy = "name the video"
            raise TableError("a clip", "a blank cell", remedy, where=sheet.where(row))
        where, is_by_file = sheet.where(row), clip_at is None
        events.append(Event(clip, start_s, end_s, cells[name_at], where, is_by_file))
    return events


def _start(sheet: Sheet, row: int, column: int) -> float:
    start_s = sheet.seconds(row, column)
    if start_s is None:
        where = f"{sheet.where(row)}, column {sheet.header[column]}"
        raise TableError("the start of the event in seconds", "a blank cell", where=where)
    return start_s


def _clip(cells: Sequence[str], clip_at: int | None, stem: str | None) -> str | None:
    """The clip of a row; that of the file if there is no such column."""
    if clip_at is None or not cells[clip_at]:
        return stem
    return _PLAYER.sub("", cells[clip_at])


def _boris_tabular(sheet: Sheet, stem: str | None) -> list[Event]:
    """Pair each START with the next STOP of the same behavior and subject."""
    state_at = sheet.position("status", "behavior type")
    time_at = sheet.position("time", expected="the time in seconds")
    name_at, who_at = sheet.position("behavior"), sheet.position("subject")
    clip_at = sheet.position("media file name", "media file path", "media file", "source")
    if clip_at is None:
        clip_at = sheet.position("observation id")
    assert state_at is not None and time_at is not None and name_at is not None  # noqa: PT018, S101
    sheet.need_rows("event")
    events: list[Event] = []
    begun: dict[tuple[str | None, str, str], tuple[float, str]] = {}
    for row, cells in enumerate(sheet.rows):
        time_s, state = _start(sheet, row, time_at), cells[state_at].upper()
        clip, name, where = _clip(cells, clip_at, stem), cells[name_at], sheet.where(row)
        key = (clip, name, "" if who_at is None else cells[who_at])
        if state == "POINT":
            events.append(Event(clip, time_s, None, name, where))
        elif state == "START" and key not in begun:
            begun[key] = (time_s, where)
        elif state == "STOP" and key in begun:
            start_s, line = begun.pop(key)
            events.append(Event(clip, start_s, time_s, name, line))
        else:
            remedy = "mend the observation in BORIS, and export it again"
            raise TableError("START, STOP or POINT in turn", repr(state), remedy, where=where)
    for (_, name, _), (_, where) in begun.items():
        remedy = "mend the observation in BORIS, and export it again"
        raise TableError(f"a STOP of {name}", "none after its START", remedy, where=where)
    return events


def _psychopy(sheet: Sheet, stem: str | None) -> list[Event]:
    clip_at = sheet.position("clip", "video", "movie", "filename")
    events = []
    for column, title in enumerate(sheet.header):
        if not title.casefold().endswith(".started"):
            continue
        name = title[: -len(".started")]
        end_at = sheet.position(f"{name}.stopped".casefold())
        for row, cells in enumerate(sheet.rows):
            start_s = sheet.seconds(row, column)
            if start_s is None:
                continue
            end_s = None if end_at is None else sheet.seconds(row, end_at)
            clip = _clip(cells, clip_at, stem)
            events.append(Event(clip, start_s, end_s, name, sheet.where(row), clip_at is None))
    return sorted(events, key=lambda each: each.start_s)


def _is_audacity(lines: Sequence[str]) -> bool:
    cells = lines[0].split("\t")
    most = 2
    return len(cells) >= most and all(_TIME.fullmatch(cell.strip()) for cell in cells[:most])


def _read_audacity(sheet: Sheet, stem: str) -> tuple[list[Event], tuple[str, ...]]:
    events = []
    for row, cells in enumerate(sheet.rows):
        if cells[0].startswith("\\"):
            continue  # frequencies of the label before
        start_s, end_s = _start(sheet, row, 0), sheet.seconds(row, 1)
        name = cells[2] if len(cells) > 2 else ""  # noqa: PLR2004 - the third is the text
        events.append(Event(stem, start_s, end_s, name, sheet.where(row), True))
    return events, sheet.remarks


def _read_elan(path: Path) -> list[Event]:
    from pympi.Elan import Eaf  # noqa: PLC0415 - an extra

    name, remedy = printable(path), "open it in ELAN and save it again"
    try:
        file = Eaf(str(path), suppress_version_warning=True)
        descriptors = file.media_descriptors
        linked = [each.get("RELATIVE_MEDIA_URL") or each["MEDIA_URL"] for each in descriptors]
        tiers = {tier: file.get_annotation_data_for_tier(tier) for tier in file.get_tier_names()}
    except Exception as error:
        raise TableError("an ELAN file", one_line(error), remedy, where=name) from error
    clip = Path(linked[0].replace("\\", "/")).name if linked else path.stem
    events = []
    for tier, listed in tiers.items():
        for start_ms, end_ms, text, *_ in listed:
            if start_ms is None or end_ms is None:
                continue  # between two others that have a time
            title = str(text or "").strip() or str(tier)
            where = f"{name}, tier {tier}"
            start_s, end_s = start_ms / 1000, end_ms / 1000
            events.append(Event(clip, start_s, end_s, title, where, not linked))
    if not events:
        raise TableError("an annotation on a tier", "none", "annotate it", where=name)
    return sorted(events, key=lambda each: each.start_s)
