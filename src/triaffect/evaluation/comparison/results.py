"""The typed result of a comparison: scores of every system, and differences to a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from triaffect.errors import TriaffectError
from triaffect.evaluation.comparison.common_rows import CommonRows
from triaffect.evaluation.comparison.runs import RunOutcome
from triaffect.evaluation.comparison.systems import ComparedRecipe
from triaffect.evaluation.results import JsonResult, Resampling, optional_field
from triaffect.metrics.paired import (
    TOTAL,
    ResampledScores,
    difference,
    drawn_units,
    labelled_units,
    resample_scores,
    score_names,
)
from triaffect.tasks.registry import resolve_tasks
from triaffect.tasks.task import Task

SystemKey = tuple[str, str]
"""Name of a recipe, and of one of its stages."""


class PairedResampling(Resampling):
    """How intervals of differences are found.

    Attributes:
        seeds: How training seeds are drawn.
    """

    seeds: str = "one fewer than there are, drawn likewise"


class ScoreDifference(JsonResult):
    """By how much one score of a system exceeds the baseline's.

    Attributes:
        mean: Mean over the seeds.
        interval: Its ends; None without resamples, or where fewer than two units have labels.
        better: With how many of the seeds the system scores higher.
        seeds: How many seeds both have.
    """

    mean: float
    interval: tuple[float, float] | None
    better: int
    seeds: int

    @property
    def is_clear(self) -> bool:
        """Tell whether the interval leaves 0 out."""
        return self.interval is not None and (self.interval[0] > 0 or self.interval[1] < 0)


class TrainingCost(JsonResult):
    """What training a system costs, as means over seeds.

    Attributes:
        seconds: Of the stage.
        seconds_in_all: With those of every stage that it learns from.
        epochs: Epochs trained.
        parameters: Trainable numbers of the network.
        rows: Training rows; None if a run was trained on another store.
        labels: Their labels, one for each task of a row; None likewise.
        processor_seconds: Of the processor, with every stage that it learns from; None if a journal
            of an older version does not say, likewise the next two.
        updates: Steps of the optimizer, with those of these stages.
        peak_mb: The most main memory of a process that trained one of them.
    """

    seconds: float
    seconds_in_all: float
    epochs: float
    parameters: int
    rows: int | None
    labels: int | None
    processor_seconds: float | None = None
    updates: int | None = None
    peak_mb: float | None = None


class SeedScores(JsonResult):
    """One trained run of a system.

    Attributes:
        folder: Its run folder.
        seconds: Seconds of training.
        epochs: Epochs trained.
        scores: By name, see `triaffect.metrics.paired.score_names`.
    """

    folder: str
    seconds: float
    epochs: int
    scores: dict[str, float | None]


class SystemScores(JsonResult):
    """Scores of one stage of a recipe over its seeds.

    Attributes:
        entry: Name of the recipe.
        stage: Name of the stage.
        recipe_hash: Hash of the recipe.
        tasks: Names of the parts of each task's score.
        mean: Mean over the seeds, by score.
        sd: Standard deviation over the seeds; None of a single seed.
        units: Behind each score, how many units have labels.
        cost: What its training costs.
        seeds: Its runs by seed.
        difference: By score, to the baseline; None for the baseline.
    """

    entry: str
    stage: str
    recipe_hash: str
    tasks: dict[str, list[str]]
    mean: dict[str, float | None]
    sd: dict[str, float | None]
    units: dict[str, int]
    cost: TrainingCost
    seeds: dict[str, SeedScores]
    difference: dict[str, ScoreDifference] | None = optional_field()


class FailedRun(JsonResult):
    """A recipe or run that has no scores.

    Attributes:
        entry: Name of the recipe.
        seed: Seed of the run; None if the store cannot serve the recipe at all.
        error: What went wrong.
    """

    entry: str
    seed: int | None
    error: str


class Comparison(JsonResult):
    """Everything that `triaffect compare` computes.

    Attributes:
        store: The store.
        split: The split that was scored.
        rows: Its rows that every recipe has inputs for.
        available_rows: By recipe, of how many rows of the split it has inputs.
        units: How many videos (in stills: people) the rows are of.
        resampling: How intervals were found.
        baseline: Name of the system that the others are compared with.
        systems: By name.
        failed: What has no scores.
        reachable: Best official scores that the labels allow; empty where that is a whole one.
    """

    store: str
    split: str
    rows: int
    available_rows: dict[str, int] = Field(validation_alias="asked", serialization_alias="asked")
    units: int
    resampling: PairedResampling = Field(
        validation_alias="bootstrap", serialization_alias="bootstrap"
    )
    baseline: str
    systems: dict[str, SystemScores]
    failed: list[FailedRun]
    reachable: dict[str, float] = Field(default_factory=dict, exclude_if=lambda value: not value)

    def score_names(self, *, labelled: bool = True) -> list[str]:
        """List the scores that any system has, in order; parts have a dot in their names.

        Args:
            labelled: Those that the split has labels for, or the others.
        """
        systems = self.systems.values()
        with_labels = {
            name
            for each in systems
            for name, mean in each.mean.items()
            if each.units.get(name, 1) and mean is not None
        }
        every = dict.fromkeys(name for each in systems for name in each.mean)
        return [name for name in every if (name in with_labels) == labelled]


def label_of(entry: ComparedRecipe, stage: str) -> str:
    """Return the name of a system: the recipe's, with the stage if it has several.

    Args:
        entry: The recipe.
        stage: One of its stages.
    """
    return entry.name if len(entry.recipe.stages) == 1 else f"{entry.name}/{stage}"


def find_baseline(entries: Sequence[ComparedRecipe], against: str | None) -> SystemKey:
    """Find what everything is compared with: the last stage of a recipe, by default the first's.

    Args:
        entries: The recipes.
        against: A recipe's name, or recipe/stage; None for the first recipe.

    Returns:
        Name of the recipe and of its stage.

    Raises:
        TriaffectError: There is none of that name.
    """
    if against is None:
        return entries[0].name, list(entries[0].recipe.stages)[-1]
    systems: dict[str, SystemKey] = {}
    for entry in entries:
        stages = list(entry.recipe.stages)
        systems[entry.name] = entry.name, stages[-1]
        systems |= {f"{entry.name}/{stage}": (entry.name, stage) for stage in stages}
    if against not in systems:
        near = get_close_matches(against, systems, 1)
        remedy = f"did you mean {near[0]}?" if near else ""
        expected = "an entry or entry/stage: " + ", ".join(systems)
        raise TriaffectError(expected, repr(against), remedy, where="--against")
    return systems[against]


@dataclass(frozen=True)
class _Runs:
    """All seeds of one system.

    Attributes:
        tasks: What it is scored by.
        outcomes: Results of its runs, by seed.
        scores: Its scores, by seed.
        units: Units behind each score.
    """

    tasks: list[Task]
    outcomes: dict[int, RunOutcome]
    scores: dict[int, ResampledScores]
    units: NDArray[np.int64]

    def only(self, columns: list[int]) -> dict[int, ResampledScores]:
        """Return some of the scores, by seed."""
        return {
            seed: ResampledScores(each.value[columns], each.drawn[:, columns])
            for seed, each in self.scores.items()
        }


def compare_systems(
    entries: Sequence[ComparedRecipe],
    done: Sequence[RunOutcome],
    common: CommonRows,
    baseline: SystemKey,
    resampling: Resampling,
    errors: Mapping[str, str],
    store: str,
) -> Comparison:
    """Score every system over its seeds, and compare it with the baseline.

    Args:
        entries: What is compared, in order.
        done: Results of the runs.
        common: The rows that were scored.
        baseline: What everything is compared with.
        resampling: How often, and by what seed, videos and seeds are resampled.
        errors: By name of a recipe, why the store cannot serve it.
        store: Where the store is.

    Returns:
        The comparison; a system without a finished run is not in it.
    """
    counts = drawn_units(common.units, resampling.resamples, resampling.seed)
    runs = {
        (entry.name, stage): _runs_of(entry, stage, done, counts)
        for entry in entries
        for stage in entry.recipe.stages
    }
    by_name = {entry.name: entry for entry in entries}
    base = runs[baseline]
    systems = {}
    for (name, stage), own in runs.items():
        if own.scores:
            is_compared = (name, stage) != baseline and base.scores
            gaps = _differences(base, own, resampling.seed) if is_compared else None
            systems[label_of(by_name[name], stage)] = _system(by_name[name], stage, own, gaps)
    lost = [FailedRun(entry=name, seed=None, error=error) for name, error in errors.items()]
    lost += [
        FailedRun(entry=each.job.entry, seed=each.job.seed, error=each.error)
        for each in done
        if each.error
    ]
    return Comparison(
        store=store,
        split=common.split,
        rows=len(common.moments),
        available_rows=common.available,
        units=common.units,
        resampling=PairedResampling(resamples=resampling.resamples, seed=resampling.seed),
        baseline=label_of(by_name[baseline[0]], baseline[1]),
        systems=systems,
        failed=lost,
        reachable=common.reachable,
    )


def _runs_of(
    entry: ComparedRecipe, stage: str, done: Sequence[RunOutcome], counts: NDArray[np.uint16]
) -> _Runs:
    tasks = resolve_tasks(entry.recipe.tasks)
    own = {each.job.seed: each for each in done if each.job.entry == entry.name and each.stages}
    statistics = {seed: each.stages[stage].statistics for seed, each in own.items()}
    scores = {seed: resample_scores(each, tasks, counts) for seed, each in statistics.items()}
    units = [labelled_units(each, tasks) for each in statistics.values()]
    return _Runs(tasks, own, scores, units[0] if units else np.zeros(0, np.int64))


def _system(
    entry: ComparedRecipe, stage: str, runs: _Runs, gaps: dict[str, ScoreDifference] | None
) -> SystemScores:
    names = score_names(runs.tasks)

    def by_name(values: NDArray[np.float64]) -> dict[str, float | None]:
        numbers = [None if np.isnan(value) else float(value) for value in values]
        return dict(zip(names, numbers, strict=True))

    values = np.array([each.value for each in runs.scores.values()])
    sd = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(len(names), np.nan)
    seeds = {
        str(seed): SeedScores(
            folder=str(outcome.job.folder),
            seconds=outcome.stages[stage].seconds,
            epochs=outcome.stages[stage].epochs,
            scores=by_name(runs.scores[seed].value),
        )
        for seed, outcome in sorted(runs.outcomes.items())
    }
    return SystemScores(
        entry=entry.name,
        stage=stage,
        recipe_hash=entry.identity.recipe,
        tasks={task.key: list(task.part_names) for task in runs.tasks},
        mean=by_name(values.mean(axis=0)),
        sd=by_name(sd),
        units=dict(zip(names, runs.units.tolist(), strict=True)),
        cost=_cost(entry, stage, runs),
        seeds=seeds,
        difference=gaps,
    )


def _cost(entry: ComparedRecipe, stage: str, runs: _Runs) -> TrainingCost:
    stages = [stage]
    for name in stages:  # it grows by what each has learned from
        own = entry.recipe.stages[name]
        needed = [*own.ensemble, *own.teachers.values()]
        needed += [own.teacher] if own.teacher in entry.recipe.stages else []
        stages += [each for each in needed if each is not None and each not in stages]
    outcomes = [each.stages[stage] for each in runs.outcomes.values()]
    in_all = [sum(each.stages[name].seconds for name in stages) for each in runs.outcomes.values()]

    def mean(counts: Sequence[float | None]) -> float | None:
        numbers = [count for count in counts if count is not None]
        return round(float(np.mean(numbers)), 2) if len(numbers) == len(counts) else None

    def mean_count(counts: Sequence[int | None]) -> int | None:
        number = mean(counts)
        return None if number is None else round(number)

    def total(values: Sequence[float | None]) -> float | None:
        numbers = [value for value in values if value is not None]
        return sum(numbers) if len(numbers) == len(values) else None

    needed_of = [[each.stages[name] for name in stages] for each in runs.outcomes.values()]
    updates = mean([total([each.updates for each in needed]) for needed in needed_of])
    peaks = [max(each.peak_mb or 0 for each in needed) or None for needed in needed_of]
    return TrainingCost(
        seconds=round(float(np.mean([each.seconds for each in outcomes])), 2),
        seconds_in_all=round(float(np.mean(in_all)), 2),
        epochs=round(float(np.mean([each.epochs for each in outcomes])), 1),
        parameters=outcomes[0].parameters,
        rows=mean_count([each.rows for each in outcomes]),
        labels=mean_count([each.labels for each in outcomes]),
        processor_seconds=mean(
            [total([each.processor_seconds for each in needed]) for needed in needed_of]
        ),
        updates=None if updates is None else round(updates),
        peak_mb=mean(peaks),
    )


def _differences(base: _Runs, own: _Runs, seed: int) -> dict[str, ScoreDifference]:
    """Compare the scores that both systems have; a sum over other tasks is another score."""
    names, others = score_names(own.tasks), score_names(base.tasks)
    is_same_sum = [task.key for task in own.tasks] == [task.key for task in base.tasks]
    shared = [name for name in names if name in others and (name != TOTAL or is_same_sum)]
    columns = [names.index(name) for name in shared]
    gap = difference(base.only([others.index(name) for name in shared]), own.only(columns), seed)
    differences = {}
    for k, (name, units) in enumerate(zip(shared, own.units[columns], strict=True)):
        has_interval = units > 1 and not np.isnan(gap.low[k])
        differences[name] = ScoreDifference(
            mean=float(gap.mean[k]),
            interval=(float(gap.low[k]), float(gap.high[k])) if has_interval else None,
            better=int(gap.better[k]),
            seeds=len(gap.seeds),
        )
    return differences
