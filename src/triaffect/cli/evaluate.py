"""``triaffect evaluate``: scores of a run, or of a model folder."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from triaffect.cli._shared import (
    JsonOption,
    SeedOption,
    SplitName,
    SplitOption,
    name_outputs,
)
from triaffect.io.atomic import check_output, write_json

RESAMPLES = 1000
EVALUATE_EXAMPLES = (
    "triaffect evaluate runs/mine --store stores/mine",
    "triaffect evaluate runs/mine/model --store stores/mine --split validation --json scores.json",
)


class Protocol(StrEnum):
    """Which scores are computed."""

    OFFICIAL = "official"
    AUTHORS = "authors"


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder, or model folder.")],
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
