"""Simulated predictors, scored officially and as the authors' program does.

Labels are drawn with the frequencies of s-Aff-Wild2's validation set (expressions) and training
set (action units); valence and arousal are bell-shaped, cut off at their range. The authors'
program scores shuffled mini-batches, so rows that are independent of each other stand for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.metrics.abaw import per_batch_score, score_targets
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION
from triaffect.tasks.presence import PRESENT
from triaffect.tasks.task import targets_of
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL

TaskArrays = dict[str, NDArray[np.float64]]

ROWS = 15_440
"""Rows of s-Aff-Wild2's validation set that have an expression."""

BATCH_SIZES = (8, 15, 32, 256)

EXPRESSION_COUNTS = np.array([1886, 487, 565, 1254, 3751, 1893, 1003, 4601])
UNIT_RATES = np.array([0.18, 0.08, 0.20, 0.30, 0.40, 0.37, 0.26, 0.02, 0.03, 0.05, 0.68, 0.10])
VALUE_MEANS, VALUE_DEVIATIONS = np.array([0.2, 0.2]), np.array([0.4, 0.3])
"""Of valence and arousal; a guess, as no table of them is published."""

NOISE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Shares of labels that are replaced."""

PAIR_NOISE = 0.4
"""The same for the cautious and the eager predictor."""

LEAST_GAP = 0.01
"""Two predictors closer than this count as equal."""

_TASKS = (VALENCE_AROUSAL, EXPRESSION, ACTION_UNITS)
_RARE = 0.1
_HITS, _ALARMS = 0.5, 2.0
"""Of a rare unit, the share that the eager predictor detects, and its false alarms per unit."""


@dataclass(frozen=True)
class SimulatedPredictor:
    """A predictor's scores in every way of scoring.

    Attributes:
        name: What it does.
        whole: The official score of the whole set, by official name.
        by_batch: Means over mini-batches, for each batch size.
    """

    name: str
    whole: Mapping[str, float]
    by_batch: Mapping[int, Mapping[str, float]]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        by_batch = {str(size): dict(scores) for size, scores in self.by_batch.items()}
        return {"name": self.name, "whole": dict(self.whole), "by_batch": by_batch}


@dataclass(frozen=True)
class Flip:
    """Two predictors that a batch size puts in the other order.

    Attributes:
        better: The one with the higher official score.
        worse: The one with the higher mean over batches.
        batch_size: Rows a batch.
        gap: By how much the better one leads officially.
        batch_gap: By how much the worse one leads in the mean over batches.
    """

    better: str
    worse: str
    batch_size: int
    gap: float
    batch_gap: float


def simulate(rows: int = ROWS, seed: int = 0) -> list[SimulatedPredictor]:
    """Score simulated predictors on simulated labels.

    Args:
        rows: Rows, all labelled for every task; at least the largest batch size.
        seed: Decides labels, predictions and the shuffle into batches.

    Returns:
        The predictors, the best by the official score first.
    """
    rng = np.random.default_rng(seed)
    labels = draw_labels(rows, rng)
    truth = {key: targets_of(values) for key, values in labels.items()}
    order, scored = rng.permutation(rows), []
    for name, values in predictors(labels, rng):
        by_batch = {}
        for size in BATCH_SIZES:
            batches = order[: rows // size * size].reshape(-1, size)
            by_batch[size] = per_batch_score(truth, values, batches, _TASKS).official
        whole = score_targets(truth, values, _TASKS).official
        scored.append(SimulatedPredictor(name, whole, by_batch))
    return sorted(scored, key=lambda each: -each.whole["P_MTL"])


def flips(scored: Sequence[SimulatedPredictor]) -> list[Flip]:
    """List the pairs whose order a batch size reverses, both ways by `LEAST_GAP` at least.

    Args:
        scored: Predictors, from `simulate`.

    Returns:
        One flip for each pair and batch size.
    """
    flips_ = []
    for one, other in combinations(scored, 2):
        gap = one.whole["P_MTL"] - other.whole["P_MTL"]
        better, worse = (one, other) if gap > 0 else (other, one)
        for size in better.by_batch:
            lead = worse.by_batch[size]["P_MTL"] - better.by_batch[size]["P_MTL"]
            if min(abs(gap), lead) >= LEAST_GAP:
                flips_.append(Flip(better.name, worse.name, size, abs(gap), lead))
    return flips_


def draw_labels(rows: int, rng: np.random.Generator) -> TaskArrays:
    """Draw labels whose rows and columns are independent of each other.

    Args:
        rows: How many rows.
        rng: What to draw with.

    Returns:
        By task key, float64, shape (rows, K); every row is labelled for every task.
    """
    shares = EXPRESSION_COUNTS / EXPRESSION_COUNTS.sum()
    return {
        VALENCE_AROUSAL.key: rng.normal(VALUE_MEANS, VALUE_DEVIATIONS, (rows, 2)).clip(-1, 1),
        EXPRESSION.key: np.eye(len(shares))[rng.choice(len(shares), rows, p=shares)],
        ACTION_UNITS.key: (rng.random((rows, len(UNIT_RATES))) < UNIT_RATES).astype(np.float64),
    }


def predictors(labels: TaskArrays, rng: np.random.Generator) -> Iterator[tuple[str, TaskArrays]]:
    """Make predictors, from useless to good; see docs/explanation/scores.md.

    Args:
        labels: From `draw_labels`.
        rng: What to draw with.

    Yields:
        A predictor's name, and its predictions by task key, shape (rows, K).
    """
    rows = len(labels[EXPRESSION.key])
    constant = {
        VALENCE_AROUSAL.key: np.full((rows, 2), VALUE_MEANS),
        EXPRESSION.key: np.eye(EXPRESSION.width)[np.full(rows, EXPRESSION_COUNTS.argmax())],
        ACTION_UNITS.key: np.zeros((rows, ACTION_UNITS.width)),
    }
    yield "constant, no unit", constant
    majority = np.tile((UNIT_RATES > PRESENT).astype(np.float64), (rows, 1))
    yield "constant, AU25 alone", {**constant, ACTION_UNITS.key: majority}
    yield "random", draw_labels(rows, rng)
    for share in NOISE:
        yield f"noise {share:g}", _noisy(labels, share, rng)
    noisy = _noisy(labels, PAIR_NOISE, rng)
    units, rare = noisy[ACTION_UNITS.key], UNIT_RATES < _RARE
    yield "cautious", {**noisy, ACTION_UNITS.key: np.where(rare, 0, units)}
    present = labels[ACTION_UNITS.key] > PRESENT
    hits = present & (rng.random(present.shape) < _HITS)
    alarms = rng.random(present.shape) < _ALARMS * UNIT_RATES
    eager = (hits | alarms).astype(np.float64)
    yield "eager", {**noisy, ACTION_UNITS.key: np.where(rare, eager, units)}


def _noisy(labels: TaskArrays, share: float, rng: np.random.Generator) -> TaskArrays:
    """Replace a share of the labels by others drawn with the same frequencies."""
    others = draw_labels(len(labels[EXPRESSION.key]), rng)
    noisy = {}
    for task in _TASKS:
        values = labels[task.key]
        shape = (len(values), 1 if task.exclusive else task.width)
        noisy[task.key] = np.where(rng.random(shape) < share, others[task.key], values)
    return noisy
