"""Writing a video: H.264 and AAC in an MP4 file, aside and then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

H264 = {"preset": "veryfast", "crf": "20", "x264-params": "asm=SSE2"}
"""With its AVX-512 code, x264 now and then gives other bytes for the same input (one in 100
videos, here); with SSE2 it never did, and is as fast at this preset."""


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A name beside the wanted one; it takes the wanted one's place only if all went well."""
    aside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


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
    with written_aside(Path(path)) as aside, av.open(str(aside), "w") as container:
        video = _video_stream(container, width, height, rate)
        track = _Sound(container, sound, sound_rate) if sound is not None else None
        for count, rgb in enumerate(chain([first], pictures)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts, frame.time_base = count, video.codec_context.time_base
            container.mux(video.encode(frame))
            if track is not None:
                track.write_until((count + 1) / rate)
        container.mux(video.encode(None))
        if track is not None:
            track.finish()


def _video_stream(container: OutputContainer, width: int, height: int, rate: float) -> VideoStream:
    exact = Fraction(rate).limit_denominator(1001)
    if "libx264" in av.codecs_available:
        stream = container.add_stream("libx264", rate=exact, options=H264)
    else:
        stream = container.add_stream("mpeg4", rate=exact, options={"qscale": "3"})
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.codec_context.time_base = 1 / exact
    stream.codec_context.thread_count = 1
    return stream


class _Sound:
    """The sound track, written in step with the picture."""

    def __init__(self, container: OutputContainer, sound: NDArray[np.float32], rate: int) -> None:
        self.container, self.rate, self.at = container, rate, 0
        self.samples = np.clip(np.asarray(sound, np.float32), -1, 1)
        self.stream: AudioStream = container.add_stream("aac", rate=rate, layout="mono")

    def write_until(self, time_s: float) -> None:
        self._write(round(time_s * self.rate))

    def finish(self) -> None:
        self._write(len(self.samples))
        self.container.mux(self.stream.encode(None))

    def _write(self, end: int) -> None:
        part = self.samples[self.at : end]
        if not len(part):
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part[None]), "fltp", "mono")
        frame.sample_rate, frame.pts = self.rate, self.at
        frame.time_base = Fraction(1, self.rate)
        self.at += len(part)
        self.container.mux(self.stream.encode(frame))
