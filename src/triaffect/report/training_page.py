"""A page about a training run: its learning curves, its scores, predictions of clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from triaffect.report.page import (
    LINE,
    LINES,
    PALETTE,
    Figure,
    Page,
    base_layout,
    numbers,
    panel_title,
)
from triaffect.report.prediction_page import MEANING, Clips
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task

_LOSS = ".loss"


def training_page(
    summary: Mapping[str, Any],
    journal_rows: Iterable[Mapping[str, Any]],
    predictions: pd.DataFrame | None,
    tasks: Sequence[Task] = TASKS,
) -> str:
    """The page of a run as HTML.

    Args:
        summary: Scores as ``{name: {"official": {"P_VA": …}}}`` for each stage and for chance,
            and maybe ``"seconds": {step: seconds}``; other entries are left out.
        journal_rows: Lines of the run's journal.
        predictions: A prediction table; pictures are taken from its clips' files where they are.
            None draws none.
        tasks: What to draw.
    """
    page = Page("Training run", "How it learnt, how it scores on people it never saw.")
    page.heading("Scores")
    page.table(*score_rows(summary))
    epochs = [row for row in journal_rows if row.get("event") == "epoch"]
    for stage in dict.fromkeys(row["stage"] for row in epochs):
        page.heading(f"Learning curves: {stage}")
        page.figure(learning_curves([row for row in epochs if row["stage"] == stage]))
    if predictions is not None and len(predictions):
        page.heading("Predictions")
        page.paragraph(MEANING)
        clips = Clips(tasks)
        for name, rows in predictions.groupby("clip", sort=False):
            clips.add(pa.Table.from_pandas(rows, preserve_index=False), Path(str(name)))
        clips.put_on(page)
    if seconds := summary.get("seconds"):
        page.heading("Time taken")
        page.table(("step", "seconds"), [(name, f"{value:.1f}") for name, value in seconds.items()])
    return page.html()


def score_rows(summary: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of official scores."""
    scores = {
        name: entry["official"]
        for name, entry in summary.items()
        if isinstance(entry, Mapping) and "official" in entry
    }
    metrics = list(dict.fromkeys(metric for score in scores.values() for metric in score))
    rows = [
        [name, *(f"{score[metric]:.3f}" if metric in score else "" for metric in metrics)]
        for name, score in scores.items()
    ]
    return ["", *metrics], rows


def learning_curves(epochs: Sequence[Mapping[str, Any]]) -> Figure:
    """Losses of each kind of batch, and validation scores, epoch by epoch.

    Args:
        epochs: Journal lines of one stage, in order.
    """
    x = [row["epoch"] + 1 for row in epochs]
    losses = [name for name in epochs[0]["losses"] if name.endswith(_LOSS)]
    data = [
        _curve(
            x, [row["losses"].get(name) for row in epochs], name.removesuffix(_LOSS), PALETTE[k + 1]
        )
        for k, name in enumerate(losses)
    ]
    pool = _fullest_pool(epochs[0]["validation"])
    for k, metric in enumerate(epochs[0]["validation"][pool]):
        values = [row["validation"][pool].get(metric) for row in epochs]
        right = {"xaxis": "x2", "yaxis": "y2", "legend": "legend2"}
        data.append(_curve(x, values, metric, LINES[k % len(LINES)]) | right)
    layout = base_layout(300)
    axis = {"gridcolor": LINE, "zeroline": False}
    steps = {"title": {"text": "epoch"}, "dtick": max(1, round(len(x) / 10)), **axis}
    layout |= {
        "xaxis": {"domain": [0.0, 0.37], **steps},
        "xaxis2": {"domain": [0.55, 1.0], "anchor": "y2", **steps},
        "yaxis": axis,
        "yaxis2": {"anchor": "x2", "rangemode": "tozero", **axis},
        "legend": {"x": 0.38, "y": 1.0},
        "legend2": {"x": 1.01, "y": 1.0},
        "annotations": [
            panel_title("training loss, by kind of batch", 0.0, 1.0),
            panel_title(f"validation score ({pool})", 0.55, 1.0),
        ],
    }
    return {"data": data, "layout": layout}


def _fullest_pool(validation: Mapping[str, Mapping[str, float]]) -> str:
    """The pool with labels of the most tasks; a task without any scores 0."""
    return max(validation, key=lambda pool: sum(value > 0 for value in validation[pool].values()))


def _curve(x: list[int], y: list[float | None], name: str, colour: str) -> dict[str, Any]:
    values = numbers(np.array(y, np.float64))
    style = {"mode": "lines+markers", "line": {"color": colour}, "marker": {"size": 5}}
    return {"type": "scatter", "x": x, "y": values, "name": name, **style}
