"""What plots have in common: colours, letters, axes, how numbers are written."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PALETTE = (
    *("#a3adb8", "#d1495b", "#6f8f3a", "#7c5cbf", "#f0b429", "#3f7cac", "#ee7b30", "#3cb4a4"),
    *("#b56576", "#55606e", "#9c6644", "#2a9d8f"),
)
LINES = ("#2f6fb5", "#d1495b", "#3a8f5c", "#7c5cbf", "#b7791f")
FONT = {"family": 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif', "color": "#1f2933"}
INK, LINE = "#616e7c", "#e4e7eb"


def numbers(values: NDArray[np.floating]) -> list[float | None]:
    """For JSON: rounded to what can be seen, None for NaN."""
    return [None if np.isnan(value) else round(float(value), 3) for value in values]


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
