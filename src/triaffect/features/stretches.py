"""Overlapping stretches of a series that arrives in chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from triaffect.types import FloatArray, Window


@dataclass(frozen=True)
class Stretches:
    """Cuts a stretch out of a series at every multiple of a hop, in bounded memory.

    Attributes:
        window: Length of a stretch and the hop, in seconds; a causal stretch ends at its
            time, another has it in its middle.
        rate: Elements of the series per second.
        pad: What stands for the time before and after the series, one element; None to give
            complete stretches only.
        batch: Stretches given at once, whatever the chunks' sizes.
    """

    window: Window
    rate: float
    pad: FloatArray | None
    batch: int = 32

    def __call__(
        self, chunks: Iterable[FloatArray]
    ) -> Iterator[tuple[NDArray[np.float64], FloatArray]]:
        """Yield times (N,) in seconds and stretches (N, span, …); N is `batch` or, last, less."""
        numbers: list[int] = []
        stretches: list[FloatArray] = []
        for number, stretch in self._each(chunks):
            numbers.append(number)
            stretches.append(stretch)
            if len(numbers) == self.batch:
                yield self.times(numbers), np.stack(stretches)
                numbers, stretches = [], []
        if numbers:
            yield self.times(numbers), np.stack(stretches)

    def times(self, numbers: list[int]) -> NDArray[np.float64]:
        """Times of stretches by their numbers, in seconds."""
        return np.array(numbers, np.float64) * self.window.hop_s

    def complete(self) -> Iterator[tuple[int, int]]:
        """Number and first element of each stretch that begins within the series, without end."""
        return ((n, start) for n in count() if (start := self.start(n)) >= 0)

    def start(self, number: int) -> int:
        """First element of a stretch; below 0 if it begins before the series."""
        return self._middle(number) - self._lead

    @property
    def _length(self) -> int:
        return round(self.window.span_s * self.rate)

    @property
    def _lead(self) -> int:
        """Elements of a stretch before its time."""
        return self._length if self.window.causal else self._length // 2

    def _middle(self, number: int) -> int:
        return round(number * self.window.hop_s * self.rate)

    def _each(self, chunks: Iterable[FloatArray]) -> Iterator[tuple[int, FloatArray]]:
        length, lead = self._length, self._lead
        total, number = 0, 0
        held, first = self._silence(lead), -lead  # elements in hand, and the number of the first
        if self.pad is None:
            held, first = None, 0
            number, _ = next(self.complete())
        for chunk in filter(len, chunks):
            total += len(chunk)
            held = chunk if held is None else np.concatenate([held, chunk])
            while (start := self.start(number)) + length <= first + len(held):
                yield number, held[start - first : start - first + length]
                number += 1
            held, first = _from(held, first, start)
        if self.pad is None or held is None or total == 0:
            return
        held = np.concatenate([held, self._silence(length)])
        while self._middle(number) <= total:
            start = self.start(number) - first
            yield number, held[start : start + length]
            number += 1

    def _silence(self, length: int) -> FloatArray | None:
        return None if self.pad is None else np.repeat(self.pad[None], length, axis=0)


def _from(held: FloatArray, first: int, start: int) -> tuple[FloatArray, int]:
    """What is in hand from element ``start`` on."""
    drop = min(max(0, start - first), len(held))
    return held[drop:], first + drop
