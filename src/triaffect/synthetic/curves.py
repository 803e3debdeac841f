"""Smooth building blocks of shapes and colors: steps, bells, curves through points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Real = NDArray[np.floating]
Color = tuple[float, float, float]


def ramp(x: Real, low: float, high: float) -> Array:
    """Smooth step from 0 at `low` to 1 at `high`; `low` may be the greater."""
    t = np.clip((x - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def bell(x: Real, y: Real, x0: float, y0: float, sx: float, sy: float, power: float = 2) -> Array:
    """Bell of height 1 at (x0, y0) with spreads sx, sy; `power` above 2 flattens its top."""
    distance = ((x - x0) / sx) ** 2 + ((y - y0) / sy) ** 2
    return np.asarray(np.exp(-0.5 * distance ** (power / 2)), np.float32)


def bells(x: Real, y: Real, x0: float, y0: float, sx: float, sy: float, power: float = 2) -> Array:
    """A bell on either side of the face, at (x0, y0) and (-x0, y0); the greater of the two."""
    return np.maximum(bell(x, y, x0, y0, sx, sy, power), bell(-x, y, x0, y0, sx, sy, power))


def hill(x: Real, x0: float, spread: float) -> Array:
    """Bell of height 1 over a line."""
    distance = (x - np.float32(x0)) * np.float32(1 / spread)
    return np.asarray(np.exp(np.float32(-0.5) * distance * distance), np.float32)


def edge(distance: Real, softness: float) -> Array:
    """Coverage of a soft edge: 0 outside, 1 inside, half where `distance` is 0."""
    return np.asarray(np.clip(distance * np.float32(1 / softness) + np.float32(0.5), 0, 1))


def lines(along: Real, spacing: float) -> Array:
    """Wrinkles: sharp grooves with rounded ridges between them, from -1 to about 0.3."""
    wave = np.cos(along * np.float32(2 * np.pi / spacing))
    return np.asarray(0.3 - 1.3 * np.clip(wave, 0, 1) ** 3, np.float32)


def fold(x: Real, y: Real, start: tuple[float, float], end: tuple[float, float]) -> Array:
    """Groove along a segment on both cheeks with a swelling at its outer side, about -1 to 0.8."""
    (x0, y0), (x1, y1) = start, end
    length = float(np.hypot(x1 - x0, y1 - y0))
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    side = np.abs(x)
    along = (side - x0) * ux + (y - y0) * uy
    across = -(side - x0) * uy + (y - y0) * ux
    within = ramp(along, -4, 4) * ramp(along, length + 4, length - 4)
    groove = np.exp(-0.5 * (across / 1.8) ** 2)
    swelling = np.exp(-0.5 * ((across - 6) / 4.5) ** 2)
    return np.asarray(within * (0.8 * swelling - groove), np.float32)


def through(
    x: NDArray[np.float64], knots: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Smooth curve through points: cubic Hermite with finite-difference tangents.

    Args:
        x: Where to evaluate, shape (N,).
        knots: Ascending, shape (K,).
        values: One row a knot, shape (K, D).

    Returns:
        Shape (N, D).
    """
    slope = np.gradient(values, knots, axis=0)
    k = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    step = (knots[k + 1] - knots[k])[:, None]
    t = (x - knots[k])[:, None] / step
    rising, falling = t**2 * (3 - 2 * t), (1 - t) ** 2
    return np.asarray(
        (1 - rising) * values[k]
        + rising * values[k + 1]
        + step * (t * falling * slope[k] + t**2 * (t - 1) * slope[k + 1])
    )
