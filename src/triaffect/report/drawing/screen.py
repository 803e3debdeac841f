"""What a camera sees, with predictions drawn, as it is recorded: in a window or on a page.

OpenCV's headless build, which the package brings, has no windows. Then the pictures go to a page
on this machine, which a browser shows without a script.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
import webbrowser
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Protocol

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.media.images import FrameSource
from triaffect.media.probe import MediaFile
from triaffect.media.video import Frame
from triaffect.prediction.options import Options
from triaffect.report.drawing.frame import Drawn, draw
from triaffect.report.drawing.positions import WordPositions
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task

_WAITING = 64
"""Frames that may wait for their rows."""
_TITLE = "triaffect"
_ESCAPE = 27
_QUALITY = 85
_PATIENCE_S = 1.0
"""So often a browser that waits for a picture is looked after."""
_PAGE = (
    "<!doctype html><html lang='en'><meta charset='utf-8'><title>triaffect</title>"
    "<style>body{margin:0;background:#111827;height:100vh;display:grid;place-items:center}"
    "img{max-width:100vw;max-height:100vh}</style><img src='frames' alt='the camera'></html>"
)


class Screen(Protocol):
    """Where pictures are shown."""

    def show(self, rgb: NDArray[np.uint8]) -> bool:
        """Show the next picture.

        Args:
            rgb: RGB pixels, uint8, shape (height, width, 3).

        Returns:
            Whether somebody wants more; False once the window is closed.
        """
        ...

    def close(self) -> None:
        """Show nothing any more."""
        ...


class WindowScreen:
    """A window; q, Esc or closing it ends the recording."""

    def show(self, rgb: NDArray[np.uint8]) -> bool:
        """Show the next picture; see `Screen.show`."""
        cv2.imshow(_TITLE, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        is_quit = cv2.waitKey(1) & 0xFF in (ord("q"), _ESCAPE)
        return not is_quit and cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) > 0

    def close(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()


class _Handler(BaseHTTPRequestHandler):
    """Answers a request of the page or of its pictures."""

    def __init__(self, screen: PageScreen, page: str, *request: Any) -> None:  # noqa: ANN401
        self._screen, self._page = screen, page
        super().__init__(*request)

    def do_GET(self) -> None:
        """Answer; any other address than the page's is not there."""
        kinds = {
            self._page: "text/html; charset=utf-8",
            f"{self._page}frames": "multipart/x-mixed-replace; boundary=frame",
        }
        if self.path not in kinds:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kinds[self.path])
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.path == self._page:
            self.wfile.write(_PAGE.encode())
        else:
            self._screen.send_frames(self.wfile.write)

    def log_message(self, *_: object) -> None:
        """Write no line for each request."""


class PageScreen:
    """A page on this machine, at an address that nobody can guess.

    Args:
        announce: Called with its address.
        open_page: Opens it in a browser.

    Attributes:
        address: Of the page.
    """

    def __init__(
        self,
        announce: Callable[[str], object],
        open_page: Callable[[str], object] = webbrowser.open,
    ) -> None:
        self._newest: bytes | None = None
        self._number, self._is_closed = 0, False
        self._changed = threading.Condition()
        path = f"/{secrets.token_urlsafe(16)}/"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self, path))
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}{path}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        announce(self.address)
        threading.Thread(target=open_page, args=[self.address], daemon=True).start()

    def send_frames(self, write: Callable[[bytes], object]) -> None:
        """Send each picture as it comes, until the browser or the recording is gone.

        Args:
            write: Takes the bytes of a part.
        """
        sent = 0
        while True:
            with self._changed:
                if self._number == sent:
                    self._changed.wait(_PATIENCE_S)
                if self._is_closed:
                    return
                newest, number = self._newest, self._number
            if newest is None or number == sent:
                continue
            sent = number
            try:
                write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + newest + b"\r\n")
            except OSError:
                return

    def show(self, rgb: NDArray[np.uint8]) -> bool:
        """Show the next picture; see `Screen.show`."""
        quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
        _, content = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), quality)
        with self._changed:
            self._newest, self._number = content.tobytes(), self._number + 1
            self._changed.notify_all()
        return True

    def close(self) -> None:
        """End the server."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()


def has_windows() -> bool:
    """Tell whether OpenCV can open windows here."""
    lines = cv2.getBuildInformation().splitlines()
    gui = next((line for line in lines if line.strip().startswith("GUI:")), "GUI: NONE")
    is_shown = sys.platform != "linux" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    return "NONE" not in gui and is_shown


class LiveView:
    """Shows the frames of a camera with what is predicted of them, as rows come.

    To be used in a ``with`` statement.

    Args:
        open_screen: Opens where they are shown; called once the camera is open.
        thresholds: From which probability on a unit is active, by column; 0.5 for one not named.
        tasks: What to draw.
    """

    def __init__(
        self,
        open_screen: Callable[[], Screen],
        thresholds: Mapping[str, float] = MappingProxyType({}),
        tasks: Sequence[Task] = TASKS,
    ) -> None:
        self._open_screen, self._thresholds, self._tasks = open_screen, thresholds, tasks
        self._frames: deque[Frame] = deque(maxlen=_WAITING)
        self._screen: Screen | None = None
        self._source: FrameSource | None = None
        self._positions = WordPositions()

    def __enter__(self) -> LiveView:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the screen."""
        if self._screen is not None:
            self._screen.close()

    def open(self, source: MediaFile | FrameSource, options: Options) -> None:
        """Take part in reading a camera.

        Args:
            source: The opened camera; anything else is not shown.
            options: Of the prediction.
        """
        del options
        if isinstance(source, FrameSource) and source.is_live:
            self._source, source.on_frame = source, self._frames.append
            self._screen = self._open_screen()

    def add(self, table: pa.Table, path: Path) -> None:
        """Show the frames of the next rows, and end the recording if nobody wants more.

        Args:
            table: Rows as predicted.
            path: The camera.
        """
        del path
        if self._screen is None or self._source is None:
            return
        for number, rows in groupby(table.to_pylist(), lambda row: int(row["frame"])):
            while self._frames and self._frames[0].index < number:
                self._frames.popleft()
            if not self._frames or self._frames[0].index != number:
                continue
            frame = self._frames.popleft()
            picture = frame.rgb.copy()
            faces = [Drawn.of_row(row, self._tasks, self._thresholds) for row in rows]
            draw(picture, faces, frame.time_s, self._positions)
            if not self._screen.show(picture):
                self._source.stop()
