"""Learning from a teacher's outputs, for the tasks without labels above all."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from triaffect.errors import TriaffectError
from triaffect.losses.objective import LossReading, StepContext
from triaffect.tasks.task import LossOptions, Reading

REVERSED_ELSEWHERE = frozenset({("AU", "EXPR")})
"""(batch, task) of another task's soft loss that the authors' program calls (student, teacher).
On a task's own batch it always does; elsewhere it calls (teacher, student)."""


@dataclass(frozen=True)
class Distillation:
    """Soft-label losses of every task on each task's own batch.

    Attributes:
        own_weight: Weight of the batch's own task.
        other_weight: Weight of the others (the paper's β).
        temperature: Divides student's and teacher's logits of a softmax task.
        reading: Which cross-entropies.
        on: Kinds of batch that are distilled; the paper leaves out fully labelled ones.
        missing_only: Of each task only the rows that have no label of it, so that the teacher
            never speaks against a label.
        squared_temperature: Multiply the terms that the temperature divides by its square.
    """

    own_weight: float = 1.0
    other_weight: float = 0.9
    temperature: float = 1.0
    reading: LossReading = "conventional"
    on: tuple[str, ...] = ("VA", "EXPR", "AU")
    missing_only: bool = False
    squared_temperature: bool = False
    name: str = "teacher"

    def __call__(self, context: StepContext) -> dict[str, Tensor]:
        """Compute the terms ``teacher.<task key>``, of the tasks that the teacher predicts.

        Args:
            context: The update.

        Returns:
            Weighted scalars by name; none on a batch that is not distilled, and none of a task
            that fewer than two rows learn from the teacher.

        Raises:
            TriaffectError: There is no teacher.
        """
        if context.kind not in self.on:
            return {}
        if context.teacher is None:
            raise TriaffectError("a teacher to distil from", "none", "name the stage that teaches")
        terms = {}
        for task in context.tasks:
            if task.key not in context.teacher:
                continue
            raw, teacher_raw = context.outputs.raw[task.key], context.teacher[task.key]
            labels = context.targets.get(task.key)
            if self.missing_only and labels is not None:
                rows = (~labels.valid.any(1)).nonzero()[:, 0]
                raw, teacher_raw = raw[rows], teacher_raw[rows]
            if len(raw) <= 1:
                continue  # a CCC needs two
            weight = self.own_weight if task.key == context.kind else self.other_weight
            weight *= context.task_weights.get(task.key, 1.0)
            weight *= context.fixed_weights.get(task.key, 1.0)
            if self.squared_temperature and task.tempered:
                weight *= self.temperature**2
            reading = Reading.CONVENTIONAL
            if self.reading == "as_coded":
                own_or_swapped = {(context.kind, context.kind)} | REVERSED_ELSEWHERE
                is_reversed = (context.kind, task.key) in own_or_swapped
                reading = Reading.KERAS_REVERSED if is_reversed else Reading.KERAS
            options = LossOptions(reading, self.temperature)
            terms[f"{self.name}.{task.key}"] = weight * task.soft_loss(raw, teacher_raw, options)
        return terms
