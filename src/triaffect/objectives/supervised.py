"""Learning from labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from triaffect.objectives.objective import LossReading, StepContext
from triaffect.tasks.task import LossOptions, Reading, Task


@dataclass(frozen=True)
class Supervised:
    """Label losses: of a task's own batch that task's, of any other batch all that have labels.

    Attributes:
        own_weight: Weight on a task's own batch (the paper's α for the student).
        mtl_weight: Weight of each task on other batches.
        use_task_weights: Multiply each task's term by its weight w_k.
        temperature: Divides the logits of a softmax task.
        reading: Which cross-entropies.
        positive_weight: Weight of "present" for each column, by the key of a sigmoid task.
    """

    own_weight: float = 1.0
    mtl_weight: float = 1.0
    use_task_weights: bool = False
    temperature: float = 1.0
    reading: LossReading = "conventional"
    positive_weight: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    name: str = "label"

    def __call__(self, context: StepContext) -> dict[str, Tensor]:
        """Terms ``label.<task key>``."""
        own = [task for task in context.tasks if task.key == context.kind]
        weight = self.own_weight if own else self.mtl_weight
        return {
            f"{self.name}.{task.key}": self._term(task, weight, context)
            for task in own or context.tasks
            if task.key in context.targets and bool(context.targets[task.key].valid.any())
        }

    def _term(self, task: Task, weight: float, context: StepContext) -> Tensor:
        as_coded = self.reading == "as_coded"
        options = LossOptions(
            Reading.KERAS_REVERSED if as_coded else Reading.CONVENTIONAL,
            self.temperature,
            self.positive_weight.get(task.key),
        )
        if self.use_task_weights:
            weight *= context.task_weights.get(task.key, 1.0)
        labels = context.targets[task.key]
        raw = context.outputs.raw[task.key]
        return weight * task.loss(raw, labels.values, labels.valid, labels.weight, options)
