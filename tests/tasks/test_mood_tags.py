"""Mood tags: a task of 56 labels that stores have once it is named."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from triaffect.metrics.thresholds import best_thresholds
from triaffect.tasks import registry
from triaffect.tasks.mood_tags import EDGES, MOOD_TAGS, MOODS
from triaffect.tasks.registry import TASKS, available_tasks, resolve_tasks, task, task_plugins
from triaffect.types import Targets

ROWS = 400


@pytest.fixture
def tagged():
    rng = np.random.default_rng(0)
    truth = (rng.random((ROWS, 56)) < 0.15).astype(float)
    logits = 2 * truth + rng.normal(size=truth.shape) - 3
    return truth, 1 / (1 + np.exp(-logits)), np.ones(truth.shape, bool)


def test_it_is_no_task_of_every_store_but_has_a_name(monkeypatch):
    monkeypatch.setattr(registry, "_loaded", {})
    assert available_tasks() == TASKS
    assert len(MOODS) == len(set(MOODS)) == 56
    assert resolve_tasks(["VA", "TAGS"])[1] is MOOD_TAGS
    assert available_tasks() == (*TASKS, MOOD_TAGS)
    assert task_plugins([MOOD_TAGS])["TAGS"].path == "triaffect.tasks.mood_tags:MOOD_TAGS"
    assert task("triaffect.tasks.mood_tags:MOOD_TAGS") is MOOD_TAGS
    columns = [name for each in TASKS for name in each.columns]
    assert not set(columns) & set(MOOD_TAGS.columns)


def test_its_score_is_the_mean_average_precision(tagged):
    truth, prediction, valid = tagged
    score = MOOD_TAGS.score(truth, prediction, valid)
    assert score.value == pytest.approx(average_precision_score(truth, prediction), abs=0.01)
    assert (score.metric, score.count) == ("PR-AUC", ROWS)
    details = score.details.by_part
    step = np.searchsorted(EDGES, np.log(prediction / (1 - prediction)), "right")
    roc = [each["roc_auc"] for each in details.values()]
    np.testing.assert_allclose(roc, roc_auc_score(truth, step, average=None), atol=1e-12)
    assert details["tag_sad"]["support"] == truth[:, MOODS.index("sad")].sum()


def test_pieces_that_no_step_shares_are_scored_exactly():
    truth = np.tile([[1.0], [0], [1], [0], [0], [1]], 56)
    logits = np.tile([[2.0], [1], [0.5], [0], [-3], [-4]], 56)
    prediction, valid = 1 / (1 + np.exp(-logits)), np.ones(truth.shape, bool)
    score = MOOD_TAGS.score(truth, prediction, valid).value
    assert score == pytest.approx((1 + 2 / 3 + 3 / 6) / 3)


def test_statistics_add_up_and_a_tag_that_nobody_has_scores_0(tagged):
    truth, prediction, valid = tagged
    truth[:, 0] = 0
    groups = np.arange(ROWS) % 3
    parts = MOOD_TAGS.statistics(truth, prediction, valid, groups, 3)
    whole = MOOD_TAGS.statistics(truth, prediction, valid, np.zeros(ROWS, int), 1)
    np.testing.assert_array_equal(parts.sum(0), whole[0])
    assert MOOD_TAGS.part_scores(whole)[0, 0] == 0
    valid[:, 1] = False
    assert MOOD_TAGS.score(truth, prediction, valid).parts["tag_adventure"] == 0
    prediction[5] = np.nan
    assert np.isfinite(MOOD_TAGS.score(truth, prediction, valid).value)


def test_the_best_constant_scores_the_share_of_tagged_pieces(tagged):
    truth, _, valid = tagged
    assert MOOD_TAGS.chance(truth, valid) == pytest.approx(truth.mean(), abs=0.01)


def test_no_threshold_is_chosen_by_a_score_of_ranks(tagged):
    truth, prediction, valid = tagged
    labels = {"TAGS": Targets(truth, valid, np.ones(ROWS, np.float32))}
    assert best_thresholds(labels, {"TAGS": prediction}, [MOOD_TAGS], np.arange(ROWS)) == {}
    assert MOOD_TAGS.with_thresholds({"tag_sad": 0.1}).present_from["tag_sad"] == 0.1
