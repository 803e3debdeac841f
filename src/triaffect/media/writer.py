"""Write videos with sound, and copies of videos with changed frames.

H.264 and AAC in an MP4 file, aside and then renamed, in memory that does not grow with the
length. Times are kept to a 90,000th of a second; sound is one channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from triaffect.io.atomic import replace_file
from triaffect.media.container import is_high_definition

H264 = {"preset": "veryfast", "crf": "20", "x264-params": "asm=SSE2"}
"""With its AVX-512 code, x264 now and then gives other bytes for the same input (one in 100
videos, here); with SSE2 it never did, and is as fast at this preset."""

_BT601 = 6
"""Matrix of the colors that are written, as FFmpeg numbers it."""

_COPY_H264 = {
    "preset": "ultrafast",
    "crf": "22",
    "x264-params": f"{H264['x264-params']}:cabac=1:deblock=0,0",
}
"""Of copies with changed frames, which are made while their rows are computed: half the time of
preset superfast. Entropy coding and the deblocking filter, which ultrafast leaves out, keep the
file as small."""


def write_video(
    path: str | Path,
    frames: Iterable[NDArray[np.uint8]],
    rate: float,
    sound: NDArray[np.float32] | None = None,
    sound_rate: int = 16_000,
) -> None:
    """Write an MP4 file; the same input gives the same bytes.

    Args:
        path: Where to; an existing file is replaced.
        frames: RGB frames of one even width and height, uint8, shape (height, width, 3).
        rate: Frames per second.
        sound: Mono samples in [-1, 1], shape (samples,), starting with the first frame;
            None writes no sound.
        sound_rate: Samples per second of `sound`.

    Raises:
        ValueError: No frames, or an odd width or height.
    """
    pictures = iter(frames)
    first = next(pictures, None)
    if first is None:
        raise ValueError("at least one frame expected")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"even width and height expected, got {width}x{height}")
    with (
        replace_file(Path(path), unlocked=True) as temporary,
        av.open(str(temporary), "w", format="mp4") as container,
    ):
        video = _add_picture(container, width, height, rate)
        samples = np.empty(0, np.float32) if sound is None else np.asarray(sound, np.float32)
        track = _Track(container, iter([]), sound_rate) if sound is not None else None
        for count, rgb in enumerate(chain([first], pictures)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts, frame.time_base = count, video.codec_context.time_base
            container.mux(video.encode(frame))
            if track is not None:  # in step with the picture
                track.write(samples[track.at : round((count + 1) / rate * sound_rate)])
        container.mux(video.encode(None))
        if track is not None:
            track.write(samples[track.at :])
            track.finish()


def _add_picture(
    container: OutputContainer, width: int, height: int, rate: float, *, timed: bool = False
) -> VideoStream:
    """Add the stream of the pictures, whose clock ticks once a frame; in finer units if timed."""
    exact = Fraction(rate).limit_denominator(1001)
    if "libx264" in av.codecs_available:
        options = _COPY_H264 if timed else H264
        stream, unit_s = container.add_stream("libx264", rate=exact, options=options), _UNIT_S
    else:
        stream = container.add_stream("mpeg4", rate=exact, options={"qscale": "3"})
        unit_s = Fraction(1, 1000)  # its clock has 16 bits
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.codec_context.time_base = unit_s if timed else 1 / exact
    stream.codec_context.thread_count = 1
    if is_high_definition(width, height):  # where BT.601 would not be assumed
        stream.codec_context.colorspace = _BT601
    return stream


_UNIT_S = Fraction(1, 90_000)
_SMALLEST = 32
"""Pixels of a side; encoders refuse pictures much smaller than this."""

Add = Callable[[float, NDArray[np.uint8]], None]
"""Takes the time in seconds and the RGB pixels of the next frame."""


@contextmanager
def timed_video(
    path: Path, rate: float, sound: Iterator[NDArray[np.float32]] | None, sound_rate: int
) -> Iterator[Add]:
    """Write a video frame by frame.

    The size is that of the first frame, made even at its right and lower edge; another frame
    of another size is fitted into it.

    Args:
        path: Where to, an ``.mp4``; an existing file is replaced if all goes well.
        rate: About how many frames come in a second.
        sound: Mono samples in [-1, 1], part by part, from time 0 on; None writes no sound.
        sound_rate: Samples per second.

    Yields:
        A function that adds a frame; times must rise.
    """
    with (
        replace_file(path, unlocked=True) as temporary,
        av.open(str(temporary), "w", format="mp4") as container,
    ):
        writer = _Writer(container, rate, sound, sound_rate)
        yield writer.add
        writer.finish()


class _Writer:
    """The open file of `timed_video`: pictures, and the sound as far as they are."""

    def __init__(
        self,
        container: OutputContainer,
        rate: float,
        sound: Iterator[NDArray[np.float32]] | None,
        sound_rate: int,
    ) -> None:
        self._container, self._rate = container, rate
        self._video: VideoStream | None = None
        self._track = _Track(container, sound, sound_rate) if sound is not None else None

    def add(self, time_s: float, rgb: NDArray[np.uint8]) -> None:
        """Write a frame, shrunk if need be to the size of the first, its edges repeated to fill."""
        if self._video is None:
            height, width = (max(_SMALLEST, n + n % 2) for n in rgb.shape[:2])
            self._video = _add_picture(self._container, width, height, self._rate, timed=True)
        height, width = self._video.height, self._video.width
        shrink = min(1.0, height / rgb.shape[0], width / rgb.shape[1])
        if shrink < 1:
            size = (max(1, int(rgb.shape[1] * shrink)), max(1, int(rgb.shape[0] * shrink)))
            rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        below, beside = height - rgb.shape[0], width - rgb.shape[1]
        if below or beside:
            kind = cv2.BORDER_REPLICATE
            rgb = np.asarray(cv2.copyMakeBorder(rgb, 0, below, 0, beside, kind), np.uint8)
        # FFmpeg's own conversion takes as long as the encoder
        planes = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = round(time_s / _UNIT_S), _UNIT_S
        self._container.mux(self._video.encode(frame))
        if self._track:
            self._track.write_until(time_s)

    def finish(self) -> None:
        if self._video is not None:
            self._container.mux(self._video.encode(None))
        if self._track:
            self._track.finish()


class _Track:
    """The sound of a file, written as far as the picture is.

    Attributes:
        at: Samples written so far.
    """

    def __init__(
        self, container: OutputContainer, sound: Iterator[NDArray[np.float32]], rate: int
    ) -> None:
        self._container, self._sound, self._rate, self.at = container, sound, rate, 0
        self._stream: AudioStream = container.add_stream("aac", rate=rate, layout="mono")

    def write_until(self, time_s: float) -> None:
        while self.at < time_s * self._rate:
            part = next(self._sound, None)
            if part is None:
                return
            self.write(part)

    def finish(self) -> None:
        for part in self._sound:
            self.write(part)
        self._container.mux(self._stream.encode(None))

    def write(self, part: NDArray[np.float32]) -> None:
        if not len(part):
            return
        samples = np.ascontiguousarray(np.clip(part, -1, 1)[None], np.float32)
        frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
        frame.sample_rate, frame.pts = self._rate, self.at
        frame.time_base = Fraction(1, self._rate)
        self.at += len(part)
        self._container.mux(self._stream.encode(frame))
