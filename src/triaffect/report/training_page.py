"""A page about a training run: its learning curves, its scores, predictions of clips."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from triaffect.report.dot_plot import SOFT, Axis, svg_line, svg_text, ticks
from triaffect.report.page import LINE, LINES, PALETTE, Page
from triaffect.report.prediction_page import MEANING, Clips
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task

_LOSS = ".loss"
_NARROWEST = 0.1
"""Least height of an axis, of the highest value in it: differences far below it are noise."""
_WIDTH, _HEIGHT = 420, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 410.0, 10.0, 206.0
"""Of a plot, and where its lines are drawn in it; wide enough for small screens."""

_STYLE = """
.plots { display: flex; flex-wrap: wrap; gap: 16px 32px; }
.plots figure { flex: 1 1 300px; max-width: 520px; margin: 0; min-width: 0; }
.plots figcaption { font-weight: 600; color: var(--soft); font-size: 14px; }
.plots .key { margin: 2px 0 6px; font-size: 13px; color: var(--ink); }
.plots .key span { display: inline-block; margin-right: 14px; white-space: nowrap; }
.plots .key i { display: inline-block; width: 14px; height: 3px; margin-right: 5px;
  vertical-align: middle; }
"""
_CHANCE = (
    "chance: the best that a constant answer reaches, chosen with the labels at hand. A score "
    "below it means that the network has not learned that task."
)
_LOSSES = (
    "A loss is the weighted sum of what the stage is trained for. It can rise while the scores "
    "improve, and losses of two stages are not comparable: compare the scores."
)


def training_page(
    summary: Mapping[str, Any],
    journal_rows: Iterable[Mapping[str, Any]],
    predictions: pd.DataFrame | None,
    tasks: Sequence[Task] = TASKS,
) -> str:
    """Write the page of a run as HTML.

    Args:
        summary: Scores as ``{name: {"official": {"P_VA": …}}}`` for each stage and for chance,
            and maybe ``"seconds": {step: seconds}``; other entries are left out.
        journal_rows: Lines of the run's journal.
        predictions: A prediction table; pictures are taken from its clips' files where they are.
            None draws none.
        tasks: What to draw.

    Returns:
        A whole HTML document that fetches nothing.
    """
    page = Page("Training run", "Learning curves, and scores on people that training left out.")
    page.style(_STYLE)
    page.heading("Scores")
    page.table(*score_rows(summary))
    if "chance" in summary:
        page.paragraph(_CHANCE)
    epochs = [row for row in journal_rows if row.get("event") == "epoch"]
    if epochs:
        page.paragraph(_LOSSES)
    for stage in dict.fromkeys(row["stage"] for row in epochs):
        page.heading(f"Learning curves: {stage}")
        page.drawing(learning_curves([row for row in epochs if row["stage"] == stage]))
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
    """Write the table of official scores.

    >>> score_rows({"student": {"official": {"P_VA": 0.5}}, "seconds": {"train": 1.0}})
    (['', 'P_VA'], [['student', '0.500']])

    Args:
        summary: As that of `training_page`; entries without official scores are left out.

    Returns:
        Its header, and a row of texts for each stage.
    """
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


def learning_curves(epochs: Sequence[Mapping[str, Any]]) -> str:
    """Draw the losses of each kind of batch and the validation scores, epoch by epoch.

    Args:
        epochs: Journal lines of one stage, in order.

    Returns:
        An HTML element with two plots, side by side where there is room; texts are escaped.
    """
    x = [row["epoch"] + 1 for row in epochs]
    losses = {
        name.removesuffix(_LOSS): [row["losses"].get(name) for row in epochs]
        for name in epochs[0]["losses"]
        if name.endswith(_LOSS)
    }
    # The pool with labels of the most tasks: a task without any scores 0.
    validation = epochs[0]["validation"]
    pool = max(validation, key=lambda name: sum(value > 0 for value in validation[name].values()))
    scores = {
        metric: [row["validation"][pool].get(metric) for row in epochs]
        for metric in validation[pool]
    }
    plots = (
        line_plot("training loss, by kind of batch", x, losses, PALETTE[1:]),
        line_plot(f"validation score ({pool})", x, scores, LINES, low=0.0),
    )
    return f'<div class="plots">{"".join(plots)}</div>'


def line_plot(
    title: str,
    x: Sequence[int],
    series: Mapping[str, Sequence[float | None]],
    colors: Sequence[str],
    low: float | None = None,
) -> str:
    """Draw series over epochs as an HTML element: title, legend with the last values, lines.

    Args:
        title: What is drawn.
        x: Epochs, ascending.
        series: By name, a value for each epoch; None where there is none.
        colors: Of the series, in order.
        low: The vertical axis begins here at the latest; None lets it follow the values.

    Returns:
        The element; texts are escaped in it.
    """
    named = list(zip(series.items(), itertools.cycle(colors), strict=False))
    numbers = [v for values in series.values() for v in values if v is not None]
    lowest = min([*numbers, *(() if low is None else (low,))], default=0.0)
    highest = max(numbers, default=1.0)
    # less than a tenth of the values is not worth an axis: it would be drawn from end to end
    room = max(
        0.04 * (highest - lowest), (_NARROWEST * abs(highest) - (highest - lowest)) / 2, 0.01
    )
    vertical = Axis(_BOTTOM, _TOP, lowest if lowest == low else lowest - room, highest + room)
    horizontal = Axis(_LEFT, _RIGHT, x[0] - 0.5, x[-1] + 0.5)
    parts = [*_grid(x, horizontal, vertical)]
    for (name, values), color in named:
        points = [
            (horizontal.at(epoch), vertical.at(value), f"{name}, epoch {epoch}: {value:.3f}")
            for epoch, value in zip(x, values, strict=True)
            if value is not None
        ]
        path = " ".join(f"{left:.1f},{top:.1f}" for left, top, _ in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{left:.1f}" cy="{top:.1f}" r="2.6" fill="{color}">'
            f"<title>{escape(tooltip)}</title></circle>"
            for left, top, tooltip in points
        ]
    keys = ""
    for (name, values), color in named:
        last = [f" {value:.3f}" for value in values if value is not None][-1:]
        keys += f'<span><i style="background:{color}"></i>{escape(name)}{"".join(last)}</span>'
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><p class="key">{keys}</p>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" role="img" font-size="12" '
        f'aria-label="{escape(title, quote=True)}">{"".join(parts)}</svg></figure>'
    )


def _grid(x: Sequence[int], horizontal: Axis, vertical: Axis) -> Iterable[str]:
    """Draw horizontal rules with their values, and whole epochs below."""
    for value in ticks(vertical.low, vertical.high):
        y = vertical.at(value)
        yield svg_line(_LEFT, y, _RIGHT, y, LINE, 1)
        yield svg_text(_LEFT - 6, y + 4, f"{value:g}", "end", SOFT)
    for value in ticks(x[0], x[-1]) if len(x) > 1 else x:
        if value == round(value):
            yield svg_text(horizontal.at(value), _BOTTOM + 18, f"{value:g}", "middle", SOFT)
    yield svg_text((_LEFT + _RIGHT) / 2, _BOTTOM + 36, "epoch", "middle", SOFT)
