"""Read frames of a webcam.

A thread empties the camera's own buffer, so that slow work sees fewer frames, never old ones.
Frames that nobody had time for leave their numbers out. Times are seconds since the first frame
by the machine's clock.
"""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.errors import MediaError
from triaffect.media.video import Frame

_JOIN_TIMEOUT_S = 5.0
"""A camera that gives no frame for so long when it is to stop is left alone."""

_POLL_S = 0.01

_Shot = tuple[int, float, NDArray[np.uint8]]
"""Number, time by the clock, and BGR pixels of a frame."""


class Capture(Protocol):
    """What is used of OpenCV's ``VideoCapture``."""

    def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
        """Wait for the next frame.

        Returns:
            Whether there is one, and its BGR pixels, uint8, shape (height, width, 3).
        """
        ...

    def release(self) -> None:
        """Close it."""
        ...


def open_webcam(number: int) -> Capture:
    """Open a camera of this machine.

    Args:
        number: Which camera, from 0.

    Returns:
        The open camera; it is for the caller to release.

    Raises:
        MediaError: There is none of this number, or another program has it.
    """
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        capture = cv2.VideoCapture(number)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        expected, got = "a camera that can be opened", "none, or one in use"
        raise MediaError(expected, got, "try another number", where=f"webcam:{number}")
    opened: Capture = capture
    return opened


class WebcamFrames:
    """The frames of a camera until it is told to stop, or for some seconds.

    Args:
        number: Which camera, from 0.
        seconds: When to stop; None for when told.
        open_device: Opens the camera.

    Attributes:
        problem: After a loop: None, or that the camera stopped by itself.

    Raises:
        MediaError: It cannot be opened.
    """

    def __init__(
        self,
        number: int,
        seconds: float | None = None,
        open_device: Callable[[int], Capture] = open_webcam,
    ) -> None:
        self._number, self._seconds = number, seconds
        self._capture = open_device(number)
        self.problem: str | None = None
        self._stop = threading.Event()

    def stop(self) -> None:
        """End the loop over the frames after the one that is being looked at."""
        self._stop.set()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest frame each time.

        Raises:
            MediaError: The camera gives none.
        """
        shots: queue.Queue[_Shot | None] = queue.Queue(1)
        arguments = (self._capture, shots, self._stop)
        reader = threading.Thread(target=_read, args=arguments, daemon=True)
        reader.start()
        start_s = None
        try:
            while (shot := shots.get()) is not None:
                number, at_s, bgr = shot
                start_s = at_s if start_s is None else start_s
                if self._seconds is not None and at_s - start_s >= self._seconds:
                    return
                rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
                yield Frame(number, at_s - start_s, rgb)
            if start_s is None and not self._stop.is_set():
                where = f"webcam:{self._number}"
                raise MediaError("a camera that gives pictures", "none", where=where)
            if not self._stop.is_set():
                self.problem = "the camera stopped giving pictures"
        finally:
            self._stop.set()
            reader.join(_JOIN_TIMEOUT_S)
            if not reader.is_alive():
                self._capture.release()


def _read(capture: Capture, shots: queue.Queue[_Shot | None], stop: threading.Event) -> None:
    """Put the newest frame into the queue, in place of one not taken yet; None at the end."""
    number = 0
    while not stop.is_set():
        good, bgr = capture.read()
        if not good or bgr is None:
            break
        _replace(shots, (number, time.monotonic(), bgr))
        number += 1
    while shots.full() and not stop.is_set():
        time.sleep(_POLL_S)  # the last frame is not thrown away
    _replace(shots, None)


def _replace(shots: queue.Queue[_Shot | None], shot: _Shot | None) -> None:
    """Put a frame into a queue of one, in place of what is in it."""
    with suppress(queue.Empty):
        shots.get_nowait()
    shots.put(shot)


@contextmanager
def call_on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C call a function instead of breaking off what is being done.

    Elsewhere than in the main thread, which alone hears of it, nothing is changed.

    Args:
        stop: Called at each Ctrl-C within the ``with`` statement.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
