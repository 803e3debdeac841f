"""Where the jobs of an extraction are computed: processes of this machine, or a Ray cluster.

On a cluster a task of one processor computes one job, into files of a folder of its own, and
sends these in pieces, a few ahead at most: neither side needs memory for a long video, and no
disk is shared. Networks come with the extraction and are checked against their hashes; the
corpus's files must be there, at the same path. Ray is not asked to repeat tasks: when a process
or a node is gone, what came of the job is dropped and the job starts afresh, `MOST_TRIES` times
in all.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from triaffect.errors import TriaffectError
from triaffect.features.extraction_worker import (
    ExtractionSettings,
    Job,
    Outcome,
    Worker,
    died,
    spill_folder,
)
from triaffect.features.extractors.registry import folder_of
from triaffect.features.extractors.session import first_line
from triaffect.features.model_folder import DESCRIPTION, load_model_folder
from triaffect.io.workers import WorkerPool


class Engine(Protocol):
    """Computes the jobs of an extraction."""

    def outcomes(self, settings: ExtractionSettings, todo: Sequence[Job]) -> Generator[Outcome]:
        """Compute jobs; close the iterator to stop early.

        Outcomes come in the order of the jobs. The rows of a job are in its `spill_folder` on
        this machine when its outcome comes. A job that kills its process has the outcome `died`.

        Args:
            settings: The extraction.
            todo: The jobs.

        Yields:
            An outcome for each job.

        Raises:
            ModelError: A network does not work.
            TriaffectError: Nothing can be computed here.
        """


@dataclass(frozen=True)
class Processes:
    """Computes in processes; `Engine` says how.

    Attributes:
        jobs: How many; 1 computes in this one.
    """

    jobs: int = 1

    def outcomes(self, settings: ExtractionSettings, todo: Sequence[Job]) -> Generator[Outcome]:
        """Compute jobs and yield their outcomes in order; see `Engine.outcomes`."""
        return WorkerPool(partial(Worker, settings), died).results(todo, self.jobs)


PIECE_BYTES = 4 * 2**20
DECIDING = ("triaffect", "av", "numpy", "onnxruntime", "opencv-python-headless")
"""Packages whose version may change a bit of a row."""

Message = tuple[str, bytes] | Outcome | TriaffectError
"""A piece of the file of that name; in the end the outcome, or why nothing can be computed."""


@dataclass(frozen=True)
class Parcel:
    """All that a node needs beside the corpus's files.

    Attributes:
        settings: The extraction, of which only corpus and extractors count there.
        networks: Files by name of the model folders of "face" and "voice" that have one.
        versions: Version by package that the parent has.
    """

    settings: ExtractionSettings
    networks: dict[str, dict[str, bytes]]
    versions: dict[str, str]


def pack(settings: ExtractionSettings) -> Parcel:
    """Put together what nodes need.

    Args:
        settings: The extraction.

    Returns:
        The parcel, with every file of the model folders of its extractors.

    Raises:
        ModelError: A model folder is missing, incomplete or changed.
    """
    names = {"face": settings.face, "voice": settings.voice}
    folders = {part: folder_of(name) for part, name in names.items()}
    networks = {}
    for part, path in folders.items():
        if path is not None:
            manifest = load_model_folder(path).manifest
            files = {DESCRIPTION, *manifest.files, *(p.file for p in manifest.parts.values())}
            networks[part] = {file: (path / file).read_bytes() for file in files}
    return Parcel(settings, networks, {package: version(package) for package in DECIDING})


class NodeWorker:
    """Computes jobs in one process of a node.

    Args:
        parcel: The extraction, and the networks and versions of the parent.

    Raises:
        TriaffectError: The node has other versions, or not the corpus.
        ModelError: A network does not work.
    """

    def __init__(self, parcel: Parcel) -> None:
        settings, here = parcel.settings, f"the machine {socket.gethostname()}"
        for package, number in parcel.versions.items():
            if (installed := version(package)) != number:
                remedy = "install the same versions on every machine"
                raise TriaffectError(f"{package} {number}", installed, remedy, where=here)
        if not (root := settings.corpus.root).exists():
            got, remedy = (
                "no such file or folder",
                "mount or copy it to the same path on every machine",
            )
            raise TriaffectError(f"the corpus at {root}", got, remedy, where=here)
        _sweep()
        self._pending = Path(tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-"))
        try:
            names: dict[str, str] = {}
            for part, files in parcel.networks.items():
                (self._pending / part).mkdir()
                for file, content in files.items():
                    (self._pending / part / file).write_bytes(content)
                names[part] = str(self._pending / part)
            face, voice = names.get("face", settings.face), names.get("voice", settings.voice)
            self._compute = Worker(
                ExtractionSettings(settings.corpus, face, voice, self._pending), lambda: False
            )
        finally:
            shutil.rmtree(self._pending, ignore_errors=True)

    def messages(self, job: Job) -> Iterator[Message]:
        """Compute a job.

        Args:
            job: The job.

        Yields:
            The pieces of its files in their order, then its outcome.
        """
        self._pending.mkdir(mode=0o700, exist_ok=True)
        try:
            outcome = self._compute(job)
            for path in sorted(spill_folder(self._pending, job.number).iterdir()):
                with path.open("rb") as stream:
                    while piece := stream.read(PIECE_BYTES):
                        yield path.name, piece
        finally:
            shutil.rmtree(self._pending, ignore_errors=True)
        yield outcome  # last: with it the parent may end, and this process with that


def _prefix() -> str:
    """Name the beginning of folders that workers of this machine, or container, keep rows in."""
    return f"triaffect-rows-{socket.gethostname()}-"


def _sweep() -> None:
    """Remove what killed workers left."""
    for path in Path(tempfile.gettempdir()).glob(f"{_prefix()}*"):
        pid = path.name.removeprefix(_prefix()).split("-")[0]
        if pid.isdigit() and not _lives(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


MOST_TRIES = 3
"""How often a job may kill its process."""
_JOBS_IN_ADVANCE = 4
"""Jobs a processor may be ahead of the one whose result is waited for."""
_PIECES_IN_ADVANCE = 4
"""Pieces of rows that wait in Ray's memory for a job, see `PIECE_BYTES`."""
_ENDING_S = 5.0
"""How long tasks may take to clean up after they were told to stop."""
LOCAL, AUTO = "local", "auto"
"""Addresses that Ray knows: a cluster of its own, and one that runs on this machine."""
_ANSWER_S = 10.0


@dataclass(frozen=True)
class Cluster:
    """Computes on a Ray cluster; `Engine` says how.

    Attributes:
        address: ``HOST:PORT`` of its head node; "auto" for the one running on this machine;
            None for what ``RAY_ADDRESS`` says, else Ray is started on this machine alone.
        jobs: Most jobs in flight; None for as many as the cluster has processors.
    """

    address: str | None = None
    jobs: int | None = None

    def outcomes(self, settings: ExtractionSettings, todo: Sequence[Job]) -> Generator[Outcome]:
        """Compute jobs and yield their outcomes in order; see `Engine.outcomes`."""
        if not todo:
            return
        with _connected(self.address or os.environ.get("RAY_ADDRESS") or LOCAL) as ray:
            jobs = self.jobs or int(ray.cluster_resources().get("CPU", 0))
            if not jobs:
                raise TriaffectError("a Ray cluster with processors", "none", "add a node to it")
            flight = _Flight(ray, settings, todo, jobs)
            try:
                yield from flight.outcomes()
            finally:
                flight.end()


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Yield the package Ray, ready for use; one that the caller's program has connected stays so.

    Raises:
        TriaffectError: Ray is not installed, or there is no cluster at the address.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is told to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns
    try:
        import ray  # noqa: PLC0415 - slow, and not everywhere
    except ImportError as error:
        install = "pip install 'triaffect[ray]', or leave --engine out"
        raise TriaffectError("the package ray", first_line(error), install) from error
    if ray.is_initialized():
        yield ray
        return
    expected, where = f"a Ray cluster at {address}", "--ray-address"
    remedy = "start one with 'ray start --head', or set RAY_AUTH_MODE as it is set there"
    if address not in {LOCAL, AUTO}:
        host, _, port = address.rpartition(":")
        if not host or "/" in host or not port.isdecimal():
            on_cluster = "run this on a machine of the cluster"
            raise TriaffectError("HOST:PORT or auto", repr(address), on_cluster, where=where)
        try:  # Ray itself would try for minutes
            socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
        except (OSError, OverflowError) as error:
            raise TriaffectError(expected, first_line(error), remedy, where=where) from error
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        context = ray.init(address, include_dashboard=None if address != LOCAL else False, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise TriaffectError(expected, first_line(error), remedy, where=where) from error
    try:
        yield ray
    finally:
        ray.shutdown()
        if address == LOCAL:
            shutil.rmtree(context.address_info["session_dir"], ignore_errors=True)


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
    settings: ExtractionSettings
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
            _generator_backpressure_num_objects=_PIECES_IN_ADVANCE,
        )(compute)

    def outcomes(self) -> Iterator[Outcome]:
        """Yield all outcomes in the order of the jobs."""
        for number in range(len(self.todo)):
            while number not in self.done:
                end = min(len(self.todo), number + self.most * _JOBS_IN_ADVANCE)
                while len(self.running) < self.most and self.started < end:
                    self._start(self.started)
                    self.started += 1
                ready, _ = self.ray.wait(list(self.running), num_returns=1)
                self._take(ready[0])
            yield self.done.pop(number)

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
            # Something that no job does: a node without triaffect, or with another one.
            cause = getattr(error, "cause", None) or error
            remedy = "install the same triaffect and packages on every machine"
            expected = "a job that runs on every node"
            raise TriaffectError(expected, first_line(cause), remedy) from error
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
    """Compute one job on a node; this is the task that Ray runs.

    Args:
        extraction: Name of the extraction, whose worker this process keeps.
        parcel: A list with Ray's reference to the extraction's `Parcel`.
        job: The job.

    Yields:
        Its messages; the last one is its outcome, or the error that stops the extraction.
    """
    try:
        if extraction not in _workers:
            import ray  # noqa: PLC0415 - here it is there

            _workers.clear()
            _workers[extraction] = NodeWorker(ray.get(parcel[0]))
        yield from _workers[extraction].messages(job)
    except TriaffectError as error:
        yield error
