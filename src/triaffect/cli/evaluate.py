"""``triaffect evaluate``: scores of a run, or of a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triaffect.errors import TriaffectError
from triaffect.io.atomic import check_output, write_json

if TYPE_CHECKING:
    from triaffect.evaluation.evaluate import Split
    from triaffect.features.store import FeatureStore
    from triaffect.training.scoring import Predictions
    from triaffect.types import IntArray

RESAMPLES = 1000
PROTOCOLS = ("official", "authors")


@dataclass(frozen=True)
class Asked:
    """What to find out besides the official scores.

    Attributes:
        authors: The score of the authors' program too.
        resamples: How often videos are drawn anew for the intervals; 0 for none.
        seed: Of the resamples, and of the first shuffle of the authors' score.
    """

    authors: bool = False
    resamples: int = RESAMPLES
    seed: int = 0


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder, or model folder.")],
    store: Annotated[Path, typer.Option(help="Feature store with labels.")],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    protocol: Annotated[
        str, typer.Option(help="official, or authors: their mean over mini-batches beside it.")
    ] = PROTOCOLS[0],
    resamples: Annotated[
        int, typer.Option("--bootstrap", min=0, help="Resamples of videos; 0: no intervals.")
    ] = RESAMPLES,
    seed: Annotated[int, typer.Option(min=0, help="Of resamples and shuffles.")] = 0,
    json_: Annotated[Path | None, typer.Option("--json", help="Write everything here.")] = None,
) -> None:
    """Score every stage of a run, or a model folder, on people it has not seen."""
    from rich.console import Console

    from triaffect.cli._tables import evaluation_tables
    from triaffect.features.model_folder import DESCRIPTION
    from triaffect.features.store import FeatureStore

    asked = Asked(_is_authors(protocol), resamples, seed)
    if json_ is not None:
        check_output(json_)
    opened = FeatureStore.open(store)
    is_model = (run / DESCRIPTION).is_file()
    score = score_model_folder if is_model else score_run_folder
    found = score(run, opened, split, asked)
    console = Console(highlight=False)
    for table in evaluation_tables(found):
        console.print(table, "")
    if json_ is not None:
        write_json(json_, found)


def score_run_folder(
    run: Path, store: FeatureStore, split: str, asked: Asked = Asked()
) -> dict[str, Any]:
    """Scores of each stage of a finished run on one split of a store."""
    from triaffect.evaluation.evaluate import check_run, split_of
    from triaffect.evaluation.minibatch_scores import pools_of_run
    from triaffect.training.scoring import open_run, predict_rows

    check_run(run, store)
    work, stages = open_run(run, store)
    rows = split_of(work.store, work.samples, split, work.tasks)
    said = {
        stage.name: (
            replace(rows, tasks=stage.tasks),
            predict_rows(stage.net, work.samples, rows.rows, stage.tasks),
        )
        for stage in stages
    }
    pools = pools_of_run(work, split) if asked.authors else {}
    return {"run": str(run), "split": split, **_scored(said, pools, asked)}


def score_model_folder(
    folder: Path, store: FeatureStore, split: str, asked: Asked = Asked()
) -> dict[str, Any]:
    """Scores of a model folder, run as it is shipped, on one split of a store."""
    from triaffect.datasets.windows import WindowSamples
    from triaffect.evaluation.evaluate import split_of
    from triaffect.evaluation.minibatch_scores import pools_of_sets
    from triaffect.features.model_folder import load_model_folder
    from triaffect.features.own_networks import check_networks
    from triaffect.prediction.heads import Fusion
    from triaffect.tasks.registry import TASKS

    model = load_model_folder(folder)
    check_networks(model, store)
    fusion = Fusion(model, TASKS)
    tasks = [task.with_thresholds(model.manifest.thresholds) for task in fusion.tasks]
    samples = WindowSamples(store, tasks, fusion.part.window)
    rows = split_of(store, samples, split, tasks)
    said = {"model": (rows, fusion(*samples.arrays(rows.rows)))}
    pools = pools_of_sets(samples, split, tasks) if asked.authors else {}
    return {"run": str(folder), "split": split, **_scored(said, pools, asked)}


def _scored(
    said: Mapping[str, tuple[Split, Predictions]], pools: Mapping[str, IntArray], asked: Asked
) -> dict[str, Any]:
    """Official scores of each stage, of chance and, if there are pools, the authors' scores.

    Args:
        said: By stage its rows, scored with its own thresholds, and what it says of them.
        pools: Rows by pool, if the authors' scores are wanted.
        asked: What else to find out.
    """
    from triaffect.evaluation.evaluate import Resampling, chance, evaluate
    from triaffect.evaluation.minibatch_scores import authors_scores

    how = Resampling(asked.resamples, asked.seed)
    rows = next(iter(said.values()))[0]
    found: dict[str, Any] = {"bootstrap": how.to_json(), "chance": chance(rows), "stages": {}}
    found["unasked"] = rows.unasked()
    found["parts"] = {task.key: list(task.part_names) for task in rows.tasks}
    for name, (its, prediction) in said.items():
        scores = evaluate(its, prediction, how)
        if pools:
            scores["authors"] = authors_scores(its, prediction, pools, asked.seed)
        found["stages"][name] = scores
    return found


def _is_authors(protocol: str) -> bool:
    if protocol not in PROTOCOLS:
        near = get_close_matches(protocol, PROTOCOLS, 1)
        remedy = f"did you mean {near[0]}?" if near else ""
        expected = "one of " + ", ".join(PROTOCOLS)
        raise TriaffectError(expected, repr(protocol), remedy, where="--protocol")
    return protocol == "authors"
