"""``triaffect extract``: a corpus into a feature store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from triaffect.cli.progress import progress_bar
from triaffect.errors import MediaError


def extract(
    corpus: Annotated[
        Path, typer.Argument(help="Folder or file of the corpus.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(help="The store: made, resumed, or added to.", show_default=False)
    ],
    face: Annotated[
        str, typer.Option(help="Face extractor: default, gray64, none, or a model folder.")
    ] = "default",
    voice: Annotated[
        str, typer.Option(help="Voice extractor: default, logmel64, none, or a model folder.")
    ] = "default",
    jobs: Annotated[int, typer.Option(help="Worker processes.", min=1)] = 2,
    va_delay: Annotated[
        str,
        typer.Option(
            help="How long raters of valence and arousal lag behind, such as 0.4s or 400ms."
        ),
    ] = "0s",
    limit: Annotated[
        int | None, typer.Option(help="Only the first so many sources.", min=1, show_default=False)
    ] = None,
) -> None:
    """Run face and voice extractors over a corpus and keep the results in a feature store.

    Sources that the store has already are skipped, so an interrupted extraction is resumed by
    running it again; but one whose files or labels have changed since is refused. A source that
    cannot be read is named at the end.
    """
    from triaffect.corpora.corpus import open_corpus
    from triaffect.corpora.delay import DelayedRatings, read_delay
    from triaffect.features.extract import extract as run

    delay_s = read_delay(va_delay)
    opened = open_corpus(corpus)
    if delay_s:
        opened = DelayedRatings(opened, delay_s)
        if still := opened.unmoved():
            sys.stderr.write(
                f"triaffect: warning: --va-delay moves no labels of unrelated pictures: "
                f"{len(still)} sources, such as {still[0]}\n"
            )
    with progress_bar() as progress:
        report = run(opened, out, face, voice, jobs, limit, progress)
    for kind, messages in (("left out", report.failures), ("incomplete", report.problems)):
        for source, message in messages.items():
            sys.stderr.write(f"triaffect: warning: {source} is {kind}: {message}\n")
    for mistake in report.mistakes:
        sys.stderr.write(f"triaffect: warning: {mistake}\n")
    if not report.added + report.there:
        raise MediaError(
            "a source that can be read", "none", "see the warnings above", where=corpus
        )
    typer.echo(
        f"{out}: added {report.added} sources ({report.faces} face rows, {report.voices} voice "
        f"rows, {report.moments} labelled moments) in {report.seconds:.1f} s; "
        f"{report.there} were there; {len(report.failures)} left out"
    )
