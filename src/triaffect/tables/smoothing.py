"""Smoothing over real time, within a clip and a face; the raw columns stay.

- ``off``: nothing is added. This is the default.
- ``causal``: an exponential mean of what came before, with a time constant. A value that comes
  dt seconds after the last one enters with the share 1 - exp(-dt / constant). After a gap of
  more than `GAP_S`, or of more than the constant if that is longer, it starts afresh.
- ``centred``: a mean under a raised cosine, half as high half a width away and 0 from one width
  on, so that nothing farther away counts and gaps need no rule. Each value counts for the time
  it stands for, half way to its neighbours, so that a segment of more frames weighs no more.

- ``exponential``: as a published system smooths its network (Deng and Shi 2022): frame by frame,
  s = (a · s before + value) / (1 + a), whatever the time between frames, with an inertia a for each
  task, of what its network gives before the activation: of logits where there are probabilities.

A blank stays blank and counts for nothing. Frames without a face, from the voice alone, are a
series of their own. Means of distributions are distributions, so what sums to 1 still does; the
class named is the most probable one of the smoothed ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyarrow as pa

from triaffect.errors import TableError
from triaffect.io.durations import parse_duration
from triaffect.tables.schema import (
    Times,
    Values,
    faces_of,
    rows_by_face,
    split_segments,
    task_columns,
    times_of,
    values_of,
    with_columns,
)
from triaffect.tasks.task import Task, plain_number

SUFFIX = "_smooth"
GAP_S = 1.0
"""After a longer pause a causal mean starts afresh."""
_LEAST_S, _MOST_S = 0.01, 60.0
_REACH = 2.0
"""Widths to each side of a moment within which lies all that its centred mean depends on: one
that weighs, and half a one in which the neighbours are looked for that tell what each value
stands for; the rest is for rounding."""


class Kind(StrEnum):
    """How values are smoothed."""

    OFF = "off"
    CAUSAL = "causal"
    CENTRED = "centred"
    EXPONENTIAL = "exponential"


_USUAL_S = {Kind.OFF: 0.0, Kind.CAUSAL: 0.3, Kind.CENTRED: 0.5, Kind.EXPONENTIAL: 0.0}
_INERTIA, _INERTIA_OF_PRESENCE = 9.0, 7.0
"""As published, of values and classes, and of what is present or not."""
_MOST_INERTIA = 1000.0


@dataclass(frozen=True)
class Smoothing:
    """What to smooth with.

    Attributes:
        kind: How.
        seconds: Time constant of a causal mean, width at half height of a centred one.
        inertia: How many frames' worth the mean so far weighs, by task key, or "" for every task;
            of an exponential one, whose other tasks have what was published.
    """

    kind: Kind = Kind.OFF
    seconds: float = 0.0
    inertia: tuple[tuple[str, float], ...] = ()

    @staticmethod
    def parse(text: str) -> Smoothing:
        """Parse smoothing as a user writes it.

        >>> str(Smoothing.parse("causal")), str(Smoothing.parse("centred:1s"))
        ('causal:0.3s', 'centred:1s')
        >>> str(Smoothing.parse("exponential:AU=5"))
        'exponential:AU=5'

        Args:
            text: ``off``, ``causal`` or ``centred``, the last two maybe with ``:0.4s``; or
                ``exponential``, maybe with ``:8`` or, by task, ``:VA=9,AU=7``.

        Returns:
            The smoothing; without a time 0.3 s for a causal mean, 0.5 s for a centred one, and of
            an exponential one what was published, 9 frames, 7 for action units.

        Raises:
            TableError: It is none of them, or the time is none from 0.01 s to 60 s.
        """
        word, colon, length = text.strip().partition(":")
        if word not in list(Kind) or (colon and word == Kind.OFF):
            expected = (
                f"one of {', '.join(Kind)}, maybe with a time as in causal:0.4s, or with frames "
                "as in exponential:VA=9,AU=7"
            )
            raise TableError(expected, repr(text), where="smooth")
        kind = Kind(word)
        if kind is Kind.EXPONENTIAL:
            return Smoothing(kind, inertia=_parse_inertia(length))
        if not colon:
            return Smoothing(kind, _USUAL_S[kind])
        return Smoothing(
            kind,
            parse_duration(length, "smooth", least_s=_LEAST_S, most_s=_MOST_S, error=TableError),
        )

    def __str__(self) -> str:
        """As `parse` reads it."""
        if self.kind is Kind.EXPONENTIAL:
            each = [f"{key}={number:g}".removeprefix("=") for key, number in self.inertia]
            return self.kind + (":" + ",".join(each) if each else "")
        return self.kind if self.kind is Kind.OFF else f"{self.kind}:{self.seconds:g}s"


def _parse_inertia(text: str) -> tuple[tuple[str, float], ...]:
    """Parse one number of frames for every task, or some tasks' own."""
    own: dict[str, float] = {}
    for part in text.split(",") if text else []:
        key, equals, number = part.rpartition("=")
        value = plain_number(number)
        if bool(equals) != bool(key) or not 0 <= value <= _MOST_INERTIA:
            expected = (
                f"frames from 0 to {_MOST_INERTIA:g}, as in exponential:8 or exponential:AU=7"
            )
            raise TableError(expected, repr(part), where="smooth")
        own[key] = value
    return tuple(sorted(own.items()))


OFF = Smoothing()


def smooth_parts(
    tables: Iterable[pa.Table], smoothing: Smoothing, tasks: Sequence[Task]
) -> Iterator[pa.Table]:
    """Add smoothed columns to a table that comes in parts.

    The numbers do not depend on where it is cut. A centred mean waits for two widths of the
    clip; no more than four are kept.

    Args:
        tables: Parts of a prediction table, clip by clip and rising in time.
        smoothing: With what.
        tasks: Whose columns to smooth; every column of theirs must be there.

    Yields:
        The same rows in order, perhaps cut elsewhere, with columns ending in `SUFFIX`.
    """
    if smoothing.kind is Kind.OFF:
        yield from tables
        return
    for segment in split_segments(tables):
        if smoothing.kind is Kind.EXPONENTIAL:
            yield from _exponential_stream(segment, dict(smoothing.inertia), tasks)
        elif smoothing.kind is Kind.CAUSAL:
            yield from _causal_stream(segment, smoothing.seconds, tasks)
        else:
            yield from _centred_stream(segment, smoothing.seconds, tasks)


def smooth_fields(schema: pa.Schema, tasks: Sequence[Task]) -> list[pa.Field]:
    """List the fields that `smooth_parts` adds to a table.

    Args:
        schema: Schema of the table as predicted.
        tasks: Whose columns are smoothed.

    Returns:
        A field for each column of the tasks, of its type, with `SUFFIX`.
    """
    names = (name for task in tasks for name in task.prediction_columns)
    return [schema.field(name).with_name(name + SUFFIX) for name in names]


class CausalMean:
    """An exponential mean of the values so far, each column on its own.

    Args:
        width: Number of columns K.
        constant_s: Time constant in seconds.
    """

    def __init__(self, width: int, constant_s: float) -> None:
        self._constant_s, self._gap_s = constant_s, max(GAP_S, constant_s)
        self._mean, self._last_s = np.zeros(width), np.full(width, -np.inf)

    def add(self, time_s: float, values: Values) -> Values:
        """Take in the values of the next moment.

        >>> mean = CausalMean(1, constant_s=0.5)
        >>> [mean.add(t, np.array([t])).round(3).item() for t in (0.0, 0.5, 1.0)]
        [0.0, 0.316, 0.748]

        Args:
            time_s: The moment in seconds, later than those before.
            values: Values, NaN where blank, shape (K,).

        Returns:
            The means there, NaN where the value is, shape (K,).
        """
        passed = time_s - self._last_s
        share = np.where(passed > self._gap_s, 1.0, -np.expm1(-passed / self._constant_s))
        mean: Values = self._mean + share * (values - self._mean)
        valid = ~np.isnan(values)
        self._mean = np.where(valid, mean, self._mean)
        self._last_s = np.where(valid, time_s, self._last_s)
        return mean

    def is_over(self, now_s: float) -> bool:
        """Tell whether values from a time in seconds on start afresh anyhow."""
        return bool((now_s - self._last_s > self._gap_s).all())


def centred_means(at_s: Times, time_s: Times, values: Values, width_s: float) -> Values:
    """Compute means under a raised cosine around moments.

    >>> time_s = np.array([0.0, 0.5, 1.0])
    >>> centred_means(time_s[1:2], time_s, np.array([[0.0], [1.0], [0.0]]), width_s=1.0)
    array([[0.5]])

    Args:
        at_s: The moments, shape (M,), some of those of the values.
        time_s: Moments of the values, rising, shape (N,).
        values: None of them NaN, shape (N, K).
        width_s: Width at half height; nothing counts that is as far away or farther.

    Returns:
        Shape (M, K).
    """
    stands = stands_for_s(time_s, width_s / 2)
    first = np.searchsorted(time_s, at_s - width_s, side="left")
    last = np.searchsorted(time_s, at_s + width_s, side="right")
    means = np.empty((len(at_s), values.shape[1]))
    for row, (at, start, end) in enumerate(zip(at_s, first, last, strict=True)):
        near = np.minimum(np.abs(time_s[start:end] - at) / width_s, 1)
        weight = stands[start:end] * (1 + np.cos(np.pi * near))
        means[row] = weight @ values[start:end] / weight.sum()
    return means


def stands_for_s(time_s: Times, most_s: float) -> Times:
    """Compute the seconds that each value stands for: half way to both neighbours.

    A neighbour more than ``most_s`` away is none; then the other side's half counts twice, and
    without any neighbour it is ``most_s``.

    >>> stands_for_s(np.array([0.0, 1.0, 3.0, 9.0]), most_s=4.0).tolist()
    [1.0, 1.5, 2.0, 4.0]

    Args:
        time_s: Moments of the values in seconds, ascending, shape (N,).
        most_s: Seconds to the farthest neighbour.

    Returns:
        Seconds, above 0, shape (N,).
    """
    step = np.append(np.diff(time_s), np.inf)
    after, before = step, np.append(np.inf, step[:-1])
    after, before = (
        np.where(one <= most_s, one, np.where(other <= most_s, other, most_s))
        for one, other in ((after, before), (before, after))
    )
    stands: Times = np.maximum((after + before) / 2, 1e-9)  # 0 for two values of one moment
    return stands


def _causal_stream(
    segment: Iterable[pa.Table], constant_s: float, tasks: Sequence[Task]
) -> Iterator[pa.Table]:
    columns = [name for task in tasks for name in task.columns]
    means: dict[int, CausalMean] = {}
    for table in segment:
        times, values = times_of(table), values_of(table, columns)
        for face, rows in rows_by_face(faces_of(table)):
            mean = means.setdefault(face, CausalMean(len(columns), constant_s))
            for row in rows:
                values[row] = mean.add(times[row], values[row])
        means = {face: mean for face, mean in means.items() if not mean.is_over(times[-1])}
        edges = np.cumsum([task.width for task in tasks])[:-1]
        yield _with_smooth(table, np.split(values, edges, axis=1), tasks)


def _exponential_stream(
    segment: Iterable[pa.Table], inertia: Mapping[str, float], tasks: Sequence[Task]
) -> Iterator[pa.Table]:
    columns = [name for task in tasks for name in task.columns]
    published = [_INERTIA_OF_PRESENCE if task.threshold_columns else _INERTIA for task in tasks]
    weights = [
        np.full(task.width, inertia.get(task.key, inertia.get("", usual)))
        for task, usual in zip(tasks, published, strict=True)
    ]
    weight, edges = np.concatenate(weights), np.cumsum([task.width for task in tasks])[:-1]
    means: dict[int, Values] = {}
    for table in segment:
        parts = np.split(values_of(table, columns), edges, axis=1)
        raw = np.concatenate(
            [task.deactivate(own) for task, own in zip(tasks, parts, strict=True)], axis=1
        )
        for face, rows in rows_by_face(faces_of(table)):
            mean = means.get(face, np.full(len(columns), np.nan))
            for row in rows:
                moved = (weight * mean + raw[row]) / (1 + weight)
                moved = np.where(np.isnan(mean), raw[row], moved)
                mean = np.where(np.isnan(raw[row]), mean, moved)
                raw[row] = moved
            means[face] = mean
        parts = np.split(raw, edges, axis=1)
        smooth = [task.reactivate(own) for task, own in zip(tasks, parts, strict=True)]
        yield _with_smooth(table, smooth, tasks)


def _centred_stream(
    segment: Iterable[pa.Table], width_s: float, tasks: Sequence[Task]
) -> Iterator[pa.Table]:
    held: pa.Table | None = None
    done = 0  # rows of it that were given already and are kept for those to come
    for table in segment:
        held = table if held is None else pa.concat_tables([held, table])
        times = times_of(held)
        ready = int(np.searchsorted(times, times[-1] - _REACH * width_s))
        if ready > done:
            yield _centred_rows(held, slice(done, ready), width_s, tasks)
            done = ready
        old = int(np.searchsorted(times, times[done] - _REACH * width_s))
        held, done = held.slice(old), done - old
    if held is not None:
        yield _centred_rows(held, slice(done, len(held)), width_s, tasks)


def _centred_rows(
    table: pa.Table, rows_out: slice, width_s: float, tasks: Sequence[Task]
) -> pa.Table:
    """Those rows with their means; the others are there to be looked at."""
    times, by_face = times_of(table), list(rows_by_face(faces_of(table)))
    smooth = []
    for task in tasks:
        values = values_of(table, task.columns)
        means, blank = np.full_like(values, np.nan), np.isnan(values)
        for _, rows in by_face:
            # mostly all columns are blank together; some models leave single ones blank
            for pattern in np.unique(blank[rows], axis=1).T:
                alike = np.flatnonzero((pattern == blank[rows].T).all(axis=1))
                seen = rows[~pattern]
                moments = seen[(seen >= rows_out.start) & (seen < rows_out.stop)]
                own = values[np.ix_(seen, alike)]
                smooth_values = centred_means(times[moments], times[seen], own, width_s)
                means[np.ix_(moments, alike)] = smooth_values
        smooth.append(means[rows_out])
    return _with_smooth(table.slice(rows_out.start, rows_out.stop - rows_out.start), smooth, tasks)


def _with_smooth(table: pa.Table, values: Sequence[Values], tasks: Sequence[Task]) -> pa.Table:
    added: dict[str, pa.Array] = {}
    for task, own in zip(tasks, values, strict=True):
        added |= {name + SUFFIX: column for name, column in task_columns(task, own).items()}
    return with_columns(table, added)
