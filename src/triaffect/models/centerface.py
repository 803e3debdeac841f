"""CenterFace, the face detector's network (Xu et al. 2019, arXiv:1911.03599).

MobileNetV2's inverted residuals at full width, and a pyramid that brings its four coarsest maps
together at a quarter of the picture's size, where each cell says whether a face's center lies in
it. Batch norms of the published network are folded into its convolutions but for those of the
pyramid. Written from the published structure; `tools/detector_import` brings its parameters in.
"""

from __future__ import annotations

from torch import Tensor, nn

STAGES: tuple[tuple[int, int, int, int], ...] = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, width, blocks and first stride of MobileNetV2's stages (its table 2)."""

STEM, PYRAMID = 32, 24
"""Widths of the first convolution and of the pyramid."""

TAPPED = {1: 24, 2: 32, 4: 96, 6: 320}
"""Width by number of the stages whose last map is a level of the pyramid, at 1/4 to 1/32."""

MAPS = {"heat": 1, "scale": 2, "offset": 2, "landmarks": 10}
"""Channels of the outputs, in their order."""


class InvertedResidual(nn.Module):
    """Expand, filter each channel by itself, project; plus the input where shapes allow.

    The block of MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381).

    Args:
        width: Channels of the maps that come in.
        expansion: How many times as many channels are filtered.
        out: Channels of the maps that come out.
        stride: Of the filter.
    """

    def __init__(self, width: int, expansion: int, out: int, stride: int) -> None:
        super().__init__()
        inner = width * expansion
        expand = [nn.Conv2d(width, inner, 1), nn.ReLU()] if expansion > 1 else []
        self.layers = nn.Sequential(
            *expand,
            nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner),
            nn.ReLU(),
            nn.Conv2d(inner, out, 1),
        )
        self.adds_input = stride == 1 and width == out

    def forward(self, x: Tensor) -> Tensor:
        """Turn maps (N, width, H, W) into maps (N, out, H / stride, W / stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.adds_input else y


class CenterFaceNetwork(nn.Module):
    """Faces as peaks of a map.

    Example:
        >>> import torch
        >>> heat, scale, offset, landmarks = CenterFaceNetwork()(torch.zeros(1, 3, 64, 96))
        >>> heat.shape, landmarks.shape
        (torch.Size([1, 1, 16, 24]), torch.Size([1, 10, 16, 24]))
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, STEM, 3, 2, padding=1), nn.ReLU())
        width, stages = STEM, []
        for expansion, out, blocks, stride in STAGES:
            stage = []
            for k in range(blocks):
                stage.append(InvertedResidual(width, expansion, out, stride if k == 0 else 1))
                width = out
            stages.append(nn.Sequential(*stage))
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, PYRAMID, 1), nn.ReLU()) for width in TAPPED.values()
        )
        self.upsamplings = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(PYRAMID, PYRAMID, 2, 2, bias=False),
                nn.BatchNorm2d(PYRAMID, eps=1e-3),
                nn.ReLU(),
            )
            for _ in range(len(TAPPED) - 1)
        )
        self.head = nn.Sequential(nn.Conv2d(PYRAMID, PYRAMID, 3, padding=1), nn.ReLU())
        self.maps = nn.ModuleDict({name: nn.Conv2d(PYRAMID, k, 1) for name, k in MAPS.items()})

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Find faces.

        Args:
            pictures: RGB from 0 to 255, float32, shape (N, 3, H, W), H and W multiples of 32.

        Returns:
            At a quarter of the size: probability that a face's center is here (N, 1, h, w); log
            height and width in cells (N, 2, h, w); the center's y, x within the cell (N, 2, h, w);
            five landmarks' y, x as fractions of the box (N, 10, h, w).
        """
        x: Tensor = self.stem(pictures)
        levels: list[Tensor] = []
        for k, stage in enumerate(self.stages):
            x = stage(x)
            if k in TAPPED:
                levels.append(self.laterals[len(levels)](x))
        merged = levels.pop()
        for upsampling in self.upsamplings:
            merged = levels.pop() + upsampling(merged)
        shared = self.head(merged)
        heat, *rest = (layer(shared) for layer in self.maps.values())
        return heat.sigmoid(), *rest
