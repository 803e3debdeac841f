"""The text of the annotation files."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from triaffect.synthetic.annotations import Annotated, write_annotations
from triaffect.synthetic.labels import Labels
from triaffect.types import Split

LABELS = Labels(
    affect=np.array([[0.12345, -0.5], [-5, -5], [1, 0]]),
    expression=np.array([4, -1, 0]),
    units=np.array([[1] + [0] * 11, [-1] * 12, [0, -1] * 6]),
)
VIDEO = Annotated(
    name="1-30-320x240",
    split=Split.TRAIN,
    tasks=("VA", "EXPR", "AU"),
    single=LABELS,
    multi=LABELS,
    listed=np.array([True, False, True]),
    surplus=0,
)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_single_task_files(tmp_path: Path) -> None:
    write_annotations(tmp_path, [VIDEO])
    name = "Train_Set/1-30-320x240.txt"
    assert lines(tmp_path / "VA_Estimation_Challenge" / name) == [
        "valence,arousal", "0.123,-0.500", "-5,-5", "1.000,0.000",
    ]  # fmt: skip
    assert lines(tmp_path / "EXPR_Classification_Challenge" / name) == [
        "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other", "4", "-1", "0",
    ]  # fmt: skip
    units = lines(tmp_path / "AU_Detection_Challenge" / name)
    assert units[0] == "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
    assert units[2] == ",".join(["-1"] * 12)


def test_multi_task_file_lists_the_chosen_images(tmp_path: Path) -> None:
    write_annotations(tmp_path, [VIDEO])
    assert lines(tmp_path / "MTL_Challenge" / "training_set_annotations.txt") == [
        "image,valence,arousal,expression,aus",
        "1-30-320x240/00001.jpg,0.123,-0.500,4,1,0,0,0,0,0,0,0,0,0,0,0",
        "1-30-320x240/00003.jpg,1.000,0.000,0,0,-1,0,-1,0,-1,0,-1,0,-1,0,-1",
    ]


def test_surplus_lines_are_not_annotated_and_short_files_lose_their_end(tmp_path: Path) -> None:
    videos = [replace(VIDEO, name="long", surplus=2), replace(VIDEO, name="short", surplus=-1)]
    write_annotations(tmp_path, videos)
    folder = tmp_path / "EXPR_Classification_Challenge" / "Train_Set"
    assert lines(folder / "long.txt")[1:] == ["4", "-1", "0", "-1", "-1"]
    assert lines(folder / "short.txt")[1:] == ["4", "-1"]
    assert lines(tmp_path / "VA_Estimation_Challenge/Train_Set/long.txt")[-1] == "-5,-5"


def test_only_chosen_tasks_have_a_file(tmp_path: Path) -> None:
    write_annotations(tmp_path, [replace(VIDEO, tasks=("AU",))])
    assert [path.parts[-3] for path in tmp_path.glob("*/Train_Set/*.txt")] == [
        "AU_Detection_Challenge"
    ]
