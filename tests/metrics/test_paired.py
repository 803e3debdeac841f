"""Differences of two systems against a slow resampling of rows and seeds in plain Python."""

import numpy as np
import pytest

from tests.metrics.test_abaw import ALL_TASKS
from tests.metrics.test_bootstrap import made_units
from triaffect.metrics.abaw import score_targets, statistics_of
from triaffect.metrics.paired import (
    ResampledScores,
    difference,
    drawn_units,
    labelled_units,
    resample_scores,
    score_names,
    score_values,
)
from triaffect.tasks.registry import TASKS
from triaffect.types import Targets

RESAMPLES = 25


def made_systems(seeds_of=((0, 1, 2), (0, 1, 2)), tasks=ALL_TASKS):
    """Labels, units, and of each of two systems its predictions by seed."""
    truth, said, unit = made_units(tasks=tasks)
    systems = []
    for place, seeds in enumerate(seeds_of):
        noisy = {}
        for seed in seeds:
            rng = np.random.default_rng((place, seed))
            noisy[seed] = {
                key: values + (0.3 + 0.2 * place) * rng.normal(size=values.shape)
                for key, values in said.items()
            }
        systems.append(noisy)
    return truth, unit, systems


def scores_of(truth, unit, system, counts, tasks=ALL_TASKS):
    return {
        seed: resample_scores(
            statistics_of(truth, said, tasks, unit, unit.max() + 1), tasks, counts
        )
        for seed, said in system.items()
    }


def every_score(truth, said, tasks=ALL_TASKS):
    score = score_targets(truth, said, tasks)
    parts = [value for task in tasks for value in score.tasks[task.key].parts.values()]
    return np.array([*score.official.values(), *parts])


def slowly(truth, unit, systems, counts, seed_draws):
    """Differences of every resample: rows of the drawn videos put together, seed by seed."""
    found = []
    for count, seeds in zip(counts, seed_draws, strict=True):
        rows = np.concatenate(
            [np.flatnonzero(unit == u) for u, times in enumerate(count) for _ in range(times)]
        )
        some = {k: Targets(t.values[rows], t.valid[rows], t.weight[rows]) for k, t in truth.items()}
        means = []
        for system in systems:
            values = [
                every_score(some, {k: p[rows] for k, p in system[seed].items()}) for seed in seeds
            ]
            means.append(sum(values) / len(values))
        found.append(means[1] - means[0])
    return np.array(found)


def test_intervals_are_those_of_resampled_rows_and_seeds():
    """The same draws, so that nothing is left to chance."""
    truth, unit, systems = made_systems()
    counts = drawn_units(unit.max() + 1, RESAMPLES, 4)
    found = difference(*(scores_of(truth, unit, each, counts) for each in systems), seed=4)
    rng = np.random.default_rng((4, 3))
    seed_draws = [rng.integers(3, size=2) for _ in range(RESAMPLES)]
    slow = slowly(truth, unit, systems, counts, seed_draws)
    low, high = np.quantile(slow, [0.025, 0.975], axis=0)
    assert found.low == pytest.approx(low, rel=0, abs=1e-10)
    assert found.high == pytest.approx(high, rel=0, abs=1e-10)
    gaps = np.array(
        [every_score(truth, systems[1][k]) - every_score(truth, systems[0][k]) for k in (0, 1, 2)]
    )
    assert found.mean == pytest.approx(gaps.mean(0), rel=0, abs=1e-12)
    assert found.better.tolist() == (gaps > 0).sum(0).tolist()
    assert found.seeds == (0, 1, 2)


def test_draws_of_videos_are_those_of_the_bootstrap():
    rng = np.random.default_rng(7)
    counts = drawn_units(12, RESAMPLES, 7)
    for count in counts:
        drawn = rng.integers(12, size=12)
        assert count.tolist() == np.bincount(drawn, minlength=12).tolist()


def test_a_system_does_not_differ_from_itself():
    truth, unit, (one, _) = made_systems()
    counts = drawn_units(unit.max() + 1, RESAMPLES, 0)
    own = scores_of(truth, unit, one, counts)
    found = difference(own, own)
    assert not found.mean.any()
    assert not found.low.any()
    assert not found.high.any()
    assert not found.better.any()


def test_only_shared_seeds_count_if_there_are_any():
    truth, unit, (one, two) = made_systems(((0, 1, 2), (1, 2, 3)))
    counts = drawn_units(unit.max() + 1, RESAMPLES, 0)
    first, second = (scores_of(truth, unit, each, counts) for each in (one, two))
    found = difference(first, second, seed=9)
    without = difference({k: first[k] for k in (1, 2)}, {k: second[k] for k in (2, 1)}, seed=9)
    assert found.seeds == without.seeds == (1, 2)
    for name in ("mean", "low", "high", "better"):
        assert getattr(found, name).tolist() == getattr(without, name).tolist()


def test_systems_without_a_shared_seed_are_drawn_apart():
    truth, unit, (one, two) = made_systems(((0, 1), (5, 6, 7)))
    counts = drawn_units(unit.max() + 1, 200, 0)
    first, second = (scores_of(truth, unit, each, counts) for each in (one, two))
    found = difference(first, second)
    assert found.seeds == ()
    assert not found.better.any()
    means = [np.mean([each.value for each in side.values()], axis=0) for side in (first, second)]
    assert found.mean == pytest.approx(means[1] - means[0], abs=1e-12)
    assert (found.low <= found.mean).mean() > 0.9
    assert (found.high >= found.mean).mean() > 0.9


def test_one_seed_leaves_the_luck_of_the_videos():
    truth, unit, (one, two) = made_systems(((0,), (0,)))
    counts = drawn_units(unit.max() + 1, RESAMPLES, 0)
    first, second = (scores_of(truth, unit, each, counts) for each in (one, two))
    found = difference(first, second)
    gap = second[0].drawn - first[0].drawn
    assert found.low == pytest.approx(np.quantile(gap, 0.025, axis=0), abs=1e-12)


def test_seeds_vary_as_a_mean_of_seeds_does():
    """Two systems that every video tells alike: what is left is the variance of a mean."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=5)
    flat = {k: _flat(0.0) for k in range(5)}
    found = difference(flat, {k: _flat(value) for k, value in enumerate(values)})
    width = found.high[0] - found.low[0]
    assert width == pytest.approx(2 * 1.96 * values.std(ddof=1) / np.sqrt(5), rel=0.1)


def _flat(value, resamples=20_000):
    return ResampledScores(np.full(1, value), np.full((resamples, 1), value))


def test_no_resamples_no_interval():
    truth, unit, (one, two) = made_systems()
    counts = drawn_units(unit.max() + 1, 0, 0)
    found = difference(*(scores_of(truth, unit, each, counts) for each in (one, two)))
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()
    assert np.isfinite(found.mean).all()


def test_names_and_values_go_together():
    truth, unit, (one, _) = made_systems()
    statistics = statistics_of(truth, one[0], ALL_TASKS, unit, unit.max() + 1)
    whole = score_values({key: each.sum(0) for key, each in statistics.items()}, ALL_TASKS)
    told = dict(zip(score_names(ALL_TASKS), whole, strict=True))
    score = score_targets(truth, one[0], ALL_TASKS)
    assert {k: v for k, v in told.items() if "." not in k} == pytest.approx(score.official)
    for key, task in score.tasks.items():
        for part, value in task.parts.items():
            assert told[f"{key}.{part}"] == pytest.approx(value)


def test_units_behind_each_score():
    truth, _, _ = made_systems(tasks=TASKS)
    unit = np.arange(len(truth["VA"])) % 6
    truth["AU"].valid[unit != 3] = False
    del truth["EXPR"]
    said = {task.key: np.zeros((len(unit), task.width)) for task in TASKS}
    statistics = statistics_of(truth, said, TASKS, unit, 6)
    found = dict(zip(score_names(TASKS), labelled_units(statistics, TASKS), strict=True))
    assert (found["P_VA"], found["P_EXPR"], found["P_AU"], found["P_MTL"]) == (6, 0, 1, 1)
    assert found["VA.valence"] == 6
    assert found["AU.AU1"] == 1
