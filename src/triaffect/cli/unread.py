"""Telling what a corpus has no labels of: columns that nobody reads, or no label file at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from triaffect.corpora.corpus import Corpus


def tell_unread(corpus: Corpus) -> None:
    """Say on stderr where labels may be missing by mistake.

    Columns of a table that are passed over, one of which may be misspelt; and that a folder is
    taken for one without labels.
    """
    from triaffect.corpora.media_folder import MediaFolder
    from triaffect.corpora.table import LabelTable

    names = corpus.passed_over if isinstance(corpus, LabelTable) else []
    if names:
        typer.echo(f"triaffect: warning: columns passed over: {', '.join(names)}", err=True)
    if isinstance(corpus, MediaFolder):
        typer.echo(
            f"triaffect: warning: {corpus.root}: no label file of a known form; each of its "
            f"{len(corpus.sources()):,} files is a source without labels",
            err=True,
        )
