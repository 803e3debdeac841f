"""Simulated predictors: drawn as said, scored as everywhere else, and the order does change."""

import numpy as np
import pytest

from triaffect.metrics.simulation import (
    EXPRESSION_COUNTS,
    UNIT_RATES,
    SimulatedPredictor,
    draw_labels,
    flips,
    predictors,
    simulate,
)
from triaffect.tasks.registry import TASKS


@pytest.fixture(scope="module")
def scored():
    return {each.name: each for each in simulate(rows=4000, seed=1)}


def test_labels_have_the_published_frequencies():
    labels = draw_labels(200_000, np.random.default_rng(0))
    shares = EXPRESSION_COUNTS / EXPRESSION_COUNTS.sum()
    np.testing.assert_allclose(labels["EXPR"].mean(0), shares, atol=0.004)
    np.testing.assert_allclose(labels["AU"].mean(0), UNIT_RATES, atol=0.004)
    assert labels["VA"].min() >= -1
    assert labels["VA"].max() <= 1


def test_noise_replaces_the_share_it_names():
    labels = draw_labels(20_000, np.random.default_rng(0))
    said = dict(predictors(labels, np.random.default_rng(1)))["noise 0.2"]
    kept = (said["VA"] == labels["VA"]).mean(0)
    np.testing.assert_allclose(kept, 0.8, atol=0.01)
    by_chance = (EXPRESSION_COUNTS / EXPRESSION_COUNTS.sum()) ** 2
    kept = (said["EXPR"] == labels["EXPR"]).all(1).mean()
    assert kept == pytest.approx(0.8 + 0.2 * by_chance.sum(), abs=0.01)


def test_worse_noise_scores_worse_officially(scored):
    totals = [scored[f"noise {share}"].whole["P_MTL"] for share in (0.01, 0.1, 0.4, 0.8)]
    assert totals == sorted(totals, reverse=True)
    assert list(scored) == sorted(scored, key=lambda name: -scored[name].whole["P_MTL"])


def test_small_batches_flatter_constants_and_cost_good_predictors_a_little(scored):
    constant, good = scored["constant, no unit"], scored["noise 0.2"]
    lifts = [constant.by_batch[size]["P_MTL"] for size in (8, 15, 32, 256)]
    assert lifts == sorted(lifts, reverse=True)
    assert lifts[0] > 5 * constant.whole["P_MTL"]
    assert 0.03 < good.whole["P_MTL"] - good.by_batch[15]["P_MTL"] < 0.15


def test_an_expected_batch_mean():
    """Never saying a unit scores 1 in the batches without it: (1 - rate) to the power of 8."""
    (found,) = (each for each in simulate(40_000, 0) if each.name == "constant, no unit")
    expected = ((1 - UNIT_RATES) ** 8).mean()
    assert found.by_batch[8]["P_AU"] == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("seed", [0, 1])
def test_two_predictors_change_places(seed):
    found = [(f.better, f.worse, f.batch_size) for f in flips(simulate(6000, seed))]
    assert ("eager", "cautious", 8) in found
    assert ("eager", "cautious", 15) in found
    assert not [size for *_, size in found if size == 256]


def test_close_scores_are_in_no_order():
    def made(name, whole, batch):
        return SimulatedPredictor(name, {"P_MTL": whole}, {8: {"P_MTL": batch}})

    assert flips([made("a", 1.0, 0.5), made("b", 0.995, 0.6)]) == []
    assert flips([made("a", 1.0, 0.5), made("b", 0.9, 0.505)]) == []
    (flip,) = flips([made("a", 0.9, 0.6), made("b", 1.0, 0.5)])
    assert (flip.better, flip.worse, flip.batch_size) == ("b", "a", 8)
    assert (flip.gap, flip.batch_gap) == pytest.approx((0.1, 0.1))


def test_the_seed_decides():
    assert simulate(256, 3) == simulate(256, 3)
    assert simulate(256, 3) != simulate(256, 4)
    assert {task.key for task in TASKS} == set(draw_labels(1, np.random.default_rng(0)))
