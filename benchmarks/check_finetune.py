"""What fine-tuning the shipped model on a few people gains on others: posed smiles of real people.

    python benchmarks/check_finetune.py FOLDER [SPLITS]

FOLDER holds ``NNN_neutral.jpg`` and ``NNN_smiling.jpg`` of the Face Research Lab London Set. Each
split draws 10 people to learn from, 8 to choose the epoch by, and tests on the rest. Prints the
share of test pictures whose expression is right, before and after, for each split.
"""

import random
import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd

from triaffect.corpora.base import open_corpus
from triaffect.evaluation.evaluate import evaluate_model
from triaffect.features.extraction import extract
from triaffect.features.extractors.registry import DEFAULT, SHIPPED
from triaffect.features.store import FeatureStore
from triaffect.recipes.load import load_recipe
from triaffect.training.export import export_run
from triaffect.training.run_folder import find_initial_weights
from triaffect.training.trainer import set_threads, train

LEARN, CHOOSE = 10, 8
EXPRESSIONS = {"neutral": "neutral", "smiling": "happiness"}


def write_table(people: list[str], path: Path) -> None:
    splits = ["train"] * LEARN + ["validation"] * CHOOSE + ["test"] * len(people)
    rows = [
        (f"{person}_{kind}.jpg", 0, person, split, expression)
        for person, split in zip(people, splits, strict=False)
        for kind, expression in EXPRESSIONS.items()
    ]
    pd.DataFrame(rows, columns=["clip", "frame", "person", "split", "expression"]).to_csv(
        path, index=False
    )


def one_split(pictures: Path, people: list[str], work: Path) -> tuple[float, float]:
    """Accuracy on the test people before and after."""
    write_table(people, pictures / "labels.csv")
    extract(open_corpus(pictures), work / "store", DEFAULT, DEFAULT)
    store, recipe = FeatureStore.open(work / "store"), load_recipe("finetune")
    run = train(recipe, store, work / "run", initial=find_initial_weights(DEFAULT, recipe, store))
    export_run(run, store)
    before, after = (
        evaluate_model(model, store).stages["model"].overall.accuracy["EXPR"]
        for model in (SHIPPED, run.model)
    )
    return before, after


def main(folder: Path, splits: int) -> None:
    set_threads(1)
    people = sorted(path.name.partition("_")[0] for path in folder.glob("*_smiling.jpg"))
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        pictures = Path(temporary) / "pictures"
        pictures.mkdir()
        for path in folder.glob("*.jpg"):
            shutil.copyfile(path, pictures / path.name)
        for seed in range(splits):
            order = random.Random(seed).sample(people, len(people))
            found.append(one_split(pictures, order, Path(temporary) / str(seed)))
            print(f"split {seed}: before {found[-1][0]:.3f}, after {found[-1][1]:.3f}", flush=True)
    table = pd.DataFrame(found, columns=["before", "after"])
    gain = table["after"] - table["before"]
    print(f"mean: before {table['before'].mean():.3f}, after {table['after'].mean():.3f}")
    print(f"better in {(gain > 0).sum()}, worse in {(gain < 0).sum()} of {splits} splits")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10)
