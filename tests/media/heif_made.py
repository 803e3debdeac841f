"""HEIC pictures made for a test: tiles, turns, mirrors, cuts, further pictures."""

import struct
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def full_box(kind: bytes, version: int, flags: int, content: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags) + content)


def encode_tiles(tiles: list[NDArray[np.uint8]], path: Path) -> tuple[bytes, list[bytes]]:
    """Encode pictures as HEVC key frames; gives the decoder's settings and a packet for each."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx265", rate=25)
        stream.height, stream.width = tiles[0].shape[:2]
        stream.pix_fmt, stream.codec_tag = "yuv420p", "hvc1"
        stream.options = {"x265-params": "keyint=1:crf=8:log-level=none:pools=1"}
        for tile in tiles:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(tile, format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        settings = bytes(stream.codec_context.extradata)
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
    path.unlink()
    return settings, packets


def write_heic(
    path: Path,
    picture: NDArray[np.uint8],
    tile: tuple[int, int],
    transforms: tuple[tuple[bytes, bytes], ...] = (),
    shown: tuple[int, int] | None = None,
    seconds: int = 0,
) -> Path:
    """Write a picture as tiles and an item that joins them, or as the only item.

    Args:
        path: Where to.
        picture: Its size is a multiple of the tile's.
        tile: Height and width of a tile.
        transforms: Properties of the picture such as ``(b"irot", b"\\1")``, in order.
        shown: Height and width that the joining item says; those of the picture if None.
        seconds: How many further pictures, of one tile, stand in the file.
    """
    rows, columns = picture.shape[0] // tile[0], picture.shape[1] // tile[1]
    tiles = [
        np.ascontiguousarray(picture[r * tile[0] :, c * tile[1] :][: tile[0], : tile[1]])
        for r in range(rows)
        for c in range(columns)
    ]
    tiles += [tiles[0]] * seconds
    settings, packets = encode_tiles(tiles, path)
    count, total = rows * columns, len(tiles)
    is_grid, items = count > 1, list(range(1, total + 1))
    top = total + 1 if is_grid else 1
    height, width = shown or picture.shape[:2]
    hidden = set(items[:count]) if is_grid else set()
    entries = [
        full_box(b"infe", 2, item in hidden, struct.pack(">HH", item, 0) + b"hvc1\0")
        for item in items
    ]
    if is_grid:
        entries.append(full_box(b"infe", 2, 0, struct.pack(">HH", top, 0) + b"grid\0"))
    properties = [
        box(b"hvcC", settings),
        full_box(b"ispe", 0, 0, struct.pack(">II", tile[1], tile[0])),
        full_box(b"ispe", 0, 0, struct.pack(">II", width, height)),
        *(box(kind, content) for kind, content in transforms),
    ]
    turned = [0x84 + k for k in range(len(transforms))]
    used = {item: [0x81, 2] for item in items}
    used[top] = [3, *turned] if is_grid else [0x81, 2, *turned]
    owners = b"".join(struct.pack(">HB", i, len(p)) + bytes(p) for i, p in used.items())
    owners = full_box(b"ipma", 0, 0, struct.pack(">I", len(used)) + owners)
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    joins = struct.pack(f">HH{count}H", top, count, *items[:count])

    def meta(base: int) -> bytes:
        places, at = b"", base
        for item, packet in zip(items, packets, strict=True):
            places += struct.pack(">HHHHII", item, 0, 0, 1, at, len(packet))
            at += len(packet)
        if is_grid:
            places += struct.pack(">HHHHII", top, 1, 0, 1, 0, len(grid))
        parts = [
            full_box(b"hdlr", 0, 0, bytes(4) + b"pict" + bytes(12) + b"\0"),
            full_box(b"pitm", 0, 0, struct.pack(">H", top)),
            full_box(b"iinf", 0, 0, struct.pack(">H", len(entries)) + b"".join(entries)),
            full_box(b"iref", 0, 0, box(b"dimg", joins)) if is_grid else b"",
            box(b"iprp", box(b"ipco", b"".join(properties)) + owners),
            box(b"idat", grid) if is_grid else b"",
            full_box(b"iloc", 1, 0, struct.pack(">BBH", 0x44, 0, total + is_grid) + places),
        ]
        return full_box(b"meta", 0, 0, b"".join(parts))

    start = box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    base = len(start) + len(meta(0)) + 8
    path.write_bytes(start + meta(base) + box(b"mdat", b"".join(packets)))
    return path
