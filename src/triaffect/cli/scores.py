"""``triaffect scores``: what the ways of scoring are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triaffect.io.atomic import write_json

if TYPE_CHECKING:
    from rich.table import Table

    from triaffect.metrics.simulation import SimulatedPredictor

scores_app = typer.Typer(no_args_is_help=True, help="What the ways of scoring are worth.")

TOTAL = "P_MTL"


@scores_app.command()
def simulate(
    seed: Annotated[int, typer.Option(min=0, help="Decides every random number.")] = 0,
    rows: Annotated[int, typer.Option(min=256, help="Labelled rows.")] = 15_440,
    json_: Annotated[Path | None, typer.Option("--json", help="Write everything here.")] = None,
) -> None:
    """Score made predictors of known worth officially and as the authors' program does."""
    from rich.console import Console

    from triaffect.metrics.simulation import flips
    from triaffect.metrics.simulation import simulate as score_predictors

    scored = score_predictors(rows, seed)
    reversed_ = flips(scored)
    Console(highlight=False).print(_table(scored, rows, seed), "")
    for each in reversed_:
        typer.echo(
            f"batches of {each.batch_size}: {each.worse} leads {each.better} by "
            f"{each.batch_gap:.3f}; officially it is behind by {each.gap:.3f}"
        )
    if not reversed_:
        typer.echo("no two predictors change places")
    if json_ is not None:
        predictors = [each.to_json() for each in scored]
        told = {"rows": rows, "seed": seed, "predictors": predictors}
        write_json(json_, {**told, "flips": [asdict(each) for each in reversed_]})


def _table(scored: Sequence[SimulatedPredictor], rows: int, seed: int) -> Table:
    from rich.table import Table

    title = f"{TOTAL}, mean over mini-batches; {rows:,} rows, seed {seed}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("predictor", no_wrap=True)
    sizes = list(scored[0].by_batch)
    for name in (*(f"of {size}" for size in sizes), "official"):
        table.add_column(name, justify="right", min_width=7)
    for each in scored:
        values = [*(each.by_batch[size][TOTAL] for size in sizes), each.whole[TOTAL]]
        table.add_row(each.name, *(f"{value:.3f}" for value in values))
    return table
