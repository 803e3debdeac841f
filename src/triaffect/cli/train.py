"""``triaffect train``: a recipe and a store into a run folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from triaffect.cli.progress import progress_bar

THREADS = min(2, os.cpu_count() or 1)


def train(
    recipe: Annotated[str, typer.Argument(help="Recipe file, or name of a shipped recipe.")],
    store: Annotated[Path, typer.Option(help="Feature store to learn from.")],
    out: Annotated[Path, typer.Option(help="Run folder to make.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides everything random.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = THREADS,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Start from trained weights: default, a model folder, or a finished run.",
            show_default="random weights",
        ),
    ] = None,
) -> None:
    """Train every stage of a recipe, score it, and export the model folder."""
    from triaffect.features.store import FeatureStore
    from triaffect.recipes.load import load_recipe
    from triaffect.training.export import export_run
    from triaffect.training.initial import find_initial
    from triaffect.training.loop import set_threads
    from triaffect.training.loop import train as run

    set_threads(threads)
    resolved, opened = load_recipe(recipe, set_ or ()), FeatureStore.open(store)
    initial = find_initial(init, resolved, opened) if init else None
    with progress_bar() as told:

        def report(stage: str, done: int, total: int, loss: float) -> None:
            told(done, total, f"{stage}, loss {loss:.3f}")

        folder = run(resolved, opened, out, seed, resume, report, _tell_epoch, initial=initial)
    export_run(folder, opened)
    typer.echo(f"scores: {folder.scores}\nmodel:  {folder.model}")


def _tell_epoch(line: dict[str, Any]) -> None:
    """One line on stderr for every epoch, with the validation score of each pool."""
    if "validation" not in line:
        return
    scores = ", ".join(
        f"{pool} " + " ".join(f"{name} {value:.3f}" for name, value in official.items())
        for pool, official in line["validation"].items()
    )
    when = "as it starts"
    if line["event"] == "epoch":
        when = f"epoch {line['epoch'] + 1}, {line['seconds']:.0f} s"
    best = " *" if line.get("best") else ""
    typer.echo(f"{line['stage']} {when}: {scores}{best}", err=True)
