"""Train the runs of a comparison that are missing, and sum up what each says of every video.

Every system is scored on the same rows: those of the split that all of them can be asked about.
Statistics of each video are kept in the run folder, so that a finished run is asked only once.
"""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from triaffect.errors import DiskError, RunError, StoreError, TriaffectError
from triaffect.features.pool import Stopped, Work
from triaffect.features.store import FeatureStore
from triaffect.recipes.recipe import Recipe
from triaffect.tasks.abaw import statistics_of
from triaffect.tasks.registry import task as task_by_key
from triaffect.training.build import build_samples
from triaffect.training.entries import Entry, is_finished
from triaffect.training.evaluate import Split, split_of
from triaffect.training.files import write_tensors
from triaffect.training.journal import read_journal
from triaffect.training.leaks import LeakChoice, find_leaks, settle
from triaffect.training.loop import learnt_from, open_run, set_threads, train
from triaffect.training.run_folder import RunFolder, read_about, read_recipe
from triaffect.training.scoring import predict_rows, truth_of
from triaffect.training.stage_run import Work as RunWork
from triaffect.types import IntArray
from triaffect.types import Split as SplitName

FORMAT = 1
"""Of the statistics that a run folder keeps."""

_NO_MATTER = {"pools", "batch_size", "min_batch", "augment", "balance", "held_out", "hide_labels"}
"""Of a recipe's data, what does not decide which rows can be asked about."""

Told = Callable[[int, str], None]
"""Told how many runs are done, and a word about what is going on."""


@dataclass(frozen=True)
class Common:
    """Rows that every system is scored on.

    Attributes:
        split: Their split.
        moments: Their places in the store's Moments table, ascending, shape (N,).
        unit: Number of each row's video (in a set of stills: person), from 0, shape (N,).
        asked: By entry, how many rows of the split it can be asked about.
    """

    split: str
    moments: IntArray
    unit: IntArray
    asked: dict[str, int]

    @property
    def units(self) -> int:
        """How many videos, or people, there are."""
        return int(self.unit.max()) + 1


@dataclass(frozen=True)
class Job:
    """A run to train, unless it is finished, and to sum up.

    Attributes:
        entry: Name of its entry.
        seed: Its seed.
        recipe: What it trains.
        folder: Its folder.
    """

    entry: str
    seed: int
    recipe: Recipe
    folder: Path


@dataclass(frozen=True)
class Settings:
    """What all jobs have in common; sent to each process.

    Attributes:
        store: The feature store.
        common: The rows to score.
        threads: Processor threads of each run.
    """

    store: Path
    common: Common
    threads: int = 1


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


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: The job.
        stages: Its stages by name; none if it failed.
        trained: Whether it was trained now, or had been before.
        error: Why it failed; empty if it did not.
    """

    job: Job
    stages: dict[str, StageResult] = field(default_factory=dict)
    trained: bool = False
    error: str = ""


def common_rows(
    entries: Sequence[Entry], store: FeatureStore, split: str
) -> tuple[Common | None, dict[str, str]]:
    """Rows of a split that every entry can be asked about, and why an entry cannot be asked.

    Returns:
        The rows, None if no entry can be asked; and the error by entry.

    Raises:
        TriaffectError: No such split.
        StoreError: There is no row that all can be asked about.
    """
    asked: dict[str, IntArray] = {}
    errors: dict[str, str] = {}
    known: dict[str, IntArray] = {}
    first = None
    for entry in entries:
        key = entry.recipe.data.model_dump_json(exclude=_NO_MATTER) + str(entry.recipe.tasks)
        try:
            if key not in known:
                rows = _rows_of_split(entry.recipe, store, split)
                known[key], first = rows.samples.rows.moments[rows.rows], first or rows
            asked[entry.name] = known[key]
        except StoreError as error:
            errors[entry.name] = str(error)
    if first is None:
        return None, errors
    shared = reduce(partial(np.intersect1d, assume_unique=True), known.values())
    if not len(shared):
        expected = f"rows of the split '{split}' that all entries can be asked about"
        raise StoreError(expected, "none", "compare fewer of them", where=store.path)
    units = first.units()[np.searchsorted(first.samples.rows.moments[first.rows], shared)]
    _, unit = np.unique(units, return_inverse=True)
    return Common(split, shared, unit, {name: len(each) for name, each in asked.items()}), errors


def _rows_of_split(recipe: Recipe, store: FeatureStore, split: str) -> Split:
    """What of a split a recipe's networks can be asked about."""
    tasks = [task_by_key(each) for each in recipe.tasks]
    return split_of(store, build_samples(recipe.data, store, tasks), split, tasks)


def outcomes(
    jobs: Sequence[Job], settings: Settings, processes: int = 1, told: Told | None = None
) -> Generator[Outcome]:
    """Train what is missing and sum up every run; close the iterator to stop early.

    Args:
        jobs: The runs. One that fails does not stop the others.
        settings: What they have in common.
        processes: How many are worked on at a time.
        told: Told of progress within a run, if they are done one after the other.

    Returns:
        What became of each job, in order.
    """
    alone = processes <= 1 or len(jobs) <= 1
    start = partial(_Worker, settings, told if alone else None)
    return Work(start, _died).results(jobs, processes)


def _died(job: Job) -> Outcome:
    return Outcome(job, error="its process died of it; out of memory?")


class _Worker:
    """Does job after job in one process, with the store opened once.

    Args:
        settings: What the jobs have in common.
        told: Told how far a job is; None in a process that nobody listens to.
        wanted: Tells whether anybody still wants the results.
    """

    def __init__(self, settings: Settings, told: Told | None, wanted: Callable[[], bool]) -> None:
        self._settings, self._told, self._wanted, self._done = settings, told, wanted, 0
        set_threads(settings.threads)
        self._store = FeatureStore.open(settings.store)

    def __call__(self, job: Job) -> Outcome:
        """Train and sum up one run; whatever goes wrong is its own outcome."""
        try:
            return self._outcome(job)
        except Stopped:
            raise
        except TriaffectError as error:
            return Outcome(job, error=str(error))
        except Exception as error:  # a night's other runs must not end with it
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            return Outcome(job, error=f"{type(error).__name__} in {place}: {error}")
        finally:
            self._done += 1

    def _outcome(self, job: Job) -> Outcome:
        missing = not is_finished(job.folder)
        if missing:
            report = partial(self._report, job)
            train(job.recipe, self._store, job.folder, job.seed, resume=True, report=report)
        return Outcome(job, sum_up(job.folder, self._store, self._settings.common), missing)

    def _report(self, job: Job, stage: str, done: int, total: int, loss: float) -> None:
        if not self._wanted():
            raise Stopped
        if self._told:
            word = f"{job.entry}, seed {job.seed}: {stage} {done}/{total}, loss {loss:.3f}"
            self._told(self._done, word)


def sum_up(folder: Path, store: FeatureStore, common: Common) -> dict[str, StageResult]:
    """Statistics of every video of each stage of a finished run, and what the stage cost.

    Raises:
        RunError: The run is not finished, or has other weights than its recipe says.
        StoreError: The store lacks what its networks need.
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


def _as_taught(work: RunWork) -> RunWork | None:
    """A run's samples as it learnt from them; None if they are of another store."""
    about, data = read_about(work.folder.root), work.recipe.data
    if about["data"] != work.store.fingerprint(data.external):
        return None
    leaks = find_leaks(work.store, data.pools)
    settled = settle(work.store, leaks, LeakChoice(about["leaks"]))
    learnt = learnt_from(work.recipe, settled, work.tasks, work.seed)
    return replace(work, store=learnt, samples=build_samples(data, learnt, work.tasks))


def _amount(taught: RunWork, stage: str) -> tuple[int, int]:
    """How many training rows a stage's updates draw from, and how many labels those have."""
    pools = taught.pools(SplitName.TRAIN)
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
    epochs = [each for each in read_journal(RunFolder(folder).journal) if each["event"] == "epoch"]
    timed = {}
    for name, stage in stages.items():
        own = [each["seconds"] for each in epochs if each["stage"] == name]
        timed[name] = replace(stage, seconds=round(sum(own), 2), epochs=len(own))
    return timed
