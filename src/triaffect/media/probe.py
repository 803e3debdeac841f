"""Open a media file and find out what it holds: video, picture or sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triaffect.errors import MediaError
from triaffect.media.audio import OpenSound, sound_chunks
from triaffect.media.container import (
    audio_stream,
    check_file,
    duration_s,
    open_container,
    video_stream,
)
from triaffect.media.content import describe_content
from triaffect.media.pictures import (
    AnimatedWebP,
    StillPicture,
    picture_problem,
    read_image,
    read_one_picture,
    read_picture,
)
from triaffect.media.video import COVER, Frame, VideoFrames
from triaffect.types import SourceKind

__all__ = ["MediaFile", "probe", "read_image"]


class MediaFile:
    """An open video, picture or sound; `probe` makes it.

    What was opened to find out what it is, is read on from there: the picture (or the sound of
    a file without one) is not opened again for its first reading.

    Args:
        path: The file.
        kind: Video, images (a single picture) or sound.
        has_sound: Whether there is sound in it.
        video: Its frames, if it is a video.
        still: The picture, if it is one.
        sound: Its sound, if it is nothing else.
        duration_s: Seconds it says it lasts, 0 for a picture; None where it does not say.
        remark: What is doubtful in how it is read, or an empty text.

    Attributes:
        on_frame: Called with every frame before it is yielded, in the thread that reads.
        sound_track: Which of several sounds is read, from 1; None chooses by itself.
    """

    def __init__(
        self,
        path: Path,
        kind: SourceKind,
        *,
        has_sound: bool = False,
        video: VideoFrames | AnimatedWebP | None = None,
        still: StillPicture | None = None,
        sound: OpenSound | None = None,
        duration_s: float | None = None,
        remark: str = "",
    ) -> None:
        self.path, self.kind, self.has_sound, self.video = path, kind, has_sound, video
        self.duration_s = duration_s
        self.on_frame: Callable[[Frame], None] | None = None
        self.sound_track: int | None = None
        self._still, self._sound = still, sound
        self._sound_problems = sound.problems if sound else []
        self._sound_remarks = sound.remarks if sound else []
        self._problem: str | None = None
        self._remarks = [remark] if remark else []

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
            self._problem = self.video.problem
        elif self._still is not None:
            frame = Frame(0, 0.0, self._still.rgb)
            if self.on_frame is not None:
                self.on_frame(frame)
            yield frame
            still = self._still
            self._problem = still.problem or picture_problem(self.path, still.content)
            self._remarks = list(filter(None, [self._still.remark]))

    def sound(self, rate: int) -> Iterator[NDArray[np.float32]]:
        """Read the sound a second at a time, as `triaffect.media.audio.sound_chunks` does.

        Args:
            rate: Samples per second.

        Returns:
            An iterator; empty if the file has no sound.

        Raises:
            MediaError: The file cannot be read again, or has no such sound track.
        """
        if not self.has_sound:
            return iter(())
        sound, self._sound = self._sound, None
        if sound is not None and self.sound_track is None:
            return sound.chunks(rate)
        self._sound_problems.clear()
        self._sound_remarks.clear()
        notes = self._sound_problems, self._sound_remarks
        return sound_chunks(self.path, rate, *notes, self.sound_track)

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
        remarks = [*self._remarks, *(self.video.remarks if self.video else [])]
        if self.sound_track is not None and self.video is not None and not self.has_sound:
            remarks.append(f"it has no sound, so no sound track {self.sound_track}")
        return "; ".join(dict.fromkeys([*remarks, *self._sound_remarks])) or None


def probe(path: str | Path) -> MediaFile:
    """Open a file and find out what it is by its content; its name counts for nothing.

    Args:
        path: The file.

    Returns:
        The file, open for its first reading. A picture, or a video of one frame without sound,
        is ``images``; a file with a moving picture is ``video``; one with sound, and at most one
        picture for a cover, ``sound``.

    Raises:
        MediaError: No such file, a folder, zero bytes, not media, or nothing in it decodes.

    Examples:
        ``for frame in probe("interview.mp4").frames(): ...``
    """
    path = check_file(Path(path))
    if (still := read_one_picture(path)) is not None:
        return MediaFile(path, SourceKind.IMAGES, still=still, duration_s=0.0)
    with path.open("rb") as file:
        is_animated = AnimatedWebP.is_one(file.read(21))
    if is_animated:
        moving = AnimatedWebP(path)
        length_s = moving.info.duration_s
        return MediaFile(path, SourceKind.VIDEO, video=moving, duration_s=length_s)
    container = open_container(path)
    has_sound = audio_stream(container) is not None
    remark = ""
    if video_stream(container) is not None:
        video = VideoFrames(path, container=container)
        if not video.is_single:
            return MediaFile(
                path,
                SourceKind.VIDEO,
                has_sound=has_sound,
                video=video,
                duration_s=video.info.duration_s,
            )
        container.close()
        if not has_sound:
            return MediaFile(path, SourceKind.IMAGES, still=read_picture(path), duration_s=0.0)
        container, remark = open_container(path), COVER
    sound = OpenSound(path, container, [], []) if has_sound else None
    if sound is None or not sound.decodes():
        container.close()
        if remark:
            return MediaFile(path, SourceKind.IMAGES, still=read_picture(path), duration_s=0.0)
        got = describe_content(path) or "nothing that decodes"
        raise MediaError("a video, image or sound", got, where=path)
    return MediaFile(
        path,
        SourceKind.SOUND,
        has_sound=True,
        sound=sound,
        duration_s=duration_s(container),
        remark=remark,
    )
