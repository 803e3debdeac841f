"""A page about a comparison: a plot of every score, then tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from triaffect.report.dot_plot import Row, dot_plot
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
    """Say in a paragraph what was scored, and what stands in the tables."""
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
    """Write the mean of a score, and the standard deviation if there is one."""
    mean, sd = system.mean[name], system.sd[name]
    return f"{mean:.3f}" + (f" ± {sd:.3f}" if sd is not None else "")


def difference_cells(system: SystemScores, name: str, *, is_baseline: bool) -> list[str]:
    """Write of one score: difference, its interval, star, and how many seeds are better."""
    gap = (system.difference or {}).get(name)
    if gap is None:
        return ["baseline" if is_baseline else "", "", "", ""]
    better = f"{gap.better} of {gap.seeds}" if gap.seeds else "no seed shared"
    ends = "{:+.3f} to {:+.3f}".format(*gap.interval) if gap.interval else ""
    return [f"{gap.mean:+.3f}", ends, star(gap), better]


def star(gap: ScoreDifference | None) -> str:
    """Return a star if the interval of a difference does not hold 0."""
    return "*" if gap is not None and gap.is_clear else ""


COST_HEADS = ("seconds", "with teachers", "epochs", "parameters", "rows", "labels")


def cost_cells(cost: TrainingCost) -> list[str]:
    """Write what a system's training costs, under `COST_HEADS`."""
    seconds = [f"{each:,.1f}" for each in (cost.seconds, cost.seconds_in_all, cost.epochs)]
    counts = (cost.parameters, cost.rows, cost.labels)
    return [*seconds, *("unknown" if count is None else f"{count:,}" for count in counts)]


_HOW_TO_READ = (
    "Left: a dot is a seed, the upright line the mean of the seeds. Right: the diamond is what the "
    "system has more than the baseline, the line its interval; a filled diamond on a thick line "
    "is a difference whose interval leaves 0 out."
)
_HEADS = ("", "seeds", "score", "difference", "95 % interval", "", "better")


def comparison_page(comparison: Comparison) -> Page:
    """Make the page of a comparison."""
    page = Page("Comparison", describe_comparison(comparison))
    for each in comparison.failed:
        seed = "" if each.seed is None else f", seed {each.seed}"
        page.paragraph(f"Failed: {each.entry}{seed}: {each.error}")
    if not comparison.systems:
        return page
    page.paragraph(_HOW_TO_READ)
    for title, names in score_sections(comparison.score_names()):
        page.heading(title)
        for name in names:
            rows = list(_plot_rows(comparison, name))
            page.drawing(dot_plot(name.rpartition(".")[2], rows, comparison.baseline))
    page.heading("Cost, means over seeds")
    costs = [[name, *cost_cells(each.cost)] for name, each in comparison.systems.items()]
    page.table(("", *COST_HEADS), costs)
    for name in comparison.score_names():
        page.heading(name.replace(".", ", "))
        page.table(_HEADS, list(_table_rows(comparison, name)))
    return page


def score_sections(names: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the official scores, then the parts of each, with a title."""
    yield "Official scores", [name for name in names if "." not in name]
    for key in dict.fromkeys(name.partition(".")[0] for name in names if "." in name):
        yield f"Parts of P_{key}", [name for name in names if name.startswith(f"{key}.")]


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


def _table_rows(comparison: Comparison, name: str) -> Iterator[list[str]]:
    for system, each in comparison.systems.items():
        if name in each.mean:
            gap = difference_cells(each, name, is_baseline=system == comparison.baseline)
            yield [system, str(len(each.seeds)), format_score(each, name), *gap]
