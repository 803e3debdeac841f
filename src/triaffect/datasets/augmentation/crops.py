"""Augment face crops: light, optics, compression, occlusion. Strengths are drawn for each crop.

Drawn where they belong in an aligned crop, so they go on before the crop is moved.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from triaffect.datasets.batches import some, uniform

GLASSES, MASK, BAR = 0.06, 0.05, 0.10
"""Share of the crops that get each; one crop gets one of them at most."""

EYES_X, EYES_Y, NOSE_Y = (0.346, 0.661), 0.466, 0.645
"""Places of the landmarks in an aligned crop, as shares of its side."""


def cover(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Put something before some faces.

    Args:
        crops: Gray levels in [0, 255], shape (N, H, H), float32; aligned faces.
        rng: Where the random numbers come from.

    Returns:
        Gray levels of the same shape.
    """
    drawn, covered = torch.from_numpy(rng.random(len(crops))), crops.clone()
    first = 0.0
    for share, shape in ((GLASSES, glasses), (MASK, mask), (BAR, bar)):
        rows = ((drawn >= first) & (drawn < first + share)).nonzero()[:, 0]
        first += share
        if len(rows):
            level = uniform(rng, len(rows), 0, 90 if shape is glasses else 255)[:, None, None]
            there = shape(len(rows), crops.shape[-1], rng)
            covered[rows] = torch.where(there, level, covered[rows])
    return covered


def glasses(count: int, side: int, rng: np.random.Generator) -> Tensor:
    """Draw two ellipses over the eyes, and what joins them, bool (count, side, side)."""
    x, y = _pixel_centers(side)
    y = y - EYES_Y - _each(rng, count, -0.03, 0.03)
    wide, high = _each(rng, count, 0.11, 0.17), _each(rng, count, 0.07, 0.13)
    lenses = [((x - eye) / wide).square() + (y / high).square() < 1 for eye in EYES_X]
    between = (x > EYES_X[0]) & (x < EYES_X[1]) & (y.abs() < 0.02)  # noqa: PLR2004
    return lenses[0] | lenses[1] | between


def mask(count: int, side: int, rng: np.random.Generator) -> Tensor:
    """Draw all below the nose's bridge, narrower towards the chin, bool (count, side, side)."""
    x, y = _pixel_centers(side)
    below = y - NOSE_Y + _each(rng, count, 0, 0.12)
    half = _each(rng, count, 0.3, 0.42) - 0.35 * below.clamp(min=0).square()
    return (below > 0) & ((x - 0.5).abs() < half)


def bar(count: int, side: int, rng: np.random.Generator) -> Tensor:
    """Draw a stripe from edge to edge at any angle, bool (count, side, side)."""
    x, y = _pixel_centers(side)
    angle = _each(rng, count, 0, math.pi)
    across = (x - 0.5) * angle.cos() + (y - 0.5) * angle.sin()
    return (across - _each(rng, count, -0.45, 0.45)).abs() < _each(rng, count, 0.02, 0.08)


def _pixel_centers(side: int) -> tuple[Tensor, Tensor]:
    """Return the middle of each pixel as a share of the side: x (1, 1, side), y (1, side, 1)."""
    at = (torch.arange(side) + 0.5) / side
    return at[None, None, :], at[None, :, None]


def _each(rng: np.random.Generator, count: int, low: float, high: float) -> Tensor:
    return uniform(rng, count, low, high)[:, None, None]


DARK, BLOWN_OUT, SIDE_LIGHT = 0.12, 0.12, 0.2
"""Share of the crops with too little light, too much, and light from one side."""
BLURRED, MOVING, COMPRESSED = 0.15, 0.1, 0.3
"""Share of the crops out of focus, blurred along one direction, and in blocks."""
QUALITY = (8.0, 60.0)
"""Range of JPEG's quality."""

BLOCK, MIDDLE = 8, 128.0
LUMINANCE = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=torch.float32,
)
"""Quantisation steps of brightness at quality 50 (ITU-T T.81, table K.1)."""


def light(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Relight all crops a little, and darken, overexpose or light some from the side.

    Args:
        crops: Gray levels in [0, 255], shape (N, H, H), float32.
        rng: Where the random numbers come from.

    Returns:
        Gray levels of the same shape in [0, 255].
    """
    count = len(crops)
    gamma = uniform(rng, count, 0.7, 1.4)[:, None, None]
    gain = torch.ones(count)
    kind = torch.from_numpy(rng.random(count))
    gain = torch.where(kind < DARK, uniform(rng, count, 0.06, 0.5), gain)
    gain = torch.where(kind > 1 - BLOWN_OUT, uniform(rng, count, 1.2, 2.2), gain)
    levels = (crops / 255).clamp_(1e-3, 1).pow_(gamma).mul_(255 * gain[:, None, None])
    rows = some(rng, count, SIDE_LIGHT)
    # side light: brightness, around 1, grows from one side of the crop to the other
    angle = uniform(rng, len(rows), 0, 2 * math.pi)[:, None, None]
    strength = uniform(rng, len(rows), 0.2, 0.9)[:, None, None]
    at = torch.linspace(-1, 1, crops.shape[-1])
    along = angle.cos() * at[None, None, :] + angle.sin() * at[None, :, None]
    levels[rows] *= (1 + strength * along).clamp_(min=0.05)
    return levels.clamp_(0, 255)


def blur(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Put some crops out of focus, and some in motion along rows or columns.

    Args:
        crops: Gray levels, shape (N, H, H), float32.
        rng: Where the random numbers come from.

    Returns:
        Gray levels of the same shape; `crops` itself if none is drawn.
    """
    count = len(crops)
    rows = some(rng, count, BLURRED + MOVING)
    if not len(rows):
        return crops
    wide, narrow = uniform(rng, len(rows), 0.5, 2.4), uniform(rng, len(rows), 0.1, 0.4)
    moving = torch.from_numpy(rng.random(len(rows)) < MOVING / (BLURRED + MOVING))
    along = torch.from_numpy(rng.random(len(rows)) < 0.5)  # noqa: PLR2004
    down = _smear(torch.where(moving & along, narrow, wide), crops.shape[-1])
    across = _smear(torch.where(moving & ~along, narrow, wide), crops.shape[-1])
    blurred = crops.clone()
    blurred[rows] = down @ crops[rows] @ across.mT
    return blurred


def compress(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Round some crops' blocks of 8x8 pixels in frequency, as JPEG and video do.

    Args:
        crops: Gray levels, shape (N, H, H), float32, H a multiple of 8.
        rng: Where the random numbers come from.

    Returns:
        Gray levels of the same shape, which may lie a little outside [0, 255]; `crops` itself if
        none is drawn.
    """
    count, side = len(crops), crops.shape[-1]
    rows = some(rng, count, COMPRESSED)
    if not len(rows):
        return crops
    quality = uniform(rng, len(rows), *QUALITY)
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)  # noqa: PLR2004
    step = (LUMINANCE * scale[:, None, None]).round_().clamp_(1, 255)[:, None, None]
    down, across = rng.integers(0, BLOCK, 2).tolist()  # where in the picture the crop was
    moved = crops[rows].roll((down, across), (1, 2)) - MIDDLE
    blocks = moved.reshape(-1, side // BLOCK, BLOCK, side // BLOCK, BLOCK).transpose(2, 3)
    at = torch.arange(BLOCK, dtype=torch.float32)  # the orthonormal cosine transform of 8 numbers
    waves = torch.cos(math.pi / BLOCK * at[:, None] * (at[None, :] + 0.5)) * math.sqrt(2 / BLOCK)
    waves[0] /= math.sqrt(2)
    spectrum = waves @ blocks @ waves.T
    rounded = waves.T @ ((spectrum / step).round_() * step) @ waves
    compressed = crops.clone()
    back = rounded.transpose(2, 3).reshape(-1, side, side) + MIDDLE
    compressed[rows] = back.roll((-down, -across), (1, 2))
    return compressed


def _smear(sigma: Tensor, side: int) -> Tensor:
    """Make matrices (N, side, side) that average neighbors by a Gaussian, rows adding to 1."""
    at = torch.arange(side, dtype=torch.float32)
    apart = (at[:, None] - at[None, :]).square()
    kernel = torch.exp(-apart / (2 * sigma.square()[:, None, None]))
    return kernel / kernel.sum(2, keepdim=True)
