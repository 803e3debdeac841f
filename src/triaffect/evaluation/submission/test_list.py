"""The lines of a challenge's test list, and the moments of a store to predict them from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.aff_wild2_files import read_test_list
from triaffect.corpora.rows import MULTI_TASK_SET, Key, build_moments
from triaffect.errors import AnnotationError, StoreError
from triaffect.features.external.format import ExternalStream
from triaffect.features.store import FeatureStore
from triaffect.types import BoolArray, IntArray, LabelOrigin, Moments, Split

Numbers = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True)
class ImageList:
    """The images of a test list.

    Attributes:
        images: Each line as listed, such as ``"video/00001.jpg"``, N of them.
        videos: Names of the videos in the order of their first lines.
        video: Place of each line's video in ``videos``, shape (N,).
        frame: 0-based frame of each line, shape (N,).
    """

    images: list[str]
    videos: list[str]
    video: IntArray
    frame: IntArray

    @cached_property
    def lines(self) -> list[IntArray]:
        """Return for each video the numbers of its lines from 0, ascending."""
        order = np.argsort(self.video, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.video))[:-1])


def read_images(path: Path) -> ImageList:
    """Read a test list.

    Args:
        path: A text file with an image such as ``video/00001.jpg`` on each line.

    Returns:
        The images in order, with video and frame of each.

    Raises:
        AnnotationError: It cannot be read, names no image, or names one twice.
    """
    images = read_test_list(path)
    seen: set[str] = set()
    for image in images:
        if image in seen:
            texts = enumerate(path.read_text("utf-8-sig").split("\n"), 1)
            first, again = [n for n, text in texts if text.strip(" \t\r,") == image][:2]
            remedy = "leave one out: a submission has one line for each image"
            got = f"{image} of line {first} again"
            raise AnnotationError("every image once", got, remedy, where=f"{path}:{again}")
        seen.add(image)
    numbers: dict[str, int] = {}
    video, frame = np.empty(len(images), np.int64), np.empty(len(images), np.int64)
    for line, image in enumerate(images):
        name, _, file = image.rpartition("/")
        video[line] = numbers.setdefault(name, len(numbers))
        frame[line] = int(file.partition(".")[0]) - 1
    return ImageList(images, list(numbers), video, frame)


def stored_videos(store: FeatureStore, videos: Sequence[str]) -> list[int]:
    """Look up listed videos in a store.

    A source's id is its corpus and the video's name.

    Args:
        store: The store.
        videos: Names of videos.

    Returns:
        Ordinal of each video's source, -1 where the store has none.

    Raises:
        StoreError: Two corpora of the store have a video of that name, or none of the videos
            is in the store.
    """
    names, ordinals = set(videos), dict[str, int]()
    for ordinal, source in enumerate(store.sources):
        name = source.partition("/")[2]
        if name in names and ordinals.setdefault(name, ordinal) != ordinal:
            got = f"{store.sources[ordinals[name]]} and {source}"
            remedy = "extract the corpus of the list into a store of its own"
            raise StoreError("one video of each name", got, remedy, where=store.path)
    if not ordinals:
        remedy = "extract the corpus of the list into it"
        raise StoreError("a store with the listed videos", "none of them", remedy, where=store.path)
    return [ordinals.get(name, -1) for name in videos]


@dataclass(frozen=True)
class Candidates:
    """Moments of one video: all those that the store has anything of, and the listed ones.

    Attributes:
        source: The video's source id.
        track: Its face track.
        lines: Places of its lines in the list, shape (L,).
        moment: Which of the moments each of these lines is of, shape (L,).
        frame: 0-based frame of each moment, ascending, shape (C,).
        time_s: Its time, ascending, shape (C,).
        stored: Whether the store has something of it, shape (C,).
    """

    source: str
    track: int
    lines: IntArray
    moment: IntArray
    frame: IntArray
    time_s: NDArray[np.float64]
    stored: BoolArray


def candidates(
    store: FeatureStore,
    ordinal: int,
    lines: IntArray,
    frame: IntArray,
    streams: Sequence[ExternalStream] = (),
) -> Candidates:
    """Find the moments of a video that its lines may be predicted from.

    Args:
        store: The store.
        ordinal: The video's source in it.
        lines: Places of its lines in the list, shape (L,).
        frame: Their 0-based frames, shape (L,).
        streams: External streams that the network reads.

    Returns:
        The moments at which the store has a face, a voice or a row of a stream, and the listed
        ones.

    Raises:
        StoreError: The video has several face tracks: which one the list means is unclear.
    """
    entry = store.entries[ordinal]
    start, stop = entry.face
    tracks = np.unique(store.face_track[start:stop])
    if len(tracks) > 1:
        remedy = "extract the organisers' aligned crops"
        got = f"{len(tracks)} in {entry.source}"
        raise StoreError("one face track a video", got, remedy, where=store.path)
    frames = store.face_frame[start:stop].astype(np.int64)
    times_s = store.face_time_s[start:stop]
    further_s = [store.voice_time_s[slice(*entry.voice)]]
    joined = ((stream, stream.joined.get(entry.source)) for stream in streams)
    further_s += [stream.time_s[slice(*line.rows)] for stream, line in joined if line]
    further = np.rint(_along(times_s, frames, np.concatenate(further_s), entry.frame_rate))
    stored = np.concatenate([frames, further.astype(np.int64).clip(0)])
    every = np.unique(np.concatenate([stored, frame]))
    return Candidates(
        source=entry.source,
        track=int(tracks[0]) if len(tracks) else 0,
        lines=lines,
        moment=np.searchsorted(every, frame),
        frame=every,
        time_s=_along(frames, times_s, every, 1 / entry.frame_rate),
        stored=np.isin(every, stored),
    )


def _along(x: Numbers, y: Numbers, at: Numbers, slope: float) -> NDArray[np.float64]:
    """Interpolate y at some x, linearly; outside the points by a slope."""
    at = at.astype(np.float64)
    if not len(x):
        return at * slope
    outside = np.minimum(at - x[0], 0) + np.maximum(at - x[-1], 0)
    return np.asarray(np.interp(at, x, y) + outside * slope, np.float64)


def in_batches(videos: Iterator[Candidates], moments: int) -> Iterator[list[Candidates]]:
    """Group whole videos until they have so many moments.

    Args:
        videos: The videos, in order.
        moments: Moments of a group, roughly: the last video of it may exceed them.

    Yields:
        Groups of videos, none empty.
    """
    batch: list[Candidates] = []
    for video in videos:
        batch.append(video)
        if sum(len(each.frame) for each in batch) >= moments:
            yield batch
            batch = []
    if batch:
        yield batch


def moments_of(batch: Sequence[Candidates]) -> Moments:
    """Build every moment of some videos, without labels.

    Args:
        batch: The videos, at least one.

    Returns:
        Their moments, one video after the other, all of the split "test".
    """
    counts = [len(video.frame) for video in batch]
    sources = np.repeat(np.array([video.source for video in batch], object), counts)
    keys: dict[str, Key] = {
        "source": sources,
        "person": sources,
        "track": np.repeat([video.track for video in batch], counts).astype(np.int32),
        "frame": np.concatenate([video.frame for video in batch]).astype(np.int32),
        "time_s": np.concatenate([video.time_s for video in batch]),
        "split": Split.TEST.value,
        "label_set": MULTI_TASK_SET,
    }
    return build_moments(sum(counts), keys, {}, LabelOrigin.HUMAN)
