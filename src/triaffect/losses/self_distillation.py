"""Learning from one's own last answer: a network's further heads follow it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from triaffect.losses.objective import StepContext
from triaffect.tasks.task import LossOptions

FEWEST = 2
"""A concordance needs a variance, so at least two rows."""


@dataclass(frozen=True)
class SelfDistillation:
    """How far the answers of a network's branches are from its own, on all rows of an update.

    No labels are needed. It is the Kullback-Leibler divergence of a task of probabilities, and
    1 - concordance or the squared error of one of values; see `Task.divergence`.

    Attributes:
        weight: Of every branch.
        temperature: Divides the logits of a softmax task, of both.
        detached: No gradient flows into the network's own answer. As the authors of SDT coded
            it, one does, so the teacher moves toward its students as they toward it.
        squared_temperature: Multiply the terms that the temperature divides by its square.
    """

    weight: float = 1.0
    temperature: float = 1.0
    detached: bool = False
    squared_temperature: bool = False
    name: str = "self"

    def __call__(self, context: StepContext) -> dict[str, Tensor]:
        """Compute the terms ``self_<branch>.<task key>``.

        Args:
            context: The update.

        Returns:
            Weighted scalars by name; none of a branch that has fewer than two rows to go by.
        """
        terms = {}
        options = LossOptions(temperature=self.temperature, detached=self.detached)
        for name, branch in context.outputs.branches.items():
            rows = branch.present.nonzero()[:, 0]
            if len(rows) < FEWEST:
                continue
            for task in context.tasks:
                raw, own = branch.raw[task.key][rows], context.outputs.raw[task.key][rows]
                weight = self.weight * context.task_weights.get(task.key, 1.0)
                weight *= context.fixed_weights.get(task.key, 1.0)
                if self.squared_temperature and task.tempered:
                    weight *= self.temperature**2
                terms[f"{self.name}_{name}.{task.key}"] = weight * task.divergence(
                    raw, own, options
                )
        return terms
