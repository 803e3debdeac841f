"""Counting what a corpus's labels hold."""

import json

import numpy as np
import pytest

from tests.corpora.test_aff_wild2 import UNITS, crop, film, label, label_images
from triaffect.corpora.base import open_corpus
from triaffect.corpora.integrity import check_labels
from triaffect.corpora.rows import name_videos


@pytest.fixture
def folder(tmp_path):
    label(tmp_path, "VA", "Train_Set", "v1", "0.5,-0.5", "-0.5,-5", "-5,-5")
    label(tmp_path, "EXPR", "Train_Set", "v1", "4", "4", "0", "-1")
    label_images(tmp_path, "validation_set.txt", f"v2/00001.jpg,0,0,3,{UNITS}")
    crop(tmp_path, "v1", 1, 2, 3)
    film(tmp_path / "v1.mp4")
    return tmp_path


def test_counts(folder):
    seen = []
    found = check_labels(open_corpus(folder), lambda *told: seen.append(told))
    assert seen == [(1, 2, "aff_wild2/v1"), (2, 2, "aff_wild2/v2")]
    assert dict(found.rows) == {
        ("VA", "train"): 2,
        ("EXPR", "train"): 3,
        ("MTL", "validation"): 1,
    }
    assert found.annotated["VA", "train"] == 2
    assert found.complete["VA", "train"] == 1
    assert found.annotated["AU", "validation"] == 1
    assert found.complete["AU", "validation"] == 0  # one unit is missing
    assert found.columns["p_happiness", "train"].total == 2
    assert found.columns["p_happiness", "train"].mean == 2 / 3
    assert found.classes["p_happiness", "train"] == 2
    assert found.classes["p_fear", "validation"] == 1
    assert found.columns["AU2", "validation"].mean == 1
    assert found.columns["AU26", "validation"].count == 0
    valence = found.columns["valence", "train"]
    assert (valence.count, valence.mean) == (2, 0)
    assert np.isclose(valence.deviation, 0.5)
    assert found.without_media == ["aff_wild2/v2"]
    assert found.without_sound == []
    assert found.shared_people == found.shared_videos == {}
    assert found.errors == []


def test_combinations_of_tasks(tmp_path):
    none = ",".join(["-1"] * 12)
    label_images(
        tmp_path,
        "train_set.txt",
        f"v/00001.jpg,0,0,3,{UNITS}",
        f"v/00002.jpg,0,-5,3,{none}",
        f"v/00003.jpg,-5,-5,3,{none}",
        f"v/00004.jpg,-5,-5,4,{none}",
        f"v/00005.jpg,0.1,0.1,-1,{UNITS}",
    )
    label_images(tmp_path, "validation_set.txt", f"w/00001.jpg,0.1,0.1,-1,{none}")
    assert dict(check_labels(open_corpus(tmp_path)).together) == {
        (("VA", "EXPR", "AU"), "train"): 1,
        (("VA", "EXPR"), "train"): 1,
        (("EXPR",), "train"): 2,
        (("VA", "AU"), "train"): 1,
        (("VA",), "validation"): 1,
    }


def test_a_video_and_its_person_in_a_single_task_and_a_multi_task_split(folder):
    label_images(folder, "train_set.txt", f"v2/00002.jpg,0,0,3,{UNITS}")
    found = check_labels(open_corpus(folder))
    assert found.shared_people == {"aff_wild2/v2": ["train", "validation"]}
    assert found.shared_videos == {"aff_wild2/v2": ["train", "validation"]}


def test_twins_of_one_raw_video_in_two_splits(folder):
    label(folder, "VA", "Train_Set", "v3_left", "0.5,0.5")
    label(folder, "VA", "Test_Set", "v3_right", "0.5,0.5")
    assert check_labels(open_corpus(folder)).shared_videos == {}
    film(folder / "v3.mp4")
    found = check_labels(open_corpus(folder))
    assert found.shared_people == {}
    assert found.shared_videos == {"aff_wild2/v3_left + aff_wild2/v3_right": ["test", "train"]}


def test_pictures_are_no_video_and_need_no_sound(tmp_path):
    (tmp_path / "a.png").touch()
    rows = ["clip,frame,split,valence", "a.png,0,train,0.5", "a.png,0,test,0.5"]
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    found = check_labels(open_corpus(tmp_path))
    assert found.shared_people == {"table/a.png": ["test", "train"]}
    assert found.shared_videos == {}
    assert found.without_sound == []


def test_everything_can_be_written_as_json(folder):
    label(folder, "EXPR", "Train_Set", "v4", "9")
    found = json.loads(json.dumps(check_labels(open_corpus(folder)).to_json(), allow_nan=False))
    assert found["sources"] == {"images": 3}
    assert found["rows"]["EXPR"] == {"train": 3}
    assert found["annotated"]["VA"] == {"train": 2, "validation": 1}
    assert found["complete"]["VA"] == {"train": 1, "validation": 1}
    assert found["together"]["VA+EXPR+AU"] == {"validation": 1}
    assert found["labels"]["valence"]["train"] == {"count": 2, "mean": 0.0, "deviation": 0.5}
    assert "AU26" not in found["labels"]
    assert found["classes"]["p_happiness"] == {"train": 2}
    assert found["people"] == {"count": 2, "shared": {}, "alike": []}
    assert len(found["mistakes"]) == 1


def test_sources_that_share_a_file_are_one_video():
    files = {"a": "x.mp4", "b": None, "c": "y.mp4", "d": "x.mp4"}
    assert name_videos(files) == {"a": "a + d", "b": None, "c": "c", "d": "a + d"}
