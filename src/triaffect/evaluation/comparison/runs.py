"""Train the runs of a comparison that are missing, and compute the statistics of each.

On a cluster a run is trained and scored in a folder of its node, from the store at the same path
there, and comes back when it has ended. Until then the folder here holds nothing of it but a lock
and what an earlier command has left, so a run is whole, or done again.
"""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from triaffect.errors import StoreError, TriaffectError, one_line
from triaffect.evaluation.comparison.common_rows import CommonRows
from triaffect.evaluation.comparison.statistics import StageStatistics, run_statistics
from triaffect.features.store import FeatureStore
from triaffect.io.atomic import disk_errors
from triaffect.io.engines import Engine, Processes, Workload, machine_name
from triaffect.io.workers import Cancelled
from triaffect.recipes.config import Recipe
from triaffect.training.device import CPU, TorchDevice
from triaffect.training.run_folder import (
    InitialWeights,
    RunFolder,
    exclusive_lock,
    is_finished,
)
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
    engine: Engine | None = None,
) -> Generator[RunOutcome]:
    """Train what is missing and score every run; close the iterator to stop early.

    Args:
        jobs: The runs. One that fails does not stop the others.
        settings: What they have in common.
        processes: How many are worked on at a time.
        progress: Called within a run, if they are done one after the other.
        engine: What trains the missing runs in place of processes of this machine, with the same
            results; those that are finished are scored here.

    Yields:
        The result of each job, in order.

    Raises:
        StoreError: The store cannot be read, here or on a machine of the cluster.
        TriaffectError: The engine cannot compute.
    """
    here = RunWorkload(settings, progress if processes <= 1 or len(jobs) <= 1 else None)
    if engine is None:
        yield from Processes(processes).results(here, jobs)
        return
    workload = RunWorkload.for_cluster(settings, jobs)
    with ExitStack() as stack:
        there, missing, failed = list[RunJob](), list[RunJob](), dict[int, RunOutcome]()
        for number, job in enumerate(jobs):
            if is_finished(job.folder):
                there.append(job)
                continue
            try:
                stack.enter_context(exclusive_lock(job.folder))
            except TriaffectError as error:
                failed[number] = RunOutcome(job, error=str(error))
                continue
            missing.append(job)
            stack.callback(shutil.rmtree, workload.folder(job), ignore_errors=True)
        scored = stack.enter_context(closing(Processes().results(here, there)))
        trained = stack.enter_context(closing(engine.results(workload, missing)))
        is_there = {job.folder for job in there}
        for number, job in enumerate(jobs):
            yield failed.get(number) or next(scored if job.folder in is_there else trained)


@dataclass(frozen=True)
class RunWorkload(Workload[RunJob, RunOutcome]):
    """The training and scoring of runs as a workload.

    Attributes:
        settings: What the runs have in common.
        progress: Called with how far a run is, by this process alone.
        data: For a cluster, by recipe, the fingerprint that its store must have there.
        initial: Files of initial weights by their hash, which are sent along.
        weights: On another machine, their bytes.
        node_folder: On another machine, where a run is written.
    """

    packages: ClassVar[tuple[str, ...]] = ("torch",)

    settings: ComparisonSettings
    progress: RunProgress | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    initial: Mapping[str, Path] = field(default_factory=dict)
    weights: Mapping[str, bytes] = field(default_factory=dict)
    node_folder: Path | None = None

    @classmethod
    def for_cluster(cls, settings: ComparisonSettings, jobs: Sequence[RunJob]) -> RunWorkload:
        """Add to the settings what other machines cannot look up.

        Args:
            settings: What the runs have in common.
            jobs: The runs.

        Raises:
            StoreError: The store cannot be read.
        """
        store, data = FeatureStore.open(settings.store), dict[str, str]()
        for job in jobs:
            with suppress(StoreError):  # of features that it lacks, which the run itself says
                data[job.entry] = store.fingerprint(job.recipe.data.external)
        weights = {job.initial.sha256: job.initial.path for job in jobs if job.initial}
        absolute = replace(settings, store=settings.store.absolute())
        return cls(absolute, data=data, initial=weights)

    def start(self, is_cancelled: Callable[[], bool]) -> _RunWorker:
        """Open the store; see `Workload.start`."""
        return _RunWorker(self, is_cancelled)

    def died(self, item: RunJob) -> RunOutcome:
        """Make the result of a run that killed its process; see `Workload.died`."""
        return RunOutcome(item, error="its process died of it; out of memory?")

    def pack(self) -> Mapping[str, bytes]:
        """Read the initial weights; see `Workload.pack`."""
        packed = {}
        for name, path in self.initial.items():
            with disk_errors(path):
                packed[name] = path.read_bytes()
        return packed

    def on_node(self, packed: Path, output: Path) -> RunWorkload:
        """Return it with the weights that came along; see `Workload.on_node`."""
        try:
            FeatureStore.open(self.settings.store)
        except StoreError as error:
            expected = f"the store {self.settings.store} on every machine"
            remedy = "copy it to the same path there"
            raise StoreError(expected, one_line(error), remedy, where=machine_name()) from error
        weights = {name: (packed / name).read_bytes() for name in self.initial}
        return replace(self, weights=weights, node_folder=output)

    def folder(self, item: RunJob) -> Path:
        """Name the folder of a run on its node, and beside its place here; `Workload.folder`."""
        if self.node_folder is not None:
            return self.node_folder / "run"
        return item.folder.with_name(f"{item.folder.name}.arriving")

    def finish(self, item: RunJob, result: RunOutcome) -> None:
        """Put a run that has arrived into its place, in an order that a kill does not confuse.

        What there is of another attempt is removed first, its checkpoint before all else; that the
        run is finished is said last.
        """
        arrived, own = self.folder(item), RunFolder(item.folder)
        if not result.error:
            with disk_errors(item.folder):
                came = RunFolder(arrived)
                came.description.replace(own.description)
                for path in (own.checkpoint, own.journal):
                    path.unlink(missing_ok=True)
                shutil.rmtree(own.root / "stages", ignore_errors=True)
                late = [came.checkpoint, came.scores]
                early = [path for path in arrived.iterdir() if path not in late]
                for path in (*early, *late):
                    path.replace(own.root / path.name)
        shutil.rmtree(arrived, ignore_errors=True)

    def job_here(self, job: RunJob, store: FeatureStore) -> RunJob:
        """Return a job as this machine does it: where its run is written, and what it starts from.

        Args:
            job: The job.
            store: The store, as it is on this machine.

        Raises:
            StoreError: The store of this machine is another one.
        """
        if self.node_folder is None:
            return job
        expected = self.data.get(job.entry)
        if expected and store.fingerprint(job.recipe.data.external) != expected:
            wrong = f"another one on {machine_name()}"
            remedy = "copy it there"
            raise StoreError("the same store everywhere", wrong, remedy, where=store.path)
        initial = job.initial
        if initial is not None:
            path = self.node_folder / "initial.safetensors"
            path.write_bytes(self.weights[initial.sha256])
            initial = replace(initial, path=path)
        return replace(job, folder=self.folder(job), initial=initial)


class _RunWorker:
    """Does job after job in one process, with the store opened once.

    Args:
        workload: What the jobs have in common.
        is_cancelled: Tells whether the results are no longer needed.
    """

    def __init__(self, workload: RunWorkload, is_cancelled: Callable[[], bool]) -> None:
        self._workload, self._settings = workload, workload.settings
        self._is_cancelled, self._done = is_cancelled, 0
        set_threads(self._settings.threads)
        self._store = FeatureStore.open(self._settings.store)

    def __call__(self, job: RunJob) -> RunOutcome:
        """Train and score one run; whatever goes wrong is its own result."""
        try:
            own = self._workload.job_here(job, self._store)
            missing = not is_finished(own.folder)
            if missing:
                train(
                    own.recipe,
                    self._store,
                    own.folder,
                    own.seed,
                    resume=True,
                    report=partial(self._report, job),
                    initial=own.initial,
                    leaks=self._settings.leaks,
                    device=self._settings.device,
                )
            stages = run_statistics(own.folder, self._store, self._settings.common)
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
        progress = self._workload.progress
        if progress is not None:
            progress(self._done, f"{job.entry}, seed {job.seed}: {stage} {done}/{total}")
