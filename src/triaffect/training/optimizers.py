"""Adam as the paper's library computes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam
from typing_extensions import override


class KerasAdam(torch.optim.Optimizer):
    """Adam with one step count for all parameters and epsilon outside the bias correction.

    p -= lr · sqrt(1 - β2^t) / (1 - β1^t) · m / (sqrt(v) + eps). A parameter without a gradient
    keeps its moments while t goes on.

    Args:
        params: What to optimise.
        lr: Learning rate.
        betas: Decay of the two moments.
        eps: Added to the square root.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-7,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "t": 0})

    @property
    def t(self) -> int:
        """Steps taken, those of earlier generations included."""
        return int(self.param_groups[0]["t"])

    def carry_step(self, t: int) -> None:
        """Go on counting from another optimiser's step; the moments stay as they are."""
        for group in self.param_groups:
            group["t"] = t

    def reset_moments(self) -> None:
        """Forget both moments while t goes on, as saving and reloading does in the program."""
        self.state.clear()

    @override
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update once.

        Args:
            closure: Must be None; the interface of `torch.optim.Optimizer` has it.
        """
        if closure is not None:
            raise ValueError("KerasAdam takes gradients, not a closure")
        for group in self.param_groups:
            group["t"] += 1
            _update([p for p in group["params"] if p.grad is not None], self.state, group)


def _update(params: list[Tensor], state: Any, group: dict[str, Any]) -> None:  # noqa: ANN401
    if not params:
        return
    for p in params:
        if not state[p]:
            state[p] = {"exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
    beta1, beta2 = group["betas"]
    adam(
        params,
        [p.grad for p in params if p.grad is not None],
        [state[p]["exp_avg"] for p in params],
        [state[p]["exp_avg_sq"] for p in params],
        [],
        [torch.full((), group["t"] - 1.0, device=p.device) for p in params],
        fused=True,
        amsgrad=False,
        beta1=beta1,
        beta2=beta2,
        lr=group["lr"],
        weight_decay=0.0,
        # torch adds it to the corrected square root, sqrt(v) / sqrt(1 - β2^t).
        eps=group["eps"] / math.sqrt(1 - beta2 ** group["t"]),
        maximize=False,
    )
