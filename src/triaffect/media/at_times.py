"""Frames of a video at wanted times, without decoding all that lies between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from triaffect.media.container import needed_video_stream, opened, start_s
from triaffect.media.video import (
    Frame,
    RisingTimes,
    VideoFrames,
    display_matrix,
    stream_rate,
    upright,
)

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
