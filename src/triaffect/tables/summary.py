"""What was seen of each face, in one row: how long, how it was on average, how it spread.

Computed in one pass over a table that comes in parts; what is kept grows with the number of
faces of a clip, never with its length. Every number weighs moments by the time they last: until
the clip's next moment, the last one as long as the one before it. Percentiles are read off a
histogram of `BINS` bins over the range that a column's values can have, so they are right to a
bin's width: 0.005 for what goes from -1 to 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from triaffect.tables.presence import SUFFIX, PresenceFilter
from triaffect.tables.schema import (
    Times,
    Values,
    faces_of,
    rows_by_face,
    split_segments,
    times_of,
    values_of,
)
from triaffect.tasks.task import Task
from triaffect.types import NO_FACE

BINS = 400
PERCENTILES = (5, 50, 95)
_DIGITS = 6
_KEYS = (
    pa.field("clip", pa.string()),
    pa.field("face_id", pa.int64()),
    pa.field("first_s", pa.float64()),
    pa.field("last_s", pa.float64()),
    pa.field("seconds", pa.float64()),
    pa.field("rows", pa.int64()),
    pa.field("clip_share", pa.float64()),
    pa.field("voice_share", pa.float64()),
    pa.field("detection_mean", pa.float64()),
)

SummaryRow = dict[str, str | float | int | None]


def summary_schema(tasks: Sequence[Task]) -> pa.Schema:
    """Compute the Arrow schema of a summary.

    >>> from triaffect.tasks.registry import TASKS
    >>> summary_schema(TASKS[:1]).names[-5:]
    ['arousal_mean', 'arousal_sd', 'arousal_p5', 'arousal_p50', 'arousal_p95']

    Args:
        tasks: What is summed up.

    Returns:
        Keys, times and shares, then of each task the statistics of its columns: mean, deviation
        and percentiles of values, the share of the time of classes and of what is present, and
        how often that began; of plain words also the mean length of their episodes.
    """
    names = [name for task in tasks for name in _tally_of(task).names]
    return pa.schema([*_KEYS, *(pa.field(name, pa.float64()) for name in names)])


def summarize_parts(tables: Iterable[pa.Table], tasks: Sequence[Task]) -> Iterator[pa.Table]:
    """Sum up a prediction table that comes in parts.

    Args:
        tables: Its parts, clip by clip and rising in time.
        tasks: What to sum up, with the thresholds from which a column counts as present.

    Yields:
        For each clip a table with a row for each face, and one for its frames without a face,
        if there are any, which rest on the voice alone.
    """
    schema = summary_schema(tasks)
    for segment in split_segments(tables):
        clip = ClipSummary(tasks)
        for table in segment:
            clip.add(table)
        yield pa.Table.from_pylist(clip.rows(), schema)


class ClipSummary:
    """Statistics of a clip and of each face in it, from its rows as they come.

    Args:
        tasks: What to sum up, with the thresholds from which a column counts as present.

    Attributes:
        faces: Statistics by number of the face, and by `NO_FACE` of frames without one.
        face_share: Share of the time in which there is a face.
        voice_share: Share of the time in which there is a voice.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self.faces: dict[int, FaceSummary] = {}
        self._name, self._weight, self._with_face, self._with_voice = "", 0.0, 0.0, 0.0
        self._waiting: pa.Table | None = None
        self._last_s = 0.0
        self._presence = PresenceFilter(tasks)
        self._columns = [_tally_of(task).columns for task in tasks]

    def add(self, table: pa.Table) -> None:
        """Take in the next rows of the clip.

        Args:
            table: Rows as predicted, in order of time; it may end within a moment.
        """
        self._add_decided(self._presence.add(table))

    def _add_decided(self, table: pa.Table) -> None:
        """Take in rows with the flags of what is present in them."""
        if self._waiting is not None:
            table = pa.concat_tables([self._waiting, table])
        moments, moment = np.unique(times_of(table), return_inverse=True)
        ended = int(np.searchsorted(moment, len(moments) - 1))  # how long the last one is unclear
        if ended:
            lasts_s = np.diff(moments)[moment[:ended]]
            self._last_s = float(lasts_s[-1])
            self._take(table.slice(0, ended), lasts_s)
        self._waiting = table.slice(ended)

    def finish(self) -> None:
        """Take in the last moment, which lasts as long as the one before it."""
        decided = self._presence.finish()
        if decided is not None:
            self._add_decided(decided)
        if self._waiting is not None and len(self._waiting):
            self._take(self._waiting, np.full(len(self._waiting), self._last_s))
        self._waiting = None

    def _take(self, table: pa.Table, lasts_s: Times) -> None:
        """Take in rows, with the seconds that the moment of each lasts."""
        self._name = table["clip"][0].as_py()
        times = times_of(table)
        weight = np.where(lasts_s > 0, lasts_s, 1.0)  # a single moment is all there is
        detection, voice = values_of(table, ["detection", "voice_heard"]).T
        numbers = faces_of(table)
        first = np.unique(times, return_index=True)[1]
        self._weight += float(weight[first].sum())
        self._with_face += float(weight[first] @ (numbers[first] != NO_FACE))
        self._with_voice += float(weight[first] @ voice[first])
        values = [values_of(table, columns) for columns in self._columns]
        for number, rows in rows_by_face(numbers):
            if number not in self.faces:
                self.faces[number] = FaceSummary(times[rows[0]], self._tasks)
            face = self.faces[number]
            face.add_moments(times[rows], lasts_s[rows], weight[rows], voice[rows])
            face.detection.add(detection[rows, None], weight[rows])
            for tally, own in zip(face.tallies, values, strict=True):
                tally.add(own[rows], weight[rows])

    @property
    def face_share(self) -> float:
        """Return the share of the time in which there is a face."""
        return self._with_face / self._weight if self._weight else 0.0

    @property
    def voice_share(self) -> float:
        """Return the share of the time in which there is a voice."""
        return self._with_voice / self._weight if self._weight else 0.0

    def row(self, number: int) -> SummaryRow:
        """Return the row of a face; afterwards no rows of the clip can come.

        Args:
            number: A key of `faces`: a face, or `NO_FACE` for the frames without one.

        Returns:
            Values by column of `summary_schema`, None where blank.
        """
        self.finish()
        return {
            **self.faces[number].row(self._weight),
            "clip": self._name,
            "face_id": None if number == NO_FACE else number,
        }

    def rows(self) -> list[SummaryRow]:
        """Return a row for each face, by number; frames without a face come last."""
        self.finish()
        order = sorted(self.faces, key=lambda number: (number == NO_FACE, number))
        return [self.row(number) for number in order]


class FaceSummary:
    """Statistics of one face of a clip, or of its frames without one.

    Args:
        first_s: Time of its first moment in seconds.
        tasks: What to sum up.

    Attributes:
        detection: Statistics of the detector's score.
        tallies: Statistics of each task, in order.
    """

    def __init__(self, first_s: float, tasks: Sequence[Task]) -> None:
        self.detection = _Spread(("detection",), 0.0, 1.0)
        self.tallies = [_tally_of(task) for task in tasks]
        self._first_s = self._last_s = first_s
        self._seconds = self._weight = self._voice_weight = 0.0
        self._rows = 0

    def add_moments(self, time_s: Times, lasts_s: Times, weight: Times, voice: Values) -> None:
        """Take in the next moments.

        Args:
            time_s: Times in seconds, ascending, shape (N,).
            lasts_s: Seconds that each lasts, shape (N,).
            weight: What each counts for in means and shares, shape (N,).
            voice: 1 where a voice is active, else 0, shape (N,).
        """
        self._last_s = float(time_s[-1])
        self._seconds += float(lasts_s.sum())
        self._weight += float(weight.sum())
        self._voice_weight += float(weight @ voice)
        self._rows += len(time_s)

    def row(self, clip_weight: float) -> SummaryRow:
        """Return the face's statistics.

        Args:
            clip_weight: Weight of all moments of the clip.

        Returns:
            Values by column but for the clip and the face, None where nothing was predicted.
        """
        values: dict[str, float] = {
            "first_s": self._first_s,
            "last_s": self._last_s,
            "seconds": self._seconds,
            "clip_share": self._weight / clip_weight,
            "voice_share": self._voice_weight / self._weight,
            "detection_mean": self.detection.to_dict()["detection_mean"],
        }
        for tally in self.tallies:
            values |= tally.to_dict()
        if not self._seconds:  # a picture: nothing in it has a length
            values |= {name: np.nan for name in values if name.endswith("_mean_s")}
        numbers: SummaryRow = {
            name: None if np.isnan(value) else round(value, _DIGITS) + 0.0
            for name, value in values.items()
        }
        return numbers | {"rows": self._rows}


class _Spread:
    """Mean, deviation and percentiles of columns.

    Args:
        columns: Their names.
        low: Least value that they can have.
        high: Greatest.

    Attributes:
        columns: As given.
        names: What `to_dict` returns, in order.
    """

    def __init__(self, columns: Sequence[str], low: float, high: float) -> None:
        self.columns = columns
        kinds = ("mean", "sd", *(f"p{share}" for share in PERCENTILES))
        self.names = [f"{name}_{kind}" for name in columns for kind in kinds]
        self._edges = np.linspace(low, high, BINS + 1)
        self._weight, self._sum, self._squares = np.zeros((3, len(columns)))
        self._least = np.full(len(columns), np.inf)
        self._greatest = -self._least
        self._counts = np.zeros((len(columns), BINS))

    def add(self, values: Values, weight: Times) -> None:
        """Take in values (N, K), NaN where blank, with the weight (N,) of each."""
        for k, column in enumerate(values.T):
            valid = ~np.isnan(column)
            own, heavy = column[valid], weight[valid]
            if not len(own):
                continue
            self._weight[k] += heavy.sum()
            self._sum[k] += heavy @ own
            self._squares[k] += heavy @ own**2
            self._least[k] = min(self._least[k], own.min())
            self._greatest[k] = max(self._greatest[k], own.max())
            bins = np.searchsorted(self._edges, own, side="right") - 1
            self._counts[k] += np.bincount(bins.clip(0, BINS - 1), heavy, BINS)

    def to_dict(self) -> dict[str, float]:
        """Return the numbers by name, NaN where every value was blank."""
        numbers: list[float] = []
        for k, weight in enumerate(self._weight):
            if not weight:
                numbers += [np.nan] * (2 + len(PERCENTILES))
                continue
            mean = self._sum[k] / weight
            variance = max(self._squares[k] / weight - mean**2, 0.0)
            below = np.append(0.0, np.cumsum(self._counts[k]))
            ranks = np.array(PERCENTILES) / 100 * below[-1]
            quantiles = np.interp(ranks, below, self._edges).clip(self._least[k], self._greatest[k])
            numbers += [float(mean), float(np.sqrt(variance)), *quantiles.tolist()]
        return dict(zip(self.names, numbers, strict=True))


class _Shares:
    """In which share of the time each column of a task was the case, and how often it began.

    Args:
        task: One that tells classes, or what is present.

    Attributes:
        columns: Those of a table that it sums up: probabilities of classes, or flags of what is
            present.
        names: What `to_dict` returns, in order.
    """

    def __init__(self, task: Task) -> None:
        self.names = [f"{part}_share" for part in task.part_names]
        self.columns = task.columns
        self._words: list[list[int]] = []
        if not task.exclusive:
            self.columns = tuple(name + SUFFIX for name in task.threshold_columns)
            self.names += [f"{part}_episodes" for part in task.part_names]
            for word, units in task.plain_words.items():
                self._words.append([task.threshold_columns.index(name) for name in units])
                self.names += [f"{word}_{kind}" for kind in ("share", "episodes", "mean_s")]
        self._task = task
        width = task.width + len(self._words)
        self._weight, self._present, self._begun = np.zeros((3, width))
        self._before = np.zeros((1, width), bool)

    def add(self, values: Values, weight: Times) -> None:
        """Take in values (N, K), NaN where blank, with the weight (N,) of each."""
        present, valid = values > 0, ~np.isnan(values)
        if self._task.exclusive:  # one number a row, that of the class
            present = self._task.submitted(values) == np.arange(self._task.width)
        for units in self._words:
            present = np.column_stack([present, present[:, units].all(axis=1)])
            valid = np.column_stack([valid, valid[:, units].all(axis=1)])
        self._weight += weight @ valid
        self._present += weight @ present
        before = np.concatenate([self._before, present[:-1]])
        self._begun += (present & ~before).sum(0)
        self._before = present[-1:]

    def to_dict(self) -> dict[str, float]:
        """Return the numbers by name, NaN where every value was blank."""
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = self._present / self._weight
            lengths_s = np.where(self._begun > 0, self._present / self._begun, np.nan)
        begun = np.where(self._weight > 0, self._begun, np.nan)
        width = self._task.width
        numbers = shares[:width].tolist()
        if not self._task.exclusive:
            words = np.column_stack([shares, begun, lengths_s])[width:]
            numbers += [*begun[:width].tolist(), *words.ravel().tolist()]
        return dict(zip(self.names, numbers, strict=True))


def _tally_of(task: Task) -> _Spread | _Shares:
    if task.exclusive or task.threshold_columns:
        return _Shares(task)
    return _Spread(task.columns, *task.display_range)
