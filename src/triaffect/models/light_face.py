"""A small residual network on single gray faces.

Input: aligned crops, 64x64 gray levels in [0, 255], of any dtype. Each crop is standardised by
its own mean and deviation, so that exposure and contrast do not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from triaffect.models.attention import AttentionKind, attention
from triaffect.models.base import NetworkShape, NetworkSpec, Outputs, optional_key
from triaffect.tasks.task import Task


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, and attention, beside a shortcut (He et al. 2016).

    Args:
        inputs: Channels of the maps that come in.
        outputs: Channels of those that come out.
        stride: Of the first convolution and of the shortcut.
        attending: Attention on what the convolutions make.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, attending: AttentionKind = "none"
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.attention = attention(attending, outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Turn maps (N, inputs, H, W) into maps (N, outputs, H / stride, W / stride)."""
        return torch.relu(self.attention(self.body(x)) + self.shortcut(x))


def residual_stages(
    stem: int,
    widths: Sequence[int],
    blocks: Sequence[int],
    attending: AttentionKind = "none",
    block: Callable[[int, int, int], nn.Module] | None = None,
) -> nn.Sequential:
    """Make stages of residual blocks; every stage but the first halves the map.

    Args:
        stem: Channels of the map that comes in.
        widths: Channels of each stage.
        blocks: Blocks of each stage.
        attending: Attention of every block.
        block: Makes another block than `ResidualBlock`, of channels in and out, and a stride.

    Returns:
        A module from maps (N, stem, H, W) to (N, widths[-1], h, w).
    """
    layers: list[nn.Module] = []
    channels = stem
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        for number in range(count):
            stride = 2 if stage > 0 and number == 0 else 1
            layers.append(
                ResidualBlock(channels, width, stride, attending)
                if block is None
                else block(channels, width, stride)
            )
            channels = width
    return nn.Sequential(*layers)


def standardize_crops(crops: Tensor) -> Tensor:
    """Bring each crop to mean 0 and a spread near 1, so that exposure does not matter.

    Args:
        crops: Gray levels in [0, 255] of any dtype, shape (N, H, H).

    Returns:
        Shape (N, 1, H, H), float32.
    """
    x = crops.float().unsqueeze(1)
    mean = x.mean((2, 3), keepdim=True)
    deviation = (x - mean).square().mean((2, 3), keepdim=True).sqrt()
    return (x - mean) / (deviation + 8.0)


def linear_heads(features: int, tasks: Sequence[Task]) -> nn.ModuleDict:
    """Make a linear layer for each task, (N, features) to (N, K), by the task's key."""
    return nn.ModuleDict({task.key: nn.Linear(features, task.raw_width) for task in tasks})


class LightFaceSpec(NetworkSpec):
    """A small residual network on single 64x64 gray crops.

    ``attention`` weighs, in every block, its channels, or its channels and then its places.
    ``mirror``: after training, a face's features are the mean of its own and its mirror image's.
    """

    kind: Literal["light_face"]
    widths: tuple[int, ...] = (32, 64, 128, 192)
    blocks: tuple[int, ...] = (1, 2, 2, 1)
    features: int = 128
    dropout: float = 0.3
    attention: Literal["none", "channel", "channel_spatial"] = optional_key("none")
    mirror: bool = optional_key(default=False)


class LightFace(nn.Module):
    """Gray crop to a feature vector, with a linear head for each task while it learns.

    Args:
        tasks: What to predict from the features.
        widths: Channels of each stage.
        blocks: Residual blocks of each stage.
        features: Length D of the feature vector.
        dropout: On the features, before the heads.
        attention: Of every block: none, to channels, or to channels and then to places.
        mirror: In evaluation mode, average the features with those of the mirror image.
    """

    spec: ClassVar[type[NetworkSpec]] = LightFaceSpec
    input: ClassVar = "crops"
    has_discriminator: ClassVar = False
    reads_extra: ClassVar = False

    def __init__(
        self,
        tasks: Sequence[Task],
        widths: Sequence[int] = (32, 64, 128, 192),
        blocks: Sequence[int] = (1, 2, 2, 1),
        features: int = 128,
        dropout: float = 0.3,
        attention: AttentionKind = "none",
        *,
        mirror: bool = False,
    ) -> None:
        super().__init__()
        self.mirror = mirror
        self.stem = nn.Sequential(
            nn.Conv2d(1, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        self.stages = residual_stages(widths[0], widths, blocks, attention)
        self.embed = nn.Sequential(nn.Linear(widths[-1], features), nn.BatchNorm1d(features))
        self.dropout = nn.Dropout(dropout)
        self.heads = linear_heads(features, tasks)

    @classmethod
    def build(cls, spec: LightFaceSpec, shape: NetworkShape) -> Self:
        """Make a freshly initialized network.

        Args:
            spec: Its sizes, from a recipe.
            shape: What it is built for; only its tasks count.
        """
        return cls(shape.tasks, **spec.sizes())

    def encode(self, crops: Tensor) -> Tensor:
        """Compute the features of crops.

        Args:
            crops: Gray levels in [0, 255] of any dtype, shape (N, 64, 64).

        Returns:
            Shape (N, D), never negative.
        """
        x = standardize_crops(crops)
        if self.training or not self.mirror:
            return self._look(x)
        return (self._look(x) + self._look(x.flip(3))) / 2

    def _look(self, x: Tensor) -> Tensor:
        """Turn standardised crops (N, 1, 64, 64) into features (N, D)."""
        return torch.relu(self.embed(self.stages(self.stem(x)).mean((2, 3))))

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Compute the raw outputs of crops.

        Args:
            inputs: ``crop`` (N, 64, 64).

        Returns:
            Raw outputs (N, K) of every task, and the features (N, D); no discriminator.
        """
        features = self.encode(inputs["crop"])
        dropped = self.dropout(features)
        raw = {key: head(dropped) for key, head in self.heads.items()}
        return Outputs(raw=raw, domain=None, features=features)
