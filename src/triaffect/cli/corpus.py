"""``triaffect corpus``: make a corpus, or check one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triaffect.cli._shared import (
    JobsOption,
    JsonOption,
    SeedOption,
    add_command,
    name_outputs,
    progress_bar,
    warn_of_unread,
)
from triaffect.io.atomic import check_output, write_json
from triaffect.io.workers import count_cores

corpus_app = typer.Typer(no_args_is_help=True, help="Make a corpus, or check one.")

_MISTAKES_LISTED = 20
"""How many mistakes and broken files are listed before the rest is only counted."""


def synth(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder for the corpus.")],
    people: Annotated[int, typer.Option(min=3, help="Number of people, each in one split.")] = 60,
    seconds: Annotated[float, typer.Option(min=1.0, help="Mean length of a video.")] = 2.0,
    seed: SeedOption = 0,
    jobs: JobsOption = None,
) -> None:
    """Make a corpus of rendered faces and voices in the exact form of Aff-Wild2."""
    from triaffect.synthetic.generate import generate
    from triaffect.synthetic.plan import Plan

    plan = Plan(people=people, seconds=seconds, seed=seed)
    workers = jobs or count_cores()
    with progress_bar() as progress:
        generate(folder, plan, workers, lambda done, total: progress(done, total, "videos"))
    videos = sum(1 for _ in (folder / "videos").iterdir())
    name_outputs(f"{folder}: {videos:,} videos of {people:,} people in the form of Aff-Wild2")


def check(
    corpus: Annotated[Path, typer.Argument(metavar="DIR", help="Folder or file of the corpus.")],
    json_: JsonOption = None,
    labels_only: Annotated[
        bool, typer.Option("--labels-only", help="Open no video, picture or sound.")
    ] = False,
    face_sources: Annotated[
        int, typer.Option(min=0, help="Look for faces in so many sources at most.")
    ] = 300,
    jobs: JobsOption = None,
) -> None:
    """Read all labels of a corpus and check its media: what it holds, what is wrong with it.

    Mistakes and broken files are listed one a line; the exit code is then 2. People and videos
    shared between splits, small faces and missing sound are reported as warnings.
    """
    from rich.console import Console

    from triaffect.cli._tables import corpus_page, wrong_lines
    from triaffect.corpora.base import open_corpus
    from triaffect.corpora.integrity import check_labels, check_media

    if json_ is not None:
        check_output(json_)
    opened = open_corpus(corpus)
    warn_of_unread(opened)
    with progress_bar() as progress:
        labels = check_labels(
            opened, lambda done, total, name: progress(done, total, f"labels {name}")
        )
    media = None
    if not labels_only:
        with progress_bar() as progress:
            media = check_media(opened, jobs or count_cores(), face_sources, progress)
    if json_ is not None:
        content = {"corpus": opened.name, **labels.to_json(), "media": media and media.to_json()}
        write_json(json_, content)
    console = Console(highlight=False, soft_wrap=True)
    for part in corpus_page(opened.name, labels, media):
        console.print(part)
    name_outputs(json_)
    mistakes = wrong_lines(labels, media)
    for line in mistakes[:_MISTAKES_LISTED]:
        typer.echo(f"wrong: {line}", err=True)
    if len(mistakes) > _MISTAKES_LISTED:
        more = len(mistakes) - _MISTAKES_LISTED
        typer.echo(f"and {more} more: write them to a file by --json", err=True)
    if mistakes:
        raise typer.Exit(2)


add_command(
    corpus_app,
    synth,
    examples=(
        "triaffect corpus synth data/rendered",
        "triaffect corpus synth data/small --people 6 --seconds 1 --seed 7",
    ),
)
add_command(
    corpus_app,
    check,
    examples=(
        "triaffect corpus check data/Aff-Wild2",
        "triaffect corpus check labels.csv --labels-only --json check.json",
    ),
)
