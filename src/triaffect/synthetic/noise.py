"""Smooth random textures."""

from __future__ import annotations

import cv2
import numpy as np

from triaffect.synthetic.curves import Array


def happens(random: np.random.Generator, probability: float) -> bool:
    """Whether something of this probability comes about."""
    return bool(random.random() < probability)


def smooth_noise(
    random: np.random.Generator, shape: tuple[int, int], grain: tuple[float, float]
) -> Array:
    """Random texture with mean 0 and standard deviation about 1.

    Args:
        random: Where the randomness comes from.
        shape: Rows and columns.
        grain: Size of its features in rows and columns.
    """
    rows, columns = (max(2, round(n / g) + 1) for n, g in zip(shape, grain, strict=True))
    small = random.standard_normal((rows, columns)).astype(np.float32)
    large = cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(large / max(float(large.std()), 1e-3), np.float32)
