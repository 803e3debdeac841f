"""Thresholds: from which probability on a column counts as present."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from triaffect.errors import RunError
from triaffect.metrics.abaw import Prediction, Truth
from triaffect.tasks.task import Task
from triaffect.types import IntArray

CANDIDATES = tuple(round(0.05 * k, 2) for k in sorted(range(2, 19), key=lambda k: abs(k - 10)))
"""Thresholds that are tried, 0.5 first: of equally good ones the nearest to it is taken. They are
few, so that the choice fits the rows it was made on no closer than need be."""

FEWEST = 12
"""A column that is present, or absent, in fewer people keeps 0.5: thresholds set on ten people
gained nothing on others, on thirty they did (`benchmarks/check_thresholds.py`)."""


def best_thresholds(
    truth: Truth, prediction: Prediction, tasks: Sequence[Task], person: IntArray
) -> dict[str, float]:
    """Choose the threshold of each column that scores best on these rows.

    The rows should be of people that training left out.

    Args:
        truth: Labels by task key; a task may be absent.
        prediction: Activated predictions by task key, shape (N, K).
        tasks: Those whose outputs are no probabilities of presence are passed over.
        person: Number of each row's person, shape (N,).

    Returns:
        By column; one with too few people is left out.
    """
    thresholds: dict[str, float] = {}
    for task in tasks:
        if not task.threshold_columns or task.key not in truth:
            continue
        labels, values = truth[task.key], prediction[task.key]
        scores = []
        for candidate in CANDIDATES:
            tried = task.with_thresholds(dict.fromkeys(task.threshold_columns, candidate))
            scores.append(tried.score(labels.values, values, labels.valid).parts)
        if all(parts == scores[0] for parts in scores):
            continue  # its score is of ranks
        for column in task.threshold_columns:
            k = task.columns.index(column)
            valid, present = labels.valid[:, k], labels.values[:, k] > 0
            people = [len(np.unique(person[valid & kind])) for kind in (present, ~present)]
            if min(people) >= FEWEST:
                thresholds[column] = CANDIDATES[int(np.argmax([parts[column] for parts in scores]))]
    return thresholds


def read_thresholds(path: Path) -> dict[str, float]:
    """Read the thresholds that a stage has set.

    Args:
        path: The file of the stage.

    Returns:
        Lowest probability of "present" by column; nothing where there is no file.

    Raises:
        RunError: The file is damaged.
    """
    if not path.is_file():
        return {}
    try:
        return {
            str(key): float(value) for key, value in json.loads(path.read_text("utf-8")).items()
        }
    except (OSError, ValueError, AttributeError, TypeError):
        raise RunError(
            "thresholds by column", "a damaged file", "train again", where=path
        ) from None
