"""Tasks of separate labels, each present or absent: logits through a sigmoid."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from triaffect.errors import TableError
from triaffect.tasks.metrics import OUTCOMES, f1, outcome_counts, outcome_table, seen
from triaffect.tasks.task import LEAVE_BLANK, PLAIN_LOSS, LossOptions, ScoreDetails, Task, cell

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

PRESENT = 0.5
"""Probability from which a label counts as present unless a threshold says otherwise."""


class PresenceTask(Task):
    """Logits through a sigmoid, learned by binary cross-entropy, scored by mean F1.

    Args:
        thresholds: Lowest probability of "present" by column; 0.5 for one not named.
    """

    display_range = (0.0, 1.0)
    metric = "F1"

    def __init__(self, thresholds: Mapping[str, float] = MappingProxyType({})) -> None:
        self.present_from = {name: float(thresholds.get(name, PRESENT)) for name in self.columns}
        self.thresholds = np.array(list(self.present_from.values()))

    @override
    def with_thresholds(self, thresholds: Mapping[str, float]) -> Self:
        for name in self.threshold_columns:
            if not 0 < thresholds.get(name, PRESENT) < 1:
                raise TableError("a threshold between 0 and 1", f"{thresholds[name]}", where=name)
        return type(self)(thresholds)

    @override
    def activate(self, raw: Tensor) -> Tensor:
        return raw.sigmoid()

    @override
    def average(self, raws: Tensor) -> Tensor:
        from torch.nn.functional import logsigmoid  # noqa: PLC0415  # torch only where needed

        return logsigmoid(raws).logsumexp(0) - logsigmoid(-raws).logsumexp(0)

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
            raw,
            target,
            valid,
            weight,
            options.reading,
            options.positive_weight,
            options.logit_weight,
            options.column_weight,
        )

    @override
    def statistics(
        self,
        truth: NDArray[np.floating],
        prediction: NDArray[np.floating],
        valid: NDArray[np.bool_],
        group: NDArray[np.integer],
        groups: int,
    ) -> NDArray[np.float64]:
        rows = np.bincount(group[valid.any(axis=1)], minlength=groups)[:, None]
        present, predicted = truth >= PRESENT, prediction >= self.thresholds
        counts = [
            outcome_counts(present[keep, k], predicted[keep, k], group[keep], groups)
            for k, keep in enumerate(valid.T)
        ]
        return np.concatenate([rows, *counts], axis=1)

    @override
    def part_scores(self, statistics: NDArray[np.float64]) -> NDArray[np.float64]:
        return f1(self._outcomes(statistics))

    @override
    def batch_scores(self, statistics: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean F1 in which a column that neither occurs nor is predicted counts as 1."""
        outcomes = self._outcomes(statistics)
        values: NDArray[np.float64] = np.where(seen(outcomes), f1(outcomes), 1.0).mean(-1)
        return values

    @override
    def details(self, statistics: NDArray[np.float64]) -> ScoreDetails:
        """Return F1, precision, recall and counts of each column."""
        table = outcome_table(self._outcomes(statistics))
        return ScoreDetails(dict(zip(self.part_names, table, strict=True)))

    @staticmethod
    def _outcomes(statistics: NDArray[np.float64]) -> NDArray[np.float64]:
        return statistics[..., 1:].reshape(*statistics.shape[:-1], -1, OUTCOMES)

    @override
    def submitted(self, prediction: NDArray[np.floating]) -> NDArray[np.float64]:
        """1 for each column that is present and 0 for the others, shape (N, K)."""
        return (prediction >= self.thresholds).astype(np.float64)

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
        """Mean F1 of calling every column present, which never scores below calling it absent."""
        return self.score(truth, np.ones_like(truth), valid).value
