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


def write_aspect(path, pixels, aspect, matrix=None, frames=5):
    """Some frames of a picture whose pixels are declared to have an aspect."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "15"})
        stream.width, stream.height = pixels.shape[1], pixels.shape[0]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(*aspect)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        container.start_encoding()
        for k in range(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


FLASH_FRAME, CLICK_S, FLASH_RATE = 20, 0.8, 25
"""Which frame of `flash_and_click` is white, and when it clicks, from each stream's own start."""


def flash_and_click(
    path: Path,
    codecs: tuple[str, str, int],
    picture_ms: int = 0,
    sound_ms: int = 0,
    options: dict[str, str] | None = None,
) -> Path:
    """Write two seconds of black with a white frame, and of silence with a click.

    Args:
        path: Where to.
        codecs: Video codec, sound codec, samples per second.
        picture_ms: Time stamp of the first frame.
        sound_ms: Time stamp of the first sample.
        options: Of the container.
    """
    video_codec, sound_codec, rate = codecs
    with av.open(str(path), "w", options=options or {}) as container:
        video = container.add_stream(video_codec, rate=FLASH_RATE)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000 if video_codec == "libx264" else 25)
        sound = container.add_stream(sound_codec, rate=rate, layout="mono")
        packets = [*_flash_packets(video), *_one_click_packets(sound, rate)]
        for packet in packets:
            late_ms = picture_ms if packet.stream is video else sound_ms
            late = int(Fraction(late_ms, 1000) / packet.time_base)
            packet.pts, packet.dts = packet.pts + late, packet.dts + late
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def _flash_packets(video: av.VideoStream) -> Iterable[av.Packet]:
    for k in range(2 * FLASH_RATE):
        white = np.full((64, 64, 3), 255 if k == FLASH_FRAME else 0, np.uint8)
        frame = av.VideoFrame.from_ndarray(white, format="rgb24")
        frame.pts, frame.time_base = 40 * k, Fraction(1, 1000)
        if video.codec_context.time_base == Fraction(1, FLASH_RATE):
            frame.pts, frame.time_base = k, Fraction(1, FLASH_RATE)
        yield from video.encode(frame)
    yield from video.encode(None)


def _one_click_packets(sound: av.AudioStream, rate: int) -> Iterable[av.Packet]:
    samples = np.zeros(2 * rate, np.float32)
    samples[int(CLICK_S * rate) :][: rate // 200] = 0.8
    form = sound.codec_context.format.name
    if form.startswith("s16"):
        samples = (samples * 32767).astype(np.int16)
    for at in range(0, len(samples), 1600):
        part = np.ascontiguousarray(samples[None, at : at + 1600])
        frame = av.AudioFrame.from_ndarray(part, form, "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        yield from sound.encode(frame)
    yield from sound.encode(None)


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


def speech(seconds, rate=16_000):
    """Noise that comes and goes four times a second, as syllables do."""
    time_s = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).normal(0, 0.2, len(time_s))
    return noise * (np.sin(8 * np.pi * time_s) > 0)


def write_tracks(path, tracks, flags):
    """Write sounds as the tracks of a file; each a waveform at 16 kHz, with a disposition."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in tracks]
        for stream, flag in zip(streams, flags, strict=True):
            stream.disposition = flag
        for at in range(0, len(tracks[0]), 1600):
            for stream, track in zip(streams, tracks, strict=True):
                part = np.round(track[None, at : at + 1600] * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(part, "s16", "mono")
                frame.sample_rate, frame.pts, frame.time_base = 16_000, at, Fraction(1, 16_000)
                container.mux(stream.encode(frame))
    return path
