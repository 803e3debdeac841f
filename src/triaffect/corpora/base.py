"""What every corpus offers, and how a folder's form is recognized."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.acted_speech import EmoDb, Ravdess
from triaffect.corpora.aff_wild2 import AffWild2
from triaffect.corpora.ferplus import FerPlus
from triaffect.corpora.frame_clock import FrameClock
from triaffect.corpora.label_table import LabelTable
from triaffect.corpora.media_folder import MediaFolder
from triaffect.errors import AnnotationError
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
        """Labels of one source, in all label sets.

        Raises:
            AnnotationError: A label file of this source is wrong; ``where`` is ``file:line``.
            MediaError: A file whose length or frame rate is needed cannot be read.
        """

    def images(self, source: Source) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield 0-based frame number and RGB image (H, W, 3); nothing where there are none."""

    def frame_rate(self, source: Source) -> float:
        """Frames/s of the source's frame numbers.

        Raises:
            MediaError: The video that would tell cannot be read.
        """

    def clock(self, source: Source) -> FrameClock:
        """Which frame is shown when.

        Raises:
            MediaError: The video that would tell cannot be read.
        """

    def problems(self) -> list[AnnotationError]:
        """List mistakes in files shared by all sources that no single source can be blamed for."""


def is_stills(corpus: Corpus, source: Source) -> bool:
    """Whether a source is a set of unrelated pictures, in no order.

    Pictures that no video binds together and that are still to be aligned are no sequence.
    """
    return source.kind is SourceKind.IMAGES and source.video is None and not corpus.aligned


FORMS = (AffWild2, FerPlus, Ravdess, EmoDb, LabelTable, MediaFolder)
"""Readers in the order in which they are tried."""


def open_corpus(root: Path) -> Corpus:
    """Open a corpus of any known form.

    Args:
        root: Its folder, or its one file (FER+, a table of labels).

    Raises:
        AnnotationError: There is no such path, or it has none of the known forms.
        TableError: A table of labels lacks a column.
    """
    if not root.exists():
        raise AnnotationError("a corpus", "no such file or folder", where=root)
    for form in FORMS:
        if form.recognises(root):
            corpus: Corpus = form(root)
            return corpus
    known = " | ".join(form.form for form in FORMS)
    raise AnnotationError("a corpus of a known form", "something else", known, where=root)
