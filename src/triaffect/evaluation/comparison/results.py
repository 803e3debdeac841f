"""What a comparison found: every score of every system, by how much it exceeds the baseline's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.errors import TriaffectError
from triaffect.evaluation.comparison.common_rows import Common
from triaffect.evaluation.comparison.runs import Outcome
from triaffect.evaluation.comparison.systems import Entry
from triaffect.evaluation.evaluate import Resampling
from triaffect.metrics.paired import (
    TOTAL,
    Difference,
    ResampledScores,
    difference,
    drawn_units,
    labelled_units,
    resample_scores,
    score_names,
)
from triaffect.tasks.registry import resolve_tasks
from triaffect.tasks.task import Task

System = tuple[str, str]
"""Name of an entry, and of one of its stages."""


def label_of(entry: Entry, stage: str) -> str:
    """How a stage of an entry is called: by the entry alone if it has no other stage."""
    return entry.name if len(entry.recipe.stages) == 1 else f"{entry.name}/{stage}"


def find_baseline(entries: Sequence[Entry], against: str | None) -> System:
    """What everything is compared with: the last stage of an entry, the first one's by default.

    Args:
        entries: The entries.
        against: An entry, or entry/stage.

    Raises:
        TriaffectError: There is none of that name.
    """
    if against is None:
        return entries[0].name, list(entries[0].recipe.stages)[-1]
    known: dict[str, System] = {}
    for entry in entries:
        stages = list(entry.recipe.stages)
        known[entry.name] = entry.name, stages[-1]
        known |= {f"{entry.name}/{stage}": (entry.name, stage) for stage in stages}
    if against not in known:
        near = get_close_matches(against, known, 1)
        remedy = f"did you mean {near[0]}?" if near else ""
        expected = "an entry or entry/stage: " + ", ".join(known)
        raise TriaffectError(expected, repr(against), remedy, where="--against")
    return known[against]


@dataclass(frozen=True)
class _Runs:
    """All seeds of one system.

    Attributes:
        tasks: What it is scored by.
        outcomes: What became of each run, by seed.
        scored: Its scores, by seed.
        units: Units behind each score.
    """

    tasks: list[Task]
    outcomes: dict[int, Outcome]
    scored: dict[int, ResampledScores]
    units: NDArray[np.int64]


def compared(
    entries: Sequence[Entry],
    done: Sequence[Outcome],
    common: Common,
    baseline: System,
    how: Resampling,
) -> dict[str, Any]:
    """Everything that the runs tell, as plain values.

    Args:
        entries: What is compared, in order.
        done: What became of each run.
        common: The rows that were scored.
        baseline: What everything is compared with.
        how: How often, and by what seed, videos and seeds are resampled.

    Returns:
        ``systems`` by name: ``seeds`` with each run's scores, ``mean`` and ``sd`` over them,
        ``difference`` to the baseline by score, ``cost``; and what was scored and how.
    """
    counts = drawn_units(common.units, how.resamples, how.seed)
    runs = {
        (entry.name, stage): _runs_of(entry, stage, done, counts)
        for entry in entries
        for stage in entry.recipe.stages
    }
    by_name = {entry.name: entry for entry in entries}
    base = runs[baseline]
    systems = {}
    for (name, stage), own in runs.items():
        if own.scored:
            told = _system(by_name[name], stage, own)
            if (name, stage) != baseline and base.scored:
                told["difference"] = _differences(base, own, how.seed)
            systems[label_of(by_name[name], stage)] = told
    return {
        "split": common.split,
        "rows": len(common.moments),
        "asked": common.asked,
        "units": common.units,
        "bootstrap": {**how.to_json(), "seeds": "one fewer than there are, drawn likewise"},
        "baseline": label_of(by_name[baseline[0]], baseline[1]),
        "systems": systems,
    }


def _runs_of(
    entry: Entry, stage: str, done: Sequence[Outcome], counts: NDArray[np.uint16]
) -> _Runs:
    tasks = resolve_tasks(entry.recipe.tasks)
    own = {each.job.seed: each for each in done if each.job.entry == entry.name and each.stages}
    statistics = {seed: each.stages[stage].statistics for seed, each in own.items()}
    found = {seed: resample_scores(each, tasks, counts) for seed, each in statistics.items()}
    units = [labelled_units(each, tasks) for each in statistics.values()]
    return _Runs(tasks, own, found, units[0] if units else np.zeros(0, np.int64))


def _system(entry: Entry, stage: str, runs: _Runs) -> dict[str, Any]:
    names = score_names(runs.tasks)
    values = np.array([each.value for each in runs.scored.values()])
    sd = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(len(names), np.nan)
    return {
        "entry": entry.name,
        "stage": stage,
        "recipe_hash": entry.identity.recipe,
        "tasks": {task.key: list(task.part_names) for task in runs.tasks},
        "mean": _named(names, values.mean(axis=0)),
        "sd": _named(names, sd),
        "units": dict(zip(names, runs.units.tolist(), strict=True)),
        "cost": _cost(entry, stage, runs),
        "seeds": {
            str(seed): {
                "folder": str(outcome.job.folder),
                "seconds": outcome.stages[stage].seconds,
                "epochs": outcome.stages[stage].epochs,
                "scores": _named(names, runs.scored[seed].value),
            }
            for seed, outcome in sorted(runs.outcomes.items())
        },
    }


def _cost(entry: Entry, stage: str, runs: _Runs) -> dict[str, Any]:
    """Means over the seeds; ``seconds_in_all`` has those of every stage it learns from too."""
    needed, teacher = [stage], entry.recipe.stages[stage].teacher
    while teacher in entry.recipe.stages:
        needed.append(teacher)
        teacher = entry.recipe.stages[teacher].teacher
    own = [each.stages[stage] for each in runs.outcomes.values()]
    in_all = [sum(each.stages[name].seconds for name in needed) for each in runs.outcomes.values()]
    return {
        "seconds": round(float(np.mean([each.seconds for each in own])), 2),
        "seconds_in_all": round(float(np.mean(in_all)), 2),
        "epochs": round(float(np.mean([each.epochs for each in own])), 1),
        "parameters": own[0].parameters,
        "rows": _whole_mean([each.rows for each in own]),
        "labels": _whole_mean([each.labels for each in own]),
    }


def _whole_mean(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return round(float(np.mean(known))) if len(known) == len(counts) else None


def _differences(base: _Runs, own: _Runs, seed: int) -> dict[str, Any]:
    """By score, what a system has more than the baseline, of the scores that both have."""
    names, others = score_names(own.tasks), score_names(base.tasks)
    alike = own.tasks == base.tasks
    shared = [name for name in names if name in others and (name != TOTAL or alike)]
    found = difference(
        _only(base, [others.index(name) for name in shared]),
        _only(own, [names.index(name) for name in shared]),
        seed,
    )
    units = own.units[[names.index(name) for name in shared]]
    return {name: _one(found, k, int(units[k])) for k, name in enumerate(shared)}


def _only(runs: _Runs, places: list[int]) -> dict[int, ResampledScores]:
    return {
        seed: ResampledScores(each.value[places], each.drawn[:, places])
        for seed, each in runs.scored.items()
    }


def _one(found: Difference, k: int, units: int) -> dict[str, Any]:
    ends = [float(found.low[k]), float(found.high[k])]
    known = units > 1 and not np.isnan(ends[0])
    return {
        "mean": float(found.mean[k]),
        "interval": ends if known else None,
        "better": int(found.better[k]),
        "seeds": len(found.seeds),
    }


def _named(names: Sequence[str], values: NDArray[np.float64]) -> Mapping[str, float | None]:
    told = [None if np.isnan(value) else float(value) for value in values]
    return dict(zip(names, told, strict=True))
