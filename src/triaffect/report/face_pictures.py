"""Aligned pictures of faces, and a contact sheet for each person.

Of each face some moments are chosen, spread over its time, the sharpest of each part. The pictures
are turned and scaled so that eyes and mouth are at the same spots in all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pyarrow as pa
from av.error import FFmpegError
from numpy.typing import NDArray

from triaffect.errors import DiskError, MediaError
from triaffect.faces.alignment import align
from triaffect.io.atomic import make_folder, replace_file
from triaffect.media.frames_at import FramesAt
from triaffect.media.images import ImageFrames
from triaffect.media.probe import probe
from triaffect.media.video import Frame
from triaffect.tables.schema import Times, Values, faces_of, rows_by_face, times_of, values_of
from triaffect.types import NO_FACE, SourceKind

OF_FACE = 24
"""Pictures of a face of a clip, at most."""

SIDE = 160
"""Pixels of a side of a picture."""

_COLUMNS, _MOST = 8, 96
"""Of a contact sheet: pictures beside each other, and at most in all."""
_LINE = 18
"""Pixels below a picture, for its time."""
_POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
_LANDMARKS = [f"{point}_{axis}" for point in _POINTS for axis in "xy"]
_NEEDED = (*_LANDMARKS, "sharpness")
_CLOSE_S = 1e-5
"""Times in a table are rounded, but no more than this."""


class FacePictures:
    """Gathers where the faces of clips are, from rows as they come, and writes pictures of them.

    Args:
        folder: Where they go: a folder for each clip, and ``NAME.jpg`` for each person.
        images_rate: Pictures per second of a folder that is one video.

    Attributes:
        written: The contact sheets, after `finish`.
    """

    def __init__(self, folder: Path, images_rate: float | None = None) -> None:
        make_folder(folder)
        self._images_rate = images_rate
        self.folder, self.written = folder, list[Path]()
        self._source: Path | None = None
        self._times: dict[int, list[Times]] = {}
        self._marks: dict[int, list[Values]] = {}
        self._names: dict[int, str] = {}
        self._sheets: dict[str, list[tuple[str, NDArray[np.uint8]]]] = {}
        self._used: set[str] = set()

    def add(self, table: pa.Table, source: Path) -> None:
        """Take in the next rows; those of a file follow each other.

        Args:
            table: Rows with our own column names.
            source: The file that they are of.

        Raises:
            DiskError: Pictures of the file before cannot be written.
        """
        if source != self._source:
            self._close()
            self._source = source
        times, marks = times_of(table), values_of(table, _NEEDED)
        is_named = "participant" in table.column_names
        names = table["participant"].to_pylist() if is_named else [None] * len(table)
        for face, rows in rows_by_face(faces_of(table)):
            rows = rows[~np.isnan(marks[rows, :-1]).any(axis=1)]  # noqa: PLW2901
            if face == NO_FACE or not len(rows):
                continue
            self._times.setdefault(face, []).append(times[rows])
            self._marks.setdefault(face, []).append(marks[rows])
            if names[int(rows[0])] is not None:
                self._names[face] = str(names[int(rows[0])])

    def finish(self) -> None:
        """Write what is left, and the contact sheets.

        Raises:
            DiskError: They cannot be written.
        """
        self._close()
        for name, pictures in self._sheets.items():
            path = self.folder / f"{name}.jpg"
            _write(path, _contact_sheet(pictures))
            self.written.append(path)
        self._sheets.clear()

    def _close(self) -> None:
        """Write the pictures of the file that has ended."""
        if self._source is None or not self._times:
            return
        chosen: dict[float, list[tuple[int, Values]]] = {}
        for face, parts in self._times.items():
            times, marks = np.concatenate(parts), np.concatenate(self._marks[face])
            for row in _choose_rows(times, marks[:, -1]):
                landmarks = marks[row, :-1].reshape(5, 2)
                chosen.setdefault(float(times[row]), []).append((face, landmarks))
        stem = self._name(self._source)
        times_s = np.array(sorted(chosen))
        for frame in _frames_of(self._source, times_s, self._images_rate):
            time_s = float(times_s[np.abs(times_s - frame.time_s).argmin()])
            for face, landmarks in chosen.pop(time_s, []):
                picture = align(frame.rgb, landmarks.astype(np.float32), SIDE)
                who = self._names.get(face)
                folder = self.folder / stem
                make_folder(folder)
                label = f"face-{face}" if who is None else _file_name(who)
                _write(folder / f"{label}-{time_s:09.3f}s.png", picture)
                sheet = f"{stem}.{label}" if who is None else label
                self._sheets.setdefault(sheet, []).append((f"{stem} {time_s:.1f} s", picture))
        self._times, self._marks, self._names = {}, {}, {}

    def _name(self, source: Path) -> str:
        """The name of a file's folder, which no other file has on any system."""
        stem, number = _file_name(PurePosixPath(source.as_posix()).stem), 1
        name = stem
        while name.casefold() in self._used:
            number += 1
            name = f"{stem}-{number}"
        self._used.add(name.casefold())
        return name


def _choose_rows(times: Times, sharpness: Values) -> list[int]:
    """Number of the sharpest row in each of some equal parts of a face's time."""
    count = min(OF_FACE, len(times))
    edges = np.linspace(times[0], times[-1] + 1e-6, count + 1)
    part = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, count - 1)
    score = np.nan_to_num(sharpness, nan=-np.inf)
    order = np.lexsort((-score, part))
    first = np.append(True, np.diff(part[order]) > 0)
    rows: list[int] = order[first].tolist()
    return rows


def _frames_of(source: Path, times_s: Times, images_rate: float | None) -> Iterator[Frame]:
    """The frames of the moments, as far as they can be decoded; that of a picture."""
    try:
        if images_rate is not None and source.is_dir():
            images = ImageFrames(source, images_rate)
            yield from (each for each in images if np.abs(times_s - each.time_s).min() < _CLOSE_S)
            return
        opened = probe(source)
        if opened.kind is SourceKind.IMAGES:
            yield from islice(opened.frames(), 1)
        else:
            yield from FramesAt(source, set(times_s.tolist()))
    except (MediaError, FFmpegError, OSError):
        return  # moved, or a webcam: there are no pictures


def _contact_sheet(pictures: list[tuple[str, NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Pictures of a person beside each other, each with its time below it."""
    some = [pictures[k] for k in np.unique(np.linspace(0, len(pictures) - 1, _MOST).astype(int))]
    columns = min(_COLUMNS, len(some))
    rows = -(-len(some) // columns)
    sheet = np.full((rows * (SIDE + _LINE), columns * SIDE, 3), 255, np.uint8)
    for number, (label, picture) in enumerate(some):
        top, left = number // columns * (SIDE + _LINE), number % columns * SIDE
        sheet[top : top + SIDE, left : left + SIDE] = picture
        text = label.encode("ascii", "replace").decode()[-24:]
        at = (left + 3, top + SIDE + 13)
        cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.38, (60, 60, 60), 1, cv2.LINE_AA)
    return sheet


def _file_name(text: str) -> str:
    """Text as a name of a file on every system."""
    return re.sub(r"[^\w .-]", "_", text).strip(" .")[:80] or "_"


def _write(path: Path, rgb: NDArray[np.uint8]) -> None:
    """Write a picture whole or not at all."""
    is_written, content = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not is_written:
        raise DiskError("a picture that can be written", "none", where=path)
    with replace_file(path, unlocked=True) as temporary:
        temporary.write_bytes(content.tobytes())
