"""The sorted table of LevelDB in which TensorFlow keeps the index of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator

from tools.keras_import.crc32c import crc32c, masked
from tools.keras_import.wire import DamageError, varint

MAGIC = 0xDB4775248B80FB57
MOST_KEY_BYTES = 1024
_FOOTER, _TRAILER, _WORD = 48, 5, 4


def read_table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every key and value of a table, in order.

    Raises:
        DamageError: It is cut off, changed, compressed, or no such table.
    """
    if len(data) < _FOOTER or int.from_bytes(data[-8:], "little") != MAGIC:
        raise DamageError("a file that does not end as an index does")
    footer = data[-_FOOTER:]
    _, at = _handle(footer, 0)
    index, _ = _handle(footer, at)
    end = 0
    for _, value in _entries(_block(data, index)):
        (offset, size), _ = _handle(value, 0)
        if offset < end:
            raise DamageError("blocks that overlap")
        end = offset + size
        yield from _entries(_block(data, (offset, size)))


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = varint(data, at)
    size, at = varint(data, at)
    return (offset, size), at


def _block(data: bytes, handle: tuple[int, int]) -> bytes:
    offset, size = handle
    end = offset + size
    if end + _TRAILER > len(data):
        raise DamageError("a block that lies beyond the end")
    content = data[offset : end + 1]  # with the byte that says how it is compressed
    if masked(crc32c(content)) != int.from_bytes(data[end + 1 : end + _TRAILER], "little"):
        raise DamageError("a block that does not match its checksum")
    if content[-1]:
        raise DamageError("a compressed block")
    return content[:-1]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one block; each key shares a beginning with the one before."""
    if len(block) < _WORD:
        raise DamageError("a block without an end")
    restarts = int.from_bytes(block[-_WORD:], "little")
    end = len(block) - _WORD * (restarts + 1)
    if end < 0:
        raise DamageError("a block with more marks than bytes")
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        length, at = varint(block, at)
        if shared > len(key) or at + own + length > end:
            raise DamageError("an entry longer than its block")
        if shared + own > MOST_KEY_BYTES:
            raise DamageError("a name of more than 1,024 bytes")
        key = key[:shared] + block[at : at + own]
        at += own
        yield key, block[at : at + length]
        at += length
