"""Valence and arousal as other published systems learn them: through no tanh, or in bins.

A variant predicts the same two columns under the same key, so that labels, scores, tables and
models know no difference. A recipe names one in place of ``"VA"``:

=============  ==================================================================================
``VA_LINEAR``  raw outputs are the values, learned by concordance
``VA_MSE``     likewise, learned by the squared error of the labeled rows
``VA_MSE_ALL`` likewise, but the sum is divided by all rows, as ABAW4's winner coded it: the fewer
               rows of a batch have a label, the smaller the loss
``VA_RATING``  raw outputs are ratings from 1 to 9, 5 being neutral, as people rate music, learned
               by the mean squared error on that scale (Kang and Herremans 2025)
``VA20``       each in 20 bins, learned by the bin's cross-entropy and the concordance of the
               expectation; from a teacher, by its distributions (Deng and others 2020)
``VA20_CCC``   each in 20 bins, learned by the concordance of the expectation alone, with labels
               and with the teacher's expectation (Deng and others 2021)
=============  ==================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from typing_extensions import override

from triaffect.tasks.task import PLAIN_LOSS, LossOptions
from triaffect.tasks.valence_arousal import ValenceArousal

if TYPE_CHECKING:
    from torch import Tensor

NEUTRAL, STEPS = 5.0, 4.0
"""Of a scale from 1 to 9: its middle, and from there to either end."""

NEVER = -1e4
"""Logit of a bin that nobody voted for; far enough for a probability of exactly 0."""


class LinearValenceArousal(ValenceArousal):
    """Two raw outputs that are the values themselves, held within -1 and 1 once predicted.

    Args:
        measure: Learned by concordance ("ccc"), or by the squared error summed over the two, of
            the labeled rows ("mse") or divided by all rows of the batch ("mse_all").
    """

    def __init__(self, measure: Literal["ccc", "mse", "mse_all"] = "ccc") -> None:
        self.measure = measure

    @override
    def activate(self, raw: Tensor) -> Tensor:
        return raw.clamp(-1, 1)

    @override
    def average(self, raws: Tensor) -> Tensor:
        return raws.mean(0)

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

        if self.measure == "ccc":
            return losses.ccc_loss(raw, target, valid, weight)
        w = weight.unsqueeze(1) * valid
        error = (raw.where(w > 0, 0) - target.where(w > 0, 0)) ** 2 * w
        counted = w.sum(0) if self.measure == "mse" else weight.sum()
        return (error.sum(0) / counted.where(counted > 0, 1)).sum()


class RatedValenceArousal(LinearValenceArousal):
    """Two raw outputs that are ratings from 1 to 9, learned by their mean squared error."""

    @override
    def activate(self, raw: Tensor) -> Tensor:
        return ((raw - NEUTRAL) / STEPS).clamp(-1, 1)

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

        w = weight.unsqueeze(1) * valid
        error = raw.where(w > 0, 0) - (NEUTRAL + STEPS * target).where(w > 0, 0)
        return losses.weighted_mean(error**2, w)


class BinnedValenceArousal(ValenceArousal):
    """A distribution over bins from -1 to 1 for each of the two; the value is its expectation.

    Args:
        bins: How many bins each has. Their labels' edges cut the range evenly; the expectation is
            over as many points, the ends of the range included.
        cross_entropy: Learn the bin as well as the concordance of the expectation.
        soft: How a teacher is learned from: by its distributions, or by the concordance with its
            expectation.
        vote: Average networks by the bin that most of them say is likeliest, as published for
            "VA20", in place of the mean of their distributions.
    """

    tempered = True

    def __init__(
        self,
        bins: int = 20,
        *,
        cross_entropy: bool = True,
        soft: Literal["bins", "ccc"] = "bins",
        vote: bool = False,
    ) -> None:
        self.bins, self.cross_entropy, self.soft, self.vote = bins, cross_entropy, soft, vote

    @property
    @override
    def raw_width(self) -> int:
        return self.width * self.bins

    @override
    def activate(self, raw: Tensor) -> Tensor:
        """Compute expectations, shape (N, 2), of raw outputs of shape (N, 2 · bins)."""
        points = raw.new_tensor(np.linspace(-1, 1, self.bins))
        means: Tensor = (raw.reshape(-1, self.width, self.bins).softmax(2) * points).sum(2)
        return means

    @override
    def soften(self, raw: Tensor, options: LossOptions) -> Tensor:
        """Compute distributions over the bins, shape (N, 2, bins)."""
        return (raw.reshape(-1, self.width, self.bins) / options.temperature).softmax(2)

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

        w = weight.unsqueeze(1) * valid
        loss = self.width * losses.ccc_loss(self.activate(raw), target, valid, weight)
        if not self.cross_entropy:
            return loss
        logits = raw.reshape(-1, self.width, self.bins).log_softmax(2)
        surprise = -logits.gather(2, self._bin_numbers(target, w > 0)).squeeze(2)
        for column in range(self.width):
            loss = loss + losses.weighted_mean(surprise[:, column], w[:, column])
        return loss

    @override
    def soft_loss(
        self, raw: Tensor, teacher_raw: Tensor, options: LossOptions = PLAIN_LOSS
    ) -> Tensor:
        from triaffect.tasks import losses  # noqa: PLC0415  # torch only where needed

        teacher_raw = teacher_raw.detach() if options.detached else teacher_raw
        if self.soft == "ccc":
            target = self.activate(teacher_raw)
            every = target.new_ones(target.shape).bool()
            mean = losses.ccc_loss(self.activate(raw), target, every, target.new_ones(len(raw)))
            return self.width * mean
        own = raw.reshape(-1, self.width, self.bins) / options.temperature
        return -(self.soften(teacher_raw, options) * own.log_softmax(2)).sum((1, 2)).mean()

    def _bin_numbers(self, target: Tensor, valid: Tensor) -> Tensor:
        """Number the bins of values (N, 2), any where none is valid, to (N, 2, 1), int64."""
        position = (target.where(valid, 0) + 1) / 2 * self.bins
        return position.long().clamp(0, self.bins - 1).unsqueeze(2)

    @override
    def decoupled_divergence(
        self, raw: Tensor, teacher_raw: Tensor, target: Tensor, valid: Tensor, options: LossOptions
    ) -> Tensor:
        from triaffect.tasks import losses  # noqa: PLC0415  # torch only where needed

        if self.soft == "ccc":
            return super().decoupled_divergence(raw, teacher_raw, target, valid, options)
        teacher_raw = teacher_raw.detach() if options.detached else teacher_raw
        logits, teacher_logits = (
            each.reshape(-1, self.bins) / options.temperature for each in (raw, teacher_raw)
        )
        ordinals = target.new_tensor(list(range(self.bins)))
        labeled = (self._bin_numbers(target, valid) == ordinals) & valid.unsqueeze(2)
        every = losses.decoupled_divergence(
            logits, teacher_logits, labeled.flatten(0, 1), options.decoupled
        )
        return self.width * every.mean()

    @override
    def average(self, raws: Tensor) -> Tensor:
        split = raws.reshape(len(raws), -1, self.width, self.bins)
        if not self.vote:
            return split.log_softmax(3).logsumexp(0).flatten(1)
        votes = split.argmax(3, keepdim=True) == split.new_tensor(list(range(self.bins)))
        counts = votes.to(raws.dtype).sum(0)
        # Of bins with as many votes the lowest, as the mode is usually taken.
        first = counts - counts.new_tensor(list(range(self.bins))) / (2 * self.bins)
        chosen = first == first.amax(2, keepdim=True)
        return ((1 - chosen.to(raws.dtype)) * NEVER).flatten(1)


VARIANTS = {
    "VA_LINEAR": LinearValenceArousal(),
    "VA_MSE": LinearValenceArousal("mse"),
    "VA_MSE_ALL": LinearValenceArousal("mse_all"),
    "VA_RATING": RatedValenceArousal(),
    "VA20": BinnedValenceArousal(vote=True),
    "VA20_CCC": BinnedValenceArousal(cross_entropy=False, soft="ccc"),
}
"""By the name that a recipe gives a variant."""
