"""The protocol-buffer wire format: numbered fields of a message, every length checked."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WIDTHS = {FIXED64: 8, FIXED32: 4}
_MOST_SHIFT = 63


class DamageError(ValueError):
    """Bytes that are not what they should be."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length at ``at``, and where it ends.

    Raises:
        DamageError: It runs past the end, or is longer than 64 bits.
    """
    value = shift = 0
    while at < len(data) and shift <= _MOST_SHIFT:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the eighth bit says that more follows
            return value & (1 << 64) - 1, at
    raise DamageError("a number that does not end")


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of every field of a message, in order.

    Raises:
        DamageError: A field runs past the end, or is of an unknown type.
    """
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = varint(data, at)
            yield number, value
            continue
        if kind == BYTES:
            length, at = varint(data, at)
        elif kind in _WIDTHS:
            length = _WIDTHS[kind]
        else:
            raise DamageError(f"a field of type {kind}")
        if length > len(data) - at:
            raise DamageError("a field longer than its message")
        piece = data[at : at + length]
        yield number, piece if kind == BYTES else int.from_bytes(piece, "little")
        at += length


def whole(value: int | bytes) -> int:
    """A field that must be a number."""
    if isinstance(value, bytes):
        raise DamageError("bytes where a number belongs")
    return value


def raw(value: int | bytes) -> bytes:
    """A field that must be bytes."""
    if isinstance(value, int):
        raise DamageError("a number where bytes belong")
    return value


def text(value: int | bytes) -> str:
    """A field that must be text."""
    try:
        return raw(value).decode("utf-8")
    except UnicodeDecodeError as problem:
        raise DamageError("a name that is not UTF-8") from problem
