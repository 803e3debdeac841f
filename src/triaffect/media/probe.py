"""Open a media file and find out what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from numpy.typing import NDArray

from triaffect.errors import MediaError
from triaffect.media.audio import sound_chunks
from triaffect.media.container import (
    audio_stream,
    check_file,
    needed_video_stream,
    opened,
    video_stream,
)
from triaffect.media.video import VideoFrames
from triaffect.types import SourceKind

_JPEG_START = b"\xff\xd8"


@dataclass(frozen=True)
class MediaInfo:
    """What a file is.

    Attributes:
        kind: Video, images (a single picture) or sound.
        has_sound: Whether there is sound in it.
    """

    kind: SourceKind
    has_sound: bool


def probe(path: str | Path) -> MediaInfo:
    """Find out what a file is by its content, its name counts for nothing.

    Raises:
        MediaError: No such file, a folder, zero bytes, not media, or nothing in it decodes.
    """
    path = Path(path)
    with opened(path) as container:
        is_still, sound = _is_still(container), audio_stream(container) is not None
        has_picture = video_stream(container) is not None
    if is_still:
        read_image(path)
        return MediaInfo(SourceKind.IMAGES, has_sound=False)
    if has_picture:
        VideoFrames(path)
        return MediaInfo(SourceKind.VIDEO, sound)
    if not any(len(chunk) for chunk in sound_chunks(path, 8000)):
        raise MediaError("a video, image or sound", "nothing that decodes", where=path)
    return MediaInfo(SourceKind.SOUND, has_sound=True)


def _is_still(container: InputContainer) -> bool:
    name = container.format.name
    if name == "image2" or name.endswith("_pipe"):
        return True
    stream = video_stream(container)
    # a GIF or WebP may move; AVIF and HEIC pictures come as videos of one frame
    return stream is not None and stream.frames == 1 and not container.streams.audio


def picture_problem(path: str | Path) -> str | None:
    """What is wrong with a picture that `read_image` reads; None if nothing is known to be.

    OpenCV fills what a broken JPEG lacks with gray and says nothing; FFmpeg tells.
    """
    path = Path(path)
    with path.open("rb") as file:
        if file.read(2) != _JPEG_START:
            return None
    with opened(path) as container:
        stream = needed_video_stream(container, path)
        stream.codec_context.options = {"err_detect": "explode"}
        try:
            for packet in container.demux(stream):
                packet.decode()
        except FFmpegError:
            return "the picture is damaged"
    return None


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read a picture upright, as its EXIF orientation says.

    Returns:
        RGB, uint8, shape (height, width, 3); transparency is dropped, gray is repeated.

    Raises:
        MediaError: No such file, a folder, zero bytes, or it does not decode.
    """
    path = check_file(Path(path))
    # decoding from memory, because imread cannot open every name
    try:
        bgr = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error) as error:
        got = getattr(error, "strerror", None) or "a picture that cannot be"
        raise MediaError("a picture that decodes", got, where=path) from error
    if bgr is None:
        return next(iter(VideoFrames(path))).rgb
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
