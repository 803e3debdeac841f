"""A bounded queue of jobs, and the thread that predicts them one after another.

A prediction uses the cores by itself: its decoding, detection and networks run in threads. Small
pictures that wait together go through the networks together.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from triaffect.app.history import (
    ENDED,
    FaceResult,
    History,
    HistoryEntry,
    JobState,
    RequestError,
    available_files,
)
from triaffect.errors import DiskError, MediaError, TriaffectError, first_line, printable
from triaffect.features.model_folder import OutputValidity, validities_without_face
from triaffect.io.workers import Cancelled
from triaffect.media.find import PICTURES
from triaffect.media.images import FrameSource, one_opencv_thread
from triaffect.media.probe import MediaFile, probe
from triaffect.prediction.batch import Listener, PredictionOutputs
from triaffect.prediction.inputs import InputOptions
from triaffect.prediction.parts import FileRows, PredictionJob, media_errors
from triaffect.prediction.pictures import PICTURES_AT_ONCE, PictureFaces, is_picture
from triaffect.prediction.predictor import Predictor
from triaffect.report.annotate import Annotator
from triaffect.report.clip_series import statistics_cells
from triaffect.report.prediction_page import PredictionPage
from triaffect.tables.results import FileResult
from triaffect.tables.schema import text_column, times_of
from triaffect.tables.summary import ClipSummary
from triaffect.tasks.task import Task
from triaffect.types import NO_FACE

_log = logging.getLogger(__name__)

_RESULTS_EVERY_S = 1.0
"""Seconds from one look at the results so far to the next."""

_MOST_FACES = 6
"""Faces whose results are shown beside the file's name."""


@dataclass(frozen=True)
class Limits:
    """What the app takes on.

    Attributes:
        size: Bytes of a file.
        length_s: Seconds of a video or sound.
        work_s: Seconds of work on a file.
        waiting: Jobs that may wait.
    """

    size: int = 2 * 2**30
    length_s: float = 4 * 3600.0
    work_s: float = 12 * 3600.0
    waiting: int = 200


@dataclass(frozen=True)
class _BoundedInput(InputOptions):
    """Opens a file, and refuses one that lasts too long.

    Attributes:
        limits: How long it may last.
        on_open: Called with the seconds that it says it lasts.
    """

    limits: Limits = Limits()
    on_open: Callable[[float | None], object] | None = None

    @contextmanager
    def open(self, path: Path) -> Iterator[MediaFile | FrameSource]:
        """Open the file, as `InputOptions.open` does."""
        source = probe(path)
        if source.duration_s is not None and source.duration_s > self.limits.length_s:
            raise _too_long(self.limits, f"{source.duration_s:.0f} s")
        if self.on_open:
            self.on_open(source.duration_s)
        yield source


def _too_long(limits: Limits, got: str) -> RequestError:
    remedy = "send a part of it, or start the app with a larger --max-length"
    return RequestError(413, "too_long", f"at most {limits.length_s:g} s of media", got, remedy)


class JobQueue:
    """Predicts the jobs of a history in a thread of its own, until it is closed.

    Args:
        history: Where the jobs are; those that wait in it are taken up.
        predictor: The model.
        limits: What is taken on.
    """

    def __init__(self, history: History, predictor: Predictor, limits: Limits) -> None:
        self.history, self.limits, self._predictor = history, limits, predictor
        self._waiting: deque[HistoryEntry] = deque(
            entry for entry in reversed(history.entries()) if entry.state is JobState.WAITING
        )
        self._stopped: dict[str, threading.Event] = {}
        self._condition = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="triaffect-app", daemon=True)
        self._thread.start()

    def check_room(self) -> None:
        """Check that one more job may wait.

        Raises:
            RequestError: The queue is full.
        """
        if len(self._waiting) >= self.limits.waiting:
            expected = f"at most {self.limits.waiting} jobs that wait"
            raise RequestError(503, "busy", expected, "one more", "try again in a while")

    def submit(self, entry: HistoryEntry) -> HistoryEntry:
        """Let a job wait for its turn.

        Args:
            entry: The job; its file is there.

        Returns:
            The entry, now of the history.

        Raises:
            RequestError: The queue is full, or closed.
        """
        with self._condition:
            self.check_room()
            if self._is_closed:
                raise RequestError(503, "closing", "an app that runs", "one that is ending")
            entry = self.history.update(entry, state=JobState.WAITING, message="waiting")
            self._waiting.append(entry)
            self._condition.notify_all()
        return entry

    def cancel(self, entry: HistoryEntry, state: JobState = JobState.CANCELLED) -> None:
        """Take a job out of the queue, or stop it at the next moment if it is being predicted.

        Args:
            entry: The job; nothing happens if it has ended.
            state: What it is then; a deleted one is removed from the disk as soon as it stops.
        """
        with self._condition:
            current = self.history.entry(entry.id)
            event = self._stopped.get(entry.id)
            if event is not None:
                event.set()
            self._waiting = deque(each for each in self._waiting if each.id != entry.id)
            if state is JobState.DELETED:
                self.history.update(entry, state=state)
                if event is None:
                    self.history.remove(entry)
            elif event is None and current.state not in ENDED:
                self._end(entry, state=state, message="cancelled")

    def close(self) -> None:
        """Stop the job that runs, which waits again when the history is opened next."""
        with self._condition:
            self._is_closed = True
            for event in self._stopped.values():
                event.set()
            self._condition.notify_all()
        self._thread.join()

    def _run(self) -> None:
        # detection, cutting and decoding run in threads of their own
        with one_opencv_thread():
            while group := self._take():
                try:
                    self._compute(group)
                except Exception as error:
                    _log.exception("a job failed")
                    for entry in group:
                        self._fail(entry, error)
                finally:
                    with self._condition:
                        for entry in group:
                            self._stopped.pop(entry.id, None)
                            if self._state(entry) is JobState.DELETED:
                                self.history.remove(entry)
                        self._condition.notify_all()

    def _take(self) -> list[HistoryEntry]:
        """Wait for the next job, and the pictures that wait beside it; none at the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._is_closed)
            if self._is_closed:
                return []
            first = self._waiting[0]
            group = [first]
            if self._predictor.joins_pictures and _is_small_picture(first):
                alike = [
                    each
                    for each in self._waiting
                    if _is_small_picture(each) and each.options == first.options
                ]
                group = alike[:PICTURES_AT_ONCE]
            names = {entry.id for entry in group}
            self._waiting = deque(each for each in self._waiting if each.id not in names)
            for entry in group:
                self._stopped[entry.id] = threading.Event()
                self.history.update(entry, save=entry.is_listed, state=JobState.RUNNING)
        return group

    def _state(self, entry: HistoryEntry) -> JobState:
        try:
            return self.history.entry(entry.id).state
        except RequestError:
            return JobState.DELETED

    def _compute(self, group: Sequence[HistoryEntry]) -> None:
        """Predict jobs: several pictures in one batch, anything else by itself."""
        if len(group) == 1:
            self._predict(group[0])
            return
        predictor = self._predictor.with_options(group[0].options.prediction())
        batch, read = predictor.picture_batch(), list[tuple[HistoryEntry, PictureFaces]]()
        for entry in group:
            path = self.history.media(entry.id)
            try:
                with media_errors(path), self._job(entry).inputs.open(path) as source:
                    picture = predictor.read_picture(source) if is_picture(source) else None
            except TriaffectError as error:
                self._fail(entry, error)
                continue
            if picture is None:
                self._predict(entry)
            else:
                batch.add(picture)
                read.append((entry, picture))
        table, start = batch.table() if read else None, 0
        for entry, picture in read:
            assert table is not None  # noqa: S101 - there are pictures
            count = len(picture.instants)
            notes = "; ".join(filter(None, [picture.problem, picture.remark]))
            self._write(entry, [table.slice(start, count)], notes)
            start += count

    def _predict(self, entry: HistoryEntry) -> None:
        """Predict one job of any kind."""
        options, stopped = entry.options.prediction(), self._stopped[entry.id]
        until_s = time.monotonic() + self.limits.work_s
        rows = FileRows(
            self._predictor.with_options(options),
            self._job(entry),
            self.history.media(entry.id),
            lambda share, message: self._show_progress(entry, share, message),
            lambda: stopped.is_set() or time.monotonic() > until_s,
        )
        self._write(entry, rows)

    def _show_progress(self, entry: HistoryEntry, share: float, message: str) -> None:
        clock = message.partition(", ")[2]
        self.history.update(entry, save=False, progress=share, message=clock)

    def _show_duration(self, entry: HistoryEntry, duration_s: float | None) -> None:
        self.history.update(entry, save=False, duration_s=duration_s)

    def _job(self, entry: HistoryEntry) -> PredictionJob:
        """What is written of a job: a listed one has a summary too."""
        folder = self.history.folder / entry.id
        summary = folder / "summary.csv" if entry.is_listed else None
        return PredictionJob(
            folder / "table.parquet",
            self._predictor.folder,
            self._predictor.device,
            entry.options.prediction(),
            entry.options.postprocessing(summary),
            _BoundedInput(limits=self.limits, on_open=partial(self._show_duration, entry)),
        )

    def _write(self, entry: HistoryEntry, rows: FileRows | list[pa.Table], notes: str = "") -> None:
        """Take rows to the outputs of a job; what goes wrong is the job's error."""
        path, folder = self.history.media(entry.id), self.history.folder / entry.id
        page: PredictionPage | None = None
        listeners, annotator = list[Listener](), None
        results: _ResultListener | None = None
        tasks = [task.with_thresholds(self._predictor.thresholds) for task in self._predictor.tasks]
        if entry.is_listed:
            page = PredictionPage(model=self._predictor.manifest, pictures=entry.options.pictures)
            results = _ResultListener(self.history, entry, tasks, self._predictor.manifest.outputs)
            listeners = [page.add, results.add]
            if entry.options.annotate:
                annotator = Annotator(folder / "drawn", [path], self._predictor.thresholds)
        if isinstance(rows, FileRows):
            rows.open_with = annotator
        try:
            with (
                annotator or nullcontext() as frame_listener,
                PredictionOutputs(
                    self._job(entry), self._predictor, listeners, frame_listener
                ) as outputs,
            ):
                outputs.add(self._named(entry, rows), path)
                if isinstance(rows, FileRows):
                    if rows.stopped:
                        raise rows.stopped
                    notes = "; ".join(filter(None, [rows.problem, rows.remark]))
                notes = notes.replace(printable(path), entry.name)
                outputs.finish([FileResult(Path(entry.name), outputs.rows, problem=notes)])
            if page and results:
                page.write(folder / "page.html")
                results.finish()
            for drawn in (folder / "drawn").glob("*"):
                drawn.replace(folder / f"annotated{drawn.suffix}")
            shutil.rmtree(folder / "drawn", ignore_errors=True)
            self._end(entry, state=JobState.DONE, rows=outputs.rows, message=notes, progress=1.0)
        except Cancelled:
            self._stop(entry)
        except TriaffectError as error:
            self._fail(entry, error)

    def _named(self, entry: HistoryEntry, rows: FileRows | list[pa.Table]) -> Iterator[pa.Table]:
        """Yield the rows under the file's own name; an endless file ends in an error."""
        for table in rows:
            if len(table) and times_of(table)[-1] > self.limits.length_s:
                raise _too_long(self.limits, "more")
            name = text_column([printable(entry.name)] * len(table))
            yield table.set_column(table.schema.get_field_index("clip"), "clip", name)

    def _stop(self, entry: HistoryEntry) -> None:
        """End a job that was stopped: by a user, by its time, or by the end of the app."""
        if self._is_closed:
            return
        if self._stopped[entry.id].is_set():
            self._end(entry, state=JobState.CANCELLED, message="cancelled")
            return
        expected, remedy = f"at most {self.limits.work_s:g} s of work", "send a part of it"
        self._fail(entry, RequestError(504, "too_slow", expected, "more", remedy))

    def _fail(self, entry: HistoryEntry, error: Exception) -> None:
        self._end(
            entry,
            state=JobState.FAILED,
            error=describe_error(error, self.history.media(entry.id), entry.name),
            message="failed",
        )

    def _end(self, entry: HistoryEntry, **changes: Any) -> None:  # noqa: ANN401 - fields
        """Save how a job ended, and remove its file."""
        folder = self.history.folder / entry.id
        with self._condition:
            if self._state(entry) in ENDED:
                return
            self._stopped.pop(entry.id, None)  # nothing runs any more: it may be removed at once
            media = self.history.media(entry.id)
            if entry.is_recording and media.exists():
                media.replace(folder / "recording.mp4")
            media.unlink(missing_ok=True)
            self.history.update(entry, **changes, files=available_files(folder))
            self._condition.notify_all()


def describe_error(error: Exception, path: Path, name: str) -> dict[str, str]:
    """Describe an error for a page or a program.

    Args:
        error: Any error.
        path: The file that it may name, whose path is nobody's business.
        name: The name to give in its stead.

    Returns:
        ``status``, ``code``, ``expected``, ``got``, ``remedy`` and ``message``.
    """
    status, code = 500, "internal"
    if isinstance(error, RequestError):
        status, code = error.status, error.code
    elif isinstance(error, MediaError):
        status, code = 422, "not_media"
    elif isinstance(error, DiskError):
        status, code = 507, "no_room"
    elif isinstance(error, TriaffectError):
        status, code = 422, "not_possible"
    parts = {"expected": "an answer", "got": first_line(error), "remedy": ""}
    if isinstance(error, TriaffectError):
        parts = {"expected": error.expected, "got": error.got, "remedy": error.remedy}
    texts = {key: text.replace(printable(path), name) for key, text in parts.items()}
    remedy = f"; {texts['remedy']}" if texts["remedy"] else ""
    message = f"expected {texts['expected']}, got {texts['got']}{remedy}"
    return {"status": str(status), "code": code, **texts, "message": message}


def _is_small_picture(entry: HistoryEntry) -> bool:
    """Tell whether a job is a picture by its name, and nothing is to be drawn on it."""
    is_picture_name = Path(entry.name).suffix.lower() in PICTURES
    return is_picture_name and not entry.options.annotate


class _ResultListener:
    """Looks at the results so far, now and then, for the list of jobs."""

    def __init__(
        self,
        history: History,
        entry: HistoryEntry,
        tasks: Sequence[Task],
        outputs: Mapping[str, OutputValidity],
    ) -> None:
        self._history, self._entry, self._tasks = history, entry, tasks
        self._not_shown, self._not_shown_of_voices = (
            {name for name, each in words.items() if each.holds == "not shown"}
            for words in (outputs, validities_without_face(outputs))
        )
        self._summary, self._rows, self._next_s = ClipSummary(tasks), 0, 0.0

    def add(self, table: pa.Table, path: Path) -> None:
        """Take the next rows of the job's file."""
        del path
        self._summary.add(table)
        self._rows += len(table)
        if (now_s := time.monotonic()) >= self._next_s:
            self._next_s = now_s + _RESULTS_EVERY_S
            self.show(deepcopy(self._summary))

    def show(self, summary: ClipSummary) -> None:
        """Put the means of a summary, which is ended by that, into the history's entry."""
        rows = sorted(summary.rows(), key=lambda row: -float(row["clip_share"] or 0))
        results = []
        for row in rows[:_MOST_FACES]:
            face = row["face_id"]
            is_voice = face is None or face == NO_FACE
            label = "No face" if is_voice else f"Face {face}"
            not_shown = self._not_shown_of_voices if is_voice else self._not_shown
            texts = tuple(statistics_cells(row, self._tasks, not_shown))
            results.append(
                FaceResult(label=label, share=float(row["clip_share"] or 0), texts=texts)
            )
        self._history.update(self._entry, save=False, results=tuple(results), rows=self._rows)

    def finish(self) -> None:
        """Look at the results of all rows."""
        self.show(self._summary)
