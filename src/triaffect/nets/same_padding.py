"""TensorFlow's "same" padding, which is uneven where torch's is even."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after one axis so that it shrinks to ceil(size / stride)."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad height and width, shape (N, C, H, W)."""
    rows, columns = (same_padding(int(size), kernel, stride) for size in x.shape[2:])
    return F.pad(x, (*columns, *rows))


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding, biases included.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: Height and width of the kernel.
        stride: Step in both directions.
        groups: Groups of channels that do not see each other.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the base class's name
        """Convolve, (N, C, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        return super().forward(pad_same(input, self.kernel_size[0], self.stride[0]))


def max_pool_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Max-pool with "same" padding of values that are never negative, shape (N, C, H, W)."""
    # Zeros then win nowhere, just as TensorFlow's padding by minus infinity.
    return torch.max_pool2d(pad_same(x, kernel, stride), kernel, stride)
