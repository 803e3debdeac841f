"""Open a finished run, predict rows with its networks, and score them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from triaffect.datasets.batches import Samples, plan_epoch, take
from triaffect.errors import RunError
from triaffect.features.store import FeatureStore
from triaffect.metrics.abaw import Score, per_batch_score, score_targets
from triaffect.metrics.thresholds import read_thresholds
from triaffect.tasks.metrics import leave_blank
from triaffect.tasks.registry import resolve_tasks
from triaffect.tasks.task import Task
from triaffect.training.build import TrainingContext, build_samples
from triaffect.training.device import PrecisionName, TorchDevice
from triaffect.training.run_folder import RunFolder, read_description
from triaffect.training.view import apply_run_splits
from triaffect.types import IntArray, Split, Targets

CHUNK = 512
"""Rows at a time; a network in evaluation mode answers each row alone, so it changes nothing."""

Predictions = dict[str, NDArray[np.float32]]


@torch.no_grad()
def predict_rows(
    net: nn.Module,
    samples: Samples,
    rows: IntArray,
    tasks: Sequence[Task],
    precision: PrecisionName = "float32",
    unlearned: Collection[str] = (),
) -> Predictions:
    """Predict rows with a network in evaluation mode, whose mode is the same afterwards.

    Args:
        net: The network, on any device.
        samples: Where the rows come from.
        rows: Which rows, shape (N,).
        tasks: What to predict.
        precision: Of the forward pass.
        unlearned: Columns to leave blank, as the model that is made of the network does.

    Returns:
        Activated predictions by task key, shape (len(rows), K) each; NaN where left blank.
    """
    was_training = net.training
    net.eval()
    device = TorchDevice.of(net)
    parts: dict[str, list[NDArray[np.float32]]] = {task.key: [] for task in tasks}
    for start in range(0, len(rows), CHUNK):
        inputs = device.tensors(samples.inputs(rows[start : start + CHUNK]))
        with device.autocast(precision):
            outputs = net(inputs)
        for task in tasks:
            parts[task.key].append(task.activate(outputs.raw[task.key].float()).numpy(force=True))
    net.train(was_training)
    predictions = {}
    for task in tasks:
        values = np.concatenate(parts[task.key] or [np.zeros((0, task.width), np.float32)])
        is_blank = np.array([name in unlearned for name in task.columns])
        predictions[task.key] = leave_blank(values, is_blank, exclusive=task.exclusive)
    return predictions


def truth_of(samples: Samples, rows: IntArray) -> dict[str, Targets]:
    """Take the labels of some rows.

    Args:
        samples: Where the rows come from.
        rows: Which rows, shape (N,).

    Returns:
        By task key, values and validity of shape (N, K).
    """
    return {key: take(targets, rows) for key, targets in samples.rows.targets.items()}


def score_pools(
    net: nn.Module,
    samples: Samples,
    pools: Mapping[str, IntArray],
    tasks: Sequence[Task],
    metric: Literal["official", "per_batch"],
    batch_size: int,
    precision: PrecisionName = "float32",
    unlearned: Collection[str] = (),
) -> dict[str, Score]:
    """Score each pool of rows.

    Args:
        net: Network to score.
        samples: Where the rows come from.
        pools: Rows by pool name.
        tasks: What to score.
        metric: Whole sets, or the authors' mean over mini-batches.
        batch_size: Rows of the largest pool's mini-batch; for ``per_batch`` only.
        precision: Of the forward pass.
        unlearned: Columns that are left blank.

    Returns:
        Scores by pool.
    """
    scores = {}
    batches = plan_epoch(pools, batch_size, 1, (0,)).rows if metric == "per_batch" else {}
    for name, rows in pools.items():
        prediction = predict_rows(net, samples, rows, tasks, precision, unlearned)
        truth = truth_of(samples, rows)
        if name in batches:
            positions = np.searchsorted(rows, batches[name])
            scores[name] = per_batch_score(truth, prediction, positions, tasks)
        else:
            scores[name] = score_targets(truth, prediction, tasks)
    return scores


@dataclass(frozen=True)
class TrainedStage:
    """A stage after its training.

    Attributes:
        name: The stage.
        net: Its network with its best weights, in evaluation mode.
        tasks: What it predicts, with the thresholds that the stage has set.
    """

    name: str
    net: nn.Module
    tasks: Sequence[Task]


def open_run(root: Path, store: FeatureStore) -> tuple[TrainingContext, list[TrainedStage]]:
    """Open a finished run to score it on a store: on its own, with the splits that it had.

    Args:
        root: The run folder.
        store: The store.

    Returns:
        What its stages share, and each stage's network.

    Raises:
        RunError: The folder holds no run, or an unfinished one.
        PluginError: The run needs a task or network of another package, which is missing.
        StoreError: The store lacks what the networks need.
    """
    description = read_description(root)
    recipe, tasks = description.recipe, resolve_tasks(description.recipe.tasks)
    store = apply_run_splits(store, recipe.data, description.data)
    samples = build_samples(recipe.data, store, tasks)
    context = TrainingContext(
        recipe, store, samples, tasks, RunFolder(root), description.seed,
        unlearned=description.unlearned,
    )  # fmt: skip
    stages = load_stages(context)
    if not context.folder.scores.is_file():
        raise RunError(
            "a finished run", "one without scores", "finish it with train --resume", where=root
        )
    return context, stages


def load_stages(context: TrainingContext) -> list[TrainedStage]:
    """Load every stage's best weights and thresholds.

    Args:
        context: The run.

    Returns:
        The stages in order.

    Raises:
        RunError: A stage has no weights yet.
    """
    stages = []
    for name, stage in context.recipe.stages.items():
        net = context.build_net(stage)
        context.folder.load_weights(net, name, "best")
        thresholds = read_thresholds(context.folder.thresholds(name))
        tasks = [task.with_thresholds(thresholds) for task in context.tasks]
        stages.append(TrainedStage(name, net.eval(), tasks))
    return stages


def score_run(context: TrainingContext) -> dict[str, Any]:
    """Compute official scores of every stage's best weights.

    Args:
        context: The run, with all of its stages trained.

    Returns:
        By stage, split ("validation", "test") and pool, as ``scores.json`` holds them.
    """
    size = context.recipe.data.batch_size
    scores: dict[str, Any] = {}
    for stage in load_stages(context):
        scores[stage.name] = {}
        for split in (Split.VALIDATION, Split.TEST):
            pools = score_pools(
                stage.net,
                context.samples,
                context.pools(split),
                stage.tasks,
                "official",
                size,
                unlearned=context.unlearned,
            )
            scores[stage.name][split] = {pool: score.to_json() for pool, score in pools.items()}
    return scores
