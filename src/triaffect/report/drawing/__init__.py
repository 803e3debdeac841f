"""What is drawn on frames: boxes, tags, planes, units, times, in a font of its own."""

from __future__ import annotations

from triaffect.report.drawing.frame import Drawn, draw
from triaffect.report.drawing.positions import WordPositions

__all__ = ["Drawn", "WordPositions", "draw"]
