"""Layers that compute what the paper's library computes, where torch's own differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from typing_extensions import override

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
        if by_hand(x):
            parameters = (self.weight_ih, self.weight_hh, self.bias)
            last: Tensor = _ReluLSTM.apply(x, *parameters)  # type: ignore[no-untyped-call]
            return last
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


class _ReluLSTM(torch.autograd.Function):
    """`ReluLSTM` whose gradients are one product each over all instants.

    Rows are kept instant by instant, (W, N, ...), so that those products need no copies.
    """

    @staticmethod
    @override
    def forward(ctx: Any, x: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor) -> Tensor:
        count, window, _ = x.shape
        units = weight_hh.shape[1]
        inputs = x.transpose(0, 1).reshape(window * count, -1)
        gates = F.linear(inputs, weight_ih, bias).view(window, count, 4 * units)
        cells = gates.new_empty(window, count, units)
        hidden = torch.empty_like(cells)
        for t, gate in enumerate(gates):
            if t:
                gate.addmm_(hidden[t - 1], weight_hh.t())
            let_in, keep, new, let_out = gate.chunk(4, dim=1)
            gate[:, : 2 * units].sigmoid_()
            torch.mul(let_in, new.relu_(), out=cells[t])
            if t:
                cells[t].addcmul_(keep, cells[t - 1])
            torch.mul(let_out.sigmoid_(), cells[t].relu(), out=hidden[t])
        ctx.save_for_backward(inputs, weight_ih, weight_hh, gates, cells, hidden)
        return hidden[-1].clone()

    @staticmethod
    @override
    @once_differentiable
    def backward(ctx: Any, along_hidden: Tensor) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
        inputs, weight_ih, weight_hh, gates, cells, hidden = ctx.saved_tensors
        window, count, width = gates.shape
        along, along_cell = torch.empty_like(gates), None
        for t in reversed(range(window)):
            before = cells[t - 1] if t else None
            along_cell = _back_step(along_hidden, along_cell, gates[t], cells[t], before, along[t])
            if t:
                along_hidden = along[t] @ weight_hh
        every, later = along.view(-1, width), along[1:].view(-1, width)
        along_inputs = None
        if ctx.needs_input_grad[0]:
            along_inputs = (every @ weight_ih).view(window, count, -1).transpose(0, 1)
        to_hh = later.t() @ hidden[:-1].reshape(-1, width // 4)
        return along_inputs, every.t() @ inputs, to_hh, every.sum(0)


def _back_step(
    along_hidden: Tensor,
    along_cell: Tensor | None,
    gates: Tensor,
    cell: Tensor,
    before: Tensor | None,
    out: Tensor,
) -> Tensor | None:
    """Gradient of one instant's gates, (N, 4 units), into ``out``; gives that of the cell before.

    Args:
        along_hidden: Gradient of the hidden state, shape (N, units).
        along_cell: Gradient of the cell from the next instant, if there is one.
        gates: Opened gates, shape (N, 4 units).
        cell: The instant's cell.
        before: Cell of the instant before; None at the first.
        out: What is filled.
    """
    sigmoid, relu = torch.ops.aten.sigmoid_backward, torch.ops.aten.threshold_backward
    let_in, keep, new, let_out = gates.chunk(4, dim=1)
    to_in, to_keep, to_new, to_out = out.chunk(4, dim=1)
    sigmoid.grad_input(along_hidden * cell.relu(), let_out, grad_input=to_out)
    along: Tensor = relu(along_hidden * let_out, cell, 0)
    if along_cell is not None:
        along += along_cell
    sigmoid.grad_input(along * new, let_in, grad_input=to_in)
    relu.grad_input(along * let_in, new, 0, grad_input=to_new)
    if before is None:
        to_keep.zero_()
        return None
    sigmoid.grad_input(along * before, keep, grad_input=to_keep)
    return along * keep


def by_hand(x: Tensor) -> bool:
    """Return whether gradients are needed that this module's own functions may compute.

    They do not know the mixed precision of autocast; torch's own graph does.

    Args:
        x: Any tensor on the device that computes.
    """
    return torch.is_grad_enabled() and not torch.is_autocast_enabled(x.device.type)


class LeadingDense(nn.Linear):
    """A dense layer that hands a gradient on to its first inputs alone.

    The others are features that nothing learns from; their gradient would be thrown away.

    Args:
        inputs: Width of the input.
        width: Width of the output.
        trainable: How many inputs come first.
    """

    def __init__(self, inputs: int, width: int, trainable: int) -> None:
        super().__init__(inputs, width)
        self.trainable = trainable

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer, shape (N, inputs) to (N, width)."""
        if by_hand(x):
            parameters = (self.weight, self.bias, self.trainable)
            made: Tensor = _LeadingDense.apply(x, *parameters)  # type: ignore[no-untyped-call]
            return made
        return super().forward(x)


class _LeadingDense(torch.autograd.Function):
    @staticmethod
    @override
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, trainable: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.trainable = trainable
        return F.linear(x, weight, bias)

    @staticmethod
    @override
    @once_differentiable
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        along_x = None
        if ctx.needs_input_grad[0]:
            along_x = torch.zeros_like(x)
            along_x[:, : ctx.trainable] = along @ weight[:, : ctx.trainable]
        return along_x, along.t() @ x, along.sum(0), None


def dense(inputs: int, width: int, trainable: int | None = None) -> nn.Linear:
    """Make a dense layer with Glorot-uniform weights and zero biases.

    Args:
        inputs: Width of the input.
        width: Width of the output.
        trainable: How many inputs, the first, want a gradient; see `LeadingDense`. None is all.
    """
    layer = (
        nn.Linear(inputs, width) if trainable is None else LeadingDense(inputs, width, trainable)
    )
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def dense_blocks(
    inputs: int, widths: Sequence[int], dropout: float = 0.0, trainable: int | None = None
) -> nn.Sequential:
    """Make dense blocks one after another: dense, batch norm, swish, and dropout if there is any.

    Args:
        inputs: Width of the input.
        widths: Of each block.
        dropout: After each.
        trainable: How many of the inputs, the first, want a gradient; None is all of them.

    Returns:
        A module from (N, inputs) to (N, widths[-1]); its parts are the blocks.
    """
    blocks = []
    for width in widths:
        layers = [dense(inputs, width, trainable), KerasBatchNorm(width), nn.SiLU()]
        blocks.append(nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else [])))
        inputs, trainable = width, None
    return nn.Sequential(*blocks)
