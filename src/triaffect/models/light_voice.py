"""A small residual network on stretches of log-mel spectrum.

Input: natural-log mel power as `triaffect.voice.log_mel` computes it, 100 rows a second of 64
bands. A stretch is seen relative to its loudest place, and nothing below 45 dB under that: how loud
a recording is, and how quiet the room, says more of the microphone than of who speaks. Its pitch
may come beside it, as `triaffect.voice.pitch` computes it: 64 bands do not show it.
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
from triaffect.voice.acoustics import LOUD, VOICED
from triaffect.voice.log_mel import BANDS

RANGE = 4.5 * math.log(10)
"""What is seen below the loudest place, in natural-log power: 45 dB."""
TYPICAL_SPREAD = RANGE / 4
"""Rough deviation of what is left; it only scales the input."""


class LightVoiceSpec(NetworkSpec):
    """A small residual network on segments of log-mel spectrum.

    ``pooled``: how many stages, from the last back, the features are pooled from. ``pitch``:
    read the pitch beside the spectrum, from a store of ``logmel64_pitch``.
    """

    kind: Literal["light_voice"]
    widths: tuple[int, ...] = (16, 32, 64, 128)
    features: int = 128
    dropout: float = 0.3
    pooled: int = optional_key(1)
    pitch: bool = optional_key(default=False)


def mean_and_spread(maps: Tensor) -> Tensor:
    """Pool maps (N, C, T, F): means over bands, then mean and deviation over time, (N, 2C)."""
    x = maps.mean(3)
    mean = x.mean(2, keepdim=True)
    spread = ((x - mean).square().mean(2) + 1e-5).sqrt()
    return torch.cat([mean.squeeze(2), spread], 1)


class PitchBranch(nn.Module):
    """What the pitch along time adds to the embedding; nothing to begin with.

    Args:
        features: Length D of the embedding.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, span in ((5, 32, 9), (32, 48, 5), (48, 64, 5), (64, 96, 5)):
            convolution = nn.Conv1d(before, after, span, 2, span // 2, bias=False)
            layers += [convolution, nn.BatchNorm1d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.out = nn.Linear(2 * 96, features, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, spectrum: Tensor, pitch: Tensor) -> Tensor:
        """Read a pitch.

        Args:
            spectrum: Natural-log mel power, shape (N, T, 64).
            pitch: Octaves above 150 Hz, and periodicity in [0, 1], shape (N, T, 2).

        Returns:
            Shape (N, D).
        """
        octaves, periodicity = pitch[:, :, 0], pitch[:, :, 1]
        power = spectrum.logsumexp(2)
        below = power.amax(1, keepdim=True) - power
        voiced = ((periodicity > VOICED) & (below < LOUD)).float()
        mean = (octaves * voiced).sum(1, keepdim=True) / voiced.sum(1, keepdim=True).clamp(min=1)
        loudness = 1 - below.clamp(max=2 * LOUD) / LOUD
        parts = [octaves, 3 * (octaves - mean), torch.ones_like(octaves)]
        rows = [part * voiced for part in parts] + [2 * periodicity - 1, loudness]
        maps = self.layers(torch.stack(rows, 1))
        added: Tensor = self.out(mean_and_spread(maps.unsqueeze(3)))
        return added


class LightVoice(nn.Module):
    """Log-mel stretch to a feature vector, with a linear head for each task while it learns.

    Args:
        tasks: What to predict from the features.
        widths: Channels of each stage.
        features: Length D of the feature vector.
        dropout: On the features, before the heads.
        pooled: Stages that the features are pooled from, counted from the last. What an earlier
            one adds is zero to begin with, so that weights without it can be trained on.
        pitch: Read the pitch too; what it adds is likewise zero to begin with.
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
        pitch: bool = False,
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
        self.pitch = PitchBranch(features) if pitch else None
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
            logmel: Natural-log mel power, 100 rows a second, shape (N, T, 64), or (N, T, 66)
                with pitch and periodicity.

        Returns:
            Shape (N, D), never negative.
        """
        x = logmel[:, :, :BANDS].float()
        beside = self.pitch(x, logmel[:, :, BANDS:].float()) if self.pitch is not None else None
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
        if beside is not None:
            embedded = embedded + beside
        return torch.relu(norm(embedded))

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Compute the raw outputs of log-mel segments.

        Args:
            inputs: ``logmel`` (N, T, 64 or 66).

        Returns:
            Raw outputs (N, K) of every task, and the features (N, D); no discriminator.
        """
        features = self.encode(inputs["logmel"])
        dropped = self.dropout(features)
        raw = {key: head(dropped) for key, head in self.heads.items()}
        return Outputs(raw=raw, domain=None, features=features)
