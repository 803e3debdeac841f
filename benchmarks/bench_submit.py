"""How long a submission of many lines takes, and what memory.

    python benchmarks/bench_submit.py [--lines 500000] [--recipe default] [--folder DIR]

The store holds random vectors of videos of 4000 frames, a tenth of their faces missing, without
labels; the network has random weights. The list asks for every frame.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from triaffect.corpora.rows import join_moments
from triaffect.evaluation.submission.check import check_submission
from triaffect.evaluation.submission.test_list import read_images
from triaffect.evaluation.submission.writer import (
    Basis,
    MomentPredictor,
    predict_list,
    write_submission,
)
from triaffect.features.extractors.spec import ExtractorSpec
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import FaceRows, SourceInfo, StoreWriter
from triaffect.features.timeline import KEY_DTYPE
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import TASKS
from triaffect.training.build import build_net
from triaffect.training.scoring import predict_rows
from triaffect.types import FeatureSeries, Window

FRAMES, RATE = 4000, 30.0
WIDTHS = {"default": (128, 128), "paper": (512, 1000)}
"""Of face and voice vectors."""


def write_store(path: Path, videos: int, widths: tuple[int, int]) -> FeatureStore:
    rng = np.random.default_rng(0)
    face = ExtractorSpec("random_face", "builtin-1", widths[0], "float16")
    window = Window(3.0, 0.25)
    voice = ExtractorSpec("random_voice", "builtin-1", widths[1], "float16", 16_000, window)
    values = rng.normal(size=(FRAMES, widths[0])).astype(np.float16)
    heard = np.arange(0, FRAMES / RATE, 0.25)
    series = FeatureSeries(rng.normal(size=(len(heard), widths[1])).astype(np.float16), heard)
    with StoreWriter.create_or_resume(path, face, voice) as writer:
        for video in range(videos):
            there = np.flatnonzero(np.repeat(rng.random(FRAMES // 40) > 0.1, 40))
            keys = np.zeros(len(there), KEY_DTYPE)
            keys["frame"], keys["time_s"] = there, there / RATE
            info = SourceInfo(f"random/{video:04}", "random", "video", False, RATE)
            writer.add(info, join_moments([]), FaceRows(values[there], keys), series)
    return FeatureStore.open(path)


def write_list(path: Path, lines: int) -> None:
    with path.open("w") as file:
        file.write("image,valence,arousal,expression,aus\n")
        file.writelines(f"{n // FRAMES:04}/{n % FRAMES + 1:05}.jpg,\n" for n in range(lines))


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=500_000)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        place = Path(folder)
        recipe = load_recipe(options.recipe)
        widths = WIDTHS[recipe.net.kind]
        store = write_store(place / "store", -(-options.lines // FRAMES), widths)
        net = build_net(recipe, next(iter(recipe.stages.values())), store, TASKS)
        write_list(place / "list.txt", options.lines)
        print(f"before: {peak_mb()} MB at most")
        started = time.perf_counter()
        listed = read_images(place / "list.txt")
        read = time.perf_counter()
        network = MomentPredictor.over(
            recipe.data, store, TASKS, lambda s, rows: predict_rows(net, s, rows, TASKS), place
        )
        answers = predict_list(listed, store, network)
        answered = time.perf_counter()
        write_submission(place / "out.txt", answers)
        written = time.perf_counter()
        check_submission(place / "out.txt", listed.images)
        checked = time.perf_counter() - written
        counts = {basis.name.lower(): answers.count(basis) for basis in Basis}
        print(f"{options.lines} lines, {recipe.name}, one thread: {counts}")
        print(f"reading the list {read - started:.1f} s, answering {answered - read:.1f} s")
        print(f"writing {written - answered - checked:.1f} s, checking {checked:.1f} s")
        print(f"at the end: {peak_mb()} MB at most, mapped files included")


if __name__ == "__main__":
    main()
