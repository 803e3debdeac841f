"""A face model's expressions scored on FER+: python benchmarks/score_ferplus.py MODEL FERPLUS.

    python benchmarks/score_ferplus.py default shared/data/ferplus --json scores.json

MODEL is a model folder with a face and a fusing network, "default" for the shipped one, or the run
folder of a face network, of which the last stage's best weights are scored. FERPLUS is
``ferplus.npz`` or its folder. Every image is scored, from its face alone, once and not flipped: it
passes through the detector and alignment that extraction has for small pictures, whole where no
face is found.

An image counts if, after single votes are struck out, more than half of the votes that are left,
those for "unknown" and "not a face" included, are for one of the eight emotions; contempt is
"other". The accuracy by the votes for emotions alone is given as well. Intervals resample images.

What people reach is estimated in two ways, neither of which is a bound that no model can pass.
One rater: each vote is taken away and compared with the strict majority of the others; one for
"unknown" is never right. Ten raters: two panels of ten are drawn from an image's votes, as if these
were what all raters would say; the first panel makes the label as above, the second answers with
its commonest emotion.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from triaffect.cli.json_file import write_json_file
from triaffect.corpora.ferplus import FerPlusArrays, expression_votes, read_arrays
from triaffect.errors import TriaffectError
from triaffect.features.crops import PictureFaces, batches
from triaffect.features.model_folder import load_model_folder
from triaffect.features.networks import OnnxFace
from triaffect.features.runners import gray64
from triaffect.inference.fusion import Fusion
from triaffect.inference.memory import FaceMemory
from triaffect.inference.predictor import model_folder
from triaffect.inference.table import Instants
from triaffect.nets.light_face import LightFace
from triaffect.recipes.recipe import LightFaceSpec
from triaffect.tasks.expression import EXPRESSION, EXPRESSIONS
from triaffect.tasks.metrics import f1, outcome_table, outcomes_of_classes
from triaffect.tasks.registry import TASKS, task
from triaffect.training.run_folder import RunFolder, read_recipe
from triaffect.training.stage_run import load_weights

SPLIT = "PublicTest"
RESAMPLES, LEVEL, SEED, RATERS, BATCH = 2000, 0.95, 0, 10, 32

Votes = NDArray[np.integer]
Answers = Callable[[NDArray[np.uint8]], NDArray[np.floating]]
"""From crops, uint8 (N, 112, 112, 3), to probabilities of the expressions, (N, 8)."""


def majority(votes: Votes, columns: list[str], emotions_alone: bool = False) -> NDArray[np.int64]:
    """Expression that has more than half of the votes, -1 for none.

    Args:
        votes: Shape (..., 10); single ones are struck out.
        columns: What the ten are for.
        emotions_alone: Half of the votes for emotions, not of all of them.
    """
    kept = np.where(votes == 1, 0, votes).reshape(-1, votes.shape[-1])
    emotions = expression_votes(kept, columns)
    whole = emotions.sum(1) if emotions_alone else kept.sum(1)
    found = np.where(2 * emotions.max(1) > whole, emotions.argmax(1), -1)
    return found.reshape(votes.shape[:-1])


def one_rater(votes: Votes, columns: list[str]) -> float:
    """Share of votes equal to the strict majority of the image's other votes."""
    own = np.eye(len(columns), dtype=np.int64)
    others = majority(votes[:, None, :] - own.clip(max=votes[:, None, :]), columns)
    says = expression_votes(own, columns)
    meant = np.where(says.any(1), says.argmax(1), -1)  # "unknown" is never right
    weight = np.where(others >= 0, votes, 0)
    return float((weight * (others == meant)).sum() / weight.sum())


def ten_raters(votes: Votes, columns: list[str], rng: np.random.Generator) -> float:
    """Share of labels made by one panel that another panel's commonest emotion hits."""
    share = votes / votes.sum(1, keepdims=True)
    first, second = (rng.multinomial(RATERS, share) for _ in range(2))
    label, says = majority(first, columns), expression_votes(second, columns).argmax(1)
    return float((label == says)[label >= 0].mean())


def crops_of(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The aligned face of each gray image, (N, 48, 48) to (N, 112, 112, 3)."""
    faces = PictureFaces()
    return np.stack([faces(np.repeat(each[:, :, None], 3, axis=2))[0] for each in images])


def answers_of(model: str) -> Answers:
    """What to ask about crops."""
    path = None if model == "default" else Path(model)
    if path is not None and (path / "run.json").is_file():
        asked = _face_run(path)
        if asked is not None:
            return asked
    return _model_folder(model_folder(path))


def _model_folder(path: Path) -> Answers:
    folder = load_model_folder(path)
    fusion, face = Fusion(folder, TASKS), OnnxFace(folder)
    if EXPRESSION.key not in [each.key for each in fusion.tasks]:
        raise SystemExit(f"{path} says nothing of expressions")

    def answer(crops: NDArray[np.uint8]) -> NDArray[np.floating]:
        count, part = len(crops), fusion.part
        number, at_s = np.arange(count), np.zeros(count)
        boxes = np.zeros((count, 4), np.float32)
        instants = Instants(number, at_s, number, boxes, np.ones(count, np.float32))
        memory = FaceMemory(part.window, part.face_dim)
        memory.add(instants, np.asarray(face(crops), np.float32))
        silence = np.zeros((count, part.voice_dim), np.float32), np.zeros(count, np.bool_)
        return fusion(*memory.windows(instants), *silence)[EXPRESSION.key]

    return answer


def _face_run(root: Path) -> Answers | None:
    """The face network that a run has trained, with its heads; None if it trained another."""
    recipe = read_recipe(root)
    if not isinstance(recipe.net, LightFaceSpec):
        return None
    tasks = [task(key) for key in recipe.tasks]
    net = LightFace(tasks, **recipe.net.model_dump(exclude={"kind"}))
    load_weights(net, RunFolder(root), list(recipe.stages)[-1], "best")
    net.eval()

    @torch.no_grad()
    def answer(crops: NDArray[np.uint8]) -> NDArray[np.floating]:
        raw = net({"crop": torch.from_numpy(gray64(crops))}).raw[EXPRESSION.key]
        return EXPRESSION.activate(raw).numpy()

    return answer


def scores(truth: NDArray[np.int64], said: NDArray[np.int64]) -> dict[str, Any]:
    """Accuracy, macro F1 and mean recall with intervals, each class, and the confusion."""
    classes = len(EXPRESSIONS)
    confusion = np.bincount(truth * classes + said, minlength=classes**2)
    drawn = np.random.default_rng(SEED).multinomial(
        len(truth), confusion / len(truth), RESAMPLES
    )  # as drawing images: all that matters of one is its cell
    cells = np.concatenate([confusion[None], drawn]).reshape(-1, classes, classes).astype(float)
    none_unanswered = np.concatenate([cells, np.zeros((*cells.shape[:2], 1))], axis=2)
    outcomes = outcomes_of_classes(none_unanswered)
    support = cells.sum(2)
    recall = np.diagonal(cells, axis1=1, axis2=2) / np.maximum(support, 1)
    values = {
        "accuracy": np.diagonal(cells, axis1=1, axis2=2).sum(1) / len(truth),
        "macro_f1": f1(outcomes).mean(1),
        "mean_recall": recall.sum(1) / (support > 0).sum(1),
    }
    told = {name: _with_interval(each) for name, each in values.items()}
    table = outcome_table(outcomes[0])
    for row in table:
        del row["rows"]
    return {
        "n": len(truth),
        **told,
        "classes": dict(zip(EXPRESSIONS, table, strict=True)),
        "confusion": cells[0].astype(int).tolist(),
    }


def _with_interval(values: NDArray[np.floating]) -> dict[str, Any]:
    """The first value, and where the middle 95 % of the others lie."""
    low, high = np.quantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": float(values[0]), "interval": [float(low), float(high)]}


def evaluate(answer: Answers, arrays: FerPlusArrays) -> dict[str, Any]:
    """Everything there is to say of a model on the split."""
    test = arrays.split == SPLIT
    votes, columns = arrays.votes[test].astype(np.int64), [str(c) for c in arrays.vote_columns]
    groups = batches(arrays.images[test], BATCH)
    answers = np.concatenate([answer(crops_of(np.stack(each))).argmax(1) for each in groups])
    truth, alone = majority(votes, columns), majority(votes, columns, emotions_alone=True)
    counted = truth >= 0
    rng = np.random.default_rng(SEED)
    return {
        "split": SPLIT,
        "images": len(votes),
        **scores(truth[counted], answers[counted]),
        "votes_for_emotions_alone": {
            "n": int((alone >= 0).sum()),
            "accuracy": float((answers == alone)[alone >= 0].mean()),
        },
        "people": {
            "one_rater": one_rater(votes, columns),
            "ten_raters": ten_raters(votes, columns, rng),
        },
    }


def tell(found: dict[str, Any]) -> None:
    """Print what `evaluate` found."""
    print(f"{found['split']}: {found['n']:,} of {found['images']:,} images have a strict majority")
    for name in ("accuracy", "macro_f1", "mean_recall"):
        low, high = found[name]["interval"]
        print(f"{name:12} {found[name]['value']:.3f}  95 % over images {low:.3f} to {high:.3f}")
    alone, people = found["votes_for_emotions_alone"], found["people"]
    print(f"by the votes for emotions alone: accuracy {alone['accuracy']:.3f}, n {alone['n']:,}")
    print(
        f"people (simulated): one rater {people['one_rater']:.3f}, "
        f"ten raters {people['ten_raters']:.3f}"
    )
    print(f"\n{'':10} {'n':>5} {'precision':>9} {'recall':>7} {'f1':>6}   said, in columns")
    for name, row, said in zip(
        EXPRESSIONS, found["classes"].values(), found["confusion"], strict=True
    ):
        numbers = " ".join(f"{each:5d}" for each in said)
        shares = f"{row['precision']:9.3f} {row['recall']:7.3f} {row['f1']:6.3f}"
        print(f"{name:10} {row['support']:5d} {shares}   {numbers}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("ferplus", type=Path)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    path = asked.ferplus / "ferplus.npz" if asked.ferplus.is_dir() else asked.ferplus
    try:
        found = evaluate(answers_of(asked.model), read_arrays(path))
    except TriaffectError as error:
        raise SystemExit(str(error)) from error
    tell(found)
    if asked.json is not None:
        write_json_file(asked.json, {"model": asked.model, **found})


if __name__ == "__main__":
    main()
