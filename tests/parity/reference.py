"""The numbers that the authors' program gives, and how its names map to ours.

Reduced size: LSTM 16, trunk 32 and 16, heads 16 and 8, discriminator 8 and 4, eight rows, no
dropout. `data/README.md` says what each file holds.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import torch

from triaffect.losses.adversarial import Adversary
from triaffect.losses.distillation import Distillation
from triaffect.losses.objective import StepContext, Supervised, TorchTargets
from triaffect.models.base import Outputs
from triaffect.models.paper import PaperNet
from triaffect.tasks.registry import TASKS

DATA = Path(__file__).parent / "data"
KINDS = ("MTL", "VA", "EXPR", "AU")
STAGNANT = {"ni0": {"VA": 0, "EXPR": 0, "AU": 0}, "ni1": {"VA": 1, "EXPR": 2, "AU": 3}}
OBJECTIVES = {
    "teacher": (Supervised(reading="as_coded"), Adversary(reading="as_coded")),
    "student": (
        Supervised(own_weight=10.0, use_task_weights=True, temperature=2.5, reading="as_coded"),
        Distillation(temperature=2.5, reading="as_coded"),
        Adversary(reading="as_coded"),
    ),
}

MODULES = {
    "FE_32": "trunk.0",
    "FE_16": "trunk.1",
    "DC_8": "discriminator.hidden.0",
    "DC_4": "discriminator.hidden.1",
    "VA_16": "heads.VA.0.0",
    "VA_8": "heads.VA.0.1",
    "EXPR_16": "heads.EXPR.0.0",
    "EXPR_8": "heads.EXPR.0.1",
    "AU_16": "heads.AU.0.0",
    "AU_8": "heads.AU.0.1",
    "domain_out": "discriminator.out",
    "va_out": "heads.VA.1",
    "expr_out": "heads.EXPR.1",
    "au_out": "heads.AU.1",
    "img_lstm": "lstm",
}
PARTS = {
    "dense.kernel": "0.weight",
    "dense.bias": "0.bias",
    "bn.gamma": "1.weight",
    "bn.beta": "1.bias",
    "bn.moving_mean": "1.running_mean",
    "bn.moving_variance": "1.running_var",
    "kernel": "weight",
    "bias": "bias",
}


@cache
def load(name: str) -> dict[str, np.ndarray]:
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def our_name(name: str) -> str:
    """Our name of an array of the program's: ``FE_32.bn.gamma`` to ``trunk.0.1.weight``."""
    module, part = name.split(".", 1)
    if module == "img_lstm":
        part = {"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias"}[part]
        return f"lstm.{part}"
    return f"{MODULES[module]}.{PARTS[part]}"


def ours(array: np.ndarray) -> torch.Tensor:
    """Our layout of an array: dense kernels are (out, in)."""
    return torch.tensor(np.ascontiguousarray(array.T))


def small_net(weights: str, dtype: torch.dtype = torch.float32) -> PaperNet:
    net = PaperNet(lstm=16, trunk=(32, 16), head=(16, 8), discriminator=(8, 4), dropout=0.0)
    net.load_state_dict({our_name(k): ours(v) for k, v in load(f"weights_{weights}").items()})
    return net.to(dtype)


def inputs(kind: str, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    arrays = load("inputs")
    face = torch.tensor(arrays[f"{kind}.img"]).squeeze(2).to(dtype)
    return {"face": face, "voice": torch.tensor(arrays[f"{kind}.audio"]).to(dtype)}


def targets(kind: str) -> dict[str, TorchTargets]:
    label = torch.tensor(load("inputs")[f"{kind}.label"])
    parts = label.split([2, 8, 12], 1) if kind == "MTL" else [label]
    keys = ["VA", "EXPR", "AU"] if kind == "MTL" else [kind]
    return {
        key: TorchTargets(part, torch.ones_like(part).bool(), torch.ones(len(part)))
        for key, part in zip(keys, parts, strict=True)
    }


def loss_terms(
    who: str,
    kind: str,
    outputs: Outputs,
    teacher: Outputs | None,
    progress: float,
    stagnant: Mapping[str, int],
) -> dict[str, torch.Tensor]:
    """Every term of one update's loss, by the project's own objectives."""
    context = StepContext(
        kind=kind,
        tasks=TASKS,
        outputs=outputs,
        teacher=teacher.raw if who == "student" else None,
        targets=targets(kind),
        progress=progress,
        task_weights={key: float(np.exp(0.5 * n)) for key, n in stagnant.items()},
    )
    terms: dict[str, torch.Tensor] = {}
    for objective in OBJECTIVES[who]:
        terms |= objective(context)
    return terms
