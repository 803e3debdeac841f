"""Scoring a face model on FER+: which images count, and what is said of them."""

import json
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, recall_score

from tests.benchmarks.scripts import load
from tests.corpora.test_ferplus import COLUMNS, write
from tests.prediction.tiny_model import write_tiny_model
from tests.training.recipes import small
from tests.training.stores import crops_store
from triaffect.corpora.ferplus import read_arrays
from triaffect.tasks.expression import EXPRESSIONS
from triaffect.training.export import export_run
from triaffect.training.trainer import train

script, answers = load("score_ferplus"), load("class_scores")


def votes(**given):
    return np.array([given.get(name, 0) for name in COLUMNS])


@pytest.mark.parametrize(
    ("given", "label", "alone"),
    [
        ({"happiness": 10}, "happiness", "happiness"),
        ({"happiness": 5, "sadness": 5}, None, None),
        ({"happiness": 5, "sadness": 4, "fear": 1}, "happiness", "happiness"),
        ({"contempt": 6, "anger": 4}, "other", "other"),
        ({"unknown": 6, "anger": 4}, None, "anger"),
        ({"anger": 5, "unknown": 5}, None, "anger"),
        ({"anger": 5, "NF": 2, "fear": 3}, None, "anger"),
        ({"anger": 4, "NF": 3, "fear": 3}, None, "anger"),
        (dict.fromkeys(COLUMNS, 1), None, None),
    ],
)
def test_who_has_a_strict_majority(given, label, alone):
    for emotions_alone, wanted in ((False, label), (True, alone)):
        found = script.majority(votes(**given)[None], COLUMNS, emotions_alone)
        assert found[0] == (EXPRESSIONS.index(wanted) if wanted else -1)


def plain_one_rater(many):
    """The same, vote by vote."""
    right = counted = 0
    for row in many:
        for own in range(len(COLUMNS)):
            for _ in range(row[own]):
                others = row.copy()
                others[own] -= 1
                label = script.majority(others[None], COLUMNS)[0]
                if label >= 0:
                    counted += 1
                    meant = {"contempt": "other"}.get(COLUMNS[own], COLUMNS[own])
                    right += meant == EXPRESSIONS[label]
    return right / counted


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=20)
def test_one_rater_as_vote_by_vote(seed):
    rng = np.random.default_rng(seed)
    many = rng.multinomial(10, rng.dirichlet(np.full(10, 0.3), 6))
    many[0] = votes(happiness=10)
    assert script.one_rater(many, COLUMNS) == pytest.approx(plain_one_rater(many))


def test_panels_agree_where_raters_do():
    clear = np.stack([votes(happiness=10), votes(contempt=10)])
    split = np.stack([votes(happiness=6, sadness=4)] * 400)
    rng = np.random.default_rng(0)
    assert script.ten_raters(clear, COLUMNS, rng) == 1
    assert 0.5 < script.ten_raters(split, COLUMNS, rng) < 0.8


def test_scores_are_those_of_another_program():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 8, 500)
    said = np.where(rng.random(500) < 0.6, truth, rng.integers(0, 8, 500))
    found = answers.scores(truth, said)
    wanted = {
        "accuracy": accuracy_score(truth, said),
        "macro_f1": f1_score(truth, said, average="macro"),
        "mean_recall": recall_score(truth, said, average="macro"),
    }
    for name, value in wanted.items():
        low, high = found[name]["interval"]
        assert found[name]["value"] == pytest.approx(value)
        assert low < value < high
    half = 1.96 * np.sqrt(wanted["accuracy"] * (1 - wanted["accuracy"]) / 500)
    assert found["accuracy"]["interval"] == pytest.approx(
        [wanted["accuracy"] - half, wanted["accuracy"] + half], abs=0.008
    )
    assert np.sum(found["confusion"]) == found["n"] == 500
    assert found["classes"]["anger"]["recall"] == pytest.approx(
        recall_score(truth, said, labels=[EXPRESSIONS.index("anger")], average="macro")
    )


@pytest.fixture
def ferplus(tmp_path):
    given = [{"happiness": 10}, {"sadness": 9}, {"anger": 5, "fear": 5}, {"fear": 8, "unknown": 2}]
    rows = [(40 * k, each, "PublicTest") for k, each in enumerate(given)]
    write(tmp_path, [*rows, (250, {"fear": 10}, "Training")])
    return tmp_path


def test_every_image_of_the_split_is_asked_about(ferplus):
    asked = []

    def happy(crops):
        asked.append(crops.shape)
        return np.tile(np.eye(8)[EXPRESSIONS.index("happiness")], (len(crops), 1))

    arrays = read_arrays(ferplus / "ferplus.npz")
    found = script.evaluate(happy, arrays, script.rows_of(ferplus, arrays, script.TEST))
    assert asked == [(4, 112, 112, 3)]
    assert (found["images"], found["n"]) == (4, 3)
    assert found["accuracy"]["value"] == pytest.approx(1 / 3)
    json.dumps(found)


def test_a_model_folder_and_a_face_run_are_asked(ferplus, tmp_path, monkeypatch, capsys):
    torch.set_num_threads(1)
    store = crops_store(tmp_path / "store", rows=40)
    run = train(
        small("light_face", "data.held_out=0", "face.epochs=1", "net.attention=channel"),
        store,
        tmp_path / "run",
    )
    export_run(run, store)
    for model in (write_tiny_model(tmp_path / "tiny"), run.root):
        crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3)).astype(np.uint8)
        said = script.answers_of(str(model))(crops)
        assert said.shape == (3, 8)
        np.testing.assert_allclose(said.sum(1), 1, atol=1e-4)
        told = tmp_path / "told.json"
        monkeypatch.setattr(sys, "argv", ["x", str(model), str(ferplus), "--json", str(told)])
        script.main()
        assert "3 of 4 images" in capsys.readouterr().out
        assert json.loads(told.read_text())["n"] == 3
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "nothing"), str(ferplus)])
    with pytest.raises(SystemExit, match="model folder"):
        script.main()
