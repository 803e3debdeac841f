"""What a person showed in a period: means, shares of the time, episodes, their length and latency.

Everything weighs moments by the time they last. An episode counts in the period in which it begins,
with its whole length; the latency is the time from the start of the period to the first episode
that begins in it, blank where none does. What was on before the period counts for the share only.

A moment belongs to the event in which its row lies, and the moments of an event together last no
longer than the event. An event without any row is listed all the same, with blank measures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import pyarrow as pa

from triaffect.studies.events import Event, Events, event_mask
from triaffect.studies.people import People
from triaffect.studies.sheets import name_few
from triaffect.studies.signals import PersonSeries, Signals, clip_series
from triaffect.tables.baseline import SUFFIX as ABOVE
from triaffect.tables.baseline import baseline_columns
from triaffect.tables.schema import Times, Values, split_segments, times_of
from triaffect.tasks.task import Task
from triaffect.types import NO_FACE

_DIGITS = 6
_PER_MINUTE = 60.0


@dataclass
class Tally:
    """Sums over one period of one person, which add up over periods.

    Attributes:
        periods: How many periods are added up; those without a row do not count.
        seconds: How long the person was seen.
        value_weight: Seconds with a value, shape (K,).
        value_sum: Values times seconds, shape (K,).
        value_squares: Squares of the values times seconds, shape (K,).
        class_weight: Seconds with a class, shape (C,).
        class_seconds: Seconds in which each class is the likeliest, shape (C,).
        sign_weight: Seconds in which the signs are decided, shape (S,).
        sign_seconds: Seconds in which each is present, shape (S,).
        begun: Episodes that begin, shape (S,).
        length_s: Sum of their lengths, shape (S,).
        latency_s: Sum of the latencies of periods in which one begins, shape (S,).
        answered: Number of those periods, shape (S,).
    """

    periods: float
    seconds: float
    value_weight: Values
    value_sum: Values
    value_squares: Values
    class_weight: Values
    class_seconds: Values
    sign_weight: Values
    sign_seconds: Values
    begun: Values
    length_s: Values
    latency_s: Values
    answered: Values

    def __add__(self, other: Tally) -> Tally:
        """Pool two periods."""
        names = [each.name for each in fields(self)]
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @staticmethod
    def of(series: PersonSeries, event: Event | None) -> Tally:
        """Sum up a period.

        Args:
            series: A person of a clip.
            event: The period; None for the whole clip.
        """
        times = series.times
        inside = np.ones(len(times), bool) if event is None else event_mask(event, times)
        start_s = float(times[0]) if event is None and len(times) else 0.0
        start_s = start_s if event is None else event.start_s
        lasts_s = series.lasts_s[inside]
        if event is not None and lasts_s.sum() > (length_s := event.length_s):
            lasts_s = lasts_s * (length_s / lasts_s.sum())  # rows further apart than it lasts
        weight = np.where(lasts_s > 0, lasts_s, 1.0)  # a single picture is all there is
        values, classes = series.values[inside], series.classes[inside]
        present = series.present[inside]
        held = np.nan_to_num(values)
        signs = present.shape[1]
        begun, episodes_s, latency_s, answered = np.zeros((4, signs))
        for k in range(signs):
            begins, ends = series.runs(k)
            own = inside[begins]
            begun[k] = own.sum()
            if own.any():
                until_s = np.array([series.until_s(int(row)) for row in ends[own]])
                episodes_s[k] = float((until_s - times[begins[own]]).sum())
                latency_s[k] = max(0.0, float(times[begins[own][0]]) - start_s)
                answered[k] = 1
        return Tally(
            float(inside.any()),
            float(lasts_s.sum()),
            weight @ ~np.isnan(values),
            weight @ held,
            weight @ held**2,
            weight @ ~np.isnan(classes),
            weight @ np.nan_to_num(classes),
            weight @ ~np.isnan(present),
            weight @ np.nan_to_num(present),
            begun,
            episodes_s,
            latency_s,
            answered,
        )


def measure_names(signals: Signals) -> list[str]:
    """List the measures of a table.

    Args:
        signals: Which series it has.

    Returns:
        Names such as ``valence_mean``, ``happiness_share``, ``smile_episodes``, in the order of
        `measures_of`.
    """
    names = []
    for name in signals.values:
        names += [f"{name}_mean"] if name.endswith(ABOVE) else [f"{name}_mean", f"{name}_sd"]
    names += [f"{name}_share" for name in signals.classes]
    for sign in signals.signs:
        kinds = ("share", "episodes", "per_min", "mean_s", "latency_s")
        names += [f"{sign.key}_{kind}" for kind in (kinds if sign.is_word else kinds[:2])]
    return names


def measures_of(tally: Tally, signals: Signals) -> dict[str, float]:
    """Compute the measures of a period, or of several pooled.

    Args:
        tally: Sums over it.
        signals: Which series the table has.

    Returns:
        Numbers by the names of `measure_names`, NaN where there is none.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = tally.value_sum / tally.value_weight
        variance = tally.value_squares / tally.value_weight - mean**2
        deviation = np.sqrt(np.maximum(variance, 0))
        class_share = tally.class_seconds / tally.class_weight
        decided = tally.sign_weight > 0
        sign = {
            "share": tally.sign_seconds / tally.sign_weight,
            "episodes": np.where(decided, tally.begun / tally.periods, np.nan),
            # a single picture lasts for no time
            "per_min": np.where(tally.seconds > 0, 1, np.nan)
            * _PER_MINUTE
            * tally.begun
            / tally.sign_weight,
            "mean_s": np.where(tally.seconds > 0, 1, np.nan) * tally.length_s / tally.begun,
            "latency_s": tally.latency_s / tally.answered,
        }
    numbers: dict[str, float] = {}
    for k, name in enumerate(signals.values):
        numbers |= {f"{name}_mean": float(mean[k]), f"{name}_sd": float(deviation[k])}
    numbers |= {f"{name}_share": float(class_share[k]) for k, name in enumerate(signals.classes)}
    for k, each in enumerate(signals.signs):
        numbers |= {f"{each.key}_{kind}": float(column[k]) for kind, column in sign.items()}
    return {name: numbers[name] for name in measure_names(signals)}


@dataclass(frozen=True)
class Period:
    """One person in one period of a clip.

    Attributes:
        clip: The clip.
        face: Number of the face, or `NO_FACE`.
        notes: What is noted of the person, participant first; None where nobody is named.
        event: Name of the event; empty for the whole clip. One in which nobody has a row has a
            period of its own for everybody named, or else one of nobody.
        start_s: Where it starts, in seconds.
        end_s: Where it ends.
        tally: Sums over it.
    """

    clip: str
    face: int
    notes: tuple[str | float | None, ...] | None
    event: str
    start_s: float
    end_s: float
    tally: Tally

    @property
    def is_empty(self) -> bool:
        """Whether the table has no row of the person in it."""
        return not self.tally.periods


@dataclass
class StudyMeasures:
    """Measures people in the periods of clips, from rows as they come.

    Attributes:
        signals: Which series the table has.
        people: Names of the people's columns; empty if nobody is named.
        events: The events; None measures whole clips.
        periods: One for each person and event of a clip, as far as rows came.
        last_s: Time of the last row of each clip.
        doubled: By clip and participant, moments in which two faces of theirs were seen.
        rowless: Events within their clips without any row.
        unseen: Participants without a row in an event that has others, in words.
    """

    signals: Signals
    people: tuple[str, ...] = ()
    events: Events | None = None
    periods: list[Period] = field(default_factory=list)
    last_s: dict[str, float] = field(default_factory=dict)
    doubled: dict[tuple[str, str], int] = field(default_factory=dict)
    rowless: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    _waiting: list[pa.Table] = field(default_factory=list)

    def add(self, table: pa.Table, source: object = None) -> None:
        """Take in the next rows; those of a clip follow each other in order of time.

        Args:
            table: The rows, with the people's columns.
            source: Not used; files are followed by their clips.
        """
        del source
        for segment in split_segments([table]):
            for part in segment:
                clip = part["clip"][0].as_py()
                if self._waiting and self._waiting[0]["clip"][0].as_py() != clip:
                    self.finish()
                self._waiting.append(part)

    def finish(self) -> None:
        """Measure the clip that has ended."""
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting)
        self._waiting = []
        clip = table["clip"][0].as_py()
        everybody = list(clip_series(table, self.signals, self.people))
        times = times_of(table)
        self.last_s[clip] = max(self.last_s.get(clip, 0.0), float(times.max()))
        for series in everybody:
            if series.doubled:
                self.doubled[clip, str((series.notes or (series.face,))[0])] = series.doubled
        if self.events is None:
            self.periods += [_period(series, None) for series in everybody]
        else:
            self._measure_events(everybody, self.events.by_clip.get(clip, ()), times)

    def _measure_events(
        self, everybody: Sequence[PersonSeries], events: Sequence[Event], times: Times
    ) -> None:
        """Measure everybody of a clip in its events; no event and nobody named is left out."""
        listed = set[Event]()
        with_rows = {event for event in events if event_mask(event, times).any()}
        for series in everybody:
            for event in events:
                period = _period(series, event)
                if period.is_empty and period.notes is None:
                    continue  # one of maybe many faces, which was there at another time
                listed.add(event)
                self.periods.append(period)
                if period.is_empty and event in with_rows:
                    self.unseen.append(f"{(period.notes or ('',))[0]} in {event}")
        for event in events:
            if event not in listed:
                self.periods.append(replace(_period(everybody[0], event), face=NO_FACE))
            if event not in with_rows and event.start_s <= times.max():
                self.rowless.append(str(event))

    def remarks(self) -> list[str]:
        """Return what is doubtful of the study, a line each, once all rows came."""
        self.finish()
        lines = [
            f"{clip}: two faces of {who} in {count} moments; the larger one counts; "
            "number the faces in the people's column face, or use --max-faces 1"
            for (clip, who), count in self.doubled.items()
        ]
        if self.people:
            nameless = {
                f"{each.clip} face {each.face}"
                for each in self.periods
                if each.notes is None and each.face != NO_FACE
            }
            if nameless:
                few = name_few(sorted(nameless))
                lines.append(f"faces without a participant: {few}; no group has them")
        if self.events is not None:
            lines += self.events.outside(self.last_s)
        if self.rowless:
            few = name_few(self.rowless)
            lines.append(
                f"events without a row of the table have blank measures: {few}; they lie between "
                "two rows, or outside of what was predicted"
            )
        if self.unseen:
            few = name_few(self.unseen)
            lines.append(f"participants without a row in an event have blank measures: {few}")
        return lines

    def schema(self, people: People | None) -> pa.Schema:
        """Compute the schema of `table`.

        Args:
            people: Whose columns it has; None for none.
        """
        lead = [*([] if people is None else people.fields()), pa.field("clip", pa.string())]
        lead.append(pa.field("face_id", pa.int64()))
        if self.events is not None:
            lead.append(pa.field("event", pa.string()))
        lead += [pa.field(name, pa.float64()) for name in ("start_s", "end_s", "seconds")]
        return pa.schema([*lead, *(pa.field(n, pa.float64()) for n in measure_names(self.signals))])

    def table(self, schema: pa.Schema) -> pa.Table:
        """Return a row for each person and period.

        Args:
            schema: As `schema` computes it.
        """
        self.finish()
        rows = []
        for each in self.periods:
            row: dict[str, object] = dict(zip(self.people, each.notes or (), strict=False))
            row |= {"clip": each.clip, "face_id": None if each.face == NO_FACE else each.face}
            row |= {"event": each.event, "start_s": each.start_s, "end_s": each.end_s}
            row["seconds"] = each.tally.seconds
            row |= measures_of(each.tally, self.signals)
            rows.append(round_row(row))
        return pa.Table.from_pylist(rows, schema)


def round_row(row: Mapping[str, object]) -> dict[str, object]:
    """Round the numbers of a row as every table has them; NaN becomes blank.

    Args:
        row: Values by column.
    """
    return {
        name: (None if np.isnan(value) else round(value, _DIGITS) + 0.0)
        if isinstance(value, float)
        else value
        for name, value in row.items()
    }


def summary_columns(tasks: Sequence[Task]) -> tuple[str, ...]:
    """List every column that a summary of people can have beside those of the people.

    >>> from triaffect.tasks.registry import TASKS
    >>> {"clip", "seconds", "smile_share", "valence_above_own_mean"} <= set(summary_columns(TASKS))
    True

    Args:
        tasks: What is predicted.
    """
    signals = Signals.of(tasks, [name + ABOVE for name in baseline_columns(tasks)])
    return tuple(StudyMeasures(signals, events=Events({})).schema(None).names)


def _period(series: PersonSeries, event: Event | None) -> Period:
    """Measure a person in an event, or in the whole clip."""
    span = _span(series.times) if event is None else (event.start_s, event.end_s or 0.0)
    name, tally = "" if event is None else event.name, Tally.of(series, event)
    return Period(series.clip, series.face, series.notes, name, *span, tally)


def _span(times: Times) -> tuple[float, float]:
    return float(times[0]), float(times[-1])


def describe_measures(names: Sequence[str]) -> dict[str, str]:
    """Describe what each measure means.

    >>> describe_measures(["smile_per_min"])
    {'smile_per_min': 'smile: episodes a minute of the time in which it is decided'}

    Args:
        names: Names of measures.

    Returns:
        Text by name.
    """
    kinds = {
        "_mean_s": "mean length of the episodes that begin, in seconds",
        "_mean": "mean over time",
        "_sd": "standard deviation over time",
        "_share": "share of the time, 0 to 1",
        "_episodes": "episodes that begin in the period, the mean over several",
        "_per_min": "episodes a minute of the time in which it is decided",
        "_latency_s": "seconds from the start to the first episode that begins",
    }
    notes = {}
    for name in names:
        ending = next((each for each in kinds if name.endswith(each)), "")
        if ending:
            notes[name] = f"{name.removesuffix(ending).replace('_', ' ')}: {kinds[ending]}"
    return notes
