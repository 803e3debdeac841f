"""Compute items in a thread before they are needed: decoding, detection and networks overlap.

The heavy parts (FFmpeg, OpenCV, onnxruntime) let other threads run meanwhile. Order and
values of what comes out are those of the plain loop.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

Item = TypeVar("Item")

_Message = tuple[Any] | BaseException | None
"""An item in a tuple, what was raised instead of the next one, or None at the end."""

_POLL_S = 0.05
"""How long a thread waits for room before it looks whether its items are still needed."""


def prefetch(items: Iterable[Item], most: int) -> Generator[Item]:
    """Yield the items, computed in a thread of its own.

    When the generator ends, is closed, or an exception goes through it, the thread has ended
    too and `items`, if it is a generator, has been closed in it.

    Args:
        items: Iterated over in the thread.
        most: How many may wait to be taken; memory does not grow beyond them.

    Yields:
        Each item, in order.

    Raises:
        Exception: Whatever `items` raises, after the items before it.

    Examples:
        >>> list(prefetch(range(3), most=2))
        [0, 1, 2]
    """
    queue: Queue[_Message] = Queue(most)
    stopped = Event()
    # A daemon: a consumer that is never closed must not keep the interpreter from ending.
    arguments = (items, queue, stopped)
    thread = Thread(target=_produce, args=arguments, name="triaffect-prefetch", daemon=True)
    thread.start()
    try:
        while (message := queue.get()) is not None:
            if isinstance(message, BaseException):
                raise message
            yield message[0]
    finally:
        stopped.set()
        thread.join()


def _produce(items: Iterable[Any], queue: Queue[_Message], stopped: Event) -> None:
    """Put each item into the queue, and at last what ended them; runs in the thread."""
    end: BaseException | None = None
    iterator = iter(items)
    try:
        try:
            for item in iterator:
                if not _put((item,), queue, stopped):
                    break
        finally:
            if isinstance(iterator, Generator):
                iterator.close()
    except BaseException as error:
        end = error
    _put(end, queue, stopped)


def _put(message: _Message, queue: Queue[_Message], stopped: Event) -> bool:
    """Wait for room; return False if no more items are needed."""
    while not stopped.is_set():
        try:
            queue.put(message, timeout=_POLL_S)
        except Full:
            continue
        return True
    return False
