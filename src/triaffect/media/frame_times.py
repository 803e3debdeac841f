"""When each frame of a video is shown, without decoding its pictures where that is exact."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from numpy.typing import NDArray

from triaffect.media.container import needed_video_stream, opened, packets
from triaffect.media.video import RisingTimes, VideoFrames

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
