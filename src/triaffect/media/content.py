"""What a file is that is not read, and what follows one that is: told by its first bytes."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

_ARCHIVE, _DATA = "an archive or an office file", "a file of data or a program"

_STARTS = {
    b"PK\3\4": _ARCHIVE,
    b"7z\xbc\xaf": _ARCHIVE,
    b"Rar!": _ARCHIVE,
    b"\x1f\x8b": _ARCHIVE,
    b"BZh": _ARCHIVE,
    b"\xfd7zXZ": _ARCHIVE,
    b"\xd0\xcf\x11\xe0": _ARCHIVE,
    b"\x89HDF": _DATA,
    b"\x93NUMPY": _DATA,
    b"SQLite format 3": _DATA,
    b"MATLAB": _DATA,
    b"bplist0": _DATA,
    b"\x7fELF": _DATA,
    b"MZ": _DATA,
    b"version https://git-lfs": "the pointer of Git LFS, not the file itself (git lfs pull)",
    b"\0\5\x16\7": "what macOS stores beside a file, not the file itself",
    b"\xff\x0a": "JPEG XL, for which there is no decoder",
    b"\0\0\0\x0cJXL ": "JPEG XL, for which there is no decoder",
    b"#!AMR\n": "a sound without a sample",
    b"8BPS": "a Photoshop file that is damaged",
}
"""What files are that begin so, once they turned out to be no media that are read."""

_SEGMENTS = frozenset({b"styp", b"moof", b"sidx"})
"""Boxes with which a part of a stream begins, whose first part says how it is coded."""

_FIRST_BOXES = _SEGMENTS | {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid"}
"""Boxes with which a file of the MP4 family may begin."""

_ENCRYPTED = re.compile(rb"encv|enca|drmi|drms")
"""Coded forms of the MP4 family that say that what follows is encrypted."""

_ENCRYPTED_ASF = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e")
_OGG_PAGE, _OGG_HEADER, _OGG_LAST, _LONGEST_OGG_PAGE = b"OggS", 27, 4, 65_307
_MOST_BYTES, _HEAD = 2**26, 2**16
_PACKET, _SYNC, _SCRAMBLED = 188, 0x47, 0xC0

_FIRST_BYTES = (
    re.compile(rb"FLV\x01"),
    re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    re.compile(rb"RIFF....WAVE", re.DOTALL),
    re.compile(rb"FORM....AIF[FC]", re.DOTALL),
    re.compile(rb"caff\x00\x01"),
    re.compile(rb"riff\x2e\x91\xcf\x11"),
    re.compile(rb"TTA1"),
    re.compile(rb"Creative Voice File"),
)
"""How files begin of which FFmpeg reads the first where several were joined."""


def describe_content(path: Path) -> str:
    """Say what a file is that cannot be read, as far as that shows.

    Args:
        path: The file, of which nothing decodes.

    Returns:
        Words such as "an archive or an office file"; empty where nothing is certain.

    Raises:
        OSError: It cannot be opened.
    """
    with path.open("rb") as file:
        start = file.read(_HEAD)
    words = next((words for begin, words in _STARTS.items() if start.startswith(begin)), "")
    if start[4:8] in _SEGMENTS:
        words = "a segment of a stream, without the first one"
    elif start[4:8] == b"ftyp":
        words = _describe_mp4(path)
    elif _ENCRYPTED_ASF in start or _is_scrambled(start):
        words = "a film that is encrypted"
    elif not any(start):
        words = "zeros at first: a download or copy that was not finished"
    elif not words and _is_text(start):
        words = "text"
    return words


def _is_text(start: bytes) -> bool:
    """Tell whether the beginning of a file is text."""
    try:
        text = start.decode("utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter.isspace() for letter in text)


def _describe_mp4(path: Path) -> str:
    """Say why a file of the MP4 family is not read: no index, or encrypted."""
    is_indexed = False
    with path.open("rb") as file:
        for kind, at, length in top_boxes(path):
            if kind == b"moov":
                is_indexed = at + length <= path.stat().st_size
                file.seek(at)
                if _ENCRYPTED.search(file.read(min(length, _MOST_BYTES))):
                    return "a film or sound that is encrypted"
            if kind in (b"meta", b"moof"):
                return ""
    remedy = "its recording was not finished, or it is cut off"
    return "" if is_indexed else f"an MP4 or MOV without its index (moov): {remedy}"


def _is_scrambled(start: bytes) -> bool:
    """Tell whether most packets of a transport stream say that they are encrypted."""
    packets = [start[at : at + 4] for at in range(0, len(start) - _PACKET, _PACKET)]
    if not packets or any(packet[0] != _SYNC for packet in packets):
        return False
    return sum(bool(packet[3] & _SCRAMBLED) for packet in packets) * 2 > len(packets)


def top_boxes(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Yield the boxes of a file of the MP4 family; any other file has none.

    Args:
        path: The file.

    Yields:
        Four letters, where the box begins, and its length in bytes.
    """
    at, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            length, kind, long_length = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
            if at == 0 and kind not in _FIRST_BOXES:
                return
            length = long_length if length == 1 else length
            yield kind, at, length or size - at
            if length < 8:  # noqa: PLR2004 - to the end of the file, or no box
                break
            at += length


def index_problem(path: Path) -> str:
    """Say that the index of a file of the MP4 family is cut off, of which FFmpeg reads the rest.

    Args:
        path: The file, of any kind.

    Returns:
        The words; empty if it is whole, or the file has none.
    """
    size = path.stat().st_size
    is_cut = any(kind == b"moov" and at + length > size for kind, at, length in top_boxes(path))
    return "its index is cut off: tracks and frames may be missing" if is_cut else ""


def ogg_end(path: Path) -> tuple[str, str]:
    """Say whether an Ogg file ends within a page, or with one that is not marked as the last.

    Ogg does not say how long it is; such a file is read to where it ends without a word.

    Args:
        path: The file, of any kind.

    Returns:
        The words for a page that is cut, and for a last one that is not marked; each empty if
        it does not apply, as both are to files that are no Ogg.
    """
    with path.open("rb") as file:
        if file.read(4) != _OGG_PAGE:
            return "", ""
        size = file.seek(0, 2)
        file.seek(max(0, size - 2 * _LONGEST_OGG_PAGE))
        end = file.read()
    at = end.rfind(_OGG_PAGE)
    page = end[at:] if at >= 0 else b""
    segments = page[26] if len(page) >= _OGG_HEADER else 0
    table = page[_OGG_HEADER : _OGG_HEADER + segments]
    if (
        len(page) < _OGG_HEADER
        or len(table) < segments
        or len(page) < _OGG_HEADER + segments + sum(table)
    ):
        return "the sound is cut off within a page of the file", ""
    is_last = bool(page[5] & _OGG_LAST)
    return (
        "",
        "" if is_last else "the sound may be cut off: its last page is not marked as the last",
    )


def is_joined(path: Path, end: int) -> bool:
    """Tell whether another file of the same kind follows in a file, which players do not read.

    Args:
        path: The file.
        end: Where what was read of it ends, in bytes.
    """
    if sum(kind == b"moov" for kind, _, _ in top_boxes(path)) > 1:
        return True
    with path.open("rb") as file:
        start = file.read(32)
        for pattern in _FIRST_BYTES:
            if pattern.match(start):
                file.seek(end)
                return pattern.search(file.read(_MOST_BYTES)) is not None
    return False
