"""Computing on a Ray cluster, machines that share no disk but for the inputs.

A task of one processor computes one item, into files of a folder of its own, and sends these in
pieces, a few in advance at most: neither side needs memory for a long video, and no disk is
shared. What a workload packs comes along; the inputs must be there, at the same path. Ray is not
asked to repeat tasks: when a process or a node is gone, what came of the item is dropped and the
item starts afresh, `MOST_TRIES` times in all.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic
from uuid import uuid4

from triaffect.errors import TriaffectError, first_line, one_line
from triaffect.io.atomic import disk_errors
from triaffect.io.engines import Item, Result, Workload, machine_name

PIECE_BYTES = 4 * 2**20
DECIDING = ("triaffect", "av", "numpy", "onnxruntime", "opencv-python-headless")
"""Packages whose version may change a bit of a result."""


@dataclass(frozen=True)
class Piece:
    """The next bytes of one of an item's files.

    Attributes:
        name: Path of the file in the item's folder, with slashes.
        content: The bytes.
    """

    name: str
    content: bytes


@dataclass(frozen=True)
class Finished:
    """The last message of an item.

    Attributes:
        result: Its result.
    """

    result: Any


@dataclass(frozen=True)
class Parcel:
    """All that a node needs beside the inputs.

    Attributes:
        workload: The work.
        files: What it packs.
        versions: Version by package that the parent has.
    """

    workload: Workload[Any, Any]
    files: Mapping[str, bytes]
    versions: Mapping[str, str]


def pack(workload: Workload[Any, Any]) -> Parcel:
    """Put together what nodes need.

    Args:
        workload: The work.

    Returns:
        The parcel.

    Raises:
        TriaffectError: A file that it packs is missing, incomplete or changed.
    """
    versions = {package: version(package) for package in (*DECIDING, *workload.packages)}
    return Parcel(workload, workload.pack(), versions)


class NodeWorker:
    """Computes items in one process of a node.

    Args:
        parcel: The work, and the versions of the parent.

    Raises:
        TriaffectError: The node has other versions, or lacks what the workload needs there.
    """

    def __init__(self, parcel: Parcel) -> None:
        for package, number in parcel.versions.items():
            if (installed := version(package)) != number:
                remedy = "install the same versions on every machine"
                raise TriaffectError(f"{package} {number}", installed, remedy, where=machine_name())
        _sweep()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-"))
        try:
            packed = self._folder / "packed"
            for name, content in parcel.files.items():
                (packed / name).parent.mkdir(parents=True, exist_ok=True)
                (packed / name).write_bytes(content)
            self._workload = parcel.workload.on_node(packed, self._folder / "output")
            self._compute = self._workload.start(lambda: False)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def messages(self, item: Any) -> Iterator[Piece | Finished]:  # noqa: ANN401 - any item
        """Compute an item.

        Args:
            item: The item.

        Yields:
            The pieces of its files in their order, then its result.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        try:
            folder = self._workload.folder(item)
            with disk_errors(folder):
                folder.mkdir(parents=True)
            result = self._compute(item)
            for path in sorted(each for each in folder.rglob("*") if each.is_file()):
                with path.open("rb") as stream:
                    while piece := stream.read(PIECE_BYTES):
                        yield Piece(path.relative_to(folder).as_posix(), piece)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
        yield Finished(result)  # last: with it the parent may end, and this process with that


def _prefix() -> str:
    """Begin the names of folders that workers of this machine, or container, write in."""
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
"""How often an item may kill its process."""
_ITEMS_IN_ADVANCE = 4
"""Items a processor may be ahead of the one whose result is waited for."""
_PIECES_IN_ADVANCE = 4
"""Pieces of files that wait in Ray's memory for an item, see `PIECE_BYTES`."""
_ENDING_S = 5.0
"""How long tasks may take to clean up after they were told to stop."""
LOCAL, AUTO = "local", "auto"
"""Addresses that Ray knows: a cluster of its own, and one that runs on this machine."""
_ANSWER_S = 10.0


@dataclass(frozen=True)
class RayCluster:
    """Computes on a Ray cluster; `triaffect.io.engines.Engine` says how.

    Attributes:
        address: ``HOST:PORT`` of its head node; "auto" for the one running on this machine;
            None for what ``RAY_ADDRESS`` says, else Ray is started on this machine alone.
        jobs: Most items in flight; None for as many as the cluster has processors.
    """

    address: str | None = None
    jobs: int | None = None

    def results(self, workload: Workload[Item, Result], items: Sequence[Item]) -> Generator[Result]:
        """Compute items and yield their results in order; see `Engine.results`."""
        if not items:
            return
        with _connected(self.address or os.environ.get("RAY_ADDRESS") or LOCAL) as ray:
            jobs = self.jobs or int(ray.cluster_resources().get("CPU", 0))
            if not jobs:
                raise TriaffectError("a Ray cluster with processors", "none", "add a node to it")
            flight = _Flight(ray, workload, items, jobs)
            try:
                yield from flight.results()
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
        raise TriaffectError("the package ray", one_line(error), install) from error
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
            raise TriaffectError(expected, one_line(error), remedy, where=where) from error
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        context = ray.init(address, include_dashboard=None if address != LOCAL else False, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        if "Version mismatch" in str(error):  # of Ray or of Python, says Ray, in many lines
            remedy = "install the same Ray and Python on every machine"
        raise TriaffectError(expected, one_line(error), remedy, where=where) from error
    try:
        yield ray
    finally:
        ray.shutdown()
        if address == LOCAL:
            shutil.rmtree(context.address_info["session_dir"], ignore_errors=True)


@dataclass
class _Flight(Generic[Item, Result]):
    """The parent's half: which items are under way, and what has come of them.

    Attributes:
        ray: The package.
        workload: The work.
        items: The items.
        most: How many of them at once.
        running: Which of the items, by the stream of its messages.
        tries: How often each item was started.
        done: Results that wait for those before them.
        started: Items that were started at least once.
    """

    ray: Any
    workload: Workload[Item, Result]
    items: Sequence[Item]
    most: int
    running: dict[Any, int] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)
    done: dict[int, Result] = field(default_factory=dict)
    started: int = 0

    def __post_init__(self) -> None:
        self._parcel = self.ray.put(pack(self.workload))
        self._name = uuid4().hex
        self._task = self.ray.remote(
            num_cpus=1,
            max_retries=0,
            num_returns="streaming",
            _generator_backpressure_num_objects=_PIECES_IN_ADVANCE,
        )(compute)

    def results(self) -> Iterator[Result]:
        """Yield all results in the order of the items."""
        for number in range(len(self.items)):
            while number not in self.done:
                end = min(len(self.items), number + self.most * _ITEMS_IN_ADVANCE)
                while len(self.running) < self.most and self.started < end:
                    self._start(self.started)
                    self.started += 1
                ready, _ = self.ray.wait(list(self.running), num_returns=1)
                self._take(ready[0])
            yield self.done.pop(number)

    def _start(self, which: int) -> None:
        """Start an item, with nothing left of an earlier try."""
        folder = self.workload.folder(self.items[which])
        shutil.rmtree(folder, ignore_errors=True)
        with disk_errors(folder):
            folder.mkdir(parents=True)
        self.tries[which] = self.tries.get(which, 0) + 1
        # in a list the parcel is not sent before a process asks for it
        self.running[self._task.remote(self._name, [self._parcel], self.items[which])] = which

    def _take(self, stream: Any) -> None:  # noqa: ANN401
        """Take the next message of an item, or notice that its process is gone."""
        which = self.running[stream]
        item = self.items[which]
        try:
            message: Piece | Finished | TriaffectError = self.ray.get(next(stream))
        except self.ray.exceptions.RayTaskError as error:
            # Something that no item does: a node without triaffect, or with another one.
            cause = getattr(error, "cause", None) or error
            remedy = "install the same triaffect and packages on every machine"
            raise TriaffectError(
                "work that runs on every node", first_line(cause), remedy
            ) from error
        except (self.ray.exceptions.RayError, StopIteration):
            del self.running[stream]
            if self.tries[which] < MOST_TRIES:
                self._start(which)
            else:
                shutil.rmtree(self.workload.folder(item), ignore_errors=True)
                self.done[which] = self.workload.died(item)
            return
        if isinstance(message, TriaffectError):
            raise message
        if isinstance(message, Finished):
            del self.running[stream]
            self.workload.finish(item, message.result)
            self.done[which] = message.result
            return
        path = self.workload.folder(item) / message.name
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(message.content)

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
"""In a process of a node, the worker of the work that it serves."""


def compute(
    work: str,
    parcel: list[Any],
    item: Any,  # noqa: ANN401 - any item
) -> Iterator[Piece | Finished | TriaffectError]:
    """Compute one item on a node; this is the task that Ray runs.

    Args:
        work: Name of the work, whose worker this process keeps.
        parcel: A list with Ray's reference to the work's `Parcel`.
        item: The item.

    Yields:
        Its messages; the last one is `Finished`, or the error that stops the work.
    """
    try:
        if work not in _workers:
            import ray  # noqa: PLC0415 - here it is there

            _workers.clear()
            _workers[work] = NodeWorker(ray.get(parcel[0]))
        yield from _workers[work].messages(item)
    except TriaffectError as error:
        yield error
