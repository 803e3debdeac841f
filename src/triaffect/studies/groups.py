"""Groups compared: means over people with their intervals, and differences between conditions.

A participant counts once in each group and event, however long or often he was filmed: what he
showed there is pooled first. Means, standard deviations and intervals are over participants.

The 95 % interval of a mean is Student's, from the participants' standard deviation; of a difference
it is Student's over the participants' own differences where the same people are in both groups, and
Welch's where they are others. It is cut at the ends of what the measure can be. With few people it
is wide, as it should be; with one there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import lgamma, pi, sqrt, tan

import numpy as np
import pyarrow as pa

from triaffect.errors import TableError
from triaffect.studies.events import EVENT
from triaffect.studies.measures import (
    Period,
    StudyMeasures,
    Tally,
    measure_names,
    measures_of,
    round_row,
)
from triaffect.studies.sheets import name_few
from triaffect.types import NO_FACE

LEVEL = 0.95
_STEPS = 20001
_FEWEST = 2
"""People from which on there is an interval."""


@lru_cache
def t_quantile(freedom: float) -> float:
    """Compute the t of a two-sided 95 % interval.

    With x = √ν·tan θ, Student's density becomes a power of cos θ, which is summed up.

    >>> round(t_quantile(5), 3), round(t_quantile(1e6), 2)
    (2.571, 1.96)

    Args:
        freedom: Degrees of freedom ν, from 1 on, whole or not.
    """
    steepest = min(pi / 2, 40 / sqrt(freedom))
    angle = np.linspace(0, steepest, _STEPS)
    with np.errstate(divide="ignore"):
        density = np.exp((freedom - 1) * np.log(np.maximum(np.cos(angle), 1e-300)))
    density *= np.exp(lgamma((freedom + 1) / 2) - lgamma(freedom / 2)) / sqrt(pi)
    share = np.append(0, np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(angle)))
    return sqrt(freedom) * tan(float(np.interp(LEVEL / 2, share, angle)))


@dataclass(frozen=True)
class Estimate:
    """A mean over participants, or a difference of two.

    Attributes:
        mean: The mean or difference.
        low: Lower end of its 95 % interval; NaN if there is none.
        high: Upper end.
        sd: Standard deviation over participants; NaN for one, or of a difference of other people.
        count: How many participants it rests on.
    """

    mean: float
    low: float
    high: float
    sd: float
    count: int


def estimate_mean(
    values: Sequence[float], ends: tuple[float, float] = (-np.inf, np.inf)
) -> Estimate:
    """Estimate a mean over participants.

    >>> estimate = estimate_mean([0.1, 0.2, 0.3])
    >>> round(estimate.mean, 2), round(estimate.low, 2), round(estimate.high, 2)
    (0.2, -0.05, 0.45)

    Args:
        values: One for each participant; NaN does not count.
        ends: Lowest and highest value that the measure can have.
    """
    valid = np.array([value for value in values if not np.isnan(value)])
    if not len(valid):
        return Estimate(np.nan, np.nan, np.nan, np.nan, 0)
    mean = float(valid.mean())
    if len(valid) < _FEWEST:
        return Estimate(mean, np.nan, np.nan, np.nan, 1)
    sd = float(valid.std(ddof=1))
    half = t_quantile(len(valid) - 1) * sd / sqrt(len(valid))
    return Estimate(mean, max(ends[0], mean - half), min(ends[1], mean + half), sd, len(valid))


def estimate_difference(one: Sequence[float], other: Sequence[float]) -> Estimate:
    """Estimate how much more other people have than these, by Welch's interval.

    Args:
        one: A value for each participant of the first group; NaN does not count.
        other: Likewise of the second.

    Returns:
        The second's mean minus the first's; of nobody where one of the groups is empty.
    """
    first, second = estimate_mean(one), estimate_mean(other)
    gap, count = second.mean - first.mean, first.count + second.count
    if not min(first.count, second.count):
        return Estimate(np.nan, np.nan, np.nan, np.nan, 0)
    if min(first.count, second.count) < _FEWEST:
        return Estimate(gap, np.nan, np.nan, np.nan, count)
    parts = [first.sd**2 / first.count, second.sd**2 / second.count]
    error = sqrt(sum(parts))
    if not error:
        return Estimate(gap, gap, gap, np.nan, count)
    freedom = sum(parts) ** 2 / (
        parts[0] ** 2 / (first.count - 1) + parts[1] ** 2 / (second.count - 1)
    )
    half = t_quantile(round(freedom, 3)) * error
    return Estimate(gap, gap - half, gap + half, np.nan, count)


@dataclass(frozen=True)
class GroupDifference:
    """How much more one group has of a measure than the reference.

    Attributes:
        estimate: The difference and its interval.
        is_paired: Whether it is within people, who are in both groups.
        higher: Of the people in both, how many have more; 0 for other people.
        left_out: People in one of the groups alone, where others are in both.
    """

    estimate: Estimate
    is_paired: bool
    higher: int = 0
    left_out: int = 0


def compare_groups(reference: Mapping[str, float], other: Mapping[str, float]) -> GroupDifference:
    """Compare a measure of two groups: within people where some are in both, else between people.

    >>> gap = compare_groups({"Ada": 0.1, "Ben": 0.3}, {"Ada": 0.2, "Ben": 0.5})
    >>> gap.is_paired, gap.higher, round(gap.estimate.mean, 2)
    (True, 2, 0.15)

    Args:
        reference: Values by participant; NaN does not count.
        other: Likewise of the other group.

    Returns:
        The other's minus the reference's.
    """
    both = [who for who in reference if who in other]
    if not both:
        gap = estimate_difference(list(reference.values()), list(other.values()))
        return GroupDifference(gap, is_paired=False)
    gaps = [other[who] - reference[who] for who in both]
    valid = [gap for gap in gaps if not np.isnan(gap)]
    single_count = len(reference.keys() ^ other.keys())
    return GroupDifference(estimate_mean(valid), True, sum(gap > 0 for gap in valid), single_count)


@dataclass
class Cell:
    """A participant in a group and event.

    Attributes:
        tally: Sums over all of the periods.
        clips: The clips.
    """

    tally: Tally
    clips: set[str]


@dataclass
class Groups:
    """Participants by group and event.

    Attributes:
        by: Columns of the people by which they are grouped.
        events: Names of the events in order; one empty name for whole clips.
        cells: By event, and values of the columns, the participants' sums; nobody's where the
            table has no row of any of them in the event.
        remarks: Who is left out, a line each.
    """

    by: tuple[str, ...]
    events: tuple[str, ...]
    cells: dict[tuple[str, tuple[str, ...]], dict[str, Cell]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @staticmethod
    def of(measures: StudyMeasures, by: Sequence[str]) -> Groups:
        """Pool the periods of a study by participant, group and event.

        Args:
            measures: What each person showed in each period.
            by: Columns of the people, or ``event`` to compare the events with each other; see
                `Study.check_groups`.

        Returns:
            The groups, in the order in which they first appear.

        Raises:
            TableError: Nobody is in any group.
        """
        measures.finish()
        columns, is_by_event = tuple(by), EVENT in by
        names = tuple(dict.fromkeys(each.event for each in measures.periods))
        groups, left_out = Groups(columns, ("",) if is_by_event else names), set[str]()
        for period in measures.periods:
            who, levels = _participant(period, measures.people, columns)
            if who is None or None in levels:
                left_out.update([] if who is None else [who])
                continue
            event = "" if is_by_event else period.event
            key = (event, tuple(str(level) for level in levels))
            own = groups.cells.setdefault(key, {})
            if period.is_empty:
                continue  # the group is listed, and nobody counts in it
            if who in own:
                own[who].tally += period.tally
                own[who].clips.add(period.clip)
            else:
                own[who] = Cell(period.tally, {period.clip})
        if not groups.cells:
            raise _nobody(measures, columns, left_out)
        if left_out:
            few = name_few(sorted(left_out))
            groups.remarks.append(f"in no group, as their cell is blank: {few}")
        return groups

    @property
    def levels(self) -> tuple[tuple[str, ...], ...]:
        """Values of the columns by which people are grouped, in order of appearance."""
        return tuple(dict.fromkeys(levels for _, levels in self.cells))

    def values(
        self, event: str, level: tuple[str, ...], measure: str, measures: StudyMeasures
    ) -> dict[str, float]:
        """Return a measure of each participant of a group, NaN where there is none.

        Args:
            event: Name of the event.
            level: The group.
            measure: Name of the measure.
            measures: The study.
        """
        cells = self.cells.get((event, level), {})
        return {w: measures_of(c.tally, measures.signals)[measure] for w, c in cells.items()}

    def schema(self) -> pa.Schema:
        """Compute the schema of `table`."""
        lead = [pa.field(name, pa.string()) for name in self.by]
        lead += [pa.field("event", pa.string())] * (self.events != ("",))
        lead += [pa.field("measure", pa.string())]
        lead += [pa.field(name, pa.int64()) for name in ("participants", "clips")]
        return pa.schema([*lead, *(pa.field(n, pa.float64()) for n in _NUMBERS)])

    def table(self, measures: StudyMeasures) -> pa.Table:
        """Return a row for each group, event and measure, with the mean over participants.

        Args:
            measures: The study.
        """
        rows = []
        for event in self.events:
            for level in self.levels:
                cells = self.cells.get((event, level), {})
                numbers = {w: measures_of(c.tally, measures.signals) for w, c in cells.items()}
                clips = set[str]().union(*(cell.clips for cell in cells.values()))
                seconds = sum(cell.tally.seconds for cell in cells.values())
                is_there = (event, level) in self.cells
                for name in measure_names(measures.signals) if is_there else ():
                    own = [each[name] for each in numbers.values()]
                    mean = estimate_mean(own, measure_ends(name, measures))
                    row: dict[str, object] = dict(zip(self.by, level, strict=True))
                    row |= {} if event == "" else {"event": event}
                    row |= {"measure": name, "participants": mean.count}
                    row |= {"clips": len(clips), "seconds": float(seconds), "mean": mean.mean}
                    row |= {"sd": mean.sd, "low": mean.low, "high": mean.high}
                    rows.append(round_row(row))
        return pa.Table.from_pylist(rows, self.schema())


_NUMBERS = ("seconds", "mean", "sd", "low", "high")

GROUP_COLUMNS = tuple(Groups((), ("",)).schema().names)
"""Columns of a summary by group beside those by which people are grouped."""


def measure_ends(name: str, measures: StudyMeasures) -> tuple[float, float]:
    """Return the lowest and highest value that a measure can have.

    Args:
        name: Name of the measure.
        measures: The study, whose tasks say it of their columns.
    """
    if name.endswith("_share"):
        return 0.0, 1.0
    for task in measures.signals.tasks:
        if name in {f"{column}_mean" for column in task.columns}:
            return task.display_range
    if name.endswith("_above_own_mean"):
        return -np.inf, np.inf
    return 0.0, np.inf


def _nobody(measures: StudyMeasures, columns: Sequence[str], left_out: Iterable[str]) -> TableError:
    """Say why nobody is in a group."""
    names = name_few(sorted(left_out))
    got, remedy = "nobody", "name the people and their columns for the clips of the table"
    if names:
        got, remedy = f"blank cells of {' and '.join(columns)} for {names}", "fill them"
    elif not measures.periods:
        got, remedy = "no event in a clip of the table", "name the events of these clips"
    return TableError("a participant in a group", got, remedy, where="--by")


def _participant(
    period: Period, people: Sequence[str], by: Sequence[str]
) -> tuple[str | None, tuple[object, ...]]:
    """Who a period is of, and the values of the columns; each face is one if nobody is named."""
    notes: dict[str, object] = {EVENT: period.event}
    if not people:
        is_face = period.face != NO_FACE
        who = f"{period.clip} face {period.face}" if is_face else period.clip
        return who, tuple(notes[name] for name in by)
    if period.notes is None:
        return None, ()
    notes |= zip(people, period.notes, strict=True)
    levels = tuple(notes[name] for name in by)
    plain = (f"{v:g}" if isinstance(v, float) else v for v in levels)
    return str(period.notes[0]), tuple(plain)
