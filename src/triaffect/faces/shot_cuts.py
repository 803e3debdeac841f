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
    """Tells, frame by frame, whether another shot begins."""

    def __init__(self) -> None:
        self._before: _Gray | None = None
        self._time_s = -math.inf
        self._usual = 0.0

    def __call__(self, rgb: NDArray[np.uint8], time_s: float) -> bool:
        """Look at the next frame.

        Args:
            rgb: The frame, uint8, shape (height, width, 3).
            time_s: When it is shown, in seconds.

        Returns:
            Whether it is the first of a shot; never for the first frame of all.
        """
        picture, before, since_s = small(rgb), self._before, time_s - self._time_s
        if before is not None and since_s < _BLINK_S and _is_blind(picture, before):
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
    """Gray levels of a picture brought to 32×24, shape (24, 32): means of 4×4 or more samples."""
    step = max(1, min(rgb.shape[0] // (4 * _HEIGHT), rgb.shape[1] // (4 * _WIDTH)))
    samples = np.ascontiguousarray(rgb[::step, ::step])
    tiny = cv2.resize(samples, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(tiny, cv2.COLOR_RGB2GRAY), np.uint8)


def unlikeness(one: _Gray, other: _Gray) -> float:
    """One minus the correlation of two small pictures, the best over small shifts; 0 to 2."""
    if _is_flat(one) or _is_flat(other):
        return float(_is_flat(one) != _is_flat(other))
    inner = other[_SHIFT_Y:-_SHIFT_Y, _SHIFT_X:-_SHIFT_X]
    return 1 - float(cv2.matchTemplate(one, inner, cv2.TM_CCOEFF_NORMED).max())


def _is_flat(picture: _Gray) -> bool:
    return float(picture.std()) < _FLAT


def _is_blind(picture: _Gray, before: _Gray) -> bool:
    """Whether blackness or a flash, which makes nothing darker, hides what was there before."""
    change = picture.astype(np.int16) - before
    flash = (change > _BRIGHTER).mean() > _MUCH and (change < -_DARKER).mean() < _LITTLE
    return _is_flat(picture) or bool(flash)
