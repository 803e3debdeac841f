"""When something is present: by thresholds with hysteresis, and for a shortest time at least.

A probability that hovers around its threshold would switch from frame to frame, and every single
frame above it would count. So an output comes on at its threshold plus `MARGIN`, goes off below its
threshold minus `MARGIN`, and what lasts less than `SHORTEST_S` does not count. Shares of the time
and what is drawn on a copy follow this; the probabilities in a table stay as they are.

`MARGIN` is how far two answers about a face held still may lie apart, so a smaller change is none
of the face. `SHORTEST_S` is half a hop of the shipped window: what is shorter is one frame's noise,
or a movement that no network over such windows can have read.

A face's first row, and a still picture, has no past: the threshold alone decides there, and what is
on from the start, or still on when the face is lost, counts however short it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.tables.schema import (
    Times,
    Values,
    column,
    faces_of,
    rows_by_face,
    times_of,
    values_of,
    with_columns,
)
from triaffect.tasks.task import Task

SUFFIX = "_present"
"""Ending of the columns that `PresenceFilter` adds."""

MARGIN = 0.05
"""How far above its threshold a probability comes on, and how far below it goes off."""

SHORTEST_S = 0.2
"""What is on for less time is not present, in seconds."""

GAP_S = 1.0
"""After a longer gap between its rows a face begins anew, in seconds."""

_SLACK_S = 1e-6
_ABSENT, _PRESENT, _BLANK, _BETWEEN = range(4)

_States = NDArray[np.int8]
"""`_ABSENT`, `_PRESENT` or `_BLANK` (no probability) of moments and columns, shape (N, K)."""


class PresenceFilter:
    """Decides in which moments of a clip something is present, for each of its faces.

    Rows go in in order of time; they come out, with a column of flags for each output, as soon as
    it is clear whether what is on then lasts long enough: `SHORTEST_S` later at most. It makes no
    difference where a table is cut.

    Args:
        tasks: What is predicted, with the thresholds from which a column counts as present.

    Attributes:
        columns: The outputs that are decided, by name.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        levels = {
            name: task.present_from[name] for task in tasks for name in task.threshold_columns
        }
        self.columns = tuple(levels)
        level = np.array(list(levels.values()))
        self._levels = _Levels(
            level,
            # half way to 0 or 1 where a threshold lies so near to it that nothing could pass
            np.minimum(level + MARGIN, (level + 1) / 2),
            np.maximum(level - MARGIN, level / 2),
        )
        self._faces: dict[int, _FacePresence] = {}
        self._held: pa.Table | None = None

    def add(self, table: pa.Table) -> pa.Table:
        """Take in the next rows of the clip.

        Args:
            table: Rows of a prediction table with the columns of the tasks, in order of time.

        Returns:
            The rows that are decided by now, of this part and those before, in order, with a
            column NAME + `SUFFIX` of flags for each output, null where it is blank.
        """
        times = times_of(table)
        if len(times):
            values = values_of(table, self.columns)
            for number, rows in rows_by_face(faces_of(table)):
                face = self._faces.get(number)
                if face is None:
                    face = self._faces[number] = _FacePresence(len(self.columns))
                face.add(times[rows], values[rows], self._levels)
        held = table if self._held is None else pa.concat_tables([self._held, table])
        until_s = times_of(held)[-1] - SHORTEST_S - _SLACK_S if len(held) else -np.inf
        return self._release(held, int(np.searchsorted(times_of(held), until_s, side="right")))

    def finish(self) -> pa.Table | None:
        """Return the rows that are left, with their flags; None if there are none."""
        if self._held is None or not len(self._held):
            return None
        return self._release(self._held, len(self._held))

    def _release(self, held: pa.Table, count: int) -> pa.Table:
        """Give out the first so many of the rows, and keep the others."""
        self._held = held.slice(count)
        rows_out = held.slice(0, count)
        flags = np.full((count, len(self.columns)), _ABSENT, np.int8)
        for number, rows in rows_by_face(faces_of(rows_out)):
            flags[rows] = self._faces[number].release(len(rows))
        now_s = times_of(held)[-1] if len(held) else -np.inf
        self._faces = {n: face for n, face in self._faces.items() if not face.is_over(now_s)}
        added = {
            name + SUFFIX: column(own == _PRESENT, own != _BLANK)
            for name, own in zip(self.columns, flags.T, strict=True)
        }
        return with_columns(rows_out, added)


@dataclass(frozen=True)
class _Levels:
    """Probabilities at which K columns change.

    Attributes:
        start: From which one is present where nothing came before, shape (K,).
        on: From which one comes on, shape (K,).
        off: Below which one goes off, shape (K,).
    """

    start: Values
    on: Values
    off: Values


class _FacePresence:
    """The moments of one face that are not decided yet, and what came before them.

    Args:
        width: Number of columns K.
    """

    def __init__(self, width: int) -> None:
        self._times = np.empty(0)
        self._states: _States = np.empty((0, width), np.int8)
        self._starts_anew = np.empty(0, np.bool_)
        self._last_s = -np.inf
        # of the last moment that was given out: its state, and since when it has that
        self._state: _States = np.full(width, _BLANK, np.int8)
        self._since_s = np.full(width, -np.inf)

    def is_over(self, now_s: float) -> bool:
        """Tell whether rows from a time in seconds on begin anew, and none is waiting."""
        return not len(self._times) and now_s - self._last_s > GAP_S

    def add(self, times: Times, values: Values, levels: _Levels) -> None:
        """Take in the next moments, shape (N,), and their probabilities, shape (N, K)."""
        anew = np.diff(times, prepend=self._last_s) > GAP_S
        anew |= np.diff(times, prepend=self._last_s) < 0
        states = np.full(values.shape, _BETWEEN, np.int8)
        states[values >= levels.on] = _PRESENT
        states[values < levels.off] = _ABSENT
        blank = np.isnan(values)
        states[blank] = _BLANK
        last = self._states[-1] if len(self._states) else self._state
        no_past = anew[:, None] | np.vstack([last[None] == _BLANK, blank[:-1]])
        undecided = (states == _BETWEEN) & no_past
        states[undecided] = (values >= levels.start)[undecided]
        # what lies between the two levels stays as it was
        rows = np.where(states == _BETWEEN, -1, np.arange(len(times))[:, None])
        source = np.maximum.accumulate(rows, axis=0)
        carried = np.take_along_axis(states, np.maximum(source, 0), axis=0)
        states = np.where(source < 0, last, carried).astype(np.int8)
        self._times = np.append(self._times, times)
        self._states = np.concatenate([self._states, states])
        self._starts_anew = np.append(self._starts_anew, anew)
        self._last_s = float(times[-1])

    def release(self, count: int) -> _States:
        """Decide the first so many moments; what is on too briefly among them becomes absent."""
        times, states, n = self._times, self._states, len(self._times)
        before = np.concatenate([self._state[None], states[:-1]])
        anew = self._starts_anew[:, None]
        changed = (states != before) | anew
        begins_s = np.where(anew | (before == _BLANK), -np.inf, times[:, None])
        number = np.arange(n)[:, None]
        first = np.maximum.accumulate(np.where(changed, number, -1), axis=0)
        since_s = np.take_along_axis(begins_s, np.maximum(first, 0), axis=0)
        since_s = np.where(first < 0, self._since_s, since_s)
        following = np.minimum.accumulate(np.where(changed, number, n)[::-1], axis=0)[::-1]
        following = np.concatenate([following[1:], np.full((1, states.shape[1]), n)])
        until_s = np.append(times, np.inf)[following]
        is_brief = until_s - since_s < SHORTEST_S - _SLACK_S
        result = np.where((states == _PRESENT) & is_brief, _ABSENT, states)[:count]
        if count:
            self._state, self._since_s = states[count - 1], since_s[count - 1]
        self._times, self._states = times[count:], states[count:]
        self._starts_anew = self._starts_anew[count:]
        return result.astype(np.int8)
