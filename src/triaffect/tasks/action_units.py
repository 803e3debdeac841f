"""Action units: which of twelve facial movements are present (FACS)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from triaffect.errors import TableError
from triaffect.tasks.columns import LEAVE_BLANK, cell
from triaffect.tasks.metrics import F1Counts
from triaffect.tasks.task import PLAIN_LOSS, Accumulator, LossOptions, Task, TaskScore

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

PRESENT = 0.5
"""Probability from which a unit counts as present unless a threshold says otherwise."""


class ActionUnits(Task):
    """Twelve logits through a sigmoid, learned by binary cross-entropy, scored by mean F1.

    Args:
        thresholds: Lowest probability of "present" by column; 0.5 for one not named.
    """

    key = "AU"
    name = "action_units"
    columns = tuple(f"AU{n}" for n in (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26))
    threshold_columns = columns
    display_range = (0.0, 1.0)
    metric = "F1"

    def __init__(self, thresholds: Mapping[str, float] = MappingProxyType({})) -> None:
        self.thresholds = np.array([thresholds.get(name, PRESENT) for name in self.columns])

    @override
    def with_thresholds(self, thresholds: Mapping[str, float]) -> ActionUnits:
        for name in self.threshold_columns:
            if not 0 < thresholds.get(name, PRESENT) < 1:
                raise TableError("a threshold between 0 and 1", f"{thresholds[name]}", where=name)
        return ActionUnits(thresholds)

    @override
    def activate(self, raw: Tensor) -> Tensor:
        return raw.sigmoid()

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

        return losses.binary_loss(
            raw, target, valid, weight, options.reading, options.positive_weight
        )

    @override
    def accumulator(self) -> Accumulator:
        return _UnitF1(self.columns, self.thresholds)

    @override
    def batch_score(
        self,
        truth: NDArray[np.floating],
        prediction: NDArray[np.floating],
        valid: NDArray[np.bool_],
    ) -> float:
        """Mean F1 in which a unit that neither occurs nor is predicted counts as 1."""
        counts = _UnitF1(self.columns, self.thresholds)
        counts.update(truth, prediction, valid)
        return float(np.where(counts.f1.seen(), counts.f1.f1(), 1.0).mean())

    @override
    def read_values(self, table: pd.DataFrame, where: str) -> NDArray[np.float64]:
        values = super().read_values(table, where)
        between = (values > 0) & (values < 1)
        if between.any():
            row, k = (int(index) for index in np.argwhere(between)[0])
            raise TableError(
                "0 (absent) or 1 (present)",
                f"{values[row, k]:g}",
                LEAVE_BLANK,
                where=cell(where, row, self.columns[k]),
            )
        return values

    @override
    def chance(self, truth: NDArray[np.floating], valid: NDArray[np.bool_]) -> float:
        """Mean F1 of calling every unit present, which never scores below calling it absent."""
        return self.score(truth, np.ones_like(truth), valid).value


class _UnitF1:
    """F1 of each unit over everything added."""

    def __init__(self, columns: tuple[str, ...], thresholds: NDArray[np.float64]) -> None:
        self.f1 = F1Counts(len(columns))
        self._columns, self._thresholds, self._count = columns, thresholds, 0

    def update(
        self,
        truth: NDArray[np.floating],
        prediction: NDArray[np.floating],
        valid: NDArray[np.bool_],
    ) -> None:
        self.f1.update(truth >= PRESENT, prediction >= self._thresholds, valid)
        self._count += int(valid.any(axis=1).sum())

    def compute(self) -> TaskScore:
        f1 = self.f1.f1()
        parts = dict(zip(self._columns, f1.tolist(), strict=True))
        return TaskScore(float(f1.mean()), parts, self._count)


ACTION_UNITS = ActionUnits()
