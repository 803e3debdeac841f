"""A few frames of a video, and whether it is whole, without reading it through."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from triaffect.media.container import (
    duration_s,
    needed_video_stream,
    opened,
    start_s,
    stream_duration_s,
)
from triaffect.media.video import (
    Frame,
    RisingTimes,
    VideoFrames,
    display_matrix,
    upright,
)

_AHEAD = 300
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
        for _, picture in islice(self._pictures(container, stream), _AHEAD):
            decoded += 1
            if times.next_s(picture.pts, picture.time_base) >= at_s:
                break
        if picture is None or (times.last_s < at_s - _SLACK_S and decoded < _AHEAD):
            return None
        return Frame(0, times.last_s, upright(picture, display_matrix(picture), self.max_size))
