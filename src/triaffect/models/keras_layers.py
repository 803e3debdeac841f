"""Layers that compute what the paper's library computes, where torch's own differ."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH_NORM_EPS = 1e-3


class KerasBatchNorm(nn.Module):
    """Batch normalisation over (N, D) whose moving variance is of the biased variance.

    Args:
        width: Number of features D.
        momentum: Share of the old moving statistics that stays at each update.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, momentum: float = 0.99) -> None:
        super().__init__()
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise values; in training by the batch's own statistics, which are noted.

        Args:
            x: Shape (N, D); a single row is allowed.

        Returns:
            Shape (N, D).
        """
        if not self.training:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=BATCH_NORM_EPS
            )
        normalised, mean, scale = torch.native_batch_norm(
            x, self.weight, self.bias, None, None, True, 0.0, BATCH_NORM_EPS
        )
        with torch.no_grad():
            # The kernel returns 1 / sqrt(biased variance + eps).
            variance = scale.pow(-2) - BATCH_NORM_EPS
            self.running_mean.lerp_(mean, 1 - self.momentum)
            self.running_var.lerp_(variance, 1 - self.momentum)
        return normalised


class ReluLSTM(nn.Module):
    """LSTM with ReLU for candidate and output, gates in the order input, forget, new, output.

    Args:
        inputs: Width of the input vectors.
        units: Width of the state.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.weight_ih = nn.Parameter(torch.empty(4 * units, inputs))
        self.weight_hh = nn.Parameter(torch.empty(4 * units, units))
        self.bias = nn.Parameter(torch.zeros(4 * units))
        nn.init.xavier_uniform_(self.weight_ih)
        nn.init.orthogonal_(self.weight_hh)
        with torch.no_grad():
            self.bias[units : 2 * units] = 1  # an open forget gate to start with

    def forward(self, x: Tensor) -> Tensor:
        """Compute the last hidden state, from a state of zeros on.

        Args:
            x: Vectors of W instants, shape (N, W, inputs).

        Returns:
            Shape (N, units).
        """
        # One product for all instants; the first has no state to add.
        steps = F.linear(x, self.weight_ih, self.bias).unbind(1)
        hidden, cell = self._step(steps[0], None)
        for projected in steps[1:]:
            hidden, cell = self._step(F.linear(hidden, self.weight_hh) + projected, cell)
        return hidden

    @staticmethod
    def _step(gates: Tensor, cell: Tensor | None) -> tuple[Tensor, Tensor]:
        let_in, keep, new, let_out = gates.chunk(4, dim=1)
        fresh = let_in.sigmoid() * new.relu()
        cell = fresh if cell is None else torch.addcmul(fresh, keep.sigmoid(), cell)
        return let_out.sigmoid() * cell.relu(), cell


def dense(inputs: int, width: int) -> nn.Linear:
    """Make a dense layer with Glorot-uniform weights and zero biases.

    Args:
        inputs: Width of the input.
        width: Width of the output.
    """
    layer = nn.Linear(inputs, width)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def dense_blocks(inputs: int, widths: Sequence[int], dropout: float = 0.0) -> nn.Sequential:
    """Make dense blocks one after another: dense, batch norm, swish, and dropout if there is any.

    Args:
        inputs: Width of the input.
        widths: Of each block.
        dropout: After each.

    Returns:
        A module from (N, inputs) to (N, widths[-1]); its parts are the blocks.
    """
    blocks = []
    for width in widths:
        layers = [dense(inputs, width), KerasBatchNorm(width), nn.SiLU()]
        blocks.append(nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else [])))
        inputs = width
    return nn.Sequential(*blocks)
