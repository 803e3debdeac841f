"""A long row of columns that grows at one end and is let go at the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_FIRST_ROOM = 1024


class Tape:
    """Columns (…, T) numbered from a first one on; what came long ago can be dropped.

    Args:
        shape: Shape of one column.
        first: Number of the first column.
        dtype: Type of the values.

    Attributes:
        first: Number of the first column that is still there.
        end: Number of the next column to come.
    """

    def __init__(self, shape: tuple[int, ...], first: int, dtype: type = np.float32) -> None:
        self.first = self.end = first
        self._start = 0
        self._room: NDArray[Any] = np.empty((*shape, _FIRST_ROOM), dtype)

    def append(self, columns: NDArray[Any]) -> None:
        """Add columns (…, n) at the end."""
        count, held = columns.shape[-1], self.end - self.first
        if self._start + held + count > self._room.shape[-1]:
            self._make_room(held, count)
        at = self._start + held
        self._room[..., at : at + count] = columns
        self.end += count

    def _make_room(self, held: int, count: int) -> None:
        """Move what is held to the front, of a longer array if it would soon be full again."""
        kept, room = self._room[..., self._start : self._start + held], self._room
        if 2 * (held + count) > room.shape[-1]:
            room = np.empty((*room.shape[:-1], 2 * (held + count)), room.dtype)
            room[..., :held] = kept
        else:
            room[..., :held] = kept.copy()
        self._room, self._start = room, 0

    def drop(self, before: int) -> None:
        """Let go what is numbered below ``before``."""
        count = min(max(0, before - self.first), self.end - self.first)
        self.first += count
        self._start += count

    def part(self, start: int, stop: int, step: int = 1) -> NDArray[Any]:
        """Columns from ``start`` to before ``stop``, (…, n); a view that the next `append` ends.

        Raises:
            IndexError: Not all of them are there.
        """
        if start < self.first or stop > self.end:
            raise IndexError(f"{start} to {stop} of {self.first} to {self.end}")
        at = self._start - self.first
        return self._room[..., at + start : at + stop : step]
