"""Run SoundNet over overlapping windows of a long sound, computing what they share once.

The network comes in three: a first convolution (kernel 64, stride 2) with batch norm and ReLU, a
second (kernel 32, stride 2), and the rest; between them lie max pools of 8, and each convolution
pads its piece of the *window* with zeros. Away from these ends, what a layer gives depends only
on where in the sound it looks::

    layer               looks every   windows share it that begin apart by a multiple of
    first convolution     2 samples     2 samples
    first pool           16            16
    second convolution   32            32
    second pool         256           256

So one row of the first convolution for each remainder of the windows' beginnings by 2, and one of
the second for each remainder by 32, serve all windows; pools are cheap and may begin anywhere. At
each end of a window, one or two pooled values hear its padding: these are made for each window.

Sharing pays where the rows, one for each remainder, are at most half as many as the windows that
overlap at a place (``benchmarks/bench_soundnet.py``). For windows of 10 s that is so for the
first convolution at every hop up to 2.5 s (5 s if it is an even number of samples), and for the
second at every hop up to 0.15 s. The third convolution looks every 512 samples: most hops leave
every remainder by 512, more than there are windows at a place (300 at 30 a second), so nothing
later is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.types import FloatArray, Window


class Segments:
    """Cuts a stretch out of a series at every multiple of a hop, in bounded memory.

    Args:
        window: Length of a stretch and the hop, in seconds; a causal stretch ends at its
            time, another has it in its middle.
        rate: Elements of the series per second.
        pad: What stands for the time before and after the series, one element; None to give
            complete stretches only.
        batch: Stretches given at once, whatever the chunks' sizes.
        every: Give the first, each so-many-th after it, and the last; with `pad` and stretches
            around their time only.
    """

    def __init__(
        self,
        window: Window,
        rate: float,
        pad: FloatArray | None,
        batch: int = 32,
        every: int = 1,
    ) -> None:
        self._hop_s, self._rate, self._pad, self._batch = window.hop_s, rate, pad, batch
        self._every = every
        self._length = round(window.span_s * rate)
        # elements of a stretch before its time
        self._lead = self._length if window.causal else self._length // 2

    def __call__(
        self, chunks: Iterable[FloatArray]
    ) -> Iterator[tuple[NDArray[np.float64], FloatArray]]:
        """Cut a series.

        Args:
            chunks: The series, elements first, in chunks of any size.

        Yields:
            Times of stretches in seconds, shape (N,), and the stretches, shape (N, span, …); N is
            `batch` or, last, less.
        """
        numbers: list[int] = []
        segments: list[FloatArray] = []
        for number, segment in self._each(chunks):
            numbers.append(number)
            segments.append(segment)
            if len(numbers) == self._batch:
                yield self.times(numbers), np.stack(segments)
                numbers, segments = [], []
        if numbers:
            yield self.times(numbers), np.stack(segments)

    def times(self, numbers: list[int]) -> NDArray[np.float64]:
        """Return the times of stretches by their numbers, in seconds."""
        return np.array(numbers, np.float64) * self._hop_s

    def complete(self) -> Iterator[tuple[int, int]]:
        """Yield number and first element of each stretch that begins within an endless series."""
        return ((n, start) for n in count() if (start := self.start(n)) >= 0)

    def start(self, number: int) -> int:
        """Return the first element of a stretch; below 0 if it begins before the series."""
        return round(number * self._hop_s * self._rate) - self._lead

    def _each(self, chunks: Iterable[FloatArray]) -> Iterator[tuple[int, FloatArray]]:
        """Yield number and elements of each stretch."""
        length, lead, pad = self._length, self._lead, self._pad
        total, number = 0, 0
        held: FloatArray | None = None  # elements in hand
        first = 0  # number of the first of them
        if pad is None:
            number, _ = next(self.complete())
        else:
            held, first = np.repeat(pad[None], lead, axis=0), -lead
        for chunk in filter(len, chunks):
            total += len(chunk)
            held = chunk if held is None else np.concatenate([held, chunk])
            while (start := self.start(number)) + length <= first + len(held):
                if number % self._every == 0:
                    yield number, held[start - first : start - first + length]
                number += 1
            drop = min(max(0, start - first), len(held))
            held, first = held[drop:], first + drop
        if pad is None or held is None or total == 0:
            return
        held = np.concatenate([held, np.repeat(pad[None], length, axis=0)])
        while (start := self.start(number)) + lead <= total:
            if number % self._every == 0 or self.start(number + 1) + lead > total:
                yield number, held[start - first : start - first + length]
            number += 1


_FIRST_ROOM = 1024


class RingBuffer:
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
            # Move what is held to the front, of a longer array if it would soon be full again.
            remaining, room = self._room[..., self._start : self._start + held], self._room
            if 2 * (held + count) > room.shape[-1]:
                room = np.empty((*room.shape[:-1], 2 * (held + count)), room.dtype)
                room[..., :held] = remaining
            else:
                room[..., :held] = remaining.copy()
            self._room, self._start = room, 0
        at = self._start + held
        self._room[..., at : at + count] = columns
        self.end += count

    def drop(self, before: int) -> None:
        """Let go what is numbered below ``before``; there may be nothing, or all of it."""
        count = min(max(0, before - self.first), self.end - self.first)
        self.first += count
        self._start += count

    def part(self, start: int, stop: int, step: int = 1) -> NDArray[Any]:
        """Return columns by number.

        Args:
            start: Number of the first.
            stop: Number after the last.
            step: Distance from one to the next.

        Returns:
            A view (…, n), valid until the next `append`.

        Raises:
            IndexError: Not all of them are there.
        """
        if start < self.first or stop > self.end:
            raise IndexError(f"{start} to {stop} of {self.first} to {self.end}")
        at = self._start - self.first
        return self._room[..., at + start : at + stop : step]


RATE = 22_050
FILTERS_1, FILTERS_2 = 16, 32
KERNEL_1, PAD_1, KERNEL_2, PAD_2, STRIDE, POOL = 64, 32, 32, 16, 2, 8
EVERY_1 = STRIDE * POOL
"""Samples from one value of the first pool to the next."""
EVERY_2 = STRIDE * EVERY_1
"""Samples from one value of the second convolution to the next."""

PLAIN, FIRST, BOTH = 0, 1, 2
"""How much windows share: nothing, the first convolution, or the first two."""

PIECE_S = 2.0
SLACK = 2 * EVERY_2
"""Samples that must follow a window, heard or not, until every row has come to its end."""

REST_BATCH = 32
_SURVEYED, _APART = 512, 997
"""By how many windows it is decided what to share: the first, and as many over some hours."""

Run = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Blocks:
    """The network in three parts, each for any number of rows.

    Attributes:
        first: Wave (N, S) to (N, 16, (S - 64) / 2 + 1), without padding.
        second: Maps (N, 16, Q) to (N, 32, (Q - 32) / 2 + 1), without padding.
        rest: Maps (N, 32, R) of a window to features (N, dim).
    """

    first: Run
    second: Run
    rest: Run


class LayerLayout:
    """How many values each layer has over a window, and which see nothing of its padding.

    Args:
        samples: Length of the window.

    Attributes:
        samples: Length of the window.
        pooled_1: Values of the first pool.
        pooled_2: Values of the second pool.
        clean_from: The first value of either pool that sees nothing of the padding before the
            window.
        clean_1: First value of the first pool that sees the padding behind the window.
        clean_2: First value of the second pool that does.
    """

    clean_from = 2

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.pooled_1 = (samples // STRIDE + 1) // POOL
        self.pooled_2 = (self.pooled_1 // STRIDE + 1) // POOL
        self.clean_1 = ((samples - PAD_1) // STRIDE + 1) // POOL
        self.clean_2 = ((self.clean_1 - PAD_2) // STRIDE + 1) // POOL


class SoundNet:
    """Features of every window of a sound that comes in chunks, in bounded memory.

    Args:
        blocks: The network.
        window: The windows; only those that lie wholly within the sound have a row.
        share: `PLAIN`, `FIRST` or `BOTH`; chosen by the hop if not given.

    Attributes:
        share: What is shared.
    """

    def __init__(self, blocks: Blocks, window: Window, share: int | None = None) -> None:
        self._blocks = blocks
        self._segments = Segments(window, RATE, None)
        self.layout = LayerLayout(round(window.span_s * RATE))
        self.share = best_share(window) if share is None else share

    def __call__(
        self, chunks: Iterable[FloatArray]
    ) -> Iterator[tuple[NDArray[np.float64], FloatArray]]:
        """Run the network over a sound.

        Args:
            chunks: Samples at 22,050 a second as the network takes them, in chunks of any size.

        Yields:
            Times in seconds, shape (N,), and features, shape (N, dim).
        """
        numbers: list[int] = []
        maps: list[FloatArray] = []
        for number, one in self._maps(chunks):
            numbers.append(number)
            maps.append(one)
            if len(maps) == REST_BATCH:
                yield self._segments.times(numbers), self._blocks.rest(np.stack(maps))
                numbers, maps = [], []
        if maps:
            yield self._segments.times(numbers), self._blocks.rest(np.stack(maps))

    def _maps(self, chunks: Iterable[FloatArray]) -> Iterator[tuple[int, FloatArray]]:
        """Number of each window and what the second pool gives for it, (32, R)."""
        due = self._segments.complete()
        number, start = next(due)
        remainders = np.unique(_starts(self._segments) % EVERY_2)
        signal = _Signal(self._blocks, self.layout, remainders, self.share)
        for piece in chain(_pieces(chunks, round(PIECE_S * RATE)), [np.zeros(SLACK, np.float32)]):
            signal.hear(piece)
            numbers, starts = [], []
            while start + self.layout.samples + SLACK <= signal.wave.end:
                numbers.append(number)
                starts.append(start)
                number, start = next(due)
            if starts:
                yield from zip(numbers, signal.windows(starts), strict=True)
            signal.forget(start)


def best_share(window: Window) -> int:
    """Choose what is worth sharing at a hop.

    It is the layers with at most half as many remainders as windows overlap at a place.

    Args:
        window: The windows.

    Returns:
        `PLAIN`, `FIRST` or `BOTH`.

    Examples:
        >>> best_share(Window(10.0, 0.1, causal=True)) == BOTH
        True
    """
    starts = _starts(Segments(window, RATE, None))
    most = window.span_s / window.hop_s / 2
    layout = LayerLayout(round(window.span_s * RATE))
    if layout.clean_2 <= layout.clean_from or len(np.unique(starts % STRIDE)) > most:
        return PLAIN
    return BOTH if len(np.unique(starts % EVERY_2)) <= most else FIRST


def _starts(segments: Segments) -> NDArray[np.int64]:
    """Beginnings of some windows; where a hop is no whole number of samples, they drift."""
    numbers = [*range(_SURVEYED), *range(0, _SURVEYED * _APART, _APART)]
    return np.array([segments.start(number) for number in numbers])


def _pieces(chunks: Iterable[FloatArray], length: int) -> Iterator[FloatArray]:
    """The same series in pieces of one length, the last one shorter."""
    held: list[FloatArray] = []
    count = 0
    for chunk in chunks:
        for at in range(0, len(chunk), length):
            held.append(chunk[at : at + length])
            count += len(held[-1])
            if count >= length:
                whole = np.concatenate(held)
                yield whole[:length]
                held, count = [whole[length:]], count - length
    if count:
        yield np.concatenate(held)


def pool(maps: FloatArray) -> FloatArray:
    """Take the largest of each eight values, (…, T) to (…, T // 8).

    Examples:
        >>> pool(np.arange(17.0)).tolist()
        [7.0, 15.0]
    """
    return sliding(maps)[..., ::POOL]


def sliding(maps: FloatArray) -> FloatArray:
    """Take the largest of the eight values from each position on, (…, T) to (…, T - 7).

    Examples:
        >>> sliding(np.arange(9.0)).tolist()
        [7.0, 8.0]
    """
    for step in (1, 2, 4):
        maps = np.maximum(maps[..., :-step], maps[..., step:])
    return maps


class _Signal:
    """A sound so far, and what its windows share of the first layers.

    Args:
        blocks: The network.
        layout: Of its windows.
        remainders: Of the windows' beginnings by 32.
        share: What is shared.
    """

    def __init__(
        self, blocks: Blocks, layout: LayerLayout, remainders: NDArray[np.int64], share: int
    ) -> None:
        self._blocks, self._layout, self._share = blocks, layout, share
        self._by_32, self._by_16 = remainders, np.unique(remainders % EVERY_1)
        # Silence before the sound: only ends of windows would hear it, and they are made anew.
        lead = PAD_1 + PAD_2 * EVERY_1
        self.wave = RingBuffer((), -lead)
        self.wave.append(np.zeros(lead, np.float32))
        self._pooled = RingBuffer((len(self._by_16), FILTERS_1), -PAD_2)
        self._second = RingBuffer((len(self._by_32), FILTERS_2), 0)
        self._unpooled = np.empty((len(self._by_32), FILTERS_2, 0), np.float32)

    def hear(self, wave: FloatArray) -> None:
        """Take what comes next."""
        self.wave.append(wave)
        if self._share != PLAIN:
            self._extend_first()
        if self._share == BOTH:
            self._extend_second()

    def forget(self, start: int) -> None:
        """Let go what no window from ``start`` on, and no layer, needs any more."""
        if self._share == PLAIN:
            self.wave.drop(start)
            return
        self.wave.drop(min(start, self._pooled.end * EVERY_1 - PAD_1))
        first_column = start // EVERY_1
        if self._share == BOTH:
            at = self._second.end + self._unpooled.shape[-1]
            first_column = min(first_column, STRIDE * at - PAD_2)
            self._second.drop(start // EVERY_2)
        self._pooled.drop(first_column)

    def _extend_first(self) -> None:
        """The first pool at every place that can be heard, for each remainder by 16."""
        at = self._pooled.end
        reach = PAD_1 + STRIDE * (POOL - 1)  # samples from a place on that its value hears
        count = (self.wave.end - reach + 1) // EVERY_1 - at
        if count <= 0:
            return
        parities = np.unique(self._by_16 % STRIDE)
        length = STRIDE * (POOL * (count + 1) - 1) + KERNEL_1
        start = at * EVERY_1 - PAD_1
        wave = self.wave.part(start, min(start + length + 1, self.wave.end))
        wave = np.pad(wave, (0, length + 1 - len(wave)))
        rows = np.stack([wave[parity : parity + length] for parity in parities])
        largest = sliding(self._blocks.first(rows))
        pooled = [
            largest[np.searchsorted(parities, position % STRIDE), :, position // STRIDE :: POOL]
            for position in self._by_16
        ]
        self._pooled.append(np.stack([each[:, :count] for each in pooled]))

    def _extend_second(self) -> None:
        """The second convolution's largest from every place on, for each remainder by 32."""
        at = self._second.end + self._unpooled.shape[-1]
        count = (self._pooled.end - PAD_2) // STRIDE - at
        if count <= 0:
            return
        maps = self._pooled.part(STRIDE * at - PAD_2, STRIDE * (at + count) + PAD_2)
        length = STRIDE * (count - 1) + KERNEL_2
        rows = [
            maps[np.searchsorted(self._by_16, position % EVERY_1), :, position // EVERY_1 :][
                :, :length
            ]
            for position in self._by_32
        ]
        made = np.concatenate([self._unpooled, self._blocks.second(np.stack(rows))], axis=-1)
        if made.shape[-1] >= POOL:
            self._second.append(sliding(made))
        self._unpooled = made[..., -(POOL - 1) :].copy()

    def windows(self, starts: list[int]) -> FloatArray:
        """Compute what the second pool gives for windows by their first sample, (N, 32, R)."""
        if self._share == PLAIN or not np.isin(np.array(starts) % EVERY_2, self._by_32).all():
            maps = []
            for start in starts:  # nothing of them is shared
                wave = self.wave.part(start, start + self._layout.samples)
                pooled = pool(self._blocks.first(np.pad(wave, PAD_1)[None]))
                padded = np.pad(pooled, ((0, 0), (0, 0), (PAD_2, PAD_2)))
                maps.append(pool(self._blocks.second(padded)))
            return np.concatenate(maps)
        before, behind = self._ends(starts)
        if self._share == FIRST:
            layout = self._layout
            whole = zip(
                before,
                (self._first(start, layout.clean_from, layout.clean_1) for start in starts),
                behind,
                strict=True,
            )
            rows = (np.concatenate(parts, axis=-1)[None] for parts in whole)
            return np.concatenate([pool(self._blocks.second(row)) for row in rows])
        return self._between(starts, before, behind)

    def _ends(self, starts: list[int]) -> tuple[FloatArray, FloatArray]:
        """The first pool where it hears a window's padding, with the zeros that come next."""
        layout = self._layout
        length = STRIDE * (POOL * layout.clean_from - 1) + KERNEL_1 - PAD_1
        before = np.stack([self.wave.part(start, start + length) for start in starts])
        pooled = pool(self._blocks.first(np.pad(before, ((0, 0), (PAD_1, 0)))))
        first = layout.clean_1 * EVERY_1 - PAD_1
        last = layout.samples
        behind = np.stack([self.wave.part(start + first, start + last) for start in starts])
        pooled_end = pool(self._blocks.first(np.pad(behind, ((0, 0), (0, PAD_1)))))
        return (
            np.pad(pooled, ((0, 0), (0, 0), (PAD_2, 0))),
            np.pad(pooled_end, ((0, 0), (0, 0), (0, PAD_2))),
        )

    def _between(self, starts: list[int], before: FloatArray, behind: FloatArray) -> FloatArray:
        """The second pool of windows: shared, but for the ends."""
        layout = self._layout
        need = STRIDE * (POOL * layout.clean_from - 1) + KERNEL_2 - PAD_2
        left = [self._first(start, layout.clean_from, need) for start in starts]
        first = layout.clean_2 * EVERY_1 - PAD_2
        right = [self._first(start, first, layout.clean_1) for start in starts]
        ends = (
            pool(self._blocks.second(np.concatenate([before, np.stack(left)], axis=-1))),
            pool(self._blocks.second(np.concatenate([np.stack(right), behind], axis=-1))),
        )
        shared = []
        low, high = POOL * layout.clean_from, POOL * (layout.clean_2 - 1) + 1
        for start in starts:
            row, at = np.searchsorted(self._by_32, start % EVERY_2), start // EVERY_2
            shared.append(self._second.part(at + low, at + high, POOL)[row])
        return np.concatenate([ends[0], np.stack(shared), ends[1]], axis=-1)

    def _first(self, start: int, low: int, high: int) -> FloatArray:
        """Values ``low`` to before ``high`` of a window's first pool, (16, high - low)."""
        row = np.searchsorted(self._by_16, start % EVERY_1)
        at = start // EVERY_1
        values: FloatArray = self._pooled.part(at + low, at + high)[row]
        return values
