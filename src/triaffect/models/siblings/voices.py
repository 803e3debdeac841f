"""A network of log-mel segments whose heads of attention are fused, and answered at several depths.

The system is DKDFMH (Zhao and others, arXiv 2303.05134). Its layers are those of the program that
it most likely builds on, as it published none.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from triaffect.models.base import Branch, NetworkShape, NetworkSpec, Outputs, SpecNetwork
from triaffect.voice.log_mel import BANDS, SILENCE

ALONG_BANDS, ALONG_TIME = (2, 10), (8, 2)
"""Filters of the two first layers, in rows and bands."""


class HeadFusionSpec(NetworkSpec):
    """Sizes as in the program that the system most likely builds on.

    Attributes:
        first: Channels of each of the two first layers.
        widths: Channels of the layers after them; the first two halve the map.
        heads: How many heads attend.
        features: Channels of a head, which is the length of the feature vector.
        depths: After how many of the last layers heads attend: the last one answers, the others
            are branches.
    """

    kind: Literal["head_fusion"]
    first: int = 8
    widths: tuple[int, ...] = (32, 48, 64, 80)
    heads: int = 4
    features: int = 64
    depths: int = Field(default=3, ge=1)


class FusedHeads(nn.Module):
    """Heads of attention at every place of a map, fused into one vector.

    A head weighs its values by a softmax over its channels of the product of query and key, place
    by place. The heads stand side by side as further places, and the mean is over all.

    Args:
        channels: Of the map.
        heads: How many heads.
        width: Channels of a head.
    """

    def __init__(self, channels: int, heads: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Conv2d(channels, 3 * heads * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Fuse maps (N, C, T, F) to vectors (N, width)."""
        queries, keys, values = self.project(x).unflatten(1, (3, self.heads, -1)).unbind(1)
        attended = (queries * keys).softmax(2) * values
        y: Tensor = torch.relu(attended).mean((1, 3, 4))
        return y


def convolve(inputs: int, outputs: int, size: tuple[int, int]) -> nn.Sequential:
    """Make a convolution that keeps the map's size, with its norm and activation."""
    (rows, bands), layer = size, nn.Conv2d(inputs, outputs, size, bias=False)
    pad = nn.ZeroPad2d(((bands - 1) // 2, bands // 2, (rows - 1) // 2, rows // 2))
    return nn.Sequential(pad, layer, nn.BatchNorm2d(outputs), nn.ReLU())


class HeadFusion(SpecNetwork):
    """Log-mel segments to a feature vector, with heads at several depths while it learns.

    Args:
        spec: Its sizes.
        shape: What it is built for; only its tasks count.
    """

    spec: ClassVar = HeadFusionSpec
    input: ClassVar = "logmel"
    has_discriminator: ClassVar = False
    reads_extra: ClassVar = False
    has_branches: ClassVar = True

    def __init__(self, spec: HeadFusionSpec, shape: NetworkShape) -> None:
        super().__init__()
        self.stem = nn.ModuleList(
            [convolve(1, spec.first, ALONG_BANDS), convolve(1, spec.first, ALONG_TIME)]
        )
        widths = (2 * spec.first, *spec.widths)
        self.layers = nn.ModuleList(
            convolve(inputs, outputs, (3, 3)) for inputs, outputs in pairwise(widths)
        )
        attended = spec.widths[-spec.depths :]
        self.before = len(spec.widths) - len(attended)
        self.attend = nn.ModuleList(
            FusedHeads(width, spec.heads, spec.features) for width in attended
        )
        widths_of = {task.key: task.raw_width for task in shape.tasks}

        def make_heads() -> nn.ModuleDict:
            return nn.ModuleDict({k: nn.Linear(spec.features, n) for k, n in widths_of.items()})

        self.heads = make_heads()
        self.early_heads = nn.ModuleList(make_heads() for _ in attended[:-1])

    def encode(self, logmel: Tensor) -> Tensor:
        """Compute the features of log-mel segments.

        Args:
            logmel: Natural-log mel power, 100 rows a second, shape (N, T, 64).

        Returns:
            Shape (N, D), never negative.
        """
        return self._encode_depths(logmel)[-1]

    def _encode_depths(self, logmel: Tensor) -> list[Tensor]:
        """Compute the features of every depth, the earliest first, each (N, D)."""
        x = logmel.float().unsqueeze(1) - SILENCE  # so that what pads a map is silence
        x = torch.cat([layer(x) for layer in self.stem], 1)
        features = []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number < 2:  # noqa: PLR2004 - the first two
                x = F.max_pool2d(x, 2)
            if number >= self.before:
                features.append(self.attend[number - self.before](x))
        return features

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Compute the raw outputs of log-mel segments.

        Args:
            inputs: ``logmel`` (N, T, 64).

        Returns:
            Raw outputs (N, K) of every task, the features (N, D), and of each earlier depth a
            branch, "depth1" and so on.
        """
        *early, last = self._encode_depths(inputs["logmel"][:, :, :BANDS])
        everywhere = torch.ones(len(last), dtype=torch.bool, device=last.device)
        branches = {}
        for number, (features, heads) in enumerate(zip(early, self.early_heads, strict=True), 1):
            raw = {key: head(features) for key, head in heads.named_children()}
            branches[f"depth{number}"] = Branch(raw, everywhere)
        raw = {key: head(last) for key, head in self.heads.items()}
        return Outputs(raw, None, last, branches=branches)
