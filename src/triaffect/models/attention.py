"""Which channels and which places of a map matter: the convolutional block attention module.

Woo et al. 2018 (arXiv:1807.06521): first a weight for each channel, then one for each place.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

AttentionKind = Literal["none", "channel", "channel_spatial"]

REDUCTION, LEAST = 8, 4
"""How much narrower the inner layer is than the map has channels, and its least width."""
REACH = 7
"""Side of the filter that looks for places."""


class ChannelAttention(nn.Module):
    """A weight for each channel, from its mean and its maximum over the map.

    Args:
        channels: Of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(LEAST, channels // REDUCTION)
        self.weigh = nn.Sequential(
            nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels of maps (N, C, H, W), to maps of the same shape."""
        weight = torch.sigmoid(self.weigh(x.mean((2, 3))) + self.weigh(x.amax((2, 3))))
        return x * weight[:, :, None, None]


class SpatialAttention(nn.Module):
    """A weight for each place, from the mean and the maximum of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(2, 1, REACH, padding=REACH // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the places of maps (N, C, H, W), to maps of the same shape."""
        seen = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.look(seen))


def attention(kind: AttentionKind, channels: int) -> nn.Module:
    """Make the attention of a kind.

    Args:
        kind: None of it, to channels, or to channels and then to places.
        channels: Of the maps.

    Returns:
        A module from maps (N, channels, H, W) to maps of the same shape; of the kind "none", the
        maps themselves.
    """
    if kind == "none":
        return nn.Identity()
    if kind == "channel":
        return ChannelAttention(channels)
    return nn.Sequential(ChannelAttention(channels), SpatialAttention())
