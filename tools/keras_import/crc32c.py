"""Compute CRC-32C (Castagnoli) over many segments at once: megabytes take milliseconds."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

_POLYNOMIAL = 0x82F63B78
_ALL = 0xFFFFFFFF
_LANES = 4096
_MASK_DELTA = 0xA282EAD8


def crc32c(data: bytes) -> int:
    """Checksum of some bytes."""
    length = len(data) // _LANES if len(data) >= 4 * _LANES else 0
    state = _ALL
    if length:
        state = _in_lanes(np.frombuffer(data, np.uint8, _LANES * length).reshape(_LANES, length))
    table = _table().tolist()
    for byte in data[_LANES * length :]:
        state = table[(state ^ byte) & 255] ^ state >> 8
    return state ^ _ALL


def _in_lanes(rows: NDArray[np.uint8]) -> int:
    """The state after all rows, one after another."""
    table, length = _table(), rows.shape[1]
    state = np.zeros(len(rows), np.uint32)
    state[0] = _ALL
    for column in np.ascontiguousarray(rows.T):
        state = table[(state ^ column) & 255] ^ (state >> 8)
    while len(state) > 1:
        # What came first has to pass over the bytes of what follows it.
        state = _shift(state[0::2], length) ^ state[1::2]
        length *= 2
    return int(state[0])


def masked(checksum: int) -> int:
    """The form in which table files store a checksum."""
    rotated = (checksum >> 15 | checksum << 17) & _ALL
    return (rotated + _MASK_DELTA) & _ALL


@cache
def _table() -> Words:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table.astype(np.uint32)


def _shift(state: Words, count: int) -> Words:
    """The states after ``count`` zero bytes."""
    single = np.uint32(1) << np.arange(32, dtype=np.uint32)
    step = _table()[single & 255] ^ (single >> 8)
    while count:
        if count & 1:
            state = _apply(step, state)
        step = _apply(step, step)
        count >>= 1
    return state


def _apply(matrix: Words, state: Words) -> Words:
    """A linear map over bits, given by what it makes of each bit."""
    result = np.zeros_like(state)
    for bit, column in enumerate(matrix):
        result ^= np.where(state >> np.uint32(bit) & 1, column, np.uint32(0))
    return result
