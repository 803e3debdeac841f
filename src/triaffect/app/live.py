"""A camera and a microphone elsewhere, such as those of a browser, predicted as it happens.

Frames and sound come in pieces, in any thread; the newest frame is predicted, as that of a webcam
is, and its answer goes out at once. Nothing is stored but what is recorded: a video that is then
predicted as any other file.
"""

from __future__ import annotations

import queue
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.app.history import RequestError
from triaffect.errors import TriaffectError
from triaffect.media.images import FrameSource
from triaffect.media.video import Frame
from triaffect.media.writer import timed_video
from triaffect.prediction.predictor import Predictor
from triaffect.report.prediction_page import panels
from triaffect.types import FloatArray

RATE = 16_000
"""Samples per second of the sound that a client sends."""

_MOST_PIXELS = 2_100_000
"""Of a frame: 1920 by 1080, and a little more."""

_RECORDED_RATE = 15.0
_SOUND_CHUNKS = 256
"""Chunks of sound that may wait for the voice network; in place of more it gets silence."""

_RECORDED_FRAMES = 30
"""Frames that may wait for the encoder; more are left out of the recording."""

_MOST_GAP_S = 0.5
"""A longer time without sound is filled with silence, so that the sound does not run early."""

_BOX = ("box_x", "box_y", "box_w", "box_h")
_LATEST_S = 1e6
_MARKER = 0xFF
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}

Answer = dict[str, Any]
RecordingListener = Callable[[Exception | None], None]


class LiveSession:
    """One camera; a thread predicts its newest frame until the session is closed.

    Args:
        predictor: The model; other sessions may share it.
        on_answer: Called in the thread with each answer, as JSON can hold it.
        most_s: The longest recording in seconds; it ends there.
    """

    def __init__(
        self, predictor: Predictor, on_answer: Callable[[Answer], None], most_s: float
    ) -> None:
        self._predictor, self._on_answer, self._most_s = predictor, on_answer, most_s
        self._panels = panels(predictor.tasks, predictor.manifest.outputs)
        self._condition = threading.Condition()
        self._newest: tuple[float, bytes, float] | None = None
        self._arrived: dict[float, float] = {}
        self._is_closed = False
        self._sound: queue.Queue[FloatArray | None] = queue.Queue(_SOUND_CHUNKS)
        self._samples = self._lost = 0
        self._to_record: tuple[Path, RecordingListener] | None = None
        self._recorder: _Recorder | None = None
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="triaffect-live", daemon=True)
        self._thread.start()

    def add_frame(self, time_s: float, jpeg: bytes) -> None:
        """Take a frame in place of one that was not predicted yet.

        Args:
            time_s: When it was taken, by the client's clock from its start on.
            jpeg: The picture.

        Raises:
            RequestError: It is no JPEG, or too large.
        """
        width, height = jpeg_size(jpeg)
        if width * height > _MOST_PIXELS:
            expected = "a frame of at most 1920 by 1080 pixels"
            raise RequestError(413, "too_large", expected, f"{width} by {height}")
        with self._condition:
            self._newest = time_s, jpeg, time.monotonic()
            self._condition.notify_all()

    def add_sound(self, time_s: float, pcm: bytes) -> None:
        """Take the next piece of the sound.

        Args:
            time_s: When it began, by the same clock.
            pcm: Samples, 16 bits, little-endian, mono, `RATE` a second.

        Raises:
            RequestError: It is no whole number of samples, or its time is none.
        """
        if len(pcm) % 2 or not 0 <= time_s < _LATEST_S:
            raise RequestError(400, "bad_sound", "16-bit samples", f"{len(pcm)} bytes")
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(2**15)
        missing = round(time_s * RATE) - self._samples
        if missing > _MOST_GAP_S * RATE:
            self._add_samples(np.zeros(min(missing, 60 * RATE), np.float32))
        self._add_samples(samples)

    def _add_samples(self, samples: FloatArray) -> None:
        recorder = self._recorder
        if recorder is not None:
            recorder.sound.append((self._samples, samples))
        self._samples += len(samples)
        silence = np.zeros(self._lost, np.float32)
        try:
            self._sound.put_nowait(np.concatenate([silence, samples]))
            self._lost = 0
        except queue.Full:  # the voice network is far behind
            self._lost += len(samples)

    def record(self, path: Path, on_end: RecordingListener) -> None:
        """Begin a recording with the next frame.

        Args:
            path: Where it goes.
            on_end: Called at its end, in the session's thread, with what went wrong, or None
                when the file is there.
        """
        self._to_record = path, on_end

    def stop_recording(self) -> None:
        """End the recording that is being made."""
        with self._condition:
            self._to_record = None
            self._condition.notify_all()

    def close(self) -> None:
        """End the session, and a recording that is being made."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
        self._thread.join()

    def _run(self) -> None:
        source = FrameSource(self, "live", is_live=True, read_sound=self._chunks)
        try:
            for table in self._predictor.predict_source(source):
                self._on_answer(self._describe(table))
        except TriaffectError as error:
            self._on_answer({"type": "error", "message": str(error)})
        finally:
            self._end_recording()
            while not self._sound.empty():
                self._sound.get_nowait()
            self._sound.put(None)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest frame each time, as that of a webcam; runs in the thread."""
        last_s, number = -np.inf, 0
        while (newest := self._wait_for_frame()) is not None:
            time_s, jpeg, arrived_s = newest
            bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            if bgr is None or not time_s > last_s:
                continue
            last_s, rgb = time_s, np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
            self._record_frame(time_s, rgb)
            self._arrived[round(time_s, 6)] = arrived_s
            yield Frame(number, time_s, rgb)
            number += 1

    def _wait_for_frame(self) -> tuple[float, bytes, float] | None:
        with self._condition:
            self._condition.wait_for(
                lambda: self._is_closed or self._newest or self._is_recording_over()
            )
            if self._is_recording_over():
                self._end_recording()
                self._condition.wait_for(lambda: self._is_closed or self._newest)
            newest, self._newest = self._newest, None
            return None if self._is_closed else newest

    def _chunks(self, rate: int) -> Iterator[FloatArray]:
        """Yield the sound as it comes, at the network's rate."""
        while (samples := self._sound.get()) is not None:
            yield samples if rate == RATE else _resample(samples, rate)

    def _is_recording_over(self) -> bool:
        return self._recorder is not None and self._to_record is None

    def _record_frame(self, time_s: float, rgb: NDArray[np.uint8]) -> None:
        if self._to_record is not None and self._recorder is None:
            self._recorder = _Recorder(*self._to_record, time_s)
        if self._recorder is not None:
            self._recorder.add(time_s, rgb)
            if time_s - self._recorder.start_s > self._most_s:
                self._to_record = None

    def _end_recording(self) -> None:
        if self._recorder is not None:
            recorder, self._recorder, self._to_record = self._recorder, None, None
            recorder.finish()

    def _describe(self, table: pa.Table) -> Answer:
        """Make the answer of one frame: for each face its box, and the values of each panel."""
        faces = []
        for row in table.to_pylist():
            values = [
                [row[task.columns[k]] for k in panel["slots"]]
                for task, panel in zip(self._drawn_tasks(), self._panels, strict=True)
            ]
            box = None if row["face_id"] is None else [row[name] for name in _BOX]
            faces.append({"id": row["face_id"], "box": box, "values": values})
        time_s = table["time_s"][0].as_py()
        arrived_s = self._arrived.get(time_s)
        self._arrived = {each: at for each, at in self._arrived.items() if each > time_s}
        behind_s = None if arrived_s is None else round(time.monotonic() - arrived_s, 4)
        is_voice = table["voice_heard"][0].as_py()
        recording_s = None
        if self._recorder is not None:
            recording_s = round(time_s - self._recorder.start_s, 2)
        return {
            "type": "answer",
            "time": time_s,
            "faces": faces,
            "voice": is_voice,
            "behind_s": behind_s,
            "recording_s": recording_s,
        }

    def _drawn_tasks(self) -> Iterator[Any]:
        titles = {panel["title"] for panel in self._panels}
        return (task for task in self._predictor.tasks if task.label in titles)


class _Recorder:
    """The video that is being recorded, with its sound in step; a thread encodes it.

    Args:
        path: Where it goes.
        on_end: Called at its end.
        start_s: Time of its first frame, by the session's clock.
    """

    def __init__(self, path: Path, on_end: RecordingListener, start_s: float) -> None:
        self.start_s, self._path, self._on_end = start_s, path, on_end
        self.sound: deque[tuple[int, FloatArray]] = deque()
        self._at = round(start_s * RATE)
        self._frames: queue.Queue[tuple[float, NDArray[np.uint8]] | None]
        self._frames = queue.Queue(_RECORDED_FRAMES)
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="triaffect-recorder", daemon=True)
        self._thread.start()

    def __iter__(self) -> _Recorder:
        return self

    def __next__(self) -> FloatArray:
        """Take the sound that is there; what is still to come ends no loop for good."""
        while self.sound:
            first, samples = self.sound.popleft()
            if (early := self._at - first) > 0:
                samples = samples[early:]
            elif early < 0:
                samples = np.concatenate([np.zeros(-early, np.float32), samples])
            if len(samples):
                self._at += len(samples)
                return samples
        raise StopIteration

    def _run(self) -> None:
        try:
            with timed_video(self._path, _RECORDED_RATE, self, RATE) as write:
                while (frame := self._frames.get()) is not None:
                    write(*frame)
        except Exception as error:
            self._problem = error
            while self._frames.get() is not None:
                pass

    def add(self, time_s: float, rgb: NDArray[np.uint8]) -> None:
        """Take a frame, unless the encoder is far behind."""
        with suppress(queue.Full):
            self._frames.put_nowait((time_s - self.start_s, rgb))

    def finish(self) -> None:
        """Encode what is left, and say so."""
        self._frames.put(None)
        self._thread.join()
        self._on_end(self._problem)


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Read the size of a JPEG from its header, before memory is taken for its pixels.

    >>> header = bytes.fromhex("ffd8ffc0000b080040003001011100ffd9")
    >>> jpeg_size(header)
    (48, 64)

    Args:
        jpeg: The file.

    Returns:
        Width and height in pixels.

    Raises:
        RequestError: It is no JPEG.
    """
    at = 2
    while jpeg[:2] == b"\xff\xd8" and at + 9 <= len(jpeg) and jpeg[at] == _MARKER:
        marker, length = jpeg[at + 1], struct.unpack(">H", jpeg[at + 2 : at + 4])[0]
        if marker in _START_OF_FRAME:
            height, width = struct.unpack(">HH", jpeg[at + 5 : at + 9])
            return width, height
        at += 2 + length
    raise RequestError(400, "bad_frame", "a JPEG picture", f"{len(jpeg)} other bytes")


def _resample(samples: FloatArray, rate: int) -> FloatArray:
    """Bring a piece of sound to another rate, linearly."""
    count = round(len(samples) * rate / RATE)
    at = np.linspace(0, len(samples) - 1, max(count, 1)) if len(samples) else np.zeros(0)
    return np.interp(at, np.arange(len(samples)), samples).astype(np.float32)
