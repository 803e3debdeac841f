"""Points to pixels: nearest point wins, at twice the resolution, then averaged down."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.synthetic.curves import Array

OVERSAMPLING = 2
_FULL = 255
_CLOSED = 90
"""Coverage around an empty pixel, of 255, from which on it is a hole and not the outside."""


@dataclass(frozen=True)
class Dots:
    """Colored points on the screen.

    Attributes:
        x: To the right, in pixels of the finished image, shape (N,).
        y: Downwards, shape (N,).
        depth: Towards the viewer, mm, shape (N,).
        color: Display RGB, uint8, shape (N, 3).
    """

    x: Array
    y: Array
    depth: Array
    color: NDArray[np.uint8]


class Canvas:
    """A picture to put points on, transparent where there are none."""

    def __init__(self, width: int, height: int) -> None:
        self.size = width, height
        self.fine = np.zeros((height * OVERSAMPLING, width * OVERSAMPLING, 4), np.uint8)

    def put(self, dots: Dots) -> None:
        """Put a surface down over what is there; its farthest points first, then its pin holes."""
        rows, columns = self.fine.shape[:2]
        x = (dots.x * OVERSAMPLING).astype(np.int32)
        y = (dots.y * OVERSAMPLING).astype(np.int32)
        level = ((dots.depth + 512) * 32).astype(np.uint16)
        level[(x < 0) | (x > columns - 2) | (y < 0) | (y > rows - 2)] = 0
        order = np.argsort(level, kind="stable")
        order = order[np.searchsorted(level[order], 1) :]
        if not len(order):
            return
        x, y = x[order], y[order]
        top, left = int(y.min()), int(x.min())
        target = self.fine[top : int(y.max()) + 2, left : int(x.max()) + 2]
        layer = _stamp(x - left, y - top, dots.color[order], target.shape)
        _close_holes(layer)
        over = layer.view(np.uint32)
        np.copyto(target.view(np.uint32), over, where=over > 0)

    def over(self, background: Array) -> Array:
        """The picture over a background, RGB in 0-255, (height, width, 3)."""
        picture = cv2.resize(self.fine, self.size, interpolation=cv2.INTER_AREA)
        through = cv2.cvtColor(_FULL - picture[..., 3], cv2.COLOR_GRAY2RGB)
        mixed = cv2.multiply(background, through, scale=1 / _FULL, dtype=cv2.CV_32F)
        mixed += picture[..., :3]
        return np.asarray(mixed)


def _stamp(
    x: NDArray[np.int32], y: NDArray[np.int32], color: NDArray[np.uint8], shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """A layer with a square of 2x2 for every point; later points cover earlier ones."""
    layer = np.zeros(shape, np.uint8)
    packed = np.full((len(x), 4), _FULL, np.uint8)
    packed[:, :3] = color
    width = shape[1]
    pixels = (y * width + x)[:, None] + np.array([0, 1, width, width + 1], np.int32)
    layer.reshape(-1, 4).view(np.uint32)[pixels.ravel(), 0] = np.repeat(packed.view(np.uint32), 4)
    return layer


def _close_holes(layer: NDArray[np.uint8]) -> None:
    """Fill empty pixels among points with the mean color around them."""
    around = cv2.blur(layer, (5, 5))
    holes = np.flatnonzero((layer[..., 3] == 0) & (around[..., 3] > _CLOSED))
    near = around.reshape(-1, 4)[holes].astype(np.float32)
    layer.reshape(-1, 4)[holes] = np.minimum(near * (_FULL / near[:, 3:]), _FULL).astype(np.uint8)
