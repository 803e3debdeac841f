"""Rows of a voice network over a sound that arrives in chunks, and where a voice is active.

Extraction and prediction both read a sound through `VoiceStream`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from triaffect.types import BoolArray, FeatureSeries, FloatArray, Window
from triaffect.voice.activity import HOP_S, NOTHING, ROWS, Seconds, voice_scores
from triaffect.voice.log_mel import BANDS, RATE, ROWS_PER_S, LogMel

_QUIET = 1e-4
"""Largest sample (of 1) of a sound without anything in it: -80 dB, a muted microphone."""

_STEP_S = 0.1
"""Loudness is remembered for steps of this length."""

_ROUNDING = 1e-6
"""Part of a step by which an edge may be off because times are sums of floats."""

_SECOND_S = ROWS / ROWS_PER_S

_SUREST = 4
"""A window is judged by so many of its seconds: a short call in silence is a voice, while a
moment of music that sounds like one is outvoted."""


_SCORED_AT_ONCE = 32
"""Seconds that are judged together at most: the fewer, the dearer each."""


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
        """Run the network over a sound.

        Args:
            chunks: Mono in [-1, 1] at ``spec.rate`` samples/s, shape (samples,), of any size.

        Yields:
            Rows in order of time, and their times.
        """


@runtime_checkable
class SpectrumNetwork(VoiceNetwork, Protocol):
    """A network that may read the log-mel spectrum, which voice activity is judged by as well."""

    @property
    def reads_spectrum(self) -> bool:
        """Whether it reads that spectrum."""

    @property
    def reads_pitch(self) -> bool:
        """Whether it reads the columns of pitch beside it."""

    def stream_spectrum(self, spectrum: Iterable[FloatArray]) -> Iterator[FeatureSeries]:
        """Run the network over a spectrum.

        Args:
            spectrum: Rows of `triaffect.voice.log_mel`, shape (T, 64) each, or (T, 66) with pitch.

        Yields:
            As `stream`.
        """


@dataclass(frozen=True)
class VoiceRows(FeatureSeries):
    """Successive rows of a voice network.

    Attributes:
        active: Whether a voice sounds in the window of each row, shape (T,).
    """

    active: BoolArray

    def where(self, rows: BoolArray) -> VoiceRows:
        """Select rows by a mask (T,)."""
        return VoiceRows(self.values[rows], self.times_s[rows], self.active[rows])


@dataclass(frozen=True)
class VoiceStream:
    """Runs a voice network over one sound, remembering no more than a window of it.

    Iterating yields `VoiceRows` in order of time, as soon as their sound has arrived.

    Attributes:
        network: The network.
        chunks: The sound in chunks of any size, mono at the network's rate.
    """

    network: VoiceNetwork
    chunks: Iterable[FloatArray]

    def __iter__(self) -> Iterator[VoiceRows]:
        """Yield the rows."""
        network, window = self.network, self.network.spec.window
        assert window is not None  # noqa: S101 - every voice extractor has one
        reads_spectrum = isinstance(network, SpectrumNetwork) and network.reads_spectrum
        pitch = isinstance(network, SpectrumNetwork) and network.reads_pitch
        activity = VoiceActivity(network.spec.rate, pitch=pitch)
        if isinstance(network, SpectrumNetwork) and reads_spectrum:
            stream = network.stream_spectrum(activity.watch_spectrum(self.chunks))
        else:
            stream = network.stream(activity.watch(self.chunks))
        for series in stream:
            active = activity.active(series.times_s, window)
            yield VoiceRows(series.values, series.times_s, active)
            if len(series.times_s):
                activity.forget(float(series.times_s[-1]) - window.span_s)


class VoiceActivity:
    """Watches a sound pass and says in which windows a voice is active.

    A voice is told from other sounds at 16,000 samples a second, the rate of a log-mel voice
    network. At another rate (SoundNet's 22,050) whatever is louder than -80 dB counts.

    Args:
        rate: Samples per second.
        pitch: Add pitch to the spectrum that is passed on; it judges nothing.
    """

    def __init__(self, rate: int, *, pitch: bool = False) -> None:
        self._loudness = _Loudness(rate)
        self._likeness = _Likeness() if rate == RATE else None
        self._spectrum = LogMel(pitch=pitch)

    def watch(self, chunks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Pass a sound on, noting what it sounds like.

        Args:
            chunks: Mono in [-1, 1], shape (samples,) each, of any size.

        Yields:
            The same chunks, each after it has been noted.
        """
        for chunk in chunks:
            deque(self._note(chunk), maxlen=0)
            yield chunk
        deque(self._end(), maxlen=0)

    def watch_spectrum(self, chunks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Turn a sound at `RATE` into its log-mel spectrum, noting what it sounds like.

        Args:
            chunks: Mono in [-1, 1], shape (samples,) each, of any size.

        Yields:
            Successive rows, shape (T, 64), or (T, 66) with pitch, each after it has been noted.
        """
        for chunk in chunks:
            yield from self._note(chunk)
        yield from self._end()

    def _note(self, chunk: FloatArray) -> Iterator[FloatArray]:
        self._loudness.add(chunk)
        if self._likeness:
            for rows in self._spectrum.push(chunk):
                self._likeness.add(rows[:, :BANDS])
                yield rows

    def _end(self) -> Iterator[FloatArray]:
        self._loudness.end()
        if self._likeness:
            for rows in self._spectrum.finish():
                self._likeness.add(rows[:, :BANDS])
                yield rows
            self._likeness.end()

    def active(self, time_s: NDArray[np.float64], window: Window) -> BoolArray:
        """Judge whether a voice sounds in the windows of moments.

        Args:
            time_s: The moments in seconds, shape (N,); the sound of their windows has passed.
            window: Its span, which ends at the moment if it is causal, else has it in its middle.

        Returns:
            Shape (N,).
        """
        start_s = time_s - (window.span_s if window.causal else window.span_s / 2)
        loud = self._loudness.active(start_s, window.span_s)
        return loud & self._likeness.active(start_s, window.span_s) if self._likeness else loud

    def forget(self, before_s: float) -> None:
        """Drop what lies before this time; no later window may reach there."""
        self._loudness.forget(before_s)
        if self._likeness:
            self._likeness.forget(before_s)


class _Loudness:
    """Largest sample of every tenth of a second."""

    def __init__(self, rate: int) -> None:
        self._step = max(1, round(rate * _STEP_S))
        self._rest = np.empty(0, np.float32)
        self._peaks: deque[float] = deque()
        self._first = 0  # number of the step that the oldest peak belongs to

    def add(self, chunk: FloatArray) -> None:
        level = np.concatenate([self._rest, np.abs(chunk)])
        whole = len(level) // self._step * self._step
        self._peaks.extend(level[:whole].reshape(-1, self._step).max(axis=1).tolist())
        self._rest = level[whole:]

    def end(self) -> None:
        if len(self._rest):
            self._peaks.append(float(self._rest.max()))

    def active(self, start_s: NDArray[np.float64], span_s: float) -> BoolArray:
        """Say whether any step within the windows is loud, shape (N,)."""
        loud = np.array([0, *np.cumsum(np.array(self._peaks) > _QUIET)])
        start, end = start_s / _STEP_S + _ROUNDING, (start_s + span_s) / _STEP_S - _ROUNDING
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
        self._waiting: list[FloatArray] = []  # seconds without a score
        self._scores: deque[float] = deque()
        self._first = 0  # number of the second that the oldest score belongs to

    def add(self, rows: FloatArray) -> None:
        self._waiting.append(self._seconds.push(rows))
        if sum(map(len, self._waiting)) >= _SCORED_AT_ONCE:
            self._score()

    def end(self) -> None:
        self._waiting.append(self._seconds.finish())

    def _score(self) -> None:
        if self._waiting:
            self._scores.extend(voice_scores(np.concatenate(self._waiting)).tolist())
            self._waiting = []

    def active(self, start_s: NDArray[np.float64], span_s: float) -> BoolArray:
        """Say whether the surest seconds within the windows are a voice's on average.

        A window shorter than a second is judged by the last one that ends within it.
        """
        self._score()
        count = max(int((span_s - _SECOND_S) / HOP_S + _ROUNDING), 0) + 1
        last = np.floor((start_s + span_s) / HOP_S + _ROUNDING).astype(int) - 1 - self._first
        numbers = last[:, None] - np.arange(count)
        present = (numbers >= 0) & (numbers < len(self._scores))
        scores = np.array([*self._scores, NOTHING])[np.where(present, numbers, -1)]
        surest = np.sort(scores, axis=1)[:, -_SUREST:]
        return np.asarray(surest.mean(axis=1) > 0, np.bool_)

    def forget(self, before_s: float) -> None:
        while self._scores and (self._first + 1) * HOP_S <= before_s:
            self._scores.popleft()
            self._first += 1
