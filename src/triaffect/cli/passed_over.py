"""Telling which columns of a table of labels nobody reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from triaffect.corpora.corpus import Corpus


def tell_passed_over(corpus: Corpus) -> None:
    """Name on stderr the columns of a table that are passed over: one may be misspelt."""
    from triaffect.corpora.table import LabelTable

    names = corpus.passed_over if isinstance(corpus, LabelTable) else []
    if names:
        typer.echo(f"triaffect: warning: columns passed over: {', '.join(names)}", err=True)
