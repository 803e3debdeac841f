"""Memory and speed of loading at the size of Aff-Wild2.

    python benchmarks/bench_scale.py [--sources 600] [--folder DIR] [--json FILE] [--train]

3.6 million labelled rows over 2.7 million frames: a store of random features of the paper's
dimensions (512 for a face, 1000 for a voice, float16) is made, 4 GB, and deleted at the end.
Another process opens it, finds the paper's windows and makes the batches of two epochs; the
first maps the files. Memory is what the system says of that process every few milliseconds:
anonymous memory is its own; file-mapped memory is cached pages of the store, which the system
takes back when it needs them. Every video has the same vectors, written once each: what is
read is as large as if they differed.

With --train a run follows (minutes more): fifty iterations of the recipe `supervised` with a
tenth of the videos held out, then the scores of all held-out and validation rows: the memory
and time of everything that is not an update.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from measure import Measurement, report
from numpy.typing import NDArray
from paper_store import FACE, FRAME_RATE, VOICE_SPAN_S, random_moments

from triaffect.datasets.batches import make_batch, plan_epoch
from triaffect.features.extractors.spec import ExtractorSpec
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import FaceRows, SourceInfo, StoreWriter
from triaffect.features.timeline import KEY_DTYPE
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import TASKS
from triaffect.training.build import build_samples
from triaffect.training.trainer import set_threads, train
from triaffect.types import FeatureSeries, Split, Window

FRAMES = 4500
ROWS = {"MTL": 240, "VA": 2700, "EXPR": 900, "AU": 2160}
"""Labelled rows a video, 6,000 in all."""
VOICE_HOP_S = 0.25
VOICE = ExtractorSpec(
    "random_voice", "builtin-1", 1000, "float16", 22_050, Window(VOICE_SPAN_S, VOICE_HOP_S)
)
EPOCHS = ("first", "next")
RESULT = Path(__file__).parent / "results" / "scale.json"
POLL_S = 0.005
STEPS, THREADS = 50, min(2, os.cpu_count() or 1)
KINDS = ("RssAnon", "RssFile")


def write(
    path: Path,
    sources: int,
    seed: int,
    specs: tuple[ExtractorSpec, ExtractorSpec] = (FACE, VOICE),
    corpora: Sequence[str] = ("random",),
) -> None:
    """Write a store of random rows, the same for every video.

    Args:
        path: Its folder.
        sources: How many videos; every fifth is for validation.
        seed: Decides every number.
        specs: What the rows of a face and of a voice are.
        corpora: The videos are of each of these by turns.
    """
    rng = np.random.default_rng(seed)
    keys = np.zeros(FRAMES, KEY_DTYPE)
    keys["frame"] = np.arange(FRAMES)
    keys["time_s"] = keys["frame"] / FRAME_RATE
    window = specs[1].window
    assert window is not None
    times_s = np.arange(window.span_s, FRAMES / FRAME_RATE, window.hop_s)
    face, voice = _random(rng, FRAMES, specs[0]), _random(rng, len(times_s), specs[1])
    with StoreWriter.create_or_resume(path, *specs) as writer:
        for number in range(sources):
            split = Split.VALIDATION if number % 5 == 4 else Split.TRAIN
            corpus = corpora[number % len(corpora)]
            name = f"{corpus}/a_video_with_a_name_of_common_length_{number:04d}"
            info = SourceInfo(name, corpus, "video", stills=False, frame_rate=FRAME_RATE)
            moments = random_moments(name, split, ROWS, (0, FRAMES), rng)
            writer.add(info, moments, FaceRows(face, keys), FeatureSeries(voice, times_s))


def _random(rng: np.random.Generator, rows: int, spec: ExtractorSpec) -> NDArray[Any]:
    """Draw rows (rows, D) of an extractor: bytes, or normal numbers."""
    if spec.row_dtype == np.uint8:
        return rng.integers(0, 256, (rows, spec.dim), np.uint8)
    return rng.standard_normal((rows, spec.dim), np.float32).astype(spec.row_dtype)


def resident() -> dict[str, float]:
    """This process's memory in MB by kind."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {kind: int(fields[kind].split()[0]) / 1024 for kind in KINDS}


@contextmanager
def peaks() -> Iterator[dict[str, float]]:
    """Largest memory by kind while something is done, in MB."""
    found, over = resident(), threading.Event()

    def watch() -> None:
        while not over.wait(POLL_S):
            found.update({kind: max(found[kind], now) for kind, now in resident().items()})

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def told(memory: dict[str, float]) -> str:
    return f"{memory['RssAnon']:7,.0f} MB of its own, {memory['RssFile']:7,.0f} MB of files"


def measure(path: Path, result: Path) -> None:
    """Open, find windows, make batches; the JSON file has the whole's time and largest memory."""
    recipe = load_recipe("paper_as_published")
    data = recipe.data
    set_threads(1)
    print(f"before            {told(resident())}")
    begun = time.perf_counter()
    with peaks() as memory:
        store = FeatureStore.open(path)
        samples = build_samples(data, store, TASKS)
        seconds = time.perf_counter() - begun
    print(f"open, find windows{told(memory)}, {seconds:.1f} s")
    print(f"                  {len(store.moments):,} labelled rows, {len(samples.rows):,} of them")
    print(f"                  with whole windows, over {len(store.face):,} frames")
    print(f"kept              {told(resident())}")
    pools = {kind: samples.rows.where("train", sets) for kind, sets in data.pools.items()}
    own_mb, measured = [memory["RssAnon"]], [Measurement("scale.open", "seconds", (seconds,))]
    for epoch, name in enumerate(EPOCHS):
        with peaks() as memory:
            plan = plan_epoch(pools, data.batch_size, data.min_batch, (0, epoch))
            started, done = time.perf_counter(), 0
            for _, kind, rows in plan.updates(list(pools)):
                done += len(make_batch(samples, kind, rows).rows)
            rate = done / (time.perf_counter() - started)
        print(f"{name:5} epoch       {told(memory)}, {rate:,.0f} of {done:,} moments/s")
        own_mb.append(memory["RssAnon"])
        measured.append(Measurement(f"scale.{name}_epoch", "moments/s", (rate,)))
    total_s = time.perf_counter() - begun
    measured.insert(0, Measurement("scale", "seconds", (total_s,)))
    measured.insert(0, Measurement("scale", "peak MB", (max(own_mb),)))
    settings = {"sources": len(store.entries), "rows": len(store.moments), "threads": 1}
    report("scale", measured, {**settings, "frames": len(store.face)}, result)


def measure_training(path: Path, folder: Path) -> None:
    """Memory and time of a whole small run over the whole store."""
    changes = ["data.held_out=0.1", "supervised.epochs=1", f"supervised.steps_per_epoch={STEPS}"]
    recipe, begun, updated = load_recipe("supervised", changes), time.perf_counter(), []
    set_threads(THREADS)

    def report(_stage: str, _done: int, _total: int, _loss: float) -> None:
        updated.append(time.perf_counter() - begun)

    with peaks() as memory:
        train(recipe, FeatureStore.open(path), folder / "run", report=report)
    seconds = time.perf_counter() - begun
    print(f"a run             {told(memory)}, {seconds:.0f} s on {THREADS} threads:")
    print(
        f"                  first update after {updated[0]:.1f} s, scores from {updated[-1]:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=int, default=600, help="videos of 4,500 frames")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to make the store; default: temporary")
    parser.add_argument("--store", type=Path, help="measure this one and make none")
    parser.add_argument("--json", type=Path, default=RESULT, help="where to write the numbers")
    parser.add_argument("--train", action="store_true", help="measure a run too, for minutes")
    options = parser.parse_args()
    if options.store and options.train:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            measure_training(options.store, Path(folder))
        return
    if options.store:
        measure(options.store, options.json)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "store"
        started = time.perf_counter()
        write(path, options.sources, options.seed)
        size = sum(file.stat().st_size for file in path.iterdir()) / 1e9
        seconds = time.perf_counter() - started
        print(f"written           {size:.1f} GB in {seconds:.0f} s", flush=True)
        again = [sys.executable, __file__, "--store", path, "--json", options.json]
        subprocess.run(again, check=True)
        if options.train:
            subprocess.run([*again, "--train"], check=True)


if __name__ == "__main__":
    main()
