"""What every corpus offers, and how a folder's form is recognized."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.acted_speech import EmoDb, Ravdess
from triaffect.corpora.aff_wild2 import AffWild2
from triaffect.corpora.ferplus import FerPlus
from triaffect.corpora.frame_clock import FrameClock
from triaffect.corpora.label_table import LabelTable
from triaffect.corpora.media_folder import MediaFolder
from triaffect.corpora.music.jamendo import JamendoMoods
from triaffect.corpora.music.ratings import RatedSongs
from triaffect.errors import AnnotationError, PluginError
from triaffect.io.plugins import find_plugin, plugin_names
from triaffect.types import Moments, Source, SourceKind


class Corpus(Protocol):
    """Labels and media of one corpus, read from its own files.

    Opening a corpus lists its files; labels are read when asked for. A corpus can be sent to
    another process.

    Attributes:
        name: Such as ``"aff_wild2"``; the first part of every source id.
        root: The folder or file it was opened from.
        aligned: Its images are aligned 112×112 faces already, not crops still to be aligned.
    """

    name: str
    root: Path
    aligned: bool

    def sources(self) -> list[Source]:
        """List the sources, sorted by id."""

    def moments(self, source: Source) -> Moments:
        """Read the labels of one source, in all label sets.

        Args:
            source: One of `sources`.

        Returns:
            A row a moment and label set, as `triaffect.corpora.rows.build_moments` makes them;
            no rows where nothing is labeled.

        Raises:
            AnnotationError: A label file of this source is wrong; ``where`` is ``file:line``.
            MediaError: A file whose length or frame rate is needed cannot be read.
        """

    def images(self, source: Source) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield the images of one source, in order; nothing where it has none.

        Args:
            source: One of `sources`.

        Yields:
            0-based frame number, and RGB pixels, uint8, shape (H, W, 3).
        """

    def frame_rate(self, source: Source) -> float:
        """Return the frames/s of a source's frame numbers.

        Args:
            source: One of `sources`.

        Raises:
            MediaError: The video that would tell cannot be read.
        """

    def clock(self, source: Source) -> FrameClock:
        """Return the clock of a source: which frame is shown when.

        Args:
            source: One of `sources`.

        Raises:
            MediaError: The video that would tell cannot be read.
        """

    def problems(self) -> list[AnnotationError]:
        """List mistakes in files shared by all sources that no single source can be blamed for."""


class CorpusView:
    """A corpus as it is; what reads its labels otherwise inherits from this.

    Args:
        corpus: Any corpus.
    """

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self.name, self.root, self.aligned = corpus.name, corpus.root, corpus.aligned

    def sources(self) -> list[Source]:
        """List the corpus's sources."""
        return self._corpus.sources()

    def moments(self, source: Source) -> Moments:
        """Read the labels of one source; see `Corpus.moments`."""
        return self._corpus.moments(source)

    def images(self, source: Source) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield the corpus's pictures."""
        return self._corpus.images(source)

    def frame_rate(self, source: Source) -> float:
        """Return the frames/s of the corpus's frame numbers."""
        return self._corpus.frame_rate(source)

    def clock(self, source: Source) -> FrameClock:
        """Return the corpus's clock."""
        return self._corpus.clock(source)

    def problems(self) -> list[AnnotationError]:
        """List the corpus's problems."""
        return self._corpus.problems()


def is_stills(corpus: Corpus, source: Source) -> bool:
    """Return whether a source is a set of unrelated pictures, in no order.

    Pictures that no video binds together and that are still to be aligned are no sequence.

    Args:
        corpus: Whose source it is.
        source: One of its sources.
    """
    return source.kind is SourceKind.IMAGES and source.video is None and not corpus.aligned


READERS = (
    *(AffWild2, FerPlus, Ravdess, EmoDb, RatedSongs, JamendoMoods),
    *(LabelTable, MediaFolder),  # they recognize much
)
"""Readers in the order in which they are tried."""


GROUP = "triaffect.corpora"
"""Entry points of readers of other packages; see `find_reader`."""


def open_corpus(root: Path, reader: str | None = None, *, unlabeled: bool = False) -> Corpus:
    """Open a corpus of any form that this package or an installed one reads.

    Args:
        root: Its folder, or its one file (FER+, a table of labels).
        reader: Name of a reader among entry points, or a dotted path such as
            ``"my_module:MyCorpus"``; None for the first that recognizes the corpus, those of
            other packages first: a table of labels recognizes much. One of an installed package
            that cannot be loaded is left out, with a warning.
        unlabeled: Whether labels come from elsewhere: a table of one's own may be without any,
            and tables beside media in a folder that no reader recognizes are passed over.

    Raises:
        AnnotationError: There is no such path, or no reader recognizes it.
        TableError: A table of labels lacks a column.
        PluginError: The reader is missing, fails on import, or is none.
    """
    if not root.exists():
        raise AnnotationError("a corpus", "no such file or folder", where=root)
    if reader is not None:
        opened: Corpus = find_reader(reader)(root)
        return opened
    readers: list[Any] = []
    for name in plugin_names(GROUP):
        try:
            readers.append(find_reader(name))
        except PluginError as error:
            warnings.warn(str(error), stacklevel=2)
    readers += READERS
    for each in readers:
        if each.recognizes(root):
            opened = LabelTable(root, unlabeled=unlabeled) if each is LabelTable else each(root)
            return opened  # noqa: RET504 - its type is known here alone
    if unlabeled and root.is_dir():
        return MediaFolder(root)
    expected = " | ".join(each.description for each in readers)
    raise AnnotationError("a corpus of a known form", "something else", expected, where=root)


def find_reader(name: str) -> Any:  # noqa: ANN401 - a class that makes a Corpus
    """Find the reader of another package: a class that keeps the contract of `Corpus`.

    It is made from the corpus's path; ``description`` states what it reads, and the class method
    ``recognizes(root)`` returns whether a path is of that form.

    Args:
        name: Name of an entry point, or a dotted path such as ``"my_module:MyCorpus"``.

    Returns:
        The class.

    Raises:
        PluginError: It is missing, fails on import, or lacks one of these.
    """
    plugin = find_plugin(GROUP, name)
    if plugin is None:
        names = ", ".join(plugin_names(GROUP)) or "none is installed"
        raise PluginError(f"a reader of a corpus among entry points ({names})", repr(name))
    reader = plugin.load(f"corpus {name.rpartition(':')[2]}")
    lacks = [
        each for each in (*_CONTRACT, "description", "recognizes") if not hasattr(reader, each)
    ]
    if lacks:
        got = f"one without {', '.join(lacks)}"
        raise PluginError(f"a corpus as {plugin.path}", got, "see triaffect.corpora.base.Corpus")
    return reader


_CONTRACT = (
    *("description", "recognizes"),
    *("sources", "moments", "images", "frame_rate", "clock", "problems"),
)
"""What a reader of a `Corpus` has."""
