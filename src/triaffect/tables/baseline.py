"""How far a face is above its own beginning: a neutral of each person, as far as one can tell.

The neutral of a face is the median of its first seconds, of each column on its own. Values after
it are relative to it. Before it is known, and for frames without a face, which show no one
in particular, the new columns are blank; so they are for a face that is not seen that long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from triaffect.tables.schema import (
    Times,
    Values,
    faces_of,
    round_numbers,
    rows_by_face,
    split_segments,
    times_of,
    values_of,
    with_columns,
)
from triaffect.tasks.task import Task
from triaffect.types import NO_FACE

SUFFIX = "_above_own"
LEAST_S, MOST_S = 0.1, 600.0


def baseline_columns(tasks: Sequence[Task]) -> tuple[str, ...]:
    """List the columns that have a neutral: all but classes of which one is right.

    >>> from triaffect.tasks.registry import TASKS
    >>> baseline_columns(TASKS[:2])  # valence and arousal; classes of expression have none
    ('valence', 'arousal')

    Args:
        tasks: Whose columns a table has.

    Returns:
        Their names, in the order of the tasks.
    """
    return tuple(name for task in tasks if not task.exclusive for name in task.columns)


def subtract_baseline(
    tables: Iterable[pa.Table], seconds: float, tasks: Sequence[Task]
) -> Iterator[pa.Table]:
    """Add each value's distance from the face's own neutral to a table that comes in parts.

    Args:
        tables: Parts of a prediction table, clip by clip and rising in time.
        seconds: How long the neutral is looked at, from the face's first prediction on.
        tasks: Whose columns to compare; every column of theirs must be there.

    Yields:
        The same rows in order, with columns ending in `SUFFIX`. What is kept of a clip is the
        beginnings of faces of which no more was seen, and one number a column of the others.
    """
    columns = baseline_columns(tasks)
    for segment in split_segments(tables):
        faces: dict[int, _FaceBaseline] = {}
        for table in segment:
            times, values = times_of(table), values_of(table, columns)
            above = np.full_like(values, np.nan)
            for face, rows in rows_by_face(faces_of(table)):
                seen = rows[~np.isnan(values[rows]).all(axis=1)]
                if face != NO_FACE and len(seen):
                    own = faces.setdefault(face, _FaceBaseline(times[seen[0]] + seconds))
                    above[seen] = own.above(times[seen], values[seen])
            added = zip(columns, above.T, strict=True)
            yield with_columns(table, {name + SUFFIX: round_numbers(own) for name, own in added})


def describe_blank(clips: Sequence[str], seconds: float) -> str:
    """Say that no face of some clips was seen longer than the neutral that it is compared with.

    >>> describe_blank(["a.mp4", "b.mp4"], 5)
    'in 2 clips, such as a.mp4, no face is seen longer than the baseline of 5 s: their columns \
ending in _above_own are blank'

    Args:
        clips: Their names, at least one.
        seconds: How long the neutral is looked at.
    """
    which = f"in {clips[0]}" if len(clips) == 1 else f"in {len(clips)} clips, such as {clips[0]},"
    whose = "its" if len(clips) == 1 else "their"
    return (
        f"{which} no face is seen longer than the baseline of {seconds:g} s: {whose} columns "
        f"ending in {SUFFIX} are blank"
    )


@dataclass
class _FaceBaseline:
    """One face's neutral.

    Attributes:
        until_s: The last moment that belongs to it.
        beginning: Values until then; emptied once the neutral is computed.
        neutral: Median of each column's valid values, NaN where there is none, shape (K,).
    """

    until_s: float
    beginning: list[Values] = field(default_factory=list)
    neutral: Values | None = None

    def above(self, time_s: Times, values: Values) -> Values:
        """Take in moments (N,) and their values (N, K); their distance, NaN if unknown."""
        late = time_s > self.until_s
        if self.neutral is None:
            self.beginning.append(values[~late])
            if late.any():
                columns = np.concatenate(self.beginning).T
                valid = [column[~np.isnan(column)] for column in columns]
                medians = [np.median(column) if len(column) else np.nan for column in valid]
                self.neutral = np.array(medians)
                self.beginning.clear()
        if self.neutral is None:
            return np.full_like(values, np.nan)
        return np.where(late[:, None], values - self.neutral, np.nan)
