"""Cuts: moments at which a video goes over to another picture.

Successive frames are compared as pictures of 32×24 gray levels by their correlation, the best
over small shifts. That does not depend on brightness or contrast, and little on a shaking or
panning camera. Measured as 1 - correlation: frames of one shot are below 0.01, shifted by up to
6 % of the picture mostly below 0.1; of two people in the same studio, at the same place, above
0.2. A frame under a flash, or a black one, is passed over, unless they
last: a cut from a dark shot to a bright one may be told a quarter of a second late.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 32, 24
_SHIFT_X, _SHIFT_Y = 3, 2
"""Pixels of the small picture that a camera may shake."""

_UNLIKE, _TIMES_USUAL = 0.15, 2.5
"""A cut is a change of at least the former, and this many times the usual one of late."""

_USUAL_S = 0.3
"""What is usual, is so for about this time."""

_BLINK_S = 0.25
"""Longest flash or blackness that is passed over."""

_FLAT = 4.0
"""Least spread, in gray levels, of a picture that shows something."""

_BRIGHTER, _MUCH, _DARKER, _LITTLE = 40, 0.2, 15, 0.05
"""A flash makes more than a share of the pixels so much brighter, and few darker by so much."""

_Gray = NDArray[np.uint8]


class CutFinder:
    """Tells, frame by frame, whether another shot begins; call it with every frame in turn."""

    def __init__(self) -> None:
        self._before: _Gray | None = None
        self._time_s = -math.inf
        self._usual = 0.0

    @property
    def is_first(self) -> bool:
        """Whether the next frame is the first of all."""
        return self._before is None

    def __call__(self, rgb: NDArray[np.uint8], time_s: float) -> bool:
        """Look at the next frame.

        Args:
            rgb: The frame, uint8, shape (height, width, 3).
            time_s: When it is shown, in seconds.

        Returns:
            Whether it is the first of a shot; never for the first frame of all.
        """
        picture, before, since_s = small(rgb), self._before, time_s - self._time_s
        if before is not None and since_s < _BLINK_S:
            # a flash makes nothing darker; it and blackness hide what was there before
            brighter = np.count_nonzero(cv2.subtract(picture, before) > _BRIGHTER)
            darker = np.count_nonzero(cv2.subtract(before, picture) > _DARKER)
            is_flash = brighter > _MUCH * picture.size and darker < _LITTLE * picture.size
            if is_flash or _is_flat(picture):
                return False
        self._before, self._time_s = picture, time_s
        if before is None:
            return False
        unlike = unlikeness(before, picture)
        is_cut = unlike > max(_UNLIKE, _TIMES_USUAL * self._usual)
        gain = 1 - math.exp(-since_s / _USUAL_S)
        self._usual = 0.0 if is_cut else self._usual + gain * (unlike - self._usual)
        return is_cut


def small(rgb: NDArray[np.uint8]) -> _Gray:
    """Shrink a picture to 32×24 gray levels, means of 4×4 or more samples.

    Args:
        rgb: The picture, uint8, shape (height, width, 3).

    Returns:
        Gray levels, uint8, shape (24, 32).
    """
    step = max(1, min(rgb.shape[0] // (4 * _HEIGHT), rgb.shape[1] // (4 * _WIDTH)))
    across, down = rgb.shape[1] // step, rgb.shape[0] // step
    whole = rgb[: step * down, : step * across]
    samples = cv2.resize(whole, (across, down), interpolation=cv2.INTER_NEAREST)
    gray = cv2.cvtColor(samples, cv2.COLOR_RGB2GRAY)
    tiny = cv2.resize(gray, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(tiny, np.uint8)


def unlikeness(one: _Gray, other: _Gray) -> float:
    """Compute one minus the correlation of two pictures, the best over small shifts.

    Args:
        one: Gray levels, shape (24, 32).
        other: Likewise.

    Returns:
        0 (alike) to 2; of two that show nothing 0, of one that does and one that does not 1.

    Examples:
        >>> slope = np.tile(np.arange(32, dtype=np.uint8), (24, 1))
        >>> round(unlikeness(slope, 2 * slope), 3)
        0.0
    """
    one_is_flat, other_is_flat = _is_flat(one), _is_flat(other)
    if one_is_flat or other_is_flat:
        return float(one_is_flat != other_is_flat)
    inner = other[_SHIFT_Y:-_SHIFT_Y, _SHIFT_X:-_SHIFT_X]
    return 1 - float(cv2.matchTemplate(one, inner, cv2.TM_CCOEFF_NORMED).max())


def _is_flat(picture: _Gray) -> bool:
    """Tell whether a picture of gray levels shows nothing."""
    return bool(cv2.meanStdDev(picture)[1][0, 0] < _FLAT)
