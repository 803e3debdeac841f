"""What a person feels and does over time: expressions come and go, valence and arousal drift.

A video is a row of expressions. Each has a shape of facial actions of its own (after Ekman's
prototypes, with parts left out at random), a place in the plane of valence and arousal, and a
strength that swells and fades. People differ in how strongly they move and in what their face
does at rest. "Other" is a mixture of two expressions, or a combination that has no name.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triaffect.synthetic.movement import ACTIONS, strengths
from triaffect.synthetic.noise import happens

Track = NDArray[np.float64]
NEUTRAL, ANGER, DISGUST, FEAR, HAPPINESS, SADNESS, SURPRISE, OTHER = range(8)
"""Expressions in the order of the annotation codes."""
EXPRESSION_SHARES = np.array([0.135, 0.07, 0.075, 0.105, 0.185, 0.13, 0.10, 0.20])
"""How often each is shown: Aff-Wild2's validation counts, with the rare ones raised."""

PROTOTYPES: dict[int, dict[int, float]] = {
    NEUTRAL: {},
    ANGER: {4: 0.95, 5: 0.3, 7: 0.7, 10: 0.3, 23: 0.75, 24: 0.35, 17: 0.2},
    DISGUST: {9: 0.7, 10: 0.9, 4: 0.5, 7: 0.5, 6: 0.2, 15: 0.25, 17: 0.3, 25: 0.3},
    FEAR: {1: 0.9, 2: 0.45, 4: 0.65, 5: 0.9, 20: 0.7, 25: 0.6, 26: 0.25, 7: 0.3},
    HAPPINESS: {6: 0.75, 12: 0.95, 25: 0.55, 7: 0.4, 10: 0.25},
    SADNESS: {1: 0.8, 4: 0.55, 15: 0.7, 17: 0.45, 6: 0.15, 43: 0.18, 24: 0.15},
    SURPRISE: {1: 0.85, 2: 0.9, 5: 0.7, 25: 0.7, 26: 0.75},
}
_ODD: tuple[dict[int, float], ...] = (
    {4: 0.5, 6: 0.7, 7: 0.8, 10: 0.7, 25: 0.5},
    {12: 0.5, 24: 0.8, 2: 0.3},
    {4: 0.5, 7: 0.6, 23: 0.6, 17: 0.4},
    {1: 0.7, 2: 0.6, 24: 0.7, 15: 0.3},
    {12: 0.6, 15: 0.5, 17: 0.6, 7: 0.4},
    {43: 0.45, 15: 0.35, 26: 0.15, 25: 0.2},
)
_AFFECT = np.array(
    [
        [0.02, 0.0],
        [-0.55, 0.6],
        [-0.6, 0.3],
        [-0.5, 0.65],
        [0.65, 0.45],
        [-0.6, -0.3],
        [0.15, 0.65],
        [-0.05, 0.1],
    ]
)
"""Valence and arousal of each expression at full strength."""
_MASKABLE = 0.2
"""Probability that an expression leaves one of its actions out."""
_FEWEST = 2
_PARTED = 25
"""Lips that part are never left out: what the jaw does would not be seen."""


@dataclass(frozen=True)
class Temper:
    """How one person moves.

    Attributes:
        gains: Factor of every action, in the order of `ACTIONS`.
        tonic: Strength of every action at rest.
        mood: Valence and arousal at rest.
    """

    gains: Track
    tonic: Track
    mood: Track

    @staticmethod
    def draw(random: np.random.Generator) -> Temper:
        """A temper at random."""
        gains = random.uniform(0.75, 1.1) * np.exp(random.normal(0, 0.18, len(ACTIONS)))
        at_rest = strengths({4: 0.10, 7: 0.15, 10: 0.12, 6: 0.08, 12: 0.06, 1: 0.06, 24: 0.05})
        return Temper(
            gains,
            np.maximum(0, at_rest * random.normal(1, 0.8, len(ACTIONS))),
            random.normal(0, [0.08, 0.10]),
        )


@dataclass(frozen=True)
class Course:
    """What one person feels and does without speech, frame by frame.

    Attributes:
        expression: Code of the expression being shown, (T,).
        strength: How strongly, in about [0, 1], (T,).
        valence: In [-1, 1], (T,).
        arousal: In [-1, 1], (T,).
        actions: Strength of every action, (T, ACTIONS).
    """

    expression: NDArray[np.int64]
    strength: Track
    valence: Track
    arousal: Track
    actions: Track


def wander(random: np.random.Generator, count: int, rate: float, memory_s: float) -> Track:
    """A smooth random walk about 0 with standard deviation 1 that forgets within `memory_s`."""
    reach = max(1, round(memory_s * rate))
    kernel = np.exp(-np.arange(4 * reach) / reach)
    kernel = np.convolve(kernel, np.hanning(2 * max(1, reach // 2) + 1))
    kernel /= np.sqrt((kernel**2).sum())
    white = random.standard_normal(count + len(kernel) - 1)
    return np.convolve(white, kernel, mode="valid")


def draw_course(
    expressions: list[int], count: int, rate: float, temper: Temper, random: np.random.Generator
) -> Course:
    """Show these expressions one after the other over `count` frames.

    Args:
        expressions: Codes, in order of appearance.
        count: Number of frames.
        rate: Frames a second.
        temper: Whose face it is.
        random: Where the randomness comes from.
    """
    onsets = _onsets(len(expressions), count, random)
    shares = _shares(onsets, count, rate)
    swell = 0.85 + 0.22 * wander(random, count, rate, 0.6)
    strength = np.clip(swell, 0.15, 1.1)
    actions, affect = np.zeros((count, len(ACTIONS))), np.zeros((count, 2))
    for share, code in zip(shares, expressions, strict=True):
        shape, where = _appearance(code, random)
        driven = (share * strength)[:, None]
        actions += driven * shape
        affect += driven * where
    unrest = np.stack([wander(random, count, rate, 0.5) for _ in ACTIONS], 1)
    actions = temper.gains * actions + temper.tonic + 0.05 * unrest
    drift = np.stack([wander(random, count, rate, 1.2) for _ in range(2)], 1)
    feeling = np.clip(affect * 1.15 + temper.mood + drift * [0.12, 0.15], -1, 1)
    shown = np.array(expressions)[shares.argmax(0)]
    return Course(shown, strength, feeling[:, 0], feeling[:, 1], np.clip(actions, 0, 1.15))


def _onsets(segments: int, count: int, random: np.random.Generator) -> Track:
    """First frames of the segments, of uneven length."""
    weights = random.uniform(0.6, 1.4, segments)
    return np.concatenate([[0], np.cumsum(weights)[:-1] / weights.sum() * count])


def _shares(onsets: Track, count: int, rate: float) -> Track:
    """How much each segment shows in each frame, (segments, T); neighbours cross-fade."""
    frames = np.arange(count)
    rise = np.array([_step((frames - onset) / (0.4 * rate) + 0.5) for onset in onsets])
    rise[0] = 1
    return np.asarray(rise - np.concatenate([rise[1:], np.zeros((1, count))]))


def _step(t: Track) -> Track:
    t = np.clip(t, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _appearance(code: int, random: np.random.Generator) -> tuple[Track, Track]:
    """Facial actions and valence-arousal of one showing of an expression."""
    if code != OTHER:
        shape = _masked(PROTOTYPES[code], random)
        return shape, _AFFECT[code] + random.normal(0, 0.07, 2)
    if happens(random, 0.5):
        shape = _masked(_ODD[int(random.integers(len(_ODD)))], random)
        return shape, _AFFECT[OTHER] + random.normal(0, [0.25, 0.22])
    one, two = random.choice(range(ANGER, OTHER), 2, replace=False)
    shape = 0.6 * (_masked(PROTOTYPES[one], random) + _masked(PROTOTYPES[two], random))
    return shape, (_AFFECT[one] + _AFFECT[two]) * 0.5 + random.normal(0, 0.1, 2)


def _masked(prototype: dict[int, float], random: np.random.Generator) -> Track:
    strength_of = {a: s * random.uniform(0.75, 1.2) for a, s in prototype.items()}
    for action in list(strength_of):
        if action != _PARTED and len(strength_of) > _FEWEST and happens(random, _MASKABLE):
            del strength_of[action]
    return strengths(strength_of).astype(np.float64)
