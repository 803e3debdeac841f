"""Process items in a pool of processes that survives the death of one."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from triaffect.errors import TriaffectError

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor
    from multiprocessing.synchronize import Event

Item = TypeVar("Item")
Result = TypeVar("Result")

_QUEUED_PER_PROCESS = 4
"""Items handed out for each process before the first of them has its result."""


class Cancelled(Exception):  # noqa: N818 - a request, not an error
    """Raised by an item's function that saw that its result is no longer needed."""


def count_cores() -> int:
    """Return how many processor cores this process may use; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_memory_mb(*, reset: bool = False) -> float | None:
    """Return the most main memory that this process has had so far, libraries included.

    Args:
        reset: Count from now on: the next answer begins with what the process has now. Linux alone
            can do so.

    Returns:
        Megabytes of 2^20 bytes; None where the system does not say.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(
            line.split(":", 1) for line in status.read_text("utf-8").splitlines() if ":" in line
        )
        if reset:
            with suppress(OSError):  # not everybody may
                Path("/proc/self/clear_refs").write_text("5", "utf-8")
        return int(lines["VmHWM"].split()[0]) / 1024
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes


@dataclass(frozen=True)
class WorkerPool(Generic[Item, Result]):
    """Processes that compute results, in the order of the items.

    Attributes:
        start: Called once in each process, with a function that returns whether the work is
            cancelled; returns the function of an item. Sent to the processes, as are items and
            results.
        died: Makes the result of an item whose process died of it (out of memory, a fault in a
            decoder).
    """

    start: Callable[[Callable[[], bool]], Callable[[Item], Result]]
    died: Callable[[Item], Result]

    def results(self, items: Sequence[Item], processes: int) -> Generator[Result]:
        """Yield results in the order of the items; close the iterator to stop early.

        An item whose process died is tried once more, in a process of its own, before `died` makes
        its result: another item computed beside it may have been the cause.

        Args:
            items: The items.
            processes: How many processes; with 1 the work is done in this one.

        Yields:
            One result an item.

        Raises:
            TriaffectError: No process can be started.
        """
        if processes <= 1 or len(items) <= 1:
            yield from map(self.start(lambda: False), items)
            return
        from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415 - slow to import

        done = 0
        while done < len(items):
            try:
                with closing(self._in_pool(items[done:], processes)) as results:
                    for result in results:
                        yield result
                        done += 1
            except BrokenProcessPool:
                # The first item without a result, or one that was computed beside it.
                yield self._retry(items[done])
                done += 1

    def _in_pool(self, items: Sequence[Item], processes: int) -> Generator[Result]:
        """Yield results in the order of the items, a few of which are handed out at a time."""
        with _pool(self, min(processes, len(items))) as pool:
            waiting: deque[Future[Result]] = deque()
            for item in items:
                waiting.append(pool.submit(_run, item))
                if len(waiting) >= processes * _QUEUED_PER_PROCESS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _retry(self, item: Item) -> Result:
        """Compute one result in a process of its own; make one of `died` if it dies again."""
        from concurrent.futures.process import BrokenProcessPool  # noqa: PLC0415 - slow to import

        with _pool(self, 1) as pool:
            try:
                pool.submit(os.getpid).result()  # that it returns shows that a process works
            except BrokenProcessPool as error:
                remedy = "use one job, or call this under 'if __name__ == \"__main__\":'"
                raise TriaffectError("a worker process", "it ends at once", remedy) from error
            future: Future[Result] = pool.submit(_run, item)
            try:
                return future.result()
            except BrokenProcessPool:
                return self.died(item)


@contextmanager
def _pool(workers: WorkerPool[Any, Any], processes: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes whose libraries use one thread each, which is fastest; end them at last."""
    import multiprocessing  # noqa: PLC0415 - slow to import
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415

    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    # What libraries read when they load; children get it with this process's environment.
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        pool = ProcessPoolExecutor(processes, context, _start, (workers, stop))
        try:
            yield pool
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


_functions: list[Callable[[Any], Any]] = []
"""In a worker process, its one function of an item."""


def _start(workers: WorkerPool[Any, Any], stop: Event) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _functions.append(workers.start(stop.is_set))


def _end_with_parent() -> None:
    """End this process with a killed parent: it would wait, and write, for ever."""
    import multiprocessing  # noqa: PLC0415 - slow to import

    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - this runs in a child
    parent.join()
    os._exit(1)


def _run(item: Any) -> Any:  # noqa: ANN401 - any item and its result
    return _functions[0](item)
