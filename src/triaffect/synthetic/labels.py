"""What annotators make of a performance: late, noisy, and not always there."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from triaffect.synthetic.emotion import (
    ANGER,
    DISGUST,
    FEAR,
    HAPPINESS,
    NEUTRAL,
    OTHER,
    SADNESS,
    SURPRISE,
    Course,
    Track,
    wander,
)
from triaffect.synthetic.movement import LABELLED
from triaffect.synthetic.performance import Performance

NO_AFFECT, NO_CODE = -5.0, -1
"""What the files write for a frame that is not annotated: valence and arousal; all others."""

_THRESHOLDS = np.array([0.46, 0.42, 0.44, 0.28, 0.33, 0.24, 0.33, 0.38, 0.30, 0.26, 0.25, 0.38])
"""Strength from which on a coder calls an action unit present, in the order of the labels."""
_CONFUSED = {
    NEUTRAL: OTHER,
    ANGER: DISGUST,
    DISGUST: ANGER,
    FEAR: SURPRISE,
    HAPPINESS: OTHER,
    SADNESS: NEUTRAL,
    SURPRISE: FEAR,
    OTHER: NEUTRAL,
}
_MISTAKES = 0.07
"""Share of time in which an annotator names the expression wrongly."""


@dataclass(frozen=True)
class Labels:
    """Labels of one person's video with the missing codes of the files.

    Attributes:
        affect: Valence and arousal, (T, 2).
        expression: Code, (T,).
        units: 0 or 1 for each of twelve action units, (T, 12).
    """

    affect: Track
    expression: NDArray[np.int64]
    units: NDArray[np.int64]


def annotate(
    course: Course, performance: Performance, rate: float, random: np.random.Generator
) -> Labels:
    """Complete labels as annotators give them."""
    felt = np.stack([course.valence, course.arousal], 1)
    error = np.stack([wander(random, len(felt), rate, 0.8) for _ in range(2)], 1)
    affect = np.clip(_late(felt, 0.25 * rate) + 0.05 * error, -1, 1)
    strengths = performance.actions[:, : len(LABELLED)]
    doubt = np.stack([wander(random, len(felt), rate, 0.3) for _ in LABELLED], 1)
    units = strengths + 0.06 * doubt > _THRESHOLDS + random.normal(0, 0.02, len(LABELLED))
    return Labels(affect, _named(course, rate, random), units.astype(np.int64))


def _late(values: Track, frames: float) -> Track:
    """Follow values with a delay, as a hand on a joystick does."""
    reach = max(1, round(frames))
    kernel = np.exp(-np.arange(4 * reach) / reach)
    kernel /= kernel.sum()
    padded = np.concatenate([np.repeat(values[:1], len(kernel) - 1, axis=0), values])
    return np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], 1)


def _named(course: Course, rate: float, random: np.random.Generator) -> NDArray[np.int64]:
    """Expressions by name: weak ones pass for neutral, a few are mistaken."""
    count = len(course.expression)
    lag = max(1, round(0.1 * rate))
    shown = np.concatenate([np.repeat(course.expression[:1], lag), course.expression])[:count]
    weak = (course.strength < 0.33) & (shown != OTHER)  # noqa: PLR2004
    named = np.where(weak, NEUTRAL, shown)
    unsure = wander(random, count, rate, 0.5)
    mistaken = unsure > NormalDist().inv_cdf(1 - _MISTAKES)
    confused = np.array([_CONFUSED[code] for code in range(OTHER + 1)])
    return np.where(mistaken, confused[named], named)


def with_gaps(labels: Labels, share: float, random: np.random.Generator) -> Labels:
    """Labels with unannotated stretches, a share of the time on average, in each task apart."""
    affect, expression, units = labels.affect.copy(), labels.expression.copy(), labels.units.copy()
    for values, code in ((affect, NO_AFFECT), (expression, NO_CODE), (units, NO_CODE)):
        values[_segments(len(values), share, random)] = code
    return Labels(affect, expression, units)


def _segments(count: int, share: float, random: np.random.Generator) -> NDArray[np.bool_]:
    """Rows in a few runs that cover a share of all rows on average."""
    chosen = np.zeros(count, bool)
    for _ in range(2):
        length = round(count * share * random.uniform(0, 1))
        start = int(random.integers(0, max(1, count - length)))
        chosen[start : start + length] = True
    return chosen
