"""Decode the frames of a video at given times, and count its frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from numpy.typing import NDArray

from triaffect.media.container import (
    duration_s,
    needed_video_stream,
    opened,
    packets,
    start_s,
    stream_duration_s,
)
from triaffect.media.video import (
    Frame,
    RisingTimes,
    VideoFrames,
    display_matrix,
    stream_rate,
    upright,
)

_ONE_PICTURE_A_PACKET = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
"""Containers that store whole pictures, each with the time at which it is shown."""

_SHOWS_EVERY_PACKET = frozenset(
    {"h264", "hevc", "av1", "libdav1d", "vp9", "mjpeg", "ffv1", "prores"}
)
"""Codecs without hidden or repeated pictures of their own in such a container (VP8 has them)."""


def frame_times(path: str | Path) -> NDArray[np.float64]:
    """Time of every frame of a video: what `VideoFrames` yields, without the pictures.

    Time stamps are listed where a file gives each picture its own; any other file (a transport
    stream, an AVI, one that starts in the middle of a scene) is decoded.

    Returns:
        Seconds from the start of the file, rising, shape (frames,). Element k belongs to the
        frame of index k; a frame that does not decode has the time at which it would be shown.

    Raises:
        MediaError: Not a file, not a video, or not one frame can be decoded.
    """
    path = Path(path)
    with opened(path) as container:
        times = _listed(container, needed_video_stream(container, path))
    return _decoded(path) if times is None else times


def _listed(container: InputContainer, stream: VideoStream) -> NDArray[np.float64] | None:
    """Times by the packets' stamps; None where they may not be those of the frames."""
    if container.format.name not in _ONE_PICTURE_A_PACKET:
        return None
    if stream.codec_context.name not in _SHOWS_EVERY_PACKET:
        return None
    stamps = _stamps(container, stream)
    if stamps is None or not stamps or stamps[0].pts != min(stamp.pts for stamp in stamps):
        return None  # what is shown before the first whole picture is the decoder's secret
    times = RisingTimes(container, stream)
    shown = sorted(stamp.pts for stamp in stamps if not stamp.hidden)
    return np.array([times.next_s(pts, stream.time_base) for pts in shown])


class _Stamp(NamedTuple):
    """Time stamp of a packet, and whether an edit list hides its picture."""

    pts: int
    hidden: bool


def _stamps(container: InputContainer, stream: VideoStream) -> list[_Stamp] | None:
    """Of every packet, in the order stored; None if one is damaged or has none."""
    stamps: list[_Stamp] = []
    try:
        for packet in packets(container, stream):
            if not packet.size:
                continue  # the one that ends the stream
            if packet.pts is None or packet.is_corrupt or not (stamps or packet.is_keyframe):
                return None
            stamps.append(_Stamp(packet.pts, packet.is_discard))
    except FFmpegError:
        return None
    return stamps


def _decoded(path: Path) -> NDArray[np.float64]:
    frames = [(frame.index, frame.time_s) for frame in VideoFrames(path, max_size=16)]
    index, times = np.array(frames).T
    every: NDArray[np.float64] = np.interp(np.arange(index[-1] + 1), index, times)
    return every


_AHEAD = 600
"""Frames decoded at most to get to a wanted one; encoders put a whole picture, from which
decoding can start, at least every 250 or so."""

_NEAR_S = 2.0
"""A wanted time at most so far ahead is decoded to; jumping would decode about as much again."""

_EXACT_S = 0.0005
"""Times are written to a microsecond, and a file's clock ticks every millisecond at best."""


class FramesAt(VideoFrames):
    """The frames shown at certain times.

    The frames' numbers are all 0, as they are not counted from the start. A time that cannot be
    reached yields nothing: the file ends or is broken before it, or cannot be jumped in.

    Args:
        path: The video.
        times_s: When, as the frames' own times; any order, each once.

    Raises:
        MediaError: Not a file, not a video, or not one frame can be decoded.
    """

    def __init__(self, path: str | Path, times_s: Iterable[float]) -> None:
        super().__init__(path)
        self._times_s = sorted(times_s)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order of time."""
        with opened(self.path) as container:
            stream = needed_video_stream(container, self.path)
            half_s, at = 0.5 / stream_rate(stream), _Place(self, container, stream)
            for wanted_s in self._times_s:
                picture = at.go(wanted_s - _EXACT_S)
                if picture is not None and abs(at.time_s - wanted_s) <= half_s:
                    rgb = upright(picture, display_matrix(picture), self.max_size)
                    yield Frame(0, at.time_s, rgb)

    def pictures_from(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[av.VideoFrame]:
        """Frames from where the container stands."""
        return (picture for _, picture in self._pictures(container, stream))


class _Place:
    """Where decoding is in an open video."""

    def __init__(self, frames: FramesAt, container: InputContainer, stream: VideoStream) -> None:
        self._frames, self._container, self._stream = frames, container, stream
        self._now: av.VideoFrame | None = None
        self._restart()

    def _restart(self) -> None:
        self._pictures = self._frames.pictures_from(self._container, self._stream)
        self._clock, self._now = RisingTimes(self._container, self._stream), None
        self.time_s = -1.0

    def go(self, from_s: float) -> av.VideoFrame | None:
        """The first frame at or after a time, which lies at or after the last one asked for."""
        if self._now is not None and self.time_s >= from_s:
            return self._now
        if not self.time_s <= from_s <= self.time_s + _NEAR_S and not self._jump(from_s):
            return None
        for _ in range(_AHEAD):
            self._now = next(self._pictures, None)
            if self._now is None:
                return None
            self.time_s = self._clock.next_s(self._now.pts, self._now.time_base)
            if self.time_s >= from_s:
                return self._now
        return None

    def _jump(self, to_s: float) -> bool:
        """Go to the last whole picture before a time."""
        offset = round((float(start_s(self._container)) + to_s) * av.time_base)
        try:
            self._container.seek(offset)
        except FFmpegError:
            return False
        self._restart()
        return True


_AHEAD_GLANCE = 300
"""Frames decoded at most to get from a whole picture to the wanted one; encoders put a whole
picture at least every 250 or so."""

_SLACK_S = 0.5
"""A video that ends this much before a place it should reach has been cut off."""


class Glances(VideoFrames):
    """Frames spread evenly over a video; what lies between them is mostly passed over.

    The frames' numbers are all 0, as they are not counted from the start.

    Args:
        path: The video.
        count: How many frames; a video that cannot be jumped in may yield fewer.

    Attributes:
        problem: After a loop: None, or where the video ends or is broken before its time. Its
            end is looked at whatever the number of frames.
    """

    def __init__(self, path: str | Path, count: int) -> None:
        super().__init__(path)
        self.count = count

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order."""
        problem = None
        with opened(self.path) as container:
            stream = needed_video_stream(container, self.path)
            declared_s = stream_duration_s(container, stream)
            length_s = declared_s or duration_s(container) or 0.0
            for place in range(self.count):
                at_s = (place + 0.5) / self.count * length_s
                frame = self._at(container, stream, at_s)
                if frame is not None:
                    yield frame
                elif declared_s is not None:
                    problem = problem or f"broken or cut off at {at_s:.1f} s of {declared_s:.1f} s"
            end_s = length_s - _SLACK_S
            if declared_s is not None and end_s > 0 and not self._at(container, stream, end_s):
                problem = problem or f"cut off before its end at {declared_s:.1f} s"
        self.problem = problem

    def _at(self, container: InputContainer, stream: VideoStream, at_s: float) -> Frame | None:
        """The frame shown at a time; None if the video does not get there."""
        try:
            container.seek(round((float(start_s(container)) + at_s) * av.time_base))
        except FFmpegError:
            return None
        times, decoded, picture = RisingTimes(container, stream), 0, None
        for _, picture in islice(self._pictures(container, stream), _AHEAD_GLANCE):
            decoded += 1
            if times.next_s(picture.pts, picture.time_base) >= at_s:
                break
        if picture is None or (times.last_s < at_s - _SLACK_S and decoded < _AHEAD_GLANCE):
            return None
        return Frame(0, times.last_s, upright(picture, display_matrix(picture), self.max_size))
