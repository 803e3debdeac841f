"""Frames to instants: every face found, followed, aligned and turned into a vector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from triaffect.faces.align import align_many
from triaffect.faces.detect import Detections, FaceDetector
from triaffect.faces.track import Tracker
from triaffect.features.crops import alignable, batches
from triaffect.features.runners import FaceExtractor
from triaffect.inference.table import NO_FACE, Instants
from triaffect.media.video import Frame
from triaffect.types import FloatArray

FRAMES_AT_ONCE = 32
"""Frames whose faces go through the face network together. Fixed, so that answers cannot
depend on it; only their crops are held, not the frames."""


def watch(
    frames: Iterable[Frame], detector: FaceDetector, tracker: Tracker, extractor: FaceExtractor
) -> Iterator[tuple[Instants, FloatArray]]:
    """Look at frames in order.

    Yields:
        Rows of a few frames, by frame and then track, and the face vectors (N, dim) of those
        N rows that have a face.
    """
    for group in batches(frames_seen(frames, detector, tracker), FRAMES_AT_ONCE):
        instants = Instants.concat([rows for rows, _ in group])
        crops = np.concatenate([faces for _, faces in group])
        yield instants, np.asarray(extractor(crops), np.float32)


def frames_seen(
    frames: Iterable[Frame], detector: FaceDetector, tracker: Tracker
) -> Iterator[tuple[Instants, NDArray[np.uint8]]]:
    """The rows of each frame, and the crops of its faces, uint8 (N, 112, 112, 3)."""
    for frame in frames:
        found = alignable(detector(frame.rgb))
        track = tracker.update(frame.index, found)
        order = np.argsort(track)
        found, track = found.take(order), track[order]
        yield _rows(frame, found, track), align_many(frame.rgb, found.landmarks)


def _rows(frame: Frame, found: Detections, track: NDArray[np.int64]) -> Instants:
    count = max(1, len(found))
    number = np.full(count, frame.index, np.int64)
    time_s = np.full(count, frame.time_s, np.float64)
    if not len(found):
        return Instants.faceless(number, time_s)
    assert (track != NO_FACE).all()  # noqa: S101 - what the tracker promises
    return Instants(number, time_s, track, found.boxes, found.confidence)
