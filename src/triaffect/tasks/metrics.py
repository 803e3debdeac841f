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
    """Sum two series, their squares and products, by group of rows.

    Args:
        x: First series, shape (N,).
        y: Second series, shape (N,).
        group: Group of each row, from 0, shape (N,).
        groups: Number of groups G.

    Returns:
        n, x, y, x², y², xy; shape (G, 6).

    Examples:
        >>> pair_sums(np.array([1.0, 2.0]), np.array([1.0, 3.0]), np.zeros(2, int), 1).tolist()
        [[2.0, 3.0, 4.0, 5.0, 10.0, 7.0]]
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


def column_pair_sums(
    truth: Floats, prediction: Floats, valid: Bools, group: Ints, groups: int
) -> Doubles:
    """Sum up labels and predictions of several columns, by group of rows.

    Args:
        truth: Labels, shape (N, K).
        prediction: Predictions, NaN where there is none, which counts as 0; shape (N, K).
        valid: Which labels exist, shape (N, K).
        group: Group of each row, from 0, shape (N,).
        groups: Number of groups G.

    Returns:
        Rows with any label, then the sums of `pair_sums` of each column; shape (G, 1 + 6 K).

    Examples:
        >>> ones = np.ones((2, 1))
        >>> column_pair_sums(ones, 2 * ones, ones > 0, np.zeros(2, int), 1).tolist()
        [[2.0, 2.0, 2.0, 4.0, 2.0, 8.0, 4.0]]
    """
    predicted = np.nan_to_num(prediction)
    rows = np.bincount(group[valid.any(axis=1)], minlength=groups)[:, None]
    sums = [
        pair_sums(truth[has, k], predicted[has, k], group[has], groups)
        for k, has in enumerate(valid.T)
    ]
    return np.concatenate([rows, *sums], axis=1)


def concordance(sums: Doubles) -> Doubles:
    """Compute the concordance correlation coefficient (Lin, 1989) with population moments.

    Args:
        sums: From `pair_sums`, shape (..., 6).

    Returns:
        Shape (...); 0 where there are no rows or both series are one and the same constant.

    Examples:
        >>> truth, prediction = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0])
        >>> one_group = np.zeros(3, int)
        >>> round(float(concordance(pair_sums(truth, prediction, one_group, 1))[0]), 3)
        0.667
    """
    count = np.maximum(sums[..., 0], 1)
    mean_x, mean_y, square_x, square_y, product = (sums[..., k] / count for k in range(1, 6))
    spread = square_x - mean_x**2 + square_y - mean_y**2 + (mean_x - mean_y) ** 2
    differs = spread > _EQUAL * (square_x + square_y)
    ratio: Doubles = 2 * (product - mean_x * mean_y) / np.where(differs, spread, 1)
    return np.where(differs, ratio, 0.0)


def outcome_counts(truth: Bools, predicted: Bools, group: Ints, groups: int) -> Doubles:
    """Count each pair of truth and prediction, by group of rows.

    Args:
        truth: What is present, shape (N,).
        predicted: What is predicted, shape (N,).
        group: Group of each row, from 0, shape (N,).
        groups: Number of groups G.

    Returns:
        Rightly absent, false alarms, misses, hits; shape (G, 4).

    Examples:
        >>> truth, predicted = np.array([True, True, False]), np.array([True, False, False])
        >>> outcome_counts(truth, predicted, np.zeros(3, int), 1)
        array([[1., 0., 1., 1.]])
    """
    outcome = 2 * truth.astype(np.int64) + predicted
    counts = np.bincount(group * OUTCOMES + outcome, minlength=groups * OUTCOMES)
    return counts.reshape(groups, OUTCOMES).astype(np.float64)


def confusion_counts(
    truth: Ints, predicted: Ints, classes: int, group: Ints, groups: int
) -> Doubles:
    """Count the confusion matrix of each group of rows.

    Args:
        truth: True class of each row, shape (N,).
        predicted: Predicted class, -1 for none, shape (N,).
        classes: Number of classes C.
        group: Group of each row, from 0, shape (N,).
        groups: Number of groups G.

    Returns:
        Counts by group, true class and prediction, shape (G, C, C + 1); the last column is
        of rows without a prediction.

    Examples:
        >>> truth, predicted = np.array([0, 1, 1]), np.array([0, 1, -1])
        >>> confusion_counts(truth, predicted, 2, np.zeros(3, int), 1)[0]
        array([[1., 0., 0.],
               [0., 1., 1.]])
    """
    columns = classes + 1
    column = np.where(predicted < 0, classes, predicted)
    cell = (group * classes + truth) * columns + column
    counts = np.bincount(cell, minlength=groups * classes * columns)
    return counts.reshape(groups, classes, columns).astype(np.float64)


def outcomes_of_classes(confusion: Doubles) -> Doubles:
    """Count each class against the rest, as `outcome_counts` does.

    Args:
        confusion: From `confusion_counts`, shape (..., C, C + 1).

    Returns:
        Rightly absent, false alarms, misses, hits of each class; shape (..., C, 4).

    Examples:
        >>> outcomes_of_classes(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]))
        array([[2., 0., 0., 1.],
               [1., 0., 1., 1.]])
    """
    own = confusion[..., :, :-1]
    hits = np.diagonal(own, axis1=-2, axis2=-1)
    misses = confusion.sum(-1) - hits
    alarms = own.sum(-2) - hits
    rest = confusion.sum((-2, -1))[..., None] - hits - misses - alarms
    return np.stack([rest, alarms, misses, hits], axis=-1)


def f1(outcomes: Doubles) -> Doubles:
    """Compute F1 of "present"; 0 where it neither occurs nor is predicted.

    Args:
        outcomes: From `outcome_counts`, shape (..., 4).

    Returns:
        Shape (...).

    Examples:
        >>> truth = np.array([True, True, True, False])
        >>> predicted = np.array([True, True, False, True])
        >>> one_group = np.zeros(4, int)
        >>> round(float(f1(outcome_counts(truth, predicted, one_group, 1))[0]), 3)
        0.667
    """
    _, alarms, misses, hits = np.moveaxis(outcomes, -1, 0)
    return _share(2 * hits, 2 * hits + alarms + misses)


def seen(outcomes: Doubles) -> Bools:
    """Tell what occurs or is predicted.

    Args:
        outcomes: From `outcome_counts`, shape (..., 4).

    Returns:
        Shape (...), bool.
    """
    occurs: Bools = outcomes[..., 1:].sum(-1) > 0
    return occurs


def outcome_table(outcomes: Doubles) -> list[dict[str, float | int]]:
    """List F1, precision, recall and counts of each part.

    Args:
        outcomes: Shape (P, 4).

    Returns:
        For each of the P its ``f1``, ``precision``, ``recall``, ``support`` (rows in which it
        is present), ``predicted`` (rows in which it is predicted) and ``rows``; 0/0 is 0.

    Examples:
        >>> table = outcome_table(np.array([[1.0, 0.0, 1.0, 1.0]]))
        >>> table[0]["precision"], table[0]["recall"], table[0]["support"]
        (1.0, 0.5, 2)
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
    """Divide a part by its whole; 0 where the whole is 0."""
    share: Doubles = part / np.maximum(whole, 1)
    return share


def leave_blank(values: Floats, is_blank: Bools, *, exclusive: bool) -> NDArray[np.float32]:
    """Leave out predictions that a model does not give.

    Args:
        values: Activated predictions, shape (N, K).
        is_blank: Which of them, shape (N, K), or (K,) for all rows.
        exclusive: Whether they are classes: those that are left sum to 1 again.

    Returns:
        Shape (N, K), NaN where blank.

    Examples:
        >>> leave_blank(np.array([[0.5, 0.2, 0.3]]), np.array([True, False, False]), exclusive=True)
        array([[nan, 0.4, 0.6]], dtype=float32)
    """
    if is_blank.any():
        values = np.where(is_blank, np.nan, values)
        if exclusive:
            values = values / np.nansum(values, axis=1, keepdims=True)
    return values.astype(np.float32)
