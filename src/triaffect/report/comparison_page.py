"""A page about a comparison: a plot of every score, then tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from triaffect.report.dot_plot import Row, dot_plot
from triaffect.report.page import Page

FEW_UNITS = 60
"""With fewer videos the intervals are noticeably too narrow; see docs/explanation/scores.md."""


def score_names(systems: Mapping[str, Any]) -> list[str]:
    """Every score that any system has, in order; parts have a dot in their names."""
    return list(dict.fromkeys(name for each in systems.values() for name in each["mean"]))


def explained(found: Mapping[str, Any]) -> str:
    """What was scored, and what stands in the tables."""
    rows, how = found["rows"], found["bootstrap"]
    told = [f"{rows:,} rows of {found['units']:,} videos (stills: people), split {found['split']}."]
    more = [f"{name} {count:,}" for name, count in found["asked"].items() if count > rows]
    if more:
        told.append(
            "All are scored on the rows that each of them can be asked about; of the split's "
            f"rows, some could be asked about more: {', '.join(more)}."
        )
    told.append("Scores are means ± standard deviations over seeds.")
    if len(found["systems"]) > 1:
        told.append(f"Differences are to {found['baseline']}, over the seeds that both have.")
        if how["resamples"]:
            told.append(
                f"Their {how['level']:.0%} intervals: {how['resamples']:,} resamples of videos and "
                "seeds, the same for both; * marks one without 0 in it."
            )
        if how["resamples"] and found["units"] < FEW_UNITS:
            told.append("So few videos make them too narrow.")
    return " ".join(told)


def with_deviation(mean: float, sd: float | None) -> str:
    """A mean, and the standard deviation if there is one."""
    return f"{mean:.3f}" + (f" ± {sd:.3f}" if sd is not None else "")


def difference_cells(told: Mapping[str, Any], name: str, *, is_baseline: bool) -> list[str]:
    """Of one system and score: difference, its interval, star, and how many seeds are better."""
    gap = told.get("difference", {}).get(name)
    if gap is None:
        return ["baseline" if is_baseline else "", "", "", ""]
    better = f"{gap['better']} of {gap['seeds']}" if gap["seeds"] else "no seed shared"
    ends = "{:+.3f} to {:+.3f}".format(*gap["interval"]) if gap["interval"] else ""
    return [f"{gap['mean']:+.3f}", ends, mark(gap), better]


def mark(gap: Mapping[str, Any] | None) -> str:
    """A star if the interval of a difference does not hold 0."""
    ends = gap and gap["interval"]
    return "*" if ends and (ends[0] > 0 or ends[1] < 0) else ""


COST_HEADS = ("seconds", "with teachers", "epochs", "parameters", "rows", "labels")


def cost_cells(cost: Mapping[str, Any]) -> list[str]:
    """What a system's training cost, under `COST_HEADS`."""
    seconds = [f"{cost[name]:,.1f}" for name in ("seconds", "seconds_in_all", "epochs")]
    counts = [cost[name] for name in ("parameters", "rows", "labels")]
    return [*seconds, *("unknown" if count is None else f"{count:,}" for count in counts)]


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
