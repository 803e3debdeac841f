"""The tables that ``triaffect compare`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from triaffect.cli.evaluate_tables import FEW_UNITS

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


def _score(name: str, systems: Mapping[str, Any], baseline: str) -> Table:
    table = _table(name)
    for head in ("seeds", "score", "difference", "interval", "", "better"):
        table.add_column(head, justify="left" if not head else "right", no_wrap=True)
    for system, told in systems.items():
        if name in told["mean"]:
            table.add_row(system, *_cells(told, name, is_baseline=system == baseline))
    return table


def _cells(told: Mapping[str, Any], name: str, *, is_baseline: bool) -> list[str]:
    cells = [str(len(told["seeds"])), with_deviation(told["mean"][name], told["sd"][name])]
    gap = told.get("difference", {}).get(name)
    if gap is None:
        return [*cells, "baseline" if is_baseline else "", "", "", ""]
    better = f"{gap['better']} of {gap['seeds']}" if gap["seeds"] else "no seed shared"
    return [*cells, f"{gap['mean']:+.3f}", ends_of(gap), mark(gap), better]


def with_deviation(mean: float, sd: float | None) -> str:
    """A mean, and the standard deviation if there is one."""
    return f"{mean:.3f}" + (f" ± {sd:.3f}" if sd is not None else "")


def ends_of(gap: Mapping[str, Any]) -> str:
    """Ends of a difference's interval; nothing if there is none."""
    return "{:+.3f} to {:+.3f}".format(*gap["interval"]) if gap["interval"] else ""


def mark(gap: Mapping[str, Any] | None) -> str:
    """A star if the interval of a difference does not hold 0."""
    ends = gap and gap["interval"]
    return "*" if ends and (ends[0] > 0 or ends[1] < 0) else ""


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
    for head in ("seconds", "with teachers", "epochs", "parameters", "rows"):
        table.add_column(head, justify="right")
    for system, told in systems.items():
        cost = told["cost"]
        seconds = (f"{cost[name]:,.1f}" for name in ("seconds", "seconds_in_all", "epochs"))
        table.add_row(system, *seconds, f"{cost['parameters']:,}", f"{cost['rows']:,}")
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("", min_width=max(12, len(title)), overflow="fold")
    return table
