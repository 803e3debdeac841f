"""A challenge's submission: predictions for every image of the organizers' test list.

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
from pydantic import ValidationError

from triaffect.corpora.aff_wild2_files import MULTI_TASK_FORMAT
from triaffect.datasets.windows import WindowSamples, frame_rows
from triaffect.errors import ModelError, RunError
from triaffect.evaluation.submission.check import check_submission
from triaffect.evaluation.submission.test_list import (
    Candidates,
    ImageList,
    candidates,
    in_batches,
    moments_of,
    stored_videos,
)
from triaffect.features.external.format import OWN_STREAMS, ExternalStream
from triaffect.features.model_folder import DESCRIPTION, ModelFolder, load_model_folder
from triaffect.features.store import FeatureStore, check_networks
from triaffect.features.timeline import nearest_rows
from triaffect.io.atomic import replace_file
from triaffect.metrics.thresholds import read_thresholds
from triaffect.prediction.heads import Fusion
from triaffect.recipes.config import DataSpec, WindowSpec
from triaffect.tasks.registry import TASKS, resolve_tasks
from triaffect.tasks.task import Task
from triaffect.training.build import build_net, unlabeled_samples
from triaffect.training.run_folder import RunFolder, read_recipe
from triaffect.training.scoring import CHUNK, Predictions, predict_rows
from triaffect.types import FloatArray, IntArray, Moments

BATCH_MOMENTS = 50_000
"""Moments looked at together, more or less: memory is bounded by it and the longest video."""

LineProgress = Callable[[int, int, str], None]
"""Called after each batch with lines done, lines in all, and the name of a video."""


@dataclass(frozen=True)
class MomentPredictor:
    """A trained network that predicts any moment of a store.

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
    ) -> MomentPredictor:
        """Make one that takes its rows from a store as a recipe says.

        Args:
            data: Which inputs a row has.
            store: The store.
            tasks: What is predicted, with thresholds.
            predict: As the attribute.
            path: Where the network came from.

        Raises:
            StoreError: The store lacks a stream.
        """
        names = [name for name in (data.face, data.voice, *data.extra) if name not in OWN_STREAMS]
        return MomentPredictor(
            tasks,
            lambda moments: unlabeled_samples(data, store, tasks, moments),
            predict,
            path,
            [store.external(name) for name in names],
        )


class Basis(IntEnum):
    """Which moment a line's values are predicted at."""

    NOTHING = 0
    NEAREST = 1
    OWN = 2


@dataclass(frozen=True)
class Submission:
    """The lines of a submission.

    Attributes:
        test_list: The test list.
        values: The numbers of each line, shape (N, 15).
        basis: The `Basis` of each line, shape (N,).
        unknown: Names of listed videos that the store does not have.
    """

    test_list: ImageList
    values: FloatArray
    basis: NDArray[np.int8]
    unknown: list[str]

    def count(self, basis: Basis) -> int:
        """Count the lines of a basis.

        Args:
            basis: Which moment their values are predicted at.
        """
        return int((self.basis == basis).sum())

    def videos_of_zeros(self) -> list[str]:
        """List the videos with zeros, in the list's order."""
        numbers = np.unique(self.test_list.video[self.basis == Basis.NOTHING])
        return [self.test_list.videos[number] for number in numbers]


def open_predictor(root: Path, store: FeatureStore, stage: str | None = None) -> MomentPredictor:
    """Open a model folder, or a stage of a run.

    Args:
        root: The model folder, or the run folder.
        store: What it predicts moments of.
        stage: Stage of a run; None for the last one.

    Returns:
        Predicts any moment of the store.

    Raises:
        RunError: No such run or stage, or an unfinished one.
        ModelError: A stage of a model folder, or a damaged one.
        RecipeError: The network reads no windows.
        StoreError: The store lacks what it needs, or was made with other networks.
    """
    if not (root / DESCRIPTION).is_file():
        exported = RunFolder(root).model
        if (exported / DESCRIPTION).is_file():
            check_networks(load_model_folder(exported), store)
        return open_stage(root, store, stage)
    if stage is not None:
        raise ModelError("a run folder for --stage", "a model folder", where=root)
    model = load_model_folder(root)
    check_networks(model, store)
    fusion = Fusion(model, TASKS, fill_blank=True)
    return MomentPredictor.over(
        _data_spec_of(model),
        store,
        [task.with_thresholds(model.manifest.thresholds) for task in fusion.tasks],
        lambda samples, rows: fusion.of_inputs(samples.inputs(rows)),
        root,
    )


def _data_spec_of(model: ModelFolder) -> DataSpec:
    """Return the rows that a model was trained on: its recipe's, or of its window without one."""
    part, recipe = model.manifest.fusion, model.manifest.recipe
    if part is not None and not recipe:
        of = part.window
        window = WindowSpec(span=of.span_s, hop=of.hop_s, causal=of.causal)
        return DataSpec(input="windows", window=window, pools={})
    try:
        return DataSpec.model_validate(recipe["data"])
    except (ValidationError, KeyError) as error:
        raise ModelError("a model with its recipe", str(error)[:100], where=model.path) from None


def open_stage(root: Path, store: FeatureStore, stage: str | None = None) -> MomentPredictor:
    """Open a stage of a run, with its best weights.

    Args:
        root: The run folder.
        store: What it predicts moments of.
        stage: Which stage; None for the last one.

    Returns:
        Predicts any moment of the store, with the stage's own thresholds.

    Raises:
        RunError: No such run or stage, or an unfinished one.
        RecipeError: The run's network reads no windows.
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
    own = resolve_tasks(recipe.tasks)
    net = build_net(recipe, recipe.stages[name], store, own)
    folder.load_weights(net, name, "best")
    thresholds = read_thresholds(folder.thresholds(name))
    own = [task.with_thresholds(thresholds) for task in own]
    return MomentPredictor.over(
        recipe.data,
        store,
        own,
        lambda samples, rows: predict_rows(net, samples, rows, own),
        root,
    )


def predict_list(
    test_list: ImageList,
    store: FeatureStore,
    network: MomentPredictor,
    progress: LineProgress = lambda done, total, video: None,
) -> Submission:
    """Predict every line of a test list.

    Args:
        test_list: The list.
        store: The store, with vectors of the listed videos.
        network: Predicts their moments.
        progress: Called after each batch of videos.

    Returns:
        A line of numbers for each image; lines of videos that the store lacks are zeros.

    Raises:
        ModelError: The network lacks a task of the challenge, or predicts what is no number.
        StoreError: See `stored_videos` and `candidates`.
    """
    by_key = {task.key: task for task in network.tasks}
    keys = list(dict.fromkeys(MULTI_TASK_FORMAT.tasks))
    if missing := [key for key in keys if key not in by_key]:
        got = f"one without {' and '.join(missing)}"
        raise ModelError(f"a network for {', '.join(keys)}", got, where=network.path)
    tasks = [by_key[key] for key in keys]  # in the order of the file's fields
    ordinals = stored_videos(store, test_list.videos)
    unknown = [n for n, ordinal in zip(test_list.videos, ordinals, strict=True) if ordinal < 0]
    values = np.zeros((len(test_list.images), len(MULTI_TASK_FORMAT.values)), np.float32)
    submission = Submission(test_list, values, np.zeros(len(values), np.int8), unknown)
    videos = (
        candidates(store, ordinal, lines, test_list.frame[lines], network.streams)
        for ordinal, lines in zip(ordinals, test_list.lines, strict=True)
        if ordinal >= 0
    )
    done = 0
    for batch in in_batches(videos, BATCH_MOMENTS):
        _fill_lines(batch, network, tasks, submission)
        done += sum(len(video.lines) for video in batch)
        progress(done, len(values), batch[-1].source)
    return submission


def _fill_lines(
    batch: Sequence[Candidates],
    network: MomentPredictor,
    tasks: Sequence[Task],
    submission: Submission,
) -> None:
    """Predict the lines of some videos and write them into a submission."""
    samples = network.samples(moments_of(batch))
    rows, start = [], 0
    for video in batch:
        stop = start + len(video.frame)
        low, high = np.searchsorted(samples.rows.moments, (start, stop))
        row, basis = _nearest(samples.rows.moments[low:high] - start, video)
        submission.basis[video.lines] = basis
        rows.append(np.where(basis == Basis.NOTHING, -1, row + low))
        start = stop
    row, line = np.concatenate(rows), np.concatenate([video.lines for video in batch])
    if (row >= 0).any():
        used, index = np.unique(row[row >= 0], return_inverse=True)
        submission.values[line[row >= 0]] = _values(network, samples, used, tasks)[index]


def _nearest(usable: IntArray, video: Candidates) -> tuple[IntArray, NDArray[np.int8]]:
    """Choose the usable moment of each line, and its `Basis`, shapes (L,).

    Args:
        usable: The video's moments that can be predicted, ascending, shape (U,).
        video: The video.

    Returns:
        Indices into ``usable``, without meaning where the basis is nothing.
    """
    stored = np.flatnonzero(video.stored[usable])
    if not len(stored):
        stored = np.arange(len(usable))
    index = nearest_rows(video.time_s[usable[stored]], video.time_s[video.moment], np.inf)
    near = stored[index] if len(stored) else index
    itself = frame_rows(usable, video.moment)
    basis = np.select([itself >= 0, index >= 0], [Basis.OWN, Basis.NEAREST], Basis.NOTHING)
    return np.where(itself >= 0, itself, near), basis.astype(np.int8)


def _values(
    network: MomentPredictor, samples: WindowSamples, rows: IntArray, tasks: Sequence[Task]
) -> FloatArray:
    """Compute the file's numbers for some rows, shape (len(rows), 15)."""
    parts = []
    for start in range(0, len(rows), CHUNK):
        predictions = network.predict(samples, rows[start : start + CHUNK])
        if not all(np.isfinite(predictions[task.key]).all() for task in tasks):
            remedy = "its training failed: see its journal"
            raise ModelError("a network that predicts numbers", "NaN", remedy, where=network.path)
        fields = [task.submitted(predictions[task.key]) for task in tasks]
        parts.append(np.concatenate(fields, axis=1).astype(np.float32))
    return np.concatenate(parts)


def write_submission(path: Path, submission: Submission) -> None:
    """Write the challenge's file; it takes its name once the validator has passed it.

    Args:
        path: The file; what is there is replaced.
        submission: Its lines.

    Raises:
        AnnotationError: It is not a right submission.
        DiskError: It cannot be written.
    """
    pattern = ",".join("%d" if each.whole else "%.6f" for each in MULTI_TASK_FORMAT.values)
    with replace_file(path, unlocked=True) as temporary:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(MULTI_TASK_FORMAT.header + "\n")
            for start in range(0, len(submission.values), BATCH_MOMENTS):
                stop = start + BATCH_MOMENTS
                # A float32 near 0 would be written with an exponent; -0 becomes 0.
                numbers = np.round(submission.values[start:stop].astype(np.float64), 6) + 0.0
                images = islice(submission.test_list.images, start, stop)
                file.writelines(
                    f"{image},{pattern % tuple(row)}\n"
                    for image, row in zip(images, numbers.tolist(), strict=True)
                )
        check_submission(temporary, submission.test_list.images)
