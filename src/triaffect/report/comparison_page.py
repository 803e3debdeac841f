"""A page about a comparison: a plot of every score, then tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from triaffect.report.dot_plot import NARROW, STYLE, WIDE, Row, dot_plot
from triaffect.report.page import Page

if TYPE_CHECKING:
    from triaffect.evaluation.comparison.results import (
        Comparison,
        ScoreDifference,
        SystemScores,
        TrainingCost,
    )

FEW_UNITS = 60
"""With fewer videos the intervals are noticeably too narrow; see docs/explanation/scores.md."""


def describe_comparison(comparison: Comparison) -> str:
    """Describe in a paragraph what was scored, and what stands in the tables.

    Args:
        comparison: The comparison.

    Returns:
        Sentences, for the page and the terminal.
    """
    rows, resampling = comparison.rows, comparison.resampling
    sentences = [
        f"{rows:,} rows of {comparison.units:,} videos (stills: people), split {comparison.split}."
    ]
    more = [
        f"{name} {count:,}" for name, count in comparison.available_rows.items() if count > rows
    ]
    if more:
        sentences.append(
            "All are scored on the rows that each of them has inputs for; some have inputs for "
            f"more rows of the split: {', '.join(more)}."
        )
    sentences.append("Scores are means ± standard deviations over seeds.")
    if len(comparison.systems) > 1:
        sentences.append(
            f"Differences are to {comparison.baseline}, over the seeds that both have."
        )
        if resampling.resamples:
            sentences.append(
                f"Their {resampling.level:.0%} intervals: {resampling.resamples:,} resamples of "
                "videos and seeds, the same for both; * marks one without 0 in it."
            )
        if resampling.resamples and comparison.units < FEW_UNITS:
            sentences.append("So few videos make them too narrow.")
    return " ".join(sentences)


def format_score(system: SystemScores, name: str) -> str:
    """Write the mean of a score, and the standard deviation if there is one.

    Args:
        system: The system.
        name: The score, one that the system has.

    Returns:
        Text such as ``0.512 ± 0.008``.
    """
    mean, sd = system.mean[name], system.sd[name]
    return f"{mean:.3f}" + (f" ± {sd:.3f}" if sd is not None else "")


def difference_cells(system: SystemScores, name: str, *, is_baseline: bool) -> list[str]:
    """Write the difference of a score: itself, its interval, star, and how many seeds are better.

    Args:
        system: The system.
        name: The score.
        is_baseline: Whether it is the system that the others are compared with.

    Returns:
        Four texts; empty ones where there is no difference.
    """
    gap = (system.difference or {}).get(name)
    if gap is None:
        return ["baseline" if is_baseline else "", "", "", ""]
    better = f"{gap.better} of {gap.seeds}" if gap.seeds else "no seed shared"
    ends = "{:+.3f} to {:+.3f}".format(*gap.interval) if gap.interval else ""
    return [f"{gap.mean:+.3f}", ends, star(gap), better]


def star(gap: ScoreDifference | None) -> str:
    """Return a star if the interval of a difference does not hold 0, else nothing.

    Args:
        gap: The difference; None for a score without one.
    """
    return "*" if gap is not None and gap.is_clear else ""


COST_HEADS = (
    *("seconds", "with teachers", "CPU s", "epochs", "updates"),
    *("peak MB", "parameters", "rows", "labels"),
)
"""Of processor seconds, updates and memory those with the teachers' stages."""


def cost_cells(cost: TrainingCost) -> list[str]:
    """Write what a system's training costs.

    Args:
        cost: Means over its seeds.

    Returns:
        Texts under `COST_HEADS`; "unknown" for what was counted on another store.
    """

    def cell(number: float | None, decimals: int = 0) -> str:
        return "unknown" if number is None else f"{number:,.{decimals}f}"

    seconds = [
        cell(each, 1) for each in (cost.seconds, cost.seconds_in_all, cost.processor_seconds)
    ]
    counts = (cost.updates, cost.peak_mb, cost.parameters, cost.rows, cost.labels)
    return [*seconds, cell(cost.epochs, 1), *map(cell, counts)]


_HOW_TO_READ = (
    "Left: a dot is a seed, the upright line the mean of the seeds. Right: the diamond is what the "
    "system has more than the baseline, the line its interval; a filled diamond on a thick line "
    "is a difference whose interval leaves 0 out."
)
_HEADS = ("", "seeds", "score", "difference", "95 % interval", "", "better")


def comparison_page(comparison: Comparison) -> Page:
    """Make the page of a comparison: plots of every score, then tables.

    Args:
        comparison: The comparison; without a system that could be scored, only what failed
            stands on the page.
    """
    page = Page("Comparison", describe_comparison(comparison))
    for each in comparison.failed:
        seed = "" if each.seed is None else f", seed {each.seed}"
        page.paragraph(f"Failed: {each.entry}{seed}: {each.error}")
    if not comparison.systems:
        return page
    page.style(STYLE)
    page.paragraph(_HOW_TO_READ)
    sections: dict[str, list[str]] = {"Official scores": []}
    for name in comparison.score_names():
        key, _, part = name.partition(".")
        sections.setdefault(f"Parts of P_{key}" if part else "Official scores", []).append(name)
    for title, names in sections.items():
        page.heading(title)
        for name in names:
            rows = list(_plot_rows(comparison, name))
            plots = (
                dot_plot(name.rpartition(".")[2], rows, comparison.baseline, layout)
                for layout in (WIDE, NARROW)
            )
            page.drawing("".join(plots))
    page.heading("Cost, means over seeds")
    costs = [[name, *cost_cells(each.cost)] for name, each in comparison.systems.items()]
    page.table(("", *COST_HEADS), costs)
    for name in comparison.score_names():
        page.heading(name.replace(".", ", "))
        rows_of_systems = [
            [
                system,
                str(len(each.seeds)),
                format_score(each, name),
                *difference_cells(each, name, is_baseline=system == comparison.baseline),
            ]
            for system, each in comparison.systems.items()
            if name in each.mean
        ]
        page.table(_HEADS, rows_of_systems)
    return page


def _plot_rows(comparison: Comparison, name: str) -> Iterator[Row]:
    for system, each in comparison.systems.items():
        mean = each.mean.get(name)
        if mean is None:
            continue
        gap = (each.difference or {}).get(name)
        scores = {seed: run.scores[name] for seed, run in each.seeds.items()}
        yield Row(
            system,
            {seed: score for seed, score in scores.items() if score is not None},
            mean,
            None if gap is None else gap.mean,
            None if gap is None else gap.interval,
            system == comparison.baseline,
        )
