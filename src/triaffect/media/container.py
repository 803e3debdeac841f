"""Open a media file; every way that can fail ends in a `MediaError`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from triaffect.errors import MediaError

_NOT_MEDIA = frozenset({"tty", "bin", "idf", "xbin", "adf"})
"""Forms of text art, which FFmpeg would play as a video."""

_LIST_STARTS = (b"#EXTM3U", b"ffconcat", b"<", b"v=0")
"""How a list of other files begins. FFmpeg would open those, and wait for missing ones."""

_PIPES = {"mjpeg": "jpeg_pipe", "png": "png_pipe"}
"""Forms of pictures one after another, by the codec of the pictures."""

_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")

_Stream = TypeVar("_Stream", VideoStream, AudioStream)

_REMEDY = "check that it is a complete video, image or sound file"


def check_file(path: Path) -> Path:
    """Check that there is a file with something in it.

    Args:
        path: The file.

    Returns:
        The same path.

    Raises:
        MediaError: No such file, a folder, or zero bytes.
    """
    if not path.exists():
        raise MediaError("a media file", "no such file", "check the path", where=path)
    if not path.is_file():
        got = "a folder" if path.is_dir() else "something that is not a file"
        raise MediaError("a media file", got, "give the file itself", where=path)
    if path.stat().st_size == 0:
        raise MediaError("a media file", "zero bytes", "copy or record it again", where=path)
    return path


def open_container(path: Path) -> InputContainer:
    """Open a file for reading; nothing but the file itself is read.

    Args:
        path: The file; what it is, is told by its content.

    Returns:
        The open file, to be used in a ``with`` statement; it is also closed when nothing
        refers to it any more.

    Raises:
        MediaError: It cannot be opened or is not media.
    """
    check_file(path)
    # An absolute path is never taken for a protocol, whatever colons the name has.
    name = str(path.absolute())
    options = {"protocol_whitelist": "file", "pattern_type": "none"}
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip(b"\xef\xbb\xbf \r\n")
        if start.startswith(_LIST_STARTS):
            got = "a text that may list other files"
            raise MediaError("a media file", got, _REMEDY, where=path)
        container = av.open(name, "r", options=options, metadata_errors="replace")
        if container.format.name == "image2" and container.streams:
            # chosen by the name, it would end after one picture whatever follows
            form = _PIPES.get(container.streams[0].codec_context.name)
            if form is not None:
                container.close()
                container = av.open(name, "r", form, options=options, metadata_errors="replace")
    except (FFmpegError, OSError, ValueError) as error:
        got = str(getattr(error, "strerror", None) or error)
        raise MediaError("a media file", got, _REMEDY, where=path) from error
    if container.format.name in _NOT_MEDIA or not container.streams:
        got = f"a file of the form {container.format.name!r}"
        container.close()
        raise MediaError("a media file", got, _REMEDY, where=path)
    return container


def video_stream(container: InputContainer) -> VideoStream | None:
    """Choose the moving picture, set to decode on one thread; a cover is none.

    Of several, a single picture and what lasts less than half as long as the longest count for
    nothing beside a film; then the largest is chosen, then the default, then the first.

    Args:
        container: The open file.

    Returns:
        The stream; None if there is none.
    """
    films = _films(container)
    if not films:
        return None
    is_default = Disposition.default
    chosen = max(films, key=lambda film: (film.width * film.height, film.disposition & is_default))
    if chosen.codec_context.thread_count != 1:  # that of an open decoder cannot be set again
        chosen.codec_context.thread_count = 1
    return chosen


def _films(container: InputContainer) -> list[VideoStream]:
    """The streams that may be the film, in order."""
    streams = [
        stream
        for stream in container.streams.video
        if stream.codec_context and not stream.disposition & Disposition.attached_pic
    ]
    films = [stream for stream in streams if stream.frames != 1] or streams
    lengths = {stream.index: stream_duration_s(container, stream) for stream in films}
    longest_s = max((length for length in lengths.values() if length), default=0.0)
    return [film for film in films if (lengths[film.index] or longest_s) * 2 >= longest_s]


def video_choice(container: InputContainer) -> str:
    """Say which of several moving pictures `video_stream` chooses; nothing of a single one.

    Args:
        container: The open file.
    """
    films, chosen = _films(container), video_stream(container)
    if chosen is None or len(films) < 2:  # noqa: PLR2004 - none beside it
        return ""
    size = f"{chosen.width}x{chosen.height}"
    return f"of its {len(films)} moving pictures, number {films.index(chosen) + 1}, {size}, is read"


def needed_video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the first moving picture of a file, as `video_stream` does.

    Args:
        container: The open file.
        path: Its path, for the message.

    Raises:
        MediaError: There is none; the message names ``path``.
    """
    stream = video_stream(container)
    if stream is None:
        raise MediaError("a video", "a file without a picture", where=path)
    return stream


def audio_stream(container: InputContainer) -> AudioStream | None:
    """Return the first sound that has a decoder, set to decode on one thread.

    Args:
        container: The open file.

    Returns:
        The stream; None if there is none.
    """
    for stream in container.streams.audio:
        if stream.codec_context and stream.codec_context.sample_rate > 0:
            stream.codec_context.thread_count = 1
            return stream
    return None


def packets(container: InputContainer, stream: _Stream) -> Iterator[av.Packet[_Stream]]:
    """Yield the packets of a stream, also of a file in which others begin later.

    PyAV knows the streams that were there at the start, and stumbles over a packet of another,
    which recordings of broadcasts and damaged files have; reading goes on after it.

    Args:
        container: The open file; it is read from where it stands.
        stream: One of its streams.

    Raises:
        FFmpegError: The file cannot be read further.
    """
    while True:
        try:
            yield from container.demux(stream)
        except IndexError:
            continue
        return


def start_s(container: InputContainer) -> Fraction:
    """Return the instant of time 0, of picture and sound alike, in the file's own clock.

    Args:
        container: The open file.

    Returns:
        Seconds, exactly; 0 where the file does not say.
    """
    return Fraction(container.start_time or 0, av.time_base)


def duration_s(container: InputContainer) -> float | None:
    """Return how long the file declares to last.

    Args:
        container: The open file.

    Returns:
        Seconds; None if it does not declare that.
    """
    return container.duration / av.time_base if container.duration else None


def stream_duration_s(container: InputContainer, stream: VideoStream | AudioStream) -> float | None:
    """Return how long the file declares one stream to last, in seconds; None if it does not.

    Matroska declares when it ends, on a clock that need not begin at 0.

    Args:
        container: The open file.
        stream: One of its streams.
    """
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    clock = _CLOCK.fullmatch(stream.metadata.get("DURATION", ""))  # Matroska's way
    if clock is None:
        return None
    hours, minutes, seconds = clock.groups()
    end_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return end_s - float(start_s(container))
