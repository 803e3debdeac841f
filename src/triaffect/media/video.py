"""A video as frames: upright RGB, with the time at which each is shown.

Contract: frames are uint8 (height, width, 3) RGB, turned and mirrored as the file's display
matrix asks, numbered from 0 in the order shown. Pixels are square: a picture stored with others,
as on DVDs and DV tapes, is stretched to what players show, and never shrunk. Times are seconds on
the clock that `triaffect.media.audio` uses too; they rise from frame to frame, at the file's own,
maybe varying, pace.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import chain
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.stream import VideoStream
from numpy.typing import NDArray

from triaffect.errors import MediaError
from triaffect.media.container import (
    STORED_ORDER,
    TIMELESS,
    SteadyPackets,
    assumed_matrix,
    audio_streams,
    duration_s,
    gif_is_cut,
    has_times,
    needed_video_stream,
    open_container,
    start_s,
    stream_duration_s,
    video_choice,
)
from triaffect.media.content import describe_content, index_problem, is_joined

DEFAULT_RATE = 25.0
"""Frames per second assumed where a file says nothing."""

_SLOWEST, _FASTEST, _FASTEST_LIKELY = 1 / 3600, 100_000.0, 1000.0
"""Frames per second that can be; broken files say anything."""

_BOTH_EYES = {1: "side by side", 2: "one above the other", 6: "line by line", 7: "in columns"}
"""How FFmpeg numbers the ways in which a frame holds the views of both eyes."""

JOINED = "films were joined in one file; only the first of them is read"

COVER = "its only picture is taken for a cover"
"""What is said of a single picture beside a sound."""

_ODDEST_PIXEL = 4
"""Pixels more than so many times as wide as high, or as high as wide, are a mistake of the file:
those of television are 8:11 to 2:1."""

_CHANGES_SHAPE = "its pixels change their shape within the film"

_ORIENTATIONS = {
    1: (1.0, 0.0, 0.0, 1.0),
    2: (-1.0, 0.0, 0.0, 1.0),
    3: (-1.0, 0.0, 0.0, -1.0),
    4: (1.0, 0.0, 0.0, -1.0),
    5: (0.0, 1.0, 1.0, 0.0),
    6: (0.0, 1.0, -1.0, 0.0),
    7: (0.0, -1.0, -1.0, 0.0),
    8: (0.0, -1.0, 1.0, 0.0),
}
"""Factors as those of `display_matrix`, by EXIF's orientation."""

_ORIENTATION_TAG, _EXIF_WITHIN = 0x112, 2**16

_CUT_S = 0.5
"""A picture that ends this much before its declared end has been cut off."""


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Attributes:
        index: 0-based number in the order shown; frames that do not decode are counted.
        time_s: Seconds from the start of the file.
        rgb: Pixels, uint8, shape (height, width, 3).
    """

    index: int
    time_s: float
    rgb: NDArray[np.uint8]


@dataclass(frozen=True)
class VideoInfo:
    """What a video is, before reading it through.

    Attributes:
        width: Pixels across, of the frames as they are yielded.
        height: Pixels down, likewise.
        frame_rate: Average frames per second.
        duration_s: Seconds it says it lasts; None where it does not say.
        has_sound: Whether there is a sound stream.
        start_s: Time of its first frame: later than 0 where the sound starts first.
    """

    width: int
    height: int
    frame_rate: float
    duration_s: float | None
    has_sound: bool
    start_s: float


class RisingTimes:
    """Times of a stream's frames in the order shown, rising whatever its time stamps do.

    Args:
        container: The open file.
        stream: Its picture.

    Attributes:
        step_s: Seconds from frame to frame where no time stamp tells.
        last_s: Time of the last frame asked for.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._start, self._has_clock = start_s(container), has_times(container)
        self.step_s = 1 / stream_rate(stream)
        self.last_s = -self.step_s

    def next_s(self, stamp: int | None, unit_s: Fraction | None) -> float:
        """Compute when the next frame is shown.

        Args:
            stamp: Its time stamp; None if it has none.
            unit_s: Unit of the stamp in seconds.

        Returns:
            Seconds from the start of the file, later than the last result.
        """
        shown = self.last_s + self.step_s
        if stamp is not None and unit_s is not None and self._has_clock:
            # exact, then rounded once, as float(stamp * unit_s - start) is, in a tenth of its time
            (n, d), (zero, zero_d) = unit_s.as_integer_ratio(), self._start.as_integer_ratio()
            shown = (stamp * n * zero_d - zero * d) / (d * zero_d)
        # A file whose clock stands still or runs back still gets rising times.
        self.last_s = shown if shown > self.last_s else self.last_s + self.step_s
        return self.last_s


_ONE_FRAME_A_PACKET = frozenset({"h264", "hevc", "mjpeg", "vp9", "av1", "prores"})
"""Codecs of whose packets each holds one shown frame, so that frames can be counted undecoded."""

_MOST_HELD = 8192
"""Packets held at most while the last keyframes before a time are looked for."""


class SkippedPackets:
    """The packets of a stream from which the frames from a time on can be decoded.

    Decoding starts two keyframes before the time: pictures right after a keyframe may refer to
    some before it.

    Args:
        steady: The packets of the picture, on one clock.
        from_s: The time in seconds from the start of the file; before 0 nothing is skipped.

    Attributes:
        count: Frames whose packets were skipped so far.
        held_stamps: Time stamps of the frames that are decoded to get to the first one shown.
    """

    def __init__(self, steady: SteadyPackets[VideoStream], from_s: float) -> None:
        self._packets, self._from_s = iter(steady), from_s
        self._zero, self._can_skip = start_s(steady.container), from_s > 0
        self._can_skip &= steady.stream.codec_context.name in _ONE_FRAME_A_PACKET
        self.count = 0
        self.held_stamps: list[int] = []

    def __iter__(self) -> Iterator[av.Packet[VideoStream]]:
        """Yield the packets.

        Raises:
            FFmpegError: The file cannot be read further.
        """
        groups: list[list[av.Packet[VideoStream]]] = [[]]
        stopped: FFmpegError | None = None
        try:
            while self._can_skip:
                packet = next(self._packets, None)
                if packet is None:
                    break
                if packet.is_keyframe:
                    groups.append([])
                groups[-1].append(packet)
                while len(groups) > 2:  # noqa: PLR2004 - see above
                    self.count += sum(not each.is_discard for each in groups.pop(0))
                stamp = packet.pts if packet.dts is None else packet.dts
                if packet.pts is None or stamp is None or packet.time_base is None:
                    break
                is_before = float(stamp * packet.time_base - self._zero) < self._from_s
                self._can_skip = sum(map(len, groups)) < _MOST_HELD and is_before
        except FFmpegError as error:
            stopped = error
        held = [packet for group in groups for packet in group]
        if self.count:
            shown = (each.pts for each in held if not each.is_discard)
            self.held_stamps = [stamp for stamp in shown if stamp is not None]
        yield from held
        if stopped:
            raise stopped
        yield from self._packets


class Decoder:
    """One pass over the frames of an open video.

    Args:
        container: The open file; it is read from where it stands.
        stream: Its picture.
        max_size: Longest side in pixels; larger frames are shrunk to it.

    Attributes:
        problem: None, or what went wrong so far in a file that is broken or cut off.
        oddities: What is doubtful in what the file says of itself, in words.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, max_size: int | None = None
    ) -> None:
        self.container, self.stream, self.max_size = container, stream, max_size
        self.problem: str | None = None
        self._steady = SteadyPackets(container, stream)
        self.oddities = list(filter(None, [video_choice(container)]))
        self._aspect = self._possible_aspect(stream.sample_aspect_ratio)
        self._coded_aspects: list[Fraction | None] = []
        self._next_aspect: tuple[int, Fraction | None] | None = None
        self._packet: av.Packet[VideoStream] | None = None
        self._tolerant: av.VideoCodecContext | None = None
        self._in_stored_order = container.format.name in STORED_ORDER
        self._first_stored: int | None = None
        self._delay: int | None = None
        self._incomplete = 0  # packets of which something is missing
        if stream.codec_context.name == "mjpeg":
            # else FFmpeg fills what a damaged picture lacks, and says nothing
            stream.codec_context.options = {"err_detect": "explode"}
            self._tolerant = av.VideoCodecContext.create("mjpeg", "r")
            self._tolerant.thread_count = 1

    def _possible_aspect(self, aspect: Fraction | None) -> Fraction:
        """Return the shape of pixels, square where a file says none or what cannot be."""
        aspect = aspect or Fraction(1)
        if 1 / _ODDEST_PIXEL <= aspect <= _ODDEST_PIXEL:
            return aspect
        odd = f"{aspect.numerator}:{aspect.denominator}"
        self.oddities.append(f"pixels of {odd} are taken as square")
        return Fraction(1)

    @property
    def remarks(self) -> list[str]:
        """What is doubtful in how the file was read so far, in words."""
        jumps = None if JOINED in self.oddities else self._steady.remark
        return [*self.oddities, *filter(None, [jumps])]

    def frames(self, from_s: float = -math.inf) -> Iterator[Frame]:
        """Yield the frames shown from a time on, as a rule the start, to the end of the file.

        Their numbers are those among all frames. Where the codec allows it, what lies before the
        second last keyframe before that time is read but not decoded.

        Args:
            from_s: The time in seconds from the start of the file.
        """
        times, count = RisingTimes(self.container, self.stream), 0
        angle, matrix = None, (1.0, 0.0, 0.0, 1.0)
        for index, picture in self.pictures(from_s):
            time_s = times.next_s(picture.pts, picture.time_base)
            count += 1
            if time_s < from_s:
                continue
            if picture.is_corrupt:
                self.problem = "some frames are damaged"
            if picture.rotation != angle:
                # PyAV's side data and its frame hold each other until the garbage collector
                # comes by, so it is read once, not for every frame: at 1080p that is 280 MB.
                angle, matrix = picture.rotation, self.matrix(picture)
                self._note_both_eyes(picture)
            yield Frame(index, time_s, self.upright(picture, matrix))
        declared_s = stream_duration_s(self.container, self.stream)
        end_s = times.last_s + times.step_s  # when the last frame ends
        if self._steady.jumps:
            declared_s = None  # it counts the jumps
        if self._incomplete > len(self._steady.jumps):  # where recordings are joined, all is there
            self.problem = self.problem or "some frames are damaged"
        if self._steady.overlaps > 1:  # one is where parts are joined
            count = self._steady.overlaps
            self.problem = self.problem or f"{count} frames are left out: their times overlap"
        if is_joined(Path(self.container.name), self._steady.end):
            self.oddities.append(JOINED)
        self.problem = self.problem or index_problem(Path(self.container.name)) or None
        if self.problem is None and declared_s is not None and declared_s - end_s > _CUT_S:
            self.problem = f"cut off: {count} frames, {end_s:.2f} s, of {declared_s:.2f} s"

    def pictures(self, from_s: float = -math.inf) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield frames as decoded, numbered; one that does not decode leaves its number out.

        Those before a time are left out as far as the codec allows.

        Args:
            from_s: The time in seconds from the start of the file.

        Yields:
            0-based number among all frames, and the frame in its own pixel format.
        """
        skipped = SkippedPackets(self._steady, from_s)
        parts, index, is_first = iter(skipped), 0, True
        while True:
            try:
                packet = next(parts)
            except StopIteration:
                return
            except FFmpegError as error:
                self.problem = f"reading stopped: {error.strerror}"
                return
            self._packet = packet
            if is_first and packet.has_sidedata("encryption_info"):
                self.problem = "it is encrypted"  # some of it would decode to noise
                return
            try:
                pictures = self._decode(packet)
            except FFmpegError as error:
                self.problem = f"a part does not decode: {error.strerror}"
                index += 1
                continue
            self._watch_aspect(packet)
            self._restamp(packet, pictures)
            for picture in pictures:
                self._take_aspect(picture)
                if packet.is_corrupt and not is_first:  # a broadcast may begin in a frame
                    self._incomplete += 1
                if is_first and skipped.count:
                    first = picture.pts
                    earlier = (first is not None and held < first for held in skipped.held_stamps)
                    index = skipped.count + sum(earlier)
                is_first = False
                if picture.is_corrupt and from_s == -math.inf:
                    self.problem = "some frames are damaged"
                yield index, picture
                index += 1

    def _restamp(self, packet: av.Packet[VideoStream], pictures: list[av.VideoFrame]) -> None:
        """Stamp frames of a form without times of display in the order in which they are shown.

        A frame comes out some packets after the first one was put in, and is shown as early as
        that one is stored; those that come after the last packet follow at an even pace.
        """
        if self._first_stored is None and packet.is_keyframe:
            self._first_stored = packet.dts
        for picture in pictures if self._in_stored_order else ():
            if picture.dts is not None and self._first_stored is not None:
                if self._delay is None:
                    self._delay = picture.dts - self._first_stored
                picture.pts = picture.dts - self._delay
            else:
                picture.pts = None

    def _decode(self, packet: av.Packet[VideoStream]) -> list[av.VideoFrame]:
        """Decode a packet; a damaged JPEG is told, and decoded as far as it goes."""
        try:
            return packet.decode()
        except FFmpegError:
            pictures = self._tolerant.decode(packet) if self._tolerant and packet.size else []
            if not pictures:
                raise
            self.problem = "some frames are damaged"
            return pictures

    def _watch_aspect(self, packet: av.Packet[VideoStream]) -> None:
        """Notice from when on pixels have another shape: broadcasts change it between programs."""
        coded = self.stream.codec_context.sample_aspect_ratio
        if self._coded_aspects[-1:] != [coded]:
            self._coded_aspects = [*self._coded_aspects[-1:], coded]
            if len(self._coded_aspects) > 1 and packet.pts is not None:
                self._next_aspect = packet.pts, coded

    def _take_aspect(self, picture: av.VideoFrame) -> None:
        """Take the shape of pixels that begins with a frame."""
        if self._next_aspect is None or picture.pts is None or picture.pts < self._next_aspect[0]:
            return
        aspect, self._next_aspect = self._possible_aspect(self._next_aspect[1]), None
        if aspect != self._aspect:
            self._aspect = aspect
            if _CHANGES_SHAPE not in self.oddities:
                self.oddities.append(_CHANGES_SHAPE)

    def _note_both_eyes(self, picture: av.VideoFrame) -> None:
        """Notice a stereoscopic film, each frame of which shows every face twice."""
        try:
            side_data = cast("SideDataContainer", picture.side_data)
        except ValueError:
            return
        if Type.STEREO3D not in side_data:
            return
        kind = int.from_bytes(bytes(side_data[Type.STEREO3D])[:4], sys.byteorder)
        if kind in _BOTH_EYES:
            words = f"it shows what both eyes see, {_BOTH_EYES[kind]}: every face is there twice"
            self.oddities += [] if words in self.oddities else [words]

    def matrix(self, picture: av.VideoFrame) -> tuple[float, float, float, float]:
        """Read how the frame decoded last is to be turned and mirrored, as `display_matrix` does.

        Args:
            picture: The frame.

        Returns:
            The four factors. Those of a JPEG with EXIF are read from its packet.
        """
        coded = None
        if self._tolerant is not None and self._packet is not None:
            coded = exif_matrix(bytes(self._packet))
        return coded or display_matrix(picture)

    def upright(
        self, picture: av.VideoFrame, matrix: tuple[float, float, float, float]
    ) -> NDArray[np.uint8]:
        """Convert any pixel format to RGB with square pixels, shrink, and turn.

        Args:
            picture: A frame as decoded.
            matrix: Factors a, b, c, d as `display_matrix` returns them; of anything between
                quarter turns and mirrors, the nearest is taken.

        Returns:
            RGB, uint8, shape (height, width, 3).
        """
        width, height = float(picture.width), float(picture.height)
        if self._aspect > 1:
            width *= float(self._aspect)
        else:
            height /= float(self._aspect)
        shrink = min(1.0, self.max_size / max(width, height)) if self.max_size else 1.0
        rgb: NDArray[np.generic] = picture.to_ndarray(
            format="rgb24",
            width=max(1, round(width * shrink)),
            height=max(1, round(height * shrink)),
            interpolation="AREA" if shrink < 1 else "BILINEAR",
            src_colorspace=assumed_matrix(picture),
            threads=1,
        )
        if picture.color_trc in HDR:
            rgb = to_standard_range(np.asarray(rgb, np.uint8), picture)
        a, b, c, d = matrix
        if abs(a) + abs(d) < abs(b) + abs(c):
            rgb, a, d = np.swapaxes(rgb, 0, 1), c, b
        rgb = rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
        return np.ascontiguousarray(rgb, np.uint8)


class VideoFrames:
    """The frames of a video, one in memory at a time.

    The file is opened once for the size and the first loop; each further loop opens it anew.

    Args:
        path: The video.
        max_size: Longest side in pixels; larger frames are shrunk to it.
        container: The same file, already open and not read yet, for the first loop.

    Attributes:
        info: Size, rate, length.
        problem: After a loop: None, or what went wrong in a file that is broken or cut off.
            What could be decoded has been yielded by then.
        is_single: Whether it is one whole picture, and no film.

    Raises:
        MediaError: Not a file, not a video, or not one frame can be decoded.
    """

    def __init__(
        self,
        path: str | Path,
        max_size: int | None = None,
        container: InputContainer | None = None,
    ) -> None:
        self.path, self.max_size = Path(path), max_size
        self.problem: str | None = None
        self._decoder: Decoder | None = None
        self._begun: tuple[Decoder, Iterator[Frame]] | None = None
        self.info = self._read_info(container or open_container(self.path))

    def _read_info(self, container: InputContainer) -> VideoInfo:
        """Decode two frames, which tell the size and whether it moves, for the next loop."""
        decoder = Decoder(container, needed_video_stream(container, self.path), self.max_size)
        frames = decoder.frames()
        first = next(frames, None)
        if first is None:
            got = describe_content(self.path) or decoder.problem or "none"
            remedy = "record it again"
            raise MediaError("at least one frame that decodes", got, remedy, where=self.path)
        second, has_sound = next(frames, None), bool(audio_streams(container))
        # A fragmented file declares the frames of its first part, so that one may be many; and
        # Matroska declares for a picture beside a sound that it lasts as long.
        problem = decoder.problem or ""
        is_whole = not problem or (has_sound and problem.startswith("cut off"))
        self.is_single = second is None and (decoder.stream.frames == 1 or is_whole)
        format_name = container.format.name
        if format_name == "gif" and gif_is_cut(self.path):
            decoder.problem = "cut off"
        if second is not None and not has_times(container):
            # of different sizes, it is a picture and one beside it
            is_film = format_name in TIMELESS - {"mjpeg", "mpjpeg"}
            self.is_single = not is_film and first.rgb.shape != second.rgb.shape
            rate = f"{stream_rate(decoder.stream):g}"
            words = "taken, as it says" if decoder.stream.codec_context.framerate else "assumed"
            words = words if is_film else "assumed"
            decoder.oddities.append(f"its frames have no times: {rate} a second are {words}")
        self._begun = decoder, chain(filter(None, [first, second]), frames)
        self._decoder = decoder
        height, width = first.rgb.shape[:2]
        return VideoInfo(
            width,
            height,
            stream_rate(decoder.stream),
            duration_s(container),
            has_sound,
            first.time_s,
        )

    @property
    def remarks(self) -> list[str]:
        """What is doubtful in how the file was read so far, in words."""
        return self._decoder.remarks if self._decoder else []

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order."""
        if self._begun is None:
            self._read_info(open_container(self.path))
        assert self._begun is not None  # noqa: S101 - set by the line before
        (decoder, frames), self._begun = self._begun, None
        self.problem = None
        try:
            with decoder.container:
                yield from frames
        finally:
            self.problem = decoder.problem

    def frames_from(self, from_s: float) -> Iterator[Frame]:
        """Yield the frames shown from a time on, numbered as among all; opens the file anew.

        Args:
            from_s: The time in seconds from the start of the file.

        Raises:
            MediaError: The file cannot be opened again.
        """
        if self._begun is not None:
            self._begun[0].container.close()
            self._begun = None
        container = open_container(self.path)
        decoder = Decoder(container, needed_video_stream(container, self.path), self.max_size)
        self.problem, self._decoder = None, decoder
        try:
            with container:
                yield from decoder.frames(from_s)
        finally:
            self.problem = decoder.problem


def stream_rate(stream: VideoStream) -> float:
    """Return the average frames/s of a stream; `DEFAULT_RATE` if it says none, or nonsense.

    Args:
        stream: The picture of an open file.
    """
    average, guessed = float(stream.average_rate or 0), float(stream.guessed_rate or 0)
    # of DV, FFmpeg takes the ticks of its clock for frames
    is_clock = average > _FASTEST_LIKELY and average * (stream.time_base or 0) == 1
    for rate in (guessed, average) if is_clock else (average, guessed):
        if _SLOWEST <= rate <= _FASTEST:
            return rate
    return DEFAULT_RATE


_PQ, _HLG, _WIDE = 16, 18, 9
HDR = frozenset({_PQ, _HLG})
"""Transfer curves of high dynamic range, and wide primaries, as FFmpeg numbers them."""

_WHITE, _PEAK, _KNEE = 203.0, 1000.0, 0.8
"""Candelas a square meter of paper, of the screen that HLG is made for (ITU-R BT.2408), and from
which share of the white on brighter levels are pressed together."""

_STEPS = 1024
_WIDE_LUMINANCE = np.array([[0.2627, 0.6780, 0.0593]], np.float32)
_WIDE_TO_SRGB = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)


@cache
def _range_tables(curve: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Light by coded level, and sRGB's level by a root of the light, for one transfer curve."""
    coded = np.arange(256) / 255
    if curve == _PQ:
        root = coded ** (32 / 2523)
        share = np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)
        light = 10_000 / _WHITE * share ** (16384 / 2610)
    else:  # light of the scene, 0 to 1
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        bright = (np.exp((coded - c) / a) + b) / 12
        light = np.where(coded > 1 / 2, bright, coded**2 / 3)
    shown = (np.arange(4 * _STEPS + 1) / _STEPS) ** 2
    pressed = _KNEE + (1 - _KNEE) * (1 - np.exp(-(shown - _KNEE) / (1 - _KNEE)))
    shown = np.where(shown > _KNEE, pressed, shown)
    srgb = np.maximum(1.055 * shown ** (1 / 2.4) - 0.055, np.minimum(12.92 * shown, 0.04045))
    return light.astype(np.float32), np.round(255 * srgb).astype(np.uint8)


def to_standard_range(rgb: NDArray[np.uint8], picture: av.VideoFrame) -> NDArray[np.uint8]:
    """Bring a frame of high dynamic range (PQ or HLG) to what a usual screen shows.

    Paper white gets nearly the brightest level, what is brighter is pressed together above it;
    wide primaries (BT.2020) become sRGB's.

    Args:
        rgb: The frame's coded levels, uint8, shape (height, width, 3).
        picture: The frame as decoded, which names its curve and primaries.

    Returns:
        RGB, uint8, of the same shape.
    """
    light_of, level_of = _range_tables(picture.color_trc)
    light = cv2.LUT(rgb, light_of)
    if picture.color_trc == _HLG:
        glow = cv2.pow(np.maximum(cv2.transform(light, _WIDE_LUMINANCE), 1e-6), 0.2)
        light *= (_PEAK / _WHITE) * glow.reshape(*glow.shape[:2], 1)
    if picture.color_primaries == _WIDE:
        light = cv2.transform(light, _WIDE_TO_SRGB)
    steps = np.sqrt(np.clip(light, 0.0, 16.0, out=light), out=light)
    steps *= _STEPS
    levels: NDArray[np.uint8] = level_of[(steps + 0.5).astype(np.uint16)]
    return levels


def display_matrix(picture: av.VideoFrame) -> tuple[float, float, float, float]:
    """Read how a frame is to be turned and mirrored.

    Args:
        picture: A frame as decoded.

    Returns:
        Factors a, b, c, d of: shown x = a·x + c·y, shown y = b·x + d·y, up to scale and shift.
    """
    try:
        # PyAV's own annotation says a plain dict of motion vectors.
        side_data = cast("SideDataContainer", picture.side_data)
    except ValueError:
        # It knows no name for something else there, such as EXIF; the angle can still be had.
        angle = math.radians(picture.rotation)
        return math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)
    if Type.DISPLAYMATRIX not in side_data:
        return 1, 0, 0, 1
    matrix = np.frombuffer(bytes(side_data[Type.DISPLAYMATRIX]), np.int32)
    return matrix[0], matrix[1], matrix[3], matrix[4]


def exif_matrix(jpeg: bytes) -> tuple[float, float, float, float] | None:
    """Read how a JPEG is to be turned and mirrored by its EXIF orientation.

    Args:
        jpeg: The file.

    Returns:
        Factors as those of `display_matrix`; None if it says nothing, or what cannot be.
    """
    at = jpeg.find(b"Exif\0\0", 0, _EXIF_WITHIN)
    tiff = jpeg[at + 6 : at + _EXIF_WITHIN] if at >= 0 else b""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return None
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == _ORIENTATION_TAG:
                return _ORIENTATIONS.get(value)
    except struct.error:
        pass  # damaged: it says nothing
    return None
