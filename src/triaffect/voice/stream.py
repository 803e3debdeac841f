"""Detect voice in a sound that arrives in chunks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from triaffect.types import BoolArray, FeatureSeries, FloatArray, Window
from triaffect.voice import log_mel as logmel
from triaffect.voice.activity import HOP_S, NOTHING, ROWS, Seconds, voice_scores

_QUIET = 1e-4
"""Largest sample (of 1) of a sound in which nothing is heard: -80 dB, a muted microphone."""

_STEP_S = 0.1
"""Loudness is kept for stretches of this length."""

_SLACK = 1e-6
"""Part of a stretch by which an edge may be off because times are sums of floats."""

_SECOND_S = ROWS / logmel.ROWS_PER_S

_SUREST = 4
"""A window is judged by so many of its seconds: a short call in silence is a voice, while a
moment of music that sounds like one is outvoted."""


class VoiceSpec(Protocol):
    """What a voice network reads: the sound of a window, at a rate."""

    @property
    def window(self) -> Window | None:
        """The window of one row."""

    @property
    def rate(self) -> int:
        """Samples per second."""


class VoiceNetwork(Protocol):
    """A network that turns sound into rows."""

    @property
    def spec(self) -> VoiceSpec:
        """What it reads."""

    def stream(self, chunks: Iterable[FloatArray]) -> Iterator[FeatureSeries]:
        """Yield rows of a sound that comes in chunks at the network's rate."""


class Hearing:
    """Watches sound go by and tells where a voice could be heard.

    A voice is told from other sounds at 16,000 samples a second, the rate of a log-mel voice
    network. At another rate (SoundNet's 22,050) whatever is louder than -80 dB counts as heard.

    Args:
        rate: Samples per second.
    """

    def __init__(self, rate: int) -> None:
        self._loudness = _Loudness(rate)
        self._likeness = _Likeness() if rate == logmel.RATE else None

    def watch(self, chunks: Iterator[FloatArray]) -> Iterator[FloatArray]:
        """Pass chunks of any size on, noting what they sound like."""
        for chunk in chunks:
            self._loudness.add(chunk)
            if self._likeness:
                self._likeness.add(chunk)
            yield chunk
        self._loudness.end()
        if self._likeness:
            self._likeness.end()

    def heard(self, time_s: NDArray[np.float64], window: Window) -> BoolArray:
        """Whether a voice sounds in the windows (N,) whose sound has gone by."""
        low_s = time_s - (window.span_s if window.causal else window.span_s / 2)
        loud = self._loudness.heard(low_s, window.span_s)
        return loud & self._likeness.heard(low_s, window.span_s) if self._likeness else loud

    def forget(self, before_s: float) -> None:
        """Drop what lies before this time."""
        self._loudness.forget(before_s)
        if self._likeness:
            self._likeness.forget(before_s)


def heard_rows(voice: VoiceNetwork, chunks: Iterator[FloatArray]) -> Iterator[FeatureSeries]:
    """The rows of a voice network's windows in which a voice is heard.

    Args:
        voice: The network.
        chunks: A sound at its rate.
    """
    window, hearing = voice.spec.window, Hearing(voice.spec.rate)
    assert window is not None  # noqa: S101 - every voice extractor has one
    for series in voice.stream(hearing.watch(chunks)):
        heard = hearing.heard(series.times_s, window)
        yield FeatureSeries(series.values[heard], series.times_s[heard])
        if len(series.times_s):
            hearing.forget(float(series.times_s[-1]) - window.span_s)


class _Loudness:
    """Largest sample of every tenth of a second."""

    def __init__(self, rate: int) -> None:
        self._step = max(1, round(rate * _STEP_S))
        self._held = np.empty(0, np.float32)
        self._peaks: deque[float] = deque()
        self._first = 0  # number of the stretch that the oldest peak belongs to

    def add(self, chunk: FloatArray) -> None:
        held = np.concatenate([self._held, np.abs(chunk)])
        whole = len(held) // self._step * self._step
        self._peaks.extend(held[:whole].reshape(-1, self._step).max(axis=1).tolist())
        self._held = held[whole:]

    def end(self) -> None:
        if len(self._held):
            self._peaks.append(float(self._held.max()))

    def heard(self, low_s: NDArray[np.float64], span_s: float) -> BoolArray:
        loud = np.array([0, *np.cumsum(np.array(self._peaks) > _QUIET)])
        start, end = low_s / _STEP_S + _SLACK, (low_s + span_s) / _STEP_S - _SLACK
        edges = np.stack([np.floor(start), np.ceil(end)]) - self._first
        first, last = np.clip(edges, 0, len(loud) - 1).astype(int)
        return np.asarray(loud[last] > loud[first], np.bool_)

    def forget(self, before_s: float) -> None:
        while self._peaks and (self._first + 1) * _STEP_S <= before_s:
            self._peaks.popleft()
            self._first += 1


class _Likeness:
    """How much like a voice each second sounds; one begins every quarter of a second."""

    def __init__(self) -> None:
        self._seconds = Seconds()
        self._scores: deque[float] = deque()
        self._first = 0  # number of the second that the oldest score belongs to

    def add(self, chunk: FloatArray) -> None:
        for stretches in self._seconds.push(chunk):
            self._scores.extend(voice_scores(stretches).tolist())

    def end(self) -> None:
        for stretches in self._seconds.finish():
            self._scores.extend(voice_scores(stretches).tolist())

    def heard(self, low_s: NDArray[np.float64], span_s: float) -> BoolArray:
        """Whether the surest seconds within the windows are a voice's on average.

        A window shorter than a second is judged by the last one that ends within it.
        """
        count = max(int((span_s - _SECOND_S) / HOP_S + _SLACK), 0) + 1
        last = np.floor((low_s + span_s) / HOP_S + _SLACK).astype(int) - 1 - self._first
        numbers = last[:, None] - np.arange(count)
        known = (numbers >= 0) & (numbers < len(self._scores))
        scores = np.array([*self._scores, NOTHING])[np.where(known, numbers, -1)]
        surest = np.sort(scores, axis=1)[:, -_SUREST:]
        return np.asarray(surest.mean(axis=1) > 0, np.bool_)

    def forget(self, before_s: float) -> None:
        while self._scores and (self._first + 1) * HOP_S <= before_s:
            self._scores.popleft()
            self._first += 1
