"""Media files made for a test: odd timing, rotation, formats, sound that starts late."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

COLOURS = np.array([[220, 30, 30], [30, 200, 30], [30, 30, 220], [200, 200, 30]], np.uint8)
"""Top left, top right, bottom left, bottom right."""


def quarters(width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """A picture of four colours, in which every turn and mirror shows."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2], picture[: height // 2, width // 2 :] = COLOURS[:2]
    picture[height // 2 :, : width // 2], picture[height // 2 :, width // 2 :] = COLOURS[2:]
    return picture


def corners(rgb: NDArray[np.uint8]) -> list[int]:
    """Which of `COLOURS` lies in each corner, in the same order."""
    at = [rgb[6, 6], rgb[6, -7], rgb[-7, 6], rgb[-7, -7]]
    return [int(np.abs(COLOURS.astype(int) - c).sum(1).argmin()) for c in at]


def encode(
    path: Path,
    times_ms: Sequence[int],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    source: tuple[str, NDArray[np.generic]] | None = None,
    matrix: Sequence[int] | None = None,
    sound_from_ms: int | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a video with a frame at each time, and maybe a one-second click train."""
    form, pixels = source or ("rgb24", quarters())
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=25, options={"g": "10"})
        stream.width, stream.height = pixels.shape[1], pixels.shape[0]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.time_base = Fraction(1, 1000)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        track = None
        if sound_from_ms is not None:
            track = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        container.start_encoding()
        for time in times_ms:
            frame = av.VideoFrame.from_ndarray(pixels, format=form)
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            for packet in _click_packets(track, sound_from_ms or 0):
                container.mux(packet)
    return path


def _click_packets(track: av.AudioStream, from_ms: int) -> Iterable[av.Packet]:
    for k in range(10):
        frame = av.AudioFrame.from_ndarray(clicks()[None, k * 800 : k * 800 + 800], "s16", "mono")
        frame.sample_rate, frame.time_base = 8000, Fraction(1, 8000)
        frame.pts = from_ms * 8 + k * 800
        yield from track.encode(frame)
    yield from track.encode(None)


def clicks() -> NDArray[np.int16]:
    """A second of sound at 8 kHz: short bursts, so that a shift of a few samples shows."""
    t = np.arange(8000)
    return (16000 * np.sin(t * 0.9) * (t % 1000 < 60)).astype(np.int16)
