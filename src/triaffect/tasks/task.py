"""What a task is: one object that decides columns, activation, losses, score and display."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from torch import Tensor

    from triaffect.types import Targets


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
    """

    reading: Reading = Reading.CONVENTIONAL
    temperature: float = 1.0
    positive_weight: tuple[float, ...] | None = None


@dataclass(frozen=True)
class TaskScore:
    """A task's official score over a whole set.

    Attributes:
        value: The number the challenge ranks by.
        parts: Its parts by name, such as CCC of valence or F1 of one class.
        count: Annotated rows behind it.
    """

    value: float
    parts: Mapping[str, float] = field(default_factory=dict)
    count: int = 0


class Accumulator(Protocol):
    """A score computed batch by batch with the same result as over the whole set."""

    def update(
        self,
        truth: NDArray[np.floating],
        prediction: NDArray[np.floating],
        valid: NDArray[np.bool_],
    ) -> None:
        """Add rows; arrays have shape (N, K)."""

    def compute(self) -> TaskScore:
        """Score everything added so far."""


class Task(ABC):
    """One thing to predict. Everything that differs between tasks lives in its subclass.

    Methods on tensors need torch and import it when called; the rest runs on NumPy alone.

    Attributes:
        key: Short name, also the label set and the key in every dict: ``"VA"``.
        name: Field's name in words: ``"valence_arousal"``.
        columns: Label columns of a Moments table, one an output, in output order.
        display_range: Lowest and highest value on a plot's axis.
        metric: Name of the official metric, such as ``"CCC"``.
    """

    key: str
    name: str
    columns: tuple[str, ...]
    display_range: tuple[float, float]
    metric: str

    @property
    def width(self) -> int:
        """Number of outputs K."""
        return len(self.columns)

    @abstractmethod
    def activate(self, raw: Tensor) -> Tensor:
        """Turn raw outputs (N, K) into values or probabilities (N, K)."""

    @abstractmethod
    def loss(
        self,
        raw: Tensor,
        target: Tensor,
        valid: Tensor,
        weight: Tensor,
        options: LossOptions = LossOptions(),
    ) -> Tensor:
        """Masked loss against labels, a scalar with zero gradient for unlabelled entries.

        Args:
            raw: Raw outputs, shape (N, K).
            target: Values, or distributions for a softmax task, shape (N, K).
            valid: Which targets exist, shape (N, K), bool.
            weight: Weight of each row, shape (N,).
            options: Reading, temperature, positive weights.

        Returns:
            A scalar; exactly 0, still attached to the graph, where no target is valid.
        """

    @abstractmethod
    def soft_loss(
        self,
        raw: Tensor,
        teacher_raw: Tensor,
        options: LossOptions = LossOptions(),
    ) -> Tensor:
        """Loss against a teacher's raw outputs, shape (N, K) both; every row counts."""

    @abstractmethod
    def score(
        self,
        truth: NDArray[np.floating],
        prediction: NDArray[np.floating],
        valid: NDArray[np.bool_],
    ) -> TaskScore:
        """Official whole-set score of activated predictions, shapes (N, K), in float64."""

    @abstractmethod
    def accumulator(self) -> Accumulator:
        """A streaming form of `score` with equal results."""

    @property
    @abstractmethod
    def prediction_columns(self) -> tuple[str, ...]:
        """Columns of this task in a prediction table, in order."""

    @abstractmethod
    def decode(self, prediction: NDArray[np.floating]) -> dict[str, NDArray[np.generic]]:
        """Activated predictions (N, K) as prediction columns; a NaN row decodes to blanks.

        Text columns are object arrays with None for blank; numeric ones hold NaN.
        """

    @abstractmethod
    def read_labels(self, table: pd.DataFrame, where: str) -> Targets:
        """Labels from a truth or prediction table's columns; blanks are not annotated.

        Raises:
            TableError: A value that no label can have; the message names row and column.
        """

    @abstractmethod
    def chance(self, truth: NDArray[np.floating], valid: NDArray[np.bool_]) -> float:
        """Best official score of a constant prediction, for these labels."""
