"""A small residual network on stretches of log-mel spectrum.

Input: natural-log mel power as `triaffect.voice.log_mel` computes it, 100 rows a second of 64
bands. A stretch is seen relative to its loudest place, and nothing below 45 dB under that: how loud
a recording is, and how quiet the room, says more of the microphone than of who speaks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from triaffect.models.base import NetworkShape, NetworkSpec, Outputs, optional_key
from triaffect.models.light_face import linear_heads, residual_stages
from triaffect.tasks.task import Task

RANGE = 4.5 * math.log(10)
"""What is seen below the loudest place, in natural-log power: 45 dB."""
TYPICAL_SPREAD = RANGE / 4
"""Rough deviation of what is left; it only scales the input."""


class LightVoiceSpec(NetworkSpec):
    """A small residual network on segments of log-mel spectrum.

    ``pooled``: how many stages, from the last back, the features are pooled from.
    """

    kind: Literal["light_voice"]
    widths: tuple[int, ...] = (16, 32, 64, 128)
    features: int = 128
    dropout: float = 0.3
    pooled: int = optional_key(1)


def mean_and_spread(maps: Tensor) -> Tensor:
    """Pool maps (N, C, T, F): means over bands, then mean and deviation over time, (N, 2C)."""
    x = maps.mean(3)
    mean = x.mean(2, keepdim=True)
    spread = ((x - mean).square().mean(2) + 1e-5).sqrt()
    return torch.cat([mean.squeeze(2), spread], 1)


class LightVoice(nn.Module):
    """Log-mel stretch to a feature vector, with a linear head for each task while it learns.

    Args:
        tasks: What to predict from the features.
        widths: Channels of each stage.
        features: Length D of the feature vector.
        dropout: On the features, before the heads.
        pooled: Stages that the features are pooled from, counted from the last. What an earlier
            one adds is zero to begin with, so that weights without it can be trained on.
    """

    spec: ClassVar = LightVoiceSpec
    input: ClassVar = "logmel"
    has_discriminator: ClassVar = False
    reads_extra: ClassVar = False

    def __init__(
        self,
        tasks: Sequence[Task],
        widths: Sequence[int] = (16, 32, 64, 128),
        features: int = 128,
        dropout: float = 0.3,
        pooled: int = 1,
    ) -> None:
        super().__init__()
        self.pooled = pooled
        self.stem = nn.Sequential(
            nn.Conv2d(1, widths[0], 5, (4, 2), 2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        self.stages = residual_stages(widths[0], widths, (1,) * len(widths))
        self.embed = nn.Sequential(nn.Linear(2 * widths[-1], features), nn.BatchNorm1d(features))
        self.earlier: nn.Linear | None = None
        if pooled > 1:
            self.earlier = nn.Linear(2 * sum(widths[-pooled:-1]), features, bias=False)
            nn.init.zeros_(self.earlier.weight)
        self.dropout = nn.Dropout(dropout)
        self.heads = linear_heads(features, tasks)

    @classmethod
    def build(cls, spec: LightVoiceSpec, shape: NetworkShape) -> Self:
        """Make a freshly initialized network.

        Args:
            spec: Its sizes, from a recipe.
            shape: What it is built for; only its tasks count.
        """
        return cls(shape.tasks, **spec.sizes())

    def encode(self, logmel: Tensor) -> Tensor:
        """Compute the features of log-mel segments.

        Args:
            logmel: Natural-log mel power, 100 rows a second, shape (N, T, 64).

        Returns:
            Shape (N, D), never negative.
        """
        x = logmel.float()
        above = (x - x.amax((1, 2), keepdim=True) + RANGE).clamp(min=0)
        x = ((above - RANGE / 2) / TYPICAL_SPREAD).unsqueeze(1)
        x, pooled = self.stem(x), []
        for block in self.stages:
            x = block(x)
            pooled.append(x)
        linear, norm = self.embed
        embedded = linear(mean_and_spread(pooled[-1]))
        if self.earlier is not None:
            earlier = [mean_and_spread(maps) for maps in pooled[-self.pooled : -1]]
            embedded = embedded + self.earlier(torch.cat(earlier, 1))
        return torch.relu(norm(embedded))

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Compute the raw outputs of log-mel segments.

        Args:
            inputs: ``logmel`` (N, T, 64).

        Returns:
            Raw outputs (N, K) of every task, and the features (N, D); no discriminator.
        """
        features = self.encode(inputs["logmel"])
        dropped = self.dropout(features)
        raw = {key: head(dropped) for key, head in self.heads.items()}
        return Outputs(raw=raw, domain=None, features=features)
