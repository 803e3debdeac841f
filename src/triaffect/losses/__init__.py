"""Terms of a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.losses.adversarial import Adversary
    from triaffect.losses.agreement import Agreement, jensen_shannon
    from triaffect.losses.bootstrap import Bootstrap
    from triaffect.losses.distillation import Distillation
    from triaffect.losses.objective import Objective, StepContext, Supervised, TorchTargets
    from triaffect.losses.self_distillation import SelfDistillation

__all__ = [
    "Adversary",
    "Agreement",
    "Bootstrap",
    "Distillation",
    "Objective",
    "SelfDistillation",
    "StepContext",
    "Supervised",
    "TorchTargets",
    "jensen_shannon",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "adversarial": ["Adversary"],
        "agreement": ["Agreement", "jensen_shannon"],
        "bootstrap": ["Bootstrap"],
        "distillation": ["Distillation"],
        "objective": ["Objective", "StepContext", "Supervised", "TorchTargets"],
        "self_distillation": ["SelfDistillation"],
    },
)
