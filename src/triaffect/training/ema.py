"""A moving average of a network's weights: steadier than the weights that training leaves.

After update t (from 1 on) each weight of the average has moved towards the network's by
1 - d(t), with d(t) = min(largest, (1 + t) / (10 + t)): the first updates, far from where training
ends, are soon forgotten. Statistics of batch norms are averaged as the weights are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class ExponentialMovingAverage:
    """The average of a network, as a network of its own in evaluation mode.

    Args:
        net: Where the average begins; it is not changed.
        twin: Another network of the same build, which becomes the average.
        largest: What the decay grows to, in (0, 1).

    Attributes:
        net: A network with the averaged weights.
        updates: How many updates have been averaged.
    """

    def __init__(self, net: nn.Module, twin: nn.Module, largest: float) -> None:
        twin.load_state_dict(net.state_dict())
        self.net = twin.eval().requires_grad_(requires_grad=False)
        self.updates = 0
        self._largest = largest

    @property
    def decay(self) -> float:
        """Share of the average that the latest update left."""
        return min(self._largest, (1 + self.updates) / (10 + self.updates))

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Take in the network after an update; counts, such as of batches, are copied."""
        self.updates += 1
        now, mean = net.state_dict(), self.net.state_dict()
        moving = [name for name, value in mean.items() if value.is_floating_point()]
        for name in mean.keys() - set(moving):
            mean[name].copy_(now[name])
        torch._foreach_lerp_(
            [mean[name] for name in moving], [now[name] for name in moving], 1 - self.decay
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Everything to resume from."""
        weights = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        return {**weights, "updates": torch.tensor(self.updates)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Resume from `state_dict`."""
        self.updates = int(state["updates"])
        self.net.load_state_dict(
            {name.removeprefix("net."): value for name, value in state.items() if name != "updates"}
        )
