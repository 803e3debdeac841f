"""Differences between the scores of two systems, with paired bootstrap intervals.

Videos and training seeds are resampled at once. Both systems are scored on the same resamples, so
what they share cancels. Of n seeds n - 1 are drawn, as a mean of n drawn out of n would vary too
little by the factor (n - 1) / n; with one seed the interval covers the choice of videos alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triaffect.metrics.abaw import Statistics
from triaffect.metrics.bootstrap import LEVEL, draws
from triaffect.tasks.task import Task

ScoreArray = NDArray[np.float64]
Counts = NDArray[np.uint16]

TOTAL = "P_MTL"

_BLOCK = 1 << 22
"""Counts held as float64 at a time."""


@dataclass(frozen=True)
class ResampledScores:
    """Every score of one trained system, in the order of `score_names`.

    Attributes:
        value: Of all units together, shape (K,).
        drawn: Of each resample of the units, shape (resamples, K).
    """

    value: ScoreArray
    drawn: ScoreArray


@dataclass(frozen=True)
class Difference:
    """By how much the scores of one system exceed those of another.

    Attributes:
        mean: Mean over the seeds, shape (K,).
        low: Lower end of the 95 % interval, shape (K,); NaN without resamples.
        high: Upper end, likewise.
        better: With how many of the seeds the second scores higher, shape (K,).
        seeds: The seeds that both have; empty if they share none, and then the seeds of each
            are drawn apart and ``better`` is 0.
    """

    mean: ScoreArray
    low: ScoreArray
    high: ScoreArray
    better: NDArray[np.int64]
    seeds: tuple[int, ...]


def score_names(tasks: Sequence[Task]) -> list[str]:
    """Name the K scores of the tasks, in the order of every array of this module.

    Args:
        tasks: What is scored.

    Returns:
        ``P_<key>`` of each task, their sum, then ``<key>.<part>`` of every part.

    Examples:
        >>> from triaffect.tasks.registry import TASKS
        >>> score_names(TASKS[:1])
        ['P_VA', 'P_MTL', 'VA.valence', 'VA.arousal']
    """
    parts = [f"{task.key}.{name}" for task in tasks for name in task.part_names]
    return [*(f"P_{task.key}" for task in tasks), TOTAL, *parts]


def score_values(statistics: Statistics, tasks: Sequence[Task]) -> ScoreArray:
    """Compute every score from statistics.

    Args:
        statistics: By task key, shape (..., S).
        tasks: What is scored.

    Returns:
        Shape (..., K), in the order of `score_names`.
    """
    parts = [task.part_scores(statistics[task.key]) for task in tasks]
    official = np.stack([each.mean(-1) for each in parts], -1)
    return np.concatenate([official, official.sum(-1, keepdims=True), *parts], -1)


def labelled_units(statistics: Statistics, tasks: Sequence[Task]) -> NDArray[np.int64]:
    """Count the units that have labels of each score's task.

    Args:
        statistics: By task key, of each unit, shape (units, S).
        tasks: What is scored.

    Returns:
        Shape (K,); of the sum of the tasks, the fewest of a task that has any.
    """
    own = [int((statistics[task.key][:, 0] > 0).sum()) for task in tasks]
    parts = [count for count, task in zip(own, tasks, strict=True) for _ in task.part_names]
    fewest = min((count for count in own if count), default=0)
    return np.array([*own, fewest, *parts])


def drawn_units(units: int, resamples: int, seed: int) -> Counts:
    """Draw resamples as `triaffect.metrics.bootstrap.draws` does, all at once.

    Args:
        units: How many there are.
        resamples: How often they are drawn.
        seed: Decides what is drawn.

    Returns:
        How often each unit comes in each resample, shape (resamples, units).
    """
    blocks = [block.astype(np.uint16) for block in draws(units, resamples, seed)]
    return np.concatenate(blocks) if blocks else np.zeros((0, units), np.uint16)


def resample_scores(
    statistics: Statistics, tasks: Sequence[Task], counts: Counts
) -> ResampledScores:
    """Score all units together, and each resample.

    Args:
        statistics: By task key, of each unit, shape (units, S).
        tasks: What is scored.
        counts: How often each unit is drawn, shape (resamples, units).

    Returns:
        The scores, of all units and of each resample.
    """
    value = score_values({key: each.sum(0) for key, each in statistics.items()}, tasks)
    step = max(1, _BLOCK // max(counts.shape[1], 1))
    drawn = [np.zeros((0, len(value)))]
    for start in range(0, len(counts), step):
        block = counts[start : start + step].astype(np.float64)
        sums = {key: block @ each for key, each in statistics.items()}
        drawn.append(score_values(sums, tasks))
    return ResampledScores(value, np.concatenate(drawn))


def difference(
    first: Mapping[int, ResampledScores], second: Mapping[int, ResampledScores], seed: int = 0
) -> Difference:
    """Compute by how much the mean over the second system's seeds exceeds the first's.

    Args:
        first: By seed; every one with the same draws of units.
        second: Likewise, of the same scores.
        seed: Decides which seeds are drawn.

    Returns:
        The difference, paired by the seeds that both have.
    """
    shared = tuple(sorted(first.keys() & second.keys()))
    rng = np.random.default_rng((seed, len(shared)))
    if shared:
        gaps = [second[k].value - first[k].value for k in shared]
        drawn = _means([second[k].drawn - first[k].drawn for k in shared], rng)
        mean, better = np.mean(gaps, axis=0), np.sum(np.array(gaps) > 0, axis=0)
    else:
        values = [np.mean([each.value for each in of.values()], axis=0) for of in (first, second)]
        sides = [_means([each.drawn for each in of.values()], rng) for of in (first, second)]
        mean, drawn = values[1] - values[0], sides[1] - sides[0]
        better = np.zeros(len(mean), np.int64)
    if not len(drawn):
        unknown = np.full(len(mean), np.nan)
        return Difference(mean, unknown, unknown, better, shared)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Difference(mean, low, high, better, shared)


def drawn_seeds(seeds: int) -> int:
    """Return how many of the seeds a resample draws: one fewer, but one at least.

    Args:
        seeds: How many there are; the top of this file says why not all are drawn.

    Examples:
        >>> drawn_seeds(5), drawn_seeds(1)
        (4, 1)
    """
    return max(seeds - 1, 1)


def _means(by_seed: Sequence[ScoreArray], rng: np.random.Generator) -> ScoreArray:
    """Average over seeds drawn anew in each resample, from (resamples, K) of each seed."""
    seeds, resamples = len(by_seed), len(by_seed[0])
    drawn = drawn_seeds(seeds)
    cells = rng.integers(seeds, size=(resamples, drawn)) + seeds * np.arange(resamples)[:, None]
    share = np.bincount(cells.ravel(), minlength=resamples * seeds).reshape(resamples, seeds)
    means: ScoreArray = np.einsum("rn,nrk->rk", share / drawn, np.array(by_seed))
    return means
