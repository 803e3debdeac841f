"""The face network of the published system, a ResNet34 with grouped convolutions and attention.

Input: (N, 3, 224, 224), RGB in [0, 1], of an aligned face resized bilinearly. Output: (N, 512),
never negative. The authors' weights are not public; `triaffect.models.base.load_weights` takes
others of the same shape.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triaffect.models.keras_layers import BATCH_NORM_EPS, dense


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Count the zeros that TensorFlow's "same" padding puts around one axis.

    Args:
        size: Length of the axis.
        kernel: Length of the kernel.
        stride: Step.

    Returns:
        How many come before and after it, so that it shrinks to ceil(size / stride).

    Examples:
        >>> same_padding(224, 7, 2), same_padding(5, 3, 1)
        ((2, 3), (1, 1))
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad height and width of maps (N, C, H, W) with zeros, as `same_padding` counts them."""
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
    """Max-pool with "same" padding.

    Args:
        x: Values that are never negative, shape (N, C, H, W).
        kernel: Height and width of what a maximum is taken of.
        stride: Step in both directions.

    Returns:
        Shape (N, C, ceil(H / stride), ceil(W / stride)).
    """
    # Zeros then win nowhere, just as TensorFlow's padding by minus infinity.
    return torch.max_pool2d(pad_same(x, kernel, stride), kernel, stride)


STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Width and number of blocks of each group."""

GROUPS = 32


def batch_norm(width: int) -> nn.BatchNorm2d:
    """Make a batch norm with the authors' eps and a momentum of 0.9 of the old statistics."""
    return nn.BatchNorm2d(width, eps=BATCH_NORM_EPS, momentum=0.1)


class ChannelSpatialAttention(nn.Module):
    """Channel attention (squeeze and excite) plus spatial attention, (N, C, H, W) kept.

    Args:
        width: Number of channels C.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channel = nn.Sequential(
            dense(width, width // 4), nn.ReLU(), dense(width // 4, width), nn.Sigmoid()
        )
        self.spatial = SameConv2d(width, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh channels and positions of maps (N, C, H, W), and add the two."""
        channels: Tensor = self.channel(x.mean((2, 3)))
        positions: Tensor = self.spatial(x).sigmoid()
        return x * channels[:, :, None, None] + x * positions


class Block(nn.Module):
    """Residual block: a convolution, a grouped one, a shortcut, attention.

    Args:
        inputs: Channels in.
        width: Channels out.
        stride: Of the first convolution and of the shortcut.
    """

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            SameConv2d(inputs, width, 3, stride),
            batch_norm(width),
            nn.ReLU(),
            SameConv2d(width, width, 3, groups=GROUPS),
            batch_norm(width),
        )
        self.shortcut = nn.Sequential()
        if inputs != width:
            self.shortcut = nn.Sequential(SameConv2d(inputs, width, 1, stride), batch_norm(width))
        self.attention = ChannelSpatialAttention(width)

    def forward(self, x: Tensor) -> Tensor:
        """Turn maps (N, inputs, H, W) into maps (N, width, H / stride, W / stride)."""
        attended: Tensor = self.attention((self.body(x) + self.shortcut(x)).relu())
        return attended


class FerResNet34(nn.Module):
    """Face crops to 512 numbers, 11,014,080 parameters."""

    def __init__(self) -> None:
        super().__init__()
        inputs = STAGES[0][0]
        self.stem = nn.Sequential(SameConv2d(3, inputs, 7, 2), batch_norm(inputs), nn.ReLU())
        blocks = []
        for width, count in STAGES:
            for number in range(count):
                blocks.append(Block(inputs, width, 2 if inputs != width and number == 0 else 1))
                inputs = width
        self.blocks = nn.Sequential(*blocks)

    def forward(self, faces: Tensor) -> Tensor:
        """Compute the features of faces.

        Args:
            faces: RGB in [0, 1], shape (N, 3, 224, 224).

        Returns:
            Shape (N, 512), never negative.
        """
        maps: Tensor = self.blocks(max_pool_same(self.stem(faces), 3, 2))
        return maps.mean((2, 3))
