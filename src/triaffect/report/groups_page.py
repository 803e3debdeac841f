"""A page that compares groups of people: everybody's values, means, differences and intervals.

Drawn in SVG without a script. Left of each measure everybody is a dot, joined where the same people
are in several groups; right is the difference to the first group, on the same scale. There is no
p-value and no star: the interval says what so many people can show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from triaffect.features.model_folder import OutputValidity
from triaffect.report.dot_plot import Axis, svg_line, svg_text, ticks
from triaffect.report.page import LINE, LINES, Page
from triaffect.studies.groups import (
    Estimate,
    GroupDifference,
    Groups,
    compare_groups,
    estimate_mean,
    measure_ends,
)
from triaffect.studies.measures import StudyMeasures, measure_names

_INK, _SOFT = "#1f2933", "#616e7c"
_HEIGHT, _TOP, _BOTTOM = 240, 12, 50
_LEFT, _WIDE, _NARROW = 42, 340, 180
_NARROWEST = {"mean": 0.4, "share": 0.2}
"""Least width of an axis by the ending of the measure: what is less is noise."""
_FEW_PEOPLE = 12
"""With fewer people in a group the page says that intervals are wide."""
_LABEL = 16
_STYLE = """
.measures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 500px), 1fr));
  gap: 0 16px; }
.pair { display: flex; flex-wrap: wrap; gap: 4px 8px; align-items: flex-start; }
.pair svg { flex: 340 1 250px; max-width: 440px; height: auto; }
.pair svg.gap { flex: 180 1 132px; max-width: 233px; }
.measure h3 { font-size: 15px; margin: 0 0 4px; }
.measure h3 small { font-weight: 400; color: var(--soft); }
.measure p { margin: 4px 0 0; font-size: 14px; }
.doubtful { opacity: 0.55; }
table.people th, table.people td { padding: 4px 10px; }
@media (max-width: 460px) { .pair svg.gap { flex: 0 1 180px; margin: 0 auto; } }
@media print {
  main { padding: 0; } .measures { grid-template-columns: 1fr; } .measure { break-inside: avoid; }
  .pair { flex-wrap: nowrap; } .pair svg, .pair svg.gap { flex: none; }
  details:not([open]) { display: none; }
}
"""
_HOW_TO_READ = (
    "Left: a dot is a person, gray lines join what is the same person; beside the dots is the mean "
    "with its 95 % interval. Right: the difference to the first group with its 95 % interval, on "
    "the same scale; the dashed line is no difference. An interval that crosses it leaves open "
    "which group has more. Every person counts once, however long he or she was filmed. Intervals "
    "are Student's, of other people in the groups Welch's; pointing at a dot shows whose it is."
)
_MEANING = (
    "The numbers are estimates of what raters would write down about what a face and a voice show, "
    "not of what a person feels. Signs have plain names: a smile is a lip corner puller (AU12), "
    "a frown a brow lowerer (AU4), a brow raise AU1 with AU2, lips parted AU25."
)


@dataclass(frozen=True)
class MeasureOfGroups:
    """What is drawn of a measure.

    Attributes:
        title: Name for a reader.
        unit: What the numbers are, in words.
        note: How far it holds on people; empty if nothing is said of it.
        labels: Names of the groups.
        values: Of each group, a value by participant, NaN where there is none.
        means: Mean over participants of each group.
        gaps: Differences of the groups after the first to the first.
        narrowest: Least width of the axis.
    """

    title: str
    unit: str
    note: str
    labels: tuple[str, ...]
    values: tuple[Mapping[str, float], ...]
    means: tuple[Estimate, ...]
    gaps: tuple[GroupDifference, ...]
    narrowest: float

    @property
    def is_blank(self) -> bool:
        """Whether nobody showed anything of it; a mean of 0 is something."""
        held = [value for own in self.values for value in own.values() if not np.isnan(value)]
        return not held or (self.unit != "mean over time" and not any(held))


def groups_page(
    groups: Groups, measures: StudyMeasures, outputs: Mapping[str, OutputValidity]
) -> Page:
    """Make the page.

    Args:
        groups: Who is in which group.
        measures: What each person showed.
        outputs: How far each output holds on people, by column.

    Returns:
        The page: a card for each of the main measures and each event, then tables of all.
    """
    page = Page("Groups compared", _lead(groups))
    page.style(_STYLE)
    for remark in groups.remarks:
        page.paragraph(remark[:1].upper() + remark[1:] + ".")
    for event in groups.events:
        if event:
            page.heading(event)
        if not any(groups.cells.get((event, level)) for level in groups.levels):
            page.paragraph("The table has no row of anybody.")
            continue
        blank, cards, doubtful = list[str](), list[str](), list[str]()
        for name in main_measures(measures):
            own = measure_of_groups(groups, measures, outputs, event, name)
            if own.is_blank:
                blank.append(own.title)
            elif own.note == "not shown":
                doubtful.append(_card(own))
            else:
                cards.append(_card(own))
        page.element(f'<div class="measures">{"".join([*cards, *doubtful])}</div>')
        if blank:
            page.paragraph(f"Nobody showed: {', '.join(blank)}.")
        page.element(_tables(groups, measures, outputs, event))
    page.heading("How to read this")
    page.paragraph(_HOW_TO_READ)
    page.paragraph(_MEANING)
    return page


def main_measures(measures: StudyMeasures) -> list[str]:
    """List the measures that get a card: means of values, and shares of plain words.

    Args:
        measures: The study.
    """
    signals = measures.signals
    columns = {name for task in signals.tasks for name in task.threshold_columns}
    columns |= {name for task in signals.tasks if task.exclusive for name in task.columns}
    values = [name for name in signals.values if name.removesuffix("_above_own") not in columns]
    words = [sign.key for sign in signals.signs if sign.is_word]
    return [f"{name}_mean" for name in values] + [f"{word}_share" for word in words]


def measure_of_groups(
    groups: Groups,
    measures: StudyMeasures,
    outputs: Mapping[str, OutputValidity],
    event: str,
    name: str,
) -> MeasureOfGroups:
    """Gather what is drawn of a measure.

    Args:
        groups: Who is in which group.
        measures: What each person showed.
        outputs: How far each output holds on people, by column.
        event: Name of the event; empty for whole clips.
        name: Name of the measure.
    """
    levels = groups.levels
    values = [groups.values(event, level, name, measures) for level in levels]
    ends = measure_ends(name, measures)
    kind = next(
        k
        for k in ("mean_s", "latency_s", "mean", "sd", "share", "episodes", "per_min")
        if name.endswith(f"_{k}")
    )
    units = {
        "mean": "mean over time",
        "sd": "standard deviation over time",
        "share": "share of the time",
        "episodes": "episodes",
        "per_min": "episodes a minute",
        "mean_s": "mean length of an episode, s",
        "latency_s": "seconds until the first episode",
    }
    column = name.removesuffix(f"_{kind}")
    title = column.replace("_above_own", " above the person's baseline").replace("_", " ")
    return MeasureOfGroups(
        title=title[:1].upper() + title[1:],
        unit=units[kind],
        note=_holds(column.removesuffix("_above_own"), measures, outputs),
        labels=tuple(", ".join(level) for level in levels),
        values=tuple(values),
        means=tuple(estimate_mean(list(own.values()), ends) for own in values),
        gaps=tuple(compare_groups(values[0], own) for own in values[1:]),
        narrowest=_NARROWEST.get(kind, 1.0),
    )


def _holds(column: str, measures: StudyMeasures, outputs: Mapping[str, OutputValidity]) -> str:
    """How far a measure holds on people: as the least of the outputs of which it is made."""
    sign = next((each for each in measures.signals.signs if each.key == column), None)
    columns = sign.columns if sign else (measures.signals.classes.get(column, column),)
    words = [str(outputs[name].holds) for name in columns if name in outputs]
    return next((word for word in ("not shown", "partly", "shown") if word in words), "")


def _lead(groups: Groups) -> str:
    """Who was compared, and what so few people can show."""
    people: dict[tuple[str, ...], set[str]] = {}
    for (_, level), cells in groups.cells.items():
        people.setdefault(level, set()).update(cells)
    all_people = set[str]().union(*people.values())
    empty = [", ".join(level) for level, own in people.items() if not own]
    several = len(people) - len(empty) > 1
    clips = {
        clip for cells in groups.cells.values() for cell in cells.values() for clip in cell.clips
    }
    named = ", ".join(f"{', '.join(level)}: {len(own)}" for level, own in people.items())
    shared = sum(sum(who in own for own in people.values()) > 1 for who in all_people)
    who = {0: "Different people are in the groups", len(all_people): "All are in several groups"}
    design = who.get(shared, f"{shared} of them are in several groups")
    text = (
        f"{len(all_people)} people in {len(clips)} clips, by {' and '.join(groups.by)} ({named}). "
    )
    fewest = min((len(own) for own in people.values() if own), default=0)
    text += f"{design}." if several else ""
    text += f" The table has no row of anybody in {' and '.join(empty)}." if empty else ""
    if 0 < fewest < _FEW_PEOPLE:
        text += (
            f" With {fewest} people in a group, intervals are wide: a difference that they do not "
            "show may still be there, and one that they show may be chance among so many measures."
        )
    return text


def _card(own: MeasureOfGroups) -> str:
    notes = {
        "shown": "shown to hold on people",
        "partly": "holds partly on people",
        "not shown": "not shown to hold on people",
        "": "",
    }
    doubtful = " doubtful" if own.note == "not shown" else ""
    tag = f"{own.unit}; {notes[own.note]}" if notes[own.note] else own.unit
    sentences = "".join(f"<p>{escape(line)}</p>" for line in _sentences(own))
    return (
        f'<div class="card measure{doubtful}"><h3>{escape(own.title)} <small>{escape(tag)}</small>'
        f'</h3><div class="pair">{_people_plot(own)}{_gap_plot(own)}</div>{sentences}</div>'
    )


def _sentences(own: MeasureOfGroups) -> Iterator[str]:
    """The differences in words."""
    for label, gap in zip(own.labels[1:], own.gaps, strict=True):
        estimate = gap.estimate
        what = f"{label} minus {own.labels[0]}"
        if estimate.count == 0:
            yield f"{what}: nobody has a value in both."
            continue
        text = f"{what}: {_signed(estimate.mean)}"
        if np.isnan(estimate.low):
            text += "; too few people for an interval"
        else:
            text += f" (95 % interval {_signed(estimate.low)} to {_signed(estimate.high)})"
        if gap.is_paired:
            text += f"; the same {estimate.count} people, {gap.higher} of them higher"
            text += f", {gap.left_out} in one group alone left out" if gap.left_out else ""
        else:
            text += "; different people"
        yield text + "."


def _signed(value: float) -> str:
    text = f"{value:+.2f}" if round(value, 2) else "0.00"
    return text.replace("-", "\N{MINUS SIGN}")


def _axis(own: MeasureOfGroups) -> Axis:
    """The vertical axis of the values; a share's starts at 0."""
    held = [v for values in own.values for v in values.values() if not np.isnan(v)]
    held += [end for mean in own.means for end in (mean.low, mean.high) if not np.isnan(end)]
    low, high = min(held), max(held)
    if low >= 0 and own.unit != "mean over time":
        return Axis(_HEIGHT - _BOTTOM, _TOP, 0.0, max(high * 1.05, own.narrowest))
    room = max(0.06 * (high - low), (own.narrowest - (high - low)) / 2)
    return Axis(_HEIGHT - _BOTTOM, _TOP, low - room, high + room)


def _people_plot(own: MeasureOfGroups) -> str:
    """Everybody's values, lines within people, and the means."""
    axis, count = _axis(own), len(own.labels)
    step = (_WIDE - _LEFT - 10) / count
    centers = [_LEFT + step * (k + 0.5) for k in range(count)]
    parts = [*_grid(axis, _WIDE, signed=own.unit == "mean over time")]
    spread = min(0.22 * step, 34.0)
    marks = [_scatter(own.values[k], axis, centers[k] - 0.1 * step, spread) for k in range(count)]
    for who in dict.fromkeys(name for mark in marks for name in mark):
        path = [mark[who] for mark in marks if who in mark]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in path)
        if len(path) > 1:
            parts.append(
                f'<polyline points="{joined}" fill="none" stroke="#9aa5b1" stroke-width="1.2"/>'
            )
    for k, mark in enumerate(marks):
        for who, (x, y) in mark.items():
            tip = escape(f"{who}, {own.labels[k]}: {own.values[k][who]:.3f}")
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{LINES[0]}" fill-opacity="0.55" '
                f'stroke="{LINES[0]}"><title>{tip}</title></circle>'
            )
        parts += _interval(own.means[k], axis, centers[k] + 0.26 * step)
        n = own.means[k].count
        parts.append(_name(centers[k], own.labels[k], step))
        parts.append(svg_text(centers[k], _HEIGHT - 6, f"{n} people", "middle", _SOFT))
    label = escape(f"{own.title} of everybody in {count} groups", quote=True)
    return _svg("people", _WIDE, label, parts)


def _scatter(
    values: Mapping[str, float], axis: Axis, center: float, spread: float
) -> dict[str, tuple[float, float]]:
    """Where each person's dot is; dots of one height lie beside each other."""
    points: dict[str, tuple[float, float]] = {}
    there: list[tuple[float, float]] = []
    for who, value in values.items():
        if np.isnan(value):
            continue
        y = axis.at(value)
        tries = [0.0] + [side * 10.0 * n for n in range(1, 8) for side in (1, -1)]
        free = (
            center + shift
            for shift in tries
            if abs(shift) <= spread
            and all(abs(y - b) > 8 or abs(center + shift - a) > 8 for a, b in there)  # noqa: PLR2004
        )
        x = next(free, center)
        there.append((x, y))
        points[who] = (x, y)
    return points


def _gap_plot(own: MeasureOfGroups) -> str:
    """The differences to the first group, on the scale of the values."""
    if not own.gaps or all(gap.estimate.count == 0 for gap in own.gaps):
        return ""
    values = _axis(own)
    ends = [
        end
        for gap in own.gaps
        for end in (gap.estimate.mean, gap.estimate.low, gap.estimate.high)
        if not np.isnan(end)
    ]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = max(0.05 * (high - low), (values.high - values.low - (high - low)) / 2)
    axis = Axis(_HEIGHT - _BOTTOM, _TOP, low - room, high + room)
    parts = [*_grid(axis, _NARROW, signed=True)]
    zero = axis.at(0.0)
    parts.append(
        f'<line x1="{_LEFT}" y1="{zero:.1f}" x2="{_NARROW - 8}" y2="{zero:.1f}" stroke="{_INK}" '
        'stroke-width="1.2" stroke-dasharray="5 4"/>'
    )
    step = (_NARROW - _LEFT - 10) / len(own.gaps)
    for k, gap in enumerate(own.gaps):
        x = _LEFT + step * (k + 0.5)
        parts += _interval(gap.estimate, axis, x)
        parts.append(_name(x, own.labels[k + 1], step))
    to_what = _short(f"minus {own.labels[0]}", 2 * _LABEL)
    middle = (_LEFT + _NARROW) / 2
    parts.append(svg_text(middle, _HEIGHT - 6, to_what, "middle", _SOFT))
    label = escape(f"{own.title}: differences to {own.labels[0]}", quote=True)
    return _svg("gap", _NARROW, label, parts)


def _interval(estimate: Estimate, axis: Axis, x: float) -> Iterator[str]:
    """A mean as a diamond, and its interval as a line with ends."""
    if np.isnan(estimate.mean):
        return
    y = axis.at(estimate.mean)
    tip = f"{estimate.mean:.3f}"
    if not np.isnan(estimate.low):
        low, high = axis.at(estimate.low), axis.at(estimate.high)
        yield svg_line(x, low, x, high, _INK, 2)
        yield svg_line(x - 5, low, x + 5, low, _INK, 2)
        yield svg_line(x - 5, high, x + 5, high, _INK, 2)
        tip += f", {estimate.low:.3f} to {estimate.high:.3f}"
    yield (
        f'<path d="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z" fill="{_INK}">'
        f"<title>{escape(tip)}</title></path>"
    )


def _grid(axis: Axis, width: int, *, signed: bool) -> Iterator[str]:
    for value in ticks(axis.low, axis.high, 6):
        y = axis.at(value)
        yield svg_line(_LEFT, y, width - 8, y, LINE, 1)
        text = f"{value:+g}" if signed and value else f"{value:g}"
        yield svg_text(_LEFT - 8, y + 4, text.replace("-", "\N{MINUS SIGN}"), "end", _SOFT)


def _name(x: float, label: str, step: float) -> str:
    letters = max(4, min(2 * _LABEL, int(step / 7)))
    return svg_text(x, _HEIGHT - 24, _short(label, letters), "middle", _INK, "600", label)


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _svg(kind: str, width: int, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="{kind}" viewBox="0 0 {width} {_HEIGHT}" width="{width}" role="img" '
        f'aria-label="{label}" font-size="12">{"".join(parts)}</svg>'
    )


def _tables(
    groups: Groups,
    measures: StudyMeasures,
    outputs: Mapping[str, OutputValidity],
    event: str,
) -> str:
    """Every measure of every group, and everybody's main measures, to be opened."""
    heads = [", ".join(level) for level in groups.levels]
    rows = []
    for name in measure_names(measures.signals):
        own = measure_of_groups(groups, measures, outputs, event, name)
        if own.is_blank:
            continue
        cells = [_cell(mean) for mean in own.means]
        gaps = [_cell(gap.estimate, signed=True) for gap in own.gaps]
        rows.append([f"{own.title}, {own.unit}", *cells, *gaps, own.note])
    differences = [f"{head} minus {heads[0]}" for head in heads[1:]]
    every = _html_table(("measure", *heads, *differences, "holds on people"), rows)
    people = []
    main = main_measures(measures)
    for level, head in zip(groups.levels, heads, strict=True):
        by_name = {name: groups.values(event, level, name, measures) for name in main}
        for who in by_name[main[0]] if main else ():
            numbers = [by_name[name][who] for name in main]
            people.append([who, head, *("" if np.isnan(v) else f"{v:.2f}" for v in numbers)])
    titles = [name.rpartition("_")[0].replace("_", " ") for name in main]
    persons = _html_table(("person", "group", *titles), people)
    return (
        f'<details class="card"><summary>All measures</summary>{every}</details>'
        f'<details class="card"><summary>Everybody\'s numbers</summary>{persons}</details>'
    )


def _cell(estimate: Estimate, *, signed: bool = False) -> str:
    if np.isnan(estimate.mean):
        return ""
    write = _signed if signed else lambda value: f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
    if np.isnan(estimate.low):
        return write(estimate.mean)
    return f"{write(estimate.mean)} ({write(estimate.low)} to {write(estimate.high)})"


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    labels = [escape(cell, quote=True) for cell in head]
    top = "".join(f"<th>{label}</th>" for label in labels)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-label="{label}">{escape(cell)}</td>'
            for label, cell in zip(labels, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<table class="people numbers"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
    )
