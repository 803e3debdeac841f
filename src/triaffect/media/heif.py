"""HEIF pictures (HEIC, AVIF): which item is the picture, how its tiles join, how it is turned.

FFmpeg decodes the items of such a file, each as a stream of its own; the boxes around them,
of ISO/IEC 23008-12, are read here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from triaffect.errors import MediaError
from triaffect.media.container import open_container
from triaffect.media.video import HDR, to_standard_range

_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif", b"miaf"})
"""Brands, in a file's first box, that say that it holds a picture."""

_CODED = frozenset({"hvc1", "av01", "avc1", "jpeg"})
"""Types of items that are pictures by themselves."""

_MOST_BYTES = 2**26
"""The boxes of a file are no longer than this; what says so is damaged."""

_MOST_PIXELS = 2**28
"""A joined picture is no larger than this."""

_REMEDY = "save it as JPEG or PNG"


@dataclass
class HeifBoxes:
    """What the boxes of a file say of its items, by their numbers.

    Attributes:
        primary: Number of the item that is the picture.
        types: Four letters each.
        hidden: Items that are not to be shown by themselves.
        references: Kind, from and to which items.
        properties: Type and content of each property, in order; by item.
        data: Content of the items that lie among the boxes themselves.
    """

    primary: int = 0
    types: dict[int, str] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    references: list[tuple[str, int, list[int]]] = field(default_factory=list)
    properties: dict[int, list[tuple[str, bytes]]] = field(default_factory=dict)
    data: dict[int, bytes] = field(default_factory=dict)

    def referred(self, kind: str, item: int) -> list[int]:
        """Return the items to which one refers.

        Args:
            kind: Of reference, such as ``dimg``, the tiles of a grid.
            item: The item that refers.
        """
        return [to for name, start, ends in self.references for to in ends
                if (name, start) == (kind, item)]  # fmt: skip

    def count_pictures(self) -> int:
        """Count the pictures that are to be shown: neither tiles nor thumbnails nor depth."""
        parts = {to for kind, _, ends in self.references for to in ends if kind == "dimg"}
        parts |= {start for kind, start, _ in self.references if kind in ("thmb", "auxl")}
        shown = {item for item, kind in self.types.items() if kind in (*_CODED, "grid")}
        return len(shown - parts - self.hidden)


def read_heif(path: Path) -> tuple[NDArray[np.uint8], str, str] | None:
    """Read the picture of a HEIF file: its tiles joined, cut and turned once, as it asks.

    Args:
        path: Any file.

    Returns:
        RGB, uint8, shape (height, width, 3); what of it is lost, and what of the file is not
        read, in words or empty. None if the file is none of this kind, or holds films too.

    Raises:
        MediaError: It is damaged, or made in a way that is not read.
    """
    try:
        boxes = _read_boxes(path)
        if boxes is None:
            return None
        rgb, problem = _join_tiles(path, boxes)
        for kind, content in boxes.properties.get(boxes.primary, []):
            rgb = _transform(rgb, kind, content)
    except (struct.error, IndexError, ValueError, ZeroDivisionError) as error:
        raise MediaError("a HEIF picture", "damaged boxes", _REMEDY, where=path) from error
    count = boxes.count_pictures()
    others = f"the first of its {count} pictures is read" if count > 1 else ""
    return np.ascontiguousarray(rgb), problem, others


def is_heif(path: Path) -> bool:
    """Tell whether a file is a HEIF picture, without a film beside it.

    Args:
        path: Any file.
    """
    try:
        return _read_boxes(path) is not None
    except (struct.error, IndexError, ValueError):
        return True  # and damaged, which is told where it is read


def _join_tiles(path: Path, boxes: HeifBoxes) -> tuple[NDArray[np.uint8], str]:
    """Decode the picture as it is stored, and say what of it is missing."""
    kind = boxes.types.get(boxes.primary, "")
    if kind in _CODED:
        return next(iter(_decode_items(path, [boxes.primary]).values())), ""
    if kind != "grid":
        got = f"one of the type {kind!r}"
        raise MediaError(
            "a HEIF picture that is coded or a grid of tiles", got, _REMEDY, where=path
        )
    content, tiles = boxes.data[boxes.primary], boxes.referred("dimg", boxes.primary)
    rows, columns = content[2] + 1, content[3] + 1
    width, height = struct.unpack_from(">II" if content[1] & 1 else ">HH", content, 4)
    decoded = _decode_items(path, tiles)
    tile_height, tile_width = next(iter(decoded.values())).shape[:2]
    fits = tile_height * rows >= height and tile_width * columns >= width
    if len(tiles) != rows * columns or not fits or width * height > _MOST_PIXELS:
        raise ValueError
    whole = np.zeros((tile_height * rows, tile_width * columns, 3), np.uint8)
    for number, item in enumerate(tiles):
        if item in decoded and decoded[item].shape[:2] == (tile_height, tile_width):
            top, left = number // columns * tile_height, number % columns * tile_width
            whole[top : top + tile_height, left : left + tile_width] = decoded[item]
    lost = len(set(tiles) - decoded.keys())
    problem = f"{lost} of the picture's {len(tiles)} tiles do not decode" if lost else ""
    return whole[:height, :width], problem


def _decode_items(path: Path, items: Sequence[int]) -> dict[int, NDArray[np.uint8]]:
    """Decode items as they are stored, neither cut nor turned; one that is broken is left out."""
    decoded: dict[int, NDArray[np.uint8]] = {}
    with open_container(path) as container:
        streams = [each for each in container.streams.video if each.id in items]
        for stream in streams:
            if stream.codec_context:
                stream.codec_context.thread_count = 1
        try:
            for packet in container.demux(*streams) if streams else ():
                try:
                    for picture in packet.decode():
                        if isinstance(picture, av.VideoFrame) and not picture.is_corrupt:
                            rgb = np.asarray(
                                picture.to_ndarray(format="rgb24", threads=1), np.uint8
                            )
                            is_high = picture.color_trc in HDR
                            rgb = to_standard_range(rgb, picture) if is_high else rgb
                            decoded[packet.stream.id] = rgb
                except FFmpegError:
                    continue
        except FFmpegError:
            pass  # the file ends too early: what was decoded until then counts
    if not decoded:
        raise MediaError("a picture that decodes", "none of its tiles", _REMEDY, where=path)
    return decoded


def _transform(rgb: NDArray[np.uint8], kind: str, content: bytes) -> NDArray[np.uint8]:
    """Apply one property of an item to its picture: cut, turn or mirror it, or do nothing."""
    if kind == "irot":
        return np.rot90(rgb, content[0] & 3)
    if kind == "imir":
        return rgb[:, ::-1] if content[0] & 1 else rgb[::-1]
    if kind != "clap":
        return rgb
    width, height, right, down = (
        struct.unpack_from(">iI", content, at)[0] / struct.unpack_from(">iI", content, at)[1]
        for at in (0, 8, 16, 24)
    )
    left = round((rgb.shape[1] - width) / 2 + right)
    top = round((rgb.shape[0] - height) / 2 + down)
    if left < 0 or top < 0 or width < 1 or height < 1:
        raise ValueError
    return rgb[top : top + round(height), left : left + round(width)]


def _read_boxes(path: Path) -> HeifBoxes | None:
    """Read the boxes of a file; None if it is no HEIF picture, or has a film beside it."""
    with path.open("rb") as file:
        start = file.read(12)
        if start[4:8] != b"ftyp":
            return None
        end, size = path.stat().st_size, int.from_bytes(start[:4])
        brands = start[8:12] + file.read(min(max(size - 12, 0), 256))[4:]
        if not _BRANDS & {brands[at : at + 4] for at in range(0, len(brands), 4)}:
            return None
        at, meta = size, b""
        while at + 8 <= end and size >= 8:  # noqa: PLR2004 - size and type of a box
            file.seek(at)
            size, kind = struct.unpack(">I4s", file.read(8))
            if kind == b"moov":
                return None
            if kind == b"meta" and size <= _MOST_BYTES:
                meta = file.read(size - 8)
            size = int.from_bytes(file.read(8)) if size == 1 else size
            at += size
    if not meta or meta[:4] != bytes(4):
        return None
    return _parse_meta(meta[4:])


def _boxes(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield type and content of the boxes that follow one another."""
    at = 0
    while at + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        if size < 8:  # noqa: PLR2004 - shorter than its own head
            raise ValueError
        yield kind.decode("latin-1"), content[at + 8 : at + size]
        at += size


def _parse_meta(content: bytes) -> HeifBoxes | None:
    """Parse the box that describes the items; None if they are no pictures."""
    boxes, parts = HeifBoxes(), dict(_boxes(content))
    if parts.get("hdlr", b"")[8:12] != b"pict" or "pitm" not in parts or "iinf" not in parts:
        return None
    boxes.primary = int.from_bytes(parts["pitm"][4:][: 4 if parts["pitm"][0] else 2])
    for _, entry in _boxes(parts["iinf"][8 if parts["iinf"][0] else 6 :]):
        width = 4 if entry[0] > 2 else 2  # noqa: PLR2004 - from its version 3 on
        item = int.from_bytes(entry[4 : 4 + width])
        boxes.types[item] = entry[6 + width : 10 + width].decode("latin-1")
        if entry[3] & 1:
            boxes.hidden.add(item)
    if "iref" in parts:
        number = ">I" if parts["iref"][0] else ">H"
        step = struct.calcsize(number)
        for kind, entry in _boxes(parts["iref"][4:]):
            (start,) = struct.unpack_from(number, entry)
            (count,) = struct.unpack_from(">H", entry, step)
            ends = [struct.unpack_from(number, entry, step + 2 + k * step)[0] for k in range(count)]
            boxes.references.append((kind, start, ends))
    _parse_properties(parts.get("iprp", b""), boxes)
    _parse_locations(parts, boxes)
    return boxes


def _parse_properties(content: bytes, boxes: HeifBoxes) -> None:
    """Note the properties of each item, in order."""
    parts = list(_boxes(content))
    properties = [each for kind, inner in parts if kind == "ipco" for each in _boxes(inner)]
    for kind, entry in parts:
        if kind != "ipma":
            continue
        at = 8
        for _ in range(struct.unpack_from(">I", entry, 4)[0]):
            width = 4 if entry[0] else 2
            item = int.from_bytes(entry[at : at + width])
            count, at = entry[at + width], at + width + 1
            for _ in range(count):
                step = 2 if entry[3] & 1 else 1
                index = int.from_bytes(entry[at : at + step]) & (0x7FFF if step > 1 else 0x7F)
                at += step
                if index:
                    boxes.properties.setdefault(item, []).append(properties[index - 1])


def _parse_locations(parts: dict[str, bytes], boxes: HeifBoxes) -> None:
    """Note the content of the items that lie in the box ``idat``."""
    content, inside = parts.get("iloc", b""), parts.get("idat", b"")
    version, sizes = content[0], content[4:6]
    widths = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4, sizes[1] & 15
    offset_width, length_width, base_width, index_width = widths
    number = 4 if version > 1 else 2
    at = 6 + number
    for _ in range(int.from_bytes(content[6:at])):
        item, at = int.from_bytes(content[at : at + number]), at + number
        method = 0
        if version:
            method, at = int.from_bytes(content[at : at + 2]) & 15, at + 2
        base, at = int.from_bytes(content[at + 2 :][:base_width]), at + 2 + base_width
        extents, at, data = int.from_bytes(content[at : at + 2]), at + 2, b""
        for _ in range(extents):
            at += index_width if version else 0
            offset, at = base + int.from_bytes(content[at:][:offset_width]), at + offset_width
            length, at = int.from_bytes(content[at:][:length_width]), at + length_width
            data += inside[offset : offset + length] if method == 1 else b""
        if data:
            boxes.data[item] = data
