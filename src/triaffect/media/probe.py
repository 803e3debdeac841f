"""Open a media file and find out what it holds: video, picture or sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from triaffect.errors import MediaError
from triaffect.media.audio import OpenSound, sound_chunks
from triaffect.media.container import (
    audio_stream,
    check_file,
    duration_s,
    needed_video_stream,
    open_container,
    video_stream,
)
from triaffect.media.video import Frame, VideoFrames
from triaffect.types import SourceKind

_JPEG_START = b"\xff\xd8"


class MediaFile:
    """An open video, picture or sound; `probe` makes it.

    What was opened to find out what it is, is read on from there: the picture (or the sound of
    a file without one) is not opened again for its first reading.

    Args:
        path: The file.
        kind: Video, images (a single picture) or sound.
        has_sound: Whether there is sound in it.
        video: Its frames, if it is a video.
        rgb: Its pixels, if it is a picture.
        sound: Its sound, if it is nothing else.
        duration_s: Seconds it says it lasts, 0 for a picture; None where it does not say.

    Attributes:
        on_frame: Called with every frame before it is yielded, in the thread that reads.
    """

    def __init__(
        self,
        path: Path,
        kind: SourceKind,
        *,
        has_sound: bool = False,
        video: VideoFrames | None = None,
        rgb: NDArray[np.uint8] | None = None,
        sound: OpenSound | None = None,
        duration_s: float | None = None,
    ) -> None:
        self.path, self.kind, self.has_sound, self.video = path, kind, has_sound, video
        self.duration_s = duration_s
        self.on_frame: Callable[[Frame], None] | None = None
        self._rgb, self._sound = rgb, sound
        self._sound_problems = sound.problems if sound else []
        self._problem: str | None = None
        self._remarks: list[str] = []

    def frames(self, from_s: float = 0.0) -> Iterator[Frame]:
        """Yield the frames of a video from a time on, or the one of a picture; a sound has none.

        Args:
            from_s: Time in seconds from the start of the file; a picture has time 0.

        Raises:
            MediaError: The file cannot be read again.
        """
        self._problem = None
        if self.video is not None:
            for frame in self.video.frames_from(from_s) if from_s > 0 else self.video:
                if self.on_frame is not None:
                    self.on_frame(frame)
                yield frame
            self._problem, self._remarks = self.video.problem, self.video.remarks
        elif self._rgb is not None:
            frame = Frame(0, 0.0, self._rgb)
            if self.on_frame is not None:
                self.on_frame(frame)
            yield frame
            self._problem = picture_problem(self.path)

    def sound(self, rate: int) -> Iterator[NDArray[np.float32]]:
        """Read the sound a second at a time, as `triaffect.media.audio.sound_chunks` does.

        Args:
            rate: Samples per second.

        Returns:
            An iterator; empty if the file has no sound.

        Raises:
            MediaError: The file cannot be read again.
        """
        if not self.has_sound:
            return iter(())
        sound, self._sound = self._sound, None
        if sound is not None:
            return sound.chunks(rate)
        self._sound_problems.clear()
        return sound_chunks(self.path, rate, self._sound_problems)

    @property
    def frame_rate(self) -> float | None:
        """Average frames per second of a video; None for anything else."""
        return None if self.video is None else self.video.info.frame_rate

    @property
    def problem(self) -> str | None:
        """After reading to the end: None, or what was wrong with a broken or cut-off file."""
        return "; ".join(filter(None, [self._problem, *self._sound_problems])) or None

    @property
    def remark(self) -> str | None:
        """After reading to the end: None, or what is doubtful in how a whole file was read."""
        return "; ".join(dict.fromkeys(self._remarks)) or None


def probe(path: str | Path) -> MediaFile:
    """Open a file and find out what it is by its content; its name counts for nothing.

    Args:
        path: The file.

    Returns:
        The file, open for its first reading. A picture, or a video of one frame without sound,
        is ``images``; a file with a moving picture is ``video``; one with sound alone ``sound``.

    Raises:
        MediaError: No such file, a folder, zero bytes, not media, or nothing in it decodes.

    Examples:
        ``for frame in probe("interview.mp4").frames(): ...``
    """
    path = Path(path)
    container = open_container(path)
    has_sound = audio_stream(container) is not None
    name, stream = container.format.name, video_stream(container)
    # a GIF or WebP may move; AVIF and HEIC pictures come as videos of one frame
    is_one_frame = stream is not None and stream.frames == 1 and not container.streams.audio
    if name == "image2" or name.endswith("_pipe") or is_one_frame:
        container.close()
        return MediaFile(path, SourceKind.IMAGES, rgb=read_image(path), duration_s=0.0)
    if stream is not None:
        video = VideoFrames(path, container=container)
        return MediaFile(
            path,
            SourceKind.VIDEO,
            has_sound=has_sound,
            video=video,
            duration_s=video.info.duration_s,
        )
    sound = OpenSound(path, container, []) if has_sound else None
    if sound is None or not sound.decodes():
        raise MediaError("a video, image or sound", "nothing that decodes", where=path)
    return MediaFile(
        path, SourceKind.SOUND, has_sound=True, sound=sound, duration_s=duration_s(container)
    )


def picture_problem(path: str | Path) -> str | None:
    """Tell what is wrong with a picture that `read_image` reads; None if nothing is known to be.

    OpenCV fills what a broken JPEG lacks with gray and says nothing; FFmpeg tells.

    Args:
        path: The picture; of another kind than JPEG nothing is known.
    """
    path = Path(path)
    with path.open("rb") as file:
        if file.read(2) != _JPEG_START:
            return None
    with open_container(path) as container:
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

    Args:
        path: The picture; of one that moves, its first frame is read.

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
