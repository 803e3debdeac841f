"""Scores of predictions in exclusive classes: accuracy, recall, each class, and the confusion.

For sets of independent rows (pictures, recordings); intervals resample those. Sequences of
frames have `triaffect.metrics.bootstrap`, which resamples videos.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.tasks.expression import EXPRESSIONS
from triaffect.tasks.metrics import f1, outcome_table, outcomes_of_classes

RESAMPLES, LEVEL, SEED = 2000, 0.95, 0


def scores(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> dict[str, Any]:
    """Accuracy, macro F1 and mean recall with intervals, each class, and the confusion.

    The mean recall is over the classes that occur; the macro F1 is over all eight.

    Args:
        truth: Class numbers, shape (N,).
        predicted: Class numbers, shape (N,).
    """
    classes = len(EXPRESSIONS)
    confusion = np.bincount(truth * classes + predicted, minlength=classes**2)
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
    intervals = {name: _with_interval(each) for name, each in values.items()}
    table = outcome_table(outcomes[0])
    for row in table:
        del row["rows"]
    return {
        "n": len(truth),
        **intervals,
        "classes": dict(zip(EXPRESSIONS, table, strict=True)),
        "confusion": cells[0].astype(int).tolist(),
    }


def _with_interval(values: NDArray[np.floating]) -> dict[str, Any]:
    """The first value, and where the middle 95 % of the others lie."""
    low, high = np.quantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": float(values[0]), "interval": [float(low), float(high)]}


def format_scores(result: dict[str, Any]) -> str:
    """Format the result of `scores` as lines of text."""
    lines = []
    for name in ("accuracy", "macro_f1", "mean_recall"):
        low, high = result[name]["interval"]
        lines.append(f"{name:12} {result[name]['value']:.3f}  95 % {low:.3f} to {high:.3f}")
    lines.append(
        f"\n{'':10} {'n':>5} {'precision':>9} {'recall':>7} {'f1':>6}   predicted, in columns"
    )
    for name, counts in zip(EXPRESSIONS, result["confusion"], strict=True):
        row = result["classes"][name]
        shares = f"{row['precision']:9.3f} {row['recall']:7.3f} {row['f1']:6.3f}"
        numbers = " ".join(f"{each:5d}" for each in counts)
        lines.append(f"{name:10} {row['support']:5d} {shares}   {numbers}")
    return "\n".join(lines)
