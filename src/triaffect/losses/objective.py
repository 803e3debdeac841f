"""Terms of a loss: what they see and return, learning from labels, weighing tasks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import torch
from torch import Tensor

from triaffect.models.base import Outputs
from triaffect.tasks.task import LossOptions, Reading, Task
from triaffect.types import Targets

LossReading = Literal["conventional", "as_coded"]
"""Which losses are meant: textbook cross-entropies, as the paper writes them, or those of its
authors' program, most of them called with the prediction in the label's place."""


@dataclass(frozen=True)
class TorchTargets:
    """`Targets` as tensors.

    Attributes:
        values: Values or distributions, shape (N, K).
        valid: Which of them are annotated, shape (N, K), bool.
        weight: Weight of each row, shape (N,).
    """

    values: Tensor
    valid: Tensor
    weight: Tensor

    @staticmethod
    def of(targets: Targets, device: torch.device | str = "cpu") -> TorchTargets:
        """Copy targets to a device.

        Args:
            targets: As NumPy arrays.
            device: Where to; on the CPU the tensors share the arrays' memory.

        Returns:
            The same values, validity and weights as tensors.
        """
        return TorchTargets(
            torch.from_numpy(targets.values).to(device),
            torch.from_numpy(targets.valid).to(device),
            torch.from_numpy(targets.weight).to(device),
        )


@dataclass(frozen=True)
class StepContext:
    """One update, as the terms of the loss see it.

    Attributes:
        kind: Which batch it is: a task's key for that task's own batch, else another name
            such as ``"MTL"``.
        tasks: All tasks.
        outputs: The learning network's outputs.
        teacher: The teaching network's raw outputs for the same rows by task key, shape (N, K)
            each; None where nobody teaches.
        targets: Labels by task key; a task may be absent.
        progress: Share of the training that this epoch completes, (epoch + 1) / epochs.
        task_weights: Weight of each task's terms by key, as training goes; 1 for one not named.
        fixed_weights: Weight of each task's terms by key, as the recipe says; 1 likewise.
        epoch: Number of the epoch, from 0.
    """

    kind: str
    tasks: Sequence[Task]
    outputs: Outputs
    teacher: Mapping[str, Tensor] | None
    targets: Mapping[str, TorchTargets]
    progress: float
    task_weights: Mapping[str, float]
    fixed_weights: Mapping[str, float] = field(default_factory=dict)
    epoch: int = 0


class Objective(Protocol):
    """Some terms of the loss of one update."""

    @property
    def name(self) -> str:
        """First part of its terms' names."""

    def __call__(self, context: StepContext) -> dict[str, Tensor]:
        """Compute named scalars, already weighted, to be summed.

        A task without a valid label gets no term rather than a zero, so that parameters which
        nothing teaches have no gradient and an optimiser can leave them alone.

        Args:
            context: The update.

        Returns:
            By name, ``<objective>`` or ``<objective>.<task key>``, of a branch of the network
            ``<objective>_<branch>.<task key>``; empty where it is silent.
        """


class StagnationWeights:
    """w_k = exp(rate · n_k), with n_k the epochs since task k's validation score was best.

    By the rule "log2" it is max(1, log2 n_k), divided by the sum over the tasks (Deng and others
    2021), and the rate does not count.

    Args:
        keys: The tasks.
        rate: How fast a weight grows with each epoch without improvement.
        rule: "exponential" or "log2".
    """

    def __init__(
        self,
        keys: Iterable[str],
        rate: float = 0.5,
        rule: Literal["exponential", "log2"] = "exponential",
    ) -> None:
        self._rate, self._rule = rate, rule
        self._best: dict[str, float | None] = dict.fromkeys(keys)
        self._stagnant = dict.fromkeys(self._best, 0)

    def update(self, scores: Mapping[str, float]) -> None:
        """Take in an epoch's validation scores.

        Args:
            scores: By task key, higher being better; of every task.
        """
        for key, best in self._best.items():
            if best is None or scores[key] > best:
                self._best[key], self._stagnant[key] = scores[key], 0
            else:
                self._stagnant[key] += 1

    def weights(self) -> dict[str, float]:
        """Return the weight of each task by key, for the epoch to come; 1 at the start."""
        if self._rule == "log2":
            raw = {key: max(1.0, math.log2(max(n, 1))) for key, n in self._stagnant.items()}
            return {key: weight / sum(raw.values()) for key, weight in raw.items()}
        return {key: math.exp(self._rate * n) for key, n in self._stagnant.items()}

    def state_dict(self) -> dict[str, dict[str, float | None]]:
        """Return everything to resume from, as JSON can hold it."""
        return {"best": dict(self._best), "stagnant": dict(self._stagnant)}

    def load_state_dict(self, state: Mapping[str, Mapping[str, float | None]]) -> None:
        """Resume from what `state_dict` returned.

        Args:
            state: Best scores and epochs since them, by task key.
        """
        self._best = dict(state["best"])
        self._stagnant = {key: int(n or 0) for key, n in state["stagnant"].items()}


@dataclass(frozen=True)
class Supervised:
    """Label losses: of a task's own batch that task's, of any other batch all that have labels.

    Where a network in training has several views of the rows, a task's loss is the mean of theirs.

    Attributes:
        own_weight: Weight on a task's own batch (the paper's α for the student).
        mtl_weight: Weight of each task on other batches.
        use_task_weights: Multiply each task's term by its weight w_k.
        temperature: Divides the logits of a softmax task.
        reading: Which cross-entropies.
        positive_weight: Weight of "present" for each column, by the key of a sigmoid task.
        logit_weight: Weight of the squared distance to a sigmoid task's soft labels in logits.
        class_weight: Weight of a row for each of its classes, by the key of a softmax task.
        branch_weight: Weight of the same losses of a network's further heads, on the rows that
            they have something to go by; 0 is off.
        column_weight: Weight of each column, present or not, by the key of a sigmoid task.
    """

    own_weight: float = 1.0
    mtl_weight: float = 1.0
    use_task_weights: bool = False
    temperature: float = 1.0
    reading: LossReading = "conventional"
    positive_weight: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    logit_weight: float = 0.0
    class_weight: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    branch_weight: float = 0.0
    column_weight: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    name: str = "label"

    def __call__(self, context: StepContext) -> dict[str, Tensor]:
        """Compute the terms ``label.<task key>``, and ``label_<branch>.<task key>``.

        Args:
            context: The update.

        Returns:
            Weighted scalars by name, of the tasks that have a valid label; none where labels
            weigh nothing.
        """
        terms = self._terms(context, self.name, 1.0)
        for name, branch in context.outputs.branches.items() if self.branch_weight else ():
            present = branch.present.unsqueeze(1)
            targets = {
                key: replace(each, valid=each.valid & present)
                for key, each in context.targets.items()
            }
            outputs = replace(context.outputs, raw=branch.raw)
            seen = replace(context, outputs=outputs, targets=targets)
            terms |= self._terms(seen, f"{self.name}_{name}", self.branch_weight)
        return terms

    def _terms(self, context: StepContext, name: str, share: float) -> dict[str, Tensor]:
        own = [task for task in context.tasks if task.key == context.kind]
        as_coded = self.reading == "as_coded"
        reading = Reading.KERAS_REVERSED if as_coded else Reading.CONVENTIONAL
        terms = {}
        for task in own or context.tasks:
            labels = context.targets.get(task.key)
            if labels is None or not bool(labels.valid.any()):
                continue
            weight = share * (self.own_weight if own else self.mtl_weight)
            if not weight:
                continue
            if self.use_task_weights:
                weight *= context.task_weights.get(task.key, 1.0)
            weight *= context.fixed_weights.get(task.key, 1.0)
            positive = self.positive_weight.get(task.key)
            column = self.column_weight.get(task.key)
            options = LossOptions(
                reading, self.temperature, positive, self.logit_weight, column_weight=column
            )
            views, rows = context.outputs.views or (context.outputs.raw,), labels.weight
            if task.key in self.class_weight:
                rows = rows * (labels.values @ rows.new_tensor(self.class_weight[task.key]))
            losses = [
                task.loss(raw[task.key], labels.values, labels.valid, rows, options)
                for raw in views
            ]
            loss = losses[0] if len(losses) == 1 else torch.stack(losses).mean()
            terms[f"{name}.{task.key}"] = weight * loss
        return terms
