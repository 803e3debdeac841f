"""A course of feeling turned into a performance: speech, blinks, gaze, head, and being hidden."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from triaffect.synthetic.emotion import Course, Track, wander
from triaffect.synthetic.movement import ACTIONS
from triaffect.synthetic.shot import Instant
from triaffect.synthetic.view import View

AWAY_YAW = 1.15
"""How far a head that turns away turns, radians."""
SEEN_YAW = 0.8
"""Up to this turn a detector finds the face."""
_COLUMN = {action: k for k, action in enumerate(ACTIONS)}


@dataclass(frozen=True)
class Performance:
    """One person's video, frame by frame.

    Attributes:
        instants: What the person shows in each frame.
        actions: Strength of every action, with speech, (T, ACTIONS).
        seen: Whether the face is in the open and turned to the camera, (T,).
    """

    instants: list[Instant]
    actions: Track
    seen: NDArray[np.bool_]


def perform(
    course: Course, aperture: Track, seat: View, rate: float, random: np.random.Generator
) -> Performance:
    """Play a course of feeling on a seat.

    Args:
        course: What is felt.
        aperture: How far the mouth is open for speech in each frame, (T,).
        seat: Where the person sits.
        rate: Frames a second.
        random: Where the randomness comes from.
    """
    count = len(aperture)
    actions = _speaking(course, aperture)
    shown = actions.copy()
    shown[:, _COLUMN[43]] = np.maximum(shown[:, _COLUMN[43]], _blinks(course, rate, random))
    yaw = 0.17 * wander(random, count, rate, 0.9) + random.normal(0, 0.12)
    away, hidden = _absences(count, rate, random)
    yaw = np.clip(yaw, -0.55, 0.55) * (1 - away) + away * AWAY_YAW * random.choice([-1, 1])
    lively = 1 + 0.5 * course.arousal
    pitch = 0.04 + lively * 0.06 * wander(random, count, rate, 0.7) + 0.02 * aperture
    roll = lively * 0.05 * wander(random, count, rate, 0.9)
    sway = 5 * seat.scale * np.stack([wander(random, count, rate, 1.0) for _ in range(2)], 1)
    zoom = seat.scale * (1 + 0.015 * wander(random, count, rate, 1.5))
    gaze = _gaze(yaw, rate, random)
    instants = [
        Instant(
            {action: float(shown[t, k]) for k, action in enumerate(ACTIONS)},
            (float(gaze[t, 0]), float(gaze[t, 1])),
            replace(
                seat,
                yaw=float(yaw[t]),
                pitch=float(pitch[t]),
                roll=float(roll[t]),
                x=seat.x + float(sway[t, 0]),
                y=seat.y + float(sway[t, 1]),
                scale=float(zoom[t]),
            ),
            float(hidden[t]),
        )
        for t in range(count)
    ]
    return Performance(instants, actions, (np.abs(yaw) < SEEN_YAW) & (hidden < 0.1))  # noqa: PLR2004


def _speaking(course: Course, aperture: Track) -> Track:
    """Actions with the mouth's movement in speech and what arousal adds, not above 1.15."""
    actions = course.actions.copy()
    talk = aperture > 0
    speech = {25: 0.3 * talk + 0.55 * aperture, 26: 0.5 * aperture, 10: 0.15 * aperture}
    for action, strength in speech.items():
        column = actions[:, _COLUMN[action]]
        actions[:, _COLUMN[action]] = np.maximum(column, strength) + 0.25 * np.minimum(
            column, strength
        )
    actions[:, _COLUMN[5]] += 0.25 * np.clip(course.arousal - 0.2, 0, 1)
    actions[:, _COLUMN[43]] += 0.25 * np.clip(-course.arousal - 0.1, 0, 1)
    for pressed in (23, 24):
        actions[:, _COLUMN[pressed]] *= 1 - 0.6 * np.clip(actions[:, _COLUMN[25]], 0, 1)
    jaw, parted = _COLUMN[26], _COLUMN[25]
    actions[:, jaw] = np.minimum(actions[:, jaw], actions[:, parted] + 0.15)
    return np.asarray(np.clip(actions, 0, 1.15))


def _blinks(course: Course, rate: float, random: np.random.Generator) -> Track:
    count = len(course.arousal)
    frames = np.arange(count)
    shut = np.zeros(count)
    for start in np.flatnonzero(random.random(count) < 0.35 / rate):
        shut = np.maximum(shut, np.clip(1.5 - np.abs(frames - start) / (0.07 * rate), 0, 1))
    return shut


def _gaze(yaw: Track, rate: float, random: np.random.Generator) -> Track:
    """Eyes that mostly keep to the camera while the head turns, and jump, (T, 2) in mm."""
    count = len(yaw)
    jumps = np.cumsum(random.random(count) < 1.2 / rate)
    targets = random.normal(0, [1.1, 0.5], (int(jumps[-1]) + 1, 2))
    gaze = targets[jumps]
    gaze[:, 0] += np.clip(-8.0 * np.sin(yaw), -4, 4)
    return np.asarray(gaze)


def _absences(count: int, rate: float, random: np.random.Generator) -> tuple[Track, Track]:
    """How far the head is turned away, and how far the face is hidden, both (T,) in [0, 1].

    On average one of either in every ten seconds or so; many short videos have none.
    """
    frames = np.arange(count) / rate
    away, hidden = np.zeros(count), np.zeros(count)
    for track, often, lasts in ((away, 0.07, 0.5), (hidden, 0.045, 0.4)):
        for _ in range(int(random.poisson(often * count / rate))):
            middle, half = random.uniform(0, frames[-1]), lasts * random.uniform(0.4, 1.1)
            level = np.clip((half - np.abs(frames - middle)) / 0.2 + 0.5, 0, 1)
            np.maximum(track, level * level * (3 - 2 * level), out=track)
    return away, hidden
