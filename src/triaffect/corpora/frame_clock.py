"""Frame numbers and seconds of a source, each from the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.rows import DEFAULT_RATE
from triaffect.media.frames_at import frame_times
from triaffect.media.video import VideoFrames
from triaffect.types import IntArray, Source

_TIE = 1e-6
"""Of two frames as near, the later one, whatever the last digits of the times say."""


@dataclass(frozen=True)
class FrameClock:
    """When each frame of a source is shown, in seconds from the start of the source.

    Attributes:
        rate: Frames/s, where and as far as single times are not known.
        start_s: Time of frame 0; later than 0 where a video's sound starts before its picture.
        times_s: Time of each frame as a video tells it, shape (F,); empty for even times.
        length_s: How long the video says it is; None if it does not, or there is none.
    """

    rate: float
    start_s: float = 0.0
    times_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    length_s: float | None = None

    @property
    def end_s(self) -> float:
        """When the last frame with a known time stops being shown."""
        return float(self.times_s[-1]) + 1 / self.rate

    def times(self, frames: IntArray) -> NDArray[np.float64]:
        """Time of each frame, shape (N,); single times, where known, are known of all of them."""
        if len(self.times_s):
            return np.asarray(self.times_s[frames], np.float64)
        return np.asarray(self.start_s + frames / self.rate, np.float64)

    def frames(self, times_s: NDArray[np.float64]) -> IntArray:
        """The frame shown nearest to each time, shape (N,); none before the first."""
        if len(self.times_s):
            middles = (self.times_s[1:] + self.times_s[:-1]) / 2
            return np.searchsorted(middles, times_s + _TIE, "right").astype(np.int64)
        frames = np.floor((times_s - self.start_s) * self.rate + 0.5 + _TIE)
        return np.maximum(frames, 0).astype(np.int64)

    def is_shown(self, times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether there is a picture at each time, give or take one frame, shape (N,)."""
        shown = times_s > self.start_s - 1 / self.rate
        if len(self.times_s):
            shown &= times_s < self.end_s + 1 / self.rate
        return np.asarray(shown, np.bool_)


def video_clock(video: Path) -> FrameClock:
    """The clock of a video's own time stamps.

    Raises:
        MediaError: It cannot be read.
    """
    times_s = frame_times(video)
    span_s = float(times_s[-1] - times_s[0])
    rate = (len(times_s) - 1) / span_s if span_s else DEFAULT_RATE
    return FrameClock(rate, float(times_s[0]), times_s)


def even_clock(source: Source) -> FrameClock:
    """The clock of frames at a video's average rate; at `DEFAULT_RATE` where there is none.

    Raises:
        MediaError: The source has a video, but that cannot be read.
    """
    if source.video is None:
        return FrameClock(DEFAULT_RATE)
    info = VideoFrames(source.video).info
    return FrameClock(info.frame_rate, info.start_s, length_s=info.duration_s)
