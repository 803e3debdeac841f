"""A page about a comparison: results, plots, the parts of every score, cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from triaffect.report.dot_plot import (
    NARROW,
    STYLE,
    WIDE,
    Row,
    differences,
    dot_plot,
    part_plot,
)
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
    missing = [name for name in comparison.score_names(labelled=False) if "." not in name]
    if missing:
        sentences.append(f"The split has no labels for {', '.join(missing)}.")
    if best := comparison.reachable:
        values = ", ".join(f"{name} {value:.3f}" for name, value in best.items())
        sentences.append(f"Best reachable with its labels: {values}.")
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
    "is a difference whose interval leaves 0 out. The plots of a section have the same scale."
)
_HEADS = ("", "seeds", "score", "difference", "95 % interval", "", "better")


def comparison_page(comparison: Comparison) -> Page:
    """Make the page of a comparison: results first, then plots, the parts of scores, and cost.

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
    names = comparison.score_names()
    official = [name for name in names if "." not in name]
    page.heading("Official scores")
    page.table(*summary_table(comparison, official))
    page.paragraph(_HOW_TO_READ)
    plots = {name: list(_plot_rows(comparison, name)) for name in official}
    cards = ""
    for name, rows in plots.items():
        layouts = (
            dot_plot(name, rows, comparison.baseline, layout, [*plots.values()])
            for layout in (WIDE, NARROW)
        )
        cards += f'<div class="card">{"".join(layouts)}</div>'
    page.element(f'<div class="scores">{cards}</div>')
    page.folded_tables("Numbers: official scores", _number_tables(comparison, official))
    parts: dict[str, list[str]] = {}
    for name in names:
        if "." in name:
            parts.setdefault(name.partition(".")[0], []).append(name)
    for key, own in parts.items():
        page.heading(f"Parts of P_{key}")
        page.drawing(f'<div class="parts">{"".join(_part_plots(comparison, own))}</div>')
        page.folded_tables(f"Numbers: parts of P_{key}", _number_tables(comparison, own))
    page.heading("Cost, means over seeds")
    page.table(*cost_table(comparison))
    return page


def summary_table(
    comparison: Comparison, names: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """Write scores and their differences below, a row a system.

    Args:
        comparison: The comparison.
        names: Which scores.

    Returns:
        The header, and a row of texts for each system.
    """
    rows = []
    for system, each in comparison.systems.items():
        row = [system, str(len(each.seeds))]
        for name in names:
            cell = "" if each.mean.get(name) is None else format_score(each, name)
            gap, _, mark, _ = difference_cells(each, name, is_baseline=False)
            row.append(_with_minus(f"{cell}\n{gap} {mark}").strip())
        if system == comparison.baseline and len(comparison.systems) > 1:
            row[0] += "\nbaseline"
        rows.append(row)
    return ["", "seeds", *names], rows


def cost_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Write what training costs, a row a system, without columns that nothing is known of.

    Args:
        comparison: The comparison.

    Returns:
        The header, and a row of texts for each system.
    """
    rows = [cost_cells(each.cost) for each in comparison.systems.values()]
    shown = [k for k in range(len(COST_HEADS)) if any(row[k] != "unknown" for row in rows)]
    texts = zip(comparison.systems, rows, strict=True)
    return (
        ["", *(COST_HEADS[k] for k in shown)],
        [[name, *(row[k] for k in shown)] for name, row in texts],
    )


def _number_tables(
    comparison: Comparison, names: Sequence[str]
) -> list[tuple[str, Sequence[str], list[list[str]]]]:
    """A table for each score: every system's, its difference, and the interval of that."""
    tables: list[tuple[str, Sequence[str], list[list[str]]]] = []
    for name in names:
        rows = []
        for system, each in comparison.systems.items():
            if each.mean.get(name) is None:
                continue
            gap = difference_cells(each, name, is_baseline=system == comparison.baseline)
            cells = [format_score(each, name), *gap]
            rows.append([system, str(len(each.seeds)), *map(_with_minus, cells)])
        tables.append((name.replace(".", ", "), _HEADS, rows))
    return tables


def _with_minus(cell: str) -> str:
    """A number with the sign that is as wide as a plus."""
    return cell.replace("-", "\N{MINUS SIGN}")


def _plot_rows(comparison: Comparison, name: str) -> Iterator[Row]:
    for system, each in comparison.systems.items():
        if each.mean.get(name) is not None:
            yield _row(system, each, name, is_baseline=system == comparison.baseline)


def _row(title: str, system: SystemScores, name: str, *, is_baseline: bool = False) -> Row:
    """One score of a system, as it is drawn."""
    gap, mean = (system.difference or {}).get(name), system.mean[name]
    scores = {seed: run.scores[name] for seed, run in system.seeds.items()}
    return Row(
        title,
        {seed: score for seed, score in scores.items() if score is not None},
        0.0 if mean is None else mean,
        None if gap is None else gap.mean,
        None if gap is None else gap.interval,
        is_baseline,
    )


def _part_plots(comparison: Comparison, names: Sequence[str]) -> Iterator[str]:
    """A plot of a system's parts each: the baseline's scores, and differences of the others."""
    rows = {
        system: [
            _row(name.partition(".")[2], each, name)
            for name in names
            if each.mean.get(name) is not None
        ]
        for system, each in comparison.systems.items()
    }
    gaps = [0.0, *(value for own in rows.values() for value in differences(own))]
    scores = [value for own in rows.values() for row in own for value in (0.0, *row.seeds.values())]
    for system, own in rows.items():
        if not own:
            continue
        if any(row.gap is not None for row in own):
            yield part_plot(f"{system}, difference", own, gaps)
        else:
            yield part_plot(f"{system}, scores", own, [*scores, 1.0])
