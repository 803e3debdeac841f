"""Still pictures: read upright, whatever their format, and what else their files hold.

Orientation is applied once by whoever decodes: OpenCV applies EXIF's to JPEG, PNG, WebP and TIFF;
HEIF's own turns and mirrors are applied by `triaffect.media.heif`, which passes EXIF's over, as
its standard asks; FFmpeg applies what it reads to whatever else there is.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from triaffect.errors import MediaError
from triaffect.media.container import (
    check_file,
    gif_is_cut,
    needed_video_stream,
    open_container,
)
from triaffect.media.heif import is_heif, read_heif
from triaffect.media.video import Frame, VideoFrames, VideoInfo

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_TIFF = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
_NEXT_JPEG = re.compile(rb"\xff\xd8\xff[\xc0-\xc4\xdb\xe0-\xef\xfe]")
_FLOATS = frozenset({b"PF", b"Pf"})
"""How a PFM begins, whose levels, 0 to 1, OpenCV would take for black."""
_ODD_LEVELS = re.compile(rb"P[2356]\s(?:\s|#[^\n]*\n)*\d+\s+\d+\s+(?!255\s|65535\s)\d+\s")
"""How a PGM or PPM begins whose highest level OpenCV passes over."""
_MOST_PIXELS = 2**28
"""A picture is no larger than this; FFmpeg has the same limit."""
_DEPTHS = (8, 10, 12, 14, 16)
"""Bits that the levels of a picture may have."""
_DARK = 16
"""Of 16 bits, 12 that are not shifted up reach so far of 8."""
_HEAD = 4096
_CMYK_OF_JPEG_2000 = b"colr\1\0\0\0\0\0\x0c"
"""Colors that OpenCV refuses, and FFmpeg takes for others."""
_SUBFILE_TYPE, _REDUCED, _MASK, _WIDTH, _HEIGHT = 254, 1, 4, 256, 257
_MOST_PAGES = 10_000
_MOST_BYTES = 2**26
"""Memory for the frames of a WebP that are decoded together: it begins anew for each lot. A larger
file is not read before it is clear that it is one picture."""
_SHORTEST_MS = 10
"""Browsers show a frame of this length, or less, for a tenth of a second."""
_VIEWS = 2
"""First part of the type of a picture in a multi-picture JPEG that shows the scene once more."""


@dataclass(frozen=True)
class StillPicture:
    """A picture, and what was to be said of it.

    Attributes:
        rgb: Pixels, uint8, shape (height, width, 3), upright.
        problem: What of it is lost, in words, or an empty text.
        remark: What of its file is not read, or an empty text.
        content: The file, if it is a JPEG, for `picture_problem`.
    """

    rgb: NDArray[np.uint8]
    problem: str = ""
    remark: str = ""
    content: bytes = b""


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read a picture upright, as its EXIF orientation or its HEIF boxes say.

    Args:
        path: The picture; of one that moves, its first frame is read.

    Returns:
        RGB, uint8, shape (height, width, 3); transparency is dropped, gray is repeated.

    Raises:
        MediaError: No such file, a folder, zero bytes, or it does not decode.
    """
    return read_picture(path).rgb


def read_picture(path: str | Path, content: bytes = b"") -> StillPicture:
    """Read a picture as `read_image` does, with what is lost of it or of its file not read.

    Damage of a JPEG, which takes longer to find, is told by `picture_problem`.

    Args:
        path: The picture.
        content: The file, if it was read before.

    Raises:
        MediaError: No such file, a folder, zero bytes, or it does not decode.
    """
    path = Path(path)
    # decoding from memory, because imread cannot open every name
    if not content:
        try:
            content = check_file(path).read_bytes()
        except OSError as error:
            got = error.strerror or str(error)
            raise MediaError("a picture that decodes", got, where=path) from error
    data, start = np.frombuffer(content, np.uint8), content[:_HEAD]
    if start[4:8] == b"ftyp" and (joined := read_heif(path)) is not None:
        return StillPicture(*joined)
    if start[4:8] == b"jP  " and _CMYK_OF_JPEG_2000 in start:
        raise MediaError("a picture in RGB or gray", "CMYK in JPEG 2000", "convert it", where=path)
    width, height = _declared_size(start)
    if width * height > _MOST_PIXELS:
        expected, got = f"a picture of up to {_MOST_PIXELS} pixels", f"{width}x{height}"
        raise MediaError(expected, got, "shrink or cut it", where=path)
    bgr, remark = None, ""
    if start[:2] not in _FLOATS and not _ODD_LEVELS.match(start):
        with suppress(cv2.error):  # a format that is switched off, such as OpenEXR
            bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if start[:4] in _TIFF or (start.startswith(_PNG) and start[24] == 16):  # noqa: PLR2004 - bits
        bgr, remark = _with_its_levels(data, bgr)
    if bgr is None:
        return StillPicture(next(iter(VideoFrames(path))).rgb)
    rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
    remark = "; ".join(filter(None, [remark, _unread_pages(content)]))
    return StillPicture(rgb, "", remark, content if start.startswith(_JPEG) else b"")


def _declared_size(start: bytes) -> tuple[int, int]:
    """Read width and height from the head of a PNG, BMP or TIFF; 0 of anything else."""
    try:
        if start.startswith(_PNG):
            return struct.unpack_from(">II", start, 16)
        if start.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", start, 18)
            return abs(width), abs(height)
        if (order := _TIFF.get(start[:4])) and b"+" not in start[:4]:
            sides = dict.fromkeys((_WIDTH, _HEIGHT), 0)
            (at,) = struct.unpack_from(f"{order}I", start, 4)
            for entry in range(at + 2, at + 26, 12):
                tag, kind = struct.unpack_from(f"{order}HH", start, entry)
                if tag in sides:
                    width = "H" if kind == 3 else "I"  # noqa: PLR2004 - a short
                    (sides[tag],) = struct.unpack_from(order + width, start, entry + 8)
            return sides[_WIDTH], sides[_HEIGHT]
    except struct.error:
        pass  # it lies elsewhere in the file, or the file is damaged, which shows later
    return 0, 0


def _with_its_levels(
    data: NDArray[np.uint8], bgr: NDArray[np.uint8] | None
) -> tuple[NDArray[np.uint8] | None, str]:
    """Read a picture of floats, of 32 bits, or one so dark that its levels may have fewer bits.

    Args:
        data: The file.
        bgr: The picture as OpenCV brings it to 8 bits, None if it does not.

    Returns:
        The picture in 8 bits, as it was if nothing is odd, and what is assumed of its levels.
    """
    if bgr is not None and (bgr.max() >= _DARK or not bgr.size):
        return bgr, ""
    levels = None
    with suppress(cv2.error):
        levels = cv2.imdecode(data, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    if levels is None or levels.dtype in (np.uint8, np.int8):
        return bgr, ""
    own_bits, is_float = levels.dtype.itemsize * 8, levels.dtype.kind == "f"
    levels = np.nan_to_num(levels.astype(np.float32), posinf=0, neginf=0)
    highest, remark = float(levels.max()), ""
    if highest <= 0:
        return bgr, ""
    full = 1.0 if is_float and highest <= 1 else 0.0
    if not full:
        bits = next((each for each in _DEPTHS if highest < 2**each), 0)
        full = 2.0**bits - 1 if bits else highest
        words = f"those of {bits} bits are assumed" if bits else "they are stretched to that"
        remark = f"the levels of its {own_bits} bits go to {highest:g}: {words}"
    scaled = np.round(np.clip(levels * (255 / full), 0, 255)).astype(np.uint8)
    if scaled.ndim == 2:  # noqa: PLR2004 - gray
        scaled = np.asarray(cv2.cvtColor(scaled, cv2.COLOR_GRAY2BGR), np.uint8)
    return scaled, remark


def picture_problem(path: str | Path, content: bytes = b"") -> str | None:
    """Tell what is wrong with a picture that `read_image` reads; None if nothing is known to be.

    OpenCV fills what a broken JPEG lacks with gray and says nothing; FFmpeg tells.

    Args:
        path: The picture; of another kind than JPEG and GIF nothing is known.
        content: Its file, if it is a JPEG and was read before.
    """
    path = Path(path)
    if not content:
        with path.open("rb") as file:
            start = file.read(len(_JPEG))
            if start != _JPEG:
                return "the picture is damaged" if start == b"GIF" and gif_is_cut(path) else None
            content = start + file.read()
    try:  # five times as fast as opening the file, which decodes the picture as well
        _whole_jpeg_decoder().decode(av.Packet(content))
        return None
    except FFmpegError:
        pass  # it may be of a kind that another decoder reads
    with open_container(path) as container:
        stream = needed_video_stream(container, path)
        stream.codec_context.options = {"err_detect": "explode"}
        try:
            for packet in container.demux(stream):
                packet.decode()
                if packet.size:
                    break  # what follows the first picture is none of it
        except FFmpegError:
            return "the picture is damaged"
    return None


def _whole_jpeg_decoder() -> av.VideoCodecContext:
    """Open a decoder of JPEGs that fails at the first damage.

    All of the content is read, but only an eighth of the picture's width and height is computed
    from it, which saves a third of the time.
    """
    decoder = av.VideoCodecContext.create("mjpeg", "r")
    decoder.options = {"err_detect": "explode", "lowres": "3"}
    decoder.thread_count = 1
    return decoder


def read_one_picture(path: Path) -> StillPicture | None:
    """Read a file that by its structure holds one picture.

    Args:
        path: The file.

    Returns:
        The picture of a JPEG that no other follows but those that belong to it (a depth map,
        another view), a PNG without animation, a WebP without one, a TIFF and a HEIF without a
        film; None for anything else, of which hardly more than the start is read.

    Raises:
        MediaError: It does not decode.
    """
    with path.open("rb") as file:
        start = file.read(_HEAD)
        if start[4:8] == b"ftyp":
            return read_picture(path) if is_heif(path) else None
        is_webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
        if not is_webp and start[:4] not in _TIFF and not start.startswith((_JPEG, _PNG)):
            return None
        if os.fstat(file.fileno()).st_size <= _MOST_BYTES:
            content = start + file.read()
            return read_picture(path, content) if _is_one_picture(content) else None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            is_one = _is_one_picture(data)
    return read_picture(path) if is_one else None


def _is_one_picture(data: bytes | mmap.mmap) -> bool:
    """Tell whether the content of a JPEG, PNG, WebP or TIFF is a single picture."""
    start = data[:32]
    if start.startswith(_JPEG):
        end, has_more = _jpeg_end(data)
        return bool(has_more) or end is None or _NEXT_JPEG.search(data, end) is None
    if start.startswith(_PNG):
        return data.find(b"acTL", 0, data.find(b"IDAT")) < 0 and data.find(_PNG, 8) < 0
    return start[:4] in _TIFF or not AnimatedWebP.is_one(start)


def _jpeg_end(data: bytes | mmap.mmap) -> tuple[int | None, bytes]:
    """Find where the first JPEG of a file ends, and its list of pictures that belong to it."""
    at, pictures = 2, b""
    while at + 4 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004 - begins every marker
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker == 0xE2 and data[at + 4 : at + 8] == b"MPF\0":  # noqa: PLR2004
            pictures = data[at + 8 : at + 2 + size]
        if marker in (0xD9, 0xDA):  # the end, or the scan before it, which cannot contain it
            end = data.find(b"\xff\xd9", at)
            return (None if end < 0 else end + 2), pictures
        at += 1 if marker == 0xFF else 2 + size  # noqa: PLR2004 - may be repeated
    return None, pictures


def _unread_pages(data: bytes) -> str:
    """Say which of a file's pictures are not read: other pages, other views."""
    start = data[:4]
    try:
        if start[:3] == _JPEG:
            views = _count_views(_jpeg_end(data)[1]) if b"MPF\0" in data else 0
            return f"the first of its {views + 1} views is read" if views else ""
        if start in _TIFF:
            types = _page_types(data, _TIFF[start], is_big=b"+" in start)
            if types and types[0] & _REDUCED:
                return "a reduced copy of the picture is read, not the picture itself"
            pages = sum(not each & (_REDUCED | _MASK) for each in types)
            return f"the first of its {pages} pages is read" if pages > 1 else ""
    except (struct.error, IndexError):
        pass  # what is damaged there says nothing
    return ""


def _count_views(pictures: bytes) -> int:
    """Count the further views of the scene in the list of a multi-picture JPEG."""
    order = _TIFF.get(pictures[:4])
    if order is None:
        return 0
    (at,) = struct.unpack_from(f"{order}I", pictures, 4)
    for number in range(struct.unpack_from(f"{order}H", pictures, at)[0]):
        tag, _, size, where = struct.unpack_from(f"{order}HHII", pictures, at + 2 + 12 * number)
        if tag == 0xB002:  # noqa: PLR2004 - the entries, of 16 bytes each
            types = [struct.unpack_from(f"{order}I", pictures, where + k)[0]
                     for k in range(16, size, 16)]  # fmt: skip
            return sum(each >> 16 & 0xFF == _VIEWS for each in types)
    return 0


def _page_types(data: bytes, order: str, *, is_big: bool) -> list[int]:
    """List the type of each page of a TIFF: 0, or flags for a reduced copy and a mask."""
    word, count_format, entry, value = ("Q", "Q", 20, 12) if is_big else ("I", "H", 12, 8)
    (at,) = struct.unpack_from(order + word, data, 8 if is_big else 4)
    types: list[int] = []
    seen: set[int] = set()
    while at and at not in seen and len(types) < _MOST_PAGES:
        seen.add(at)
        (count,) = struct.unpack_from(order + count_format, data, at)
        at, kind = at + struct.calcsize(count_format), 0
        for start in range(at, at + entry * count, entry):
            tag, field_type = struct.unpack_from(f"{order}HH", data, start)
            if tag == _SUBFILE_TYPE:
                width = "H" if field_type == 3 else "I"  # noqa: PLR2004 - a short
                (kind,) = struct.unpack_from(order + width, data, start + value)
        types.append(kind)
        (at,) = struct.unpack_from(order + word, data, at + entry * count)
    return types


class AnimatedWebP:
    """The frames of a WebP that moves, which FFmpeg does not decode; read like `VideoFrames`.

    Args:
        path: The file.

    Attributes:
        info: Size, rate, length.
        problem: After a loop: None, or how many frames do not decode.
        remarks: None are made.

    Raises:
        MediaError: Not one frame decodes.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.remarks = path, list[str]()
        self.problem: str | None = None
        self._data = np.fromfile(path, np.uint8)[None]
        self._times_s = [0.0]
        for milliseconds in _webp_durations(self._data.tobytes()):
            shown_ms = milliseconds if milliseconds > _SHORTEST_MS else 100
            self._times_s.append(self._times_s[-1] + shown_ms / 1000)
        first = next(iter(self), None)
        if first is None:
            raise MediaError("a picture that decodes", "a damaged WebP", where=path)
        height, width = first.rgb.shape[:2]
        rate = (len(self._times_s) - 1) / self._times_s[-1]
        self.info = VideoInfo(width, height, rate, self._times_s[-1], False, 0.0)

    @staticmethod
    def is_one(start: bytes) -> bool:
        """Tell whether a file is a WebP that moves.

        Args:
            start: How it begins, 21 bytes or more.
        """
        is_extended = start[:4] == b"RIFF" and start[8:16] == b"WEBPVP8X"
        return is_extended and len(start) > 20 and bool(start[20] & 2)  # noqa: PLR2004 - flags

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order, a few in memory at a time."""
        self.problem = None
        index, step, total = 0, 1, len(self._times_s) - 1
        while index < total:
            try:
                decodes, animation = cv2.imdecodeanimation(self._data, index, step)
            except cv2.error:
                break
            if not decodes or not animation.frames:
                break
            for pixels in animation.frames:
                rgb = np.ascontiguousarray(pixels[..., 2::-1], np.uint8)
                yield Frame(index, self._times_s[index], rgb)
                index += 1
            step = max(1, _MOST_BYTES // pixels.size)
        if index < total:
            self.problem = f"{total - index} of its {total} frames do not decode"

    def frames_from(self, from_s: float) -> Iterator[Frame]:
        """Yield the frames shown from a time on, numbered as among all.

        Args:
            from_s: The time in seconds from the start of the file.
        """
        return (frame for frame in self if frame.time_s >= from_s)


def _webp_durations(data: bytes) -> Iterator[int]:
    """Yield how long each frame of a WebP is shown, in milliseconds."""
    at = 12
    while at + 8 <= len(data):
        if data[at : at + 4] == b"ANMF":
            yield int.from_bytes(data[at + 20 : at + 23], "little")
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
