"""Counting what a corpus holds, and the command that prints it."""

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.corpora.test_aff_wild2 import UNITS, crop, film, label, label_images
from triaffect.cli.app import app
from triaffect.corpora.corpus import open_corpus
from triaffect.corpora.survey import survey


@pytest.fixture
def folder(tmp_path):
    label(tmp_path, "VA", "Train_Set", "v1", "0.5,-0.5", "-0.5,-5", "-5,-5")
    label(tmp_path, "EXPR", "Train_Set", "v1", "4", "4", "0", "-1")
    label_images(tmp_path, "validation_set.txt", f"v2/00001.jpg,0,0,3,{UNITS}")
    crop(tmp_path, "v1", 1, 2, 3)
    film(tmp_path / "v1.mp4")
    return tmp_path


def run(folder):
    return CliRunner().invoke(app, ["corpus", "check", str(folder)])


def test_counts(folder):
    seen = []
    found = survey(open_corpus(folder), lambda *told: seen.append(told))
    assert seen == [(1, 2, "aff_wild2/v1"), (2, 2, "aff_wild2/v2")]
    assert dict(found.rows) == {
        ("VA", "train"): 2,
        ("EXPR", "train"): 3,
        ("MTL", "validation"): 1,
    }
    assert found.annotated["VA", "train"] == 1
    assert found.annotated["AU", "validation"] == 0  # one unit is missing
    assert found.columns["p_happiness", "train"].total == 2
    assert found.columns["p_happiness", "train"].mean == 2 / 3
    assert found.columns["AU2", "validation"].mean == 1
    assert found.columns["AU26", "validation"].count == 0
    valence = found.columns["valence", "train"]
    assert (valence.count, valence.mean) == (2, 0)
    assert np.isclose(valence.deviation, 0.5)
    assert found.without_media == ["aff_wild2/v2"]
    assert found.without_sound == []
    assert found.shared_people == {}
    assert found.errors == []


def test_people_in_two_splits(folder):
    label_images(folder, "train_set.txt", f"v2/00002.jpg,0,0,3,{UNITS}")
    assert survey(open_corpus(folder)).shared_people == {"aff_wild2/v2": {"train", "validation"}}
    assert "people in more than one split (a leak): 1 (aff_wild2/v2)" in run(folder).stdout


def test_check_prints_what_there_is(folder):
    result = run(folder)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["VA", "2"] in lines
    assert ["VA", "1", "(20%)", "1", "(100%)"] in lines
    assert ["p_happiness", "2", "(66.7%)", "0", "(0.0%)"] in lines
    assert ["valence", "+0.00", "±", "0.50", "+0.00", "±", "0.00"] in lines
    assert "sources without images, video or sound to read: 1 (aff_wild2/v2)" in result.stdout
    assert "mistakes: 0" in result.stdout


def test_check_lists_every_broken_file_and_counts_the_rest(folder):
    first = label(folder, "AU", "Train_Set", "v3", UNITS, UNITS + ",1")
    second = label(folder, "EXPR", "Train_Set", "v4", "9")
    images = label_images(folder, "train_set.txt", f"../v5/00001.jpg,0,0,3,{UNITS}")
    (folder / "v6.mp4").write_bytes(b"no video")
    label(folder, "EXPR", "Train_Set", "v6", "1")
    result = run(folder)
    assert result.exit_code == 2
    wrong = [line for line in result.stderr.splitlines() if line.startswith("wrong: ")]
    assert len(wrong) == 4
    for place in (f"{first}:3:", f"{second}:2:", f"{images}:2:", f"{folder / 'v6.mp4'}:"):
        assert any(line.startswith(f"wrong: {place}") for line in wrong)
    assert ["VA", "2"] in [line.split() for line in result.stdout.splitlines()]
    assert "mistakes: 4" in result.stdout
