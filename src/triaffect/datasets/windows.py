"""Windows of stored vectors around each labelled moment.

A picture fills one place of a window and has no voice; a moment of a video fills all and mostly
has one. A network that learns expression from pictures and from voices apart has never seen
real ones together. So some pictures are held for their whole window, as if the face had kept
still, and some are given a voice: of a person who speaks in the same expression, or of anybody.
Were it always the same expression, the voice would tell the label as surely as the face does,
and a sound track would change what is read from a face.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from triaffect.corpora.rows import MULTI_TASK_SET
from triaffect.datasets.batches import InputArrays, Rows, label_rows
from triaffect.errors import StoreError
from triaffect.features.external.format import ExternalStream
from triaffect.features.store import FeatureStore
from triaffect.features.timeline import Timeline
from triaffect.models.base import extra_input, extra_presence
from triaffect.tasks.task import Task
from triaffect.types import BoolArray, FloatArray, IntArray, Moments, RowNumbers, Split, Window


def gather(values: NDArray[Any], rows: RowNumbers) -> FloatArray:
    """Rows of a stream as float32, zeros where there is none.

    Args:
        values: Memory-mapped rows, shape (R, D).
        rows: Row numbers, -1 for none; any shape.

    Returns:
        A new array of the shape of ``rows`` and D.
    """
    shape, flat = (*rows.shape, values.shape[1]), rows.reshape(-1)
    if not values.size:
        return np.zeros(shape, np.float32)
    missing = flat < 0
    taken = as_float32(np.asarray(values).take(np.where(missing, 0, flat), axis=0))
    if missing.any():
        taken[missing] = 0
    return taken.reshape(shape)


def as_float32(values: NDArray[Any]) -> FloatArray:
    """The same numbers as float32.

    PyTorch widens half precision many times faster than NumPy, to the same numbers.
    """
    if values.dtype == np.float16:
        return torch.from_numpy(values).float().numpy()
    return values.astype(np.float32, copy=False)


_HALF_FRAME = 0.5


@dataclass(frozen=True)
class WindowLookup:
    """How a moment looks at a stream of vectors.

    Attributes:
        window: Which vectors it sees, in seconds or frames.
        in_frames: The window counts frames.
        single_task_offset: Added to the frame of rows that are not of the MTL set.
    """

    window: Window
    in_frames: bool = False
    single_task_offset: int = 0


@dataclass(frozen=True)
class _Instants:
    """Where moments are: frame, what is added to it, time and track, each of length N."""

    frame: IntArray
    offset: IntArray
    time_s: NDArray[np.float64]
    track: NDArray[np.int32]

    @staticmethod
    def of(moments: Moments, single_task_offset: int = 0) -> _Instants:
        single_task = moments.dictionary_column("label_set") != MULTI_TASK_SET
        return _Instants(
            moments.column("frame").astype(np.int64),
            single_task.astype(np.int64) * single_task_offset,
            moments.column("time_s").astype(np.float64, copy=False),
            moments.column("track").astype(np.int32, copy=False),
        )

    def __getitem__(self, rows: IntArray) -> _Instants:
        return _Instants(self.frame[rows], self.offset[rows], self.time_s[rows], self.track[rows])


@dataclass(frozen=True)
class _Stream:
    """Rows that windows are filled from.

    Attributes:
        timeline: Makes the timeline of the source with an ordinal, timed in seconds or in frames.
        has_frames: Whether the frames of a source's rows are known.
        count: Rows of all sources.
    """

    timeline: Callable[[int, bool], Timeline]
    has_frames: Callable[[str], bool]
    count: int


def face_windows(store: FeatureStore, moments: Moments, spec: WindowLookup) -> RowNumbers:
    """Row of every window position's face vector, -1 where absent, shape (N, W)."""
    stream = _Stream(store.face_timeline, lambda _: True, len(store.face))
    return _windows(store, stream, moments, spec)


def external_windows(
    store: FeatureStore, stream: ExternalStream, moments: Moments, spec: WindowLookup
) -> RowNumbers:
    """Row of every window position in an external stream, -1 where absent, shape (N, W).

    As for faces, a position is filled by the row nearest in time within half a hop; a window
    in frames takes the very frame, where the stream knows the frames of its rows.
    """
    timeline = partial(_external_timeline, store, stream)
    return _windows(store, _Stream(timeline, stream.has_frames, len(stream.values)), moments, spec)


def _external_timeline(
    store: FeatureStore, stream: ExternalStream, source: int, in_frames: bool
) -> Timeline:
    return stream.timeline(store.sources[source], in_frames)


def external_rows(store: FeatureStore, stream: ExternalStream, moments: Moments) -> RowNumbers:
    """Row of an external stream nearest to each moment, at most a period away; shape (N,).

    A picture of a set of stills has the row of its own frame. -1 where there is none.
    """
    instants, result = _Instants.of(moments), absent((len(moments),), len(stream.values))
    for source, here in by_source(store, moments):
        entry, at = store.entries[source], instants[here]
        timeline = stream.timeline(entry.source, in_frames=entry.stills)
        if entry.stills:
            result[here] = timeline.nearest(at.track, at.frame.astype(np.float64), 0.0)
        else:
            period_s = stream.spec.period_s(entry.frame_rate)
            result[here] = timeline.nearest(at.track, at.time_s, period_s)
    return result


def stored_voices(store: FeatureStore, moments: Moments) -> RowNumbers:
    """Row of each moment's voice vector in the store, -1 where absent, shape (N,)."""
    result = absent((len(moments),), len(store.voice))
    window = store.voice_spec.window if store.voice_spec else None
    if window is not None:
        time_s = moments.column("time_s").astype(np.float64)
        for source, here in by_source(store, moments):
            result[here] = store.voice_timeline(source).voices(time_s[here], window)
    return result


def _windows(
    store: FeatureStore, stream: _Stream, moments: Moments, spec: WindowLookup
) -> RowNumbers:
    instants, window = _Instants.of(moments, spec.single_task_offset), spec.window
    result = absent((len(moments), len(window.offsets_s())), stream.count)
    for source, here in by_source(store, moments):
        entry, at = store.entries[source], instants[here]
        in_frames = entry.stills or (spec.in_frames and stream.has_frames(entry.source))
        timeline = stream.timeline(source, in_frames)
        frame = (at.frame + at.offset).astype(np.float64)
        if entry.stills:
            result[here, -1] = timeline.nearest(at.track, frame, 0.0)
        elif in_frames:
            result[here] = timeline.window_rows(at.track, frame, window, _HALF_FRAME)
        elif spec.in_frames:
            rate = entry.frame_rate
            seconds = Window(window.span_s / rate, window.hop_s / rate, window.causal)
            time_s = at.time_s + at.offset / rate
            result[here] = timeline.window_rows(at.track, time_s, seconds)
        else:
            result[here] = timeline.window_rows(at.track, at.time_s, window)
    return result


def by_source(store: FeatureStore, moments: Moments) -> Iterator[tuple[int, IntArray]]:
    """Ordinal of each source that has moments, and the rows of those moments."""
    if not len(moments):
        return
    ordinals = {name: ordinal for ordinal, name in enumerate(store.sources)}
    sources = moments.dictionary_column("source")
    order = np.argsort(sources.codes, kind="stable")
    ends = np.cumsum(np.bincount(sources.codes, minlength=len(sources.values)))
    for name, here in zip(sources.values, np.split(order, ends[:-1]), strict=True):
        if name not in ordinals:
            raise StoreError("moments of stored sources only", f"source '{name}'")
        yield ordinals[name], here


def absent(shape: tuple[int, ...], rows: int) -> RowNumbers:
    """Row numbers that are all -1, of the smallest of two types that can count the rows."""
    if rows <= np.iinfo(np.int32).max:
        return np.full(shape, -1, np.int32)
    return np.full(shape, -1, np.int64)


def frame_rows(frames: NDArray[np.generic], requested: IntArray) -> IntArray:
    """Row of each requested frame number in a sorted column; -1 where it is missing."""
    if not len(frames):
        return np.full(len(requested), -1, np.int64)
    rows = np.searchsorted(frames, requested).clip(0, len(frames) - 1)
    return np.where(frames[rows] == requested, rows, -1).astype(np.int64)


def require_extractor(got: str, expected: str, modality: str) -> None:
    """See that a store was made with an extractor.

    Raises:
        StoreError: It was made with another.
    """
    if got != expected:
        raise StoreError(
            f"a store with the {modality} extractor {expected}",
            got,
            f"extract it with --{modality} {expected}",
        )


HELD, SPOKEN, AGREEING = 0.5, 0.5, 0.3
"""Shares of the pictures that are held, and, drawn apart from that, that get a voice; and of those
voices the share of the same expression for certain."""


def as_video(
    rows: Rows, face_rows: RowNumbers, voice_row: RowNumbers, tasks: Sequence[Task]
) -> tuple[RowNumbers, RowNumbers]:
    """Hold some training pictures and let some speak; the same ones each time.

    Args:
        rows: Rows of all splits; only those for training change.
        face_rows: Stored face row of each window position, -1 where absent, shape (N, W).
        voice_row: Stored voice row, -1 where absent, shape (N,).
        tasks: Tasks; the first with exclusive classes says who speaks in which expression.

    Returns:
        Changed copies of ``face_rows`` and ``voice_row``.
    """
    rng = np.random.default_rng(0)
    face_rows, voice_row = face_rows.copy(), voice_row.copy()
    training = rows.split == Split.TRAIN
    has_face, silent = face_rows >= 0, voice_row < 0
    still = training & silent & has_face[:, -1] & ~has_face[:, :-1].any(1)
    held = still & (rng.random(len(rows)) < HELD)
    face_rows[held] = face_rows[held, -1:]
    speakers = training & ~silent & ~has_face.any(1)
    spoken = still & (rng.random(len(rows)) < SPOKEN)
    agreeing = spoken & (rng.random(len(rows)) < AGREEING)
    voices = voice_row[speakers]
    for label in _labels(rows, tasks):
        _speak(voice_row, agreeing & label, voice_row[speakers & label], rng)
    _speak(voice_row, spoken & ~agreeing, voices, rng)
    return face_rows, voice_row


def _speak(
    voice_row: RowNumbers, rows: BoolArray, voices: RowNumbers, rng: np.random.Generator
) -> None:
    """Give each of some rows one of the voices, if there are any."""
    if len(voices):
        voice_row[rows] = rng.choice(voices, int(rows.sum()))


def _labels(rows: Rows, tasks: Sequence[Task]) -> list[np.ndarray]:
    """For each class of the first task with exclusive ones, which rows are of it."""
    for task in tasks:
        if task.exclusive:
            targets = rows.targets[task.key]
            named = np.where(targets.valid.all(1), targets.values.argmax(1), -1)
            return [named == label for label in range(task.width)]
    return []


@dataclass(frozen=True)
class Streams:
    """Which streams of a store a network reads.

    Attributes:
        face: Fills the windows: "face" is the store's own extractor, else an external stream.
        voice: Gives the voice vector: "voice", or an external stream.
        extra: External streams that give one more vector each.
    """

    face: str = "face"
    voice: str = "voice"
    extra: tuple[str, ...] = ()


OWN = Streams()


class WindowSamples:
    """Rows of a store whose inputs are windows of face vectors and one voice vector.

    Args:
        store: Feature store with vectors of a face and a voice network.
        tasks: Whose labels count.
        window: Which face vectors a moment sees.
        in_frames: The window counts frames, not seconds.
        complete: Only moments with every face of their window, and their voice.
        drop_partial: See `label_rows`.
        single_task_frame_offset: Added to the frame of rows that are not of the MTL set
            when their features are looked up.
        stills_as_video: See `triaffect.datasets.windows`.
        drop_minus_one: See `label_rows`.
        moments: Rows to take in place of the store's own labelled ones; they need no labels.
        streams: Where the vectors come from, if not all from the store's own extractors.
    """

    def __init__(
        self,
        store: FeatureStore,
        tasks: Sequence[Task],
        window: Window,
        in_frames: bool = False,
        complete: bool = False,
        drop_partial: bool = False,
        single_task_frame_offset: int = 0,
        stills_as_video: bool = False,
        drop_minus_one: bool = False,
        *,
        moments: Moments | None = None,
        streams: Streams = OWN,
    ) -> None:
        selected = store.moments if moments is None else moments
        spec = WindowLookup(window, in_frames, single_task_frame_offset)
        self._face, faces = _faces(store, streams.face, selected, spec)
        self._voice, voices = _voices(store, streams.voice, selected)
        extra = {name: store.external(name) for name in streams.extra}
        self._extra = {name: stream.values for name, stream in extra.items()}
        extras = {name: external_rows(store, stream, selected) for name, stream in extra.items()}
        usable = np.any([(faces >= 0).any(1), voices >= 0, *(r >= 0 for r in extras.values())], 0)
        if complete:
            usable = (faces >= 0).all(1) & (voices >= 0)
        self.rows: Rows = label_rows(
            selected, usable, tasks, drop_partial, moments is not None, drop_minus_one
        )
        self._face_rows, self._voice_row = (
            _select_rows(faces, self.rows),
            _select_rows(voices, self.rows),
        )
        self._extra_row = {name: _select_rows(rows, self.rows) for name, rows in extras.items()}
        if stills_as_video:
            self._face_rows, self._voice_row = as_video(
                self.rows, self._face_rows, self._voice_row, tasks
            )

    def inputs(self, rows: IntArray) -> InputArrays:
        """``face`` (N, W, Df), ``face_present`` (N, W), ``voice`` (N, Dv), ``voice_present`` (N,).

        And of each further stream ``extra.<name>`` (N, D) and ``extra.<name>.present`` (N,). What
        is absent is zero there; the presence says so.
        """
        names = ("face", "face_present", "voice", "voice_present")
        arrays: InputArrays = dict(zip(names, self.arrays(rows), strict=True))
        for name, values in self._extra.items():
            row = self._extra_row[name][rows]
            arrays[extra_input(name)] = gather(values, row)
            arrays[extra_presence(name)] = row >= 0
        return arrays

    def arrays(self, rows: IntArray) -> tuple[FloatArray, BoolArray, FloatArray, BoolArray]:
        """The first four arrays of `inputs`."""
        face_rows, voice_row = self._face_rows[rows], self._voice_row[rows]
        return (
            gather(self._face, face_rows),
            face_rows >= 0,
            gather(self._voice, voice_row),
            voice_row >= 0,
        )


def _faces(
    store: FeatureStore, name: str, moments: Moments, spec: WindowLookup
) -> tuple[NDArray[np.generic], RowNumbers]:
    """Rows that fill windows, and which of them each moment sees."""
    if name == OWN.face:
        return store.face, face_windows(store, moments, spec)
    stream = store.external(name)
    return stream.values, external_windows(store, stream, moments, spec)


def _voices(
    store: FeatureStore, name: str, moments: Moments
) -> tuple[NDArray[np.generic], RowNumbers]:
    """Rows of voice vectors, and which of them each moment has."""
    if name == OWN.voice:
        return store.voice, stored_voices(store, moments)
    stream = store.external(name)
    return stream.values, external_rows(store, stream, moments)


def _select_rows(numbers: RowNumbers, rows: Rows) -> RowNumbers:
    """Those of the rows that are there; no copy if all are."""
    return numbers if len(rows) == len(numbers) else numbers[rows.moments]
