"""Jobs on the machines of a Ray cluster.

A task of one processor computes one job and streams the files of its rows back, a few pieces
ahead at most. Ray is not asked to repeat tasks: when a process or a node is gone, what came of
the job is dropped and the job starts afresh, `MOST_TRIES` times in all.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from triaffect.errors import TriaffectError
from triaffect.features.engines.node import Message, NodeWorker, pack
from triaffect.features.extraction_worker import Job, Outcome, Settings, died, spill_folder
from triaffect.features.extractors.session import first_line

MOST_TRIES = 3
"""How often a job may kill its process."""
_AHEAD = 4
"""Jobs a processor may be ahead of the one whose result is waited for."""
_PIECES_AHEAD = 4
"""Pieces of rows that wait in Ray's memory for a job, see `node.PIECE_BYTES`."""
_ENDING_S = 5.0
"""How long tasks may take to clean up after they were told to stop."""
LOCAL, AUTO = "local", "auto"
"""Addresses that Ray knows: a cluster of its own, and one that runs on this machine."""
_ANSWER_S = 10.0


@dataclass(frozen=True)
class Cluster:
    """Computes on a Ray cluster; `engine.Engine` says how.

    Attributes:
        address: ``HOST:PORT`` of its head node; "auto" for the one running on this machine;
            None for what ``RAY_ADDRESS`` says, else Ray is started on this machine alone.
        jobs: Most jobs in flight; None for as many as the cluster has processors.
    """

    address: str | None = None
    jobs: int | None = None

    def outcomes(self, settings: Settings, todo: Sequence[Job]) -> Generator[Outcome]:
        """Results of the jobs, in their order."""
        if not todo:
            return
        ray = _ray()
        with _connected(ray, self.address or os.environ.get("RAY_ADDRESS") or LOCAL):
            flight = _Flight(ray, settings, todo, self.jobs or _processors(ray))
            try:
                yield from flight.outcomes()
            finally:
                flight.end()


def _ray() -> Any:  # noqa: ANN401 - its types are not known where it is not installed
    """The package, which is loaded only here.

    Raises:
        TriaffectError: It is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is told to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns
    try:
        import ray  # noqa: PLC0415 - slow, and not everywhere
    except ImportError as error:
        remedy = "pip install 'triaffect[ray]', or leave --engine out"
        raise TriaffectError("the package ray", first_line(error), remedy) from error
    return ray


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:  # noqa: ANN401
    """Ray ready for use; one that the caller's program has connected already stays so."""
    if ray.is_initialized():
        yield
        return
    if address not in {LOCAL, AUTO}:
        _check_address(address)
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        context = ray.init(address, include_dashboard=None if address != LOCAL else False, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _no_cluster(address, error) from error
    try:
        yield
    finally:
        ray.shutdown()
        if address == LOCAL:
            shutil.rmtree(context.address_info["session_dir"], ignore_errors=True)


def _check_address(address: str) -> None:
    """Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        remedy = "run this on a machine of the cluster"
        raise TriaffectError("HOST:PORT or auto", repr(address), remedy, where="--ray-address")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> TriaffectError:
    remedy = "start one with 'ray start --head', or set RAY_AUTH_MODE as it is set there"
    return TriaffectError(
        f"a Ray cluster at {address}", first_line(error), remedy, where="--ray-address"
    )


def _processors(ray: Any) -> int:  # noqa: ANN401
    count = int(ray.cluster_resources().get("CPU", 0))
    if not count:
        raise TriaffectError("a Ray cluster with processors", "none", "add a node to it")
    return count


@dataclass
class _Flight:
    """The parent's half: which jobs are under way, and what has come of them.

    Attributes:
        ray: The package.
        settings: The extraction.
        todo: The jobs.
        most: How many of them at once.
        running: Which of the jobs, by the stream of its messages.
        tries: How often each job was started.
        done: Outcomes that wait for those before them.
        started: Jobs that were started at least once.
    """

    ray: Any
    settings: Settings
    todo: Sequence[Job]
    most: int
    running: dict[Any, int] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)
    done: dict[int, Outcome] = field(default_factory=dict)
    started: int = 0

    def __post_init__(self) -> None:
        self._parcel = self.ray.put(pack(self.settings))
        self._name = uuid4().hex
        self._task = self.ray.remote(
            num_cpus=1,
            max_retries=0,
            num_returns="streaming",
            _generator_backpressure_num_objects=_PIECES_AHEAD,
        )(compute)

    def outcomes(self) -> Iterator[Outcome]:
        """All outcomes in the order of the jobs."""
        for wanted in range(len(self.todo)):
            while wanted not in self.done:
                self._fill(min(len(self.todo), wanted + self.most * _AHEAD))
                ready, _ = self.ray.wait(list(self.running), num_returns=1)
                self._take(ready[0])
            yield self.done.pop(wanted)

    def _fill(self, end: int) -> None:
        while len(self.running) < self.most and self.started < end:
            self._start(self.started)
            self.started += 1

    def _start(self, which: int) -> None:
        """Start a job, with nothing left of an earlier try."""
        folder = self._folder(which)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.tries[which] = self.tries.get(which, 0) + 1
        # in a list the parcel is not sent before a process asks for it
        self.running[self._task.remote(self._name, [self._parcel], self.todo[which])] = which

    def _take(self, stream: Any) -> None:  # noqa: ANN401
        """Take the next message of a job, or notice that its process is gone."""
        which = self.running[stream]
        try:
            message: Message = self.ray.get(next(stream))
        except self.ray.exceptions.RayTaskError as error:
            raise self._foreign(error) from error
        except (self.ray.exceptions.RayError, StopIteration):
            del self.running[stream]
            if self.tries[which] < MOST_TRIES:
                self._start(which)
            else:
                self.done[which] = died(self.todo[which])
            return
        if isinstance(message, TriaffectError):
            raise message
        if isinstance(message, Outcome):
            del self.running[stream]
            self.done[which] = message
            return
        name, piece = message
        with (self._folder(which) / name).open("ab") as file:
            file.write(piece)

    def _folder(self, which: int) -> Path:
        return spill_folder(self.settings.pending, self.todo[which].number)

    def _foreign(self, error: Exception) -> TriaffectError:
        """Something that no job does: a node without triaffect, or with another one."""
        cause = getattr(error, "cause", None) or error
        remedy = "install the same triaffect and packages on every machine"
        return TriaffectError("a job that runs on every node", first_line(cause), remedy)

    def end(self) -> None:
        """Stop what nobody wants any more; tasks get a moment to remove their files."""
        for stream in self.running:
            self.ray.cancel(stream)
        until = time.monotonic() + _ENDING_S
        while self.running and time.monotonic() < until:
            ready, _ = self.ray.wait(list(self.running), num_returns=1, timeout=0.5)
            for stream in ready:
                try:
                    self.ray.get(next(stream))
                except (self.ray.exceptions.RayError, StopIteration):
                    del self.running[stream]


_workers: dict[str, NodeWorker] = {}
"""In a process of a node, the worker of the extraction that it serves."""


def compute(extraction: str, parcel: list[Any], job: Job) -> Iterator[Message]:
    """The task: one job on a node, as messages."""
    try:
        if extraction not in _workers:
            import ray  # noqa: PLC0415 - here it is there

            _workers.clear()
            _workers[extraction] = NodeWorker(ray.get(parcel[0]))
        yield from _workers[extraction].messages(job)
    except TriaffectError as error:
        yield error
