"""Annotated copies of videos: predictions drawn on the frames.

Of a single file that is being predicted, the frames that prediction decodes are kept until their
rows come, some 50 frames later. Where that would take too much memory, and of files whose
rows were computed before, the video is decoded a second time, in step with its rows, so that
neither is in memory whole. Frames keep their times, and the sound is kept. A frame without rows
of its own shows the latest before it. Videos whose shorter side is less than 360 pixels are
enlarged by a whole number, or their words could not be read. A picture becomes a picture; a
sound alone gets no copy.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pyarrow as pa
from av.error import FFmpegError
from numpy.typing import NDArray

from triaffect.errors import DiskError, TableError, TriaffectError, printable
from triaffect.io.atomic import check_output, make_folder, replace_file
from triaffect.media.find import webcam_number
from triaffect.media.images import FrameSource, ImageFrames
from triaffect.media.probe import MediaFile, probe
from triaffect.media.video import DEFAULT_RATE, Frame
from triaffect.media.writer import Add, timed_video
from triaffect.prediction.options import Options
from triaffect.report.drawing import Drawn, WordPositions, draw
from triaffect.tables.presence import PresenceFilter
from triaffect.tables.schema import tasks_in
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.types import SourceKind

if TYPE_CHECKING:
    import pandas as pd

VIDEO, PICTURE = ".mp4", ".png"
_SOUND_RATE = 48_000
_SUFFIXES = {SourceKind.VIDEO: VIDEO, SourceKind.IMAGES: PICTURE}
"""How the name of a copy ends, by what a file is."""

_READABLE = 360
"""Pixels of the shorter side from which on words can be read."""

_FRAMES_BEHIND = 60
"""Roughly how many frames are decoded before the rows of the first of them come."""

_LONGEST_STEM = 200
"""Bytes of an input's name in that of its copy: systems take 255 with all endings."""

_MOST_BYTES = 2**29
"""Memory for such frames: enough for 1920 by 1080 pixels. Larger ones are decoded again."""


class Annotator:
    """Draws the rows of files, which come one file after another, in parts.

    To be used in a ``with`` statement; a copy is whole or not there.

    Args:
        output_path: An ``.mp4`` (or, for a picture, ``.png``) for one input, else a folder, made if
            it is not there, for ``NAME.annotated.mp4``.
        files: All inputs.
        thresholds: From which probability on a unit is active, by column; 0.5 for one not named.
        tasks: What to draw.
        images_rate: Pictures per second of a folder that is one video.
        sound_track: Which of several sounds the copies get, from 1; None chooses by itself.

    Raises:
        TableError: Copies cannot be written there, or it is not clear of what.
        MediaError: One input was given, and it cannot be read.
    """

    def __init__(
        self,
        output_path: Path,
        files: Sequence[Path],
        thresholds: Mapping[str, float] = MappingProxyType({}),
        images_rate: float | None = None,
        tasks: Sequence[Task] = TASKS,
        sound_track: int | None = None,
    ) -> None:
        self._sound_track = sound_track
        self._output_path, self._images_rate = output_path, images_rate
        self._read = partial(Drawn.of_row, tasks=tasks, thresholds=thresholds)
        self._tasks = [task.with_thresholds(thresholds) for task in tasks]
        self._single = output_path.suffix.lower() in (VIDEO, PICTURE) and not output_path.is_dir()
        self._check(files)
        self._used: set[str] = set()
        self._stack = ExitStack()
        self._of: Path | None = None
        self._copy: _Copy | None = None
        self._opened: MediaFile | None = None
        self._frames: deque[Frame] | None = None

    def __enter__(self) -> Annotator:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the last copy, or throw it away after an error."""
        if error is None:
            self._end()
        else:
            self._stack.__exit__(kind, error, trace)

    def open(self, source: MediaFile | FrameSource, options: Options) -> None:
        """Take part in reading a file that is about to be predicted.

        Args:
            source: The opened file.
            options: Of the prediction.

        Raises:
            TableError: The name of the copy does not fit what the only input is.
        """
        self._opened = self._frames = None
        if not isinstance(source, MediaFile):
            return
        self._check_suffix(_SUFFIXES.get(source.kind, ""))
        self._opened = source
        video = source.video.info if source.video else None
        waiting = _FRAMES_BEHIND + (options.stride_s or 0.0) * video.frame_rate if video else 1
        if video is None or waiting * video.width * video.height * 3 <= _MOST_BYTES:
            self._frames = deque()
            source.on_frame = self._frames.append

    def add(self, table: pa.Table, path: Path) -> None:
        """Draw the next rows.

        Args:
            table: Rows of a prediction table, in its order.
            path: The file that they are of, one of those given at the beginning.

        Raises:
            DiskError: There is no room.
        """
        if path != self._of:
            self._end()
            self._of, self._copy = path, self._begin(path)
        if self._copy:
            with _disk_errors(self._output_path):
                self._copy.add(table)

    def _end(self) -> None:
        with _disk_errors(self._output_path), self._stack:
            if self._copy:
                self._copy.finish()
        self._of = self._copy = None

    def _check(self, files: Sequence[Path]) -> None:
        if any(webcam_number(path) is not None for path in files):
            got = "a camera, whose frames are gone by then"
            raise TableError("a file to draw on", got, where="--annotate")
        if not self._single:
            if self._output_path.suffix:
                expected = f"a name that ends in {VIDEO} or {PICTURE}, or a folder"
                if not self._output_path.is_dir():
                    raise TableError(
                        expected, f"'{self._output_path.suffix}'", where=self._output_path
                    )
            make_folder(self._output_path)
            return
        check_output(self._output_path)
        if len(files) != 1:
            raise TableError(
                "a folder for several inputs", "a file's name", where=self._output_path
            )
        if self._output_path.exists() and self._output_path.samefile(files[0]):
            raise TableError("another file", "the input itself", where=self._output_path)

    def _check_suffix(self, expected: str) -> None:
        """See that the name of the copy fits what the only input is.

        Raises:
            TableError: It does not.
        """
        if self._single and self._output_path.suffix.lower() != expected:
            words = f"a name that ends in {expected or 'nothing: a sound'}"
            raise TableError(words, f"'{self._output_path.suffix}'", where=self._output_path)

    def _begin(self, path: Path) -> _Copy | None:
        """Begin the copy of a file, on the frames that prediction decodes if it shares them."""
        if self._images_rate is not None and path.is_dir():
            images = iter(ImageFrames(path, self._images_rate))
            add = self._video(path.name, self._images_rate, None)
            return _Copy(lambda: next(images, None), add, self._read, self._tasks)
        source, shared = self._opened, self._frames
        if source is None or source.path != path or shared is None:
            source, shared = probe(path), None
            source.sound_track = self._sound_track
        suffix = _SUFFIXES.get(source.kind, "")
        self._check_suffix(suffix)
        if not suffix:
            return None
        own = source.frames() if shared is None else iter(())
        waiting = deque[Frame]() if shared is None else shared

        def next_frame() -> Frame | None:
            return waiting.popleft() if waiting else next(own, None)

        if suffix == PICTURE:
            add = partial(_write_picture, self._copy_path(path.stem, PICTURE))
        else:
            sound = source.sound(_SOUND_RATE) if source.has_sound else None
            add = self._video(
                path.stem, source.video.info.frame_rate if source.video else DEFAULT_RATE, sound
            )
        is_video = suffix == VIDEO
        return _Copy(next_frame, add, self._read, self._tasks, is_video=is_video)

    def _video(self, stem: str, rate: float, sound: Iterator[NDArray[np.float32]] | None) -> Add:
        self._check_suffix(VIDEO)
        path = self._copy_path(stem, VIDEO)
        return self._stack.enter_context(timed_video(path, rate, sound, _SOUND_RATE))

    def _copy_path(self, stem: str, suffix: str) -> Path:
        """Where a copy goes: in a folder, under a name that no other input has."""
        if self._single:
            return self._output_path
        stem = os.fsdecode(os.fsencode(stem)[:_LONGEST_STEM])
        name, number = f"{stem}.annotated{suffix}", 2
        while name in self._used:
            name, number = f"{stem}-{number}.annotated{suffix}", number + 1
        self._used.add(name)
        return self._output_path / name


class _Copy:
    """One video, drawn on in step with its rows."""

    def __init__(
        self,
        next_frame: Callable[[], Frame | None],
        add: Add,
        read: Callable[[Mapping[str, object]], Drawn],
        tasks: Sequence[Task],
        *,
        is_video: bool = True,
    ) -> None:
        self._next_frame, self._add, self._read = next_frame, add, read
        self._waiting: Frame | None = None
        self._number: int | None = None
        self._faces: list[Drawn] = []
        self._tasks = tasks
        self._presence: PresenceFilter | None = None
        self._positions: WordPositions | None = WordPositions() if is_video else None

    def add(self, table: pa.Table) -> None:
        """Draw the next rows as soon as it is clear what is present in them."""
        if self._presence is None:
            self._presence = PresenceFilter(tasks_in(table.column_names, self._tasks))
        self._draw(self._presence.add(table))

    def finish(self) -> None:
        """Draw the rows and frames that are left."""
        decided = self._presence.finish() if self._presence else None
        if decided is not None:
            self._draw(decided)
        self.write_frames(before=None)

    def _draw(self, table: pa.Table) -> None:
        for number, rows in groupby(table.to_pylist(), lambda row: int(row["frame"])):
            if number != self._number:
                self.write_frames(before=number)
                self._number, self._faces = number, []
            self._faces += map(self._read, rows)

    def write_frames(self, before: int | None) -> None:
        """Write the frames before one, with the latest rows; all that are left if it is None."""
        frame = self._waiting or self._next_frame()
        while frame is not None and (before is None or frame.index < before):
            self._add(frame.time_s, _drawn_on(frame, self._faces, self._positions))
            frame = self._next_frame()
        self._waiting = frame


def _drawn_on(
    frame: Frame, faces: Sequence[Drawn], positions: WordPositions | None
) -> NDArray[np.uint8]:
    """The frame with its faces drawn; of a video, with its time, and words that stay put."""
    rgb = frame.rgb
    times = max(1, math.ceil(_READABLE / min(rgb.shape[:2])))
    if times > 1:
        size = (rgb.shape[1] * times, rgb.shape[0] * times)
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    picture = rgb.copy()
    time_s = None if positions is None else frame.time_s
    draw(picture, [face.enlarged(times) for face in faces], time_s, positions)
    return picture


def _write_picture(output_path: Path, time_s: float, rgb: NDArray[np.uint8]) -> None:
    del time_s  # a picture has none
    _, coded = cv2.imencode(PICTURE, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    with replace_file(output_path) as temporary:
        temporary.write_bytes(coded.tobytes())


@contextmanager
def _disk_errors(output_path: Path) -> Iterator[None]:
    """Turn what keeps a copy from being written into an error of one line."""
    try:
        yield
    except TriaffectError:
        raise
    except (OSError, FFmpegError) as error:
        got = getattr(error, "strerror", None) or str(error)
        remedy = "make room or allow it, then run the same command again"
        raise DiskError("a copy that can be written", got, remedy, where=output_path) from error


def annotate_table(
    table: pd.DataFrame,
    path: str | Path,
    output: str | Path,
    thresholds: Mapping[str, float] | None = None,
) -> None:
    """Draw a prediction table on a copy of its video or picture.

    Args:
        table: The table; of several clips, the one whose ``clip`` is the path is drawn.
        path: The video or picture.
        output: The copy, or a folder for it.
        thresholds: From which probability on a unit is active, by column; 0.5 for others.

    Raises:
        TableError: The table has no rows of it, or a copy cannot be written there.
        MediaError: It cannot be read.
    """
    if "clip" not in table.columns or "frame" not in table.columns:
        raise TableError("a prediction table", "one without clip and frame", where="table")
    rows = table
    if table["clip"].nunique() != 1:
        rows = table[table["clip"] == printable(path)]
    if rows.empty:
        clips = ", ".join(map(str, table["clip"].unique()[:3]))
        raise TableError(f"rows whose clip is {path}", f"those of {clips or 'no clip'}")
    with Annotator(Path(output), [Path(path)], thresholds or {}) as annotator:
        annotator.add(pa.Table.from_pandas(rows, preserve_index=False), Path(path))
