"""Faces in a standard pose: the 112×112 crop that ArcFace and Aff-Wild2's images use.

The five landmarks are brought by a similarity (turn, scale, shift; no mirror) as near as
possible, in squares, to fixed places; outside the picture its edge is continued.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.types import FloatArray

TEMPLATE: FloatArray = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ],
    np.float32,
)
"""Left eye, right eye, nose, left and right mouth corner in a 112x112 crop (Deng et al., 2019,
arXiv:1801.07698), left as the viewer sees it."""

TEMPLATE_SIZE = 112


def similarity(landmarks: FloatArray, size: int = TEMPLATE_SIZE) -> NDArray[np.float64]:
    """Fit the least-squares similarity from landmarks to the template.

    As complex numbers a similarity is w = a·z + b, so the best one is a linear regression.

    Args:
        landmarks: In pixels, shape (5, 2).
        size: Side of the crop in pixels.

    Returns:
        Matrix from picture to crop coordinates, shape (2, 3).

    Raises:
        ValueError: The landmarks all coincide, or are not finite.

    Examples:
        >>> (similarity(2 * TEMPLATE + 1).round(2) + 0.0).tolist()
        [[0.5, 0.0, -0.5], [0.0, 0.5, -0.5]]
    """
    middle, target = _centered_template(size)
    z = [complex(x, y) for x, y in landmarks.tolist()]  # five: faster than arrays
    mean = sum(z) / len(z)
    spread = [each - mean for each in z]
    power = sum(each.real**2 + each.imag**2 for each in spread)
    if not power > 1e-6:  # noqa: PLR2004 - also False for NaN
        raise ValueError("five distinct landmarks expected")
    a = sum(each.conjugate() * w for each, w in zip(spread, target, strict=True)) / power
    b = middle - a * mean
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


@lru_cache
def _centered_template(size: int) -> tuple[complex, list[complex]]:
    """Return the mean of the template's points in a crop of a size, and the points from there."""
    # pixel centres lie at half-integers of the area that a pixel covers
    points = (TEMPLATE.astype(np.float64) + 0.5) * (size / TEMPLATE_SIZE) - 0.5
    middle = complex(*points.mean(axis=0).tolist())
    return middle, [complex(x, y) - middle for x, y in points.tolist()]


def align(
    rgb: NDArray[np.uint8], landmarks: FloatArray, size: int = TEMPLATE_SIZE
) -> NDArray[np.uint8]:
    """Cut one face out in the standard pose.

    Args:
        rgb: The picture, uint8, shape (height, width, 3).
        landmarks: Five points in pixels, shape (5, 2), ordered as in `TEMPLATE`.
        size: Side of the crop in pixels.

    Returns:
        The crop, uint8, shape (size, size, 3).

    Raises:
        ValueError: The landmarks all coincide, or are not finite.
    """
    matrix = similarity(landmarks, size)
    shrink = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if shrink < 0.5:  # noqa: PLR2004 - below that, bilinear sampling would skip pixels
        rgb, matrix = _shrunk(rgb, matrix, size, shrink)
    crop = cv2.warpAffine(
        rgb, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, np.uint8)


def _shrunk(
    rgb: NDArray[np.uint8], matrix: NDArray[np.float64], size: int, shrink: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return the part of the picture that the crop needs, shrunk to about its resolution."""
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]]) @ inverse.T
    limit = np.array(rgb.shape[1::-1])
    margin = 2 / shrink
    x0, y0 = np.clip(corners.min(axis=0) - margin, 0, limit - 1).astype(int)
    x1, y1 = np.clip(corners.max(axis=0) + margin, [x0 + 1, y0 + 1], limit).astype(int)
    part = rgb[y0:y1, x0:x1]
    width, height = max(1, round((x1 - x0) * shrink)), max(1, round((y1 - y0) * shrink))
    small = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
    zoom = np.array([(x1 - x0) / width, (y1 - y0) / height])
    # small pixel u covers picture pixels from x0 + u·zoom on; its centre is half of it further
    back = np.array([[zoom[0], 0, x0 + zoom[0] / 2 - 0.5], [0, zoom[1], y0 + zoom[1] / 2 - 0.5]])
    return np.asarray(small, np.uint8), matrix @ np.vstack([back, [0, 0, 1]])


def align_all(
    rgb: NDArray[np.uint8], landmarks: FloatArray, size: int = TEMPLATE_SIZE
) -> NDArray[np.uint8]:
    """Cut every face of one picture out.

    Args:
        rgb: The picture, uint8, shape (height, width, 3).
        landmarks: Shape (N, 5, 2).
        size: Side of the crops in pixels.

    Returns:
        The crops, uint8, shape (N, size, size, 3).

    Raises:
        ValueError: Landmarks that all coincide, or are not finite.
    """
    crops = np.empty((len(landmarks), size, size, 3), np.uint8)
    for crop, points in zip(crops, landmarks, strict=True):
        crop[:] = align(rgb, points, size)
    return crops
