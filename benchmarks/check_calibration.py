"""How far the probability of an expression can be taken as said: calibration on people left out.

    python benchmarks/check_calibration.py default DATA/ferplus --png docs/images/calibration.png

Of the pictures of FER+'s test set that have a strict majority, as `score_ferplus.py` counts them,
the probability of the likeliest class is compared with how often it is right: the expected
calibration error is the mean distance of the two over 15 equal bins, each weighing as its pictures.
The plot shows the bins: on the diagonal, 70 % sure is right 70 times of 100.

A temperature divides the logits; it is fitted (least negative log likelihood) on other pictures
than it is measured on: on the tenth of ``Training`` that decisions are made on (``--fit
validation``), if the model has not learned from them, or in five folds of the test set (``--fit
folds``), each measured with the temperature of the others. ``tools/describe_model.py MODEL
--temperature EXPR=…`` writes it into a model; what is printed counts the one it has already. With
``--answers FILE`` the probabilities are stored, and read the next time.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from in_memory import DEFAULT, model_path
from numpy.typing import NDArray
from score_ferplus import BATCH, TEST, VALIDATION, answers_of, crops_of, majority, rows_of

from triaffect.corpora.ferplus import FerPlusArrays, read_arrays
from triaffect.errors import TriaffectError
from triaffect.features.extraction_worker import batches
from triaffect.features.model_folder import load_model_folder
from triaffect.io.atomic import write_json
from triaffect.tasks.expression import EXPRESSION

BINS, FOLDS, SEED = 15, 5, 0
TEMPERATURES = np.geomspace(0.4, 3.0, 131)
LIMIT = 0.03
"""Greatest expected calibration error that a model is to have."""
_INK, _SOFT, _BAR, _GAP = (31, 41, 51), (154, 165, 177), (8, 48, 107), (230, 159, 0)
Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def reliability(probabilities: Floats, labels: Labels) -> list[dict[str, float]]:
    """Compare confidence and accuracy in equal bins of confidence.

    >>> reliability(np.array([[0.8, 0.2], [0.8, 0.2]]), np.array([0, 1]))
    [{'count': 2, 'confidence': 0.8, 'accuracy': 0.5}]

    Args:
        probabilities: Of the classes, shape (N, K).
        labels: Numbers of the right ones, shape (N,).

    Returns:
        Count, mean confidence and share right of each bin that has rows, the least sure first.
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    number = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        {
            "count": int((number == k).sum()),
            "confidence": round(float(confidence[number == k].mean()), 6),
            "accuracy": round(float(right[number == k].mean()), 6),
        }
        for k in np.unique(number)
    ]


def calibration_error(bins: list[dict[str, float]]) -> float:
    """Mean distance of confidence and accuracy over the rows of all bins.

    >>> calibration_error([{"count": 2, "confidence": 0.8, "accuracy": 0.5}])
    0.3
    """
    total = sum(each["count"] for each in bins)
    apart = sum(each["count"] * abs(each["confidence"] - each["accuracy"]) for each in bins)
    return round(float(apart / total), 6)


def fit_temperature(probabilities: Floats, labels: Labels) -> float:
    """Choose the temperature under which the right classes are the most probable together."""
    rows = np.arange(len(labels))
    losses = [
        -np.log(EXPRESSION.with_temperature(probabilities, t)[rows, labels].clip(1e-9)).mean()
        for t in TEMPERATURES
    ]
    return float(TEMPERATURES[int(np.argmin(losses))])


def answers(model: str, path: Path, arrays: FerPlusArrays, split: str) -> tuple[Floats, Labels]:
    """Probabilities and strict majority of the pictures of a split that have one."""
    rows, predict = rows_of(path, arrays, split), answers_of(model)
    votes, columns = arrays.votes[rows].astype(np.int64), [str(c) for c in arrays.vote_columns]
    groups = batches(arrays.images[rows], BATCH)
    probabilities = np.concatenate([predict(crops_of(np.stack(each))) for each in groups])
    labels = majority(votes, columns)
    return probabilities[labels >= 0].astype(np.float64), labels[labels >= 0]


def stored_answers(
    model: str, path: Path, splits: list[str], store: Path | None
) -> dict[str, tuple[Floats, Labels]]:
    """`answers` of some splits, read from a file that has them, or computed and written there."""
    held: dict[str, Any] = {}
    if store is not None and store.is_file():
        held = dict(np.load(store))
    arrays = read_arrays(path)
    for split in splits:
        if f"{split}_labels" not in held:
            held[f"{split}_p"], held[f"{split}_labels"] = answers(model, path, arrays, split)
    if store is not None:
        np.savez_compressed(store, **held)
    return {split: (held[f"{split}_p"], held[f"{split}_labels"]) for split in splits}


def temperature_of(model: str) -> float:
    """The temperature that a model has already; 1 for a run."""
    path = Path(model)
    if model != DEFAULT and (path / "run.json").is_file():
        return 1.0
    return load_model_folder(model_path(model)).manifest.temperatures.get(EXPRESSION.key, 1.0)


def crossfit(probabilities: Floats, labels: Labels) -> tuple[Floats, float]:
    """Probabilities under temperatures of the other folds, and that of all rows for shipping."""
    fold = np.random.default_rng(SEED).permutation(len(labels)) % FOLDS
    result = probabilities.copy()
    for k in range(FOLDS):
        others = fold != k
        temperature = fit_temperature(probabilities[others], labels[others])
        result[fold == k] = EXPRESSION.with_temperature(probabilities[fold == k], temperature)
    return result, fit_temperature(probabilities, labels)


def draw(path: Path, plots: dict[str, list[dict[str, float]]]) -> None:
    """Draw the bins of each of some plots side by side, as PNG."""
    side, margin, scale = 360, 60, 2
    height, width = side + 2 * margin + 30, margin + (side + margin) * len(plots)
    picture = np.full((height * scale, width * scale, 3), 255, np.uint8)

    def at(left: int, x: float, y: float) -> tuple[int, int]:
        return int((left + x * side) * scale), int((margin + (1 - y) * side) * scale)

    def text(words: str, place: tuple[int, int], size: float = 0.42) -> None:
        font, color = cv2.FONT_HERSHEY_SIMPLEX, _INK
        cv2.putText(picture, words, place, font, size * scale, color, scale, cv2.LINE_AA)

    for number, (title, bins) in enumerate(plots.items()):
        left = margin + number * (side + margin)
        total = sum(each["count"] for each in bins)
        for each in bins:
            low = np.floor(each["confidence"] * BINS - 1e-9) / BINS
            ends = at(left, low + 0.006, each["accuracy"]), at(left, low + 1 / BINS - 0.006, 0)
            cv2.rectangle(picture, *ends, _BAR, -1)
            gap = at(left, low + 0.006, each["confidence"])
            cv2.rectangle(picture, gap, (ends[1][0], ends[0][1]), _GAP, 2 * scale)
            radius = round(1 + 9 * (each["count"] / total) ** 0.5) * scale
            middle = at(left, low + 0.5 / BINS, -0.04)
            cv2.circle(picture, middle, radius, _SOFT, -1, cv2.LINE_AA)
        cv2.line(picture, at(left, 0, 0), at(left, 1, 1), _SOFT, scale, cv2.LINE_AA)
        cv2.rectangle(picture, at(left, 0, 1), at(left, 1, 0), _INK, scale)
        for tick in (0.0, 0.5, 1.0):
            text(f"{tick:g}", at(left, tick - 0.02, -0.12))
            if not number:
                text(f"{tick:g}", at(left, -0.1, tick - 0.01))
        text(f"{title}: error {calibration_error(bins):.3f}", at(left, 0, 1.04), 0.48)
        text("sure (orange: gap to the diagonal); bars: right", at(left, 0.06, -0.2))
    cv2.imwrite(str(path), picture[..., ::-1])


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a model folder, or default")
    parser.add_argument("ferplus", type=Path)
    parser.add_argument("--fit", choices=("validation", "folds"), default="folds")
    parser.add_argument("--answers", type=Path, help="an .npz file of probabilities")
    parser.add_argument("--png", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    path = arguments.ferplus / "ferplus.npz" if arguments.ferplus.is_dir() else arguments.ferplus
    splits = [TEST] + ([VALIDATION] if arguments.fit == "validation" else [])
    try:
        held = stored_answers(arguments.model, path, splits, arguments.answers)
    except TriaffectError as error:
        raise SystemExit(str(error)) from error
    probabilities, labels = held[TEST]
    if arguments.fit == "validation":
        temperature = fit_temperature(*held[VALIDATION])
        fitted = EXPRESSION.with_temperature(probabilities, temperature).astype(np.float64)
    else:
        fitted, temperature = crossfit(probabilities, labels)
    plots = {
        "as it is": reliability(probabilities, labels),
        f"temperature {temperature:.2f}": reliability(fitted, labels),
    }
    for title, bins in plots.items():
        mean = sum(each["count"] * each["confidence"] for each in bins) / len(labels)
        right = sum(each["count"] * each["accuracy"] for each in bins) / len(labels)
        distance = calibration_error(bins)
        verdict = "" if distance <= LIMIT else f", more than {LIMIT:g}"
        print(f"{title:17} error {distance:.4f}{verdict}; sure {mean:.3f}, right {right:.3f}")
        for each in bins:
            print(f"  {each['count']:5} sure {each['confidence']:.3f} right {each['accuracy']:.3f}")
    temperature *= temperature_of(arguments.model)
    print(f"for the model: --temperature EXPR={temperature:.2f}")
    if arguments.png:
        draw(arguments.png, plots)
    if arguments.json:
        content = {"model": arguments.model, "n": len(labels), "temperature": temperature}
        errors = {title: calibration_error(bins) for title, bins in plots.items()}
        write_json(arguments.json, {**content, "errors": errors, "bins": plots})


if __name__ == "__main__":
    main()
