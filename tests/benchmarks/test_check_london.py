"""Posed faces: who is right, how sure that is, by whom; and pictures without a face."""

import json
import sys

import cv2
import numpy as np
import pandas as pd
import pytest
import skimage.io
from sklearn.metrics import roc_auc_score

from tests.benchmarks.scripts import load
from tests.prediction.tiny_model import portrait, write_tiny_model

script = load("check_london")


def picture(person, kind, said, happy, neutral, **outputs):
    blank = dict.fromkeys(script.AREAS, np.nan if said == script.NO_FACE else 0.5)
    probabilities = {"p_happiness": happy, "p_neutral": neutral}
    return {"person": person, "kind": kind, "said": said, **blank, **probabilities, **outputs}


@pytest.fixture
def table():
    """One person read rightly, one whose smile is missed, one without a face."""
    nan, none = np.nan, script.NO_FACE
    return pd.DataFrame(
        [
            picture("1", "neutral", "neutral", 0.1, 0.8, AU12=0.1),
            picture("1", "smiling", "happiness", 0.9, 0.1, AU12=0.9),
            picture("2", "neutral", "sadness", 0.1, 0.3, AU12=0.4),
            picture("2", "smiling", "neutral", 0.2, 0.7, AU12=0.3),
            picture("3", "neutral", none, nan, nan),
            picture("3", "smiling", none, nan, nan),
        ]
    )


def test_what_counts_as_right(table):
    judged = script.judged(table)
    assert judged["expression"].tolist() == [True, True, False, False, False, False]
    assert judged["smile"].tolist() == [True, True, True, False, False, False]


def test_shares_of_all_of_kinds_and_of_groups(table):
    people = {
        "1": {"gender": "female", "ethnicity": "black", "age": "18 to 24"},
        "2": {"gender": "male", "ethnicity": "black", "age": "18 to 24"},
    }
    found = script.evaluate(table, people)
    assert (found["pictures"], found["faces"], found["all"]["people"]) == (6, 4, 3)
    assert found["all"]["expression"]["value"] == pytest.approx(2 / 6)
    assert found["all"]["smile"]["value"] == pytest.approx(3 / 6)
    assert found["kinds"]["neutral"]["smile"]["value"] == pytest.approx(2 / 3)
    assert found["said"]["smiling"] == {"happiness": 1, "neutral": 1, script.NO_FACE: 1}
    genders = found["groups"]["gender"]
    assert {name: each["people"] for name, each in genders.items()} == {
        "female": 1,
        "male": 1,
        "not told": 1,
    }
    assert genders["female"]["expression"]["value"] == 1
    assert found["groups"]["ethnicity"]["black"]["smile"]["value"] == pytest.approx(3 / 4)
    json.dumps(found)
    text = "\n".join(script.told(found))
    assert "groups are small" in text
    assert "said of smiling: happiness 1, neutral 1, no face 1" in text


@pytest.mark.parametrize(("right", "people"), [(34, 34), (0, 2), (20, 34), (1, 2)])
def test_an_interval_has_width_and_holds_the_share(right, people):
    flags = pd.Series([True] * right + [False] * (people - right))
    found = script.share(flags, people)
    low, high = found["interval"]
    assert 0 <= low <= found["value"] <= high <= 1
    assert high - low > 0.09
    # Wilson's interval is where the score test does not refuse the share
    for end in (low, high):
        if 0 < end < 1:
            spread = np.sqrt(end * (1 - end) / people)
            assert abs(found["value"] - end) / spread == pytest.approx(1.96, rel=1e-6)


def test_the_area_is_that_of_another_program():
    random = np.random.default_rng(0)
    smiling, neutral = random.normal(1, 1, 40).round(1), random.normal(0, 1, 40).round(1)
    found = script.area(smiling, neutral)
    truth = np.repeat([1, 0], 40)
    wanted = roc_auc_score(truth, np.concatenate([smiling, neutral]))
    assert found["value"] == pytest.approx(wanted)
    assert found["interval"][0] < wanted < found["interval"][1]
    assert found["pairs"] == (smiling > neutral).sum()


def test_a_face_that_is_not_found_is_the_worst_value():
    found = script.area(np.array([np.nan, 2.0]), np.array([0.0, np.nan]))
    assert found["value"] == pytest.approx(1 / 4)
    assert found["pairs"] == 0


@pytest.mark.parametrize(
    ("age", "band"),
    [("24", "18 to 24"), ("25", "25 to 29"), ("47", "30 and over"), ("not told", "not told")],
)
def test_ages_have_bands(age, band):
    assert script.age_band(age) == band


def test_pictures_are_predicted_as_a_users(tmp_path, monkeypatch, capsys):
    for name in ("001_neutral", "001_smiling", "002_neutral"):
        skimage.io.imsave(tmp_path / f"{name}.jpg", portrait())
    cv2.imwrite(str(tmp_path / "002_smiling.jpg"), np.full((120, 160, 3), 90, np.uint8))
    lines = "face_id,face_age,face_gender,face_eth\n001,24,female,white\n002,NA,male,white\n"
    (tmp_path / "people.csv").write_text(lines)
    model, told = write_tiny_model(tmp_path / "tiny"), tmp_path / "told.json"
    line = ["x", str(tmp_path), "--model", str(model), "--json", str(told)]
    monkeypatch.setattr(sys, "argv", line)
    script.main()
    assert "2 people, 4 pictures, a face found in 3" in capsys.readouterr().out
    found = json.loads(told.read_text())
    assert found["said"]["smiling"][script.NO_FACE] == 1
    assert found["groups"]["age"].keys() == {"18 to 24", "not told"}
    monkeypatch.setattr(sys, "argv", ["x", str(model), "--model", str(model)])
    with pytest.raises(SystemExit, match="smiling"):
        script.main()
