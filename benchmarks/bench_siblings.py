"""Speed and memory of every recipe on vectors, at the size of Aff-Wild2 and at full width.

    python benchmarks/bench_siblings.py [--sources 30] [--seconds 10] [--only NAME] [--json FILE]

A store of random features (512 numbers a face, 1000 a voice) has as many labeled rows a video as
Aff-Wild2's 600 would have, in so many videos as --sources says; 600 are its true size, and 4 GB.
Each recipe then takes steps of its first stage's first epoch in a process of its own, batches
included, scores not: three measurements of at least --seconds of the processor each, and how long
an epoch at the true size takes at the middle rate. Where that is less than three minutes, such an
epoch is done whole in place of an estimate. With fewer videos, batches are drawn from fewer rows;
their number, their rows and what is computed are the same, but memory lacks what the rows of 600
videos take, about 1 GB (`bench_scale.py`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench import updates
from bench_scale import FRAMES, write
from measure import Measurement, format_number, measure, report

from triaffect.features.external.join import join, stream_spec
from triaffect.features.store import FeatureStore
from triaffect.io.workers import peak_memory_mb
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import resolve_tasks
from triaffect.training.build import TrainingContext, build_samples
from triaffect.training.run_folder import RunFolder
from triaffect.training.stage import StageRun
from triaffect.training.trainer import set_threads

VIDEOS = 600
RECIPES = (
    *("default", "paper_as_published", "abaw3_va", "abaw3_expr", "abaw3_au", "abaw4_mtl"),
    *("deng2020_incomplete", "emenet", "smm_emotionnet", "ruc_aim3", "emma"),
)
RESULT = Path(__file__).parent / "results" / "siblings.json"
WHOLE_S = 180.0
"""An epoch that takes less is done whole."""
EXPERT = "expert"
"""Eight logits of a frame, which `emma` reads beside the face vector."""


def make_store(folder: Path, sources: int) -> Path:
    """Write the store, with a stream of an expert's logits.

    Args:
        folder: Where it is made.
        sources: How many videos.
    """
    path, logits = folder / "store", folder / EXPERT
    write(path, sources, seed=0)
    logits.mkdir()
    store, rng = FeatureStore.open(path), np.random.default_rng(0)
    for entry in store.entries:
        values = rng.standard_normal((FRAMES, 8), np.float32)
        np.save(logits / f"{entry.source.rpartition('/')[2]}.npy", values)
    join(store, logits, stream_spec(EXPERT, None))
    return path


def measure_recipe(name: str, path: Path, seconds: float) -> dict[str, object]:
    """Take steps of a recipe's first stage.

    Args:
        name: The recipe.
        path: The store.
        seconds: Of the processor, for each of three measurements.

    Returns:
        Rates in rows/s, the steps of an epoch at the true size and its seconds, whether these
        were measured whole, and the process's peak memory in MB.
    """
    set_threads(1)
    recipe = load_recipe(name, [f"data.extra=['{EXPERT}']"] if name == "emma" else [])
    store, tasks = FeatureStore.open(path), resolve_tasks(recipe.tasks)
    samples = build_samples(recipe.data, store, tasks)
    context = TrainingContext(recipe, store, samples, tasks, RunFolder(path / "none"), 0)
    run = StageRun(context, 0)
    steps = round(run.plan(0).iterations * VIDEOS / len(store.entries))
    step = updates(run)
    rows = step()
    rates = measure(name, "rows/s", step, seconds, 3, time.process_time)
    epoch_s, is_whole = steps * rows / rates.median, False
    if epoch_s < WHOLE_S:
        start_s = time.process_time()
        for _ in range(steps):
            step()
        epoch_s, is_whole = time.process_time() - start_s, True
    parameters = sum(each.numel() for each in run.net.parameters())
    return {
        "rates": rates.values,
        "rows": rows,
        "steps": steps,
        "epoch_s": epoch_s,
        "whole": is_whole,
        "peak_mb": peak_memory_mb() or 0.0,
        "parameters": parameters,
    }


def measure_all(folder: Path, options: argparse.Namespace) -> list[Measurement]:
    """Measure recipe by recipe, each in a process of its own, and print a line of each."""
    path = make_store(folder, options.sources)
    measured = []
    print("recipe, rows a step; rows/s of the processor; steps and time of an epoch; peak memory")
    for name in options.only or RECIPES:
        command = [sys.executable, __file__, "--one", name, "--folder", str(path)]
        command += ["--seconds", str(options.seconds)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        rates = Measurement(f"siblings.{name}", "rows/s", tuple(found["rates"]))
        how = "measured whole" if found["whole"] else "at that rate"
        print(
            f"{name:20} {found['rows']:5,} rows, {found['parameters']:>10,} parameters; "
            f"{format_number(rates.median)} rows/s ({format_number(min(rates.values))} to "
            f"{format_number(max(rates.values))}); {found['steps']:,} steps, "
            f"{found['epoch_s'] / 60:.1f} min {how}; {found['peak_mb']:,.0f} MB",
            flush=True,
        )
        measured += [
            rates,
            Measurement(f"siblings.{name}.epoch", "minutes", (found["epoch_s"] / 60,)),
            Measurement(f"siblings.{name}", "peak MB", (found["peak_mb"],)),
        ]
    return measured


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sources", type=int, default=30, help="videos; at least 5")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each of 3 measurements")
    parser.add_argument("--only", nargs="+", choices=RECIPES, help="some recipes")
    parser.add_argument("--folder", type=Path, help="where the store is made, and removed")
    parser.add_argument("--json", type=Path, default=RESULT, help="where to write the numbers")
    parser.add_argument("--one", choices=RECIPES, help="measure this one on the store --folder")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure_recipe(options.one, options.folder, options.seconds)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measured = measure_all(Path(folder), options)
    settings = {"sources": options.sources, "seconds": options.seconds, "threads": 1}
    report("siblings", measured, settings, options.json)


if __name__ == "__main__":
    main()
