"""Run work in processes: results in the order of the items, whatever happens to a process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from typing import Any, Generic, TypeVar

from triaffect.errors import TriaffectError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4
"""Items a process may be ahead of the one whose result is waited for."""


def count_cores() -> int:
    """Cores that this process may use, which containers and batch systems limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Stopped(Exception):  # noqa: N818 - a request, not an error
    """Raised by work that saw that nobody wants its result any more."""


@dataclass(frozen=True)
class Work(Generic[Item, Result]):
    """What to do with each item.

    Attributes:
        start: Called once in each process, with a function that tells whether the work is
            still wanted; returns the function of an item. Sent to the processes, as are
            items and results.
        died: The result of an item whose process died of it (out of memory, a fault in a
            decoder).
    """

    start: Callable[[Callable[[], bool]], Callable[[Item], Result]]
    died: Callable[[Item], Result]

    def results(self, items: Sequence[Item], processes: int) -> Generator[Result]:
        """Results in the order of the items; close the iterator to stop early.

        Args:
            items: The items.
            processes: How many processes; with 1 the work is done in this one.

        Raises:
            TriaffectError: No process can be started.
        """
        if processes <= 1 or len(items) <= 1:
            yield from map(self.start(_always), items)
            return
        done = 0
        while done < len(items):
            try:
                with closing(self._pooled(items[done:], processes)) as results:
                    for result in results:
                        yield result
                        done += 1
            except BrokenProcessPool:
                # The first item without a result, or one that was computed beside it.
                yield self._alone(items[done])
                done += 1

    def _pooled(self, items: Sequence[Item], processes: int) -> Generator[Result]:
        with _pool(self, min(processes, len(items))) as pool:
            waiting: deque[Future[Result]] = deque()
            for item in items:
                waiting.append(pool.submit(_compute, item))
                if len(waiting) >= processes * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _alone(self, item: Item) -> Result:
        with _pool(self, 1) as pool:
            try:
                pool.submit(_ready).result()
            except BrokenProcessPool as error:
                remedy = "use one job, or call this under 'if __name__ == \"__main__\":'"
                raise TriaffectError("a worker process", "it ends at once", remedy) from error
            future: Future[Result] = pool.submit(_compute, item)
            try:
                return future.result()
            except BrokenProcessPool:
                return self.died(item)


@contextmanager
def _pool(work: Work[Any, Any], processes: int) -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with _single_threaded_children():
        pool = ProcessPoolExecutor(processes, context, _start, (work, stop))
        try:
            yield pool
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


_functions: list[Callable[[Any], Any]] = []
"""In a worker process, the one function of its work."""


def _start(work: Work[Any, Any], stop: Event) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _functions.append(work.start(lambda: not stop.is_set()))


def _end_with_parent() -> None:
    """A killed parent says nothing: without this its processes would wait, and write, for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - this runs in a child
    parent.join()
    os._exit(1)


def _ready() -> None:
    """Show that a process works."""


def _compute(item: Any) -> Any:  # noqa: ANN401 - as `Work` says
    return _functions[0](item)


def _always() -> bool:
    return True


@contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Libraries in a child look at these when they load; one thread each is what pays."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
