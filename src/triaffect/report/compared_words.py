"""What a comparison's page and its tables on the terminal say alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
