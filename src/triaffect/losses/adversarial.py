"""Making the shared features the same whatever batch a row came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from triaffect.errors import TriaffectError
from triaffect.losses.objective import LossReading, StepContext
from triaffect.tasks.losses import categorical
from triaffect.tasks.task import Reading

Schedule = Literal["linear", "constant"]
"""How the adversary's weight grows: with the training's progress, or not at all."""


@dataclass(frozen=True)
class Adversary:
    """Cross-entropy of the discriminator's guess; its reversal is in the network.

    Attributes:
        classes: Kinds of batch that it tells apart, in the order of its outputs.
        weight: Weight at the end of the training.
        schedule: How the weight gets there.
        reading: Which cross-entropy.
    """

    classes: tuple[str, ...] = ("VA", "EXPR", "AU")
    weight: float = 1.0
    schedule: Schedule = "linear"
    reading: LossReading = "conventional"
    name: str = "adversary"

    def __call__(self, context: StepContext) -> dict[str, Tensor]:
        """Compute the term ``adversary``.

        Args:
            context: The update.

        Returns:
            One weighted scalar by name; none on a batch of a kind that is not a class.

        Raises:
            TriaffectError: The network's discriminator does not have these classes.
        """
        if context.kind not in self.classes:
            return {}
        logits = context.outputs.domain
        if logits is None or logits.shape[1] != len(self.classes):
            got = "no discriminator" if logits is None else f"one of {logits.shape[1]} classes"
            raise TriaffectError(f"a discriminator of {len(self.classes)} classes", got)
        index = torch.full((len(logits),), self.classes.index(context.kind), device=logits.device)
        target = F.one_hot(index, len(self.classes)).to(logits.dtype)
        as_coded = self.reading == "as_coded"
        reading = Reading.KERAS_REVERSED if as_coded else Reading.CONVENTIONAL
        weight = self.weight * (context.progress if self.schedule == "linear" else 1.0)
        return {self.name: weight * categorical(logits, target, reading).mean()}
