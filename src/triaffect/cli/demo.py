"""``triaffect demo``: every step on a rendered corpus, from nothing to a page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triaffect.cli._shared import (
    JobsOption,
    SeedOption,
    name_outputs,
    output_option,
    progress_bar,
    progress_line,
    training_word,
)
from triaffect.errors import RunError

if TYPE_CHECKING:
    from triaffect.training.run_folder import RunFolder

RECIPE = "default"
MARK = "triaffect-demo"
DEMO_RENAMED = {"--out": "--output"}
DEMO_EXAMPLES = ("triaffect demo", "triaffect demo -o demo --people 20 --epochs 4")
PORTRAIT_SEED, PORTRAIT_EXPRESSION, PORTRAIT_PX = 0, "happiness", 512
"""The rendered person of the picture."""


def demo(
    output: Annotated[
        Path, output_option("Folder to make; an earlier demo is replaced. Default: runs/demo.")
    ] = Path("runs/demo"),
    seed: SeedOption = 0,
    people: Annotated[int, typer.Option(min=6, help="People in the rendered corpus.")] = 60,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of each generation.")] = 12,
    jobs: JobsOption = None,
) -> None:
    """Render a corpus, train teacher and student, score both on unseen people, predict, report."""
    from triaffect.corpora.base import open_corpus
    from triaffect.features.extraction import extract
    from triaffect.io.atomic import write_json
    from triaffect.io.workers import count_cores
    from triaffect.synthetic.generate import generate
    from triaffect.synthetic.plan import Plan
    from triaffect.training import trainer  # noqa: F401 - missing, it is to be said at once

    out, processes = output, jobs or count_cores()
    _clear(out)
    clock = _Clock()
    with clock("corpus"):
        generate(out / "corpus", Plan(people=people, seed=seed), jobs=processes)
    with clock("extract"), progress_bar() as progress:
        corpus = open_corpus(out / "corpus")
        extract(corpus, out / "store", "default", "default", processes, None, progress)
    with clock("train"):
        folder = _train(out / "store", out / "run", seed, epochs)
    with clock("evaluate"):
        scores = _scores(folder, out / "store")
    with clock("predict"):
        predictions = out / "predictions.csv"
        _predict(out, predictions, processes)
    summary = {
        **scores,
        "seconds": clock.seconds,
        "predictions": str(predictions),
        "report": str(out / "report.html"),
    }
    with clock("report"):
        _report(summary, folder, predictions, out / "report.html")
    clock.seconds["total"] = round(sum(clock.seconds.values()), 1)
    write_json(out / "summary.json", summary)
    for name in ("teacher", "student", "chance"):
        official = summary[name]["official"].items()
        typer.echo(f"{name:8} " + "  ".join(f"{key} {value:.3f}" for key, value in official))
    seconds = clock.seconds["total"]
    name_outputs(predictions, f"{summary['report']}  ({seconds:.0f} s)")


@dataclass
class _Clock:
    """Measures the seconds of each part."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        progress_line(f"{part} …")
        start = time.monotonic()
        yield
        self.seconds[part] = round(time.monotonic() - start, 1)


def _clear(out: Path) -> None:
    """Remove an earlier demo, and nothing else."""
    import shutil

    if out.exists() and any(out.iterdir()):
        if not (out / MARK).is_file():
            raise RunError("a new folder, or an earlier demo", "other files", where=out)
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).touch()


def _train(store: Path, run: Path, seed: int, epochs: int) -> RunFolder:
    from triaffect.features.store import FeatureStore
    from triaffect.recipes.load import load_recipe
    from triaffect.training.export import export_run
    from triaffect.training.trainer import set_threads, train

    set_threads(1)  # two gain 4 s of 46, and cost minutes where anything else runs
    recipe = load_recipe(RECIPE, [f"{stage}.epochs={epochs}" for stage in ("teacher", "student")])
    opened = FeatureStore.open(store)
    with progress_bar() as progress:

        def report(stage: str, done: int, total: int, loss: float) -> None:
            progress(done, total, training_word(stage, loss))

        folder = train(recipe, opened, run, seed, report=report)
    export_run(folder, opened)
    return folder


def _scores(folder: RunFolder, store: Path) -> dict[str, Any]:
    from triaffect.evaluation.evaluate import evaluate_run
    from triaffect.features.store import FeatureStore

    evaluation = evaluate_run(folder.root, FeatureStore.open(store))
    stages = {name: {"official": one.overall.official} for name, one in evaluation.stages.items()}
    return {**stages, "chance": {"official": evaluation.chance}}


def _predict(out: Path, predictions: Path, jobs: int) -> None:
    """Predict one video of a person that training left out, and a rendered portrait."""
    import cv2

    from triaffect.corpora.base import open_corpus
    from triaffect.prediction.batch import predict_files
    from triaffect.prediction.parts import PredictionJob
    from triaffect.prediction.predictor import model_folder
    from triaffect.synthetic.portrait import render_portrait

    portrait = out / "portrait.png"
    picture = render_portrait(PORTRAIT_SEED, PORTRAIT_EXPRESSION, PORTRAIT_PX)
    cv2.imwrite(str(portrait), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    corpus = open_corpus(out / "corpus")
    for source in corpus.sources():
        splits = corpus.moments(source).table.column("split").unique().to_pylist()
        if splits == ["test"] and source.video is not None:
            job = PredictionJob(predictions, model_folder(None))
            predict_files([source.video, portrait], job, min(jobs, 2))
            return
    raise RunError("a rendered corpus with a test video", "none", where=out / "corpus")


def _report(summary: dict[str, Any], folder: RunFolder, predictions: Path, page: Path) -> None:
    import pandas as pd

    from triaffect.io.atomic import write_text
    from triaffect.report.training_page import training_page
    from triaffect.training.run_folder import read_journal

    rows = [event.model_dump(exclude_none=True) for event in read_journal(folder.journal)]
    table = pd.read_csv(predictions)
    write_text(page, training_page(summary, rows, table, predicted_by="the shipped weights"))
