"""Annotated copies of videos: what a prediction table says, drawn on the frames.

A second pass over each video, with its rows as they come, so that neither is in memory whole.
Frames keep their times, and the sound is kept. A frame without rows of its own shows the
latest before it. Videos whose shorter side is less than 360 pixels are enlarged by a whole
number, or their words could not be read. A picture becomes a picture; a sound alone gets no copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from types import MappingProxyType, TracebackType

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
from av.error import FFmpegError
from numpy.typing import NDArray

from triaffect.errors import DiskError, TableError, TriaffectError
from triaffect.io.atomic import check_output, make_folder, replace_file
from triaffect.media.audio import sound_chunks
from triaffect.media.find import camera_number
from triaffect.media.images import ImageFrames
from triaffect.media.probe import probe, read_image
from triaffect.media.video import DEFAULT_RATE, Frame, VideoFrames
from triaffect.media.writer import Add, timed_video
from triaffect.report.drawing import Drawn, draw
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.types import SourceKind

VIDEO, PICTURE = ".mp4", ".png"
_SOUND_RATE = 48_000
_READABLE = 360
"""Pixels of the shorter side from which on words can be read."""


class Annotator:
    """Draws the rows of files, which come one file after another, in parts.

    To be used in a ``with`` statement; a copy is whole or not there.

    Args:
        place: An ``.mp4`` (or, for a picture, ``.png``) for one input, else a folder, made if
            it is not there, for ``NAME.annotated.mp4``.
        files: All inputs.
        thresholds: From which probability on a unit is active, by column; 0.5 for one not named.
        tasks: What to draw.
        images_rate: Pictures per second of a folder that is one video.

    Raises:
        TableError: Copies cannot be written there, or it is not clear of what.
        MediaError: One input was given, and it cannot be read.
    """

    def __init__(
        self,
        place: Path,
        files: Sequence[Path],
        thresholds: Mapping[str, float] = MappingProxyType({}),
        images_rate: float | None = None,
        tasks: Sequence[Task] = TASKS,
    ) -> None:
        self._place, self._images_rate = place, images_rate
        self._read = partial(Drawn.of_row, tasks=tasks, thresholds=thresholds)
        self._single = place.suffix.lower() in (VIDEO, PICTURE) and not place.is_dir()
        self._check(files)
        self._stack = ExitStack()
        self._of: Path | None = None
        self._copy: _Copy | None = None
        self._used: set[str] = set()

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
            with _told(self._place):
                self._copy.add(table)

    def _end(self) -> None:
        with _told(self._place), self._stack:
            if self._copy:
                self._copy.finish()
        self._of = self._copy = None

    def _check(self, files: Sequence[Path]) -> None:
        if any(camera_number(path) is not None for path in files):
            got = "a camera, whose frames are gone by then"
            raise TableError("a file to draw on", got, where="--annotate")
        if not self._single:
            if self._place.suffix:
                expected = f"a name that ends in {VIDEO} or {PICTURE}, or a folder"
                if not self._place.is_dir():
                    raise TableError(expected, f"'{self._place.suffix}'", where=self._place)
            make_folder(self._place)
            return
        check_output(self._place)
        if len(files) != 1:
            raise TableError("a folder for several inputs", "a file's name", where=self._place)
        expected = self._suffix(files[0])
        if self._place.suffix.lower() != expected:
            got = f"'{self._place.suffix}'"
            raise TableError(f"a name that ends in {expected or 'nothing: a sound'}", got,
                             where=self._place)  # fmt: skip
        if self._place.exists() and self._place.samefile(files[0]):
            raise TableError("another file", "the input itself", where=self._place)

    def _suffix(self, path: Path) -> str:
        """How the name of a copy ends; empty if there is nothing to draw on."""
        if self._is_sequence(path):
            return VIDEO
        kind = probe(path).kind
        return {SourceKind.VIDEO: VIDEO, SourceKind.IMAGES: PICTURE}.get(kind, "")

    def _is_sequence(self, path: Path) -> bool:
        return self._images_rate is not None and path.is_dir()

    def _begin(self, path: Path) -> _Copy | None:
        suffix = self._suffix(path)
        if not suffix:
            return None
        place = self._place if self._single else self._place / self._name(path, suffix)
        if suffix == PICTURE:
            add = self._stack.enter_context(_picture(place))
            return _Copy(iter([Frame(0, 0.0, read_image(path))]), add, self._read)
        frames: VideoFrames | ImageFrames
        if self._is_sequence(path):
            frames, sound = ImageFrames(path, self._images_rate or DEFAULT_RATE), None
            rate = frames.rate
        else:
            frames = VideoFrames(path)
            rate = frames.info.frame_rate
            sound = sound_chunks(path, _SOUND_RATE) if frames.info.has_sound else None
        add = self._stack.enter_context(timed_video(place, rate, sound, _SOUND_RATE))
        return _Copy(iter(frames), add, self._read)

    def _name(self, path: Path, suffix: str) -> str:
        """A name that no other input has: with a number if need be."""
        stem = path.name if self._is_sequence(path) else path.stem
        name, number = f"{stem}.annotated{suffix}", 2
        while name in self._used:
            name, number = f"{stem}-{number}.annotated{suffix}", number + 1
        self._used.add(name)
        return name


class _Copy:
    """One video, drawn on in step with its rows."""

    def __init__(
        self, frames: Iterator[Frame], add: Add, read: Callable[[Mapping[str, object]], Drawn]
    ) -> None:
        self._frames, self._add, self._read = frames, add, read
        self._waiting = next(frames, None)
        self._number: int | None = None
        self._faces: list[Drawn] = []

    def add(self, table: pa.Table) -> None:
        for number, rows in groupby(table.to_pylist(), lambda row: int(row["frame"])):
            if number != self._number:
                self._write(number)
                self._number, self._faces = number, []
            self._faces += map(self._read, rows)

    def finish(self) -> None:
        self._write(None)

    def _write(self, before: int | None) -> None:
        """Write the frames before one, with the latest rows; all that are left if it is None."""
        while self._waiting is not None and (before is None or self._waiting.index < before):
            self._add(self._waiting.time_s, _drawn_on(self._waiting.rgb, self._faces))
            self._waiting = next(self._frames, None)


def _drawn_on(rgb: NDArray[np.uint8], faces: Sequence[Drawn]) -> NDArray[np.uint8]:
    times = max(1, math.ceil(_READABLE / min(rgb.shape[:2])))
    if times > 1:
        size = (rgb.shape[1] * times, rgb.shape[0] * times)
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    picture = rgb.copy()
    draw(picture, [face.enlarged(times) for face in faces])
    return picture


@contextmanager
def _picture(place: Path) -> Iterator[Add]:
    def add(time_s: float, rgb: NDArray[np.uint8]) -> None:
        del time_s
        _, coded = cv2.imencode(PICTURE, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        with replace_file(place) as aside:
            aside.write_bytes(coded.tobytes())

    yield add


@contextmanager
def _told(place: Path) -> Iterator[None]:
    """Tell in one line what kept a copy from being written."""
    try:
        yield
    except TriaffectError:
        raise
    except (OSError, FFmpegError) as error:
        got = getattr(error, "strerror", None) or str(error)
        remedy = "make room or allow it, then run the same command again"
        raise DiskError("a copy that can be written", got, remedy, where=place) from error


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
        rows = table[table["clip"] == str(path)]
    if rows.empty:
        clips = ", ".join(map(str, table["clip"].unique()[:3]))
        raise TableError(f"rows whose clip is {path}", f"those of {clips or 'no clip'}")
    with Annotator(Path(output), [Path(path)], thresholds or {}) as annotator:
        annotator.add(pa.Table.from_pandas(rows, preserve_index=False), Path(path))
