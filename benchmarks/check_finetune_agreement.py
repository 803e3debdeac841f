"""How far fine-tuned models still answer as the model they began with, on a store's test rows.

    python benchmarks/check_finetune_agreement.py STORE MODEL...

Prints for each model folder the agreement (CCC) of valence and of arousal with the shipped
model's, and the mean distance of the action units' probabilities, which sound alone does not have.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triaffect.datasets.windows import WindowSamples
from triaffect.features.extractors.registry import SHIPPED
from triaffect.features.model_folder import load_model_folder
from triaffect.features.store import FeatureStore
from triaffect.metrics.abaw import score_targets
from triaffect.prediction.heads import Fusion
from triaffect.tasks.registry import TASKS
from triaffect.types import Targets

Answers = dict[str, NDArray[np.float32]]


def answers(folder: Path, store: FeatureStore) -> Answers:
    fusion = Fusion(load_model_folder(folder), TASKS, fill_blank=True)
    samples = WindowSamples(store, fusion.tasks, fusion.part.window)
    return fusion(*samples.arrays(np.flatnonzero(samples.rows.split == "test")))


def main(store_path: Path, folders: list[Path]) -> None:
    store = FeatureStore.open(store_path)
    start = answers(SHIPPED, store)
    ones = np.ones_like(start["VA"], bool)
    truth = {"VA": Targets(start["VA"], ones, np.ones(len(ones), np.float32))}
    for folder in folders:
        now = answers(folder, store)
        agreement = score_targets(truth, now).tasks["VA"].parts
        told = ", ".join(f"{name} {value:.3f}" for name, value in agreement.items())
        apart = np.abs(now["AU"] - start["AU"])
        apart = apart[~np.isnan(apart)]
        units = f"units {apart.mean():.3f} apart" if len(apart) else "no units of sound alone"
        print(f"{folder}: CCC with the start: {told}; {units}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
