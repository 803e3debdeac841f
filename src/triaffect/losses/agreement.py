"""Several views of the same row that are to say the same of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from triaffect.errors import TriaffectError
from triaffect.losses.objective import StepContext

AgreementMean = Literal["elements", "rows"]
"""What a divergence is averaged over: rows and classes, as CoTEX was coded, or rows alone."""


def jensen_shannon(distributions: Tensor, epsilon: float = 0.0) -> Tensor:
    """Compute the parts of the Jensen-Shannon divergence of distributions, in nats.

    It is the mean of the Kullback-Leibler divergences of each from the mean of all.

    Args:
        distributions: V distributions over K classes of each row, shape (V, N, K).
        epsilon: Added to probabilities before their logarithm.

    Returns:
        What each class adds, shape (N, K); the divergence of a row is the sum over its classes.

    Examples:
        >>> pair = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
        >>> round(jensen_shannon(pair, 1e-9).sum().item(), 4)
        0.6931
        >>> jensen_shannon(pair[:1].expand(2, -1, -1), 1e-9).sum().item()
        0.0
    """
    middle = distributions.mean(0, keepdim=True)
    ratio = (distributions + epsilon).log() - (middle + epsilon).log()
    return (distributions * ratio).mean(0)


@dataclass(frozen=True)
class Agreement:
    """The divergence of what a network's views say of the classes of a row, labeled or not.

    Attributes:
        weight: Its weight.
        epsilon: Added to probabilities before their logarithm.
        average: Over rows alone, or as coded over rows and classes, which divides its weight by
            the number of classes.
    """

    weight: float = 100.0
    epsilon: float = 1e-4
    average: AgreementMean = "elements"
    name: str = "agreement"

    def __call__(self, context: StepContext) -> dict[str, Tensor]:
        """Compute the terms ``agreement.<task key>`` of tasks with exclusive classes.

        Args:
            context: The update.

        Returns:
            Weighted scalars by name.

        Raises:
            TriaffectError: The network has no views.
        """
        views = context.outputs.views
        if not views:
            raise TriaffectError("a network with several views in training", "one without")
        terms = {}
        for task in context.tasks:
            if not task.exclusive:
                continue
            distributions = torch.stack([task.activate(view[task.key]) for view in views])
            parts = jensen_shannon(distributions, self.epsilon)
            mean = parts.mean() if self.average == "elements" else parts.sum(1).mean()
            terms[f"{self.name}.{task.key}"] = self.weight * mean
        return terms
