"""A page about a comparison: a plot of every score, then tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from triaffect.report.compared_words import (
    COST_HEADS,
    cost_cells,
    difference_cells,
    explained,
    score_names,
    with_deviation,
)
from triaffect.report.dot_plot import Row, dot_plot
from triaffect.report.page import Page

_HOW_TO_READ = (
    "Left: a dot is a seed, the upright line the mean of the seeds. Right: the diamond is what the "
    "system has more than the baseline, the line its interval; a filled diamond on a thick line "
    "is a difference whose interval leaves 0 out."
)
_HEADS = ("", "seeds", "score", "difference", "95 % interval", "", "better")


def compared_page(found: Mapping[str, Any]) -> Page:
    """The page.

    Args:
        found: What `triaffect compare --json` writes.
    """
    systems, baseline = found["systems"], found["baseline"]
    page = Page("Comparison", explained(found))
    for each in found.get("failed", ()):
        seed = "" if each["seed"] is None else f", seed {each['seed']}"
        page.paragraph(f"Failed: {each['entry']}{seed}: {each['error']}")
    if not systems:
        return page
    page.paragraph(_HOW_TO_READ)
    names = score_names(systems)
    for title, own in _sections(names):
        page.heading(title)
        for name in own:
            page.drawing(
                dot_plot(name.rpartition(".")[2], _rows(systems, name, baseline), baseline)
            )
    page.heading("Cost, means over seeds")
    page.table(("", *COST_HEADS), [[name, *cost_cells(s["cost"])] for name, s in systems.items()])
    for name in names:
        page.heading(name.replace(".", ", "))
        page.table(_HEADS, [list(row) for row in _table(systems, name, baseline)])
    return page


def _sections(names: list[str]) -> Iterator[tuple[str, list[str]]]:
    """The official scores, then the parts of each."""
    yield "Official scores", [name for name in names if "." not in name]
    for key in dict.fromkeys(name.partition(".")[0] for name in names if "." in name):
        yield f"Parts of P_{key}", [name for name in names if name.startswith(f"{key}.")]


def _rows(systems: Mapping[str, Any], name: str, baseline: str) -> list[Row]:
    rows = []
    for system, told in systems.items():
        if name not in told["mean"]:
            continue
        gap = told.get("difference", {}).get(name)
        ends = gap and gap["interval"]
        rows.append(
            Row(
                system,
                {seed: each["scores"][name] for seed, each in told["seeds"].items()},
                told["mean"][name],
                gap and gap["mean"],
                (ends[0], ends[1]) if ends else None,
                system == baseline,
            )
        )
    return rows


def _table(systems: Mapping[str, Any], name: str, baseline: str) -> Iterator[list[str]]:
    for system, told in systems.items():
        if name in told["mean"]:
            score = with_deviation(told["mean"][name], told["sd"][name])
            gap = difference_cells(told, name, is_baseline=system == baseline)
            yield [system, str(len(told["seeds"])), score, *gap]
