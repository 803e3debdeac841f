"""Valence and arousal: how pleasant and how activated, each from -1 to 1."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from triaffect.tasks.metrics import PAIR_SUMS, column_pair_sums, concordance
from triaffect.tasks.task import PLAIN_LOSS, LossOptions, ScoreDetails, Task

if TYPE_CHECKING:
    from torch import Tensor

_SURE = 1 - 1e-6
"""Means of values are held within this, for the inverse of tanh."""


class ValenceArousal(Task):
    """Two numbers through tanh, learned and scored by concordance (CCC)."""

    key = "VA"
    name = "valence_arousal"
    label = "valence and arousal"
    columns = ("valence", "arousal")
    part_names = columns
    display_range = (-1.0, 1.0)
    axis_ends = MappingProxyType(
        {"valence": ("unpleasant", "pleasant"), "arousal": ("passive", "active")}
    )
    circumplex = True
    metric = "CCC"
    column_aliases = MappingProxyType({"pyfeat": {name: name for name in columns}})

    @override
    def activate(self, raw: Tensor) -> Tensor:
        return raw.tanh()

    @override
    def average(self, raws: Tensor) -> Tensor:
        return raws.tanh().mean(0).clamp(-_SURE, _SURE).atanh()

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

        return losses.ccc_loss(raw.tanh(), target, valid, weight)

    @override
    def statistics(
        self,
        truth: NDArray[np.floating],
        prediction: NDArray[np.floating],
        valid: NDArray[np.bool_],
        group: NDArray[np.integer],
        groups: int,
    ) -> NDArray[np.float64]:
        return column_pair_sums(truth, prediction, valid, group, groups)

    @override
    def part_scores(self, statistics: NDArray[np.float64]) -> NDArray[np.float64]:
        return concordance(self._sums(statistics))

    @override
    def details(self, statistics: NDArray[np.float64]) -> ScoreDetails:
        """Return the CCC of each, and the means and deviations of labels and predictions."""
        sums = self._sums(statistics)
        count = np.maximum(sums[:, :1], 1)
        mean, square = sums[:, 1:3] / count, sums[:, 3:5] / count
        deviation = np.sqrt(np.maximum(square - mean**2, 0))
        table = np.column_stack([concordance(sums), mean, deviation])
        names = ("ccc", "mean_label", "mean_said", "sd_label", "sd_said")
        by_part = {
            name: {**dict(zip(names, row, strict=True)), "rows": int(rows)}
            for name, row, rows in zip(self.part_names, table.tolist(), sums[:, 0], strict=True)
        }
        return ScoreDetails(by_part)

    @staticmethod
    def _sums(statistics: NDArray[np.float64]) -> NDArray[np.float64]:
        return statistics[..., 1:].reshape(*statistics.shape[:-1], -1, PAIR_SUMS)

    @override
    def chance(self, truth: NDArray[np.floating], valid: NDArray[np.bool_]) -> float:
        return 0.0


VALENCE_AROUSAL = ValenceArousal()
