"""What a page shows of one clip, gathered from its rows as they come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.report.bins import Grid, Series
from triaffect.report.totals import Totals
from triaffect.tasks.task import Task
from triaffect.types import IntArray

NOBODY = -1
"""Number of what was predicted where no face was."""

MOST_FACES = 8
"""Faces of a clip that get a tab: those seen longest."""

_HELD = 64
"""Faces out of sight that are kept while rows come; a video with many cuts has thousands."""

SMOOTH = "_smooth"
"""Ending of the columns that hold smoothed values."""

_TIME, _VOICE, _FACE = range(3)
_BOX = ("box_x", "box_y", "box_w", "box_h")


class Person:
    """One face of a clip, or what was predicted without one.

    Attributes:
        series: Its values over time: the tasks' columns, and then the smoothed ones.
        totals: Sums over all of its rows.
    """

    def __init__(self, series: Series, tasks: Sequence[Task]) -> None:
        self.series, self.totals = series, Totals(tasks)

    @property
    def count(self) -> int:
        """Frames that it has a row of."""
        return self.totals.rows


class Clip:
    """Sums over stretches of time of one clip: of its frames, and of each face.

    Args:
        name: The clip as the table names it.
        tasks: What to show.
        columns: Columns of its table.

    Attributes:
        people: Faces by number, and `NOBODY` for rows without one.
        frames: Frames so far.
        faces: How many faces there were.
        with_face: Frames with a face.
        with_voice: Frames at which a voice was heard.
        smoothed: Whether the table has smoothed values too.
    """

    def __init__(self, name: str, tasks: Sequence[Task], columns: Sequence[str]) -> None:
        self.name, self.tasks = name, tuple(tasks)
        self.columns = [column for task in tasks for column in task.columns]
        self.smoothed = all(f"{column}{SMOOTH}" in columns for column in self.columns)
        if self.smoothed:
            self.columns += [f"{column}{SMOOTH}" for column in self.columns]
        self.people: dict[int, Person] = {}
        self.frames = self.with_face = self.with_voice = 0
        self._grid = Grid()
        self._all = self._grid.series(3)
        self._names: set[int] = set()
        self._start_s, self.end_s, self._last = np.nan, 0.0, NOBODY

    @property
    def step_s(self) -> float:
        """Seconds of a stretch."""
        return self._grid.step_s

    @property
    def faces(self) -> int:
        """How many faces there were."""
        return len(self._names - {NOBODY})

    def add(self, table: pa.Table) -> None:
        """Add the next rows, in the order of the table."""
        if not len(table):
            return
        times_s = _numbers(table, "time_s")
        if not self.frames:
            self._start_s = float(times_s[0])
        self.end_s = float(times_s[-1])
        self._grid.reach(self._start_s, self.end_s)
        places = self._grid.places(times_s)
        marks = np.column_stack([times_s, *(_numbers(table, name) for name in _BOX)])
        self._add_frames(table, places, marks)
        values = np.column_stack([_numbers(table, name) for name in self.columns])
        faces = np.nan_to_num(_numbers(table, "face_id"), nan=NOBODY).astype(np.int64)
        here = set(faces.tolist())
        for face in sorted(here):
            own = faces == face
            self._person(face).series.add(places[own], values[own], marks[own])
            self.people[face].totals.add(values[own])
        self._names |= here
        self._forget_brief(here)

    def _add_frames(self, table: pa.Table, places: IntArray, marks: NDArray[np.float64]) -> None:
        frame = _numbers(table, "frame").astype(np.int64)
        new = np.diff(frame, prepend=self._last) != 0
        self._last = int(frame[-1])
        if not new.any():
            return
        seen = [_numbers(table, name)[new] for name in ("voice_heard", "face_seen")]
        values = np.column_stack([marks[new, 0], *seen])
        self._all.add(places[new], values, marks[new])
        self.frames += int(new.sum())
        self.with_voice += int(seen[0].sum())
        self.with_face += int(seen[1].sum())

    def _person(self, face: int) -> Person:
        if face not in self.people:
            series = self._grid.series(len(self.columns))
            self.people[face] = Person(series, self.tasks)
        return self.people[face]

    def _forget_brief(self, here: set[int]) -> None:
        """Let go of the faces that were seen most briefly and are out of sight."""
        gone = [face for face in self.people if face not in here and face != NOBODY]
        gone.sort(key=lambda face: self.people[face].count, reverse=True)
        for face in gone[_HELD:]:
            self._grid.drop(self.people.pop(face).series)

    def shown(self) -> list[int]:
        """Who gets a tab: the faces seen longest by number, and at the end a voice alone."""
        seen = [face for face in self.people if face != NOBODY]
        longest = sorted(seen, key=lambda face: -self.people[face].count)[:MOST_FACES]
        nobody = self.people.get(NOBODY)
        heard = nobody is not None and (nobody.totals.told or not longest)
        return sorted(longest) + ([NOBODY] if heard else [])

    def places(self) -> IntArray:
        """Stretches in which there is a frame, shape (P,)."""
        return np.flatnonzero(self._all.rows) + self._all.first

    def frames_of(self, places: IntArray) -> NDArray[np.float64]:
        """Frames of each stretch, shape (P,)."""
        return self._all.on(places, self._all.rows.astype(np.float64))

    def times_s(self, places: IntArray) -> NDArray[np.float64]:
        """Mean time of the frames of each stretch, shape (P,)."""
        return self._all.on(places, self._all.means())[:, _TIME]

    def voice(self, places: IntArray) -> NDArray[np.float64]:
        """Share of each stretch's frames with a voice, shape (P,)."""
        return self._all.on(places, self._all.means())[:, _VOICE]

    def moments_s(self, places: IntArray) -> NDArray[np.float64]:
        """Time of the first frame of each stretch, shape (P,)."""
        return self._all.on(places, self._all.marks)[:, 0]

    def seen(self, face: int, places: IntArray) -> NDArray[np.float64]:
        """Share of each stretch's frames with a row of somebody, shape (P,)."""
        series = self.people[face].series
        shares: NDArray[np.float64] = np.nan_to_num(
            series.on(places, series.rows.astype(np.float64))
        )
        return shares / self.frames_of(places)


def _numbers(table: pa.Table, column: str) -> NDArray[np.float64]:
    """A column as numbers, NaN where blank, shape (N,)."""
    return np.asarray(table.column(column).to_numpy(), np.float64)
