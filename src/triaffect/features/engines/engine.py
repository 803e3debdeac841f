"""What every engine offers."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from triaffect.features.extraction_worker import Job, Outcome, Settings


class Engine(Protocol):
    """Computes the jobs of an extraction."""

    def outcomes(self, settings: Settings, todo: Sequence[Job]) -> Generator[Outcome]:
        """Results of the jobs, in their order; close the iterator to stop early.

        The rows of a job are in its `compute.spill_folder` on this machine when its outcome
        comes. A job that kills its process has the outcome `compute.died`.

        Args:
            settings: The extraction.
            todo: The jobs.

        Raises:
            ModelError: A network does not work.
            TriaffectError: Nothing can be computed here.
        """
