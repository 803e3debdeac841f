"""What a page shows of one clip, gathered from its rows as they come.

A stretch is so short at first that it holds one frame; when there are too many of them, each
two neighbours become one. A video of any length so takes the same memory, and stretches
without a row stay empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.studies.people import PARTICIPANT
from triaffect.tables.summary import ClipSummary, SummaryRow
from triaffect.tasks.task import Task
from triaffect.types import NO_FACE, IntArray

FINEST_S = 1 / 128
"""Seconds of a stretch at first; doubling it gives 0.25, 0.5, 1 s and so on."""

MOST_BINS = 1200
"""Stretches between the first row and the last; about the pixels that a page has for them."""


class Grid:
    """How long a stretch is, for all that is seen and heard in one clip.

    Args:
        most: Stretches between the first row and the last, at most.

    Attributes:
        step_s: Seconds of a stretch.
    """

    def __init__(self, most: int = MOST_BINS) -> None:
        self.step_s = FINEST_S
        self._series: list[Series] = []
        self._most = most

    def series(self, width: int) -> Series:
        """Make an empty series on this grid.

        Args:
            width: Values of a row.

        Returns:
            The series; it becomes coarser with the grid.
        """
        made = Series(width)
        self._series.append(made)
        return made

    def drop(self, series: Series) -> None:
        """Forget a series: it does not become coarser any more."""
        self._series.remove(series)

    def reach(self, start_s: float, end_s: float) -> None:
        """Make stretches so long that not too many lie between two times.

        Args:
            start_s: The clip's first time in seconds.
            end_s: Its last so far.
        """
        while end_s // self.step_s - start_s // self.step_s >= self._most:
            self.step_s *= 2
            for each in self._series:
                each.coarsen()

    def segments(self, times_s: NDArray[np.float64]) -> IntArray:
        """Compute the numbers of the stretches in which times lie.

        Args:
            times_s: Seconds, shape (N,).

        Returns:
            Whole numbers from the clip's time 0 on, shape (N,), int64.
        """
        return np.floor(times_s / self.step_s).astype(np.int64)


class Series:
    """Sums over stretches of time, from the first that has a row to the last.

    Args:
        width: Values of a row.

    Attributes:
        first: Number of the first stretch.
        rows: Rows of each stretch, shape (B,).
        marks: Time of the first row of each, and x, y, width and height of its box, shape (B, 5).
    """

    def __init__(self, width: int) -> None:
        self.first = 0
        self.rows = np.zeros(0, np.int64)
        self.marks = np.full((0, 5), np.nan)
        self._sums, self._counts = np.zeros((0, width)), np.zeros((0, width), np.int64)

    def add(
        self, segments: IntArray, values: NDArray[np.float64], marks: NDArray[np.float64]
    ) -> None:
        """Add rows in order of time.

        Args:
            segments: Stretch of each row, ascending, none before the last one added, shape (N,).
            values: NaN where blank, shape (N, width).
            marks: Time and box of each row, shape (N, 5).
        """
        if not len(self.rows):
            self.first = int(segments[0])
        more = max(0, int(segments[-1]) - self.first + 1 - len(self.rows))
        self.rows = np.pad(self.rows, (0, more))
        self.marks = np.pad(self.marks, ((0, more), (0, 0)), constant_values=np.nan)
        self._sums = np.pad(self._sums, ((0, more), (0, 0)))
        self._counts = np.pad(self._counts, ((0, more), (0, 0)))
        starts = np.flatnonzero(np.diff(segments, prepend=segments[0] - 1))
        at = segments[starts] - self.first
        new = self.rows[at] == 0
        self.marks[at[new]] = marks[starts[new]]
        there = ~np.isnan(values)
        self.rows[at] += np.diff(np.append(starts, len(segments)))
        self._sums[at] += np.add.reduceat(np.where(there, values, 0), starts)
        self._counts[at] += np.add.reduceat(there, starts, dtype=np.int64)

    def coarsen(self) -> None:
        """Make each two stretches one."""
        before, after = self.first % 2, (self.first + len(self.rows)) % 2
        pairs = [
            np.pad(each, [(before, after)] + [(0, 0)] * (each.ndim - 1)).reshape(
                -1, 2, *each.shape[1:]
            )
            for each in (self.rows, self.marks, self._sums, self._counts)
        ]
        rows, marks, sums, counts = pairs
        self.marks = np.where(rows[:, :1] > 0, marks[:, 0], marks[:, 1])
        self.rows, self._sums, self._counts = rows.sum(1), sums.sum(1), counts.sum(1)
        self.first //= 2

    def means(self) -> NDArray[np.float64]:
        """Return the mean of each value over each stretch, NaN for none, shape (B, width)."""
        with np.errstate(invalid="ignore"):
            values: NDArray[np.float64] = self._sums / self._counts
        return values

    def on(self, segments: IntArray, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Look up values of stretches by their numbers.

        Args:
            segments: Numbers of stretches, shape (P,).
            values: Values for each stretch of the series, shape (B, ...).

        Returns:
            Those of the numbers, NaN outside the series, shape (P, ...).
        """
        result = np.full((len(segments), *values.shape[1:]), np.nan)
        inside = (segments >= self.first) & (segments < self.first + len(self.rows))
        result[inside] = values[segments[inside] - self.first]
        return result


_NAMED = 3
"""Classes, and units, that a summary names."""

_RARE = 0.005
"""What is there in a smaller share of the time is not named."""


def statistics_cells(
    row: SummaryRow,
    tasks: Sequence[Task],
    not_shown: Collection[str] = (),
    is_still: bool = False,
) -> Iterator[str]:
    """Yield a text for each task: means of values, or which classes or units were there how often.

    Args:
        row: A row of `triaffect.tables.summary`.
        tasks: The tasks that it sums up.
        not_shown: Columns that are not shown to hold on people; none of them is named.
        is_still: Whether it is of a single moment, which has no deviation and no shares.

    Yields:
        Text such as ``Happiness 62 %, Neutral 30 %``, plain words such as smile first; "nothing"
        without a prediction.
    """
    for task in tasks:
        if task.exclusive or task.threshold_columns:
            shares = np.array([_number(row[f"{part}_share"]) for part in task.part_names])
            by_word = {
                word: _number(row[f"{word}_share"])
                for word, units in task.plain_words.items()
                if not set(units) & set(not_shown)
            }
            words = [word for word, share in by_word.items() if share > _RARE]
            # a word of one unit stands for it
            unnamed = {
                task.plain_words[word][0] for word in words if len(task.plain_words[word]) == 1
            }
            order = [
                k
                for k in np.argsort(-shares, kind="stable")
                if shares[k] > _RARE and task.columns[k] not in {*not_shown, *unnamed}
            ]
            named = [(word.replace("_", " "), by_word[word]) for word in words]
            named += [(task.title(task.columns[k]), shares[k]) for k in order[:_NAMED]]
            text = ", ".join(
                title if is_still else f"{title} {percent(share)}" for title, share in named
            )
            yield "nothing" if np.isnan(shares).all() else text or "none"
        else:
            texts = []
            for column in task.columns:
                mean, deviation = (_number(row[f"{column}_{kind}"]) for kind in ("mean", "sd"))
                if not np.isnan(mean) and column not in not_shown:
                    text = f"{round(mean, 2) + 0.0:.2f}".replace("-", "\N{MINUS SIGN}")
                    text += "" if is_still else f"\u00a0±\u00a0{deviation:.2f}"
                    texts.append(f"{task.title(column)} {text}")
            yield ", ".join(texts) or "nothing"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else np.nan


def percent(share: float) -> str:
    """Write a share in whole per cent, which no line break takes apart.

    >>> percent(0.125).replace(chr(0xA0), " ")
    '12 %'
    """
    return f"{100 * share:.0f}\u00a0%"


MOST_FACES = 8
"""Faces of a clip that get a tab: those seen longest."""

_HELD = 64
"""Faces out of sight that are kept while rows come; a video with many cuts has thousands."""

SMOOTH = "_smooth"
"""Ending of the columns that hold smoothed values."""

_BOX = ("box_x", "box_y", "box_w", "box_h")


@dataclass
class Person:
    """One face of a clip, or what was predicted without one.

    Attributes:
        series: Its values over time: the tasks' columns, and then the smoothed ones.
        count: Frames that it has a row of.
        is_predicted: Whether any of them has a prediction.
    """

    series: Series
    count: int = 0
    is_predicted: bool = False


class Clip:
    """Sums over stretches of time of one clip: of its frames, and of each face.

    Args:
        name: The clip as the table names it.
        tasks: What to show.
        columns: Columns of its table.
        most_points: Stretches of time that are drawn, at most.

    Attributes:
        people: Faces by number, and `NO_FACE` for rows without one.
        participants: Who they are, by number, where the table names them.
        frames: Frames so far.
        faces: How many faces there were.
        summary: Statistics of the clip and its faces, those that ``--summary`` writes.
        smoothed: Whether the table has smoothed values too.
    """

    def __init__(
        self,
        name: str,
        tasks: Sequence[Task],
        columns: Sequence[str],
        most_points: int = MOST_BINS,
    ) -> None:
        self.name, self.tasks = name, tuple(tasks)
        self.columns = [column for task in tasks for column in task.columns]
        self.smoothed = all(f"{column}{SMOOTH}" in columns for column in self.columns)
        if self.smoothed:
            self.columns += [f"{column}{SMOOTH}" for column in self.columns]
        self.people: dict[int, Person] = {}
        self.frames, self.summary = 0, ClipSummary(self.tasks)
        self._grid = Grid(most_points)
        self.participants: dict[int, str] = {}
        self._all = self._grid.series(3)
        self._names: set[int] = set()
        self._start_s, self.end_s, self._last = np.nan, 0.0, NO_FACE

    @property
    def step_s(self) -> float:
        """Return the seconds of a stretch."""
        return self._grid.step_s

    @property
    def faces(self) -> int:
        """Return how many faces there were."""
        return len(self._names - {NO_FACE})

    def add(self, table: pa.Table) -> None:
        """Add the next rows of the clip.

        Args:
            table: Rows in order of time, with the columns of the tasks.
        """
        if not len(table):
            return
        times_s = _numbers(table, "time_s")
        if not self.frames:
            self._start_s = float(times_s[0])
        self.end_s = float(times_s[-1])
        self._grid.reach(self._start_s, self.end_s)
        segments = self._grid.segments(times_s)
        marks = np.column_stack([times_s, *(_numbers(table, name) for name in _BOX)])
        self._add_frames(table, segments, marks)
        values = np.column_stack([_numbers(table, name) for name in self.columns])
        faces = np.nan_to_num(_numbers(table, "face_id"), nan=NO_FACE).astype(np.int64)
        here = set(faces.tolist())
        self._name_faces(table, faces)
        for face in sorted(here):
            own = faces == face
            if face not in self.people:
                self.people[face] = Person(self._grid.series(len(self.columns)))
            self.people[face].series.add(segments[own], values[own], marks[own])
            self.people[face].count += int(own.sum())
            self.people[face].is_predicted |= not np.isnan(values[own]).all()
        self.summary.add(table)
        self._names |= here
        # Let go of the faces that were seen most briefly and are out of sight.
        gone = [face for face in self.people if face not in here and face != NO_FACE]
        gone.sort(key=lambda face: self.people[face].count, reverse=True)
        for face in gone[_HELD:]:
            self._grid.drop(self.people.pop(face).series)
            self.summary.faces.pop(face, None)

    def _name_faces(self, table: pa.Table, faces: IntArray) -> None:
        """Note who the faces are, where the table says it."""
        if PARTICIPANT not in table.column_names:
            return
        for face in set(faces.tolist()):
            name = table[PARTICIPANT][int(np.argmax(faces == face))].as_py()
            if name is not None:
                self.participants[face] = str(name)

    def label(self, face: int) -> str:
        """Return who a face is: the participant, or else its number.

        Args:
            face: A key of `people`.
        """
        if face == NO_FACE:
            return "No face"
        return self.participants.get(face, f"Face {face}")

    def _add_frames(self, table: pa.Table, segments: IntArray, marks: NDArray[np.float64]) -> None:
        frame = _numbers(table, "frame").astype(np.int64)
        new = np.diff(frame, prepend=self._last) != 0
        self._last = int(frame[-1])
        if not new.any():
            return
        seen = [_numbers(table, name)[new] for name in ("voice_heard", "face_seen")]
        values = np.column_stack([marks[new, 0], *seen])
        self._all.add(segments[new], values, marks[new])
        self.frames += int(new.sum())

    def shown(self) -> list[int]:
        """List who gets a tab: the faces seen longest by number, and at the end a voice alone."""
        seen = [face for face in self.people if face != NO_FACE]
        longest = sorted(seen, key=lambda face: -self.people[face].count)[:MOST_FACES]
        nobody = self.people.get(NO_FACE)
        has_voice_row = nobody is not None and (nobody.is_predicted or not longest)
        return sorted(longest) + ([NO_FACE] if has_voice_row else [])

    def segments(self) -> IntArray:
        """Return the numbers of the stretches in which there is a frame, shape (P,)."""
        return np.flatnonzero(self._all.rows) + self._all.first

    def frames_of(self, segments: IntArray) -> NDArray[np.float64]:
        """Return how many frames each stretch has, shape (P,)."""
        return self._all.on(segments, self._all.rows.astype(np.float64))

    def means_of_frames(self, segments: IntArray) -> NDArray[np.float64]:
        """Average over the frames of each stretch.

        Args:
            segments: Numbers of stretches, shape (P,).

        Returns:
            Mean time in seconds, share of the frames with a voice, and with a face, shape (P, 3).
        """
        return self._all.on(segments, self._all.means())

    def moments_s(self, segments: IntArray) -> NDArray[np.float64]:
        """Return the time of the first frame of each stretch, shape (P,)."""
        return self._all.on(segments, self._all.marks)[:, 0]

    def seen(self, face: int, segments: IntArray) -> NDArray[np.float64]:
        """Compute the share of each stretch's frames in which somebody is.

        Args:
            face: A key of `people`.
            segments: Numbers of stretches in which there is a frame, shape (P,).

        Returns:
            Shares, 0 where there is no row of theirs, shape (P,).
        """
        series = self.people[face].series
        shares: NDArray[np.float64] = np.nan_to_num(
            series.on(segments, series.rows.astype(np.float64))
        )
        return shares / self.frames_of(segments)


def _numbers(table: pa.Table, column: str) -> NDArray[np.float64]:
    """A column as numbers, NaN where blank, shape (N,)."""
    return np.asarray(table.column(column).to_numpy(), np.float64)
