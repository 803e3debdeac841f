"""Windows of stored vectors around each labelled moment.

A picture fills one place of a window and has no voice; a moment of a video fills all and mostly
has one. A network that learns expression from pictures and from voices apart has never seen
real ones together. So some pictures are held for their whole window, as if the face had kept
still, and some are given anybody's voice. Were it a voice of the same expression, it would tell
the label as surely as the face does, and a sound track would change what is read from a face.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from triaffect.corpora.rows import MULTI_TASK_SET
from triaffect.datasets.batches import InputArrays, Rows, label_rows, take
from triaffect.errors import StoreError
from triaffect.features.external.format import ExternalStream, extra_inputs
from triaffect.features.model_folder import FusionPart
from triaffect.features.store import FeatureStore
from triaffect.tasks.task import Task
from triaffect.types import (
    Batch,
    BoolArray,
    FloatArray,
    IntArray,
    Moments,
    RowNumbers,
    Split,
    Window,
)


def gather(values: NDArray[Any], rows: RowNumbers) -> FloatArray:
    """Gather rows of a stream as float32, zeros where there is none.

    Args:
        values: Memory-mapped rows, shape (R, D).
        rows: Row numbers, -1 for none; any shape.

    Returns:
        A new array of the shape of ``rows`` and D.

    Examples:
        >>> gather(np.array([[1, 2], [3, 4]], np.uint8), np.array([1, -1])).tolist()
        [[3.0, 4.0], [0.0, 0.0]]
    """
    shape, flat = (*rows.shape, values.shape[1]), rows.reshape(-1)
    if not values.size:
        return np.zeros(shape, np.float32)
    missing = flat < 0
    taken = np.asarray(values).take(np.where(missing, 0, flat), axis=0)
    if taken.dtype == np.float16:  # PyTorch widens it many times faster, to the same numbers
        taken = torch.from_numpy(taken).float().numpy()
    taken = taken.astype(np.float32, copy=False)
    if missing.any():
        taken[missing] = 0
    return taken.reshape(shape)


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


def external_rows(store: FeatureStore, stream: ExternalStream, moments: Moments) -> RowNumbers:
    """Find the row of an external stream nearest to each moment, at most a period away.

    A picture of a set of stills has the row of its own frame.

    Args:
        store: The store that the stream belongs to.
        stream: The stream.
        moments: Moments of sources of the store.

    Returns:
        Row numbers, -1 where there is none, shape (N,).

    Raises:
        StoreError: A moment is of a source that the store does not have.
    """
    track = moments.column("track").astype(np.int32, copy=False)
    frame = moments.column("frame").astype(np.float64)
    time_s = moments.column("time_s").astype(np.float64, copy=False)
    result = absent((len(moments),), len(stream.values))
    for source, here in by_source(store, moments):
        entry = store.entries[source]
        timeline = stream.timeline(entry.source, in_frames=entry.stills)
        if entry.stills:
            result[here] = timeline.nearest(track[here], frame[here], 0.0)
        else:
            period_s = stream.spec.period_s(entry.frame_rate)
            result[here] = timeline.nearest(track[here], time_s[here], period_s)
    return result


def stored_voices(store: FeatureStore, moments: Moments) -> RowNumbers:
    """Find the row of each moment's voice vector in the store.

    Args:
        store: The store.
        moments: Moments of sources of the store.

    Returns:
        Row numbers, -1 where there is no voice, shape (N,).

    Raises:
        StoreError: A moment is of a source that the store does not have.
    """
    result = absent((len(moments),), len(store.voice))
    window = store.voice_spec.window if store.voice_spec else None
    if window is not None:
        time_s = moments.column("time_s").astype(np.float64)
        for source, here in by_source(store, moments):
            result[here] = store.voice_timeline(source).voices(time_s[here], window)
    return result


def find_voices(
    store: FeatureStore,
    moments: Moments,
    stream: ExternalStream | None,
    lookup: WindowLookup | None = None,
) -> RowNumbers:
    """Find the voice row of each moment, or at every position of its window.

    Args:
        store: The store.
        moments: Moments of sources of the store.
        stream: Whose rows; None for the store's own voices.
        lookup: The window, of W positions; None for the moments themselves.

    Returns:
        Row numbers, -1 where there is no voice, shape (N,) or (N, W).

    Raises:
        StoreError: A moment is of a source that the store does not have.
    """
    if lookup is not None:
        return voice_windows(store, moments, lookup, stream)
    if stream is None:
        return stored_voices(store, moments)
    return external_rows(store, stream, moments)


def voice_windows(
    store: FeatureStore, moments: Moments, lookup: WindowLookup, stream: ExternalStream | None
) -> RowNumbers:
    """Find the voice row at every window position of moments.

    A window in frames is one in seconds by the source's frame rate: voices know no frames. A
    picture of a set of stills has the external row of its own frame at the last position.

    Args:
        store: The store.
        moments: Moments of sources of the store.
        lookup: The window, of W positions.
        stream: Whose rows; None for the store's own voices.

    Returns:
        Row numbers, -1 where there is no voice, shape (N, W).

    Raises:
        StoreError: A moment is of a source that the store does not have.
    """
    offsets = lookup.window.offsets_s()
    track = moments.column("track").astype(np.int32, copy=False)
    time_s = moments.column("time_s").astype(np.float64, copy=False)
    rows = len(store.voice) if stream is None else len(stream.values)
    result = absent((len(moments), len(offsets)), rows)
    own = store.voice_spec.window if store.voice_spec else None
    for source, here in by_source(store, moments):
        entry = store.entries[source]
        rate = entry.frame_rate if lookup.in_frames else 1.0
        at_s = (time_s[here, None] + offsets / rate).reshape(-1)
        if stream is not None and entry.stills:
            frame = moments.column("frame")[here].astype(np.float64)
            timeline = stream.timeline(entry.source, in_frames=True)
            result[here, -1] = timeline.nearest(track[here], frame, 0.0)
        elif stream is not None:
            faces, period_s = (
                np.repeat(track[here], len(offsets)),
                stream.spec.period_s(entry.frame_rate),
            )
            voices = stream.timeline(entry.source).nearest(faces, at_s, period_s)
            result[here] = voices.reshape(len(here), -1)
        elif own is not None:
            voices = store.voice_timeline(source).voices(at_s, own)
            result[here] = voices.reshape(len(here), -1)
    return result


def stream_windows(
    store: FeatureStore, moments: Moments, lookup: WindowLookup, stream: ExternalStream | None
) -> RowNumbers:
    """Find the row of every window position of moments.

    A position is filled by the row nearest in time within half a hop; a window in frames takes
    the very frame, where the stream knows the frames of its rows. A picture of a set of stills
    fills the last position.

    Args:
        store: The store.
        moments: Moments of sources of the store.
        lookup: The window, of W positions.
        stream: Whose rows; None for the store's own faces.

    Returns:
        Row numbers, -1 where absent, shape (N, W).

    Raises:
        StoreError: A moment is of a source that the store does not have.
    """
    window = lookup.window
    track = moments.column("track").astype(np.int32, copy=False)
    time_s = moments.column("time_s").astype(np.float64, copy=False)
    is_single_task = moments.dictionary_column("label_set") != MULTI_TASK_SET
    offset = is_single_task.astype(np.int64) * lookup.single_task_offset
    frame = (moments.column("frame").astype(np.int64) + offset).astype(np.float64)
    rows = len(store.face) if stream is None else len(stream.values)
    result = absent((len(moments), len(window.offsets_s())), rows)
    for source, here in by_source(store, moments):
        entry = store.entries[source]
        has_frames = stream is None or stream.has_frames(entry.source)
        in_frames = entry.stills or (lookup.in_frames and has_frames)
        if stream is None:
            timeline = store.face_timeline(source, in_frames)
        else:
            timeline = stream.timeline(entry.source, in_frames)
        if entry.stills:
            result[here, -1] = timeline.nearest(track[here], frame[here], 0.0)
        elif in_frames:
            result[here] = timeline.window_rows(track[here], frame[here], window, _HALF_FRAME)
        elif lookup.in_frames:
            rate = entry.frame_rate
            seconds = Window(window.span_s / rate, window.hop_s / rate, window.causal)
            shifted_s = time_s[here] + offset[here] / rate
            result[here] = timeline.window_rows(track[here], shifted_s, seconds)
        else:
            result[here] = timeline.window_rows(track[here], time_s[here], window)
    return result


def by_source(store: FeatureStore, moments: Moments) -> Iterator[tuple[int, IntArray]]:
    """Group moments by their sources.

    Args:
        store: The store.
        moments: Moments of sources of the store.

    Yields:
        Ordinal in the store of each source that has moments, and the numbers of those moments.

    Raises:
        StoreError: A moment is of a source that the store does not have.
    """
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
    """Make row numbers that are all -1, of the smallest of two types that can count the rows.

    Args:
        shape: Their shape.
        rows: How many rows there are to be numbered.

    Returns:
        int32, or int64 for more than 2³¹ - 1 rows.
    """
    if rows <= np.iinfo(np.int32).max:
        return np.full(shape, -1, np.int32)
    return np.full(shape, -1, np.int64)


def frame_rows(frames: NDArray[np.generic], requested: IntArray) -> IntArray:
    """Look frame numbers up in a sorted column.

    Args:
        frames: Ascending frame numbers, shape (M,).
        requested: Frame numbers, shape (N,).

    Returns:
        The row of each requested one, -1 where it is missing, shape (N,).

    Examples:
        >>> frame_rows(np.array([0, 2, 5]), np.array([2, 3])).tolist()
        [1, -1]
    """
    if not len(frames):
        return np.full(len(requested), -1, np.int64)
    rows = np.searchsorted(frames, requested).clip(0, len(frames) - 1)
    return np.where(frames[rows] == requested, rows, -1).astype(np.int64)


def require_extractor(got: str, expected: str, modality: str) -> None:
    """See that a store was made with an extractor.

    Args:
        got: Name of the store's extractor.
        expected: Name of the one that is needed.
        modality: "face" or "voice", for the message.

    Raises:
        StoreError: It was made with another.
    """
    if got != expected:
        raise StoreError(
            f"a store with the {modality} extractor {expected}",
            got,
            f"extract it with --{modality} {expected}",
        )


HELD, SPOKEN = 0.5, 0.5
"""Shares of the pictures that are held, and, drawn apart from that, that get a voice."""


def as_video(
    rows: Rows, face_rows: RowNumbers, voice_row: RowNumbers
) -> tuple[RowNumbers, RowNumbers]:
    """Hold some training pictures and let some speak; the same ones each time.

    Args:
        rows: Rows of all splits; only those for training change.
        face_rows: Stored face row of each window position, -1 where absent, shape (N, W).
        voice_row: Stored voice row, -1 where absent, shape (N,).

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
    voices = voice_row[training & ~silent & ~has_face.any(1)]
    spoken = still & (rng.random(len(rows)) < SPOKEN)
    if len(voices):
        voice_row[spoken] = rng.choice(voices, int(spoken.sum()))
    return face_rows, voice_row


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


def streams_of(part: FusionPart) -> Streams:
    """Name the streams that a model's fusing network reads."""
    face, voice = part.external_spec("face"), part.external_spec("voice")
    return Streams(
        face.name if face else OWN.face,
        voice.name if voice else OWN.voice,
        tuple(spec.name for spec in part.extra),
    )


def sequence_batch(samples: WindowSamples, kind: str, rows: IntArray) -> tuple[Batch, BoolArray]:
    """Put the windows of some rows together, with the labels of all their positions.

    Args:
        samples: Where they come from; its windows count frames.
        kind: What the batch is for.
        rows: Rows whose windows are taken, shape (N,).

    Returns:
        The batch, whose inputs are of N windows and whose rows and labels are of every position
        that has a row; and which positions those are, shape (N, W).
    """
    positions = samples.positions(rows)
    counted = positions >= 0
    own = positions[counted]
    targets = {key: take(every, own) for key, every in samples.rows.targets.items()}
    return Batch(kind, samples.inputs(rows), targets, own), counted


def check_sequences(samples: WindowSamples, where: Path) -> None:
    """See that a network over sequences of faces and voices has some to learn from.

    Args:
        samples: Rows whose windows have a voice at every position.
        where: The store, for the message.

    Raises:
        StoreError: No training window has a voice, or a face, or both; or none has more than
            one position with a face.
    """
    faces, voices = samples.presence(np.flatnonzero(samples.rows.split == Split.TRAIN))
    has_face, has_voice = faces.any(1), voices.any(1)
    for lacks, what, remedy in (
        (not has_voice.any(), "with a voice", "extract videos with sound, with --voice"),
        (not has_face.any(), "with a face", "extract videos of faces, with --face"),
        (
            not (has_face & has_voice).any(),
            "with both a face and a voice",
            "extract videos of both",
        ),
        (
            faces.sum(1).max(initial=0) <= 1,
            "of more than one frame",
            "extract videos, not pictures",
        ),
    ):
        if lacks:
            raise StoreError(f"training windows {what}", "none", remedy, where=where)


class WindowSamples:
    """Rows of a store whose inputs are windows of face vectors and one voice vector.

    Args:
        store: Feature store with vectors of a face and a voice network.
        tasks: Whose labels count.
        window: Which face vectors a moment sees.
        in_frames: The window counts frames, not seconds.
        complete: Only moments with every face of their window, and their voice.
        needs_face: Only moments with a face at least somewhere in their window.
        drop_partial: See `label_rows`.
        single_task_frame_offset: Added to the frame of rows that are not of the MTL set
            when their features are looked up.
        stills_as_video: See `triaffect.datasets.windows`.
        drop_minus_one: See `label_rows`.
        moments: Rows to take in place of the store's own labelled ones; they need no labels.
        streams: Where the vectors come from, if not all from the store's own extractors.
        voice_sequence: A voice vector at every position of the window in place of one.

    Raises:
        StoreError: A stream was not joined, or moments are of other sources than the store's.
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
        needs_face: bool = False,
        moments: Moments | None = None,
        streams: Streams = OWN,
        voice_sequence: bool = False,
    ) -> None:
        selected = store.moments if moments is None else moments
        lookup = WindowLookup(window, in_frames, single_task_frame_offset)
        face = None if streams.face == OWN.face else store.external(streams.face)
        voice = None if streams.voice == OWN.voice else store.external(streams.voice)
        self._face = store.face if face is None else face.values
        self._voice = store.voice if voice is None else voice.values
        faces = stream_windows(store, selected, lookup, face)
        voices = find_voices(store, selected, voice, lookup if voice_sequence else None)
        extra = {name: store.external(name) for name in streams.extra}
        self._extra = {name: stream.values for name, stream in extra.items()}
        extras = {name: external_rows(store, stream, selected) for name, stream in extra.items()}
        has_face = (faces >= 0).any(1)
        spoken = np.atleast_2d(voices.T >= 0).T  # (N, 1), or (N, W) of a sequence
        usable = np.any([has_face, spoken.any(1), *(r >= 0 for r in extras.values())], 0)
        if complete or needs_face:
            usable = (faces >= 0).all(1) & spoken.all(1) if complete else has_face
        self._moments, self._offsets = selected, window.offsets_s()
        self.rows: Rows = label_rows(
            selected, usable, tasks, drop_partial, moments is not None, drop_minus_one
        )
        used = slice(None) if len(self.rows) == len(selected) else self.rows.moments  # or a view
        self._face_rows, self._voice_row = faces[used], voices[used]
        self._extra_row = {name: rows[used] for name, rows in extras.items()}
        if stills_as_video:
            self._face_rows, self._voice_row = as_video(self.rows, self._face_rows, self._voice_row)

    def inputs(self, rows: IntArray) -> InputArrays:
        """Gather the input arrays of rows.

        Args:
            rows: Row numbers, shape (N,).

        Returns:
            ``face`` (N, W, Df), ``face_present`` (N, W), ``voice`` (N, Dv), ``voice_present``
            (N,), or with voices at every position (N, W, Dv) and (N, W); and of each further
            stream ``extra.<name>`` (N, D) and ``extra.<name>.present`` (N,). What is absent is
            zero there; the presence says so.
        """
        names = ("face", "face_present", "voice", "voice_present")
        arrays: InputArrays = dict(zip(names, self.arrays(rows), strict=True))
        for name, values in self._extra.items():
            row = self._extra_row[name][rows]
            vectors, presence = extra_inputs(name)
            arrays[vectors], arrays[presence] = gather(values, row), row >= 0
        return arrays

    def presence(self, rows: IntArray) -> tuple[BoolArray, BoolArray]:
        """Say where rows, by number, have faces, (N, W), and voices, (N, W) or (N, 1)."""
        return self._face_rows[rows] >= 0, np.atleast_2d(self._voice_row[rows].T >= 0).T

    def arrays(self, rows: IntArray) -> tuple[FloatArray, BoolArray, FloatArray, BoolArray]:
        """Gather the first four arrays of `inputs`, in the order in which that names them."""
        face_rows, voice_row = self._face_rows[rows], self._voice_row[rows]
        return (
            gather(self._face, face_rows),
            face_rows >= 0,
            gather(self._voice, voice_row),
            voice_row >= 0,
        )

    @cached_property
    def _order(self) -> tuple[IntArray, IntArray, IntArray]:
        """Rows in the order of their keys, those keys, and the key of each row.

        A key counts frames within a face of a source, an annotation set and a split.
        """
        rows = self.rows.moments
        track = self._moments.column("track").astype(np.int64)[rows]
        columns = (
            self._moments.dictionary_column("source").codes[rows],
            track,
            self.rows.label_set.codes,
            self.rows.split.codes,
        )
        _, group = np.unique(np.stack(columns).astype(np.int64), axis=1, return_inverse=True)
        frame = self._moments.column("frame").astype(np.int64)[rows]
        span = int(frame.max(initial=0)) + 2 * len(self._offsets) + 1  # no window leaves its group
        keys = group.reshape(-1) * span + frame + len(self._offsets)
        order = np.argsort(keys, kind="stable")
        return order, keys[order], keys

    def positions(self, rows: IntArray) -> IntArray:
        """Find the rows at every position of windows that count frames.

        Args:
            rows: Row numbers, shape (N,).

        Returns:
            The row of the same face, annotation set and split at each one, -1 where that frame
            has none, shape (N, W).
        """
        order, ascending, keys = self._order
        requested = keys[rows][:, None] + self._offsets.round().astype(np.int64)
        row = frame_rows(ascending, requested.reshape(-1)).reshape(requested.shape)
        return np.where(row >= 0, order[row], -1)
