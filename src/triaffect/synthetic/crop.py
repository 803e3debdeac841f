"""Aligned faces as Aff-Wild2 gives them: 112×112, eyes and mouth in fixed places."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.synthetic.curves import Array

SIDE = 112
PLACES = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""Left eye, right eye, nose, left and right mouth corner in an aligned face (arXiv:1801.07698)."""


def aligned(frame: NDArray[np.uint8], landmarks: Array) -> NDArray[np.uint8]:
    """The aligned face of a frame, (112, 112, 3), by the similarity with least squares.

    Args:
        frame: RGB, (height, width, 3).
        landmarks: The five points in the frame, pixels, (5, 2).
    """
    x, y = landmarks.astype(np.float64).T
    one, none = np.ones(len(x)), np.zeros(len(x))
    system = np.concatenate([np.stack([x, -y, one, none], 1), np.stack([y, x, none, one], 1)])
    a, b, right, down = np.linalg.lstsq(system, PLACES.T.ravel(), rcond=None)[0]
    matrix = np.array([[a, -b, right], [b, a, down]])
    crop = cv2.warpAffine(frame, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)
