"""A face model's expressions scored on FER+: python benchmarks/score_ferplus.py MODEL FERPLUS.

    python benchmarks/score_ferplus.py default shared/data/ferplus --json scores.json

MODEL is a model folder with a face and a fusing network, "default" for the shipped one, or the run
folder of a face network, of which the last stage's best weights are scored. FERPLUS is
``ferplus.npz`` or its folder. Every image is scored, from its face alone, once and not flipped: it
passes through the detector and alignment that extraction has for small pictures, whole where no
face is found. With ``--split validation`` it is the tenth of ``Training`` on which decisions are
made; with ``--with MODEL`` (again and again) the mean of the answers of several; with ``--mirror``
of each crop and its mirror image.

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
from class_scores import format_scores, scores
from in_memory import DEFAULT, InMemoryModel, model_path
from numpy.typing import NDArray

from triaffect.corpora.ferplus import FerPlus, FerPlusArrays, expression_votes, read_arrays
from triaffect.errors import TriaffectError
from triaffect.faces.stream import FaceStream
from triaffect.features.extraction_worker import batches
from triaffect.features.extractors.onnx import GRAY_INPUTS
from triaffect.features.model_folder import load_model_folder
from triaffect.io.atomic import write_json
from triaffect.models.light_face import LightFace, LightFaceSpec
from triaffect.tasks.expression import EXPRESSION
from triaffect.tasks.registry import task
from triaffect.training.run_folder import RunFolder, read_recipe
from triaffect.types import Split

TEST, VALIDATION = "PublicTest", "validation"
SEED, RATERS, BATCH = 0, 10, 32

Votes = NDArray[np.integer]
Predict = Callable[[NDArray[np.uint8]], NDArray[np.floating]]
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
    faces = FaceStream()
    pictures = (np.repeat(each[:, :, None], 3, axis=2) for each in images)
    return np.stack([faces.read_picture(each, assume_face=True).crops[0] for each in pictures])


def answers_of(model: str) -> Predict:
    """What to ask about crops."""
    path = Path(model)
    if model != DEFAULT and (path / "run.json").is_file():
        predict = _face_run(path)
        if predict is not None:
            return predict
    return _model_folder(model_path(model))


def _model_folder(path: Path) -> Predict:
    model = InMemoryModel(path)
    if EXPRESSION.key not in [each.key for each in model.fusion.tasks]:
        raise SystemExit(f"{path} says nothing of expressions")
    return lambda crops: model.predict_faces(crops)[EXPRESSION.key]


def _face_run(root: Path) -> Predict | None:
    """The face network that a run has trained, with its heads; None if it trained another."""
    recipe = read_recipe(root)
    if not isinstance(recipe.net, LightFaceSpec):
        return None
    tasks = [task(key) for key in recipe.tasks]
    net = LightFace(tasks, **recipe.net.model_dump(exclude={"kind"}))
    RunFolder(root).load_weights(net, list(recipe.stages)[-1], "best")
    net.eval()
    face = load_model_folder(RunFolder(root).model).manifest.face
    assert face is not None
    prepare = GRAY_INPUTS[face.input]

    @torch.no_grad()
    def answer(crops: NDArray[np.uint8]) -> NDArray[np.floating]:
        raw = net({"crop": torch.from_numpy(prepare(crops))}).raw[EXPRESSION.key]
        return EXPRESSION.activate(raw).numpy()

    return answer


def both_sides(answer: Predict) -> Predict:
    """What to ask for the mean of the answers to crops and to their mirror images."""
    return lambda crops: (answer(crops) + answer(np.ascontiguousarray(crops[:, :, ::-1]))) / 2


def mean_of(answers: list[Predict]) -> Predict:
    """What to ask for the mean of several answers."""
    return lambda crops: np.mean([answer(crops) for answer in answers], axis=0)


def rows_of(path: Path, arrays: FerPlusArrays, split: str) -> NDArray[np.int64]:
    """Rows of the file that belong to a split."""
    if split == TEST:
        return np.flatnonzero(arrays.split == TEST)
    corpus = FerPlus(path)
    moments = corpus.moments(corpus.sources()[0])
    mine = moments.dictionary_column("split") == Split.VALIDATION
    return moments.column("frame").astype(np.int64)[mine]


def evaluate(
    answer: Predict, arrays: FerPlusArrays, test: NDArray[np.int64], split: str = TEST
) -> dict[str, Any]:
    """Everything there is to say of a model on some rows of the file."""
    votes, columns = arrays.votes[test].astype(np.int64), [str(c) for c in arrays.vote_columns]
    groups = batches(arrays.images[test], BATCH)
    answers = np.concatenate([answer(crops_of(np.stack(each))).argmax(1) for each in groups])
    truth, alone = majority(votes, columns), majority(votes, columns, emotions_alone=True)
    counted = truth >= 0
    rng = np.random.default_rng(SEED)
    return {
        "split": split,
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
    print(format_scores(found))
    alone, people = found["votes_for_emotions_alone"], found["people"]
    print(f"by the votes for emotions alone: accuracy {alone['accuracy']:.3f}, n {alone['n']:,}")
    print(
        f"people (simulated): one rater {people['one_rater']:.3f}, "
        f"ten raters {people['ten_raters']:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("ferplus", type=Path)
    parser.add_argument("--split", choices=(TEST, VALIDATION), default=TEST)
    parser.add_argument("--with", dest="others", action="append", default=[], metavar="MODEL")
    parser.add_argument("--mirror", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    path = arguments.ferplus / "ferplus.npz" if arguments.ferplus.is_dir() else arguments.ferplus
    try:
        arrays = read_arrays(path)
        answers = [answers_of(model) for model in (arguments.model, *arguments.others)]
        answer = mean_of([both_sides(each) if arguments.mirror else each for each in answers])
        found = evaluate(answer, arrays, rows_of(path, arrays, arguments.split), arguments.split)
    except TriaffectError as error:
        raise SystemExit(str(error)) from error
    tell(found)
    if arguments.json is not None:
        how = {"model": arguments.model, "with": arguments.others, "mirror": arguments.mirror}
        write_json(arguments.json, {**how, **found})


if __name__ == "__main__":
    main()
