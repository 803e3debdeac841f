"""Acoustic features of a sound as something to learn from: labels that nobody has to give.

They are computed from the spectrum and pitch of a store (`triaffect.voice.acoustics`), so every
segment of sound has them. A network that first learns to say them of a varied sound begins better
than from random weights (docs/journal.md, 2026-11-30). They describe no face and no emotion:
`triaffect.tasks.registry.TASKS` leaves them out, and a recipe names them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from triaffect.tasks.metrics import PAIR_SUMS, column_pair_sums, concordance
from triaffect.tasks.task import PLAIN_LOSS, LossOptions, Task, targets_of
from triaffect.voice.acoustics import ACOUSTIC_FEATURES

if TYPE_CHECKING:
    from torch import Tensor

    from triaffect.types import FloatArray, Targets

FURTHEST = 4.0
"""Deviations from the mean beyond which a feature counts as that far."""
MEAN = np.array([
    *(0.301, 0.491, 0.385, 1.02, 0.0667, 0.825, 0.863, 0.122, -2.98, 1.97, 5.11, 0.587, 0.755),
    *(-0.917, -1.63, -1.71, -2.81, -6.38, 1.83, -4.36, 1.33, -4.88, 1.42, -5.72, 1.68, -6.96, 1.85),
    *(-7.5, 1.87, -8.02, 1.94, -8.07, 2.01, -8.48, 1.93, -8.63, 1.8, -8.99, 1.85, -9.41, 1.91),
    *(-9.79, 2.04, -10.6, 2.2, -11.2, 2.31, -11.9, 2.21),
])  # fmt: skip
"""`np.nanmean` of `acoustic_features` of the training people of the eight corpora that the shipped
voice network learned from (SPECTRA8 of docs/how-to/train-the-shipped-model.md with pitch, segments
of 3 s), to three digits."""
DEVIATION = np.array([
    *(0.507, 0.149, 0.566, 0.503, 0.0225, 0.107, 0.0523, 0.0207, 0.637, 0.284, 0.872, 0.129, 0.179),
    *(0.592, 0.57, 0.751, 0.74, 2.9, 0.787, 1.8, 0.75, 1.06, 0.428, 1.06, 0.383, 1.12, 0.378),
    *(1.14, 0.383, 1.22, 0.394, 1.29, 0.424, 1.38, 0.458, 1.53, 0.426, 1.66, 0.414, 1.57, 0.416),
    *(1.42, 0.427, 1.49, 0.482, 1.51, 0.553, 1.79, 0.567),
])  # fmt: skip
"""`np.nanstd` of the same."""


class Acoustics(Task):
    """49 numbers in deviations from the mean of the shipped model's corpora.

    They are learned by the smooth L1 loss (Girshick 2015) and scored by concordance (CCC).
    """

    key = "ACOUSTICS"
    name = "acoustic_features"
    columns = tuple(f"acoustic_{name}" for name in ACOUSTIC_FEATURES)
    part_names = columns
    display_range = (-FURTHEST, FURTHEST)
    metric = "CCC"
    computed = True

    def standardize(self, features: FloatArray) -> Targets:
        """Make labels of acoustic features.

        Args:
            features: As `triaffect.voice.acoustics.acoustic_features` has them, shape (N, 49).

        Returns:
            Targets of shape (N, 49); one is not valid where a feature is NaN.

        Examples:
            >>> features = np.tile(MEAN + DEVIATION, (1, 1))
            >>> ACOUSTICS.standardize(features).values[0, :2].tolist()
            [1.0, 1.0]
        """
        return targets_of(((features - MEAN) / DEVIATION).clip(-FURTHEST, FURTHEST))

    @override
    def activate(self, raw: Tensor) -> Tensor:
        return raw.clamp(-FURTHEST, FURTHEST)

    @override
    def loss(
        self,
        raw: Tensor,
        target: Tensor,
        valid: Tensor,
        weight: Tensor,
        options: LossOptions = PLAIN_LOSS,
    ) -> Tensor:
        from torch.nn.functional import smooth_l1_loss  # noqa: PLC0415  # torch only where needed

        from triaffect.tasks import losses  # noqa: PLC0415

        w = weight.unsqueeze(1) * valid
        off = smooth_l1_loss(raw.where(w > 0, 0), target.where(w > 0, 0), reduction="none")
        return losses.weighted_mean(off, w)

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
        sums = statistics[..., 1:]
        return concordance(sums.reshape(*sums.shape[:-1], self.width, PAIR_SUMS))

    @override
    def chance(self, truth: NDArray[np.floating], valid: NDArray[np.bool_]) -> float:
        return 0.0


ACOUSTICS = Acoustics()
