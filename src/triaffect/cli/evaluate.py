"""``triaffect evaluate``: scores of a run or model folder; ``triaffect scores``: their kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triaffect.cli._shared import (
    JsonOption,
    SeedOption,
    SplitName,
    SplitOption,
    add_command,
    name_outputs,
)
from triaffect.io.atomic import check_output, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from triaffect.metrics.simulation import SimulatedPredictor

RESAMPLES = 1000
EVALUATE_EXAMPLES = (
    "triaffect evaluate runs/mine --store stores/mine",
    "triaffect evaluate default --store stores/mine",
    "triaffect evaluate runs/mine/model --store stores/mine --split validation --json scores.json",
)


class Protocol(StrEnum):
    """Which scores are computed."""

    OFFICIAL = "official"
    AUTHORS = "authors"


def evaluate(
    run: Annotated[
        Path, typer.Argument(help="Run folder, model folder, or default for the shipped weights.")
    ],
    store: Annotated[Path, typer.Option(help="Feature store with labels.")],
    split: SplitOption = SplitName.TEST,
    protocol: Annotated[
        Protocol,
        typer.Option(help="Official scores; authors: their mean over mini-batches beside them."),
    ] = Protocol.OFFICIAL,
    resamples: Annotated[
        int, typer.Option("--bootstrap", min=0, help="Resamples of videos; 0: no intervals.")
    ] = RESAMPLES,
    seed: SeedOption = 0,
    json_: JsonOption = None,
) -> None:
    """Score every stage of a run, or a model folder, on people it has not seen."""
    from rich.console import Console

    from triaffect.cli._tables import evaluation_tables
    from triaffect.evaluation.evaluate import EvaluationOptions, evaluate_folder
    from triaffect.features.store import FeatureStore

    options = EvaluationOptions(protocol is Protocol.AUTHORS, resamples, seed)
    if json_ is not None:
        check_output(json_)
    evaluation = evaluate_folder(run, FeatureStore.open(store), split.value, options)
    console = Console(highlight=False)
    for table in evaluation_tables(evaluation):
        console.print(table, "")
    if json_ is not None:
        write_json(json_, evaluation.to_json())
    name_outputs(json_)


scores_app = typer.Typer(no_args_is_help=True, help="Compare ways of scoring.")

TOTAL = "P_MTL"


SIMULATE_EXAMPLES = (
    "triaffect scores simulate",
    "triaffect scores simulate --rows 5000 --seed 1 --json scores.json",
)


def simulate(
    seed: SeedOption = 0,
    rows: Annotated[int, typer.Option(min=256, help="Labelled rows.")] = 15_440,
    json_: JsonOption = None,
) -> None:
    """Score simulated predictors of known quality officially and as the authors' program does."""
    from rich.console import Console

    from triaffect.metrics.simulation import flips
    from triaffect.metrics.simulation import simulate as score_predictors

    if json_ is not None:
        check_output(json_)
    scored = score_predictors(rows, seed)
    reversed_ = flips(scored)
    Console(highlight=False).print(_simulation_table(scored, rows, seed), "")
    for each in reversed_:
        typer.echo(
            f"batches of {each.batch_size}: {each.worse} leads {each.better} by "
            f"{each.batch_gap:.3f}; officially it is behind by {each.gap:.3f}"
        )
    if not reversed_:
        typer.echo("no two predictors change places")
    if json_ is not None:
        predictors = [each.to_json() for each in scored]
        content = {"rows": rows, "seed": seed, "predictors": predictors}
        write_json(json_, {**content, "flips": [asdict(each) for each in reversed_]})
    name_outputs(json_)


add_command(scores_app, simulate, examples=SIMULATE_EXAMPLES)


def _simulation_table(scored: Sequence[SimulatedPredictor], rows: int, seed: int) -> Table:
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
