"""Expression: one of eight, as a distribution over them."""

from __future__ import annotations

from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from triaffect.errors import TableError
from triaffect.tasks.metrics import (
    confusion_counts,
    f1,
    outcome_table,
    outcomes_of_classes,
    seen,
)
from triaffect.tasks.task import (
    LEAVE_BLANK,
    PLAIN_LOSS,
    LossOptions,
    ScoreDetails,
    Task,
    cell,
    is_blank,
    need_columns,
    plain_number,
    read_ranged,
    shown,
)

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

EXPRESSIONS = (
    "neutral",
    "anger",
    "disgust",
    "fear",
    "happiness",
    "sadness",
    "surprise",
    "other",
)
"""Names in the order of Aff-Wild2's codes 0 to 7."""

SUM_TOLERANCE = 0.01
"""How far from 1 the probabilities of a row may add up, for tables with rounded numbers."""


class Expression(Task):
    """Eight logits through softmax, learned by cross-entropy, scored by macro F1."""

    key = "EXPR"
    name = "expression"
    columns = tuple(f"p_{name}" for name in EXPRESSIONS)
    titles = MappingProxyType({f"p_{name}": name for name in EXPRESSIONS})
    display_range = (0.0, 1.0)
    metric = "F1"
    part_names = EXPRESSIONS
    exclusive = True
    tempered = True
    column_aliases = MappingProxyType(
        {"pyfeat": {f"p_{name}": name for name in EXPRESSIONS if name != "other"}}
    )

    @override
    def activate(self, raw: Tensor) -> Tensor:
        return raw.softmax(1)

    @override
    def loss(
        self,
        raw: Tensor,
        target: Tensor,
        valid: Tensor,
        weight: Tensor,
        options: LossOptions = PLAIN_LOSS,
    ) -> Tensor:
        from triaffect.tasks import losses  # noqa: PLC0415  # torch only where needed

        logits = raw / options.temperature
        return losses.categorical_loss(logits, target, valid, weight, options.reading)

    @override
    def average(self, raws: Tensor) -> Tensor:
        return raws.log_softmax(2).logsumexp(0)

    @override
    def soften(self, raw: Tensor, options: LossOptions) -> Tensor:
        return (raw / options.temperature).softmax(1)

    @override
    def decoupled_divergence(
        self, raw: Tensor, teacher_raw: Tensor, target: Tensor, valid: Tensor, options: LossOptions
    ) -> Tensor:
        from triaffect.tasks import losses  # noqa: PLC0415  # torch only where needed

        teacher_raw = teacher_raw.detach() if options.detached else teacher_raw
        logits, teacher_logits = raw / options.temperature, teacher_raw / options.temperature
        ordinals = target.new_tensor(list(range(self.width)))
        labeled = (target.argmax(1, keepdim=True) == ordinals) & valid.all(1, keepdim=True)
        return losses.decoupled_divergence(
            logits, teacher_logits, labeled, options.decoupled
        ).mean()

    @override
    def statistics(
        self,
        truth: NDArray[np.floating],
        prediction: NDArray[np.floating],
        valid: NDArray[np.bool_],
        group: NDArray[np.integer],
        groups: int,
    ) -> NDArray[np.float64]:
        whole = valid.all(axis=1)
        true, predicted = classes(truth[whole]), classes(prediction[whole])
        counts = confusion_counts(true, predicted, len(EXPRESSIONS), group[whole], groups)
        flat = counts.reshape(groups, -1)
        return np.concatenate([flat.sum(1, keepdims=True), flat], axis=1)

    @override
    def part_scores(self, statistics: NDArray[np.float64]) -> NDArray[np.float64]:
        return f1(outcomes_of_classes(self._confusion(statistics)))

    @override
    def batch_scores(self, statistics: NDArray[np.float64]) -> NDArray[np.float64]:
        """Macro F1 over the classes that the batch's truth or prediction holds."""
        outcomes = outcomes_of_classes(self._confusion(statistics))
        held = seen(outcomes)
        values: NDArray[np.float64] = f1(outcomes).sum(-1) / np.maximum(held.sum(-1), 1)
        return values

    @override
    def details(self, statistics: NDArray[np.float64]) -> ScoreDetails:
        """Return F1, precision, recall and counts of each class, confusion matrix, accuracy."""
        confusion = self._confusion(statistics)
        table = outcome_table(outcomes_of_classes(confusion))
        return ScoreDetails(
            dict(zip(self.part_names, table, strict=True)),
            confusion.astype(int).tolist(),
            float(np.trace(confusion) / max(confusion.sum(), 1)),
        )

    @staticmethod
    def _confusion(statistics: NDArray[np.float64]) -> NDArray[np.float64]:
        width = len(EXPRESSIONS)
        return statistics[..., 1:].reshape(*statistics.shape[:-1], width, width + 1)

    @property
    @override
    def prediction_columns(self) -> tuple[str, ...]:
        return (self.name, *self.columns)

    @override
    def decode(self, prediction: NDArray[np.floating]) -> dict[str, NDArray[np.generic]]:
        names = np.array([*EXPRESSIONS, None], dtype=object)
        numbers = {name: prediction[:, k] for k, name in enumerate(self.columns)}
        return {self.name: names[classes(prediction)], **numbers}

    @override
    def submitted(self, prediction: NDArray[np.floating]) -> NDArray[np.float64]:
        """Number of the most probable class, shape (N, 1)."""
        return classes(prediction)[:, None].astype(np.float64)

    @override
    def read_values(self, table: pd.DataFrame, where: str) -> NDArray[np.float64]:
        """Read labels: a column of names or numbers if there is one, else the distributions.

        Args:
            table: ``expression``, or the ``p_`` columns, or neither.
            where: The table, for messages.

        Returns:
            Distributions, shape (rows, 8); a row of NaN where any part is blank.

        Raises:
            TableError: A value that no label can have, or a sum that is not 1.
        """
        if self.name in table.columns:
            return one_hot(_read_classes(table[self.name].tolist(), self.name, where))
        values = read_ranged(table, self.columns, *self.display_range, where)
        values[np.isnan(values).any(axis=1)] = np.nan
        wrong = np.flatnonzero(np.abs(values.sum(axis=1) - 1) > SUM_TOLERANCE)
        if len(wrong):
            row = int(wrong[0])
            expected, got = "probabilities that add up to 1", f"{values[row].sum():g}"
            raise TableError(expected, got, where=cell(where, row, self.columns[0]))
        return values

    @override
    def read_predictions(self, table: pd.DataFrame, where: str) -> NDArray[np.float64]:
        if self.name not in table.columns:
            need_columns(table, self.columns, where)
        return self.read_values(table, where)

    @override
    def chance(self, truth: NDArray[np.floating], valid: NDArray[np.bool_]) -> float:
        whole = valid.all(axis=1)
        counts = np.bincount(classes(truth[whole]), minlength=len(EXPRESSIONS))
        return float((2 * counts / np.maximum(counts.sum() + counts, 1)).max() / len(EXPRESSIONS))


def classes(distribution: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the most probable class of each row, the first of several that are equally so.

    Args:
        distribution: Shape (N, 8).

    Returns:
        Numbers of classes, shape (N,); -1 for a row without any number. A class that is NaN
        alone was not learned, and never is the most probable one.

    Examples:
        >>> classes(one_hot(np.array([4, -1]))).tolist()
        [4, -1]
        >>> classes(np.array([[np.nan, 0.4, 0.6]])).tolist()
        [2]
    """
    blank = np.isnan(distribution).all(axis=1)
    likeliest = np.nan_to_num(distribution, nan=-1.0).argmax(axis=1)
    return np.where(blank, -1, likeliest).astype(np.int64)


def one_hot(numbers: NDArray[np.integer]) -> NDArray[np.float64]:
    """Turn class numbers into distributions.

    Args:
        numbers: Shape (N,); -1 for none.

    Returns:
        Shape (N, 8); a row of NaN for -1.

    Examples:
        >>> one_hot(np.array([1])).tolist()
        [[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    """
    values: NDArray[np.float64] = np.eye(len(EXPRESSIONS))[numbers]
    values[numbers < 0] = np.nan
    return values


def _read_classes(cells: list[object], column: str, where: str) -> NDArray[np.int64]:
    """Read cells that hold a class's name or number; -1 for a blank one."""
    cache: dict[object, int] = {}
    numbers = np.full(len(cells), -1, np.int64)
    for row, value in enumerate(cells):
        if is_blank(value):
            continue
        if value not in cache:
            text = str(value).strip().lower()
            number = EXPRESSIONS.index(text) if text in EXPRESSIONS else plain_number(text)
            if number not in range(len(EXPRESSIONS)):
                near = get_close_matches(text, EXPRESSIONS, 1)
                raise TableError(
                    "an expression (" + ", ".join(EXPRESSIONS) + ") or its number from 0 to 7",
                    shown(value),
                    f"did you mean {near[0]}?" if near else LEAVE_BLANK,
                    where=cell(where, row, column),
                )
            cache[value] = int(number)
        numbers[row] = cache[value]
    return numbers


EXPRESSION = Expression()
