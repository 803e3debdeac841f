"""What is drawn on frames: boxes, tags, planes, units, times, in a font of its own."""

from __future__ import annotations

from triaffect.report.drawing.frame import Drawn, draw
from triaffect.report.drawing.places import Places

__all__ = ["Drawn", "Places", "draw"]
