"""The challenge's metrics over whole sets, in float64: concordance and F1, with 0/0 read as 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]


@dataclass
class PairMoments:
    """Moments of two series seen so far; updated in blocks without losing precision.

    Attributes:
        count: Number of pairs.
        mean: Means of the two, shape (2,).
        scatter: Sums of products of deviations from the means, shape (2, 2).
    """

    count: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    @staticmethod
    def of(x: Floats, y: Floats) -> PairMoments:
        """Moments of two series, shape (N,) each."""
        pairs = np.stack([x, y]).astype(np.float64)
        if pairs.shape[1] == 0:
            return PairMoments(0, np.zeros(2), np.zeros((2, 2)))
        mean = pairs.mean(axis=1)
        deviation = pairs - mean[:, None]
        return PairMoments(pairs.shape[1], mean, deviation @ deviation.T)

    def add(self, other: PairMoments) -> None:
        """Take in another block (Chan, Golub and LeVeque's pairwise update)."""
        count = self.count + other.count
        if count == 0:
            return
        apart = other.mean - self.mean
        self.scatter += other.scatter + np.outer(apart, apart) * (self.count * other.count / count)
        self.mean += apart * (other.count / count)
        self.count = count

    def ccc(self) -> float:
        """Concordance correlation coefficient (Lin, 1989) with population moments."""
        if self.count == 0:
            return 0.0
        (var_x, cov), (_, var_y) = self.scatter / self.count
        spread = var_x + var_y + (self.mean[0] - self.mean[1]) ** 2
        return float(2 * cov / spread) if spread > 0 else 0.0


class F1Counts:
    """Hits, false alarms and misses of each column, from which F1 follows.

    Args:
        width: Number of columns K.
    """

    def __init__(self, width: int) -> None:
        self.hits = np.zeros(width, np.int64)
        self.alarms = np.zeros(width, np.int64)
        self.misses = np.zeros(width, np.int64)

    def update(self, truth: Bools, prediction: Bools, valid: Bools) -> None:
        """Add rows; every array has shape (N, K)."""
        self.hits += (truth & prediction & valid).sum(axis=0)
        self.alarms += (~truth & prediction & valid).sum(axis=0)
        self.misses += (truth & ~prediction & valid).sum(axis=0)

    def f1(self) -> NDArray[np.float64]:
        """F1 of each column, shape (K,); 0 where it neither occurs nor is predicted."""
        whole = 2 * self.hits + self.alarms + self.misses
        f1: NDArray[np.float64] = 2 * self.hits / np.maximum(whole, 1)
        return f1

    def seen(self) -> Bools:
        """Which columns occur or are predicted, shape (K,)."""
        return (self.hits + self.alarms + self.misses) > 0


def ccc(x: Floats, y: Floats) -> float:
    """Concordance correlation coefficient of two series, shape (N,) each."""
    return PairMoments.of(x, y).ccc()


def binary_f1(truth: Bools, prediction: Bools) -> float:
    """F1 of "present", shape (N,) each."""
    counts = F1Counts(1)
    counts.update(truth[:, None], prediction[:, None], np.ones((len(truth), 1), bool))
    return float(counts.f1()[0])


def macro_f1(truth: NDArray[np.integer], prediction: NDArray[np.integer], classes: int) -> float:
    """Plain mean of the F1 of classes 0 to ``classes`` - 1, shape (N,) each.

    A prediction outside that range is a miss for the true class and no one's false alarm.
    """
    counts = F1Counts(classes)
    each = np.arange(classes)
    every = np.ones((len(truth), classes), bool)
    counts.update(truth[:, None] == each, prediction[:, None] == each, every)
    return float(counts.f1().mean())
