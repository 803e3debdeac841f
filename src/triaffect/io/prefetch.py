"""Compute items in a thread before they are needed: decoding, detection and networks overlap.

The heavy parts (FFmpeg, OpenCV, onnxruntime) let other threads run meanwhile. Order and
values of what comes out are those of the plain loop.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from queue import Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")

_POLL_S = 0.05
"""How long a thread waits for room before it looks whether its items are still needed."""


def prefetch(items: Iterable[Item], most: int) -> Generator[Item]:
    """Yield the items, computed in a thread of its own.

    When the generator ends, is closed, or an exception goes through it, the thread has ended
    too and `items`, if it is a generator, has been closed in it.

    Args:
        items: Iterated over in the thread.
        most: How many may wait to be taken; memory does not grow beyond them.

    Raises:
        Exception: Whatever `items` raises, after the items before it.
    """
    producer = _Producer(items, most)
    producer.thread.start()
    try:
        yield from producer.results()
    finally:
        producer.stop()


class _Producer(Generic[Item]):
    def __init__(self, items: Iterable[Item], most: int) -> None:
        self._items = items
        self._queue: Queue[tuple[Item] | BaseException | None] = Queue(most)
        self._stopped = Event()
        # A daemon: a consumer that is never closed must not keep the interpreter from ending.
        self.thread = Thread(target=self._run, name="triaffect-prefetch", daemon=True)

    def results(self) -> Generator[Item]:
        while (got := self._queue.get()) is not None:
            if isinstance(got, BaseException):
                raise got
            yield got[0]

    def stop(self) -> None:
        self._stopped.set()
        self.thread.join()

    def _run(self) -> None:
        end: BaseException | None = None
        iterator = iter(self._items)
        try:
            try:
                for item in iterator:
                    if not self._put((item,)):
                        break
            finally:
                if isinstance(iterator, Generator):
                    iterator.close()
        except BaseException as error:
            end = error
        self._put(end)

    def _put(self, item: tuple[Item] | BaseException | None) -> bool:
        """Wait for room; return False if no more items are needed."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=_POLL_S)
            except Full:
                continue
            return True
        return False
