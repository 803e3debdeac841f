"""The faces of a video, found and followed, frame after frame.

Now and then the whole picture is looked at; in between, faces are looked for near where they
were, which costs less. A cut, or a face that is not found again, makes it look at the whole
picture at once. A cut also ends every track: whoever is shown after it gets a new number.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from triaffect.faces.cuts import CutFinder
from triaffect.faces.detect import Detections, FaceDetector, alignable, iou
from triaffect.faces.track import Tracker
from triaffect.types import BoolArray, FloatArray, IntArray

_SAME = 0.3
"""Least intersection over union of a face's box with that of the frame before."""

_STAY = 1.5
"""Of too many faces the largest are kept; one kept in the frame before counts as so much
larger, lest two of about the same size take turns."""

_SLACK_S = 1e-3
"""Containers round times to milliseconds: a frame so much before a stretch begins is in it."""


def period(time_s: NDArray[np.float64], every_s: float) -> IntArray:
    """Number of the stretch of so many seconds that each moment lies in, from 0."""
    number: IntArray = np.floor((time_s + _SLACK_S) / every_s).astype(np.int64)
    return number


class Follower:
    """Finds the faces of one video's frames and gives them numbers.

    Args:
        detector: Finds faces in one picture.
        every_s: The whole picture is looked at in the first frame of every so many seconds;
            0 looks at all of every frame.
        smallest_px: Faces whose box has a shorter side than this are passed over.
        most: At most so many faces of a frame, the largest; None for all.
    """

    def __init__(
        self,
        detector: FaceDetector,
        every_s: float = 0.0,
        smallest_px: float = 0.0,
        most: int | None = None,
    ) -> None:
        self._detector, self._every_s = detector, every_s
        self._smallest_px, self._most = smallest_px, most
        self._tracker, self._cuts = Tracker(), CutFinder()
        self._period = -1
        self._seen = self._lost = np.empty((0, 4), np.float32)

    def __call__(self, rgb: NDArray[np.uint8], time_s: float) -> tuple[Detections, IntArray]:
        """Find and number the faces of the next frame.

        Args:
            rgb: The frame, uint8, shape (height, width, 3).
            time_s: When it is shown, in seconds; later than the one before.

        Returns:
            The faces in order of their numbers, and the numbers, shape (N,).
        """
        if self._cuts(rgb, time_s):
            self._tracker.forget()
            self._seen = self._lost = self._seen[:0]
        found = self._chosen(self._found(rgb, time_s))
        tracks = self._tracker.update(time_s, found)
        order = np.argsort(tracks)
        return found.take(order), tracks[order]

    def _found(self, rgb: NDArray[np.uint8], time_s: float) -> Detections:
        is_due = self._is_due(time_s)
        if len(self._seen) and not is_due:
            near = np.concatenate([self._seen, self._lost])
            found = alignable(self._detector.around(rgb, near))
            if _again(self._seen, found.boxes).all():
                return found
        else:
            self._lost = self._lost[:0]
        return alignable(self._detector(rgb))

    def _is_due(self, time_s: float) -> bool:
        """Whether the whole picture is to be looked at, on a clock that frames do not set.

        So two videos of one scene at different paces are looked at in the same moments.
        """
        if not self._every_s:
            return True
        before, self._period = self._period, int(period(np.asarray(time_s), self._every_s))
        return self._period > before

    def _chosen(self, found: Detections) -> Detections:
        """Those that are wanted; they, and those just lost, are where to look next."""
        found = found.take(np.flatnonzero(found.boxes[:, 2:].min(axis=1) >= self._smallest_px))
        if self._most is not None and len(found) > self._most:
            size = found.boxes[:, 2:].prod(axis=1)
            size = np.where(_again(found.boxes, self._seen), _STAY * size, size)
            found = found.take(np.sort(np.argsort(-size, kind="stable")[: self._most]))
        gone = np.concatenate([self._lost, self._seen])
        self._lost = gone[~_again(gone, found.boxes)]
        self._seen = found.boxes
        return found


def _again(boxes: FloatArray, found: FloatArray) -> BoolArray:
    """Which boxes (N, 4) one of those found (M, 4) overlaps, each at most one: shape (N,)."""
    overlap, again = iou(boxes, found), np.zeros(len(boxes), np.bool_)
    for column in overlap.T if len(boxes) else ():
        best = int(np.argmax(np.where(again, -1, column)))
        again[best] |= column[best] >= _SAME
    return again
