"""A folder of the form of Aff-Wild2 as sources, moments and images."""

import logging
import pickle
import shutil

import cv2
import numpy as np
import pytest

from triaffect.corpora.aff_wild2 import AffWild2
from triaffect.corpora.aff_wild2_files import MULTI_TASK_FORMAT, SINGLE_TASK_FORMATS
from triaffect.corpora.base import open_corpus
from triaffect.errors import AnnotationError, MediaError
from triaffect.media.writer import write_video
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION, EXPRESSIONS
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL

UNITS = "0,1,0,1,0,1,0,1,0,1,0,-1"
FOLDERS = {
    "VA": "VA_Estimation_Challenge",
    "EXPR": "EXPR_Classification_Challenge",
    "AU": "AU_Detection_Challenge",
}


def label(root, key, split, video, *lines, folder=None):
    path = root / (folder or FOLDERS[key]) / split / f"{video}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([SINGLE_TASK_FORMATS[key].header, *lines]) + "\n")
    return path


def label_images(root, name, *lines):
    path = root / "MTL_Challenge" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([MULTI_TASK_FORMAT.header, *lines]) + "\n")
    return path


def crop(root, video, *numbers):
    folder = root / "cropped_aligned" / video
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        red = np.zeros((112, 112, 3), np.uint8)
        red[..., 2] = 200  # OpenCV writes blue, green, red
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), red)


def film(path, rate=25.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, [np.zeros((32, 32, 3), np.uint8)] * 5, rate)


def source_named(corpus, name):
    (source,) = [s for s in corpus.sources() if s.source_id == f"aff_wild2/{name}"]
    return source


def rows(corpus, name):
    return corpus.moments(source_named(corpus, name)).table.to_pandas()


def test_single_task_labels(tmp_path):
    label(tmp_path, "VA", "Train_Set", "v1", "0.5,-0.5", "-5,-5", "0.25,-5")
    label(tmp_path, "EXPR", "Validation_Set", "v1", "-1", "4")
    label(tmp_path, "AU", "Test_Set", "v1", UNITS)
    table = rows(AffWild2(tmp_path), "v1")
    assert table["label_set"].tolist() == ["VA", "VA", "EXPR", "AU"]
    assert table["split"].tolist() == ["train", "train", "validation", "test"]
    assert table["frame"].tolist() == [0, 2, 1, 0]
    assert np.allclose(table["time_s"], table["frame"] / 30)
    assert table["valence"].tolist()[:2] == [0.5, 0.25]
    assert table["arousal"].isna().tolist() == [False, True, True, True]
    assert table["p_happiness"].tolist()[2] == 1
    assert table["p_neutral"].tolist()[2] == 0
    assert table["AU2"].tolist()[3] == 1
    assert np.isnan(table["AU26"].tolist()[3])
    assert table["VA_origin"].fillna("").tolist() == ["human", "human", "", ""]
    assert table["AU_weight"].isna().tolist() == [True, True, True, False]
    assert set(table["person"]) == {"aff_wild2/v1"}


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        ("train_set.txt", "validation_set.txt"),
        ("training_set_annotations.txt", "validation_set_annotations.txt"),
    ],
)
def test_multi_task_labels(tmp_path, train, validation):
    label_images(
        tmp_path,
        train,
        f"v2/00003.jpg,-5,-5,2,{UNITS}",
        f"v1/00010.jpg,0.5,0.25,-1,{UNITS}",
        f"v1/00001.jpg,-5,-5,-1,{','.join(['-1'] * 12)}",
        f"v2/00001.jpg,0,0,0,{UNITS}",
    )
    label_images(tmp_path, validation, f"v3/00001.jpg,0,0,7,{UNITS}")
    label_images(tmp_path, "test_set_annotations.txt", f"v4/00001.jpg,0,0,7,{UNITS}")
    corpus = AffWild2(tmp_path)
    v1, v2 = rows(corpus, "v1"), rows(corpus, "v2")
    assert v1["frame"].tolist() == [9]  # the row without a label is none
    assert v1["valence"].tolist() == [0.5]
    assert v1[[f"p_{name}" for name in EXPRESSIONS]].isna().all(axis=None)
    assert v2["frame"].tolist() == [0, 2]
    assert v2["p_disgust"].tolist() == [0, 1]
    assert set(v2["label_set"]) == {"MTL"}
    assert rows(corpus, "v3")["split"].tolist() == ["validation"]
    assert rows(corpus, "v4")["split"].tolist() == ["test"]
    assert corpus.problems() == []


def test_targets_hold_no_codes(tmp_path):
    label(tmp_path, "VA", "Train_Set", "v1", "0.5,-5.0", "-1.0,1")
    label_images(tmp_path, "train_set.txt", f"v1/00003.jpg,-5,-5,-1.0,{UNITS}")
    corpus = AffWild2(tmp_path)
    moments = corpus.moments(corpus.sources()[0])
    va = moments.targets("VA", VALENCE_AROUSAL.columns)
    assert va.valid.tolist() == [[True, False], [True, True], [False, False]]
    assert va.values.min() == -1  # a true -1 is kept
    assert not moments.targets("EXPR", EXPRESSION.columns).valid.any()
    assert moments.targets("AU", ACTION_UNITS.columns).values.min() == 0


def test_the_older_name_of_the_expression_folder(tmp_path):
    label(tmp_path, "EXPR", "Train_Set", "v1", "3", folder="EXPR_Recognition_Challenge")
    assert rows(AffWild2(tmp_path), "v1")["p_fear"].tolist() == [1]


def test_annotations_one_folder_below(tmp_path):
    label(tmp_path / "annotations", "VA", "Train_Set", "v1", "0,0")
    label_images(tmp_path / "annotations", "train_set.txt", f"v2/00003.jpg,-5,-5,2,{UNITS}")
    ids = [source.source_id for source in open_corpus(tmp_path).sources()]
    assert ids == ["aff_wild2/v1", "aff_wild2/v2"]


def test_a_set_given_twice_is_told(tmp_path):
    label(tmp_path, "EXPR", "Train_Set", "v1", "3")
    label(tmp_path, "EXPR", "Train_Set", "v1", "4", folder="EXPR_Recognition_Challenge")
    label_images(tmp_path, "train_set.txt", f"v2/00003.jpg,-5,-5,2,{UNITS}")
    label_images(tmp_path, "training_set_annotations.txt", f"v2/00003.jpg,-5,-5,2,{UNITS}")
    corpus = AffWild2(tmp_path)
    assert len(corpus.problems()) == 2
    assert rows(corpus, "v1")["p_fear"].tolist() == [1]
    assert len(rows(corpus, "v2")) == 1


def test_images_are_numbered_from_0_with_gaps(tmp_path):
    crop(tmp_path, "v1", 2, 5, 10)
    (tmp_path / "cropped_aligned" / "v1" / "notes.txt").write_text("no image")
    corpus = AffWild2(tmp_path)
    assert corpus.aligned
    images = list(corpus.images(source_named(corpus, "v1")))
    assert [frame for frame, _ in images] == [1, 4, 9]
    assert images[0][1].shape == (112, 112, 3)
    assert images[0][1][50, 50, 0] > 150  # red first
    assert len(rows(corpus, "v1")) == 0


def test_a_broken_crop_is_as_if_not_there(tmp_path, caplog):
    crop(tmp_path, "v1", 1, 2, 3)
    (tmp_path / "cropped_aligned" / "v1" / "00002.jpg").write_bytes(b"no picture")
    corpus = AffWild2(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert [frame for frame, _ in corpus.images(corpus.sources()[0])] == [0, 2]
    assert "00002.jpg" in caplog.text


def test_more_and_fewer_lines_than_images_are_fine(tmp_path):
    crop(tmp_path, "v1", 1, 2)
    crop(tmp_path, "v2", 1, 2, 3)
    label(tmp_path, "EXPR", "Train_Set", "v1", "3", "3", "3")
    label(tmp_path, "EXPR", "Train_Set", "v2", "3")
    corpus = AffWild2(tmp_path)
    assert rows(corpus, "v1")["frame"].tolist() == [0, 1, 2]
    assert rows(corpus, "v2")["frame"].tolist() == [0]


@pytest.mark.parametrize("folder", [".", "videos", "batch1", "new_vids"])
def test_the_raw_video_gives_sound_and_rate(tmp_path, folder):
    film(tmp_path / folder / "v1.mp4", rate=25)
    label(tmp_path, "EXPR", "Train_Set", "v1", "3", "3")
    corpus = AffWild2(tmp_path)
    source = source_named(corpus, "v1")
    assert source.sound == source.video
    assert source.video.samefile(tmp_path / folder / "v1.mp4")
    assert np.isclose(corpus.frame_rate(source), 25)
    assert np.allclose(rows(corpus, "v1")["time_s"], [0, 1 / 25])


def test_twins_are_two_people_with_one_sound(tmp_path):
    film(tmp_path / "videos" / "v1.mp4")
    film(tmp_path / "videos" / "v2_left.mp4")
    for name in ("v1_left", "v1_right", "v2_left"):
        label(tmp_path, "EXPR", "Train_Set", name, "3")
    corpus = AffWild2(tmp_path)
    left, right, own = corpus.sources()
    assert left.sound == right.sound == tmp_path / "videos" / "v1.mp4"
    assert own.sound == tmp_path / "videos" / "v2_left.mp4"
    assert rows(corpus, "v1_left")["person"][0] != rows(corpus, "v1_right")["person"][0]


def test_a_video_that_does_not_open(tmp_path):
    (tmp_path / "v1.avi").write_bytes(b"not a video")
    label(tmp_path, "EXPR", "Train_Set", "v1", "3")
    corpus = AffWild2(tmp_path)
    with pytest.raises(MediaError, match=r"v1\.avi"):
        corpus.moments(corpus.sources()[0])


def test_one_broken_file_stops_only_its_video(tmp_path):
    path = label(tmp_path, "EXPR", "Train_Set", "v1", "3", "9")
    label(tmp_path, "EXPR", "Train_Set", "v2", "3")
    corpus = AffWild2(tmp_path)
    with pytest.raises(AnnotationError) as error:
        rows(corpus, "v1")
    assert error.value.where == f"{path}:3"
    assert len(rows(corpus, "v2")) == 1


def test_wrong_multi_task_lines_stop_only_their_videos(tmp_path):
    path = label_images(
        tmp_path,
        "train_set.txt",
        f"v1/00001.jpg,0,0,9,{UNITS}",
        f"v2/00001.jpg,0,0,1,{UNITS}",
        f"../v3/00001.jpg,0,0,1,{UNITS}",
    )
    corpus = AffWild2(tmp_path)
    with pytest.raises(AnnotationError, match="expression") as error:
        rows(corpus, "v1")
    assert error.value.where == f"{path}:2"
    assert len(rows(corpus, "v2")) == 1
    (problem,) = corpus.problems()
    assert problem.where == f"{path}:4"
    assert [source.source_id for source in corpus.sources()] == ["aff_wild2/v1", "aff_wild2/v2"]


def test_many_lines_that_name_no_video_are_one_problem(tmp_path):
    lines = [f"v1/0000{n}.jpg;0;0;1" for n in range(1, 6)]
    path = label_images(tmp_path, "train_set.txt", *lines)
    (problem,) = AffWild2(tmp_path).problems()
    assert problem.where == f"{path}:2"
    assert "4 more lines" in str(problem)


def test_a_multi_task_file_with_a_wrong_header_is_told(tmp_path):
    path = label_images(tmp_path, "train_set.txt", f"v1/00001.jpg,0,0,9,{UNITS}")
    path.write_text(path.read_text().replace("image,", "picture,"))
    label(tmp_path, "EXPR", "Train_Set", "v2", "3")
    corpus = AffWild2(tmp_path)
    (problem,) = corpus.problems()
    assert problem.where == f"{path}:1"
    assert len(rows(corpus, "v2")) == 1


def test_an_image_listed_twice(tmp_path):
    path = label_images(
        tmp_path,
        "train_set.txt",
        f"v1/00001.jpg,-5,0,1,{UNITS}",
        f"v1/00001.jpg,-5,0,1,{UNITS}",
        f"v2/00001.jpg,-5,0,1,{UNITS}",
        f"v2/00001.jpg,-5,0,2,{UNITS}",
    )
    corpus = AffWild2(tmp_path)
    assert len(rows(corpus, "v1")) == 1
    with pytest.raises(AnnotationError, match="line 4") as error:
        rows(corpus, "v2")
    assert error.value.where == f"{path}:5"


def test_a_rendered_corpus_says_so(tmp_path):
    (tmp_path / "SYNTHETIC.json").write_text("{}")
    label(tmp_path, "EXPR", "Train_Set", "v1", "3")
    assert rows(AffWild2(tmp_path), "v1")["EXPR_origin"].tolist() == ["rendered"]


def test_a_corpus_survives_being_sent_to_a_worker(tmp_path):
    label_images(tmp_path, "train_set.txt", f"v1/00001.jpg,0,0,1,{UNITS}")
    corpus = AffWild2(tmp_path)
    corpus.sources()
    assert len(rows(pickle.loads(pickle.dumps(corpus)), "v1")) == 1


def test_hidden_files_are_passed_over(tmp_path):
    path = label(tmp_path, "EXPR", "Train_Set", "v1", "3")
    shutil.copy(path, path.with_name("._v1.txt"))
    assert len(AffWild2(tmp_path).sources()) == 1


def test_lines_after_the_end_of_the_raw_video_are_left_out(tmp_path):
    """Nothing can be seen or heard then: such rows would be scored on what came before."""
    labels = tmp_path / "EXPR_Classification_Challenge" / "Validation_Set"
    labels.mkdir(parents=True)
    header = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other\n"
    (labels / "a.txt").write_text(header + "0\n" * 200)
    corpus = AffWild2(tmp_path)
    assert len(corpus.moments(corpus.sources()[0])) == 200, "without the video nobody knows"
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "a.mp4", [np.full((48, 64, 3), 90, np.uint8)] * 60, 30.0)
    corpus = AffWild2(tmp_path)
    assert 60 <= len(corpus.moments(corpus.sources()[0])) <= 75
