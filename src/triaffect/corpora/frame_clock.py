"""Frame numbers and seconds of a source, each from the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.rows import DEFAULT_RATE
from triaffect.errors import AnnotationError
from triaffect.media.frames_at import frame_times
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
        """Compute when frames are shown.

        Args:
            frames: 0-based numbers, shape (N,); below F where the video tells single times, which
                it then tells of all its frames.

        Returns:
            Seconds from the start of the source, shape (N,).

        Examples:
            >>> FrameClock(25.0).times(np.array([0, 5])).tolist()
            [0.0, 0.2]
        """
        if len(self.times_s):
            return np.asarray(self.times_s[frames], np.float64)
        return np.asarray(self.start_s + frames / self.rate, np.float64)

    def frames(self, times_s: NDArray[np.float64]) -> IntArray:
        """Find the frame shown nearest to each time; the later of two that are as near.

        Args:
            times_s: Seconds from the start of the source, shape (N,).

        Returns:
            0-based numbers, shape (N,); 0 for a time before the first frame. Where no single
            times are known, there is no last frame.

        Examples:
            >>> FrameClock(25.0).frames(np.array([-1.0, 0.21])).tolist()
            [0, 5]
        """
        if len(self.times_s):
            middles = (self.times_s[1:] + self.times_s[:-1]) / 2
            return np.searchsorted(middles, times_s + _TIE, "right").astype(np.int64)
        frames = np.floor((times_s - self.start_s) * self.rate + 0.5 + _TIE)
        return np.maximum(frames, 0).astype(np.int64)

    def is_shown(self, times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether there is a picture at each time, give or take one frame.

        Args:
            times_s: Seconds from the start of the source, shape (N,).

        Returns:
            Shape (N,), bool; where no single times are known, any time after the start has one.
        """
        shown = times_s > self.start_s - 1 / self.rate
        if len(self.times_s):
            shown &= times_s < self.end_s + 1 / self.rate
        return np.asarray(shown, np.bool_)


def video_clock(video: Path) -> FrameClock:
    """Make the clock of a video's own time stamps.

    Args:
        video: The file; it is decoded where its packets do not tell the times.

    Returns:
        The clock; its rate is the average from the first frame to the last.

    Raises:
        MediaError: The video cannot be read.
    """
    times_s = frame_times(video)
    span_s = float(times_s[-1] - times_s[0])
    rate = (len(times_s) - 1) / span_s if span_s else DEFAULT_RATE
    return FrameClock(rate, float(times_s[0]), times_s)


class EvenlyNumbered:
    """What corpora share whose frame numbers only count their moments or pictures.

    No video tells when these are, so they are counted at `DEFAULT_RATE`, and every file belongs
    to its source.
    """

    def frame_rate(self, source: Source) -> float:
        """Return the frames/s of the numbering, the same for every source."""
        del source
        return DEFAULT_RATE

    def clock(self, source: Source) -> FrameClock:
        """Return the clock of that numbering, from time 0 on, for every source."""
        del source
        return FrameClock(DEFAULT_RATE)

    def problems(self) -> list[AnnotationError]:
        """List nothing: what is wrong with a file is its source's."""
        return []
