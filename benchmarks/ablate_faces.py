"""What each part of the face network's training is worth, at a small size.

    python benchmarks/ablate_faces.py CROPS FERPLUS OUT [--epochs 8] [--seed 0]

CROPS is a store of FER+ made with ``--face gray64``, FERPLUS is ``ferplus.npz`` or its folder, OUT
keeps the runs, so that a stopped script goes on. Every variant is the recipe `light_face_teacher`
at half its widths with one thing changed, for few epochs: a quick look at differences, not at what
can be reached. Scored on the validation images that have a strict majority (see
`score_ferplus.py`), a face alone and averaged with its mirror image. One seed: differences
below about 0.01 are luck.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from class_scores import scores
from score_ferplus import majority

from triaffect.corpora.ferplus import read_arrays
from triaffect.datasets.augmentation import augment
from triaffect.datasets.images import CropSamples
from triaffect.features.store import FeatureStore
from triaffect.io.atomic import write_json
from triaffect.models.light_face import LightFace
from triaffect.recipes.load import load_recipe
from triaffect.tasks.expression import EXPRESSION
from triaffect.training.run_folder import RunFolder
from triaffect.training.trainer import set_threads, train
from triaffect.types import Moments, Split

HALF = ["net.widths=[18, 38, 72, 124]"]
VARIANTS: dict[str, list[str]] = {
    "as it is": [],
    "majority in place of votes": [],
    "rare classes weigh more": ["data.balance=['EXPR']"],
    "no variation of crops": ["data.augment=false"],
    "turned, moved, mirrored, hidden; no cameras": [],
    "nothing mixed": ["data.mix=0.0"],
    "everything mixed": ["data.mix=1.0"],
    "weights not averaged": ["face.average=0.0"],
    "constant rate": ["face.optimizer.schedule=constant"],
    "attention to channels and places": ["net.attention=channel_spatial"],
    "narrow and deep": ["net.widths=[12, 22, 44, 72]", "net.blocks=[1, 3, 4, 2]"],
}
CAMERAS = ("cover", "light", "blur", "compress")


def with_majority(store: FeatureStore) -> FeatureStore:
    """The store where each label is its largest share alone."""
    table = store.moments.table
    labels = store.moments.targets(EXPRESSION.key, EXPRESSION.columns)
    hard = np.eye(EXPRESSION.width, dtype=np.float32)[labels.values.argmax(1)]
    for place, name in enumerate(EXPRESSION.columns):
        column = table.column_names.index(name)
        kind = table.schema.field(name)
        values = pa.array(hard[:, place], kind.type, mask=~labels.valid[:, place])
        table = table.set_column(column, kind, values)
    changed = copy(store)
    changed.moments = Moments(table)
    return changed


@contextmanager
def without_cameras(off: bool) -> Iterator[None]:
    """Crops are varied, but not as cameras vary them."""
    kept = {name: getattr(augment, name) for name in CAMERAS}
    try:
        for name in CAMERAS if off else ():
            setattr(augment, name, lambda crops, rng: crops)
        yield
    finally:
        for name, function in kept.items():
            setattr(augment, name, function)


def run(name: str, store: FeatureStore, out: Path, epochs: int, seed: int) -> LightFace:
    """Train a variant, or go on with it; gives its network."""
    changes = [
        *HALF,
        *VARIANTS[name],
        f"face.epochs={epochs}",
        f"face.selection.patience={epochs}",
    ]
    recipe = load_recipe("light_face_teacher", changes)
    given = with_majority(store) if name.startswith("majority") else store
    folder = out / name.replace(" ", "_").replace(",", "").replace(";", "")
    with without_cameras(name.endswith("no cameras")):
        train(recipe, given, folder, seed, resume=True)
    net = LightFace([EXPRESSION], **recipe.net.model_dump(exclude={"kind"}))
    RunFolder(folder).load_weights(net, "face", "best")
    return net.eval()


@torch.no_grad()
def said(net: LightFace, samples: CropSamples, rows: np.ndarray, mirror: bool) -> np.ndarray:
    """Answers to some rows, (N,)."""
    net.mirror = mirror
    parts = np.array_split(rows, max(1, len(rows) // 256))
    raw = [net({"crop": torch.from_numpy(samples.inputs(part)["crop"])}).raw for part in parts]
    return torch.cat([each[EXPRESSION.key] for each in raw]).argmax(1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("ferplus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    set_threads(1)
    path = arguments.ferplus / "ferplus.npz" if arguments.ferplus.is_dir() else arguments.ferplus
    arrays, store = read_arrays(path), FeatureStore.open(arguments.store)
    samples = CropSamples(store, [EXPRESSION])
    rows = samples.rows.where(Split.VALIDATION, ["ferplus/EXPR"])
    image = store.moments.column("frame").astype(np.int64)[samples.rows.moments[rows]]
    columns = [str(name) for name in arrays.vote_columns]
    truth = majority(arrays.votes[image].astype(np.int64), columns)
    rows, truth = rows[truth >= 0], truth[truth >= 0]
    print(f"{len(rows)} validation images\n{'':44} accuracy  mirror  macro F1, mirror")
    found = {}
    for name in VARIANTS:
        net = run(name, store, arguments.out, arguments.epochs, arguments.seed)
        one, both = (scores(truth, said(net, samples, rows, mirror)) for mirror in (False, True))
        alone, mirrored = one["accuracy"]["value"], both["accuracy"]["value"]
        print(
            f"{name:44} {alone:8.3f} {mirrored:7.3f} {both['macro_f1']['value']:9.3f}", flush=True
        )
        found[name] = {"alone": one, "mirrored": both}
    if arguments.json is not None:
        write_json(arguments.json, {"epochs": arguments.epochs, "seed": arguments.seed, **found})


if __name__ == "__main__":
    main()
