"""Things before a face: sunglasses, a mask over nose and mouth, a bar such as a hand or a pole.

Drawn where they belong in an aligned crop, so they go on before the crop is moved.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from triaffect.samples.draws import uniform

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
    """Two dark ellipses over the eyes, and what joins them, bool (count, side, side)."""
    x, y = _places(side)
    y = y - EYES_Y - _each(rng, count, -0.03, 0.03)
    wide, high = _each(rng, count, 0.11, 0.17), _each(rng, count, 0.07, 0.13)
    lenses = [((x - eye) / wide).square() + (y / high).square() < 1 for eye in EYES_X]
    between = (x > EYES_X[0]) & (x < EYES_X[1]) & (y.abs() < 0.02)  # noqa: PLR2004
    return lenses[0] | lenses[1] | between


def mask(count: int, side: int, rng: np.random.Generator) -> Tensor:
    """All below the nose's bridge, narrower towards the chin, bool (count, side, side)."""
    x, y = _places(side)
    below = y - NOSE_Y + _each(rng, count, 0, 0.12)
    half = _each(rng, count, 0.3, 0.42) - 0.35 * below.clamp(min=0).square()
    return (below > 0) & ((x - 0.5).abs() < half)


def bar(count: int, side: int, rng: np.random.Generator) -> Tensor:
    """A stripe from edge to edge at any angle, bool (count, side, side)."""
    x, y = _places(side)
    angle = _each(rng, count, 0, math.pi)
    across = (x - 0.5) * angle.cos() + (y - 0.5) * angle.sin()
    return (across - _each(rng, count, -0.45, 0.45)).abs() < _each(rng, count, 0.02, 0.08)


def _places(side: int) -> tuple[Tensor, Tensor]:
    """Middle of each pixel as a share of the side: x (1, 1, side) and y (1, side, 1)."""
    at = (torch.arange(side) + 0.5) / side
    return at[None, None, :], at[None, :, None]


def _each(rng: np.random.Generator, count: int, low: float, high: float) -> Tensor:
    return uniform(rng, count, low, high)[:, None, None]
