"""The one way from frames to face crops: detect, cut, follow, align.

Extraction and prediction both go it, so a network is shown in training what it will be shown
later: the same detector, searched as often, the same end of a track at a cut, the same crop.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.faces.alignment import TEMPLATE_SIZE, align_all
from triaffect.faces.detection import (
    SMALL_PX,
    CenterFace,
    Detections,
    FaceDetector,
    alignable,
)
from triaffect.faces.tracking import FaceFollower, select_faces
from triaffect.io.prefetch import prefetch
from triaffect.media.video import Frame
from triaffect.types import IntArray

DETECTION_INTERVAL_S = 0.4
"""Seconds from one search of the whole picture to the next, as `triaffect.prediction.options`,
which loads nothing, has them too. Searching less changes predictions a third as much as a shift
of the picture by five pixels does, see docs/decisions/009-looking-near.md."""

_FRAMES_WAITING, _FACES_WAITING = 4, 16
"""Decoded frames, and frames with their faces, that may wait for the next step."""


@dataclass(frozen=True)
class FrameFaces:
    """The faces of one frame.

    Attributes:
        index: 0-based number of the frame.
        time_s: When it is shown.
        detections: Its N faces in order of their tracks.
        tracks: Their numbers, shape (N,).
        crops: The same faces aligned, RGB, uint8, shape (N, 112, 112, 3).
    """

    index: int
    time_s: float
    detections: Detections
    tracks: IntArray
    crops: NDArray[np.uint8]

    def from_left(self) -> FrameFaces:
        """Number the faces from left to right, as in the first frame of a film.

        Returns:
            The faces of a picture in that order; those of a corpus stand with the surest first.
        """
        if len(self.tracks) < 2:  # noqa: PLR2004 - nothing to order
            return self
        boxes = self.detections.boxes
        order = np.argsort(boxes[:, 0] + boxes[:, 2] / 2, kind="stable")
        return replace(self, detections=self.detections.take(order), crops=self.crops[order])


class FaceStream:
    """Turns the frames of one source after another into aligned, numbered faces.

    It keeps nothing from one source to the next; several threads may share it.

    Args:
        detector: Finds faces in one picture; None for `CenterFace`.
        detection_interval_s: The whole picture is searched in the first frame of every so many
            seconds; in between known faces are followed by their gray levels, or searched for
            near where they were. 0 searches all of every frame.
        min_face_px: Faces whose box has a shorter side than this are passed over; without a
            detector, those of this size are searched for.
        max_faces: At most so many faces of a frame, the largest; None for all.
    """

    def __init__(
        self,
        detector: FaceDetector | None = None,
        detection_interval_s: float = DETECTION_INTERVAL_S,
        min_face_px: float = 0.0,
        max_faces: int | None = None,
    ) -> None:
        usual = CenterFace(min_face_px=min_face_px) if detector is None else detector
        self._detector: FaceDetector = usual
        self._options = detection_interval_s, min_face_px, max_faces

    def follow(self, frames: Iterable[Frame]) -> Generator[FrameFaces]:
        """Detect, follow and align the faces of successive frames.

        Args:
            frames: Frames of one source, their times rising.

        Yields:
            The faces of each frame, also where it has none.
        """
        follower = FaceFollower(self._detector, *self._options)
        for frame in frames:
            detections, tracks = follower(frame.rgb, frame.time_s)
            crops = align_all(frame.rgb, detections.landmarks)
            yield FrameFaces(frame.index, frame.time_s, detections, tracks, crops)

    def follow_prefetched(self, frames: Iterable[Frame]) -> Generator[FrameFaces]:
        """Do as `follow`, with decoding and detecting each ahead in a thread of its own.

        Args:
            frames: Frames of one source, their times rising.

        Yields:
            The same faces, in the same order.
        """
        with (
            closing(prefetch(frames, _FRAMES_WAITING)) as decoded,
            closing(prefetch(self.follow(decoded), _FACES_WAITING)) as faces,
        ):
            yield from faces

    def read_picture(self, rgb: NDArray[np.uint8], assume_face: bool = False) -> FrameFaces:
        """Detect and align the faces of one picture that no other picture belongs to.

        Args:
            rgb: The picture, uint8, shape (height, width, 3).
            assume_face: A small picture without a detection is taken whole, as the crop of the
                face that its corpus says it shows; its box is then all of it, without landmarks
                and with confidence 0.

        Returns:
            Its faces, numbered from 0, as frame 0 at 0 s.
        """
        _, min_face_px, max_faces = self._options
        faces, is_small = alignable(self._detector(rgb)), max(rgb.shape[:2]) <= SMALL_PX
        if not len(faces) and not is_small and isinstance(self._detector, CenterFace):
            faces = self._detector.search_crop(rgb)  # of a small one it was done
        detections = select_faces(faces, min_face_px, max_faces)
        if len(detections) or not (assume_face and is_small):
            crops = align_all(rgb, detections.landmarks)
            return FrameFaces(0, 0.0, detections, np.arange(len(crops)), crops)
        box = np.array([[0, 0, rgb.shape[1], rgb.shape[0]]], np.float32)
        unaligned = np.full((1, 5, 2), np.nan, np.float32)
        whole = Detections(box, unaligned, np.zeros(1, np.float32))
        return FrameFaces(0, 0.0, whole, np.zeros(1, np.int64), resize_crop(rgb)[None])


def resize_crop(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bring the crop of a face to the size of an aligned one.

    Args:
        rgb: The crop, uint8, shape (height, width, 3).

    Returns:
        Uint8, shape (112, 112, 3): shrunk by averaging, or enlarged bilinearly.
    """
    if rgb.shape[:2] == (TEMPLATE_SIZE, TEMPLATE_SIZE):
        return rgb
    method = cv2.INTER_AREA if min(rgb.shape[:2]) > TEMPLATE_SIZE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (TEMPLATE_SIZE, TEMPLATE_SIZE), interpolation=method), "u1")
