"""Jobs in processes of this machine."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial

from triaffect.features.extraction_worker import Job, Outcome, Settings, Worker, died
from triaffect.io.workers import WorkerPool


@dataclass(frozen=True)
class Processes:
    """Computes in processes; `engine.Engine` says how.

    Attributes:
        jobs: How many; 1 computes in this one.
    """

    jobs: int = 1

    def outcomes(self, settings: Settings, todo: Sequence[Job]) -> Generator[Outcome]:
        """Results of the jobs, in their order."""
        return WorkerPool(partial(Worker, settings), died).results(todo, self.jobs)
