"""``triaffect evaluate``: official scores of a run, or of a model folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from triaffect.features.model_folder import ModelFolder
    from triaffect.features.store import FeatureStore


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder, or model folder.")],
    store: Annotated[Path, typer.Option(help="Feature store with labels.")],
    json_: Annotated[Path | None, typer.Option("--json", help="Write everything here.")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
) -> None:
    """Score every stage of a run, or a model folder, on people it has not seen."""
    from triaffect.features.model_folder import DESCRIPTION
    from triaffect.features.store import FeatureStore

    opened = FeatureStore.open(store)
    is_model = (run / DESCRIPTION).is_file()
    found = (
        score_model_folder(run, opened, split) if is_model else score_run_folder(run, opened, split)
    )
    if json_ is not None:
        from triaffect.training.files import write_json

        json_.parent.mkdir(parents=True, exist_ok=True)
        write_json(json_, found)
    typer.echo(_table(found) if json_ is not None else json.dumps(found, indent=1))


def score_run_folder(run: Path, store: FeatureStore, split: str) -> dict[str, Any]:
    """Scores of each stage of a finished run on one split of a store."""
    from triaffect.training.evaluate import chance, evaluate, split_of
    from triaffect.training.loop import open_run
    from triaffect.training.scoring import predict_rows

    work, nets = open_run(run, store)
    rows = split_of(store, work.samples, split, work.tasks)
    stages = {}
    for name, net in nets:
        prediction = predict_rows(net, work.samples, rows.rows, work.tasks)
        stages[name] = evaluate(rows, prediction)
    return {"run": str(run), "split": split, "stages": stages, "chance": chance(rows)}


def score_model_folder(folder: Path, store: FeatureStore, split: str) -> dict[str, Any]:
    """Scores of a model folder, run as it is shipped, on one split of a store."""
    from triaffect.features.model_folder import load_model_folder
    from triaffect.inference.fusion import Fusion
    from triaffect.samples.windows import WindowSamples
    from triaffect.tasks.registry import TASKS
    from triaffect.training.evaluate import chance, evaluate, split_of

    model = load_model_folder(folder)
    check_networks(model, store)
    fusion = Fusion(model, TASKS)
    samples = WindowSamples(store, fusion.tasks, fusion.part.window)
    rows = split_of(store, samples, split, fusion.tasks)
    found = evaluate(rows, fusion(*samples.arrays(rows.rows)))
    return {"run": str(folder), "split": split, "stages": {"model": found}, "chance": chance(rows)}


def check_networks(model: ModelFolder, store: FeatureStore) -> None:
    """See that a store was made with the model's own face and voice network.

    Raises:
        StoreError: It was not: what the model says of such vectors means nothing.
    """
    from triaffect.errors import StoreError

    for part, made in (("face", store.face_spec), ("voice", store.voice_spec)):
        own = model.manifest.face if part == "face" else model.manifest.voice
        if own is not None and (made is None or made.sha256 != own.sha256):
            raise StoreError(
                f"a store made with the model's own {part} network",
                "none" if made is None else f"one made with another {made.name}",
                f"extract it with --{part} {model.path}",
                where=store.path,
            )


def _table(found: dict[str, Any]) -> str:
    """Scores by stage and corpus as a few aligned lines."""
    lines = [f"{'':24}" + "".join(f"{name:>9}" for name in found["chance"])]
    for stage, scores in found["stages"].items():
        parts = {stage: scores["all"]}
        if len(scores["corpora"]) > 1:
            parts |= {f"  {corpus}": one for corpus, one in scores["corpora"].items()}
        lines += [_line(name, one["official"]) for name, one in parts.items()]
    return "\n".join([*lines, _line("chance", found["chance"])])


def _line(name: str, official: dict[str, float]) -> str:
    return f"{name:24}" + "".join(f"{value:9.3f}" for value in official.values())
