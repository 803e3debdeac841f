"""The tables that ``triaffect compare`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from triaffect.report.compared_words import (
    COST_HEADS,
    cost_cells,
    difference_cells,
    explained,
    mark,
    score_names,
    with_deviation,
)

_WIDTH = 7
"""Letters of a part's name above its column."""


def tables(found: Mapping[str, Any]) -> Iterator[Table | str]:
    """Each official score with differences, the parts of each task's score, and cost."""
    systems = found["systems"]
    if not systems:
        return
    yield explained(found)
    names = score_names(systems)
    for name in (each for each in names if "." not in each):
        yield _score(name, systems, found["baseline"])
    for key in dict.fromkeys(name.partition(".")[0] for name in names if "." in name):
        yield _parts(key, [name for name in names if name.startswith(f"{key}.")], systems)
    yield _cost(systems)


def _score(name: str, systems: Mapping[str, Any], baseline: str) -> Table:
    table = _table(name)
    for head in ("seeds", "score", "difference", "interval", "", "better"):
        table.add_column(head, justify="left" if not head else "right", no_wrap=True)
    for system, told in systems.items():
        if name in told["mean"]:
            score = with_deviation(told["mean"][name], told["sd"][name])
            gap = difference_cells(told, name, is_baseline=system == baseline)
            table.add_row(system, str(len(told["seeds"])), score, *gap)
    return table


def _parts(key: str, names: Sequence[str], systems: Mapping[str, Any]) -> Table:
    """Means of the parts of one task's score, starred where they differ from the baseline's."""
    table = _table(f"{key}, part by part")
    for name in names:
        table.add_column(name.removeprefix(f"{key}.")[:_WIDTH], justify="right", no_wrap=True)
    for system, told in systems.items():
        if names[0] in told["mean"]:
            gaps = told.get("difference", {})
            cells = [f"{told['mean'][name]:.2f}{mark(gaps.get(name))}" for name in names]
            table.add_row(system, *cells)
    return table


def _cost(systems: Mapping[str, Any]) -> Table:
    table = _table("cost, means over seeds")
    for head in COST_HEADS:
        table.add_column(head, justify="right")
    for system, told in systems.items():
        table.add_row(system, *cost_cells(told["cost"]))
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("", min_width=max(12, len(title)), overflow="fold")
    return table
