import numpy as np

from triaffect.samples.dataset import Rows, balanced
from triaffect.types import Targets


def test_rare_classes_weigh_more_and_the_mean_weight_stays():
    classes = np.array([0] * 80 + [1] * 20)
    values = np.eye(2, dtype=np.float32)[classes]
    valid = np.ones((100, 2), bool)
    valid[0] = False
    targets = {"EXPR": Targets(values, valid, np.ones(100, np.float32))}
    split, where = np.full(100, "train"), np.full(100, "EXPR")
    corpus = np.array(["a", "b"] * 50)
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
