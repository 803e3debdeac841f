"""Frames to instants: every face found, followed and cut out in the standard pose."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triaffect.faces.alignment import align_many
from triaffect.faces.detection import Detections
from triaffect.faces.quality import sharpness
from triaffect.faces.tracking import Follower, period
from triaffect.features.crops import batches
from triaffect.io.prefetch import ahead
from triaffect.media.video import Frame
from triaffect.tables.schema import Instants
from triaffect.types import NO_FACE, BoolArray, IntArray

FRAMES_AT_ONCE = 32
"""Frames that go on together: their faces fill a batch of the face network. No answer depends on
it; only their crops are held, not the frames."""

_FRAMES_WAITING, _SIGHTS_WAITING = 4, 16
"""Decoded frames, and frames whose faces were found, that may wait for the next step."""


@dataclass(frozen=True)
class Sight:
    """What was seen in a few successive frames.

    Attributes:
        instants: N rows, by frame and then track.
        crops: The faces of those rows that have one, in order, uint8, shape (M, 112, 112, 3).
    """

    instants: Instants
    crops: NDArray[np.uint8]


def watch(frames: Iterable[Frame], follower: Follower) -> Generator[Sight]:
    """Look at frames in order; decoding and finding faces each have a thread of their own."""
    with (
        closing(ahead(frames, _FRAMES_WAITING)) as decoded,
        closing(ahead(seen(decoded, follower), _SIGHTS_WAITING)) as sights,
    ):
        for group in batches(sights, FRAMES_AT_ONCE):
            instants = Instants.concat([sight.instants for sight in group])
            yield Sight(instants, np.concatenate([sight.crops for sight in group]))


def seen(frames: Iterable[Frame], follower: Follower) -> Generator[Sight]:
    """What is seen in each frame."""
    for frame in frames:
        found, track = follower(frame.rgb, frame.time_s)
        crops = align_many(frame.rgb, found.landmarks)
        yield Sight(_rows(frame, found, track, crops), crops)


def _rows(frame: Frame, found: Detections, track: IntArray, crops: NDArray[np.uint8]) -> Instants:
    count = max(1, len(found))
    number = np.full(count, frame.index, np.int64)
    time_s = np.full(count, frame.time_s, np.float64)
    if not len(found):
        return Instants.faceless(number, time_s)
    assert (track != NO_FACE).all()  # noqa: S101 - what the tracker promises
    face = found.boxes, found.confidence, found.landmarks, sharpness(crops)
    return Instants(number, time_s, track, *face)


class Pace:
    """Picks the moments that are to have rows: every frame's, or one every so many seconds.

    Of the frames shown from one multiple of the seconds to the next, the first is taken.

    Args:
        every_s: Seconds from one moment to the next; None for every frame.
    """

    def __init__(self, every_s: float | None) -> None:
        self._every_s = every_s
        self._step = -1

    def wanted(self, time_s: NDArray[np.float64]) -> BoolArray:
        """Which of the next rows (N,) to keep; their times ascend, and are equal within a frame."""
        if self._every_s is None or not len(time_s):
            return np.ones(len(time_s), np.bool_)
        at_s, frame = np.unique(time_s, return_inverse=True)
        step = period(at_s, self._every_s)
        before = np.concatenate([[self._step], step[:-1]])
        self._step = int(step[-1])
        return np.asarray((step > before)[frame], np.bool_)
