"""Open a media file; every way that can fail ends in a `MediaError`."""

from __future__ import annotations

import math
import os
import re
import stat
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Generic, TypeVar, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import EOFError, FFmpegError, InvalidDataError  # noqa: A004 - PyAV's
from av.format import Flags
from av.stream import Disposition
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from triaffect.errors import MediaError
from triaffect.media.content import describe_content

_NOT_MEDIA = frozenset({"tty", "bin", "idf", "xbin", "adf", "adp"})
"""Forms of text art, which FFmpeg would play as a video, and one that samples of sound without
a header are taken for."""

_LIST_STARTS = (b"#EXTM3U", b"ffconcat", b"<", b"v=0", b"%PDF")
"""How a list of other files begins, or a page of them (SVG, HTML, PDF). FFmpeg would open those,
wait for missing ones, or find some picture in the middle."""

_PIPES = {"mjpeg": "jpeg_pipe", "png": "png_pipe"}
"""Forms of pictures one after another, by the codec of the pictures."""

TIMELESS = frozenset(
    {"h264", "hevc", "vvc", "obu", "dnxhd", "mpegvideo", "cavsvideo", "vc1", "mjpeg", "mpjpeg"}
)
"""Forms of pictures one after another without a time of their own, beside the pipes."""

STORED_ORDER = frozenset({"avi", "asf"})
"""Forms whose stamps are of the order in which frames are stored, not shown."""

_NO_DELAY = {"default_fps": "10"}
"""Frames of an animated PNG without a duration last a tenth of a second, as in browsers."""

_DECLARED_FOR_ALL = ("flv", "asf")
"""Forms that declare one length for all of their streams; others leave FFmpeg to guess it."""

_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")

_Stream = TypeVar("_Stream", VideoStream, AudioStream)
_AnyStream = TypeVar("_AnyStream", bound=VideoStream | AudioStream)

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
    try:
        state = path.stat()
    except OSError as error:
        # of an address's two slashes a path keeps one
        is_address = re.match("[a-z][a-z0-9]+:/", str(path)) is not None
        got = "an address of the network" if is_address else "no such file"
        remedy = "download it, and give the file" if is_address else "check the path"
        missing = MediaError("a media file", got, remedy, where=path)
        raise missing from error
    if not stat.S_ISREG(state.st_mode):
        got = "a folder" if stat.S_ISDIR(state.st_mode) else "something that is not a file"
        raise MediaError("a media file", got, "give the file itself", where=path)
    if state.st_size == 0:
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
            got = "a document, a drawing or a list of other files"
            raise MediaError("a media file", got, _REMEDY, where=path)
        if start.startswith(b"RIFF"):
            options |= {"max_size": _WAV_PACKET, "probesize": _WAV_PROBE}
            if wav_lengths(path)[1]:
                options["ignore_length"] = "1"
        options |= _NO_DELAY if start.startswith(b"\x89PNG") else {}
        sure = "pam_pipe" if start.startswith(b"P7\n") else None  # else taken by its ending
        container = av.open(name, "r", sure, options=options, metadata_errors="replace")
        demuxer, rate = _better_demuxer(container)
        if demuxer or rate:
            container.close()
            options |= {"framerate": str(rate)} if rate else {}
            container = av.open(name, "r", demuxer, options=options, metadata_errors="replace")
    except (FFmpegError, OSError, ValueError) as error:
        is_content = isinstance(error, InvalidDataError | EOFError)
        got = describe_content(path) if is_content else ""
        got = got or str(getattr(error, "strerror", None) or error)
        raise MediaError("a media file", got, _REMEDY, where=path) from error
    is_read = any(stream.codec_context for stream in container.streams)
    if container.format.name in _NOT_MEDIA or not is_read:
        got = describe_content(path) or f"a file of the form {container.format.name!r}"
        container.close()
        raise MediaError("a media file", got, _REMEDY, where=path)
    return container


_WAV_PACKET = "65536"
"""Bytes of a packet of a WAV file: FFmpeg's own 64 ms cost more to hand on than to read."""

_WAV_PROBE = "262144"
"""Bytes of a WAV file that are searched for sound of another form, such as DTS: FFmpeg's own 5 MB
take 0.17 s, these 0.02."""


def _better_demuxer(container: InputContainer) -> tuple[str | None, Fraction | None]:
    """The demuxer and the frame rate with which a file is to be opened once more, if it is."""
    stream = next(iter(container.streams.video), None)
    if stream is None or stream.codec_context is None:
        return None, None
    if container.format.name == "image2":
        # chosen by the name, it would end after one picture whatever follows
        return _PIPES.get(stream.codec_context.name), None
    if container.format.name not in TIMELESS:
        return None, None
    coded = stream.codec_context.framerate  # what FFmpeg assumes is 25
    return None, coded if coded and coded != stream.average_rate else None


_HD_WIDTH, _SD_HEIGHT = 1280, 576
_UNDECLARED = 2
"""Matrix of colors that nothing is said of, as FFmpeg numbers it."""


def is_high_definition(width: int, height: int) -> bool:
    """Tell whether players take undeclared colors for those of BT.709: where mpv draws the line.

    Args:
        width: Pixels.
        height: Pixels.

    Examples:
        >>> is_high_definition(1280, 720), is_high_definition(1024, 576)
        (True, False)
    """
    return width >= _HD_WIDTH or height > _SD_HEIGHT


def assumed_matrix(picture: av.VideoFrame) -> Colorspace | None:
    """Choose the matrix by which to read the colors of a frame, as players do.

    FFmpeg alone takes undeclared ones for those of BT.601, whatever the size.

    Args:
        picture: A frame as decoded.

    Returns:
        BT.709 for undeclared colors of high definition; None to take what is declared, or BT.601.
    """
    has_matrix = len(picture.format.components) >= 3 and not picture.format.is_rgb  # noqa: PLR2004
    is_assumed = picture.colorspace == _UNDECLARED and has_matrix
    is_high = is_high_definition(picture.width, picture.height)
    return Colorspace.ITU709 if is_assumed and is_high else None


def has_times(container: InputContainer) -> bool:
    """Tell whether the frames of a file have times of their own.

    Args:
        container: The open file.
    """
    return container.format.name not in TIMELESS and not container.format.name.endswith("_pipe")


_UNKNOWN_SIZES = frozenset({0, 2**31 - 1, 2**32 - 1})
"""What recorders that cannot go back write as the size of a WAV file."""


def wav_lengths(path: Path) -> tuple[int, int]:
    """Tell how far the header of a WAV file is wrong about its sound.

    Args:
        path: A file of any kind.

    Returns:
        Bytes of sound that it declares and lacks, and that it has beyond those declared; both 0
        where it is right, does not say, or is of another kind.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        riff, declared, kind = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        if riff != b"RIFF" or kind != b"WAVE":
            return 0, 0
        missing = 0 if declared in _UNKNOWN_SIZES else max(0, declared + 8 - size)
        while len(head := file.read(8)) == 8:  # noqa: PLR2004 - name and size of a chunk
            name, length = struct.unpack("<4sI", head)
            if name != b"data":
                file.seek(length + length % 2, 1)
                continue
            end = file.tell() + length
            if length in _UNKNOWN_SIZES:
                return 0, 0
            if end > size:
                return max(missing, end - size), 0
            file.seek(end + length % 2)
            following = file.read(4)
            is_chunk = all(0x20 <= letter < 0x7F for letter in following)  # noqa: PLR2004 - ASCII
            return missing, 0 if len(following) < 4 or is_chunk else size - end  # noqa: PLR2004
    return 0, 0


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
    if container.metadata.get("major_brand") == "avis":
        films = films[:1]  # the others are its transparency
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


def audio_streams(container: InputContainer) -> list[AudioStream]:
    """List the sounds that have a decoder, set to decode on one thread each.

    Args:
        container: The open file.

    Returns:
        The streams in the order of the file, the tracks 1, 2, ... of a player.
    """
    streams = [
        stream
        for stream in program_streams(container)
        if isinstance(stream, AudioStream)
        and stream.codec_context
        and stream.codec_context.sample_rate > 0
    ]
    for stream in streams:
        stream.codec_context.thread_count = 1
    return streams


def program_streams(container: InputContainer) -> list[VideoStream | AudioStream]:
    """List pictures and sounds, of a broadcast with several programs those of the film's.

    Args:
        container: The open file.

    Returns:
        The streams, pictures first.
    """
    every: list[VideoStream | AudioStream] = [
        *container.streams.video,
        *container.streams.audio,
    ]
    film = video_stream(container) if container.format.name == "mpegts" else None
    if film is None:
        return every
    best = container.streams.best
    of_film = best("video", related=film)
    return [each for each in every if each is film or best("video", related=each) is of_film]


def audio_stream(container: InputContainer) -> AudioStream | None:
    """Return the first of the sounds that `audio_streams` lists; None if there is none.

    Args:
        container: The open file.
    """
    return next(iter(audio_streams(container)), None)


def gif_is_cut(path: Path) -> bool:
    """Tell whether a GIF ends too early, which FFmpeg and OpenCV fill without a word.

    Args:
        path: Any file; of another kind it is False.
    """
    with path.open("rb") as file:
        start = file.read(13)
        if start[:3] != b"GIF":
            return False
        file.seek(_color_table(start[-3]), os.SEEK_CUR)
        while kind := file.read(1):
            if kind == b";":
                return False
            if kind == b",":  # a picture
                head = file.read(9)
                file.seek(_color_table(head[-1] if head else 0) + 1, os.SEEK_CUR)
            else:  # an extension
                file.read(1)
            while size := file.read(1):  # blocks, up to one of no length
                if size == b"\0":
                    break
                file.seek(size[0], os.SEEK_CUR)
    return True


def _color_table(flags: int) -> int:
    """Bytes of the table of colors that a GIF says to have."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def packets(container: InputContainer, *streams: _AnyStream) -> Iterator[av.Packet[_AnyStream]]:
    """Yield the packets of streams, also of a file in which others begin later.

    PyAV knows the streams that were there at the start, and stumbles over a packet of another,
    which recordings of broadcasts and damaged files have; reading goes on after it.

    Args:
        container: The open file; it is read from where it stands.
        streams: Some of its streams.

    Raises:
        FFmpegError: The file cannot be read further.
    """
    while True:
        try:
            # PyAV's annotation knows several streams of one kind only
            yield from cast("Iterator[av.Packet[_AnyStream]]", container.demux(*streams))
        except IndexError:
            continue
        return


_BROADCAST_JUMP_S, _JUMP_S = 10.0, 3600.0
"""A clock that runs ahead by more has jumped. Broadcasts and recordings of disks may go on with
another clock (FFmpeg's players take 10 s, too); in other files a gap is one, up to an hour."""

_BACK_S = 0.2
"""A clock that runs back by more has begun anew: packets come in the order of decoding."""

_PACES = 4
"""Frames that come further apart than a jump are no jump at less than so many times their pace."""


class SteadyPackets(Generic[_Stream]):
    """The packets of a stream, their time stamps mended where the clock of the file jumps.

    Recordings that were joined go on with the clock of another one. What follows a jump, of
    picture and sound alike, is put where the longer of them ended, as players do: whichever
    stream is read, all of them are watched, and are shifted by the same amount.

    Args:
        container: The open file; it is read from where it stands.
        stream: The stream whose packets are wanted.

    Attributes:
        container: The open file.
        stream: The stream.
        jumps: When the clock jumped, and by how much, in seconds.
        end: Where what was read so far ends in the file, in bytes.
        overlaps: Packets of the stream that FFmpeg leaves out, as they have the time of another.
    """

    def __init__(self, container: InputContainer, stream: _Stream) -> None:
        self.container = container
        self.stream: _Stream = stream
        every = program_streams(container)
        self._streams = [s for s in every if not s.disposition & Disposition.attached_pic]
        self._most_s = _JUMP_S if len(self._streams) > 1 else math.inf
        if container.format.flags & cast("int", Flags.ts_discont.value):
            self._most_s = _BROADCAST_JUMP_S
        self._shifts_s: dict[int, float] = {}
        self._ends_s: dict[int, float] = {}
        self._paces_s: dict[int, float] = {}
        self.jumps: list[tuple[float, float]] = []
        self.end = self.overlaps = 0

    @property
    def remark(self) -> str | None:
        """What to say of the jumps so far, in words; None if there were none."""
        if not self.jumps:
            return None
        at_s, by_s = self.jumps[0]
        times = f" {len(self.jumps)} times, first" if len(self.jumps) > 1 else ""
        return f"the clock jumps{times} at {at_s:.2f} s by {by_s:+.2f} s; read on without a gap"

    def __iter__(self) -> Iterator[av.Packet[_Stream]]:
        """Yield the packets.

        Raises:
            FFmpegError: The file cannot be read further.
        """
        units_s: dict[int, float] = {}  # of a stream all the same, and slow to ask for
        last_dts = None
        for packet in packets(self.container, *self._streams):
            self.end = max(self.end, (packet.pos or 0) + packet.size)
            # what an edit list leaves out goes back in time, and is not shown
            if packet.dts is not None and not packet.is_discard:
                index = packet.stream_index
                if index not in units_s and packet.time_base is not None:
                    units_s[index] = float(packet.time_base)
                if index in units_s:
                    self._mend(packet, packet.dts, units_s[index])
            if packet.stream.index == self.stream.index:  # the last, empty ones have no number
                self.overlaps += packet.is_discard and packet.dts == last_dts
                if self.container.format.name in STORED_ORDER:
                    packet.pts = packet.dts  # what FFmpeg makes of it is a guess
                last_dts = packet.dts
                yield cast("av.Packet[_Stream]", packet)

    def _mend(self, packet: av.Packet[VideoStream | AudioStream], dts: int, unit_s: float) -> None:
        """Shift the stamps of the next packet of any stream as those before, or after a jump."""
        index, stamp_s = packet.stream.index, dts * unit_s
        if packet.pts is not None and abs(packet.pts - dts) * unit_s > self._most_s:
            packet.pts = dts  # shown on the clock that begins with the next packet
        is_first, shift_s = index not in self._ends_s, self._shifts_s.get(index, 0.0)
        last_s = max(self._ends_s.values(), default=stamp_s)
        end_s = self._ends_s.get(index, last_s)
        most_s = max(self._most_s, _PACES * self._paces_s.get(index, 0.0))

        def fits(shift_s: float) -> bool:
            step_s = stamp_s + shift_s - end_s
            return (is_first or step_s >= -_BACK_S) and step_s <= most_s

        if not fits(shift_s):
            others_s = [each for each in self._shifts_s.values() if fits(each)]
            if not others_s:
                start = float(start_s(self.container))
                self.jumps.append((last_s - start, stamp_s + shift_s - end_s))
            shift_s = others_s[-1] if others_s else last_s - stamp_s
        if not is_first:
            self._paces_s[index] = abs(stamp_s + shift_s - end_s)
        self._shifts_s[index] = shift_s
        self._ends_s[index] = stamp_s + shift_s + (packet.duration or 0) * unit_s
        if shift_s:
            units = round(shift_s / unit_s)
            packet.dts = dts + units
            packet.pts = None if packet.pts is None else packet.pts + units


def start_s(container: InputContainer) -> Fraction:
    """Return the instant of time 0, of picture and sound alike, in the file's own clock.

    Args:
        container: The open file.

    Returns:
        Seconds, exactly; 0 where the file does not say. Of a broadcast with several programs,
        each of which has its clock, it is that of the film's program.
    """
    if container.format.name == "mpegts":
        streams = program_streams(container)
        if len(streams) < len(container.streams.video) + len(container.streams.audio):
            starts = [(s.start_time, s.time_base) for s in streams if s.start_time is not None]
            return min((stamp * unit for stamp, unit in starts if unit), default=Fraction(0))
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
        of_all = container.format.name in _DECLARED_FOR_ALL
        return duration_s(container) if of_all else None
    hours, minutes, seconds = clock.groups()
    end_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return end_s - float(start_s(container))
