"""A challenge's submission: what a network says of every image of the organisers' test list.

A line gets the prediction of its own moment. Where the network cannot predict that one (the
paper's needs every face of its window, and the voice), the line gets that of the nearest moment
of the same video that it can predict and the store has a face or a voice of, of two equally near
ones the earlier. A video without any gets zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.aff_wild2_files import MULTI_TASK_FORM
from triaffect.datasets.windows import WindowSamples, frame_rows
from triaffect.errors import ModelError, RunError
from triaffect.evaluation.submission.check import check_submission
from triaffect.evaluation.submission.test_list import (
    Candidates,
    Listed,
    candidates,
    in_batches,
    moments_of,
    stored_videos,
)
from triaffect.features.external.format import OWN_STREAMS, ExternalStream
from triaffect.features.store import FeatureStore
from triaffect.features.timeline import nearest_rows
from triaffect.io.atomic import replace_file
from triaffect.metrics.thresholds import read_thresholds
from triaffect.recipes.config import DataSpec
from triaffect.tasks.registry import resolve_tasks
from triaffect.tasks.task import Task
from triaffect.training.build import build_net, unlabeled_samples
from triaffect.training.run_folder import RunFolder, read_recipe
from triaffect.training.scoring import CHUNK, Predictions, predict_rows
from triaffect.types import FloatArray, IntArray, Moments

BATCH_MOMENTS = 50_000
"""Moments looked at together, more or less: memory is bounded by it and the longest video."""

Progress = Callable[[int, int, str], None]
"""Told after each batch: lines done, lines in all, name of a video."""


@dataclass(frozen=True)
class Network:
    """A trained network that can be asked about any moment.

    Attributes:
        tasks: What it predicts, with the thresholds that decide what is present.
        samples: The rows that it can predict among some moments.
        predict: Its activated predictions for some of these rows, by task key.
        path: Where it came from.
        streams: External streams that it reads.
    """

    tasks: Sequence[Task]
    samples: Callable[[Moments], WindowSamples]
    predict: Callable[[WindowSamples, IntArray], Predictions]
    path: Path
    streams: Sequence[ExternalStream] = ()

    @staticmethod
    def over(
        data: DataSpec,
        store: FeatureStore,
        tasks: Sequence[Task],
        predict: Callable[[WindowSamples, IntArray], Predictions],
        path: Path,
    ) -> Network:
        """One that takes its rows from a store as a recipe says."""
        names = [name for name in (data.face, data.voice, *data.extra) if name not in OWN_STREAMS]
        return Network(
            tasks,
            lambda moments: unlabeled_samples(data, store, tasks, moments),
            predict,
            path,
            [store.external(name) for name in names],
        )


class Basis(IntEnum):
    """What a line's values stand on."""

    NOTHING = 0
    NEAREST = 1
    OWN = 2


@dataclass(frozen=True)
class Answers:
    """What a submission says.

    Attributes:
        listed: The lines it answers.
        values: The numbers of each line, shape (N, 15).
        basis: The `Basis` of each line, shape (N,).
        unknown: Names of listed videos that the store does not have.
    """

    listed: Listed
    values: FloatArray
    basis: NDArray[np.int8]
    unknown: list[str]

    def count(self, basis: Basis) -> int:
        """How many lines stand on this."""
        return int((self.basis == basis).sum())

    def videos_of_zeros(self) -> list[str]:
        """Names of the videos that got zeros, in the list's order."""
        numbers = np.unique(self.listed.video[self.basis == Basis.NOTHING])
        return [self.listed.videos[number] for number in numbers]


def open_network(root: Path, store: FeatureStore, stage: str | None = None) -> Network:
    """Open a stage of a run, with its best weights.

    Args:
        root: The run folder.
        store: What it will be asked about.
        stage: Which stage; None for the last one.

    Raises:
        RunError: No such run or stage, or an unfinished one.
        RecipeError: The run's network does not look at windows.
        StoreError: The store lacks what it needs.
    """
    recipe = read_recipe(root)
    name = list(recipe.stages)[-1] if stage is None else stage
    if name not in recipe.stages:
        raise RunError(f"one of the stages {', '.join(recipe.stages)}", name, where=root)
    folder = RunFolder(root)
    if not folder.weights(name, "last").is_file():
        remedy = "finish it with train --resume"
        raise RunError("a finished stage", f"{name}, which is not", remedy, where=root)
    tasks = resolve_tasks(recipe.tasks)
    net = build_net(recipe, recipe.stages[name], store, tasks)
    folder.load_weights(net, name, "best")
    set_ = read_thresholds(folder.thresholds(name))
    tasks = [task.with_thresholds(set_) for task in tasks]
    return Network.over(
        recipe.data,
        store,
        tasks,
        lambda samples, rows: predict_rows(net, samples, rows, tasks),
        root,
    )


def answer(
    listed: Listed,
    store: FeatureStore,
    network: Network,
    progress: Progress = lambda done, total, video: None,
) -> Answers:
    """Answer every line of a test list.

    Raises:
        ModelError: The network lacks a task of the form, or says what is no number.
        StoreError: See `stored_videos` and `candidates`.
    """
    tasks = _tasks_of_form(network)
    ordinals = stored_videos(store, listed.videos)
    unknown = [n for n, ordinal in zip(listed.videos, ordinals, strict=True) if ordinal < 0]
    values = np.zeros((len(listed.images), len(MULTI_TASK_FORM.values)), np.float32)
    answers = Answers(listed, values, np.zeros(len(values), np.int8), unknown)
    there = (
        candidates(store, ordinal, lines, listed.frame[lines], network.streams)
        for ordinal, lines in zip(ordinals, listed.lines, strict=True)
        if ordinal >= 0
    )
    done = 0
    for batch in in_batches(there, BATCH_MOMENTS):
        _answer(batch, network, tasks, answers)
        done += sum(len(video.lines) for video in batch)
        progress(done, len(values), batch[-1].source)
    return answers


def _tasks_of_form(network: Network) -> list[Task]:
    """The network's tasks in the order of the form's fields."""
    by_key = {task.key: task for task in network.tasks}
    wanted = list(dict.fromkeys(MULTI_TASK_FORM.tasks))
    if missing := [key for key in wanted if key not in by_key]:
        got = f"one without {' and '.join(missing)}"
        raise ModelError(f"a network for {', '.join(wanted)}", got, where=network.path)
    return [by_key[key] for key in wanted]


def _answer(
    batch: Sequence[Candidates], network: Network, tasks: Sequence[Task], answers: Answers
) -> None:
    samples = network.samples(moments_of(batch))
    rows, start = [], 0
    for video in batch:
        stop = start + len(video.frame)
        low, high = np.searchsorted(samples.rows.moments, (start, stop))
        place, basis = _nearest(samples.rows.moments[low:high] - start, video)
        answers.basis[video.lines] = basis
        rows.append(np.where(basis == Basis.NOTHING, -1, place + low))
        start = stop
    row, line = np.concatenate(rows), np.concatenate([video.lines for video in batch])
    if (row >= 0).any():
        needed, place = np.unique(row[row >= 0], return_inverse=True)
        answers.values[line[row >= 0]] = _values(network, samples, needed, tasks)[place]


def _nearest(usable: IntArray, video: Candidates) -> tuple[IntArray, NDArray[np.int8]]:
    """Which usable moment answers each line, and the `Basis`, shapes (L,).

    Args:
        usable: The video's moments that can be predicted, ascending, shape (U,).
        video: The video.

    Returns:
        Places among ``usable``, without meaning where the basis is nothing.
    """
    stored = np.flatnonzero(video.stored[usable])
    if not len(stored):
        stored = np.arange(len(usable))
    place = nearest_rows(video.time_s[usable[stored]], video.time_s[video.asked], np.inf)
    near = stored[place] if len(stored) else place
    itself = frame_rows(usable, video.asked)
    basis = np.select([itself >= 0, place >= 0], [Basis.OWN, Basis.NEAREST], Basis.NOTHING)
    return np.where(itself >= 0, itself, near), basis.astype(np.int8)


def _values(
    network: Network, samples: WindowSamples, rows: IntArray, tasks: Sequence[Task]
) -> FloatArray:
    """The form's numbers for some rows, shape (len(rows), 15)."""
    parts = []
    for start in range(0, len(rows), CHUNK):
        said = network.predict(samples, rows[start : start + CHUNK])
        if not all(np.isfinite(said[task.key]).all() for task in tasks):
            remedy = "its training failed: see its journal"
            raise ModelError("a network that says numbers", "NaN", remedy, where=network.path)
        fields = [task.submitted(said[task.key]) for task in tasks]
        parts.append(np.concatenate(fields, axis=1).astype(np.float32))
    return np.concatenate(parts)


def write_submission(path: Path, answers: Answers) -> None:
    """Write the challenge's file; it takes its place once the validator has passed it.

    Raises:
        AnnotationError: It is not a right submission.
        DiskError: It cannot be written.
    """
    with replace_file(path, unlocked=True) as temporary:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(MULTI_TASK_FORM.header + "\n")
            for start in range(0, len(answers.values), BATCH_MOMENTS):
                file.writelines(_lines(answers, start))
        check_submission(temporary, answers.listed.images)


def _lines(answers: Answers, start: int) -> list[str]:
    """Some lines of the file; a float32 near 0 would be written with an exponent, so decimals."""
    form = ",".join("%d" if each.whole else "%.6f" for each in MULTI_TASK_FORM.values)
    stop = start + BATCH_MOMENTS
    numbers = np.round(answers.values[start:stop].astype(np.float64), 6) + 0.0  # -0 becomes 0
    images = islice(answers.listed.images, start, stop)
    return [
        f"{image},{form % tuple(row)}\n"
        for image, row in zip(images, numbers.tolist(), strict=True)
    ]
