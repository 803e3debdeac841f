"""Scores of a prediction table against a table of labels: `triaffect.score`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from triaffect.errors import TableError
from triaffect.metrics.abaw import Score, reachable_scores
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task, cell, need_columns, read_numbers, targets_of
from triaffect.types import NO_FACE


def score_tables(
    truth: pd.DataFrame,
    prediction: pd.DataFrame,
    tasks: Sequence[Task] = TASKS,
    thresholds: Mapping[str, float] | None = None,
) -> Score:
    """Compute the official ABAW score of a prediction table against a table of labels.

    Rows are joined on ``clip``, ``frame`` and ``face_id``. Where the truth has no ``face_id``
    column they are joined on ``clip`` and ``frame``, which needs a single prediction row for
    each. Predictions without a truth row do not count.

    Args:
        truth: ``clip``, ``frame``, maybe ``face_id``, and label columns: ``valence``,
            ``arousal``; ``expression`` (a name or 0 to 7) or its eight ``p_`` columns; ``AU1`` to
            ``AU26`` (0 or 1). A blank cell or an absent column is not annotated.
        prediction: The same keys; ``valence``, ``arousal``, ``expression`` or its ``p_``
            columns, and probabilities of the action units. A blank cell is no prediction and is
            scored so: valence and arousal 0, no expression, unit not present.
        tasks: What to score.
        thresholds: Lowest probability of "present" by column; 0.5 for one not named.

    Returns:
        The score; a task without any label counts 0 rows.

    Raises:
        TableError: Duplicate rows, a truth row without a prediction, a column missing, or a
            value that cannot be.
    """
    keys = ["clip", "frame", "face_id"] if "face_id" in truth.columns else ["clip", "frame"]
    matches = _match(_index(truth, keys, "truth"), prediction, keys)
    columns = [name for task in tasks for name in task.threshold_columns]
    for name in thresholds or {}:
        if name not in columns:
            near = get_close_matches(name, columns, 1)
            remedy = f"did you mean {near[0]}?" if near else ""
            raise TableError("a threshold for one of " + ", ".join(columns), name, remedy)
    tasks = [task.with_thresholds(thresholds or {}) for task in tasks]
    labels = {task.key: task.read_values(truth, "truth") for task in tasks}
    if all(np.isnan(values).all() for values in labels.values()):
        raise TableError("at least one label", "none", where="truth")
    scores = {}
    for task in tasks:
        values = labels[task.key]
        predicted = np.full_like(values, np.nan)
        if not np.isnan(values).all():
            predicted = task.read_predictions(prediction, "prediction")[matches]
        scores[task.key] = task.score(values, predicted, ~np.isnan(values))
    truth_targets = {key: targets_of(values) for key, values in labels.items()}
    return Score(scores, reachable_scores(truth_targets, tasks))


def _match(truth: pd.MultiIndex, prediction: pd.DataFrame, keys: list[str]) -> NDArray[np.intp]:
    """Return the row of the prediction table for each truth row."""
    _refuse_duplicates(truth, "truth")
    if "face_id" in prediction.columns and "face_id" not in keys:
        _refuse_duplicates(_index(prediction, [*keys, "face_id"], "prediction"), "prediction")
        offered = _index(prediction, keys, "prediction")
        several = offered[offered.duplicated()].intersection(truth)
        if len(several):
            raise TableError(
                "one prediction row for each clip and frame",
                f"several for {_row_name(several, 0)}",
                "give the truth a face_id column",
                where="prediction",
            )
        # The frames left with several faces are none that the truth has rows of.
        offered_rows = np.flatnonzero(~offered.duplicated())
    else:
        offered = _index(prediction, keys, "prediction")
        _refuse_duplicates(offered, "prediction")
        offered_rows = np.arange(len(offered))
    matches = offered[offered_rows].get_indexer(truth)
    if (matches < 0).any():
        lost = np.flatnonzero(matches < 0)
        raise TableError(
            "a prediction for every truth row",
            f"none for {len(lost)} of {len(truth)}, such as {_row_name(truth, int(lost[0]))}",
            where="prediction",
        )
    rows: NDArray[np.intp] = offered_rows[matches]
    return rows


def _refuse_duplicates(index: pd.MultiIndex, where: str) -> None:
    twice = np.flatnonzero(index.duplicated())
    if len(twice):
        names = ", ".join(str(name) for name in index.names)
        raise TableError(
            f"one row for each {names}",
            f"several for {_row_name(index, int(twice[0]))}",
            where=where,
        )


def _row_name(index: pd.MultiIndex, row: int) -> str:
    values = ["none" if value == NO_FACE else value for value in index[row]]
    return ", ".join(f"{name} {value}" for name, value in zip(index.names, values, strict=True))


def _index(table: pd.DataFrame, keys: list[str], where: str) -> pd.MultiIndex:
    need_columns(table, tuple(keys), where)
    arrays = [table["clip"].astype(str).to_numpy(), _whole_numbers(table, "frame", where)]
    if "face_id" in keys:
        arrays.append(_whole_numbers(table, "face_id", where, blank=NO_FACE))
    return pd.MultiIndex.from_arrays(arrays, names=keys)


def _whole_numbers(
    table: pd.DataFrame, column: str, where: str, blank: int | None = None
) -> NDArray[np.int64]:
    values = read_numbers(table, column, where)
    if blank is not None:
        values = np.where(np.isnan(values), blank, values)
    wrong = np.flatnonzero(~(values == np.floor(values)))
    if len(wrong):
        row = int(wrong[0])
        got = "a blank" if np.isnan(values[row]) else f"{values[row]:g}"
        raise TableError("a whole number", got, where=cell(where, row, column))
    return values.astype(np.int64)
