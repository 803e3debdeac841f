"""Train the runs of a comparison that are missing, and sum up what each says of every video."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from triaffect.errors import TriaffectError
from triaffect.evaluation.comparison.common_rows import Common
from triaffect.evaluation.comparison.statistics import StageResult, sum_up
from triaffect.features.store import FeatureStore
from triaffect.io.workers import Cancelled, WorkerPool
from triaffect.recipes.config import Recipe
from triaffect.training.device import CPU, TorchDevice
from triaffect.training.run_folder import is_finished
from triaffect.training.trainer import set_threads, train
from triaffect.training.view import LeakChoice

Told = Callable[[int, str], None]
"""Told how many runs are done, and a word about what is going on."""


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
        leaks: What each does about people and videos in several splits.
        device: Where missing runs are trained; all are scored on the processor.
    """

    store: Path
    common: Common
    threads: int = 1
    leaks: LeakChoice = LeakChoice.REFUSE
    device: TorchDevice = CPU


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
    return WorkerPool(start, _died).results(jobs, processes)


def _died(job: Job) -> Outcome:
    return Outcome(job, error="its process died of it; out of memory?")


class _Worker:
    """Does job after job in one process, with the store opened once.

    Args:
        settings: What the jobs have in common.
        told: Told how far a job is; None in a process that nobody listens to.
        is_cancelled: Returns whether the results are no longer needed.
    """

    def __init__(
        self, settings: Settings, told: Told | None, is_cancelled: Callable[[], bool]
    ) -> None:
        self._settings, self._told, self._is_cancelled, self._done = settings, told, is_cancelled, 0
        set_threads(settings.threads)
        self._store = FeatureStore.open(settings.store)

    def __call__(self, job: Job) -> Outcome:
        """Train and sum up one run; whatever goes wrong is its own outcome."""
        try:
            return self._outcome(job)
        except Cancelled:
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
            train(
                job.recipe,
                self._store,
                job.folder,
                job.seed,
                resume=True,
                report=partial(self._report, job),
                leaks=self._settings.leaks,
                device=self._settings.device,
            )
        return Outcome(job, sum_up(job.folder, self._store, self._settings.common), missing)

    def _report(self, job: Job, stage: str, done: int, total: int, _loss: float) -> None:
        if self._is_cancelled():
            raise Cancelled
        if self._told:
            self._told(self._done, f"{job.entry}, seed {job.seed}: {stage} {done}/{total}")
