"""Small pictures for a page: of a clip along its time, and of each face in it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from triaffect.errors import MediaError
from triaffect.media.frames_at import FramesAt
from triaffect.media.probe import probe
from triaffect.media.video import Frame
from triaffect.report.clip_series import Clip
from triaffect.types import NO_FACE

OF_CLIP, OF_FACE = 24, 12
"""Pictures of a clip, and of each face that has a tab."""

_HEIGHT, _WIDEST, _SIDE = 96, 240, 72
"""Pixels of a picture of the clip, at most so wide, and of a face."""
_MARGIN = 1.3
"""Side of the square that is shown of a face, in longer sides of its box."""
_QUALITY = 72


@dataclass
class ThumbnailMoments:
    """Moments to take pictures of.

    Attributes:
        clip: Times of pictures of the whole.
        boxes: By time, x, y, width and height of the faces to take pictures of, by their number.
    """

    clip: set[float] = field(default_factory=set)
    boxes: dict[float, dict[int, NDArray[np.float64]]] = field(default_factory=dict)


@dataclass
class Thumbnails:
    """Pictures as the page takes them: ``{"t": seconds, "src": data URL}``.

    Attributes:
        clip: Of the whole, in order of time.
        faces: Of each face by its number, likewise.
    """

    clip: list[dict[str, Any]] = field(default_factory=list)
    faces: dict[int, list[dict[str, Any]]] = field(default_factory=dict)


def thumbnails(
    clip: Clip, source: Path, of_clip: int = OF_CLIP, of_face: int = OF_FACE
) -> Thumbnails:
    """Take pictures of a clip; a sound, or a file that cannot be read any more, has none.

    Args:
        clip: What was seen in it, and when.
        source: The file.
        of_clip: Pictures of the whole, at most.
        of_face: Pictures of each face that has a tab, at most.

    Returns:
        JPEG pictures; as few as the file has frames.
    """
    moments, taken = _choose_moments(clip, of_clip, of_face), Thumbnails()
    times_s = np.array(sorted(moments.clip | moments.boxes.keys()))
    for frame in _frames(source, moments, single=clip.frames == 1):
        time_s = float(times_s[np.abs(times_s - frame.time_s).argmin()])
        if time_s in moments.clip:
            taken.clip.append(_picture(frame, _small(frame.rgb)))
        for face, box in moments.boxes.get(time_s, {}).items():
            taken.faces.setdefault(face, []).append(_picture(frame, _cut(frame.rgb, box)))
    return taken


def _choose_moments(clip: Clip, of_clip: int, of_face: int) -> ThumbnailMoments:
    """Moments spread evenly; a face's are the clip's where it is there, as far as they go."""
    moments, segments = ThumbnailMoments(), clip.segments()
    moments_s = clip.moments_s(segments)
    moments.clip = set(moments_s[_spread(len(segments), of_clip)].tolist())
    for face in clip.shown():
        if face == NO_FACE:
            continue
        marks = clip.people[face].series.on(segments, clip.people[face].series.marks)
        for time_s, *box in _chosen(marks[~np.isnan(marks).any(axis=1)], moments.clip, of_face):
            moments.boxes.setdefault(float(time_s), {})[face] = np.array(box)
    return moments


def _chosen(marks: NDArray[np.float64], times_s: set[float], most: int) -> NDArray[np.float64]:
    """Some of a face's times and boxes, (N, 5): those at other pictures' times before others."""
    shared = np.isin(marks[:, 0], list(times_s))
    first, rest = marks[shared], marks[~shared]
    first = first[_spread(len(first), most)]
    return np.concatenate([first, rest[_spread(len(rest), most - len(first))]])


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Numbers of at most so many of a count of things, evenly from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _frames(source: Path, moments: ThumbnailMoments, single: bool) -> Iterator[Frame]:
    """The frames of the moments, as far as they can be decoded; maybe those of a picture."""
    try:
        if single:
            yield from islice(probe(source).frames(), 1)
        else:
            yield from FramesAt(source, moments.clip | moments.boxes.keys())
    except (MediaError, FFmpegError, OSError):
        return  # moved, or broken: the page does without


def _small(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    shrink = min(1.0, _HEIGHT / height, _WIDEST / width)
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _cut(rgb: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A square around a face; outside the picture its edge is continued."""
    x, y, width, height = box
    side = max(2.0, _MARGIN * max(width, height))
    left, top = round(x + (width - side) / 2), round(y + (height - side) / 2)
    rows = np.clip(np.arange(top, top + round(side)), 0, rgb.shape[0] - 1)
    columns = np.clip(np.arange(left, left + round(side)), 0, rgb.shape[1] - 1)
    face = np.ascontiguousarray(rgb[rows][:, columns])
    return np.asarray(cv2.resize(face, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _picture(frame: Frame, rgb: NDArray[np.uint8]) -> dict[str, Any]:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    src = f"data:image/jpeg;base64,{base64.b64encode(content.tobytes()).decode()}"
    return {"t": round(frame.time_s, 3), "src": src}
