"""One's own videos, pictures and sounds: each file is a source.

A folder without labels has every such file as a source, those in inner folders too; hidden files
are none. A store of it has vectors and no moments. A table of labels names its files itself; see
`triaffect.corpora.label_table`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.frame_clock import FrameClock, video_clock
from triaffect.corpora.rows import DEFAULT_RATE, join_moments, source_frame_rate
from triaffect.errors import AnnotationError
from triaffect.media.find import MEDIA, kind_by_name
from triaffect.media.probe import read_image
from triaffect.tasks.task import shown
from triaffect.types import Moments, Source, SourceKind

CSV, PARQUET = ".csv", ".parquet"
TABLES = (CSV, PARQUET, ".tsv", ".xlsx", ".ods")
"""Endings of files that may hold labels, readable or not."""

_NEVER_IN_NAMES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's control characters, line ends, and what stands for bytes that are no text."""

_LONGEST_NAME = 255
"""Bytes that a file's name may have on common systems."""


class OwnMedia:
    """Videos, pictures and sounds of any kind, told apart by the end of their names.

    Attributes:
        name: First part of the source ids.
    """

    name: str
    aligned = False

    def __init__(self) -> None:
        self._clocks: dict[str, FrameClock] = {}

    def images(self, source: Source) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield frame 0 and the picture of a source that is one; nothing for another.

        Args:
            source: One of `sources`.

        Yields:
            0, and RGB pixels, uint8, shape (H, W, 3).

        Raises:
            AnnotationError: A label file names it, and it is not there.
            MediaError: The picture cannot be read.
        """
        self._check_there(source)
        if source.images is not None:
            yield 0, read_image(source.images)

    def frame_rate(self, source: Source) -> float:
        """Return the average frames/s of a video, 30 for anything else.

        Args:
            source: One of `sources`.

        Raises:
            AnnotationError: A label file names it, and it is not there.
            MediaError: The video cannot be read.
        """
        self._check_there(source)
        return source_frame_rate(source)

    def clock(self, source: Source) -> FrameClock:
        """Return the clock of every frame's own time stamp; of what is no video, 30 frames/s.

        The clock of a video is read once for each corpus.

        Args:
            source: One of `sources`.

        Raises:
            AnnotationError: A label file names it, and it is not there.
            MediaError: The video cannot be read.
        """
        if source.video is None:
            return FrameClock(DEFAULT_RATE)
        self._check_there(source)
        if source.source_id not in self._clocks:
            self._clocks[source.source_id] = video_clock(source.video)
        return self._clocks[source.source_id]

    def problems(self) -> list[AnnotationError]:
        """List nothing: what is wrong is told with its source, or when the corpus is opened."""
        return []

    def _check_there(self, source: Source) -> None:
        """Raise in the corpus's own words that a source's file is not there; here, never."""

    def _source(self, folder: Path, file: str) -> Source:
        """Make the source that is a file of a folder."""
        path, source_id = folder / file, f"{self.name}/{file}"
        kind = kind_by_name(path.suffix)
        if kind is SourceKind.IMAGES:
            return Source(source_id, kind, images=path)
        if kind is SourceKind.SOUND:
            return Source(source_id, kind, sound=path)
        return Source(source_id, kind, video=path, sound=path)


class MediaFolder(OwnMedia):
    """Reader of a folder without labels.

    Args:
        root: The folder.

    Attributes:
        passed_over: Files in it whose endings are not those of media.
    """

    name = "media"
    description = (
        f"folder of videos, pictures or sounds without labels, and no {', '.join(TABLES)} in it"
    )

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.passed_over: list[Path] = []
        inside = list(media_in(root, self.passed_over))
        files = sorted(path.relative_to(root).as_posix() for path in inside)
        self._files = [file for file in files if can_be_clip(file)]
        self._unnameable = [file for file in files if not can_be_clip(file)]

    @classmethod
    def recognizes(cls, root: Path) -> bool:
        """Return whether a path is of this corpus's form.

        Args:
            root: A folder with media in it and no table, which may hold labels, beside them.
        """
        if not root.is_dir():
            return False
        files = (path for path in root.iterdir() if not path.name.startswith("."))
        if any(path.suffix.lower() in TABLES for path in files):
            return False
        return any(True for _ in media_in(root))

    def sources(self) -> list[Source]:
        """List one source a file, sorted by id."""
        return [self._source(self.root, file) for file in self._files]

    def moments(self, source: Source) -> Moments:
        """Return no rows: a folder has no labels."""
        del source
        return join_moments([])

    def problems(self) -> list[AnnotationError]:
        """List the files that are left out because of their names."""
        return [
            AnnotationError("a file name that is one on every system", shown(file),
                            "rename the file", where=self.root)
            for file in self._unnameable
        ]  # fmt: skip


def media_in(root: Path, passed_over: list[Path] | None = None) -> Iterator[Path]:
    """Yield the media files in a folder and in those in it, in any order; hidden ones are none.

    Args:
        root: The folder. What a file is, is told by its ending.
        passed_over: Gets the other files that are not hidden.
    """
    for path in root.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if hidden or not path.is_file():
            continue
        if path.suffix.lower() in MEDIA:
            yield path
        elif passed_over is not None:
            passed_over.append(path)


def can_be_clip(clip: str) -> bool:
    """Return whether a path can be a file's, is relative and never climbs, on any system.

    Args:
        clip: A path relative to a corpus's folder, with slashes or backslashes.

    Examples:
        >>> can_be_clip("monday/a.mp4"), can_be_clip("../a.mp4"), can_be_clip("C:/a.mp4")
        (True, False, False)
    """
    if any(unicodedata.category(letter) in _NEVER_IN_NAMES for letter in clip):
        return False
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind(clip)
        if not path.name or path.anchor or ".." in path.parts:
            return False
        if any(len(part.encode()) > _LONGEST_NAME for part in path.parts):
            return False
    return True
