"""Training pictures made to look like moments of a video.

A picture fills one place of a window and has no voice; a moment of a video fills all and mostly
has one. A network that learns expression from pictures and from voices apart has never seen
real ones together. So some pictures are held for their whole window, as if the face had kept
still, and some are given a voice: of a person who speaks in the same expression, or of anybody.
Were it always the same expression, the voice would tell the label as surely as the face does,
and a sound track would change what is read from a face.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from triaffect.samples.dataset import Rows
from triaffect.tasks.task import Task
from triaffect.types import BoolArray, RowNumbers, Split

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
