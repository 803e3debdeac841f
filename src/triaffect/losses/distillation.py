"""Learning from a teacher's outputs, for the tasks without labels above all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from triaffect.errors import TriaffectError
from triaffect.losses.objective import LossReading, StepContext
from triaffect.tasks.task import LossOptions, Reading, Task
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL

VaDistillation = Literal["task", "mse", "softmax"]
"""How valence and arousal are learned from a teacher: as the task's own loss has it; by the squared
error of raw outputs; or, as Music2Emo is coded, by a softmax over the two of them, which says
something of their difference alone."""

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
        decoupled: Set the labeled class of a softmax task apart from the others; see
            `Task.decoupled_divergence`. By ``target_weight`` and ``others_weight``.
        target_weight: Of the labeled class against all others together.
        others_weight: Of the others among each other.
        warmup: For how many epochs the terms grow to what they then are; 0 is off.
        branches: The teacher teaches a network's further heads likewise.
        va_kd: How valence and arousal are compared with the teacher's; see `VaDistillation`.
        softmax_kd: Tasks of separate labels whose logits are compared as if one label excluded the
            others: by the divergence of the softmax over all of them.
    """

    own_weight: float = 1.0
    other_weight: float = 0.9
    temperature: float = 1.0
    reading: LossReading = "conventional"
    on: tuple[str, ...] = ("VA", "EXPR", "AU")
    missing_only: bool = False
    squared_temperature: bool = False
    decoupled: bool = False
    target_weight: float = 1.0
    others_weight: float = 8.0
    warmup: float = 0.0
    branches: bool = False
    va_kd: VaDistillation = "task"
    softmax_kd: tuple[str, ...] = ()
    name: str = "teacher"

    def __call__(self, context: StepContext) -> dict[str, Tensor]:
        """Compute the terms ``teacher.<task key>``, of the tasks that the teacher predicts.

        Args:
            context: The update.

        Returns:
            Weighted scalars by name, of branches ``teacher_<branch>.<task key>``; none on a
            batch that is not distilled, and none of a task that fewer than two rows learn from
            the teacher.

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
            heads: dict[str, tuple[Tensor, Tensor | None]] = {}
            heads[self.name] = context.outputs.raw[task.key], None
            for name, branch in context.outputs.branches.items() if self.branches else ():
                heads[f"{self.name}_{name}"] = branch.raw[task.key], branch.present
            for name, (raw, present) in heads.items():
                rows = self._rows(context, task, present)
                if (len(raw) if isinstance(rows, slice) else len(rows)) > 1:  # a CCC needs two
                    loss = self._loss(context, task, raw, rows)
                    terms[f"{name}.{task.key}"] = self._weight(context, task) * loss
        return terms

    def _rows(self, context: StepContext, task: Task, present: Tensor | None) -> Tensor | slice:
        """Number the rows of a task that learn from the teacher, of those that are present."""
        labels = context.targets.get(task.key)
        if self.missing_only and labels is not None:
            missing = ~labels.valid.any(1)
            present = missing if present is None else present & missing
        return slice(None) if present is None else present.nonzero()[:, 0]

    def _weight(self, context: StepContext, task: Task) -> float:
        weight = self.own_weight if task.key == context.kind else self.other_weight
        weight *= context.task_weights.get(task.key, 1.0)
        weight *= context.fixed_weights.get(task.key, 1.0)
        if self.squared_temperature and task.tempered:
            weight *= self.temperature**2
        return weight * min((context.epoch + 1) / self.warmup, 1.0) if self.warmup else weight

    def _loss(self, context: StepContext, task: Task, raw: Tensor, rows: Tensor | slice) -> Tensor:
        assert context.teacher is not None  # noqa: S101 - for mypy
        raw, teacher_raw = raw[rows], context.teacher[task.key][rows]
        reading = Reading.CONVENTIONAL
        if self.reading == "as_coded":
            own_or_swapped = {(context.kind, context.kind)} | REVERSED_ELSEWHERE
            is_reversed = (context.kind, task.key) in own_or_swapped
            reading = Reading.KERAS_REVERSED if is_reversed else Reading.KERAS
        weights = self.target_weight, self.others_weight
        options = LossOptions(reading, self.temperature, decoupled=weights)
        labels = context.targets.get(task.key)
        if not self.decoupled or labels is None:
            return self._compare(task, raw, teacher_raw, options)
        return task.decoupled_divergence(
            raw, teacher_raw, labels.values[rows], labels.valid[rows], options
        )

    def _compare(
        self, task: Task, raw: Tensor, teacher_raw: Tensor, options: LossOptions
    ) -> Tensor:
        """Compute the unweighted loss of one task against its teacher, raw outputs (N, K) each."""
        kind = self.va_kd if task.key == VALENCE_AROUSAL.key else "task"
        if kind == "softmax" or task.key in self.softmax_kd:
            return softmax_divergence(raw, teacher_raw, self.temperature)
        if kind == "mse":
            return F.mse_loss(raw, teacher_raw.detach())
        return task.soft_loss(raw, teacher_raw, options)


def softmax_divergence(raw: Tensor, teacher_raw: Tensor, temperature: float) -> Tensor:
    """Compute the Kullback-Leibler divergence of a teacher's softmax from a network's.

    Args:
        raw: Raw outputs of the network that learns, shape (N, K).
        teacher_raw: Those of the teacher, shape (N, K); no gradient flows into them.
        temperature: Divides both.

    Returns:
        A scalar, the mean over the rows. Adding a number to all K outputs of a row changes nothing.

    Examples:
        >>> import torch
        >>> softmax_divergence(torch.tensor([[5.0, 5.0]]), torch.tensor([[1.0, 1.0]]), 1.0)
        tensor(0.)
    """
    own = F.log_softmax(raw / temperature, dim=1)
    theirs = F.log_softmax(teacher_raw.detach() / temperature, dim=1)
    return F.kl_div(own, theirs, reduction="batchmean", log_target=True)
