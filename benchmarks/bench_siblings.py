"""Speed and memory of every recipe at full width, at the size of Aff-Wild2.

    python benchmarks/bench_siblings.py [--sources 30] [--seconds 5] [--only NAME] [--json FILE]

Stores of random rows are made: vectors of 512 numbers a face and 1000 a voice, gray crops, and
log-mel spectra, each for the recipes that read it. They have as many labeled rows a video as
Aff-Wild2's 600 videos have in the mean, in so many videos as --sources says.

Every recipe then takes updates of its first stage, batches included and scores not, in a process
of its own on one thread: three measurements of at least --seconds of the processor. An epoch is as
many steps as 600 videos make. Where the measured rate promises less than three minutes for it, it
is done whole; where not, its time follows from the rate. Fewer videos than 600 mean fewer rows to
draw from; what is computed is the same, and the memory of 600 videos' rows, 1.1 GB, is left out
(`bench_scale.py` measures it).
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
from bench_scale import FRAMES, VOICE, peaks, write
from measure import Measurement, format_number, measure, report
from paper_store import FACE

from triaffect.features.external.join import join, stream_spec
from triaffect.features.extractors.registry import face_extractor, voice_extractor
from triaffect.features.store import FeatureStore
from triaffect.recipes.corpora import fit_to_store
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import resolve_tasks
from triaffect.training.build import TrainingContext, build_samples
from triaffect.training.run_folder import RunFolder
from triaffect.training.stage import StageRun
from triaffect.training.trainer import set_threads

VIDEOS = 600
RECIPES = (
    *("default", "paper_as_published", "paper_as_coded"),
    *("abaw3_va", "abaw3_expr", "abaw3_au", "abaw3_mtl", "abaw4_mtl"),
    *("deng2020_incomplete", "emenet", "smm_emotionnet", "ruc_aim3", "emma", "sdt"),
    *("music2emo", "cotex", "byel", "dkdfmh"),
)
EXPERT = "expert"
"""Eight logits of a frame, which `emma` reads beside the face vector."""
LABELED = "['MTL', 'EXPR']"
CHANGES = {
    "emma": [f"data.extra=['{EXPERT}']"],
    "byel": [f"data.pools={{SYNTHETIC = {LABELED}, REAL = {LABELED}}}"],
}
STORES = {"cotex": "crops", "byel": "crops", "dkdfmh": "spectra"}
"""What a recipe reads that does not read vectors."""
CORPORA = ("random", "other")
"""Two, as `music2emo` learns from several."""
RESULT = Path(__file__).parent / "results" / "siblings.json"
WHOLE_S = 180.0
"""An epoch that takes less is done whole."""


def make_store(folder: Path, kind: str, sources: int) -> Path:
    """Write a store, that of vectors with a stream of an expert's logits.

    Args:
        folder: Where it is made.
        kind: "vectors", "crops" or "spectra".
        sources: How many videos.

    Returns:
        Its folder.
    """
    path, logits, face, voice = folder / kind, folder / EXPERT, FACE, VOICE
    if kind == "crops":
        face = face_extractor("gray64").spec
    elif kind == "spectra":
        voice = voice_extractor("logmel64").spec
    write(path, sources, 0, (face, voice), CORPORA)
    if kind == "vectors":
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
        were measured whole, parameters, and the process's largest memory of its own in MB.
    """
    set_threads(1)
    store = FeatureStore.open(path)
    recipe = fit_to_store(load_recipe(name, CHANGES.get(name, ())), store)
    with peaks() as memory:
        tasks = resolve_tasks(recipe.tasks)
        samples = build_samples(recipe.data, store, tasks)
        context = TrainingContext(recipe, store, samples, tasks, RunFolder(path / "none"), 0)
        run = StageRun(context, 0)
        steps = round(run.plan(0).iterations * VIDEOS / len(store.entries))
        step = updates(run)
        rows = step()
        step()
    rates = measure(name, "rows/s", step, seconds, 3, time.process_time)
    epoch_s, is_whole = steps * rows / rates.median, False
    if epoch_s < WHOLE_S:
        start_s = time.process_time()
        for _ in range(steps):
            step()
        epoch_s, is_whole = time.process_time() - start_s, True
    return {
        "rates": rates.values,
        "rows": rows,
        "steps": steps,
        "epoch_s": epoch_s,
        "whole": is_whole,
        "peak_mb": memory["RssAnon"],
        "parameters": sum(each.numel() for each in run.net.parameters()),
    }


def measure_all(folder: Path, options: argparse.Namespace) -> list[Measurement]:
    """Measure recipe by recipe, each in a process of its own, and print a line of each."""
    names, measured, paths = options.only or RECIPES, [], dict[str, Path]()
    print("recipe: rows a step, parameters; rows/s of the processor; an epoch; own memory")
    for name in names:
        kind = STORES.get(name, "vectors")
        if kind not in paths:
            paths[kind] = make_store(folder, kind, options.sources)
        command = [sys.executable, __file__, "--one", name, "--folder", str(paths[kind])]
        command += ["--seconds", str(options.seconds)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        result = json.loads(done.stdout.splitlines()[-1])
        rates = Measurement(f"siblings.{name}", "rows/s", tuple(result["rates"]))
        how = "measured whole" if result["whole"] else "at that rate"
        print(
            f"{name:20} {result['rows']:5,} rows, {result['parameters']:>11,} parameters; "
            f"{format_number(rates.median)} rows/s ({format_number(min(rates.values))} to "
            f"{format_number(max(rates.values))}); {result['steps']:,} steps, "
            f"{result['epoch_s'] / 60:.1f} min {how}; {result['peak_mb']:,.0f} MB",
            flush=True,
        )
        epoch = f"siblings.{name}.epoch" + ".whole" * result["whole"]
        measured += [
            rates,
            Measurement(epoch, "minutes", (result["epoch_s"] / 60,)),
            Measurement(f"siblings.{name}", "peak MB", (result["peak_mb"],)),
        ]
    return measured


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sources", type=int, default=30, help="videos; at least 10")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each of 3 measurements")
    parser.add_argument("--only", nargs="+", choices=RECIPES, help="some recipes")
    parser.add_argument("--folder", type=Path, help="where stores are made, and removed")
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
