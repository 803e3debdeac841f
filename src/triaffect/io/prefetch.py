"""Work ahead in a thread, so that decoding, detection and networks overlap.

The heavy parts (FFmpeg, OpenCV, onnxruntime) let other threads run meanwhile. Order and
values of what comes out are those of the plain loop.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from queue import Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")

_PATIENCE_S = 0.05
"""How long a thread waits for room before it looks whether anybody still wants its items."""


def ahead(items: Iterable[Item], most: int) -> Generator[Item]:
    """The items, worked out in a thread of its own.

    When the generator ends, is closed, or an exception goes through it, the thread has ended
    too and `items`, if it is a generator, has been closed in it.

    Args:
        items: Iterated over in the thread.
        most: How many may wait to be taken; memory does not grow beyond them.

    Raises:
        Exception: Whatever `items` raises, after those before it were given.
    """
    worker = _Worker(items, most)
    worker.thread.start()
    try:
        yield from worker.taken()
    finally:
        worker.stop()


class _Worker(Generic[Item]):
    def __init__(self, items: Iterable[Item], most: int) -> None:
        self._items = items
        self._queue: Queue[tuple[Item] | BaseException | None] = Queue(most)
        self._stopped = Event()
        # A daemon: a consumer that is never closed must not keep the interpreter from ending.
        self.thread = Thread(target=self._work, name="triaffect-ahead", daemon=True)

    def taken(self) -> Generator[Item]:
        while (got := self._queue.get()) is not None:
            if isinstance(got, BaseException):
                raise got
            yield got[0]

    def stop(self) -> None:
        self._stopped.set()
        self.thread.join()

    def _work(self) -> None:
        ending: BaseException | None = None
        try:
            self._give_all()
        except BaseException as error:
            ending = error
        self._give(ending)

    def _give_all(self) -> None:
        iterator = iter(self._items)
        try:
            for item in iterator:
                if not self._give((item,)):
                    return
        finally:
            if isinstance(iterator, Generator):
                iterator.close()

    def _give(self, item: tuple[Item] | BaseException | None) -> bool:
        """Wait for room; False if nobody wants items any more."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=_PATIENCE_S)
            except Full:
                continue
            return True
        return False
