"""``triaffect corpus``: make a corpus, or check one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triaffect.cli._shared import tell_unread
from triaffect.io.atomic import check_output, write_json

corpus_app = typer.Typer(no_args_is_help=True, help="Make a corpus, or check one.")

_WRONG_SHOWN = 20
"""How many mistakes and broken files are listed before the rest is only counted."""


@corpus_app.command()
def synth(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder for the corpus.")],
    people: Annotated[int, typer.Option(min=3, help="Number of people, each in one split.")] = 60,
    seconds: Annotated[float, typer.Option(min=1.0, help="Mean length of a video.")] = 2.0,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same corpus.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes to work in parallel.")] = 2,
) -> None:
    """Make a corpus of rendered faces and voices in the exact form of Aff-Wild2."""
    from triaffect.cli._shared import progress_bar
    from triaffect.synthetic.generate import generate
    from triaffect.synthetic.plan import Plan

    plan = Plan(people=people, seconds=seconds, seed=seed)
    with progress_bar() as progress:
        generate(folder, plan, jobs, lambda done, total: progress(done, total, "videos"))


@corpus_app.command()
def check(
    corpus: Annotated[Path, typer.Argument(metavar="DIR", help="Folder or file of the corpus.")],
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write everything here.", show_default=False)
    ] = None,
    labels_only: Annotated[
        bool, typer.Option("--labels-only", help="Look into no video, picture or sound.")
    ] = False,
    face_sources: Annotated[
        int, typer.Option(min=0, help="Look for faces in so many sources at most.")
    ] = 300,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that look into media.")] = 2,
) -> None:
    """Read all labels of a corpus and look into its media: what it holds, what is wrong with it.

    Mistakes and broken files are listed one a line; the exit code is then 2. People and videos
    shared between splits are told, and so are small faces and missing sound: warnings.
    """
    from rich.console import Console

    from triaffect.cli._shared import progress_bar
    from triaffect.cli._tables import corpus_page, wrong_lines
    from triaffect.corpora.base import open_corpus
    from triaffect.corpora.integrity import survey
    from triaffect.features.media_check import check_media

    if json_ is not None:
        check_output(json_)
    opened = open_corpus(corpus)
    tell_unread(opened)
    with progress_bar() as progress:
        found = survey(opened, lambda done, total, name: progress(done, total, f"labels {name}"))
    media = None
    if not labels_only:
        with progress_bar() as progress:
            media = check_media(opened, jobs, face_sources, progress)
    if json_ is not None:
        about = {"corpus": opened.name, **found.to_json(), "media": media and media.to_json()}
        write_json(json_, about)
    console = Console(highlight=False, soft_wrap=True)
    for part in corpus_page(opened.name, found, media):
        console.print(part)
    wrong = wrong_lines(found, media)
    for line in wrong[:_WRONG_SHOWN]:
        typer.echo(f"wrong: {line}", err=True)
    if len(wrong) > _WRONG_SHOWN:
        typer.echo(
            f"and {len(wrong) - _WRONG_SHOWN} more: write them to a file by --json", err=True
        )
    if wrong:
        raise typer.Exit(2)
