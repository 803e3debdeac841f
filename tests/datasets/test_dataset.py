import numpy as np
import pytest

from tests.datasets.words import words_of
from triaffect.corpora.rows import TaskLabels, build_moments
from triaffect.datasets.batches import Rows, balanced, label_rows
from triaffect.tasks.registry import TASKS
from triaffect.types import LabelOrigin, Targets


def test_rare_classes_weigh_more_and_the_mean_weight_stays():
    classes = np.array([0] * 80 + [1] * 20)
    values = np.eye(2, dtype=np.float32)[classes]
    valid = np.ones((100, 2), bool)
    valid[0] = False
    targets = {"EXPR": Targets(values, valid, np.ones(100, np.float32))}
    split, where = words_of(["train"] * 100), words_of(["EXPR"] * 100)
    corpus = words_of(["a", "b"] * 50)
    made = Rows(np.arange(100), split, where, corpus, targets)
    np.testing.assert_array_equal(made.where("train", ["b/EXPR"]), np.arange(1, 100, 2))
    assert not len(made.where("train", ["b/VA"]))
    rows = balanced(made, ["EXPR"])
    weight = rows.targets["EXPR"].weight
    share = values[1:].mean(0)
    np.testing.assert_allclose(weight[-1] / weight[1], np.sqrt(share[0] / share[1]), rtol=1e-5)
    np.testing.assert_allclose(weight[1:].mean(), 1, rtol=1e-5)
    assert weight[0] == 1
    assert rows.targets["EXPR"].values is values


def test_a_class_of_a_small_corpus_weighs_more_than_the_same_class_of_a_large_one():
    classes = np.array(([0] * 3 + [1]) * 25)
    corpora = np.array(["large"] * 80 + ["small"] * 20)
    values = np.eye(2, dtype=np.float32)[classes]
    split = np.array(["train"] * 100)
    split[60:80] = "test"
    targets = {"EXPR": Targets(values, np.ones((100, 2), bool), np.ones(100, np.float32))}
    sets = words_of(["EXPR"] * 100)
    made = Rows(np.arange(100), words_of(split), sets, words_of(corpora), targets)
    weight = balanced(made, ["EXPR"], by_corpus=True).targets["EXPR"].weight
    of = {(corpora[k], classes[k]): weight[k] for k in range(100)}
    np.testing.assert_allclose(of["small", 0] / of["large", 0], np.sqrt(3), rtol=1e-5)
    np.testing.assert_allclose(of["small", 1] / of["small", 0], np.sqrt(3), rtol=1e-5)
    np.testing.assert_allclose(weight[split == "train"].mean(), 1, rtol=1e-5)


@pytest.mark.parametrize("drop_minus_one", [False, True])
def test_as_coded_a_valence_or_arousal_of_minus_1_is_left_out_of_the_va_set_alone(drop_minus_one):
    nan = np.nan
    va = [[-1, 0.5], [0.5, -1], [-1, nan], [-0.999, 0.25], [nan, 0.5], [-1, 0.5], [nan, nan]]
    units = np.full((7, 12), nan)
    units[6] = 0
    label_set = ["VA"] * 5 + ["MTL", "AU"]
    keys = {
        "source": "aff_wild2/v",
        "person": "aff_wild2/v",
        "track": 0,
        "frame": np.arange(7, dtype=np.int32),
        "time_s": np.arange(7) / 30,
        "split": "train",
        "label_set": label_set,
    }
    labels = {"VA": TaskLabels.from_nan(np.array(va)), "AU": TaskLabels.from_nan(units)}
    moments = build_moments(7, keys, labels, LabelOrigin.HUMAN)
    every = np.ones(7, bool)
    rows = label_rows(moments, every, TASKS, drop_partial=False, drop_minus_one=drop_minus_one)
    assert rows.moments.tolist() == ([3, 4, 5, 6] if drop_minus_one else list(range(7)))
