"""Windows of stored vectors around each labelled moment.

A picture fills one place of a window and has no voice; a moment of a video fills all and mostly
has one. A network that learns expression from pictures and from voices apart has never seen
real ones together. So some pictures are held for their whole window, as if the face had kept
still, and some are given a voice: of a person who speaks in the same expression, or of anybody.
Were it always the same expression, the voice would tell the label as surely as the face does,
and a sound track would change what is read from a face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triaffect.datasets.batches import InputArrays, Rows, label_rows
from triaffect.datasets.lookup import (
    Looking,
    external_rows,
    external_windows,
    face_windows,
    gather,
    stored_voices,
)
from triaffect.features.store import FeatureStore
from triaffect.models.base import extra_input, extra_presence
from triaffect.tasks.task import Task
from triaffect.types import BoolArray, FloatArray, IntArray, Moments, RowNumbers, Split, Window

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
        wanted = store.moments if moments is None else moments
        looking = Looking(window, in_frames, single_task_frame_offset)
        self._face, faces = _faces(store, streams.face, wanted, looking)
        self._voice, voices = _voices(store, streams.voice, wanted)
        extra = {name: store.external(name) for name in streams.extra}
        self._extra = {name: stream.values for name, stream in extra.items()}
        extras = {name: external_rows(store, stream, wanted) for name, stream in extra.items()}
        usable = np.any([(faces >= 0).any(1), voices >= 0, *(r >= 0 for r in extras.values())], 0)
        if complete:
            usable = (faces >= 0).all(1) & (voices >= 0)
        self.rows: Rows = label_rows(
            wanted, usable, tasks, drop_partial, moments is not None, drop_minus_one
        )
        self._face_rows, self._voice_row = _kept(faces, self.rows), _kept(voices, self.rows)
        self._extra_row = {name: _kept(rows, self.rows) for name, rows in extras.items()}
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
        found: InputArrays = dict(zip(names, self.arrays(rows), strict=True))
        for name, values in self._extra.items():
            row = self._extra_row[name][rows]
            found[extra_input(name)] = gather(values, row)
            found[extra_presence(name)] = row >= 0
        return found

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
    store: FeatureStore, name: str, moments: Moments, looking: Looking
) -> tuple[NDArray[np.generic], RowNumbers]:
    """Rows that fill windows, and which of them each moment sees."""
    if name == OWN.face:
        return store.face, face_windows(store, moments, looking)
    stream = store.external(name)
    return stream.values, external_windows(store, stream, moments, looking)


def _voices(
    store: FeatureStore, name: str, moments: Moments
) -> tuple[NDArray[np.generic], RowNumbers]:
    """Rows of voice vectors, and which of them each moment has."""
    if name == OWN.voice:
        return store.voice, stored_voices(store, moments)
    stream = store.external(name)
    return stream.values, external_rows(store, stream, moments)


def _kept(numbers: RowNumbers, rows: Rows) -> RowNumbers:
    """Those of the rows that are there; no copy if all are."""
    return numbers if len(rows) == len(numbers) else numbers[rows.moments]
