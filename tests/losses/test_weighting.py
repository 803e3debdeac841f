"""Weights of tasks that have stopped improving."""

import json
import math

import pytest

from triaffect.losses.objective import StagnationWeights


def test_weights_grow_with_each_epoch_without_a_new_best():
    weights = StagnationWeights(("VA", "EXPR"))
    assert weights.weights() == {"VA": 1, "EXPR": 1}
    for va, expr in ((0.1, 0.5), (0.2, 0.4), (0.3, 0.5), (0.25, 0.45)):
        weights.update({"VA": va, "EXPR": expr})
    assert weights.weights() == pytest.approx({"VA": math.exp(0.5), "EXPR": math.exp(1.5)})
    weights.update({"VA": 0.31, "EXPR": 0.51})
    assert weights.weights() == {"VA": 1, "EXPR": 1}


def test_a_score_that_is_no_number_is_no_improvement():
    weights = StagnationWeights(("VA",))
    weights.update({"VA": 0.1})
    weights.update({"VA": math.nan})
    assert weights.weights()["VA"] == pytest.approx(math.exp(0.5))


def test_rate_zero_leaves_every_weight_at_one():
    weights = StagnationWeights(("VA",), rate=0.0)
    for _ in range(3):
        weights.update({"VA": 0.0})
    assert weights.weights() == {"VA": 1}


def test_resuming_goes_on_as_if_nothing_had_happened():
    scores = [{"VA": v} for v in (0.1, 0.05, 0.2, 0.1, 0.1)]
    straight, first, second = (StagnationWeights(("VA",)) for _ in range(3))
    for score in scores:
        straight.update(score)
    for score in scores[:2]:
        first.update(score)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for score in scores[2:]:
        second.update(score)
    assert second.weights() == straight.weights()
    assert second.state_dict() == straight.state_dict()
