"""The sheet of mistakes: which faces are on it, what stands under them, where it may lie."""

import sys

import cv2
import numpy as np
import pandas as pd
import pytest

from tests.architecture.repository import ROOT
from tests.benchmarks.scripts import load
from tests.corpora.test_ferplus import COLUMNS, write
from tests.prediction.tiny_model import portrait, write_tiny_model
from triaffect.tasks.expression import EXPRESSIONS

script, labels = load("failures"), load("fit_label_mappings")
OPENFACE, BLENDSHAPES = labels.OPENFACE, labels.BLENDSHAPES
NEUTRAL, ANGER = EXPRESSIONS.index("neutral"), EXPRESSIONS.index("anger")


def sure(said, probability):
    answer = np.full(8, (1 - probability) / 7)
    answer[said] = probability
    return answer


@pytest.fixture
def asked():
    """Three neutral faces: taken for anger surely and less surely, and rightly."""
    votes = np.zeros((3, 10), np.int64)
    votes[:, COLUMNS.index("neutral")], votes[:, COLUMNS.index("unknown")] = 7, 3
    answers = np.stack([sure(ANGER, 0.5), sure(ANGER, 0.9), sure(NEUTRAL, 0.4)])
    images = np.full((3, 48, 48), 90, np.uint8)
    return script.ScoredFaces(images, votes, COLUMNS, np.full(3, NEUTRAL), answers)


def test_the_surest_mistakes_come_first_and_the_least_sure_right_ones_after(asked):
    found = [(heading, rows.tolist()) for heading, rows in script.chosen_rows(asked, 5)]
    assert found == [
        ("neutral, taken for anger: the surest of 2", [1, 0]),
        ("neutral, rightly: the least sure of 1", [2]),
    ]


def test_what_stands_under_a_face(asked):
    assert script.caption(asked, 1) == ("anger 0.90", "neutral 0.01", "7ne 3?")
    assert script.caption(asked, 2) == ("neutral 0.40", "", "7ne 3?")


def test_the_sheet_is_a_picture(asked):
    sheet = script.sheet(script.expression_sections(asked, 5))
    assert sheet.shape == (
        2 * (script.HEADING_H + script.TILE_H),
        script.ACROSS * script.TILE_W,
        3,
    )
    assert sheet.min() < 50


@pytest.mark.parametrize("place", ["sheet.png", "runs/sheet.png", "docs/images/sheet.png"])
def test_nothing_is_written_inside_the_repository(place):
    with pytest.raises(SystemExit, match="may be committed"):
        script.place(ROOT / place)


def test_main_writes_a_sheet_of_a_model(tmp_path, monkeypatch, capsys):
    write(tmp_path, [(60, {"happiness": 10}, "PublicTest"), (90, {"anger": 9}, "PublicTest")])
    model, out = write_tiny_model(tmp_path / "tiny"), tmp_path / "sheet.png"
    monkeypatch.setattr(
        sys, "argv", ["x", "expressions", str(tmp_path), str(out), "--model", str(model)]
    )
    script.main()
    assert "2 images, " in capsys.readouterr().out
    assert cv2.imread(str(out)).shape[1] == script.ACROSS * script.TILE_W
    with pytest.raises(SystemExit, match=r"\.png"):
        script.place(tmp_path / "sheet.txt")


def test_units_show_whom_the_model_and_the_programs_read_most_differently(tmp_path, monkeypatch):
    folder = tmp_path / "faces" / "lfw"
    (tmp_path / "teachers").mkdir()
    folder.mkdir(parents=True)
    people = [name for name in map(str, range(60)) if script.is_test(name, 0.2)]
    clips = [f"{name}.png" for name in people]
    for clip in clips:
        cv2.imwrite(str(folder / clip), cv2.cvtColor(portrait(), cv2.COLOR_RGB2BGR))
    table = pd.DataFrame({"clip": clips, "person": people})
    table.to_csv(folder / "labels.csv", index=False)
    values = np.random.default_rng(0).random((len(clips), 1))
    for program, mapping in (("openface", OPENFACE), ("blendshapes", BLENDSHAPES)):
        columns = sorted({column for each in mapping.values() for column in each})
        made = pd.DataFrame(np.tile(values, (1, len(columns))), columns=columns)
        made.insert(0, "clip", clips)
        made.to_csv(tmp_path / "teachers" / f"lfw.{program}.csv", index=False)
    read = pd.DataFrame(0.5, index=clips, columns=list(script.ACTION_UNITS.columns))
    read.loc[clips[-1]] = 0.99
    monkeypatch.setattr(script, "predict", lambda *_: read)
    monkeypatch.setattr(script.triaffect, "load", lambda model: model)
    sections = dict(script.unit_sections(script.DEFAULT, tmp_path))
    assert len(sections) == 24
    first = sections["AU1: the model says more than the programs"][0]
    assert first.lines[0] == f"model {np.sqrt(len(clips) - 1):+.1f}"  # all but one are alike


def test_an_output_that_is_blank_has_no_score():
    faces, blank, rated = load("score_real_faces"), np.full(5, np.nan), np.arange(5.0)
    assert np.isnan(faces.partial(blank, rated, rated[::-1].copy()))
    assert np.isnan(faces.concordance(blank, rated))
    assert faces.concordance(rated, rated) == 1.0
