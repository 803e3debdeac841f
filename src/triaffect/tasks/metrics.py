"""The challenge's metrics from sums over rows, in float64: concordance and F1, 0/0 read as 0.

Each metric has two halves: counts or sums of each group of rows, which add up over groups in
any order, and the score that follows from them. A whole set, a stream, a mini-batch and a
resample of videos are then the same few additions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.integer]

PAIR_SUMS = 6
"""Sums behind a concordance: n, x, y, x², y², xy."""

OUTCOMES = 4
"""Counts behind an F1, by 2·truth + prediction: rightly absent, false alarms, misses, hits."""

_EQUAL = 1e-12
"""Two series whose mean square difference and spread are this small a share of their squares
are constant and equal: what is left is rounding."""


def pair_sums(x: Floats, y: Floats, group: Ints, groups: int) -> Doubles:
    """Sums of two series by group of rows.

    Args:
        x: First series, shape (N,).
        y: Second series, shape (N,).
        group: Group of each row, from 0, shape (N,).
        groups: Number of groups G.

    Returns:
        n, x, y, x², y², xy; shape (G, 6).
    """
    count = np.bincount(group, minlength=groups).astype(np.float64)
    mean, apart = [], []
    for series in (x.astype(np.float64), y.astype(np.float64)):
        mean.append(np.bincount(group, series, groups) / np.maximum(count, 1))
        apart.append(series - mean[-1][group])
    # Products of deviations first: summing many squares row by row would lose digits.
    products = [
        np.bincount(group, apart[a] * apart[b], groups) + count * mean[a] * mean[b]
        for a, b in ((0, 0), (1, 1), (0, 1))
    ]
    return np.stack([count, count * mean[0], count * mean[1], *products], axis=1)


def concordance(sums: Doubles) -> Doubles:
    """Concordance correlation coefficient (Lin, 1989) with population moments.

    Args:
        sums: From `pair_sums`, shape (..., 6).

    Returns:
        Shape (...); 0 where there are no rows or both series are one and the same constant.
    """
    count = np.maximum(sums[..., 0], 1)
    mean_x, mean_y, square_x, square_y, product = (sums[..., k] / count for k in range(1, 6))
    spread = square_x - mean_x**2 + square_y - mean_y**2 + (mean_x - mean_y) ** 2
    differs = spread > _EQUAL * (square_x + square_y)
    ratio: Doubles = 2 * (product - mean_x * mean_y) / np.where(differs, spread, 1)
    return np.where(differs, ratio, 0.0)


def outcome_counts(truth: Bools, said: Bools, group: Ints, groups: int) -> Doubles:
    """How often each pair of truth and prediction occurs, by group of rows.

    Args:
        truth: What is present, shape (N,).
        said: What is predicted, shape (N,).
        group: Group of each row, from 0, shape (N,).
        groups: Number of groups G.

    Returns:
        Rightly absent, false alarms, misses, hits; shape (G, 4).
    """
    outcome = 2 * truth.astype(np.int64) + said
    counts = np.bincount(group * OUTCOMES + outcome, minlength=groups * OUTCOMES)
    return counts.reshape(groups, OUTCOMES).astype(np.float64)


def confusion_counts(truth: Ints, said: Ints, classes: int, group: Ints, groups: int) -> Doubles:
    """Confusion matrix by group of rows.

    Args:
        truth: True class of each row, shape (N,).
        said: Predicted class, -1 for none, shape (N,).
        classes: Number of classes C.
        group: Group of each row, from 0, shape (N,).
        groups: Number of groups G.

    Returns:
        Counts by group, true class and prediction, shape (G, C, C + 1); the last column is
        of rows without a prediction.
    """
    columns = classes + 1
    place = (group * classes + truth) * columns + np.where(said < 0, classes, said)
    counts = np.bincount(place, minlength=groups * classes * columns)
    return counts.reshape(groups, classes, columns).astype(np.float64)


def outcomes_of_classes(confusion: Doubles) -> Doubles:
    """Each class against the rest, as `outcome_counts` has them.

    Args:
        confusion: From `confusion_counts`, shape (..., C, C + 1).

    Returns:
        Shape (..., C, 4).
    """
    own = confusion[..., :, :-1]
    hits = np.diagonal(own, axis1=-2, axis2=-1)
    misses = confusion.sum(-1) - hits
    alarms = own.sum(-2) - hits
    rest = confusion.sum((-2, -1))[..., None] - hits - misses - alarms
    return np.stack([rest, alarms, misses, hits], axis=-1)


def f1(outcomes: Doubles) -> Doubles:
    """F1 of "present", shape (..., 4) to (...); 0 where it neither occurs nor is predicted."""
    _, alarms, misses, hits = np.moveaxis(outcomes, -1, 0)
    return _share(2 * hits, 2 * hits + alarms + misses)


def seen(outcomes: Doubles) -> Bools:
    """What occurs or is predicted, shape (..., 4) to (...)."""
    found: Bools = outcomes[..., 1:].sum(-1) > 0
    return found


def outcome_table(outcomes: Doubles) -> list[dict[str, float | int]]:
    """What lies behind each F1.

    Args:
        outcomes: Shape (P, 4).

    Returns:
        For each of the P its ``f1``, ``precision``, ``recall``, ``support`` (rows in which it
        is present), ``predicted`` (rows in which it is predicted) and ``rows``; 0/0 is 0.
    """
    _, alarms, misses, hits = outcomes.T
    shares = np.stack([f1(outcomes), _share(hits, hits + alarms), _share(hits, hits + misses)], 1)
    counts = np.stack([hits + misses, hits + alarms, outcomes.sum(1)], 1).astype(np.int64)
    names = ("f1", "precision", "recall", "support", "predicted", "rows")
    return [
        dict(zip(names, [*share, *count], strict=True))
        for share, count in zip(shares.tolist(), counts.tolist(), strict=True)
    ]


def _share(part: Doubles, whole: Doubles) -> Doubles:
    """Part of a whole, 0 of nothing; a part of nothing is nothing."""
    share: Doubles = part / np.maximum(whole, 1)
    return share
