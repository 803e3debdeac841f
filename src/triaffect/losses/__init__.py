"""Terms of a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.losses.adversarial import Adversary
    from triaffect.losses.distillation import Distillation
    from triaffect.losses.objective import Objective, StepContext, Supervised, TorchTargets
    from triaffect.losses.self_distillation import SelfDistillation

__all__ = [
    "Adversary",
    "Distillation",
    "Objective",
    "SelfDistillation",
    "StepContext",
    "Supervised",
    "TorchTargets",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "adversarial": ["Adversary"],
        "distillation": ["Distillation"],
        "objective": ["Objective", "StepContext", "Supervised", "TorchTargets"],
        "self_distillation": ["SelfDistillation"],
    },
)
