"""``triaffect corpus``: make a corpus, or check one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

corpus_app = typer.Typer(no_args_is_help=True, help="Make a corpus, or check one.")

_NAMED = 5
"""How many sources or people a line names before it only counts."""


@corpus_app.command()
def synth(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder for the corpus.")],
    people: Annotated[int, typer.Option(min=3, help="Number of people, each in one split.")] = 60,
    seconds: Annotated[float, typer.Option(min=1.0, help="Mean length of a video.")] = 2.0,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same corpus.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes to work in parallel.")] = 2,
) -> None:
    """Make a corpus of rendered faces and voices in the exact form of Aff-Wild2."""
    from triaffect.cli.progress import progress_bar
    from triaffect.corpora.synthetic.generate import generate
    from triaffect.corpora.synthetic.plan import Plan

    plan = Plan(people=people, seconds=seconds, seed=seed)
    with progress_bar() as progress:
        generate(folder, plan, jobs, lambda done, total: progress(done, total, "videos"))


@corpus_app.command()
def check(
    corpus: Annotated[Path, typer.Argument(metavar="DIR", help="Folder or file of the corpus.")],
) -> None:
    """Read all labels of a corpus, and tell what it holds and what is wrong with it.

    Mistakes are listed one a line, each with its file and line; the exit code is then 2.
    """
    from rich.console import Console

    from triaffect.cli.corpus_tables import annotated_table, labels_table, rows_table
    from triaffect.cli.progress import progress_bar
    from triaffect.corpora.corpus import open_corpus
    from triaffect.corpora.survey import survey
    from triaffect.tasks.registry import TASKS

    opened = open_corpus(corpus)
    with progress_bar() as progress:
        found = survey(opened, progress)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.sources.items()))
    typer.echo(f"{corpus}: {opened.name}, sources: {kinds}\n")
    console = Console()
    for table in (rows_table(found), annotated_table(found, TASKS), labels_table(found, TASKS)):
        console.print(table, "")
    _tell("sources without images, video or sound to read", found.without_media)
    _tell("sources without sound", found.without_sound)
    _tell("people in more than one split (a leak)", sorted(found.shared_people))
    for error in found.errors:
        typer.echo(f"wrong: {error}", err=True)
    typer.echo(f"mistakes: {len(found.errors)}")
    if found.errors:
        raise typer.Exit(2)


def _tell(what: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        typer.echo(f"{what}: {len(names)} ({', '.join(names[:_NAMED])}{more})")
