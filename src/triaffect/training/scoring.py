"""Predictions of a network over rows, and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from triaffect.datasets.batches import Samples, plan_epoch, take
from triaffect.metrics.abaw import Score, per_batch_score, score_targets
from triaffect.tasks.task import Task
from triaffect.training.device import Device, Precision
from triaffect.types import IntArray, Targets

CHUNK = 512
"""Rows at a time; a network in evaluation mode answers each row alone, so it changes nothing."""

Predictions = dict[str, NDArray[np.float32]]


@torch.no_grad()
def predict_rows(
    net: nn.Module,
    samples: Samples,
    rows: IntArray,
    tasks: Sequence[Task],
    precision: Precision = "float32",
) -> Predictions:
    """Activated predictions of a network in evaluation mode, each of shape (len(rows), K)."""
    was_training = net.training
    net.eval()
    device = Device.of(net)
    parts: dict[str, list[NDArray[np.float32]]] = {task.key: [] for task in tasks}
    for start in range(0, len(rows), CHUNK):
        inputs = device.tensors(samples.inputs(rows[start : start + CHUNK]))
        with device.autocast(precision):
            outputs = net(inputs)
        for task in tasks:
            parts[task.key].append(task.activate(outputs.raw[task.key].float()).numpy(force=True))
    net.train(was_training)
    return {
        task.key: np.concatenate(parts[task.key] or [np.zeros((0, task.width), np.float32)])
        for task in tasks
    }


def truth_of(samples: Samples, rows: IntArray) -> dict[str, Targets]:
    """Labels of some rows by task key."""
    return {key: take(targets, rows) for key, targets in samples.rows.targets.items()}


def score_pools(
    net: nn.Module,
    samples: Samples,
    pools: Mapping[str, IntArray],
    tasks: Sequence[Task],
    metric: Literal["official", "per_batch"],
    batch_size: int,
    precision: Precision = "float32",
) -> dict[str, Score]:
    """Score of each pool of rows.

    Args:
        net: Network to score.
        samples: Where the rows come from.
        pools: Rows by pool name.
        tasks: What to score.
        metric: Whole sets, or the authors' mean over mini-batches.
        batch_size: Rows of the largest pool's mini-batch; for ``per_batch`` only.
        precision: Of the forward pass.
    """
    scores = {}
    batches = plan_epoch(pools, batch_size, 1, (0,)).rows if metric == "per_batch" else {}
    for name, rows in pools.items():
        prediction = predict_rows(net, samples, rows, tasks, precision)
        truth = truth_of(samples, rows)
        if name in batches:
            places = np.searchsorted(rows, batches[name])
            scores[name] = per_batch_score(truth, prediction, places, tasks)
        else:
            scores[name] = score_targets(truth, prediction, tasks)
    return scores
