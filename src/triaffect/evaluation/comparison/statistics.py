"""What a finished run says of every video, as statistics that its folder keeps.

A run is asked once: what is kept counts as long as store, rows, weights and thresholds are the
same.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from triaffect.errors import DiskError, RunError
from triaffect.evaluation.comparison.common_rows import Common
from triaffect.evaluation.evaluate import check_run
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

FORMAT = 1
"""Of the statistics that a run folder keeps."""


@dataclass(frozen=True)
class StageResult:
    """One stage of a run.

    Attributes:
        statistics: By task key, of each unit, shape (units, S).
        parameters: Numbers that its network learns.
        rows: Training rows that it learnt from; None if that was in another store.
        labels: Labels that they have, one for each task that a row has any of; None likewise.
        seconds: Of its training, scores of its epochs included; of an interrupted run the
            part of an epoch before the interruption is not among them.
        epochs: How many it trained.
    """

    statistics: dict[str, NDArray[np.float64]]
    parameters: int
    rows: int | None
    labels: int | None
    seconds: float = 0.0
    epochs: int = 0


def sum_up(folder: Path, store: FeatureStore, common: Common) -> dict[str, StageResult]:
    """Statistics of every video of each stage of a finished run, and what the stage cost.

    Raises:
        RunError: The run is not finished, or has other weights than its recipe says.
        StoreError: The store lacks what its networks need, or was made with other networks than
            the model that it exported.
    """
    key = _key(folder, store, common)
    kept = folder / f"statistics-{common.split}.safetensors"
    stages = _read(kept, key)
    if stages is None:
        stages = _ask(folder, store, common)
        with suppress(DiskError):  # somebody else's run: it is asked again next time
            _write(kept, key, stages)
    return _with_time(stages, folder)


def _ask(folder: Path, store: FeatureStore, common: Common) -> dict[str, StageResult]:
    check_run(folder, store)
    work, stages = open_run(folder, store)
    rows = np.searchsorted(work.samples.rows.moments, common.moments)
    if not np.array_equal(work.samples.rows.moments[rows % len(work.samples.rows)], common.moments):
        raise RunError("a run that can be asked about the common rows", "another", where=folder)
    truth = truth_of(work.samples, rows)
    taught = _as_taught(work)
    found = {}
    for stage in stages:
        said = predict_rows(stage.net, work.samples, rows, stage.tasks)
        statistics = statistics_of(truth, said, stage.tasks, common.unit, common.units)
        learns = sum(parameter.numel() for parameter in stage.net.parameters())
        amount = _amount(taught, stage.name) if taught else (None, None)
        found[stage.name] = StageResult(dict(statistics), learns, *amount)
    return found


def _as_taught(work: TrainingContext) -> TrainingContext | None:
    """A run's samples as it learnt from them; None if they are of another store."""
    description, data = read_description(work.folder.root), work.recipe.data
    if description.data != work.store.fingerprint(data.external):
        return None
    view = TrainingView.of(work.recipe, work.store, work.seed, description.leaks)
    samples = build_samples(data, view.store, work.tasks)
    return replace(work, store=view.store, samples=samples)


def _amount(taught: TrainingContext, stage: str) -> tuple[int, int]:
    """How many training rows a stage's updates draw from, and how many labels those have."""
    pools = taught.pools(Split.TRAIN)
    used = [pools[kind] for kind in taught.recipe.stages[stage].updates if kind in pools]
    rows = np.unique(np.concatenate(used))
    targets = taught.samples.rows.targets.values()
    return len(rows), sum(int(each.valid[rows].any(axis=1).sum()) for each in targets)


def _key(folder: Path, store: FeatureStore, common: Common) -> str:
    """What kept statistics depend on: format, store, rows, weights, thresholds."""
    recipe = read_recipe(folder)
    digest = hashlib.sha256(f"{FORMAT} {store.fingerprint(recipe.data.external)}".encode())
    digest.update(common.moments.tobytes() + common.unit.tobytes())
    for stage in recipe.stages:
        for file in (RunFolder(folder).weights(stage, "best"), RunFolder(folder).thresholds(stage)):
            if file.is_file():  # else opening the run says what is wrong
                digest.update(file.read_bytes())
    return digest.hexdigest()


def _write(path: Path, key: str, stages: dict[str, StageResult]) -> None:
    tensors = {
        f"{name}/{task}": torch.from_numpy(values)
        for name, stage in stages.items()
        for task, values in stage.statistics.items()
    }
    costs = {name: [stage.parameters, stage.rows, stage.labels] for name, stage in stages.items()}
    write_tensors(path, tensors, {"triaffect": json.dumps({"key": key, "costs": costs})})


def _read(path: Path, key: str) -> dict[str, StageResult] | None:
    """Kept statistics; None if there are none, or none with this key."""
    try:
        with safe_open(path, "numpy") as file:
            told = json.loads(file.metadata()["triaffect"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    if told["key"] != key:
        return None
    return {
        name: StageResult(
            {
                each.removeprefix(f"{name}/"): values
                for each, values in tensors.items()
                if each.rpartition("/")[0] == name
            },
            *costs,
        )
        for name, costs in told["costs"].items()
    }


def _with_time(stages: dict[str, StageResult], folder: Path) -> dict[str, StageResult]:
    """The same with seconds and epochs from the run's journal."""
    events = read_journal(RunFolder(folder).journal)
    epochs = [event for event in events if isinstance(event, EpochEnded)]
    timed = {}
    for name, stage in stages.items():
        own = [each.seconds for each in epochs if each.stage == name]
        timed[name] = replace(stage, seconds=round(sum(own), 2), epochs=len(own))
    return timed
