"""Attention: to channels and places of a map, and among the places of a sequence.

The first is the convolutional block attention module of Woo et al. 2018 (arXiv:1807.06521): first
a weight for each channel, then one for each place. The second is a layer of a transformer's encoder
(Vaswani et al. 2017, arXiv:1706.03762).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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


def sinusoidal_positions(length: int, width: int) -> Tensor:
    """Compute the sines and cosines that tell a transformer where in a sequence a vector stands.

    Args:
        length: Places L.
        width: Length D of a vector; even.

    Returns:
        Shape (L, D), float32.

    Examples:
        >>> sinusoidal_positions(2, 4)[0].tolist()
        [0.0, 1.0, 0.0, 1.0]
    """
    angle = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angle = torch.arange(length).unsqueeze(1) * angle
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)


class EncoderLayer(nn.Module):
    """Attention among the places of a sequence, then two dense layers, each added and normalized.

    It has the parameters of torch's layer of this kind, and norms after the sums as that has,
    unless they come first; it takes the same path in training, evaluation and export.

    Args:
        width: Length D of a vector.
        heads: How many heads attend, each to a share of the vector.
        inner: Width between the two dense layers.
        dropout: Share of activations dropped while training.
        activation: Between the dense layers, "relu" or "gelu".
        norm_first: Normalize what goes into the attention and into the dense layers, as vision
            transformers do (Dosovitskiy et al. 2021), not the sums.
        drop_path: Share of rows whose attention, and by itself whose dense part, is left out
            while training; the others' is scaled up (Huang et al. 2016).
    """

    def __init__(
        self,
        width: int,
        heads: int,
        inner: int,
        dropout: float,
        activation: Literal["relu", "gelu"] = "relu",
        *,
        norm_first: bool = False,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm_first, self.drop_path = norm_first, drop_path
        self.project_in, self.project_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.dense = nn.Sequential(
            nn.Linear(width, inner),
            nn.GELU() if activation == "gelu" else nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(inner, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Encode sequences (N, L, D), to the same shape."""
        if self.norm_first:
            x = x + self._drop_rows(self._attend(self.norms[0](x)))
            return x + self._drop_rows(self.dense(self.norms[1](x)))
        x = self.norms[0](x + self._drop_rows(self._attend(x)))
        y: Tensor = self.norms[1](x + self._drop_rows(self.dense(x)))
        return y

    def _attend(self, x: Tensor) -> Tensor:
        """Mix the places of sequences (N, L, D) by attention."""
        rows = self.project_in(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        rate = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(rows[0], rows[1], rows[2], dropout_p=rate)
        attended = self.project_out(attended.transpose(1, 2).flatten(2))
        return F.dropout(attended, self.dropout, self.training)

    def _drop_rows(self, x: Tensor) -> Tensor:
        """Leave out a share of the rows (N, L, D) while training; scale the others up."""
        if not (self.training and self.drop_path):
            return x
        return x * F.dropout(x.new_ones(len(x), 1, 1), self.drop_path)
