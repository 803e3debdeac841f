"""Speed of this machine: python benchmarks/bench.py train|load|extract|predict [--json FILE]."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from time import perf_counter, process_time
from typing import Annotated

import typer
from measure import measure, measure_in_turns, report, share
from paper_store import BATCHES, floor_step, make_paper_store
from portrait_video import write_portrait_video

from triaffect.corpora.label_table import LabelTable
from triaffect.datasets.batches import make_batch, plan_epoch
from triaffect.faces.stream import FaceStream
from triaffect.features.extraction import extract as extract_store
from triaffect.io.workers import count_cores
from triaffect.media.video import VideoFrames
from triaffect.prediction.predictor import Predictor
from triaffect.prediction.predictor import load as load_model
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import TASKS
from triaffect.training.build import TrainingContext, build_samples
from triaffect.training.checkpoint import write_tensors
from triaffect.training.run_folder import RunFolder
from triaffect.training.stage import StageRun
from triaffect.training.trainer import set_threads

app = typer.Typer(
    no_args_is_help=True,
    help="Measure speed on this machine: medians over repeats, with what they were measured on.",
)

RECIPE = "paper_as_published"
TRAIN_ITERATIONS, LOAD_ITERATIONS, TRAIN_SOURCES = 8, 40, 6
WINDOW = 6
"""Face vectors of a row in that recipe: 50 frames, every tenth."""

THREADS = min(2, count_cores())

Seconds = Annotated[float, typer.Option(min=0.0, help="Least length of one measurement.")]
Repeats = Annotated[int, typer.Option(min=1, help="Measurements of each kind.")]
Seed = Annotated[int, typer.Option(min=0, help="Random seed.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="JSON file of all measurements.", show_default=False)
]


@app.command()
def train(
    seconds: Seconds = 5.0,
    repeats: Repeats = 5,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = THREADS,
    cpu_time: Annotated[
        bool,
        typer.Option(
            "--cpu-time", help="Count seconds of the process, not of the wall, on a busy machine."
        ),
    ] = False,
    seed: Seed = 0,
    json_: JsonFile = None,
) -> None:
    """Time training updates of the paper's network, as teacher and as student.

    Random features of the paper's dimensions, and its batches: 8 MTL, 256 VA, 93 EXPR and
    224 AU rows an iteration, each with an update of its own. Beside them, by turns, the floor:
    the matrix products of the same iteration and nothing else.
    """
    set_threads(threads)
    with tempfile.TemporaryDirectory(prefix="triaffect-") as folder:
        work = _paper_work(Path(folder), TRAIN_ITERATIONS, TRAIN_SOURCES, seed)
        runs = list(_stages(work))
        steps = {"floor": floor_step(runs[0].net, BATCHES, WINDOW)}
        steps |= {run.name: updates(run) for run in runs}
        clock = process_time if cpu_time else perf_counter
        rates = measure_in_turns(steps, "samples/s", seconds, repeats, clock)
    shares = [share(rates[run.name], rates["floor"]) for run in runs]
    settings = {"recipe": RECIPE, "batches": BATCHES, "threads": threads, "seed": seed}
    report("train", [*rates.values(), *shares], {**settings, "cpu_time": cpu_time}, json_)


@app.command()
def load(
    seconds: Seconds = 3.0,
    repeats: Repeats = 5,
    sources: Annotated[
        int, typer.Option(min=2, help="Videos of 30 s in the store, 2 MB each.")
    ] = 100,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = THREADS,
    seed: Seed = 0,
    json_: JsonFile = None,
) -> None:
    """Time making batches from a feature store: the paper's windows, dimensions and batches."""
    set_threads(threads)
    with tempfile.TemporaryDirectory(prefix="triaffect-") as folder:
        work = _paper_work(Path(folder), LOAD_ITERATIONS, sources, seed)
        data = work.recipe.data
        plan = plan_epoch(work.pools("train"), data.batch_size, data.min_batch, (seed,))
        turn = count()

        def step() -> int:
            iteration = next(turn) % plan.iterations
            batches = [
                make_batch(work.samples, kind, rows[iteration]) for kind, rows in plan.rows.items()
            ]
            return sum(len(batch.rows) for batch in batches)

        rates = [measure("load", "moments/s", step, seconds, repeats)]
    settings = {"batches": BATCHES, "sources": sources, "threads": threads, "seed": seed}
    report("load", rates, settings, json_)


@app.command()
def predict(
    model: Annotated[
        Path | None, typer.Option(help="Model folder.", show_default="the shipped weights")
    ] = None,
    video: Annotated[
        Path | None,
        typer.Option(help="A video.", show_default="a portrait of 640x480 with sound"),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Length of the made video.")] = 250,
    repeats: Repeats = 5,
    json_: JsonFile = None,
) -> None:
    """Time prediction from file to table, in one process, and each step on the way to it."""
    predictor = load_model(model)
    with tempfile.TemporaryDirectory(prefix="triaffect-") as folder:
        path = video or write_portrait_video(Path(folder) / "portrait.mp4", frames)
        rates = [
            measure(name, "frames/s", step, 0.0, repeats) for name, step in _steps(path, predictor)
        ]
    settings = {"video": video.name if video else "portrait, 640x480, 25 frames/s, sound"}
    report("predict", rates, settings, json_)


@app.command()
def extract(
    jobs: Annotated[
        int | None, typer.Option(help="Worker processes.", min=1, show_default="all cores")
    ] = None,
    videos: Annotated[int, typer.Option(min=1, help="Made videos, 640x480 with sound.")] = 4,
    frames: Annotated[int, typer.Option(min=1, help="Length of each.")] = 250,
    repeats: Repeats = 3,
    json_: JsonFile = None,
) -> None:
    """Time extraction of a folder of videos with the shipped networks, from files to store."""
    workers = jobs or count_cores()
    with tempfile.TemporaryDirectory(prefix="triaffect-") as folder:
        root, turn = Path(folder) / "corpus", count()
        root.mkdir()
        names = [f"{number}.mp4" for number in range(videos)]
        for name in names:
            write_portrait_video(root / name, frames)
        rows = "".join(f"{name},0,0.5\n" for name in names)
        (root / "labels.csv").write_text(f"clip,frame,valence\n{rows}", "utf-8")

        def step() -> int:
            store = Path(folder) / f"store{next(turn)}"
            extract_store(LabelTable(root), store, "default", "default", workers)
            return videos * frames

        rates = [measure("extract", "frames/s", step, 0.0, repeats)]
    report("extract", rates, {"jobs": workers, "videos": videos, "frames": frames}, json_)


def _paper_work(folder: Path, iterations: int, sources: int, seed: int) -> TrainingContext:
    """Prepare the paper's recipe over random features for its stages."""
    recipe = load_recipe(RECIPE)
    store = make_paper_store(folder / "store", iterations, sources, seed)
    samples = build_samples(recipe.data, store, TASKS)
    return TrainingContext(recipe, store, samples, TASKS, RunFolder(folder / "run"), seed)


def _stages(work: TrainingContext) -> Iterator[StageRun]:
    """Yield every stage in order; the weights of one, as trained meanwhile, teach the next."""
    for index, name in enumerate(work.names):
        run = StageRun(work, index)
        yield run
        write_tensors(work.folder.weights(name, "best"), run.net.state_dict())


def updates(run: StageRun) -> Callable[[], int]:
    """Make a step of one iteration, the updates of every kind; it returns the number of rows."""
    plan, turn = run.plan(0), count()

    def step() -> int:
        iteration = next(turn) % plan.iterations
        for kind, rows in plan.rows.items():
            run.update(0, iteration, kind, rows[iteration])
        return sum(rows.shape[1] for rows in plan.rows.values())

    return step


def _steps(path: Path, predictor: Predictor) -> Iterator[tuple[str, Callable[[], int]]]:
    """Yield what is timed: the way from file to table, cut off later and later."""
    frames, faces = VideoFrames(path), FaceStream()
    total = sum(1 for _ in frames)

    def timed(items: Callable[[], Iterator[object]]) -> Callable[[], int]:
        def step() -> int:
            deque(items(), maxlen=0)
            return total

        return step

    yield "decode", timed(lambda: iter(frames))
    yield "and find faces", timed(lambda: faces.follow(frames))
    yield "and all the rest", timed(lambda: predictor.tables(path))


if __name__ == "__main__":
    app()
