"""Learning from a teacher's outputs, for the tasks without labels above all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from triaffect.errors import TriaffectError
from triaffect.losses.objective import LossReading, StepContext
from triaffect.tasks.task import LossOptions, Reading, Task

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
    """

    own_weight: float = 1.0
    other_weight: float = 0.9
    temperature: float = 1.0
    reading: LossReading = "conventional"
    on: tuple[str, ...] = ("VA", "EXPR", "AU")
    missing_only: bool = False
    name: str = "teacher"

    def __call__(self, context: StepContext) -> dict[str, Tensor]:
        """Terms ``teacher.<task key>``, of the tasks that the teacher knows.

        Raises:
            TriaffectError: There is no teacher.
        """
        if context.kind not in self.on:
            return {}
        if context.teacher is None:
            raise TriaffectError("a teacher to distil from", "none", "name the stage that teaches")
        distilled = [task for task in context.tasks if task.key in context.teacher]
        rows = {task.key: self._rows(task, context) for task in distilled}
        return {
            f"{self.name}.{task.key}": self._term(task, context, context.teacher, rows[task.key])
            for task in distilled
            if len(rows[task.key]) > 1  # a CCC needs two
        }

    def _rows(self, task: Task, context: StepContext) -> Tensor:
        """Number the rows that learn this task from the teacher."""
        labels = context.targets.get(task.key)
        raw = context.outputs.raw[task.key]
        mask = torch.ones(len(raw), dtype=torch.bool, device=raw.device)
        if self.missing_only and labels is not None:
            mask = ~labels.valid.any(1)
        return mask.nonzero()[:, 0]

    def _term(
        self, task: Task, context: StepContext, teacher: Mapping[str, Tensor], rows: Tensor
    ) -> Tensor:
        weight = self.own_weight if task.key == context.kind else self.other_weight
        weight *= context.task_weights.get(task.key, 1.0)
        options = LossOptions(self._reading(context.kind, task.key), self.temperature)
        raw, teacher_raw = context.outputs.raw[task.key], teacher[task.key]
        if self.missing_only:
            raw, teacher_raw = raw[rows], teacher_raw[rows]
        return weight * task.soft_loss(raw, teacher_raw, options)

    def _reading(self, kind: str, key: str) -> Reading:
        if self.reading == "conventional":
            return Reading.CONVENTIONAL
        swapped = kind == key or (kind, key) in REVERSED_ELSEWHERE
        return Reading.KERAS_REVERSED if swapped else Reading.KERAS
