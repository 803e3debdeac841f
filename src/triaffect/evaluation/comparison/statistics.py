"""Statistics of a finished run's predictions on every video, cached in the run's folder.

The key of the cache covers store, rows, weights and thresholds.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from triaffect.errors import DiskError, RunError
from triaffect.evaluation.comparison.common_rows import CommonRows
from triaffect.evaluation.evaluate import check_run
from triaffect.evaluation.results import JsonResult
from triaffect.features.store import FeatureStore
from triaffect.metrics.abaw import statistics_of
from triaffect.training.build import TrainingContext, build_samples
from triaffect.training.checkpoint import write_tensors
from triaffect.training.run_folder import (
    EpochEnded,
    RunFolder,
    read_description,
    read_journal,
    read_recipe,
)
from triaffect.training.scoring import open_run, predict_rows, truth_of
from triaffect.training.view import TrainingView
from triaffect.types import Split

FORMAT = 2
"""Of the cached statistics."""


class CacheHeader(JsonResult):
    """What is written with the cached statistics.

    Attributes:
        key: Hash of what they depend on.
        costs: By stage: parameters, training rows, labels.
    """

    key: str
    costs: dict[str, tuple[int, int | None, int | None]]


@dataclass(frozen=True)
class StageStatistics:
    """Statistics and cost of one stage of a run.

    Attributes:
        statistics: By task key, of each unit, shape (units, S).
        parameters: Trainable numbers of its network.
        rows: Training rows; None if it was trained on another store.
        labels: Their labels, one for each task of a row; None likewise.
        seconds: Of its training, scores of its epochs included; of an interrupted run the
            part of an epoch before the interruption is not among them.
        epochs: How many it trained.
        processor_seconds: Of the processor; None if the journal does not say, likewise the others.
        updates: How often the optimizer moved the network.
        peak_mb: The most main memory of its process.
    """

    statistics: dict[str, NDArray[np.float64]]
    parameters: int
    rows: int | None
    labels: int | None
    seconds: float = 0.0
    epochs: int = 0
    processor_seconds: float | None = None
    updates: int | None = None
    peak_mb: float | None = None


def run_statistics(
    folder: Path, store: FeatureStore, common: CommonRows
) -> dict[str, StageStatistics]:
    """Compute the statistics of every video for each stage of a finished run, and its cost.

    Args:
        folder: The run folder, which gets the cached statistics.
        store: The store.
        common: The rows, and the video of each.

    Returns:
        By stage. The cost of training rows and labels is None for a run trained on another store.

    Raises:
        RunError: The run is not finished, or has other weights than its recipe says.
        StoreError: The store lacks what its networks need, or was made with other networks than
            the model that it exported.
    """
    key = _key(folder, store, common)
    cached = folder / f"statistics-{common.split}.safetensors"
    stages = _read(cached, key)
    if stages is None:
        stages = _compute(folder, store, common)
        with suppress(DiskError):  # another user's run: it is computed again next time
            _write(cached, key, stages)
    events = read_journal(RunFolder(folder).journal)
    epochs = [event for event in events if isinstance(event, EpochEnded)]
    timed = {}
    for name, stage in stages.items():
        own = [each for each in epochs if each.stage == name]
        processor = [each.processor_seconds for each in own if each.processor_seconds is not None]
        updates = [each.updates for each in own if each.updates is not None]
        peaks = [each.peak_mb for each in own if each.peak_mb is not None]
        timed[name] = replace(
            stage,
            seconds=round(sum(each.seconds for each in own), 2),
            epochs=len(own),
            processor_seconds=round(sum(processor), 2) if len(processor) == len(own) else None,
            updates=sum(updates) if len(updates) == len(own) else None,
            peak_mb=max(peaks, default=None),
        )
    return timed


def _compute(folder: Path, store: FeatureStore, common: CommonRows) -> dict[str, StageStatistics]:
    check_run(folder, store)
    work, stages = open_run(folder, store)
    rows = np.searchsorted(work.samples.rows.moments, common.moments)
    if not np.array_equal(work.samples.rows.moments[rows % len(work.samples.rows)], common.moments):
        raise RunError("a run with inputs for the common rows", "another", where=folder)
    truth = truth_of(work.samples, rows)
    labels = _count_labels(work)
    results = {}
    for stage in stages:
        predictions = predict_rows(
            stage.net, work.samples, rows, stage.tasks, unlearned=work.unlearned
        )
        statistics = statistics_of(truth, predictions, stage.tasks, common.unit, common.units)
        parameters = sum(parameter.numel() for parameter in stage.net.parameters())
        counts = labels.get(stage.name, (None, None))
        results[stage.name] = StageStatistics(dict(statistics), parameters, *counts)
    return results


def _count_labels(work: TrainingContext) -> dict[str, tuple[int, int]]:
    """Count by stage the training rows that its updates draw from, and the labels of those.

    Empty for a run that was trained on another store.
    """
    description, data = read_description(work.folder.root), work.recipe.data
    if description.data != work.store.fingerprint(data.external):
        return {}
    view = TrainingView.of(work.recipe, work.store, work.seed, description.leaks)
    samples = build_samples(data, view.store, work.tasks)
    pools = replace(work, store=view.store, samples=samples).pools(Split.TRAIN)
    counts = {}
    for name, stage in work.recipe.stages.items():
        rows = np.unique(np.concatenate([pools[kind] for kind in stage.updates if kind in pools]))
        valid = [targets.valid[rows].any(axis=1) for targets in samples.rows.targets.values()]
        counts[name] = len(rows), sum(int(each.sum()) for each in valid)
    return counts


def _key(folder: Path, store: FeatureStore, common: CommonRows) -> str:
    """Hash what the statistics depend on: format, store, rows, weights, thresholds."""
    recipe = read_recipe(folder)
    digest = hashlib.sha256(f"{FORMAT} {store.fingerprint(recipe.data.external)}".encode())
    digest.update(common.moments.tobytes() + common.unit.tobytes())
    for stage in recipe.stages:
        for file in (RunFolder(folder).weights(stage, "best"), RunFolder(folder).thresholds(stage)):
            if file.is_file():  # else opening the run says what is wrong
                digest.update(file.read_bytes())
    return digest.hexdigest()


def _write(path: Path, key: str, stages: dict[str, StageStatistics]) -> None:
    tensors = {
        f"{name}/{task}": torch.from_numpy(values)
        for name, stage in stages.items()
        for task, values in stage.statistics.items()
    }
    costs = {name: (stage.parameters, stage.rows, stage.labels) for name, stage in stages.items()}
    header = CacheHeader(key=key, costs=costs)
    write_tensors(path, tensors, {"triaffect": header.model_dump_json()})


def _read(path: Path, key: str) -> dict[str, StageStatistics] | None:
    """Read cached statistics; None if there are none, or none with this key."""
    try:
        with safe_open(path, "numpy") as file:
            header = CacheHeader.model_validate_json(file.metadata()["triaffect"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    if header.key != key:
        return None
    return {
        name: StageStatistics(
            {
                each.removeprefix(f"{name}/"): values
                for each, values in tensors.items()
                if each.rpartition("/")[0] == name
            },
            *costs,
        )
        for name, costs in header.costs.items()
    }
