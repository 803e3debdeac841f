"""A folder of videos, pictures and sounds without labels.

Every such file is a source, those in inner folders too; hidden files are none. There are no
labels: a store of it has vectors and no moments.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triaffect.corpora.label_table import CSV, PARQUET, can_be_clip
from triaffect.corpora.own_media import OwnMedia, media_in
from triaffect.corpora.rows import join_moments
from triaffect.errors import AnnotationError
from triaffect.tasks.task import shown
from triaffect.types import Moments, Source

TABLES = (CSV, PARQUET, ".tsv", ".xlsx", ".ods")
"""Endings of files that may hold labels, readable or not."""


class MediaFolder(OwnMedia):
    """Reader of a folder without labels.

    Args:
        root: The folder.
    """

    name = "media"
    form = f"folder of videos, pictures or sounds without labels, and no {', '.join(TABLES)} in it"

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        files = sorted(path.relative_to(root).as_posix() for path in media_in(root))
        self._files = [file for file in files if can_be_clip(file)]
        self._unnameable = [file for file in files if not can_be_clip(file)]

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Whether it is a folder of media beside which lies no table, perhaps of labels."""
        if not root.is_dir() or any(path.suffix.lower() in TABLES for path in _in(root)):
            return False
        return any(True for _ in media_in(root))

    def sources(self) -> list[Source]:
        """List one source a file, sorted by id."""
        return [self._source(self.root, file) for file in self._files]

    def moments(self, source: Source) -> Moments:
        """No rows."""
        del source
        return join_moments([])

    def problems(self) -> list[AnnotationError]:
        """List the files that are left out because of their names."""
        return [
            AnnotationError("a file name that is one on every system", shown(file),
                            "rename the file", where=self.root)
            for file in self._unnameable
        ]  # fmt: skip


def _in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith("."))
