"""Training of face and voice networks in both precisions: python benchmarks/bench_precision.py.

Random crops and spectra through the recipes' own stages, so that all that training does is
timed: gathering, variation, both passes and the optimiser. One thread, by processor time.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
from measure import Measurement, measure, report

from triaffect.corpora.rows import TaskLabels, build_moments
from triaffect.features.extractors.onnx import SPECTRUM, GrayCrops, LogMelRows
from triaffect.features.store import FeatureStore
from triaffect.features.store_writer import FaceRows, SourceInfo, StoreWriter
from triaffect.features.timeline import KEY_DTYPE
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import TASKS, task
from triaffect.training.build import TrainingContext, build_samples
from triaffect.training.run_folder import RunFolder
from triaffect.training.stage import StageRun
from triaffect.training.trainer import set_threads
from triaffect.types import FeatureSeries, LabelOrigin

RESULT = Path(__file__).parent / "results" / "precision.json"
ROWS, SECONDS, REPEATS, SEED = 1024, 10.0, 5, 0


def make_store(path: Path) -> FeatureStore:
    """A training and a validation source of random crops, spectra and labels."""
    rng, spectrum = np.random.default_rng(SEED), LogMelRows(SPECTRUM).spec
    with StoreWriter.create_or_resume(path, GrayCrops("gray64").spec, spectrum) as writer:
        for split in ("train", "validation"):
            keys = np.zeros(ROWS, KEY_DTYPE)
            keys["frame"] = np.arange(ROWS)
            keys["time_s"] = keys["frame"] / 30
            times_s = (np.arange(ROWS / 30 * 100) + 0.5) / 100
            sound = rng.normal(-6, 4, (len(times_s), spectrum.dim)).astype(np.float16)
            crops = rng.integers(0, 256, (ROWS, GrayCrops("gray64").spec.dim)).astype(np.uint8)
            labels = {
                each.key: TaskLabels.from_nan(rng.uniform(0, 1, (ROWS, each.width)))
                for each in TASKS
            }
            known = {"source": split, "person": split, "track": 0, "frame": keys["frame"]}
            known |= {"time_s": keys["time_s"], "split": split, "label_set": "MTL"}
            writer.add(
                SourceInfo(split, "random", "video", stills=False, frame_rate=30.0),
                build_moments(ROWS, known, labels, LabelOrigin.DERIVED),
                FaceRows(crops, keys),
                FeatureSeries(sound, times_s),
            )
    return FeatureStore.open(path)


def updates(run: StageRun) -> Callable[[], int]:
    """One update; gives the number of its rows."""
    plan, turn = run.plan(0), count()
    (kind,) = plan.rows

    def step() -> int:
        iteration = next(turn) % plan.iterations
        run.update(0, iteration, kind, plan.rows[kind][iteration])
        return plan.rows[kind].shape[1]

    return step


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    set_threads(1)
    measured: list[Measurement] = []
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder) / "store")
        for name, stage in (("light_face", "face"), ("light_voice", "voice")):
            for precision in ("float32", "bfloat16"):
                changes = [f"{stage}.precision={precision}", 'data.pools.ALL=["MTL"]']
                recipe = load_recipe(name, changes)
                tasks = [task(key) for key in recipe.tasks]
                samples = build_samples(recipe.data, store, tasks)
                work = TrainingContext(
                    recipe, store, samples, tasks, RunFolder(Path(folder) / "run"), SEED
                )
                step = updates(StageRun(work, 0))
                named = f"{name} {precision}"
                measured.append(
                    measure(named, "samples/s", step, seconds, REPEATS, time.process_time)
                )
    report("precision", measured, {"threads": 1, "seed": SEED, "rows": ROWS}, RESULT)


if __name__ == "__main__":
    main()
