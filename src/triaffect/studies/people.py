"""Who is who: the participant of each clip, or of each face of one, and what is noted of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from triaffect.errors import TableError, alike_names
from triaffect.studies.sheets import ClipNames, Sheet, name_few
from triaffect.tables.schema import column, faces_of, text_column, with_columns
from triaffect.tasks.task import plain_number
from triaffect.types import NO_FACE

PARTICIPANT = "participant"
_PARTICIPANT_NAMES = (PARTICIPANT, "participant_id", "person", "subject", "name", "id")
_CLIP_NAMES = ("clip", "video", "file", "filename", "media")
_FACE_NAMES = ("face", "face_id")

ANY_FACE = None
"""In place of a face's number: every face of the clip, and its sound without one."""

_Note = str | float | None


@dataclass(frozen=True)
class People:
    """Participants, and what is noted of them, by clip and face.

    Attributes:
        columns: Names of the columns that a table gets, the participant's first.
        notes: By clip, and by number of the face or `ANY_FACE`, the values of the columns.
        numeric: The columns of numbers; the others are text.
        remarks: What is doubtful, a line each.
    """

    columns: tuple[str, ...]
    notes: Mapping[str, Mapping[int | None, tuple[_Note, ...]]]
    numeric: frozenset[str] = frozenset()
    remarks: Sequence[str] = field(default=())

    @staticmethod
    def parse(sheet: Sheet, clips: ClipNames, taken: Sequence[str] = ()) -> People:
        """Read who is who.

        Args:
            sheet: Columns ``clip``, ``participant``, as needed ``face`` (a number of the table;
                blank for all faces of the clip), and any others.
            clips: The clips of the table.
            taken: Names of columns that the table has already, or its summary.

        Returns:
            The participants of those clips.

        Raises:
            TableError: A column is missing or taken, a face is no number, a clip and face has two
                participants, or no clip of the sheet is one of the table.
        """
        clip_at = sheet.position(*_CLIP_NAMES, expected="the clip")
        face_at = sheet.position(*_FACE_NAMES)
        who_at = sheet.position(*_PARTICIPANT_NAMES, expected="the person")
        assert clip_at is not None and who_at is not None  # noqa: PT018, S101
        sheet.need_rows("person")
        others = [k for k in range(len(sheet.header)) if k not in (clip_at, face_at, who_at)]
        names = (PARTICIPANT, *(sheet.header[k] for k in others))
        check_names(names, taken, sheet.name)
        order = [who_at, *others]
        numeric = frozenset(
            name for name, k in zip(names[1:], others, strict=True) if _is_numeric(sheet, k)
        )
        notes: dict[str, dict[int | None, tuple[_Note, ...]]] = {}
        remarks = list(sheet.remarks)
        unmatched: list[str] = []
        for row, cells in enumerate(sheet.rows):
            where = sheet.where(row)
            if not cells[who_at]:
                raise TableError("a participant", "a blank cell", "name the person", where=where)
            if not cells[clip_at]:
                raise TableError("a clip", "a blank cell", "name the video", where=where)
            face = _face_number(cells[face_at], where) if face_at is not None else ANY_FACE
            clip = clips.match(cells[clip_at], where)
            if clip is None:
                unmatched.append(f"{cells[clip_at]} ({where})")
                continue
            values = tuple(
                _note(cells[k], name in numeric) for k, name in zip(order, names, strict=True)
            )
            before = notes.setdefault(clip, {}).get(face)
            if before is not None and before != values:
                got = f"{before[0]} and {values[0]}" if before[0] != values[0] else "two notes"
                what = "the clip" if face is None else f"face {face}"
                remedy = "leave one out, or number the faces in a column face"
                raise TableError(f"one person for {what} of {clip}", got, remedy, where=where)
            if before is not None:
                remarks.append(f"{where}: a row twice; it counts once")
            notes[clip][face] = values
        remarks += _unmatched(sheet.name, unmatched, clips, bool(notes))
        return People(names, notes, numeric, tuple(remarks))

    @property
    def alike(self) -> list[str]:
        """Participants and other texts of one column that look like one, a line a column."""
        lines = []
        for k, name in enumerate(self.columns):
            cells = (own[k] for noted in self.notes.values() for own in noted.values())
            if alike := alike_names(cell for cell in cells if isinstance(cell, str)):
                few = [" and ".join(each) for each in alike]
                lines.append(f"{name}: alike but for capitals or spaces: {name_few(few)}")
        return lines

    def fields(self) -> list[pa.Field]:
        """List the fields that `annotate` adds to a table."""
        return [
            pa.field(name, pa.float64() if name in self.numeric else pa.string())
            for name in self.columns
        ]

    def annotate(self, table: pa.Table) -> pa.Table:
        """Add the people's columns; faces of a clip that are one person become one face.

        Args:
            table: Rows of a prediction table, of any clips.

        Returns:
            The same rows; the faces of one participant have the lowest of their numbers. Blank
            where nobody is named.
        """
        faces = faces_of(table)
        names = table["clip"].to_pylist()
        merged, rows_of = faces.copy(), dict[tuple[str, int], tuple[_Note, ...] | None]()
        lowest = {clip: self.lowest_faces(clip) for clip in set(names)}
        values: list[tuple[_Note, ...] | None] = []
        for row, (clip, face) in enumerate(zip(names, faces.tolist(), strict=True)):
            key = (clip, face)
            if key not in rows_of:
                rows_of[key] = self.of(clip, face)
            values.append(rows_of[key])
            merged[row] = lowest[clip].get(face, face)
        added: dict[str, pa.Array] = {"face_id": column(merged, merged != NO_FACE)}
        for k, name in enumerate(self.columns):
            cells = [None if value is None else value[k] for value in values]
            if name in self.numeric:
                numbers = np.array([np.nan if c is None else c for c in cells], np.float64)
                added[name] = column(numbers, ~np.isnan(numbers))
            else:
                added[name] = text_column([None if c is None else str(c) for c in cells])
        position = table.column_names.index("face_id")
        table = table.set_column(position, "face_id", added.pop("face_id"))
        return with_columns(table, added)

    def of(self, clip: str, face: int) -> tuple[_Note, ...] | None:
        """Return what is noted of a face.

        Args:
            clip: A clip of the table.
            face: Number of the face, or `NO_FACE` for the clip's sound.

        Returns:
            Values of the columns; None if nobody is named.
        """
        own = self.notes.get(clip, MappingProxyType({}))
        if face == NO_FACE and ANY_FACE not in own and len({v[0] for v in own.values()}) == 1:
            return next(iter(own.values()))  # the clip's only person speaks
        return own.get(face, own.get(ANY_FACE))

    def lowest_faces(self, clip: str) -> dict[int, int]:
        """Return, by face of a clip, the lowest number of a face of the same participant.

        Args:
            clip: A clip of the table.
        """
        lowest: dict[_Note, int] = {}
        numbered = {
            face: values[0] for face, values in self.notes.get(clip, {}).items() if face is not None
        }
        for face in sorted(numbered):
            lowest.setdefault(numbered[face], face)
        return {face: lowest[name] for face, name in numbered.items()}


def check_names(names: Sequence[str], taken: Sequence[str], where: str) -> None:
    """Make sure that the people's columns have names, each its own.

    Args:
        names: Names of the columns.
        taken: Names of columns that the table has already, or its summary.
        where: What messages call the people's file.

    Raises:
        TableError: One has no name, is there twice, or is taken.
    """
    for name in names:
        if not name:
            remedy = "name it, or leave it out"
            raise TableError("a name for each column", "a blank one", remedy, where=where)
        if name in taken:
            got = f"a column {name}, which the table or its summary has itself"
            raise TableError("columns of the people", got, "name it otherwise", where=where)
        if names.count(name) > 1:
            raise TableError("each column once", f"{name} twice", "leave one out", where=where)


def _is_numeric(sheet: Sheet, position: int) -> bool:
    cells = [row[position] for row in sheet.rows if row[position]]
    return bool(cells) and not any(np.isnan(plain_number(c.replace(",", "."))) for c in cells)


def _note(text: str, is_number: bool) -> _Note:
    if not text:
        return None
    return plain_number(text.replace(",", ".")) if is_number else text


def _face_number(text: str, where: str) -> int | None:
    if not text:
        return ANY_FACE
    number = plain_number(text)
    if not (number >= 0 and number == int(number)):
        remedy = "look it up in the table's column face_id"
        raise TableError("a whole number of a face, from 0", repr(text), remedy, where=where)
    return int(number)


def _unmatched(
    name: str, unmatched: Sequence[str], clips: ClipNames, is_any_matched: bool
) -> list[str]:
    """A remark on clips that are not in the table; an error if none is."""
    if not unmatched:
        return []
    shown = name_few(unmatched)
    if not is_any_matched:
        got = f"none: {shown}"
        remedy = (
            f"write the clips as the table does, such as {clips.clips[0]}" if clips.clips else ""
        )
        raise TableError("a clip of the table", got, remedy, where=name)
    return [f"{name}: no such clip in the table: {shown}"]
