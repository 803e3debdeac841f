"""Predictions over time as one figure, its panels derived from the tasks.

A task with a text column among its predictions (classes that share a probability of 1) is
drawn as stacked bands, one with a few values as lines, one with many as a heat strip; axes take
the task's display range. Long timelines are averaged down before they are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from triaffect.report.page import Figure
from triaffect.tasks.task import Task

MOST_POINTS = 1200
"""Points of a timeline; about the pixels that it has."""

PALETTE = (
    *("#a3adb8", "#d1495b", "#6f8f3a", "#7c5cbf", "#f0b429", "#3f7cac", "#ee7b30", "#3cb4a4"),
    *("#b56576", "#55606e", "#9c6644", "#2a9d8f"),
)
LINES = ("#2f6fb5", "#d1495b", "#3a8f5c", "#7c5cbf", "#b7791f")
HEAT = [[0.0, "#f5f7fa"], [0.5, "#8fb3d9"], [1.0, "#173f73"]]
PRESENCE = [[0.0, "#eceff3"], [1.0, "#3cb4a4"]]
FONT = {"family": 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif', "color": "#1f2933"}
INK, LINE = "#616e7c", "#e4e7eb"

_FEW = len(LINES)
_GAP = 3.0
"""Rows farther apart than this many usual steps are not joined."""
_SPACE, _TOP, _BOTTOM = 34, 14, 46
"""Pixels between panels, above the first and below the last."""


@dataclass(frozen=True)
class Panel:
    """One strip of a figure.

    Attributes:
        title: Its heading.
        height: In pixels, without the heading.
        axis: Settings of its y axis.
        traces: What is drawn; the axis is filled in when the figure is put together.
    """

    title: str
    height: int
    axis: dict[str, Any]
    traces: list[dict[str, Any]]


def timeline(rows: pd.DataFrame, tasks: Sequence[Task]) -> Figure:
    """Predictions of one face, or of the voice alone, over time.

    Args:
        rows: Rows of a prediction table in order of time: one clip, one face.
        tasks: What to draw.
    """
    if len(rows) == 1:
        return _bars(rows.iloc[0], tasks)
    names = [name for task in tasks for name in task.columns]
    flags = ["face_seen", "voice_heard"]
    table = rows[[*names, *flags]].to_numpy(np.float64)
    times_s, values = thinned(rows["time_s"].to_numpy(np.float64), table)
    series = dict(zip([*names, *flags], values.T, strict=True))
    panels = [_task_panel(task, times_s, series) for task in tasks]
    presence = _heat(times_s, ["face", "voice"], [series[flag] for flag in flags], (0.0, 1.0))
    presence |= {"colorscale": PRESENCE}
    panels.append(Panel("seen and heard", 40, _names_axis(), [presence]))
    return _stacked(panels, times_s)


def thinned(
    times_s: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average neighbouring rows until there are few enough, and keep gaps open.

    Args:
        times_s: Ascending, shape (T,).
        values: NaN where blank, shape (T, K).

    Returns:
        Times (S,) and means (S, K); a row of NaN stands at each end of a gap.
    """
    group = -(-len(times_s) // MOST_POINTS)
    starts = np.arange(0, len(times_s), group)
    counts = np.diff([*starts, len(times_s)])
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        means = np.add.reduceat(np.where(there, values, 0), starts) / np.add.reduceat(
            there, starts, dtype=np.int64
        )
    times_s = np.add.reduceat(times_s, starts) / counts
    steps = np.diff(times_s)
    usual = float(np.quantile(steps, 0.5, method="lower")) if len(steps) else 0.0
    gaps = np.flatnonzero(steps > _GAP * usual)
    edges = np.stack([times_s[gaps] + usual, times_s[gaps + 1] - usual], axis=1)
    places = np.repeat(gaps + 1, 2)
    return np.insert(times_s, places, edges.ravel()), np.insert(means, places, np.nan, axis=0)


def numbers(values: NDArray[np.floating]) -> list[float | None]:
    """For JSON: rounded to what can be seen, None for NaN."""
    return [None if np.isnan(value) else round(float(value), 3) for value in values]


def _task_panel(
    task: Task, times_s: NDArray[np.float64], series: Mapping[str, NDArray[np.float64]]
) -> Panel:
    title, own = task.name.replace("_", " "), [series[name] for name in task.columns]
    if has_classes(task):
        axis = {"range": list(task.display_range), "nticks": 3}
        return Panel(title, 130, axis, _bands(task, times_s, own))
    if task.width <= _FEW:
        axis = {"range": list(task.display_range), "nticks": 5, "zerolinecolor": "#b8c0ca"}
        lines = zip(task.columns, own, LINES, strict=False)
        return Panel(", ".join(task.columns), 150, axis, [_line(times_s, *each) for each in lines])
    heat = _heat(times_s, list(task.columns), own, task.display_range)
    title += ", pale {:g} to dark {:g}".format(*task.display_range)
    return Panel(title, 15 * task.width, _names_axis(), [heat])


def has_classes(task: Task) -> bool:
    """Whether a task's columns are probabilities of classes, one of which is named."""
    return len(task.prediction_columns) > len(task.columns)


def _line(
    times_s: NDArray[np.float64], name: str, values: NDArray[np.float64], colour: str
) -> dict[str, Any]:
    style = {"mode": "lines", "line": {"color": colour, "width": 1.8}}
    return {"type": "scatter", "name": name, "x": numbers(times_s), "y": numbers(values), **style}


def _bands(
    task: Task, times_s: NDArray[np.float64], values: list[NDArray[np.float64]]
) -> list[dict[str, Any]]:
    traces = []
    for k, name in enumerate(task.columns):
        colour = PALETTE[k % len(PALETTE)]
        style = {"line": {"width": 0, "color": colour}, "fillcolor": colour, "stackgroup": "one"}
        trace = _line(times_s, name.removeprefix("p_"), values[k], colour)
        traces.append({**trace, **style, "hovertemplate": "%{y:.2f}"})
    return traces


def _heat(
    times_s: NDArray[np.float64],
    names: list[str],
    values: list[NDArray[np.float64]],
    display_range: tuple[float, float],
) -> dict[str, Any]:
    return {
        "type": "heatmap",
        "x": numbers(times_s),
        "y": names,
        "z": [numbers(row) for row in values],
        "zmin": display_range[0],
        "zmax": display_range[1],
        "colorscale": HEAT,
        "showscale": False,
        "ygap": 1,
        "hovertemplate": "%{y} %{z:.2f} at %{x:.2f} s<extra></extra>",
    }


def _names_axis() -> dict[str, Any]:
    return {"autorange": "reversed", "tickfont": {"size": 10}, "showgrid": False, "dtick": 1}


def _stacked(panels: Sequence[Panel], times_s: NDArray[np.float64]) -> Figure:
    """Panels one below the other over one time axis."""
    inner = sum(panel.height + _SPACE for panel in panels)
    layout = base_layout(inner + _TOP + _BOTTOM)
    layout["margin"] |= {"t": _TOP, "b": _BOTTOM}
    data, top = [], float(inner)
    for number, panel in enumerate(panels, 1):
        suffix = "" if number == 1 else str(number)
        high, low = (top - _SPACE) / inner, (top - _SPACE - panel.height) / inner
        axis = {"domain": [low, high], "gridcolor": LINE, "zerolinecolor": LINE, "fixedrange": True}
        layout[f"yaxis{suffix}"] = axis | panel.axis
        legend = f"legend{suffix}"
        layout[legend] = {"x": 1.01, "y": high, "yanchor": "top", "font": {"size": 11}}
        layout["annotations"].append(panel_title(panel.title, 0.0, high))
        data += [trace | {"yaxis": f"y{suffix}", "legend": legend} for trace in panel.traces]
        top -= panel.height + _SPACE
    last = "y" if len(panels) == 1 else f"y{len(panels)}"
    span = [float(times_s[0]), float(times_s[-1])]
    title = {"text": "time (s)", "standoff": 6}
    layout["xaxis"] = {"anchor": last, "title": title, "range": span, "gridcolor": LINE}
    return {"data": data, "layout": layout}


def _bars(row: pd.Series[Any], tasks: Sequence[Task]) -> Figure:
    """A single moment: a panel of bars for each task, side by side."""
    tallest = max(task.width for task in tasks)
    layout, data = base_layout(88 + 24 * tallest), []
    layout["margin"] |= {"t": 52, "r": 16}
    for number, task in enumerate(tasks, 1):
        suffix = "" if number == 1 else str(number)
        low = (number - 1) / len(tasks)
        domain = [low + (0.07 if number > 1 else 0.0), number / len(tasks)]
        layout[f"xaxis{suffix}"] = {
            "domain": domain,
            "range": list(task.display_range),
            "anchor": f"y{suffix}",
            "gridcolor": LINE,
            "nticks": 5,
        }
        layout[f"yaxis{suffix}"] = {"anchor": f"x{suffix}", "autorange": "reversed"}
        layout["annotations"].append(panel_title(task.name.replace("_", " "), domain[0], 1.0))
        names = [name.removeprefix("p_") for name in task.columns]
        values = numbers(row[list(task.columns)].to_numpy(np.float64))
        colour = {"color": LINES[0]}
        bars = {"type": "bar", "orientation": "h", "x": values, "y": names, "marker": colour}
        hover = {"hovertemplate": "%{y} %{x:.2f}<extra></extra>", "showlegend": False}
        data.append(bars | hover | {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"})
    return {"data": data, "layout": layout}


def base_layout(height: int) -> dict[str, Any]:
    """What all figures have in common."""
    return {
        "height": height,
        "font": FONT | {"size": 12},
        "margin": {"l": 76, "r": 120, "t": 30, "b": 46},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "x",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": LINE, "activecolor": INK},
        "annotations": [],
    }


def panel_title(text: str, x: float, y: float) -> dict[str, Any]:
    """A heading above the left end of a panel whose corner is at (x, y) of the figure."""
    place = {"xref": "paper", "yref": "paper", "x": x, "y": y, "xanchor": "left", "yshift": 2}
    style = {"yanchor": "bottom", "showarrow": False, "font": {"size": 12, "color": INK}}
    return {"text": f"<b>{text}</b>", **place, **style}
