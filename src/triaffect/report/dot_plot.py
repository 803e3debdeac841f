"""Dot plot of systems: every seed's score as a dot, and the difference to the baseline.

Drawn in SVG without a script, so that it prints. What matters is shown by shape and position, not
by color: a difference whose interval leaves 0 out is a filled diamond on a thick line, any other
a hollow one on a thin line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from triaffect.report.page import LINE, LINES

DOT, MARK, SOFT, _RULE = LINES[0], "#1f2933", "#616e7c", "#f1f3f6"

_TOP, _BOTTOM = 30, 30
_LABEL = 34
"""Letters of a system's name; the whole of it is its tooltip."""
_PART_LABEL = 13
"""Letters of the name of a part."""
_SPREAD = 6.0
"""Seeds lie at most so far above or below their line, each at its own height."""
_TICKS = 5
_NARROWEST = 0.02
"""Least width of an axis: differences far below it are noise of any score."""


@dataclass(frozen=True)
class Row:
    """One system.

    Attributes:
        name: Its name.
        seeds: Its score by seed.
        mean: Of them.
        gap: By how much it exceeds the baseline; None for the baseline, or where it is unknown.
        interval: Of that; None if it is unknown.
        is_baseline: Whether the others are compared with it.
    """

    name: str
    seeds: dict[str, float]
    mean: float
    gap: float | None = None
    interval: tuple[float, float] | None = None
    is_baseline: bool = False


@dataclass(frozen=True)
class PlotLayout:
    """Where things are, in pixels of the drawing.

    Attributes:
        name: Class of the element, by which a style sheet shows one layout or another.
        width: Of all.
        row: Height of a system.
        left: Where the panel of the scores begins and ends.
        right: Where that of the differences does.
        names_above: A system's name is above its dots, not left of them.
    """

    name: str
    width: int
    row: int
    left: tuple[float, float]
    right: tuple[float, float]
    names_above: bool = False


WIDE = PlotLayout("wide", 1080, 26, (250.0, 630.0), (700.0, 1050.0))
NARROW = PlotLayout("narrow", 380, 44, (12.0, 208.0), (236.0, 368.0), names_above=True)
"""For a telephone: as wide as its screen, so that nothing has to be pushed sideways."""
PART = PlotLayout("part", 280, 20, (96.0, 268.0), (96.0, 268.0))
"""Of one system, with a row for each part of a score."""
STYLE = """
td { white-space: pre; vertical-align: top; } td:first-child { white-space: pre-line; }
.scores { display: grid; gap: 12px; margin: 0 0 16px; }
.scores .card { margin: 0; }
svg.wide, svg.part { display: block; } svg.narrow { display: none; }
@media print, (max-width: 1000px) {
  svg.wide { display: none; } svg.narrow { display: block; max-width: 460px; margin: 0 auto; }
  .scores { grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); }
}
.parts { display: grid; gap: 14px 18px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 225px), 1fr)); }
.parts svg { max-width: 340px; }
@media print {
  .parts { grid-template-columns: repeat(3, 1fr); } .parts svg { break-inside: avoid; }
  .card:has(.parts) { break-inside: auto; }
}
"""


@dataclass(frozen=True)
class Axis:
    """Maps numbers to positions between two ends of a panel."""

    start: float
    stop: float
    low: float
    high: float

    def at(self, value: float) -> float:
        """Return the position of a number.

        >>> Axis(start=100, stop=200, low=0.0, high=1.0).at(0.25)
        125.0
        """
        return self.start + (value - self.low) / (self.high - self.low) * (self.stop - self.start)


def dot_plot(
    title: str,
    rows: Sequence[Row],
    baseline: str,
    layout: PlotLayout = WIDE,
    neighbors: Sequence[Sequence[Row]] = (),
) -> str:
    """Draw the systems as an SVG element; every text in it is escaped.

    Args:
        title: What is scored.
        rows: The systems, from top to bottom.
        baseline: What the differences are to.
        layout: Where things are.
        neighbors: Rows of the plots beside it, whose scale it takes: the axes of the scores are
            equally wide, those of the differences the same.

    Returns:
        The element; it needs no script, and `STYLE` where several layouts are on a page.
    """
    height = _TOP + layout.row * len(rows) + _BOTTOM
    left = _axis(layout.left, _scores(rows), max(map(_width, [rows, *neighbors])))
    gaps = differences(rows)
    every = [*gaps, *(value for each in neighbors for value in differences(each))]
    right = _axis(layout.right, [0.0, *every])
    most = 3 if layout.names_above else _TICKS
    bottom = height - _BOTTOM
    parts = [_heading(left.start, f"{title}, every seed"), *_grid(left, bottom, most)]
    if gaps:
        to_what = "difference" if layout.names_above else f"difference to {_short(baseline)}"
        parts += [_heading(right.start, to_what), *_grid(right, bottom, most)]
        parts.append(svg_line(right.at(0), _TOP - 4, right.at(0), bottom, MARK, 1.2))
    for number, row in enumerate(rows):
        y = _TOP + layout.row * (number + (0.7 if layout.names_above else 0.5))
        parts.append(svg_line(left.start - 8, y, right.stop, y, _RULE, 1))
        at = (
            (left.start - 8, y - 14, "start")
            if layout.names_above
            else (left.start - 14, y + 4, "end")
        )
        x, name_y, anchor = at
        weight = "600" if row.is_baseline else "400"
        parts.append(svg_text(x, name_y, _short(row.name), anchor, MARK, weight, row.name))
        parts += [*_dots(row, left, y), *_gap(row, right, y)]
    label = escape(f"{title} of {len(rows)} systems", quote=True)
    return (
        f'<svg class="{layout.name}" viewBox="0 0 {layout.width} {height}" width="100%" role="img" '
        f'aria-label="{label}" font-size="12">{"".join(parts)}</svg>'
    )


def part_plot(title: str, rows: Sequence[Row], values: Sequence[float]) -> str:
    """Draw the parts of a system's score as an SVG element; every text in it is escaped.

    Args:
        title: The system.
        rows: Its parts, from top to bottom: differences to the baseline, or the scores of rows
            that have none.
        values: What the axis has room for, such as those of the plots beside it.

    Returns:
        The element; it needs no script.
    """
    bottom = _TOP + PART.row * len(rows)
    axis = _axis(PART.right, values)
    parts = [svg_text(2, 16, _short(title), "start", MARK, "600", title)]
    parts += _grid(axis, bottom, 4)
    has_gaps = any(row.gap is not None for row in rows)
    if has_gaps:
        parts.append(svg_line(axis.at(0), _TOP - 4, axis.at(0), bottom, MARK, 1.2))
    for number, row in enumerate(rows):
        y = _TOP + PART.row * (number + 0.5)
        name = row.name if len(row.name) <= _PART_LABEL else f"{row.name[: _PART_LABEL - 1]}…"
        parts.append(svg_line(axis.start, y, axis.stop, y, _RULE, 1))
        parts.append(svg_text(axis.start - 8, y + 4, name, "end", MARK, "400", row.name))
        parts += _gap(row, axis, y) if has_gaps else _dots(row, axis, y, 0.6)
    label = escape(f"{title}: {len(rows)} parts", quote=True)
    return (
        f'<svg class="{PART.name}" viewBox="0 0 {PART.width} {bottom + _BOTTOM - 4}" width="100%" '
        f'role="img" aria-label="{label}" font-size="12">{"".join(parts)}</svg>'
    )


def ticks(low: float, high: float, most: int = _TICKS) -> list[float]:
    """Choose round numbers for an axis.

    >>> ticks(0.12, 0.58)
    [0.2, 0.3, 0.4, 0.5]

    Args:
        low: Lowest value of the axis.
        high: Highest, above the lowest.
        most: About how many numbers there are at most.

    Returns:
        Multiples of 1, 2 or 5 times a power of ten, ascending, within the axis.
    """
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * each for each in (1, 2, 5, 10) if power * each >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 10) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def differences(rows: Sequence[Row]) -> list[float]:
    """List the differences of rows and the ends of their intervals.

    Args:
        rows: The systems, or parts of one.
    """
    return [
        value for row in rows for value in (row.gap, *(row.interval or ())) if value is not None
    ]


def _scores(rows: Sequence[Row]) -> list[float]:
    return [value for row in rows for value in row.seeds.values()]


def _width(rows: Sequence[Row]) -> float:
    """How far the scores of rows reach."""
    values = _scores(rows)
    return max(values, default=0.0) - min(values, default=0.0)


def _axis(ends: tuple[float, float], values: Sequence[float], least: float = 0.0) -> Axis:
    """Make an axis with a little room around its values, which never zooms into noise.

    Args:
        ends: Where it is drawn.
        values: What is on it.
        least: It is at least so wide, beside the room.
    """
    low, high = min(values, default=0.0), max(values, default=0.0)
    least = max(least, _NARROWEST)
    room = 0.06 * max(high - low, least) + max(0.0, least - (high - low)) / 2
    return Axis(*ends, low - room, high + room)


def _grid(axis: Axis, bottom: float, most: int) -> Iterable[str]:
    for value in ticks(axis.low, axis.high, most):
        x = axis.at(value)
        yield svg_line(x, _TOP - 4, x, bottom, LINE, 1)
        yield svg_text(x, bottom + 16, f"{value:g}".replace("-", "\N{MINUS SIGN}"), "middle", SOFT)


def _dots(row: Row, axis: Axis, y: float, scale: float = 1.0) -> Iterable[str]:
    for number, (seed, value) in enumerate(row.seeds.items()):
        lift = (2 * (number + 0.5) / len(row.seeds) - 1) * _SPREAD * scale
        position = f'cx="{axis.at(value):.1f}" cy="{y + lift:.1f}" r="{2 + 1.4 * scale:.1f}"'
        tooltip = escape(f"{row.name}, seed {seed}: {value:.3f}")
        yield (
            f'<circle {position} fill="{DOT}" '
            f'fill-opacity="0.5" stroke="{DOT}"><title>{tooltip}</title></circle>'
        )
    x = axis.at(row.mean)
    yield svg_line(x, y - 10 * scale, x, y + 10 * scale, MARK, 2.4)


def _gap(row: Row, axis: Axis, y: float) -> Iterable[str]:
    if row.is_baseline:
        is_far = axis.at(0) > (axis.start + axis.stop) / 2
        x, anchor = axis.at(0) + (-8 if is_far else 8), "end" if is_far else "start"
        yield svg_text(x, y + 4, "baseline", anchor, SOFT)
    if row.gap is None:
        return
    is_clear = row.interval is not None and (row.interval[0] > 0 or row.interval[1] < 0)
    if row.interval is not None:
        low, high = (axis.at(end) for end in row.interval)
        yield svg_line(low, y, high, y, MARK if is_clear else SOFT, 3.2 if is_clear else 1.4)
    ends = ", {:+.3f} to {:+.3f}".format(*row.interval) if row.interval else ""
    x, tooltip = axis.at(row.gap), escape(f"{row.name}: {row.gap:+.3f}{ends}")
    shape = f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z"
    fill = MARK if is_clear else "#ffffff"
    yield (
        f'<path d="{shape}" fill="{fill}" stroke="{MARK}" stroke-width="1.4">'
        f"<title>{tooltip}</title></path>"
    )


def _short(name: str) -> str:
    """A name without its middle, if it is long; its end is the stage."""
    half = _LABEL // 2
    return name if len(name) <= _LABEL else f"{name[: half - 1]}…{name[-half:]}"


def _heading(x: float, text: str) -> str:
    return svg_text(x, 16, text, "start", SOFT, "600")


def svg_line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> str:
    """Draw a straight line as an SVG element.

    Args:
        x1: Left of its beginning, in pixels of the drawing.
        y1: Top of its beginning.
        x2: Left of its end.
        y2: Top of its end.
        colour: As in CSS.
        width: In pixels.
    """
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def svg_text(
    x: float, y: float, text: str, anchor: str, colour: str, weight: str = "400", tooltip: str = ""
) -> str:
    """Write a text as an SVG element, escaped.

    Args:
        x: Left of its anchor, in pixels of the drawing.
        y: Top of its base line.
        text: The text.
        anchor: What of it lies at ``x``: "start", "middle" or "end".
        colour: As in CSS.
        weight: Of the font, as in CSS.
        tooltip: Shown where one points at it; empty for none.
    """
    title = f"<title>{escape(tooltip)}</title>" if tooltip else ""
    position = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {position} fill="{colour}" font-weight="{weight}">{escape(text)}{title}</text>'
