"""A page about a training run: its learning curves, its scores, predictions of clips."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from triaffect.metrics.paired import TOTAL
from triaffect.report.dot_plot import SOFT, Axis, svg_line, svg_text, ticks
from triaffect.report.page import LINE, LINES, PALETTE, Page
from triaffect.report.prediction_page import MEANING, Clips
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task

_LOSS = ".loss"
_NARROWEST = 0.1
"""Least height of an axis, of the highest value in it: differences far below it are noise."""
_LOG_RATIO = 20.0
"""Losses of which the largest is so many times the smallest are drawn by their logarithm."""
_WIDTH, _HEIGHT = 340, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 330.0, 10.0, 206.0
"""Of a plot, and where its lines are drawn in it; wide enough for small screens."""

_STYLE = """
.plots { display: flex; flex-wrap: wrap; gap: 16px 32px; }
.plots figure { flex: 1 1 290px; max-width: 440px; margin: 0; min-width: 0;
  display: flex; flex-direction: column; }
.plots svg { margin-top: auto; }
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
    "The dashed line is the epoch whose weights were taken; the numbers are those of it. "
    "A loss is the weighted sum of what the stage is trained for. It can rise while the scores "
    "improve, and losses of two stages are not comparable: compare the scores."
)


def training_page(
    summary: Mapping[str, Any],
    journal_rows: Iterable[Mapping[str, Any]],
    predictions: pd.DataFrame | None,
    tasks: Sequence[Task] = TASKS,
    predicted_by: str = "",
) -> str:
    """Write the page of a run as HTML.

    Args:
        summary: Scores as ``{name: {"official": {"P_VA": …}}}`` for each stage and for chance,
            and maybe ``"seconds": {step: seconds}``; other entries are left out.
        journal_rows: Lines of the run's journal.
        predictions: A prediction table; pictures are taken from its clips' files where they are.
            None draws none.
        tasks: What to draw.
        predicted_by: The model of the predictions, in words, where it is not that of the run.

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
    if seconds := summary.get("seconds"):
        steps = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
        page.paragraph(f"Time taken: {steps}.")
    if predictions is not None and len(predictions):
        page.heading(f"Predictions of {predicted_by}" if predicted_by else "Predictions")
        page.paragraph(MEANING)
        clips = Clips(tasks)
        for name, rows in predictions.groupby("clip", sort=False):
            clips.add(pa.Table.from_pandas(rows, preserve_index=False), Path(str(name)))
        clips.put_on(page)
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
        [name, *(_number(score[metric]) if metric in score else "" for metric in metrics)]
        for name, score in scores.items()
    ]
    return ["", *metrics], rows


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def learning_curves(epochs: Sequence[Mapping[str, Any]]) -> str:
    """Draw the losses of each kind of batch and the validation scores, epoch by epoch.

    Args:
        epochs: Journal lines of one stage, in order.

    Returns:
        An HTML element with plots, side by side where there is room; texts are escaped.
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
    best = next((row["epoch"] + 1 for row in reversed(epochs) if row.get("best")), None)
    parts = [name for name in scores if name != TOTAL]
    plots = [line_plot("training loss, by kind of batch", x, losses, _colors(losses), best)]
    drawn = {f"validation scores, {pool}": parts, f"their sum, {pool}": [TOTAL]}
    if len(parts) < 2:  # noqa: PLR2004 - no sum of a single one
        drawn = {f"validation score, {pool}": [*scores]}
    for title, names in drawn.items():
        series = {name: scores[name] for name in names}
        plots.append(line_plot(title, x, series, _colors(series), best, may_be_log=False))
    return f'<div class="plots">{"".join(plots)}</div>'


def _colors(series: Iterable[str]) -> list[str]:
    """Choose colors; a task's loss and its score have the same."""
    order = [*(task.key for task in TASKS), TOTAL.removeprefix("P_")]
    names = [name.removeprefix("P_") for name in series]
    order += [name for name in names if name not in order]
    every = (*LINES, *PALETTE)
    return [every[order.index(name) % len(every)] for name in names]


def line_plot(
    title: str,
    x: Sequence[int],
    series: Mapping[str, Sequence[float | None]],
    colors: Sequence[str],
    best: int | None = None,
    *,
    may_be_log: bool = True,
) -> str:
    """Draw series over epochs as an HTML element: title, legend with values, lines.

    Args:
        title: What is drawn.
        x: Epochs, ascending.
        series: By name, a value for each epoch; None where there is none.
        colors: Of the series, in order.
        best: The epoch that is marked and whose values are in the legend; None marks none, and
            the legend has the last values.
        may_be_log: Values of several orders are drawn by their logarithm.

    Returns:
        The element; texts are escaped in it.
    """
    vertical = _VerticalAxis.of(
        [v for each in series.values() for v in each if v is not None], may_be_log=may_be_log
    )
    title += ", logarithmic" if vertical.is_log else ""
    horizontal = Axis(_LEFT, _RIGHT, x[0] - 0.5, x[-1] + 0.5)
    parts, keys = [*_grid(x, horizontal, vertical)], ""
    if best is not None:
        at = horizontal.at(best)
        line = svg_line(at, _TOP, at, _BOTTOM, SOFT, 1).replace("/>", ' stroke-dasharray="3 3"/>')
        parts.append(f"<g><title>epoch {best}</title>{line}</g>")
    for (name, values), color in zip(series.items(), itertools.cycle(colors), strict=False):
        points = [
            (horizontal.at(epoch), vertical.at(value), f"{name}, epoch {epoch}: {value:.3f}")
            for epoch, value in zip(x, values, strict=True)
            if value is not None
        ]
        parts += _curve(points, color)
        shown = [v for epoch, v in zip(x, values, strict=True) if best in (None, epoch)]
        number = [f" {value:.3f}" for value in shown if value is not None][-1:]
        keys += f'<span><i style="background:{color}"></i>{escape(name)}{"".join(number)}</span>'
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><p class="key">{keys}</p>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" role="img" font-size="12" '
        f'aria-label="{escape(title, quote=True)}">{"".join(parts)}</svg></figure>'
    )


@dataclass(frozen=True)
class _VerticalAxis:
    """Maps values to heights in a plot, by their logarithm where they are of several orders."""

    axis: Axis
    is_log: bool

    @classmethod
    def of(cls, values: Sequence[float], *, may_be_log: bool) -> _VerticalAxis:
        """Make an axis with room for values."""
        lowest, highest = min(values, default=0.0), max(values, default=1.0)
        is_log = may_be_log and lowest > 0 and highest > _LOG_RATIO * lowest
        if is_log:
            lowest, highest = math.log10(lowest), math.log10(highest)
        # less than a tenth of the values is not worth an axis: it would be drawn from end to end
        room = max(
            0.04 * (highest - lowest), (_NARROWEST * abs(highest) - (highest - lowest)) / 2, 0.01
        )
        return cls(Axis(_BOTTOM, _TOP, lowest - room, highest + room), is_log)

    def at(self, value: float) -> float:
        """Return the height of a value."""
        return self.axis.at(math.log10(value) if self.is_log else value)

    def ticks(self) -> list[float]:
        """Choose round values within the axis."""
        if not self.is_log:
            return ticks(self.axis.low, self.axis.high)
        low, high = self.axis.low, self.axis.high
        decades = range(math.floor(low), math.ceil(high) + 1)
        factors = (1, 2, 5) if high - low < 2 else (1,)  # noqa: PLR2004 - decades
        values = [factor * 10.0**decade for decade in decades for factor in factors]
        return [value for value in values if low <= math.log10(value) <= high]


def _curve(points: Sequence[tuple[float, float, str]], color: str) -> Iterable[str]:
    """Draw a line through points, and each with its tooltip."""
    path = " ".join(f"{left:.1f},{top:.1f}" for left, top, _ in points)
    yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>'
    for left, top, tooltip in points:
        yield (
            f'<circle cx="{left:.1f}" cy="{top:.1f}" r="2.6" fill="{color}">'
            f"<title>{escape(tooltip)}</title></circle>"
        )


def _grid(x: Sequence[int], horizontal: Axis, vertical: _VerticalAxis) -> Iterable[str]:
    """Draw horizontal rules with their values, and whole epochs below."""
    for value in vertical.ticks():
        y = vertical.at(value)
        yield svg_line(_LEFT, y, _RIGHT, y, LINE, 1)
        yield svg_text(_LEFT - 6, y + 4, f"{value:g}", "end", SOFT)
    whole = [value for value in ticks(x[0], x[-1]) if value == round(value)] if len(x) > 1 else []
    for value in dict.fromkeys([x[0], *(value for value in whole if value > x[0])]):
        yield svg_text(horizontal.at(value), _BOTTOM + 18, f"{value:g}", "middle", SOFT)
    yield svg_text((_LEFT + _RIGHT) / 2, _BOTTOM + 36, "epoch", "middle", SOFT)
