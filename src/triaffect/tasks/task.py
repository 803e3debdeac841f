"""The `Task` contract: columns, activation, losses, score and display of one prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from triaffect.errors import TableError
from triaffect.types import Targets

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from torch import Tensor

_SHOWN = 60
_LEAST = 1e-7
"""Probabilities are taken as at least this, and at most 1 less this, before their logits are."""
LEAVE_BLANK = "leave the cell blank where there is no annotation"


def is_blank(value: object) -> bool:
    """Tell whether a cell is empty: None, a missing value or white space.

    Args:
        value: What a cell of a table holds.

    Examples:
        >>> is_blank(" "), is_blank(float("nan")), is_blank(0)
        (True, True, False)
    """
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, (float, np.floating)):
        return bool(np.isnan(value))
    return value is None or repr(value) in ("<NA>", "NaT")


def shown(value: object) -> str:
    """Write a value as an error shows it.

    Args:
        value: What a cell of a table holds.

    Returns:
        Its `repr`; of a long one the first letters, and a mark that more follow.
    """
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def cell(where: str, row: int, column: str) -> str:
    """Name a cell for an error.

    Args:
        where: The table, such as its file.
        row: Number of the row, from 0.
        column: Name of the column.

    Returns:
        A text that counts rows from 1, as readers do.

    Examples:
        >>> cell("labels.csv", 0, "valence")
        'labels.csv, row 1, column valence'
    """
    return f"{where}, row {row + 1}, column {column}"


def read_numbers(table: pd.DataFrame, column: str, where: str) -> NDArray[np.float64]:
    """Read one column as numbers.

    Args:
        table: The table.
        column: Name of a column that it has, of numbers or text.
        where: The table, for messages.

    Returns:
        Shape (rows,); NaN where blank.

    Raises:
        TableError: Text that is not a finite number.
    """
    series = table[column]
    if series.dtype.kind in "biuf":
        values = series.to_numpy(np.float64, na_value=np.nan)
    else:
        values = np.full(len(series), np.nan)
        for row, value in enumerate(series.tolist()):
            if is_blank(value):
                continue
            values[row] = plain_number(value)
            if np.isnan(values[row]):
                at = cell(where, row, column)
                raise TableError("a number", shown(value), LEAVE_BLANK, where=at)
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise TableError("a finite number", "infinity", where=cell(where, row, column))
    return values.astype(np.float64)


def plain_number(value: object) -> float:
    """Read a number, or text that is one in common notation.

    Args:
        value: What a cell of a table holds.

    Returns:
        The number; NaN for anything else.

    Examples:
        >>> plain_number(" 1.5e1 "), plain_number("1_0")
        (15.0, nan)
    """
    if isinstance(value, str) and ("_" in value or not value.strip().isascii()):
        return np.nan  # Python takes 1_0 for ten, and digits of any script
    try:
        return float(value)  # type: ignore[arg-type]  # the point is to find out
    except (TypeError, ValueError):
        return np.nan


def read_ranged(
    table: pd.DataFrame, columns: tuple[str, ...], low: float, high: float, where: str
) -> NDArray[np.float64]:
    """Read columns as numbers in a range.

    Args:
        table: The table.
        columns: Names of K columns; they need not be there.
        low: Lowest number that can be.
        high: Highest number, likewise.
        where: The table, for messages.

    Returns:
        Shape (rows, K); NaN where blank or absent.

    Raises:
        TableError: Text that is not a number, or a number out of range.
    """
    values = np.full((len(table), len(columns)), np.nan)
    for k, column in enumerate(columns):
        if column in table.columns:
            values[:, k] = read_numbers(table, column, where)
    wrong = (values < low) | (values > high)
    if wrong.any():
        row, k = (int(index) for index in np.argwhere(wrong)[0])
        raise TableError(
            f"a number from {low:g} to {high:g}",
            f"{values[row, k]:g}",
            LEAVE_BLANK,
            where=cell(where, row, columns[k]),
        )
    return values


def targets_of(values: NDArray[np.float64]) -> Targets:
    """Make targets of weight 1 from numbers with NaN where nothing is annotated.

    Args:
        values: Shape (N, K).

    Returns:
        Values (N, K), float32, 0 where nothing is annotated; validity (N, K); weights (N,).

    Examples:
        >>> targets_of(np.array([[0.5, np.nan]])).valid.tolist()
        [[True, False]]
    """
    valid = ~np.isnan(values)
    held = np.where(valid, values, 0).astype(np.float32)
    return Targets(held, valid, np.ones(len(values), np.float32))


def need_columns(table: pd.DataFrame, columns: tuple[str, ...], where: str) -> None:
    """Check that a table has all of the columns.

    Args:
        table: The table.
        columns: Names of the columns.
        where: The table, for messages.

    Raises:
        TableError: One is missing.
    """
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise TableError(
            "columns " + ", ".join(columns), "none named " + ", ".join(missing), where=where
        )


class Reading(StrEnum):
    """How a cross-entropy is computed.

    CONVENTIONAL is the textbook loss, from logits. KERAS is the authors' library's loss of
    (label, prediction) with its clipping. KERAS_REVERSED calls it as the authors' program
    does, with the prediction in the label's place, which makes it linear in the prediction.
    """

    CONVENTIONAL = "conventional"
    KERAS = "keras"
    KERAS_REVERSED = "keras_reversed"


@dataclass(frozen=True)
class LossOptions:
    """What may vary in a task's loss.

    Attributes:
        reading: Which form of cross-entropy; tasks without one ignore it.
        temperature: Divides the logits of a softmax task, the teacher's too.
        positive_weight: Weight of "present" for each column of a sigmoid task; None is 1.
        logit_weight: Weight of the squared distance to a sigmoid task's soft labels in logits.
        detached: No gradient flows into a teacher's outputs.
        decoupled: Weights of the labeled class, and of the others, in `decoupled_divergence`.
        column_weight: Weight of each column of a sigmoid task, present or not; None is 1.
    """

    reading: Reading = Reading.CONVENTIONAL
    temperature: float = 1.0
    positive_weight: tuple[float, ...] | None = None
    logit_weight: float = 0.0
    detached: bool = True
    decoupled: tuple[float, float] = (1.0, 1.0)
    column_weight: tuple[float, ...] | None = None


PLAIN_LOSS = LossOptions()
"""The textbook loss."""


@dataclass(frozen=True)
class ScoreDetails:
    """The figures behind a task's score.

    Attributes:
        by_part: For each part of the score a few numbers by name, the part's own score first.
        confusion: Counts by true class and predicted class, the last column for no prediction;
            None where the columns are no classes.
        accuracy: Share of rows whose class is right; None where the columns are no classes.
    """

    by_part: Mapping[str, Mapping[str, float | int]] = field(default_factory=dict)
    confusion: list[list[int]] | None = None
    accuracy: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what there is, by name."""
        fields: dict[str, Any] = {"by_part": dict(self.by_part), "confusion": self.confusion}
        fields["accuracy"] = self.accuracy
        return {name: value for name, value in fields.items() if value not in (None, {})}


@dataclass(frozen=True)
class TaskScore:
    """A task's official score over a whole set.

    Attributes:
        value: The number the challenge ranks by.
        parts: Its parts by name, such as CCC of valence or F1 of one class.
        count: Annotated rows behind it.
        details: The figures behind it.
        metric: Name of the metric of the parts, such as ``"CCC"``.
    """

    value: float
    parts: Mapping[str, float] = field(default_factory=dict)
    count: int = 0
    details: ScoreDetails = ScoreDetails()
    metric: str = ""


class Task(ABC):
    """One thing to predict. Everything that differs between tasks lives in its subclass.

    Methods on tensors need torch and import it when called; the rest runs on NumPy alone.

    The score has two halves: `statistics`, which add up over rows in any order, and
    `part_scores`, which follow from their sum. Everything that is scored (whole sets,
    mini-batches, resamples of videos) adds up statistics.

    Attributes:
        key: Short name, also the label set and the key in every dict: ``"VA"``.
        name: Name of the field: ``"valence_arousal"``.
        label: Name for a reader: ``"valence and arousal"``; the name without underscores if a
            task sets no other.
        columns: Label columns of a Moments table, one an output, in output order.
        display_range: Lowest and highest value on a plot's axis.
        metric: Name of the official metric, such as ``"CCC"``.
        part_names: What the score is the plain mean of, in order.
        exclusive: The columns are classes of which one is right.
        facial: It describes a face and nothing else: a moment without a face has no prediction.
        titles: Long names of columns that have one, for headings; see `title`.
        axis_ends: By column, what its lowest and its highest value mean, in a word each.
        circumplex: Whether the two columns span a plane, and are drawn against each other too.
        tempered: Whether a temperature divides its logits in the losses.
        computed: `LogmelSamples` computes its labels (of `ACOUSTICS`): nobody annotates them.
        threshold_columns: Columns of which the probability decides "present" or not.
        present_from: Lowest probability of "present" of each of the threshold columns.
        column_aliases: By program, the names of our columns there, of those that mean the same.
        plain_words: Words for readers who do not know the columns, each with the threshold columns
            that are all present where it is the case: ``{"smile": ("AU12",)}``.
    """

    key: str
    name: str
    columns: tuple[str, ...]
    display_range: tuple[float, float]
    metric: str
    part_names: tuple[str, ...]
    threshold_columns: tuple[str, ...] = ()
    exclusive: bool = False
    facial: bool = False
    column_aliases: Mapping[str, Mapping[str, str]] = MappingProxyType({})
    present_from: Mapping[str, float] = MappingProxyType({})
    plain_words: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    titles: Mapping[str, str] = MappingProxyType({})
    axis_ends: Mapping[str, tuple[str, str]] = MappingProxyType({})
    circumplex: bool = False
    tempered: bool = False
    computed: bool = False

    @property
    def label(self) -> str:
        """Name for a reader."""
        return self.name.replace("_", " ")

    @property
    def width(self) -> int:
        """Number of outputs K."""
        return len(self.columns)

    @property
    def raw_width(self) -> int:
        """Number of raw outputs of a network; K, but for a task that learns values in bins."""
        return self.width

    @abstractmethod
    def activate(self, raw: Tensor) -> Tensor:
        """Turn raw outputs into values or probabilities.

        Args:
            raw: Shape (N, K).

        Returns:
            Shape (N, K), within the display range.
        """

    @abstractmethod
    def loss(
        self,
        raw: Tensor,
        target: Tensor,
        valid: Tensor,
        weight: Tensor,
        options: LossOptions = PLAIN_LOSS,
    ) -> Tensor:
        """Compute the masked loss against labels, with zero gradient for unlabelled entries.

        Args:
            raw: Raw outputs, shape (N, K).
            target: Values, or distributions for a softmax task, shape (N, K).
            valid: Which targets exist, shape (N, K), bool.
            weight: Weight of each row, shape (N,).
            options: Reading, temperature, positive weights.

        Returns:
            A scalar; exactly 0, still attached to the graph, where no target is valid.
        """

    def average(self, raws: Tensor) -> Tensor:
        """Average several networks' answers: the mean of their values or probabilities.

        Args:
            raws: Raw outputs of M networks, shape (M, N, raw width).

        Returns:
            Raw outputs whose activation is that mean, shape (N, raw width); here of the raw
            outputs themselves, for a task that says no more.
        """
        return raws.mean(0)

    def soften(self, raw: Tensor, options: LossOptions) -> Tensor:
        """Turn a teacher's raw outputs into soft labels.

        Args:
            raw: Shape (N, K).
            options: The temperature divides the logits of a softmax task.

        Returns:
            What `loss` takes as targets, shape (N, K).
        """
        return self.activate(raw)

    def soft_loss(
        self, raw: Tensor, teacher_raw: Tensor, options: LossOptions = PLAIN_LOSS
    ) -> Tensor:
        """Compute the loss against a teacher; every row counts, with weight 1.

        Args:
            raw: Raw outputs of the network that learns, shape (N, K).
            teacher_raw: Those of the teacher, shape (N, K).
            options: Reading and temperature, and whether a gradient flows into the teacher.

        Returns:
            A scalar.
        """
        teacher_raw = teacher_raw.detach() if options.detached else teacher_raw
        target = self.soften(teacher_raw, options)
        every = target.new_ones(target.shape).bool()
        return self.loss(raw, target, every, target.new_ones(len(target)), options)

    def divergence(
        self, raw: Tensor, teacher_raw: Tensor, options: LossOptions = PLAIN_LOSS
    ) -> Tensor:
        """Compute how far answers are from a teacher's: 0 where they are the same.

        It is `soft_loss` less what the teacher itself has of it: the Kullback-Leibler divergence
        for a task of probabilities, 1 - concordance or the squared error for one of values.

        Args:
            raw: Raw outputs of the network that learns, shape (N, K).
            teacher_raw: Those of the teacher, shape (N, K).
            options: As of `soft_loss`.

        Returns:
            A scalar.
        """
        teacher_raw = teacher_raw.detach() if options.detached else teacher_raw
        own = self.soft_loss(teacher_raw, teacher_raw, options)
        return self.soft_loss(raw, teacher_raw, options) - own

    def decoupled_divergence(
        self, raw: Tensor, teacher_raw: Tensor, target: Tensor, valid: Tensor, options: LossOptions
    ) -> Tensor:
        """Compute the divergence from a teacher with the labeled class set apart.

        Here it is `divergence` by the first weight: of independent columns, and of values, there
        are no other classes.

        Args:
            raw: Raw outputs of the network that learns, shape (N, K).
            teacher_raw: Those of the teacher, shape (N, K).
            target: Labels, shape (N, K).
            valid: Which of them exist, shape (N, K), bool. Rows without have the plain divergence.
            options: As of `soft_loss`, and the weights of the parts.

        Returns:
            A scalar.
        """
        return options.decoupled[0] * self.divergence(raw, teacher_raw, options)

    def score(
        self,
        truth: NDArray[np.floating],
        prediction: NDArray[np.floating],
        valid: NDArray[np.bool_],
    ) -> TaskScore:
        """Score activated predictions of a whole set officially, in float64.

        Args:
            truth: Labels, shape (N, K).
            prediction: Activated predictions, shape (N, K). A NaN counts as none: 0 for a value,
                no class, not present.
            valid: Which labels exist, shape (N, K).

        Returns:
            The score; 0 with a count of 0 where no label exists.
        """
        together = np.zeros(len(truth), np.int64)
        return self.score_of(self.statistics(truth, prediction, valid, together, 1)[0])

    def score_of(self, statistics: NDArray[np.float64]) -> TaskScore:
        """Compute the official score from statistics.

        Args:
            statistics: Of the whole set, shape (S,): a sum of rows of `statistics`.

        Returns:
            The score, the plain mean of its parts, with the figures behind it.
        """
        parts = self.part_scores(statistics)
        return TaskScore(
            float(parts.mean()),
            dict(zip(self.part_names, parts.tolist(), strict=True)),
            int(statistics[0]),
            self.details(statistics),
            self.metric,
        )

    @abstractmethod
    def statistics(
        self,
        truth: NDArray[np.floating],
        prediction: NDArray[np.floating],
        valid: NDArray[np.bool_],
        group: NDArray[np.integer],
        groups: int,
    ) -> NDArray[np.float64]:
        """Sum up each group of rows into the counts and sums that the score follows from.

        Args:
            truth: Labels, shape (N, K).
            prediction: Activated predictions, NaN where there is none, shape (N, K).
            valid: Which labels exist, shape (N, K).
            group: Group of each row, from 0, shape (N,).
            groups: Number of groups G.

        Returns:
            Shape (G, S). The first of the S counts the annotated rows.
        """

    @abstractmethod
    def part_scores(self, statistics: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute each part of the official score.

        Args:
            statistics: From `statistics`, shape (..., S).

        Returns:
            Shape (..., P), in the order of ``part_names``.
        """

    def batch_scores(self, statistics: NDArray[np.float64]) -> NDArray[np.float64]:
        """Score mini-batches as the authors' program does.

        Args:
            statistics: Of each mini-batch, shape (..., S).

        Returns:
            Shape (...).
        """
        values: NDArray[np.float64] = self.part_scores(statistics).mean(-1)
        return values

    def details(self, statistics: NDArray[np.float64]) -> ScoreDetails:
        """Return the figures behind the score.

        Args:
            statistics: Of the whole set, shape (S,).
        """
        return ScoreDetails()

    def title(self, column: str) -> str:
        """Return the long name of a column; the column itself if it has none.

        Args:
            column: Any column, of this task or not.
        """
        return self.titles.get(column, column)

    def with_thresholds(self, thresholds: Mapping[str, float]) -> Task:
        """Take "present" from other probabilities than 0.5; only a task with such outputs does.

        Args:
            thresholds: Lowest probability of "present", in (0, 1), by column; 0.5 for one
                not named. Columns of other tasks are left to them.

        Returns:
            A task with these thresholds; this one where it has no such outputs.

        Raises:
            TableError: A threshold of this task is not between 0 and 1.
        """
        return self

    def with_temperature(
        self, prediction: NDArray[np.floating], temperature: float | NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Divide the logits behind probabilities by a temperature; other outputs stay.

        Args:
            prediction: Activated predictions, shape (N, K).
            temperature: Above 1 makes them less sure, below 1 surer; the likeliest class stays.
                One for all rows, or one each, shape (N, 1).

        Returns:
            Shape (N, K), float32. Probabilities of exclusive classes still sum to 1.
        """
        p = prediction.astype(np.float64).clip(_LEAST, 1 - _LEAST)
        if self.exclusive:
            powers = p ** (1 / temperature)
            p = powers / powers.sum(axis=1, keepdims=True)
        elif self.threshold_columns:
            odds = (p / (1 - p)) ** (1 / temperature)
            p = odds / (1 + odds)
        else:
            p = prediction.astype(np.float64)
        result: NDArray[np.float32] = p.astype(np.float32)
        return result

    def deactivate(self, prediction: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return raw outputs behind predictions: logits of probabilities; values as they are.

        Args:
            prediction: Activated predictions, NaN where there is none, shape (N, K).

        Returns:
            Shape (N, K), float64.
        """
        p: NDArray[np.float64] = prediction.astype(np.float64)
        if not self.exclusive and not self.threshold_columns:
            return p
        p = p.clip(_LEAST, 1 - _LEAST)
        return np.log(p) if self.exclusive else np.log(p / (1 - p))

    def reactivate(self, raw: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the predictions of raw outputs, as `deactivate` returns those.

        Args:
            raw: Shape (N, K), NaN where there is none.

        Returns:
            Shape (N, K), float64.
        """
        if self.exclusive:
            powers = np.exp(raw - np.fmax.reduce(raw, axis=1, keepdims=True))
            result: NDArray[np.float64] = powers / np.nansum(powers, axis=1, keepdims=True)
            return result
        return 1 / (1 + np.exp(-raw)) if self.threshold_columns else raw.astype(np.float64)

    @property
    def prediction_columns(self) -> tuple[str, ...]:
        """Columns of this task in a prediction table, in order."""
        return self.columns

    def decode(self, prediction: NDArray[np.floating]) -> dict[str, NDArray[np.generic]]:
        """Turn activated predictions into the columns of a prediction table.

        Args:
            prediction: Shape (N, K); a row of NaN where there is none.

        Returns:
            By column, shape (N,) each. Text columns are object arrays with None for blank;
            numeric ones hold NaN.
        """
        return {name: prediction[:, k] for k, name in enumerate(self.columns)}

    def submitted(self, prediction: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return what a challenge's file states of predictions.

        Args:
            prediction: Activated predictions, shape (N, K).

        Returns:
            Shape (N, F), a column for each field of a line.
        """
        values: NDArray[np.float64] = prediction.astype(np.float64).clip(*self.display_range)
        return values

    def read_values(self, table: pd.DataFrame, where: str) -> NDArray[np.float64]:
        """Read labels from a table's columns.

        Args:
            table: Any of the task's columns, or none.
            where: The table, for messages.

        Returns:
            Shape (rows, K), NaN where blank or no column.

        Raises:
            TableError: A value that no label can have; the message names row and column.
        """
        return read_ranged(table, self.columns, *self.display_range, where)

    def read_predictions(self, table: pd.DataFrame, where: str) -> NDArray[np.float64]:
        """Read activated predictions from a prediction table.

        Args:
            table: All columns of the task.
            where: The table, for messages.

        Returns:
            Shape (rows, K), NaN where blank.

        Raises:
            TableError: A missing column, or a value that no prediction can have.
        """
        need_columns(table, self.columns, where)
        return read_ranged(table, self.columns, *self.display_range, where)

    @abstractmethod
    def chance(self, truth: NDArray[np.floating], valid: NDArray[np.bool_]) -> float:
        """Compute the best official score of a constant prediction, for these labels.

        Args:
            truth: Labels, shape (N, K).
            valid: Which of them exist, shape (N, K).

        Returns:
            A number to compare `TaskScore.value` with.
        """
