"""Which parts of a picture to look for faces in that were seen a moment ago.

A part begins and ends at multiples of 32 pixels of the detector's input, where its coarsest map
has its cells: so every pixel falls on the same cells as when the whole picture is looked at,
and a face's box and landmarks come out nearly the same: on eight clips of talking people half
of the time within 0.3 % of its size, with faces of 19 pixels within 2 %; shifting the picture
by a few pixels changes them by 1.5 %.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.types import BoolArray, FloatArray

MULTIPLE = 32

_MARGIN, _LEAST_MARGIN_PX = 0.25, 24
"""Around a box, in its sides and in pixels: how far a face may move, and what the network needs
to see beside a small face to be as sure of it."""

_WORTH = 0.8
"""Parts that are more than this of the picture are not worth being cut out."""

_SHOWN = 0.85
"""A part that shows less than this of a face's box cannot say where the face is."""


@dataclass(frozen=True)
class Region:
    """A part of the detector's input; edges are multiples of 32 pixels.

    Attributes:
        left: First column.
        top: First row.
        right: Column after the last.
        bottom: Row after the last.
    """

    left: int
    top: int
    right: int
    bottom: int

    @staticmethod
    def whole(shape: tuple[int, ...]) -> Region:
        """All of an input of shape (…, H, W)."""
        return Region(0, 0, shape[-1], shape[-2])

    @property
    def area(self) -> int:
        """Count the pixels."""
        return (self.right - self.left) * (self.bottom - self.top)

    def joined(self, other: Region) -> Region:
        """The least region around both."""
        return Region(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def of(self, blob: NDArray[Any]) -> NDArray[Any]:
        """Cut it out of an input (…, H, W)."""
        return blob[..., self.top : self.bottom, self.left : self.right]

    def shows(self, boxes: FloatArray, shape: tuple[int, ...]) -> BoolArray:
        """Which boxes (N, 4) it does not cut off; what the picture itself cuts off counts as shown.

        Args:
            boxes: x, y, width, height in pixels of the input.
            shape: Shape (…, H, W) of the whole input.
        """
        low = np.array([self.left or -np.inf, self.top or -np.inf])
        high = np.array([self.right, self.bottom], np.float64)
        high[high == shape[:-3:-1]] = np.inf
        start, end = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
        shown = np.clip(np.minimum(end, high) - np.maximum(start, low), 0, None)
        return np.asarray(shown.prod(axis=1) >= _SHOWN * boxes[:, 2:].prod(axis=1), np.bool_)


def regions(boxes: FloatArray, shape: tuple[int, ...]) -> list[Region]:
    """The parts of a detector's input in which to look for faces that were in boxes.

    Args:
        boxes: x, y, width, height in pixels of the input, shape (N, 4).
        shape: Shape (…, H, W) of the input, H and W multiples of 32.

    Returns:
        Parts that together cover every box's surroundings; the whole input if they are
        nearly all of it.
    """
    limit = np.array(shape[:-3:-1])
    centre, size = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]
    reach = size / 2 + np.maximum(_MARGIN * size, _LEAST_MARGIN_PX)
    low = np.clip(np.floor((centre - reach) / MULTIPLE) * MULTIPLE, 0, limit - MULTIPLE)
    high = np.clip(np.ceil((centre + reach) / MULTIPLE) * MULTIPLE, low + MULTIPLE, limit)
    edges = np.concatenate([low, high], axis=1).astype(int).tolist()
    parts = _merged(Region(*each) for each in edges)
    whole = Region.whole(shape)
    return parts if sum(part.area for part in parts) < _WORTH * whole.area else [whole]


def _merged(parts: Iterable[Region]) -> list[Region]:
    """Parts of which no two would be smaller as one."""
    merged: list[Region] = []
    for part in parts:
        grown = part
        while near := next((each for each in merged if _better_joined(grown, each)), None):
            merged.remove(near)
            grown = grown.joined(near)
        merged.append(grown)
    return merged


def _better_joined(one: Region, other: Region) -> bool:
    return one.joined(other).area <= one.area + other.area
