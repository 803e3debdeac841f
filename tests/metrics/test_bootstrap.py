"""Intervals against a slow resampling of the rows themselves."""

import numpy as np
import pytest

from tests.metrics.test_abaw import ALL_TASKS, made_set
from triaffect.metrics.abaw import score_targets, statistics_of
from triaffect.metrics.bootstrap import bootstrap
from triaffect.tasks.registry import TASKS
from triaffect.types import Targets

ROWS, UNITS = 400, 12


def made_units(seed=0, rows=ROWS, units=UNITS, tasks=ALL_TASKS):
    """Labels, predictions whose worth differs between units, and the unit of each row."""
    truth, said = made_set(rows, seed, tasks)
    unit = np.random.default_rng(seed).integers(0, units, rows)
    for key, values in said.items():
        good = (unit % 3 == 0)[:, None]
        said[key] = np.where(good, 0.7 * truth[key].values + 0.3 * values, values)
    return truth, said, unit


def intervals(truth, said, unit, tasks=ALL_TASKS, **options):
    statistics = statistics_of(truth, said, tasks, unit, unit.max() + 1)
    return bootstrap(statistics, tasks, **options)


def slowly(truth, said, unit, resamples, seed):
    """The same definition without statistics: rows of the drawn units are put together."""
    rng = np.random.default_rng(seed)
    units = np.unique(unit)
    found = []
    for _ in range(resamples):
        drawn = rng.integers(len(units), size=len(units))
        rows = np.concatenate([np.flatnonzero(unit == units[place]) for place in drawn])
        some = {k: Targets(t.values[rows], t.valid[rows], t.weight[rows]) for k, t in truth.items()}
        found.append(score_targets(some, {k: p[rows] for k, p in said.items()}, ALL_TASKS))
    return found


def test_intervals_are_those_of_resampled_rows():
    """The same draws, so that nothing is left to chance."""
    truth, said, unit = made_units()
    fast = intervals(truth, said, unit, resamples=60, seed=7)
    slow = slowly(truth, said, unit, 60, 7)
    for name, ends in fast.official.items():
        values = [score.official[name] for score in slow]
        assert ends == pytest.approx(np.quantile(values, [0.025, 0.975]), rel=0, abs=1e-10)
    for task in ALL_TASKS:
        for name, ends in fast.parts[task.key].items():
            values = [score.tasks[task.key].parts[name] for score in slow]
            assert ends == pytest.approx(np.quantile(values, [0.025, 0.975]), rel=0, abs=1e-10)
        assert fast.units[task.key] == UNITS


def test_the_seed_decides_and_the_order_of_rows_does_not():
    truth, said, unit = made_units()
    once = intervals(truth, said, unit, resamples=50, seed=1)
    assert intervals(truth, said, unit, resamples=50, seed=1) == once
    assert intervals(truth, said, unit, resamples=50, seed=2) != once
    rows = np.random.default_rng(3).permutation(ROWS)
    truth = {k: Targets(t.values[rows], t.valid[rows], t.weight[rows]) for k, t in truth.items()}
    shuffled = intervals(
        truth, {k: p[rows] for k, p in said.items()}, unit[rows], resamples=50, seed=1
    )
    for name, ends in once.official.items():
        assert shuffled.official[name] == pytest.approx(ends, rel=0, abs=1e-10)


def test_blocks_of_resamples_are_one_sequence(monkeypatch):
    truth, said, unit = made_units()
    whole = intervals(truth, said, unit, resamples=50, seed=1)
    monkeypatch.setattr("triaffect.metrics.bootstrap._BLOCK", 7 * UNITS)
    assert intervals(truth, said, unit, resamples=50, seed=1) == whole


def test_dependent_rows_make_wide_intervals():
    """Each row written down twenty times over: rows as units would claim far too much."""
    truth, said, unit = made_units(rows=60, units=60, tasks=TASKS)
    again = np.repeat(np.arange(60), 20)
    many = {k: Targets(t.values[again], t.valid[again], t.weight[again]) for k, t in truth.items()}
    said_many = {k: p[again] for k, p in said.items()}

    def width(*data):
        low, high = intervals(*data, TASKS, resamples=300).official["P_MTL"]
        return high - low

    few = width(truth, said, unit)
    assert width(many, said_many, unit[again]) == pytest.approx(few, abs=1e-10)
    assert width(many, said_many, np.arange(1200)) < few / 3


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    """Sets of 150 units drawn from one population; of few units somewhat too few would hold it."""
    rng = np.random.default_rng(0)
    (task,) = (each for each in TASKS if each.key == "VA")
    held = 0
    for seed in range(200):
        unit = np.repeat(np.arange(150), 2)
        common = rng.normal(size=(150, 2))[unit]
        truth = (common + rng.normal(size=common.shape)) / 5
        said = (common + rng.normal(size=common.shape)) / 5
        labels = {"VA": Targets(truth, np.ones_like(truth, bool), np.ones(300, np.float32))}
        low, high = intervals(
            labels, {"VA": said}, unit, [task], resamples=500, seed=seed
        ).official["P_VA"]
        held += low <= 0.5 <= high
    assert 0.89 <= held / 200 <= 0.99


def test_one_unit_has_no_interval():
    truth, said, unit = made_units(tasks=TASKS)
    truth["AU"].valid[unit != 3] = False
    found = intervals(truth, said, unit, TASKS, resamples=20)
    assert found.units == {"VA": UNITS, "EXPR": UNITS, "AU": 1}
    assert found.official["P_AU"] is None
    assert found.official["P_MTL"] is None
    assert set(found.parts["AU"].values()) == {None}
    assert found.official["P_VA"] is not None


def test_a_task_without_labels_counts_zero_and_spoils_nothing():
    truth, said, unit = made_units(tasks=TASKS)
    del truth["AU"]
    found = intervals(truth, said, unit, TASKS, resamples=20)
    assert found.units["AU"] == 0
    assert found.official["P_AU"] is None
    low, high = found.official["P_MTL"]
    assert 0 < low < high


def test_nothing_annotated_has_no_interval():
    statistics = statistics_of({}, {}, TASKS, np.zeros(0, int), 3)
    assert set(bootstrap(statistics, TASKS, 5).official.values()) == {None}
