"""Decode the frames of a video at given times, and count its frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.format import Flags
from av.video.stream import VideoStream
from numpy.typing import NDArray

from triaffect.media.container import (
    SteadyPackets,
    duration_s,
    has_times,
    needed_video_stream,
    open_container,
    start_s,
    stream_duration_s,
)
from triaffect.media.video import (
    Decoder,
    Frame,
    RisingTimes,
    VideoFrames,
    stream_rate,
)

_ONE_PICTURE_A_PACKET = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
"""Containers that store whole pictures, each with the time at which it is shown."""

_SHOWS_EVERY_PACKET = frozenset(
    {"h264", "hevc", "av1", "libdav1d", "vp9", "mjpeg", "ffv1", "prores"}
)
"""Codecs without hidden or repeated pictures of their own in such a container (VP8 has them)."""


def frame_times(path: str | Path) -> NDArray[np.float64]:
    """List the time of every frame of a video: what `VideoFrames` yields, without the pictures.

    Time stamps are listed where a file gives each picture its own; any other file (a transport
    stream, an AVI, one that starts in the middle of a scene) is decoded.

    Args:
        path: The video.

    Returns:
        Seconds from the start of the file, rising, shape (frames,). Element k belongs to the
        frame of index k; a frame that does not decode has the time at which it would be shown.

    Raises:
        MediaError: Not a file, not a video, or not one frame can be decoded.
    """
    path = Path(path)
    with open_container(path) as container:
        listed = _list_times(container, needed_video_stream(container, path))
    if listed is not None:
        return listed
    frames = [(frame.index, frame.time_s) for frame in VideoFrames(path, max_size=16)]
    index, times = np.array(frames).T
    every: NDArray[np.float64] = np.interp(np.arange(index[-1] + 1), index, times)
    return every


def _list_times(container: InputContainer, stream: VideoStream) -> NDArray[np.float64] | None:
    """Return times by the packets' stamps; None where they may not be those of the frames."""
    if container.format.name not in _ONE_PICTURE_A_PACKET:
        return None
    if stream.codec_context.name not in _SHOWS_EVERY_PACKET:
        return None
    stamps: list[int] = []
    shown: list[int] = []  # those whose pictures no edit list hides
    try:
        for packet in SteadyPackets(container, stream):
            if not packet.size:
                continue  # the one that ends the stream
            if packet.pts is None or packet.is_corrupt or not (stamps or packet.is_keyframe):
                return None
            stamps.append(packet.pts)
            if not packet.is_discard:
                shown.append(packet.pts)
    except FFmpegError:
        return None
    if not stamps or stamps[0] != min(stamps):
        return None  # what is shown before the first whole picture is the decoder's secret
    times = RisingTimes(container, stream)
    return np.array([times.next_s(stamp, stream.time_base) for stamp in sorted(shown)])


_MOST_DECODED = 600
"""Frames decoded at most to get to a requested one; encoders put a whole picture, from which
decoding can start, at least every 250 or so."""

_NEAR_S = 2.0
"""A time at most so much later is decoded to; seeking would decode about as much again."""

_EXACT_S = 0.0005
"""Times are written to a microsecond, and a file's clock ticks every millisecond at best."""

_SLACK_S = 0.5
"""A video that ends this much before a place it should reach has been cut off."""


class _Cursor:
    """A place in an open video, from which decoding goes on.

    Attributes:
        picture: The frame decoded last, if there is one.
        time_s: When it is shown.
        ended: Whether the file ended, or broke, before what was to be decoded last.
        decoder: What decodes, with what went wrong.
    """

    def __init__(self, path: Path) -> None:
        self.container = open_container(path)
        self.stream = needed_video_stream(self.container, path)
        self._restart()

    def _restart(self) -> None:
        self.decoder = Decoder(self.container, self.stream)
        self._pictures = self.decoder.pictures()
        self._clock = RisingTimes(self.container, self.stream)
        self.picture: av.VideoFrame | None = None
        self.time_s, self.ended = -1.0, False

    def seek(self, to_s: float) -> bool:
        """Go to the last whole picture before a time; return False if the file cannot be sought."""
        offset = round((float(start_s(self.container)) + to_s) * av.time_base)
        try:
            self.container.seek(offset)
        except FFmpegError:
            return False
        self._restart()
        return True

    def decode_to(self, from_s: float) -> bool:
        """Decode to the first frame at or after a time; return False if there is none near."""
        for _ in range(_MOST_DECODED):
            _, picture = next(self._pictures, (0, None))
            if picture is None:
                self.ended = True
                return False
            self.picture = picture
            self.time_s = self._clock.next_s(picture.pts, picture.time_base)
            if self.time_s >= from_s:
                return True
        return False

    def frame(self) -> Frame:
        """Return the frame decoded last, without a number of its own."""
        assert self.picture is not None  # noqa: S101 - only called after a frame was decoded
        rgb = self.decoder.upright(self.picture, self.decoder.matrix(self.picture))
        return Frame(0, self.time_s, rgb)


class FramesAt:
    """The frames shown at certain times.

    The frames' numbers are all 0, as they are not counted from the start. A time that cannot be
    reached yields nothing: the file ends or is broken before it, or cannot be sought in.

    Args:
        path: The video.
        times_s: When, as the frames' own times; any order, each once.

    Attributes:
        problem: After a loop: None, or what does not decode where it was read last.

    Raises:
        MediaError: Not a file, or not a video.
    """

    def __init__(self, path: str | Path, times_s: Iterable[float]) -> None:
        self._cursor: _Cursor | None = _Cursor(Path(path))
        self._path, self._times_s = Path(path), sorted(times_s)
        self.problem: str | None = None

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order of time."""
        cursor, self._cursor = self._cursor or _Cursor(self._path), None
        flags = cursor.container.format.flags
        can_jump = bool(flags & cast("int", Flags.ts_discont.value))
        if not has_times(cursor.container) or (can_jump and _clock_jumps(self._path)):
            cursor.container.close()
            yield from self._decode_all()
            return
        half_s = 0.5 / stream_rate(cursor.stream)
        with cursor.container:
            for at_s in self._times_s:
                from_s = at_s - _EXACT_S
                reached = cursor.picture is not None and cursor.time_s >= from_s
                if not reached:
                    near = cursor.time_s <= from_s <= cursor.time_s + _NEAR_S
                    reached = (near or cursor.seek(from_s)) and cursor.decode_to(from_s)
                if reached and abs(cursor.time_s - at_s) <= half_s:
                    yield cursor.frame()
            self.problem = cursor.decoder.problem

    def _decode_all(self) -> Iterator[Frame]:
        """Yield the frames of a film in which no time can be sought: its clock jumps or is none."""
        frames, waiting = VideoFrames(self._path), self._times_s[::-1]
        half_s = 0.5 / frames.info.frame_rate
        for frame in frames:
            while waiting and waiting[-1] < frame.time_s - half_s:
                waiting.pop()
            if not waiting:
                break
            if waiting[-1] <= frame.time_s + half_s:
                waiting.pop()
                yield Frame(0, frame.time_s, frame.rgb)
        self.problem = frames.problem


def _clock_jumps(path: Path) -> bool:
    """Tell, without decoding, whether a broadcast or a disk goes on with another clock."""
    with open_container(path) as container:
        steady = SteadyPackets(container, needed_video_stream(container, path))
        with suppress(FFmpegError):  # what is read until then shows it, or nothing
            return any(steady.jumps for _ in steady)
    return False


class SampledFrames:
    """Frames spread evenly over a video; what lies between them is mostly passed over.

    The frames' numbers are all 0, as they are not counted from the start.

    Args:
        path: The video.
        count: How many frames; a video that cannot be sought in may yield fewer.

    Attributes:
        problem: After a loop: None, or where the video ends or is broken before its time. Its
            end is checked whatever the number of frames.

    Raises:
        MediaError: Not a file, not a video, or not one frame can be decoded.
    """

    def __init__(self, path: str | Path, count: int) -> None:
        self._path, self._count = Path(path), count
        VideoFrames(path)  # raises if nothing decodes
        self.problem: str | None = None

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order."""
        problem, cursor = None, _Cursor(self._path)
        with cursor.container:
            declared_s = stream_duration_s(cursor.container, cursor.stream)
            length_s = declared_s or duration_s(cursor.container) or 0.0
            for number in range(self._count):
                at_s = (number + 0.5) / self._count * length_s
                if _reaches(cursor, at_s):
                    yield cursor.frame()
                elif declared_s is not None:
                    problem = problem or f"broken or cut off at {at_s:.1f} s of {declared_s:.1f} s"
            end_s = length_s - _SLACK_S
            if declared_s is not None and end_s > 0 and not _reaches(cursor, end_s):
                problem = problem or f"cut off before its end at {declared_s:.1f} s"
        self.problem = problem


def _reaches(cursor: _Cursor, at_s: float) -> bool:
    """Seek a time and decode to it, or to where the video ends only a little before it."""
    if not cursor.seek(at_s):
        return False
    if cursor.decode_to(at_s):
        return True
    near = cursor.time_s >= at_s - _SLACK_S or not cursor.ended
    return cursor.picture is not None and near
