"""Train the runs of a comparison that are missing, and compute the statistics of each."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from triaffect.errors import TriaffectError
from triaffect.evaluation.comparison.common_rows import CommonRows
from triaffect.evaluation.comparison.statistics import StageStatistics, run_statistics
from triaffect.features.store import FeatureStore
from triaffect.io.workers import Cancelled, WorkerPool
from triaffect.recipes.config import Recipe
from triaffect.training.device import CPU, TorchDevice
from triaffect.training.run_folder import InitialWeights, is_finished
from triaffect.training.trainer import set_threads, train
from triaffect.training.view import LeakChoice

RunProgress = Callable[[int, str], None]
"""Called with the number of runs that are done, and what is going on."""


@dataclass(frozen=True)
class RunJob:
    """A run to train, unless it is finished, and to score.

    Attributes:
        entry: Name of its recipe.
        seed: Its seed.
        recipe: What it trains.
        folder: Its folder.
        initial: Weights that it starts from.
    """

    entry: str
    seed: int
    recipe: Recipe
    folder: Path
    initial: InitialWeights | None = None


@dataclass(frozen=True)
class ComparisonSettings:
    """What all jobs have in common; sent to each process.

    Attributes:
        store: The feature store.
        common: The rows to score.
        threads: Processor threads of each run.
        leaks: What each does about people and videos in several splits.
        device: Where missing runs are trained; all are scored on the processor.
    """

    store: Path
    common: CommonRows
    threads: int = 1
    leaks: LeakChoice = LeakChoice.REFUSE
    device: TorchDevice = CPU


@dataclass(frozen=True)
class RunOutcome:
    """The result of a job.

    Attributes:
        job: The job.
        stages: Its stages by name; none if it failed.
        trained: Whether it was trained now, not before.
        error: Why it failed; empty if it did not.
    """

    job: RunJob
    stages: dict[str, StageStatistics] = field(default_factory=dict)
    trained: bool = False
    error: str = ""


def run_jobs(
    jobs: Sequence[RunJob],
    settings: ComparisonSettings,
    processes: int = 1,
    progress: RunProgress | None = None,
) -> Generator[RunOutcome]:
    """Train what is missing and score every run; close the iterator to stop early.

    Args:
        jobs: The runs. One that fails does not stop the others.
        settings: What they have in common.
        processes: How many are worked on at a time.
        progress: Called within a run, if they are done one after the other.

    Returns:
        The result of each job, in order.
    """
    in_turn = processes <= 1 or len(jobs) <= 1
    start = partial(_RunWorker, settings, progress if in_turn else None)
    return WorkerPool(start, _died).results(jobs, processes)


def _died(job: RunJob) -> RunOutcome:
    """Make the result of a job whose process died; sent to the processes, so no lambda."""
    return RunOutcome(job, error="its process died of it; out of memory?")


class _RunWorker:
    """Does job after job in one process, with the store opened once.

    Args:
        settings: What the jobs have in common.
        progress: Called with how far a job is; None in a process that cannot report it.
        is_cancelled: Tells whether the results are no longer needed.
    """

    def __init__(
        self,
        settings: ComparisonSettings,
        progress: RunProgress | None,
        is_cancelled: Callable[[], bool],
    ) -> None:
        self._settings, self._progress, self._is_cancelled = settings, progress, is_cancelled
        self._done = 0
        set_threads(settings.threads)
        self._store = FeatureStore.open(settings.store)

    def __call__(self, job: RunJob) -> RunOutcome:
        """Train and score one run; whatever goes wrong is its own result."""
        try:
            missing = not is_finished(job.folder)
            if missing:
                train(
                    job.recipe,
                    self._store,
                    job.folder,
                    job.seed,
                    resume=True,
                    report=partial(self._report, job),
                    initial=job.initial,
                    leaks=self._settings.leaks,
                    device=self._settings.device,
                )
            stages = run_statistics(job.folder, self._store, self._settings.common)
            return RunOutcome(job, stages, missing)
        except Cancelled:
            raise
        except TriaffectError as error:
            return RunOutcome(job, error=str(error))
        except Exception as error:  # a night's other runs must not end with it
            where = traceback.extract_tb(error.__traceback__)[-1]
            line = f"{Path(where.filename).name}:{where.lineno}"
            return RunOutcome(job, error=f"{type(error).__name__} in {line}: {error}")
        finally:
            self._done += 1

    def _report(self, job: RunJob, stage: str, done: int, total: int, _loss: float) -> None:
        if self._is_cancelled():
            raise Cancelled
        if self._progress:
            self._progress(self._done, f"{job.entry}, seed {job.seed}: {stage} {done}/{total}")
