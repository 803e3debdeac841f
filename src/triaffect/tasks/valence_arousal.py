"""Valence and arousal: how pleasant and how activated, each from -1 to 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from triaffect.tasks.metrics import PairMoments
from triaffect.tasks.task import PLAIN_LOSS, Accumulator, LossOptions, Task, TaskScore

if TYPE_CHECKING:
    from torch import Tensor


class ValenceArousal(Task):
    """Two numbers through tanh, learned and scored by concordance (CCC)."""

    key = "VA"
    name = "valence_arousal"
    columns = ("valence", "arousal")
    display_range = (-1.0, 1.0)
    metric = "CCC"

    @override
    def activate(self, raw: Tensor) -> Tensor:
        return raw.tanh()

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
    def accumulator(self) -> Accumulator:
        return _Concordance(self.columns)

    @override
    def chance(self, truth: NDArray[np.floating], valid: NDArray[np.bool_]) -> float:
        return 0.0


class _Concordance:
    """CCC of each column over everything added."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        nothing = np.zeros(0)
        self._moments = {name: PairMoments.of(nothing, nothing) for name in columns}
        self._count = 0

    def update(
        self,
        truth: NDArray[np.floating],
        prediction: NDArray[np.floating],
        valid: NDArray[np.bool_],
    ) -> None:
        said = np.nan_to_num(prediction)
        for k, moments in enumerate(self._moments.values()):
            keep = valid[:, k]
            moments.add(PairMoments.of(truth[keep, k], said[keep, k]))
        self._count += int(valid.any(axis=1).sum())

    def compute(self) -> TaskScore:
        parts = {name: moments.ccc() for name, moments in self._moments.items()}
        return TaskScore(float(np.mean(list(parts.values()))), parts, self._count)


VALENCE_AROUSAL = ValenceArousal()
