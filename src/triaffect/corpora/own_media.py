"""What corpora of one's own videos, pictures and sounds share: each file is a source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.frame_clock import FrameClock, video_clock
from triaffect.corpora.rows import DEFAULT_RATE, source_frame_rate
from triaffect.errors import AnnotationError
from triaffect.media.find import MEDIA, kind_by_name
from triaffect.media.probe import read_image
from triaffect.types import Source, SourceKind


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

        Raises:
            AnnotationError: A label file names it, and it is not there.
            MediaError: The picture cannot be read.
        """
        self._check_there(source)
        if source.images is not None:
            yield 0, read_image(source.images)

    def frame_rate(self, source: Source) -> float:
        """Average frames/s of a video, 30 for anything else.

        Raises:
            AnnotationError: A label file names it, and it is not there.
            MediaError: The video cannot be read.
        """
        self._check_there(source)
        return source_frame_rate(source)

    def clock(self, source: Source) -> FrameClock:
        """Every frame's own time stamp; of what is no video, 30 frames/s.

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
        """Tell in the corpus's own words that a source's file is not there; here, in none."""

    def _source(self, folder: Path, file: str) -> Source:
        """The source that is a file of a folder."""
        path, source_id = folder / file, f"{self.name}/{file}"
        kind = kind_by_name(path.suffix)
        if kind is SourceKind.IMAGES:
            return Source(source_id, kind, images=path)
        if kind is SourceKind.SOUND:
            return Source(source_id, kind, sound=path)
        return Source(source_id, kind, video=path, sound=path)


def media_in(root: Path) -> Iterator[Path]:
    """Media files in a folder and in those in it, in any order; hidden ones are none."""
    for path in root.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.suffix.lower() in MEDIA and not hidden and path.is_file():
            yield path
