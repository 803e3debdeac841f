"""What a term of a loss gets to see, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from triaffect.nets.outputs import Outputs
from triaffect.tasks.task import Task
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
        """Copy to a device."""
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
        task_weights: Weight of each task's terms by key; 1 for one not named.
    """

    kind: str
    tasks: Sequence[Task]
    outputs: Outputs
    teacher: Mapping[str, Tensor] | None
    targets: Mapping[str, TorchTargets]
    progress: float
    task_weights: Mapping[str, float]


class Objective(Protocol):
    """Some terms of the loss of one update."""

    @property
    def name(self) -> str:
        """First part of its terms' names."""

    def __call__(self, context: StepContext) -> dict[str, Tensor]:
        """Named scalars, already weighted, to be summed; empty where the objective is silent.

        A task without a valid label gets no term rather than a zero, so that parameters which
        nothing teaches have no gradient and an optimiser can leave them alone.
        """
