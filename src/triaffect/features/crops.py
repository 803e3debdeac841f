"""Aligned face crops of one source of a corpus, in batches.

Of faces aligned already (Aff-Wild2), of small crops of a face (FER+) and larger pictures in
which faces are found and aligned, and of videos in which they are also followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.faces.alignment import TEMPLATE_SIZE, align, align_many
from triaffect.faces.detection import CenterFace, FaceDetector, alignable
from triaffect.faces.tracking import Tracker
from triaffect.features.store import KEY_DTYPE
from triaffect.media.video import VideoFrames
from triaffect.types import Source

if TYPE_CHECKING:  # prediction uses this module, and has no corpus to read
    from triaffect.corpora.base import Corpus
    from triaffect.corpora.frame_clock import FrameClock

BATCH = 32
SMALL_PX = 160
"""Longest side of a picture that is taken to be the crop of one face."""

CROP_DETECTION_SIZE, CROP_THRESHOLD = 128, 0.3
"""Pixels to which a crop is brought before its face is looked for, and the least confidence;
by trial on FER+, where 98 % are found so."""

T = TypeVar("T")
_Crop = NDArray[np.uint8]


@dataclass(frozen=True)
class CropBatch:
    """A few face crops.

    Attributes:
        crops: RGB, uint8, shape (N, 112, 112, 3).
        keys: track, frame, time_s of each, of type `KEY_DTYPE`, shape (N,).
    """

    crops: NDArray[np.uint8]
    keys: NDArray[Any]


class Crops:
    """The face crops of a source, while and after they are read.

    Args:
        corpus: Whose source it is.
        source: The source.
        part: Which of every ``parts`` batches of images to take; the others are some other
            process's. A video is one part.
        parts: Into how many the source is divided.

    Attributes:
        problem: After reading: what was wrong with a video of which some could be read.
    """

    def __init__(self, corpus: Corpus, source: Source, part: int = 0, parts: int = 1) -> None:
        self._corpus, self._source = corpus, source
        self._part, self._parts = part, parts
        self.problem: str | None = None

    def __iter__(self) -> Iterator[CropBatch]:
        """Yield the crops.

        Raises:
            MediaError: The pictures cannot be read.
        """
        if self._source.images is not None:
            yield from self._of_images()
        elif self._source.video is not None and self._part == 0:
            yield from self._of_video(self._source.video)

    def _of_images(self) -> Iterator[CropBatch]:
        clock = self._corpus.clock(self._source)
        cut = _whole if self._corpus.aligned else PictureFaces()
        images = self._corpus.images(self._source)
        for number, batch in enumerate(batches(images, BATCH)):
            if number % self._parts == self._part:
                yield from _batched(
                    ((track, frame, time_s), crop)
                    for (frame, image), time_s in _timed(batch, clock)
                    for track, crop in enumerate(cut(image))
                )

    def _of_video(self, path: Path) -> Iterator[CropBatch]:
        frames = VideoFrames(path)
        yield from _batched(_faces(frames))
        self.problem = frames.problem


def _timed(
    images: list[tuple[int, _Crop]], clock: FrameClock
) -> Iterator[tuple[tuple[int, _Crop], float]]:
    times_s = clock.times(np.array([frame for frame, _ in images]))
    return zip(images, times_s.tolist(), strict=True)


def _batched(faces: Iterable[tuple[tuple[int, int, float], _Crop]]) -> Iterator[CropBatch]:
    for batch in batches(faces, BATCH):
        keys = np.array([key for key, _ in batch], KEY_DTYPE)
        yield CropBatch(np.stack([crop for _, crop in batch]), keys)


def _faces(frames: VideoFrames) -> Iterator[tuple[tuple[int, int, float], _Crop]]:
    """Key and crop of every face of every frame."""
    detector, tracker = CenterFace(), Tracker()
    for frame in frames:
        found = alignable(detector(frame.rgb))
        tracks = tracker.update(frame.time_s, found)
        for track, crop in zip(tracks, align_many(frame.rgb, found.landmarks), strict=True):
            yield (int(track), frame.index, frame.time_s), crop


class PictureFaces:
    """The faces of single pictures.

    A picture of at most `SMALL_PX` is taken to be the crop of one face: its surest face is
    aligned, and where none is found the whole picture is taken. Any face of a larger one is.
    """

    def __init__(self) -> None:
        self._in_small: FaceDetector = CenterFace(CROP_DETECTION_SIZE, CROP_THRESHOLD)
        self._in_large: FaceDetector = CenterFace()

    def __call__(self, rgb: NDArray[np.uint8]) -> Sequence[_Crop]:
        """Crops of the faces of an RGB picture, the surest first."""
        if max(rgb.shape[:2]) > SMALL_PX:
            return list(align_many(rgb, alignable(self._in_large(rgb)).landmarks))
        found = alignable(self._in_small(rgb))
        return [align(rgb, found.landmarks[0])] if len(found) else _whole(rgb)


def _whole(rgb: NDArray[np.uint8]) -> Sequence[_Crop]:
    """The whole picture as 112×112, alone."""
    if rgb.shape[:2] == (TEMPLATE_SIZE, TEMPLATE_SIZE):
        return [rgb]
    how = cv2.INTER_AREA if min(rgb.shape[:2]) > TEMPLATE_SIZE else cv2.INTER_LINEAR
    small = cv2.resize(rgb, (TEMPLATE_SIZE, TEMPLATE_SIZE), interpolation=how)
    return [np.asarray(small, np.uint8)]


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
