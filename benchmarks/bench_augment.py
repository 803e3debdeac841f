"""Crops varied a second on one thread: python benchmarks/bench_augment.py.

Batches of 128 random crops through all of `vary_crops`, and through each of its steps alone.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measure import measure, report
from torch import Tensor

from triaffect.datasets.augmentation import augment
from triaffect.datasets.augmentation import crops as camera
from triaffect.datasets.augmentation.augment import vary_crops
from triaffect.datasets.augmentation.crops import cover

RESULT = Path(__file__).parent / "results" / "augment.json"
BATCH, SECONDS, REPEATS, SEED = 128, 1.0, 5, 0


def step(change: Callable[[Tensor, np.random.Generator], Tensor]) -> Callable[[], int]:
    """One batch through a change; gives its rows."""
    rng = np.random.default_rng(SEED)
    crops = torch.from_numpy(rng.integers(0, 256, (BATCH, 64, 64)).astype(np.float32))

    def run() -> int:
        change(crops, rng)
        return BATCH

    return run


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    torch.set_num_threads(1)
    changes = {
        "all": vary_crops,
        "cover": cover,
        "move": lambda crops, rng: augment._move(crops.unsqueeze(1), rng),
        "light": camera.light,
        "blur": camera.blur,
        "compress": camera.compress,
    }
    measured = [
        measure(name, "rows/s", step(change), seconds, REPEATS, time.process_time)
        for name, change in changes.items()
    ]
    report("augment", measured, {"threads": 1, "seed": SEED, "batch": BATCH}, RESULT)


if __name__ == "__main__":
    main()
