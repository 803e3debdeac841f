"""Find the feature rows of the moments before a moment.

Training (over a feature store) and prediction (over a running video) share these functions,
so that a network is asked about exactly the windows it learnt from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from triaffect.types import IntArray, Window

_SLACK_S = 1e-6
"""Times are sums of floats: a distance this much over the tolerance still counts."""


def nearest_rows(
    times_s: NDArray[np.float64], at_s: NDArray[np.float64], tolerance_s: float
) -> IntArray:
    """Find the row nearest in time to each instant.

    Args:
        times_s: Ascending times of the rows in seconds, shape (M,).
        at_s: Instants in seconds, any shape.
        tolerance_s: The farthest a row may be from its instant, in seconds.

    Returns:
        Row numbers with the shape of `at_s`; -1 where no row is near enough. Of two equally
        near rows the earlier one is taken.
    """
    if len(times_s) == 0:
        return np.full(np.shape(at_s), -1, np.int64)
    after = np.searchsorted(times_s, at_s)
    left = np.clip(after - 1, 0, len(times_s) - 1)
    right = np.clip(after, 0, len(times_s) - 1)
    left_distance = np.abs(at_s - times_s[left])
    right_distance = np.abs(times_s[right] - at_s)
    rows = np.where(right_distance < left_distance - _SLACK_S, right, left)
    distance = np.minimum(left_distance, right_distance)
    return np.where(distance <= tolerance_s + _SLACK_S, rows, -1).astype(np.int64)


def window_rows(
    times: NDArray[np.float64],
    at: NDArray[np.float64],
    window: Window,
    tolerance: float | None = None,
) -> IntArray:
    """Find the rows of one face track under the window of each moment.

    A window position is filled by the row nearest in time within half a hop, so that windows
    mean the same at every frame rate and across dropped frames.

    Args:
        times: Ascending times of the track's rows, in the window's unit (seconds, or frames
            for a window counted in frames), shape (M,).
        at: Times of the moments in the same unit, shape (N,).
        window: Which instants a moment looks at, W of them.
        tolerance: The farthest a row may be from its position; None is half a hop.

    Returns:
        Row numbers into `times`, shape (N, W); -1 where the track has no row.
    """
    positions = np.asarray(at, np.float64)[:, None] + window.offsets_s()
    return nearest_rows(times, positions, window.hop_s / 2 if tolerance is None else tolerance)


def voice_rows(times_s: NDArray[np.float64], at_s: NDArray[np.float64], window: Window) -> IntArray:
    """Find the voice row of each moment: the nearest one, at most a hop away.

    Voice rows lie at multiples of the hop within the sound, so every moment within the sound
    has one. Rows of a causal extractor never come from after the moment.

    Args:
        times_s: Ascending times of the voice rows in seconds, shape (M,).
        at_s: Times of the moments in seconds, shape (N,).
        window: How the voice rows were made; its hop and causality matter here.

    Returns:
        Row numbers, shape (N,); -1 where there is no sound.
    """
    at_s = np.asarray(at_s, np.float64)
    if not window.causal:
        return nearest_rows(times_s, at_s, window.hop_s)
    rows = np.searchsorted(times_s, at_s + _SLACK_S, side="right") - 1
    age_s = at_s - times_s[rows] if len(times_s) else np.zeros_like(at_s)
    return np.where(age_s <= window.hop_s + _SLACK_S, rows, -1).astype(np.int64)
