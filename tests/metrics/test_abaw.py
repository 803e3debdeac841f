"""The official score against scikit-learn and NumPy; whole sets, streams and mini-batches."""

import doctest
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from tests.tasks.toy import PAIN
from triaffect.errors import TriaffectError
from triaffect.metrics import abaw
from triaffect.metrics.abaw import (
    chance_score,
    per_batch_score,
    score_statistics,
    score_targets,
    statistics_of,
)
from triaffect.tasks import metrics, registry
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION, EXPRESSIONS
from triaffect.tasks.metrics import concordance, pair_sums
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


def concordance_of(x, y):
    together = np.zeros(len(x), int)
    return float(concordance(pair_sums(np.asarray(x), np.asarray(y), together, 1))[0])


def test_absent_from_truth_and_prediction_is_zero():
    nothing, every = np.zeros((4, 12)), np.ones((4, 12), bool)
    assert ACTION_UNITS.score(nothing, nothing, every).value == 0
    neutral = np.eye(8)[[0, 0, 0, 0]]
    assert EXPRESSION.score(neutral, neutral, np.ones((4, 8), bool)).value == 1 / 8


@pytest.mark.parametrize("value", [0.0, 0.3, -0.7, 1.0])
@pytest.mark.parametrize("rows", [1, 3, 5000])
def test_a_constant_that_says_a_constant_has_no_concordance(value, rows):
    same = np.full(rows, value, np.float32)
    assert concordance_of(same, same) == 0
    assert abs(concordance_of(same, same + np.float32(0.1))) < EXACT


def test_concordance_uses_the_population_variance():
    assert concordance_of([0.0, 1.0], [0.0, 2.0]) == pytest.approx(2 * 0.5 / (0.25 + 1 + 0.25))


def test_concordance_of_values_that_hardly_differ_keeps_its_digits():
    rng = np.random.default_rng(5)
    x = 0.8 + 1e-3 * rng.normal(size=100_000)
    y = x + 1e-3 * rng.normal(size=100_000)
    group = np.sort(rng.integers(0, 300, 100_000))
    summed = pair_sums(x, y, group, 300).sum(0)
    assert concordance(summed) == pytest.approx(numpy_ccc(x, y), rel=0, abs=1e-8)


@pytest.mark.parametrize("each", [EXPRESSION, ACTION_UNITS])
def test_details_are_those_of_scikit_learn(each):
    truth, said = made_set(300, 6)
    labels, said = truth[each.key], said[each.key]
    said[:7] = np.nan
    by_part = each.score(labels.values, said, labels.valid).details.by_part
    assert list(by_part) == list(each.part_names)
    for k, table in enumerate(by_part.values()):
        kept = labels.valid[:, k]
        true, guess = labels.values[kept], np.nan_to_num(said[kept], nan=-1)
        if each.exclusive:
            blank = guess[:, 0] < 0
            pair = true.argmax(1) == k, (guess.argmax(1) == k) & ~blank
        else:
            pair = true[:, k] > 0.5, guess[:, k] >= 0.5
        precision, recall, f1, _ = precision_recall_fscore_support(
            *pair, average="binary", zero_division=0
        )
        expected = {"precision": precision, "recall": recall, "f1": f1}
        assert {name: table[name] for name in expected} == pytest.approx(expected, abs=EXACT)
        counts = pair[0].sum(), pair[1].sum(), kept.sum()
        assert tuple(table[name] for name in ("support", "predicted", "rows")) == counts


def test_confusion_matrix_and_accuracy_are_those_of_scikit_learn():
    truth, said = made_set(300, 7)
    labels, said = truth["EXPR"], said["EXPR"]
    said[:9] = np.nan
    details = EXPRESSION.score(labels.values, said, labels.valid).details
    kept = labels.valid[:, 0]
    true, guess = labels.values[kept].argmax(1), np.nan_to_num(said[kept], nan=-1).argmax(1)
    guess[np.isnan(said[kept]).any(1)] = 8
    expected = confusion_matrix(true, guess, labels=range(9))
    np.testing.assert_array_equal(details.confusion, expected[:8])
    assert details.accuracy == pytest.approx((true == guess).mean())


def test_details_of_valence_tell_means_and_deviations():
    truth, said = made_set(300, 8)
    labels = truth["VA"]
    by_part = VALENCE_AROUSAL.score(labels.values, said["VA"], labels.valid).details.by_part
    for k, (name, table) in enumerate(by_part.items()):
        kept = labels.valid[:, k]
        x, y = labels.values[kept, k].astype(float), said["VA"][kept, k]
        expected = {"mean_label": x.mean(), "mean_said": y.mean(), "rows": kept.sum()}
        expected |= {"sd_label": x.std(), "sd_said": y.std(), "ccc": numpy_ccc(x, y)}
        assert table == pytest.approx(expected, rel=0, abs=EXACT), name


@settings(max_examples=40, deadline=None)
@given(seed=seeds, parts=st.integers(1, 9))
def test_statistics_add_up_in_any_order(seed, parts):
    """Of groups within one call, and of blocks of rows over several."""
    truth, said = made_set(40, seed)
    rng = np.random.default_rng(seed)
    whole, group = score_targets(truth, said, ALL_TASKS), rng.integers(0, parts, 40)
    together = statistics_of(truth, said, ALL_TASKS, group, parts)
    order = rng.permutation(40)
    blocks = [
        statistics_of(truth, said, ALL_TASKS, np.zeros(len(rows), int), 1, rows)
        for rows in np.array_split(order, parts)
    ]
    streamed = {key: sum(block[key] for block in blocks) for key in together}
    for statistics in (together, streamed):
        found = score_statistics(statistics, ALL_TASKS)
        for key, score in whole.tasks.items():
            assert found.tasks[key].parts == pytest.approx(score.parts, rel=0, abs=EXACT)
            assert found.tasks[key].value == pytest.approx(score.value, rel=0, abs=EXACT)
            assert found.tasks[key].count == score.count


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_statistics_of_a_group_are_those_of_its_rows_alone(seed):
    truth, said = made_set(40, seed)
    group = np.random.default_rng(seed).integers(0, 5, 40)
    every = statistics_of(truth, said, ALL_TASKS, group, 6)
    for number in range(6):
        rows = np.flatnonzero(group == number)
        alone = statistics_of(truth, said, ALL_TASKS, np.zeros(len(rows), int), 1, rows)
        for key, values in alone.items():
            np.testing.assert_allclose(every[key][number], values[0], rtol=0, atol=EXACT)


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
    assert score.annotated == {}


@pytest.mark.parametrize("keys", [["VA"], ["EXPR", "AU"], ["VA", "EXPR", "AU"]])
def test_only_what_is_annotated_is_among_the_annotated_scores(keys):
    truth, said = made_set(30, 0)
    score = score_targets({key: truth[key] for key in keys}, said)
    names = [f"P_{key}" for key in keys] + ["P_MTL"] * (len(keys) > 1)
    assert list(score.annotated) == names
    assert score.annotated.items() <= score.official.items()


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


def batch_score(task, truth, said):
    """A single mini-batch, every label valid."""
    every = np.ones(truth.shape, bool)
    labels = {task.key: Targets(truth, every, np.ones(len(truth), np.float32))}
    batch = np.arange(len(truth))[None]
    return per_batch_score(labels, {task.key: said}, batch, [task]).tasks[task.key].value


def test_per_batch_reading_counts_as_the_program_does():
    truth, said = np.zeros((4, 12)), np.zeros((4, 12))
    truth[:, 0], said[:, 0] = 1, [1, 1, 0, 0]
    assert batch_score(ACTION_UNITS, truth, said) == pytest.approx((2 / 3 + 11) / 12)
    truth, said = np.eye(8)[[0, 0, 1, 1]], np.eye(8)[[0, 0, 1, 2]]
    assert batch_score(EXPRESSION, truth, said) == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_per_batch_score_is_a_plain_mean_over_the_batches_with_labels():
    truth, said = made_set(36, 4, TASKS)
    batches = np.random.default_rng(0).permutation(36).reshape(4, 9)
    for targets in truth.values():
        targets.valid[batches[3]] = False
    score = per_batch_score(truth, said, batches)
    labels = truth["AU"]
    each = []
    for rows in batches[:3]:
        scores = []
        for k in range(12):
            kept = rows[labels.valid[rows, k]]
            pair = labels.values[kept, k] > 0.5, said["AU"][kept, k] >= 0.5
            scores.append(f1_score(*pair, zero_division=1) if pair[0].any() | pair[1].any() else 1)
        each.append(np.mean(scores))
    assert score.tasks["AU"].value == pytest.approx(np.mean(each), rel=0, abs=EXACT)
    labels = truth["VA"]
    each = [
        np.mean([numpy_ccc(labels.values[r, k], said["VA"][r, k]) for k, r in kept])
        for rows in batches[:3]
        if (kept := [(k, rows[labels.valid[rows, k]]) for k in range(2)])
    ]
    assert score.tasks["VA"].value == pytest.approx(np.mean(each), rel=0, abs=EXACT)
    each = []
    for rows in batches[:3]:
        kept = rows[truth["EXPR"].valid[rows, 0]]
        pair = truth["EXPR"].values[kept].argmax(1), said["EXPR"][kept].argmax(1)
        each.append(f1_score(*pair, average="macro", zero_division=0))
    assert score.tasks["EXPR"].value == pytest.approx(np.mean(each), rel=0, abs=EXACT)
    assert score.tasks["EXPR"].count == truth["EXPR"].valid[:, 0].sum()


def test_a_row_may_be_in_several_batches():
    truth, said = made_set(6, 5, TASKS)
    batches = np.array([[0, 1, 2], [2, 1, 0], [0, 1, 2]])
    once = per_batch_score(truth, said, batches[:1])
    assert per_batch_score(truth, said, batches).official == pytest.approx(once.official)


def test_per_batch_score_flatters_constant_outputs():
    rng = np.random.default_rng(0)
    truth, _ = made_set(800, 0, TASKS)
    said = {"VA": np.zeros((800, 2)), "EXPR": np.tile(np.eye(8)[0], (800, 1))}
    said["AU"] = rng.random((800, 12)) * 0.1
    batches = np.arange(800).reshape(100, 8)
    assert score_targets(truth, said).official["P_MTL"] < 0.1
    assert per_batch_score(truth, said, batches).official["P_MTL"] > 0.2


def test_finding_a_task(monkeypatch):
    monkeypatch.setattr(registry, "_loaded", {})  # what is loaded stays for the whole process
    assert task("VA") is VALENCE_AROUSAL
    assert task("tests.tasks.toy:PAIN") is PAIN
    with pytest.raises(TriaffectError, match="did you mean EXPR"):
        task("EXP")
    with pytest.raises(TriaffectError, match="one of the tasks VA, EXPR, AU"):
        task("gaze")


def test_score_gives_its_numbers_by_name():
    truth, said = made_set(80, 9)
    score = score_targets(truth, said)
    assert score["P_VA"] == score.p_va == score.official["P_VA"]
    assert score["valence_ccc"] == score.valence_ccc == score.tasks["VA"].parts["valence"]
    assert score["AU12_f1"] == score.au12_f1 == score.tasks["AU"].parts["AU12"]
    with pytest.raises(KeyError, match="did you mean valence_ccc"):
        score["valence_cc"]
    with pytest.raises(AttributeError, match="p_wrong"):
        _ = score.p_wrong
    assert pickle.loads(pickle.dumps(score)) == score


def test_score_as_a_table_has_every_task_and_part():
    truth, said = made_set(80, 10)
    score = score_targets(truth, said)
    table = score.to_frame().set_index(["task", "part"])
    assert len(table) == 3 + 2 + 8 + 12
    assert table.loc[("VA", ""), "value"] == score.official["P_VA"]
    assert table.loc[("EXPR", "anger"), "value"] == score["anger_f1"]
    assert table.loc[("AU", "AU4"), "metric"] == "F1"
    assert table.loc[("AU", "AU4"), "rows"] == score.tasks["AU"].count


@pytest.mark.parametrize("module", [abaw, metrics])
def test_examples_of_the_metrics_hold(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
