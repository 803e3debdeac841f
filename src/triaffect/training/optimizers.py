"""Optimizers, and the moving average of what they leave."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from typing_extensions import override

from triaffect.errors import RecipeError
from triaffect.recipes.config import OptimizerSpec


class KerasAdam(torch.optim.Optimizer):
    """Adam as the paper's library computes it.

    It has one step count for all parameters, and epsilon outside the bias correction:
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
        """Return the number of steps taken, those of earlier generations included."""
        return int(self.param_groups[0]["t"])

    def carry_step(self, t: int) -> None:
        """Go on counting from another optimizer's step; the moments stay as they are.

        Args:
            t: Steps that the other one has taken.
        """
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


class Lars(torch.optim.Optimizer):
    """Gradient descent whose steps are in proportion to each parameter (You et al. 2017).

    A tensor's step is its gradient, with weight decay, times
    trust · |p| / (|g| + decay · |p| + eps), arXiv:1708.03888; one that is all zeros, or whose
    gradient is, moves by its gradient.

    Args:
        params: What to optimize, or groups of it with a ``weight_decay`` each.
        lr: Learning rate.
        momentum: Share of the step before that is added.
        trust: Length of a step at a rate of 1 as a share of the parameter's.
        eps: Added to the gradient's length.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.0,
        trust: float = 1e-3,
        eps: float = 1e-8,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "trust": trust, "eps": eps, "weight_decay": 0.0}
        super().__init__(params, defaults)

    @override
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update once.

        Args:
            closure: Must be None; the interface of `torch.optim.Optimizer` has it.
        """
        if closure is not None:
            raise ValueError("Lars takes gradients, not a closure")
        for group in self.param_groups:
            decay = group["weight_decay"]
            for p in (each for each in group["params"] if each.grad is not None):
                size, slope = p.norm(), p.grad.norm()
                share = group["trust"] * size / (slope + decay * size + group["eps"])
                move = (p.grad + decay * p) * torch.where((size > 0) & (slope > 0), share, 1.0)
                if group["momentum"]:
                    before = self.state[p].get("momentum_buffer", torch.zeros_like(p))
                    self.state[p]["momentum_buffer"] = move = group["momentum"] * before + move
                p.sub_(group["lr"] * move)


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


def build_optimizer(spec: OptimizerSpec, net: nn.Module) -> torch.optim.Optimizer:
    """Build a stage's optimizer over all parameters.

    Args:
        spec: Kind, learning rate and weight decay.
        net: The network, where it is trained.

    Returns:
        Adam as Keras has it, AdamW, which decays all parameters or matrices and kernels alone, or
        gradient descent with momentum, plain or with rates by length. The key ``factor`` of a
        group multiplies its rate.

    Raises:
        RecipeError: The network has no part that the spec gives a rate of its own, or no layers
            for its rates to decay with.
    """
    if spec.kind == "keras_adam":
        return KerasAdam(net.parameters(), lr=spec.lr)
    rates = {**spec.rates, **_layer_rates(spec, net)}
    groups: list[dict[str, Any]] = []
    rest = dict(net.named_parameters())
    for part, factor in {**rates, "": 1.0}.items():
        own = {n: p for n, p in rest.items() if not part or f"{n}.".startswith(f"{part}.")}
        rest = {name: value for name, value in rest.items() if name not in own}
        if part and not own:
            parts = sorted({name.partition(".")[0] for name, _ in net.named_parameters()})
            raise RecipeError(f"rates of the parts {', '.join(parts)}", part)
        rate = {"factor": factor} if factor != 1 else {}
        matrices = [p for p in own.values() if p.ndim > 1 or spec.decay_on == "all"]
        groups.append({"params": matrices, "weight_decay": spec.decay, **rate})
        if spec.decay_on == "matrices":
            others = [p for p in own.values() if p.ndim <= 1]
            groups.append({"params": others, "weight_decay": 0.0, **rate})
    if spec.kind == "sgd":
        return torch.optim.SGD(groups, lr=spec.lr, momentum=spec.momentum)
    if spec.kind == "lars":
        return Lars(groups, spec.lr, spec.momentum)
    return torch.optim.AdamW(groups, lr=spec.lr, betas=(spec.beta1, 0.999), fused=True)


def _layer_rates(spec: OptimizerSpec, net: nn.Module) -> dict[str, float]:
    """Compute factors of the rate of layers, by name; what comes after the last has factor 1."""
    if spec.layer_decay == 1:
        return {}
    layers = getattr(net, "layers", None)
    if layers is None:
        raise RecipeError("optimizer.layer_decay for a net that names its layers", "another")
    depths = list(reversed(layers()))
    return {name: spec.layer_decay ** (n + 1) for n, part in enumerate(depths) for name in part}


def clip_gradients(spec: OptimizerSpec, net: nn.Module) -> None:
    """Hold the norm of a network's gradients, or of those of each part of it.

    Args:
        spec: How far, and whether by parts; nothing changes where `clip` is 0.
        net: The network, with gradients; of a dictionary of parts each is one.
    """
    if not spec.clip:
        return
    parts = [net]
    if spec.clip_parts:
        children = [[*c.values()] if isinstance(c, nn.ModuleDict) else [c] for c in net.children()]
        parts = [part for each in children for part in each]
    for part in parts:
        parameters = list(part.parameters())
        if parameters:
            nn.utils.clip_grad_norm_(parameters, spec.clip)


class ExponentialMovingAverage:
    """Moving average (EMA) of a network's weights, as a network of its own in evaluation mode.

    It is steadier than the weights that training leaves. After update t (from 1 on) each weight
    of the average has moved towards the network's by 1 - d(t), with
    d(t) = min(max_decay, (1 + t) / (10 + t)): the first updates, far from where training ends,
    soon fade. Statistics of batch norms are averaged as the weights are.

    Args:
        net: Where the average begins; it is not changed.
        twin: Another network of the same build, which becomes the average.
        max_decay: What the decay grows to, in (0, 1).

    Attributes:
        net: A network with the averaged weights.
        updates: How many updates have been averaged.
    """

    def __init__(self, net: nn.Module, twin: nn.Module, max_decay: float) -> None:
        twin.load_state_dict(net.state_dict())
        self.net = twin.eval().requires_grad_(requires_grad=False)
        self.updates = 0
        self._max_decay = max_decay

    @property
    def decay(self) -> float:
        """Return the share of the average that the latest update left."""
        return min(self._max_decay, (1 + self.updates) / (10 + self.updates))

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Take in the network after an update; counts, such as of batches, are copied.

        Args:
            net: The network that is trained, of the same build.
        """
        self.updates += 1
        now, mean = net.state_dict(), self.net.state_dict()
        moving = [name for name, value in mean.items() if value.is_floating_point()]
        for name in mean.keys() - set(moving):
            mean[name].copy_(now[name])
        torch._foreach_lerp_(
            [mean[name] for name in moving], [now[name] for name in moving], 1 - self.decay
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Return everything to resume from, by name."""
        weights = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        return {**weights, "updates": torch.tensor(self.updates)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Resume from a state.

        Args:
            state: As `state_dict` returns it.
        """
        self.updates = int(state["updates"])
        self.net.load_state_dict(
            {name.removeprefix("net."): value for name, value in state.items() if name != "updates"}
        )
