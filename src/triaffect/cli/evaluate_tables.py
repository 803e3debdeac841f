"""The tables that ``triaffect evaluate`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from triaffect.report.compared_words import FEW_UNITS

COUNTS = ("support", "predicted", "rows")
"""Numbers of rows among what is told of a part."""

_CLASS_WIDTH = 7


def tables(found: Mapping[str, Any]) -> Iterator[Table]:
    """Everything worth reading: overview, then each stage's parts, confusions, other score."""
    yield _overview(found)
    for name, scores in found["stages"].items():
        for key, task in scores["all"]["tasks"].items():
            if task["count"] and "by_part" in task:
                intervals = scores["all"].get("intervals", {}).get("parts", {}).get(key, {})
                yield _parts(f"{name}: {key}", task, intervals)
            if task["count"] and "confusion" in task:
                yield _confusion(f"{name}: {key}", task["confusion"], found["parts"][key])
        if "authors" in scores:
            yield _authors(name, scores["authors"])


def _overview(found: Mapping[str, Any]) -> Table:
    """Official scores by stage and corpus, with intervals below."""
    table = _table(f"official scores, split {found['split']}", "")
    table.caption, table.caption_justify = _interval_caption(found), "left"
    for name in ("rows", *found["chance"]):
        table.add_column(name, justify="right")
    for stage, scores in found["stages"].items():
        parts = {stage: scores["all"]}
        if len(scores["corpora"]) > 1:
            parts |= {f"  {corpus}": one for corpus, one in scores["corpora"].items()}
        for name, one in parts.items():
            ends = one.get("intervals", {}).get("official", {})
            cells = [_number(value, ends.get(key)) for key, value in one["official"].items()]
            table.add_row(name, f"{one['rows']:,}", *cells)
    table.add_row("chance", "", *(_number(value) for value in found["chance"].values()))
    return table


def _interval_caption(found: Mapping[str, Any]) -> str:
    how = found["bootstrap"]
    lost = f"{found['unasked']:,} more labelled rows have no input and are not scored. "
    lost = lost if found["unasked"] else ""
    if not how["resamples"]:
        return lost
    units = {
        key: count
        for scores in found["stages"].values()
        for key, count in scores["all"]["intervals"]["units"].items()
    }
    several = ", ".join(f"{count:,} {key}" for key, count in units.items())
    fewest = min((count for count in units.values() if count), default=FEW_UNITS)
    few = " So few make it too narrow." if fewest < FEW_UNITS else ""
    return (
        f"{lost}Below each score its {how['level']:.0%} interval: {how['resamples']:,} resamples, "
        f"seed {how['seed']}, of whole videos (stills: of people) with labels: {several}.{few}"
    )


def _parts(title: str, task: Mapping[str, Any], intervals: Mapping[str, Any]) -> Table:
    """What is behind one task's score, a line a class, unit or value."""
    table = _table(title, "")
    first, *others = next(iter(task["by_part"].values()))
    table.add_column(first, justify="right")
    if intervals:
        table.add_column("interval", justify="right", no_wrap=True)
    for name in others:
        words = name.split("_")
        table.add_column(" ".join(words), justify="right", min_width=max(map(len, words)))
    for part, told in task["by_part"].items():
        score, *cells = (f"{v:,}" if k in COUNTS else f"{v:.3f}" for k, v in told.items())
        table.add_row(part, score, *([_ends(intervals[part])] if intervals else []), *cells)
    return table


def _confusion(title: str, counts: list[list[int]], names: list[str]) -> Table:
    """True classes down, predicted ones across; the column of blanks only if there are any."""
    table = _table(f"{title}, true down, predicted across", "")
    blanks = any(row[-1] for row in counts)
    for name in [*names, *(["none"] if blanks else [])]:
        table.add_column(name[:_CLASS_WIDTH], justify="right")
    for name, row in zip(names, counts, strict=True):
        table.add_row(name, *(f"{count:,}" for count in (row if blanks else row[:-1])))
    return table


def _authors(name: str, told: Mapping[str, Any]) -> Table:
    """The authors' score of each pool, its spread over shuffles, and the official one."""
    seeds = told["seeds"]
    title = f"{name}: the authors' mean over {told['iterations']:,} mini-batches"
    table = _table(title, "pool")
    for column in ("rows", "a batch", "score", f"seed {seeds[0]}"):
        table.add_column(column, justify="right")
    table.add_column(f"seeds {seeds[0]} to {seeds[-1]}", justify="right")
    table.add_column("official", justify="right")
    for pool, one in told["pools"].items():
        first = [pool, f"{one['rows']:,}", f"{one['batch']:,}"]
        for key, values in one["authors"].items():
            spread = f"{min(values):.3f} to {max(values):.3f}"
            official = f"{one['official'][key]:.3f}"
            table.add_row(*first, key, f"{values[0]:.3f}", spread, official)
            first = ["", "", ""]
    return table


def _table(title: str, first: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(first)
    return table


def _number(value: float, ends: list[float] | None = None) -> str:
    return f"{value:.3f}" + (f"\n{ends[0]:.2f} to {ends[1]:.2f}" if ends else "")


def _ends(ends: list[float] | None) -> str:
    return f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else "one unit"
