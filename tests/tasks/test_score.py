"""The official score against scikit-learn and NumPy; whole sets, streams and mini-batches."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from tests.tasks.toy import PAIN
from triaffect.errors import TriaffectError
from triaffect.tasks.abaw import ScoreAccumulator, chance_score, per_batch_score, score_targets
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION, EXPRESSIONS
from triaffect.tasks.metrics import PairMoments, binary_f1, ccc, macro_f1
from triaffect.tasks.registry import TASKS, task
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL
from triaffect.types import Targets

EXACT = 1e-10
ALL_TASKS = [*TASKS, PAIN]
seeds = st.integers(0, 2**32 - 1)


def made_set(rows, seed, tasks=ALL_TASKS):
    rng = np.random.default_rng(seed)
    truth, said = {}, {}
    for each in tasks:
        shape = (rows, each.width)
        if each.key == "VA":
            values, said[each.key] = rng.uniform(-1, 1, shape), rng.uniform(-1, 1, shape)
        elif each.key == "EXPR":
            values = np.eye(8)[rng.choice(8, rows, p=[0.3, 0.3, 0.2, 0.1, 0.1, 0, 0, 0])]
            said[each.key] = rng.dirichlet(np.ones(8), rows)
        else:
            values, said[each.key] = rng.random(shape) < 0.3, rng.random(shape)
        valid = rng.random(shape) < 0.8
        if each.key == "EXPR":
            valid = np.repeat(valid[:, :1], 8, axis=1)
        truth[each.key] = Targets(values.astype(np.float32), valid, np.ones(rows, np.float32))
    return truth, said


def numpy_ccc(x, y):
    x, y = x.astype(np.float64), y.astype(np.float64)
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    return 2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)


def test_valence_arousal():
    truth, said = made_set(300, 0)
    score = score_targets(truth, said).tasks["VA"]
    labels = truth["VA"]
    for k, name in enumerate(("valence", "arousal")):
        kept = labels.valid[:, k]
        expected = numpy_ccc(labels.values[kept, k], said["VA"][kept, k])
        assert score.parts[name] == pytest.approx(expected, rel=0, abs=EXACT)
    assert score.value == pytest.approx(np.mean(list(score.parts.values())), rel=0, abs=EXACT)
    assert score.count == labels.valid.any(1).sum()


def test_expression():
    truth, said = made_set(300, 1)
    score = score_targets(truth, said).tasks["EXPR"]
    kept = truth["EXPR"].valid[:, 0]
    pair = truth["EXPR"].values[kept].argmax(1), said["EXPR"][kept].argmax(1)
    each = f1_score(*pair, labels=range(8), average=None, zero_division=0)
    assert list(score.parts) == list(EXPRESSIONS)
    np.testing.assert_allclose(list(score.parts.values()), each, rtol=0, atol=EXACT)
    assert score.value == pytest.approx(each.mean(), rel=0, abs=EXACT)
    assert score.count == kept.sum()


def test_action_units():
    truth, said = made_set(300, 2)
    score = score_targets(truth, said).tasks["AU"]
    labels = truth["AU"]
    each = [
        f1_score(labels.values[kept, k] > 0.5, said["AU"][kept, k] >= 0.5)
        for k, kept in enumerate(labels.valid.T)
    ]
    np.testing.assert_allclose(list(score.parts.values()), each, rtol=0, atol=EXACT)
    assert score.value == pytest.approx(np.mean(each), rel=0, abs=EXACT)


def test_official_names_and_sum():
    truth, said = made_set(50, 3, TASKS)
    official = score_targets(truth, said).official
    assert list(official) == ["P_VA", "P_EXPR", "P_AU", "P_MTL"]
    assert official["P_MTL"] == pytest.approx(sum(list(official.values())[:3]))
    assert json.loads(json.dumps(score_targets(truth, said).to_json()))["official"] == official


def test_a_unit_exactly_at_one_half_is_present():
    truth, said = np.ones((1, 12)), np.full((1, 12), 0.5)
    assert ACTION_UNITS.score(truth, said, np.ones((1, 12), bool)).value == 1


def test_thresholds_move_what_is_present():
    truth, said, valid = np.ones((2, 12)), np.full((2, 12), 0.4), np.ones((2, 12), bool)
    lower = ACTION_UNITS.with_thresholds({"AU1": 0.3, "AU26": 0.4})
    assert lower.score(truth, said, valid).parts == {
        name: float(name in ("AU1", "AU26")) for name in ACTION_UNITS.columns
    }
    assert ACTION_UNITS.score(truth, said, valid).value == 0
    with pytest.raises(TriaffectError, match="AU1: expected a threshold between 0 and 1"):
        ACTION_UNITS.with_thresholds({"AU1": 1.5})


def test_absent_from_truth_and_prediction_is_zero():
    assert binary_f1(np.zeros(4, bool), np.zeros(4, bool)) == 0
    assert macro_f1(np.zeros(4, int), np.zeros(4, int), 8) == 1 / 8
    assert ccc(np.full(3, 0.5), np.full(3, 0.5)) == 0


def test_functions_against_scikit_learn():
    rng = np.random.default_rng(4)
    truth, said = rng.integers(0, 8, 200), rng.integers(0, 8, 200)
    expected = f1_score(truth, said, labels=range(8), average="macro")
    assert macro_f1(truth, said, 8) == pytest.approx(expected, rel=0, abs=EXACT)
    expected = f1_score(truth > 3, said > 3)
    assert binary_f1(truth > 3, said > 3) == pytest.approx(expected, rel=0, abs=EXACT)


def test_concordance_uses_the_population_variance():
    x, y = np.array([0.0, 1.0]), np.array([0.0, 2.0])
    assert ccc(x, y) == pytest.approx(2 * 0.5 / (0.25 + 1 + 0.25))


def test_concordance_far_from_zero_keeps_its_digits():
    rng = np.random.default_rng(5)
    x = rng.normal(size=1000)
    y = x + rng.normal(size=1000)
    moments = PairMoments.of(np.zeros(0), np.zeros(0))
    for part in np.array_split(np.arange(1000), 7):
        moments.add(PairMoments.of(x[part] + 1e6, y[part] + 1e6))
    assert moments.ccc() == pytest.approx(numpy_ccc(x, y), rel=0, abs=1e-8)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, parts=st.integers(1, 9))
def test_a_stream_scores_as_the_whole_set(seed, parts):
    truth, said = made_set(40, seed)
    accumulator = ScoreAccumulator(ALL_TASKS)
    for rows in np.array_split(np.random.default_rng(seed).permutation(40), parts):
        accumulator.update(
            {k: Targets(t.values[rows], t.valid[rows], t.weight[rows]) for k, t in truth.items()},
            {k: p[rows] for k, p in said.items()},
        )
    streamed, whole = accumulator.compute(), score_targets(truth, said, ALL_TASKS)
    for key, score in whole.tasks.items():
        assert streamed.tasks[key].parts == pytest.approx(score.parts, rel=0, abs=EXACT)
        assert streamed.tasks[key].value == pytest.approx(score.value, rel=0, abs=EXACT)
        assert streamed.tasks[key].count == score.count


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_values_that_are_not_annotated_have_no_say(seed):
    truth, said = made_set(30, seed)
    hidden = {
        k: Targets(np.where(t.valid, t.values, np.nan), t.valid, t.weight) for k, t in truth.items()
    }
    assert score_targets(hidden, said, ALL_TASKS) == score_targets(truth, said, ALL_TASKS)


def test_nothing_annotated_scores_zero():
    score = score_targets({}, {})
    assert score.official == {"P_VA": 0, "P_EXPR": 0, "P_AU": 0, "P_MTL": 0}
    assert {each.count for each in score.tasks.values()} == {0}


def test_a_prediction_left_blank_is_a_miss_and_no_ones_false_alarm():
    truth, valid = np.eye(8)[[4, 4]], np.ones((2, 8), bool)
    said = np.eye(8)[[4, 4]]
    said[1] = np.nan
    parts = EXPRESSION.score(truth, said, valid).parts
    assert parts["happiness"] == pytest.approx(2 / 3)
    assert sum(parts.values()) == parts["happiness"]
    values = np.array([[0.5, 0.1], [-0.5, 0.2]])
    blank = np.array([[0.5, 0.1], [np.nan, np.nan]])
    zeros = np.nan_to_num(blank)
    every = np.ones((2, 2), bool)
    assert VALENCE_AROUSAL.score(values, blank, every) == VALENCE_AROUSAL.score(
        values, zeros, every
    )
    units = np.full((1, 12), np.nan)
    assert ACTION_UNITS.score(np.ones((1, 12)), units, np.ones((1, 12), bool)).value == 0


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_chance_is_what_the_best_constant_reaches(seed):
    truth, _ = made_set(30, seed, TASKS)
    chance = chance_score(truth)
    constants = np.eye(8)
    labels = truth["EXPR"]
    reached = [
        EXPRESSION.score(labels.values, np.tile(c, (30, 1)), labels.valid).value for c in constants
    ]
    assert chance.tasks["EXPR"].value == pytest.approx(max(reached), rel=0, abs=EXACT)
    labels = truth["AU"]
    each = [
        max(
            ACTION_UNITS.score(labels.values, np.full((30, 12), c), labels.valid).parts[name]
            for c in (0.0, 1.0)
        )
        for name in ACTION_UNITS.columns
    ]
    assert chance.tasks["AU"].value == pytest.approx(np.mean(each), rel=0, abs=EXACT)
    assert chance.tasks["VA"].value == 0


def test_chance_of_a_published_validation_set():
    counts = [1886, 487, 565, 1254, 3751, 1893, 1003, 4601]
    truth = np.repeat(np.eye(8), counts, axis=0)
    expected = 2 * 4601 / (sum(counts) + 4601) / 8
    assert EXPRESSION.chance(truth, np.ones_like(truth, dtype=bool)) == pytest.approx(expected)


def test_per_batch_reading_counts_as_the_program_does():
    every = np.ones((4, 12), bool)
    truth, said = np.zeros((4, 12)), np.zeros((4, 12))
    truth[:, 0], said[:, 0] = 1, [1, 1, 0, 0]
    assert ACTION_UNITS.batch_score(truth, said, every) == pytest.approx((2 / 3 + 11) / 12)
    truth, said = np.eye(8)[[0, 0, 1, 1]], np.eye(8)[[0, 0, 1, 2]]
    value = EXPRESSION.batch_score(truth, said, np.ones((4, 8), bool))
    assert value == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_per_batch_score_is_a_plain_mean_over_the_batches_with_labels():
    parts = [made_set(9, seed, TASKS) for seed in range(4)]
    unlabelled, said = made_set(5, 9, TASKS)
    unlabelled = {k: Targets(t.values, t.valid & False, t.weight) for k, t in unlabelled.items()}
    score = per_batch_score([*parts, (unlabelled, said)])
    for each in TASKS:
        alone = [
            each.batch_score(t[each.key].values, p[each.key], t[each.key].valid) for t, p in parts
        ]
        assert score.tasks[each.key].value == pytest.approx(np.mean(alone))


def test_per_batch_score_flatters_constant_outputs():
    rng = np.random.default_rng(0)
    truth, _ = made_set(800, 0, TASKS)
    said = {"VA": np.zeros((800, 2)), "EXPR": np.tile(np.eye(8)[0], (800, 1))}
    said["AU"] = rng.random((800, 12)) * 0.1
    batches = [
        (
            {k: Targets(t.values[r], t.valid[r], t.weight[r]) for k, t in truth.items()},
            {k: p[r] for k, p in said.items()},
        )
        for r in np.array_split(np.arange(800), 100)
    ]
    assert score_targets(truth, said).official["P_MTL"] < 0.1
    assert per_batch_score(batches).official["P_MTL"] > 0.2


def test_finding_a_task():
    assert task("VA") is VALENCE_AROUSAL
    assert task("PAIN", ALL_TASKS) is PAIN
    with pytest.raises(TriaffectError, match="did you mean EXPR"):
        task("EXP")
    with pytest.raises(TriaffectError, match="one of the tasks VA, EXPR, AU"):
        task("gaze")
