"""A clip's table as series of people over time: values, classes, and signs that come and go.

A *sign* is what may be present: an action unit, or a word for one or several of them that needs no
knowledge of FACS, such as *smile* (`triaffect.tasks.task.Task.plain_words`). It is present by the
hysteresis of `triaffect.tables.presence`; an *episode* is a run of moments in which it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.tables.baseline import SUFFIX as ABOVE
from triaffect.tables.baseline import baseline_columns
from triaffect.tables.presence import GAP_S, PresenceFilter
from triaffect.tables.presence import SUFFIX as PRESENT
from triaffect.tables.schema import Times, Values, faces_of, times_of, values_of
from triaffect.tasks.task import Task
from triaffect.types import NO_FACE, IntArray


@dataclass(frozen=True)
class Sign:
    """Something that may be present.

    Attributes:
        key: Short name, as in columns of a summary: ``AU12`` or ``smile``.
        title: Name for a reader.
        columns: The action units of which it is made; it is present where all of them are.
        is_word: Whether it is a plain word.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    is_word: bool = False


@dataclass(frozen=True)
class Signals:
    """Which series a table of certain tasks has.

    Attributes:
        tasks: The tasks, with the thresholds from which a column counts as present.
        values: Columns of numbers.
        classes: By name of a class, its column of probability.
        signs: What may be present.
    """

    tasks: tuple[Task, ...]
    values: tuple[str, ...]
    classes: dict[str, str]
    signs: tuple[Sign, ...]

    @staticmethod
    def of(tasks: Sequence[Task], columns: Sequence[str]) -> Signals:
        """List the series.

        >>> from triaffect.tasks.registry import TASKS
        >>> signals = Signals.of(TASKS, ["valence_above_own"])
        >>> signals.values
        ('valence', 'arousal', 'valence_above_own')
        >>> [sign.key for sign in signals.signs if sign.is_word]
        ['smile', 'frown', 'brow_raise', 'lips_parted']

        Args:
            tasks: Whose columns the table has.
            columns: All columns of the table.
        """
        values, classes, signs, words = list[str](), dict[str, str](), list[Sign](), list[Sign]()
        for task in tasks:
            if task.exclusive:
                classes |= dict(zip(task.part_names, task.columns, strict=True))
            elif task.threshold_columns:
                signs += [Sign(name, task.title(name), (name,)) for name in task.threshold_columns]
                words += [
                    Sign(word, word.replace("_", " "), units, is_word=True)
                    for word, units in task.plain_words.items()
                ]
            else:
                values += task.columns
        values += [name + ABOVE for name in baseline_columns(tasks) if name + ABOVE in columns]
        return Signals(tuple(tasks), tuple(values), classes, (*words, *signs))


@dataclass(frozen=True)
class PersonSeries:
    """One person of a clip over time.

    Attributes:
        clip: The clip.
        face: Number of the face, the lowest of several; `NO_FACE` for a voice alone.
        notes: What is noted of the person, participant first; None where nobody is named.
        times: Seconds, ascending, shape (N,).
        lasts_s: Seconds until the clip's next moment, shape (N,); 0 for a single picture.
        values: Shape (N, K), NaN where blank.
        classes: 1 for the likeliest class, NaN where blank, shape (N, C).
        present: 1 where a sign is present, NaN where blank, shape (N, S).
        doubled: Moments in which two faces of the person were seen; the larger one counts.
    """

    clip: str
    face: int
    notes: tuple[str | float | None, ...] | None
    times: Times
    lasts_s: Times
    values: Values
    classes: Values
    present: Values
    doubled: int = 0

    def runs(self, sign: int) -> tuple[IntArray, IntArray]:
        """Return the episodes of a sign.

        Args:
            sign: Its number.

        Returns:
            Number of the first row of each, and of the last. A face out of sight for more than a
            second begins anew.
        """
        on = self.present[:, sign] > 0
        anew = np.append(True, np.diff(self.times) > GAP_S)
        begins = on & (anew | ~np.append(False, on[:-1]))
        ends = on & (np.append(anew[1:], True) | ~np.append(on[1:], False))
        return np.flatnonzero(begins), np.flatnonzero(ends)

    def until_s(self, row: int) -> float:
        """Return when the moment of a row ends, in seconds."""
        return float(self.times[row] + min(float(self.lasts_s[row]), GAP_S))


def clip_series(
    table: pa.Table, signals: Signals, people: Sequence[str] = ()
) -> Iterator[PersonSeries]:
    """Take a clip's table apart into a series for each person.

    Args:
        table: All rows of one clip, in order of time.
        signals: Which series it has.
        people: Names of the people's columns, participant first; none if nobody is named.

    Yields:
        Faces with a participant together, others each. Rows without a face count only for who has
        none: a recording of sound.
    """
    presence = PresenceFilter(signals.tasks)
    parts = [presence.add(table), presence.finish()]
    table = pa.concat_tables([part for part in parts if part is not None])
    times, faces = times_of(table), faces_of(table)
    moments, moment = np.unique(times, return_inverse=True)
    steps = np.diff(moments)
    lasts_s = np.append(steps, steps[-1:])[moment] if len(steps) else np.zeros(len(times))
    notes: list[tuple[str | float | None, ...] | None] = [None] * len(times)
    if people:
        notes = list(zip(*(table[name].to_pylist() for name in people), strict=True))
    persons: dict[tuple[str, object], list[int]] = {}
    for row, (face, note) in enumerate(zip(faces.tolist(), notes, strict=True)):
        is_named = note is not None and note[0] is not None
        who: object = note[0] if note is not None and is_named else face
        persons.setdefault(("person" if is_named else "face", who), []).append(row)
    arrays = _arrays(table, signals)
    areas = np.zeros(len(times))
    if {"box_w", "box_h"} <= set(table.column_names):
        areas = np.nan_to_num(values_of(table, ["box_w", "box_h"]).prod(axis=1))
    listed = sorted(persons.items(), key=lambda each: bool(faces[each[1]].max() < 0))
    for (kind, _), numbers in listed:
        rows = np.array(numbers)
        seen = rows[faces[rows] != NO_FACE]
        rows = seen if len(seen) else rows
        rows, doubled = _one_a_moment(rows, moment, areas)
        yield PersonSeries(
            clip=table["clip"][0].as_py(),
            face=int(faces[rows].min()),
            notes=notes[int(rows[0])] if kind == "person" else None,
            times=times[rows],
            lasts_s=lasts_s[rows],
            values=arrays[0][rows],
            classes=arrays[1][rows],
            present=arrays[2][rows],
            doubled=doubled,
        )


def _arrays(table: pa.Table, signals: Signals) -> tuple[Values, Values, Values]:
    """The values, classes and signs of a table with flags of presence."""
    values = values_of(table, signals.values)
    probability = values_of(table, list(signals.classes.values()))
    classes = np.full_like(probability, np.nan)
    valid = ~np.isnan(probability).all(axis=1) if probability.shape[1] else np.zeros(0, bool)
    if valid.any():
        best = np.nanargmax(probability[valid], axis=1)
        classes[valid] = best[:, None] == np.arange(probability.shape[1])
    present = np.empty((len(table), len(signals.signs)))
    for k, sign in enumerate(signals.signs):
        flags = values_of(table, [name + PRESENT for name in sign.columns])
        present[:, k] = np.where(np.isnan(flags).any(axis=1), np.nan, flags.min(axis=1))
    return values, classes, present


def _one_a_moment(
    rows: IntArray, moment: NDArray[np.integer], areas: Values
) -> tuple[IntArray, int]:
    """Of several rows of one moment that with the largest face; and how many went."""
    order = rows[np.lexsort((-areas[rows], moment[rows]))]
    first = np.append(True, np.diff(moment[order]) > 0)
    return order[first], int((~first).sum())


@dataclass(frozen=True)
class Episode:
    """A run of moments in which a sign is present.

    Attributes:
        clip: The clip.
        face: Number of the face.
        participant: Who it is; None where nobody is named.
        sign: Key of the sign, or name of a class.
        start_s: Seconds of its beginning.
        end_s: Of its end.
    """

    clip: str
    face: int
    participant: str | None
    sign: str
    start_s: float
    end_s: float


def episodes(series: PersonSeries, signals: Signals, keys: Sequence[str]) -> list[Episode]:
    """List the episodes of signs, and the runs of classes, in order of time.

    Args:
        series: A person of a clip.
        signals: What its columns are.
        keys: Keys of signs and names of classes to list.

    Returns:
        The episodes.
    """
    names = [sign.key for sign in signals.signs]
    ranges: list[tuple[str, IntArray, IntArray]] = []
    for key in keys:
        if key in names:
            ranges.append((key, *series.runs(names.index(key))))
        elif key in signals.classes:
            own = series.classes[:, [list(signals.classes).index(key)]]
            single = PersonSeries(
                series.clip, series.face, None, series.times, series.lasts_s, own, own, own
            )
            ranges.append((key, *single.runs(0)))
    participant = None if series.notes is None else str(series.notes[0])
    listed = [
        Episode(
            series.clip,
            series.face,
            participant,
            key,
            float(series.times[first]),
            series.until_s(int(last)),
        )
        for key, begins, ends in ranges
        for first, last in zip(begins, ends, strict=True)
    ]
    return sorted(listed, key=lambda each: (each.start_s, each.sign))
