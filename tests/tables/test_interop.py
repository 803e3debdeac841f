"""Other programs' column names: theirs only, in their form, and only what means the same."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import triaffect
from tests.tables.made_rows import made_rows
from tests.tasks.toy import PAIN
from triaffect.errors import TableError
from triaffect.tables.interop import PROGRAMS, describe_columns, rename_columns
from triaffect.tables.postprocess import Postprocessing
from triaffect.tables.schema import with_columns
from triaffect.tasks.registry import TASKS

OPENFACE_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 28, 45)
OPENFACE = {
    *("frame", "face_id", "timestamp", "confidence", "success"),
    *(f"{axis}_{number}" for axis in "xy" for number in range(68)),
    *(f"AU{number:02d}_c" for number in OPENFACE_UNITS),
}
PYFEAT_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43)
PYFEAT = {
    *("input", "frame", "valence", "arousal"),
    *("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"),
    *("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"),
    *(f"{axis}_{number}" for axis in "xy" for number in range(68)),
    *(f"AU{number:02d}" for number in PYFEAT_UNITS),
}
THRESHOLDS = {"AU1": 0.8, "AU25": 0.2}


def test_openface_names_and_values():
    raw = made_rows(80)
    strict = [task.with_thresholds(THRESHOLDS) for task in TASKS]
    told = rename_columns(raw, "openface", strict)
    assert set(told.column_names) - OPENFACE == {"clip"}
    assert not [name for name in told.column_names if name.endswith("_r")]
    told, raw = told.to_pandas(), raw.to_pandas()
    assert (told["frame"] == raw["frame"] + 1).all()
    assert (told["timestamp"] == raw["time_s"]).all()
    assert (told["success"] == raw["face_seen"].astype(int)).all()
    pd.testing.assert_series_equal(told["confidence"], raw["detection"], check_names=False)
    for unit in (1, 12, 25):
        ours = raw[f"AU{unit}"]
        present = (ours >= THRESHOLDS.get(f"AU{unit}", 0.5)).astype(float).where(ours.notna())
        pd.testing.assert_series_equal(told[f"AU{unit:02d}_c"], present, check_names=False)
    assert sum(name.endswith("_c") for name in told.columns) == 11


def test_pyfeat_names_and_values():
    raw = made_rows(80)
    told = rename_columns(raw, "pyfeat", TASKS)
    assert set(told.column_names) - PYFEAT == {"time_s", "face_id"}
    same = {
        "FaceRectX": "box_x",
        "FaceRectY": "box_y",
        "FaceRectWidth": "box_w",
        "FaceRectHeight": "box_h",
        "FaceScore": "detection",
        "AU01": "AU1",
        "AU24": "AU24",
        "happiness": "p_happiness",
        "neutral": "p_neutral",
        "arousal": "arousal",
        "input": "clip",
        "frame": "frame",
        "face_id": "face_id",
        "time_s": "time_s",
    }
    for theirs, ours in same.items():
        assert told[theirs].equals(raw[ours]), theirs
    assert sum(name.startswith("AU") for name in told.column_names) == 12


@pytest.mark.parametrize("program", PROGRAMS)
def test_landmarks_are_told_where_there_are_some(program):
    points = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
    ours = {f"{point}_{axis}": k for k, point in enumerate(points) for axis in "xy"}
    raw = made_rows(20).drop_columns(list(ours))
    assert "x_30" not in rename_columns(raw, program, TASKS).column_names
    seen = with_columns(raw, {name: pa.array(np.full(len(raw), k)) for name, k in ours.items()})
    told = rename_columns(seen, program, TASKS)
    for number, k in ((30, 2), (48, 3), (54, 4)):
        assert set(told[f"x_{number}"].to_pylist()) == set(told[f"y_{number}"].to_pylist()) == {k}
    assert len(told.column_names) == len(rename_columns(raw, program, TASKS).column_names) + 6
    assert set(told.column_names) == {*describe_columns(program, TASKS), *PROGRAMS[program].own}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_task_that_they_do_not_have_is_left_out(program):
    four = (*TASKS, PAIN)
    assert rename_columns(made_rows(tasks=four), program, four).column_names == (
        rename_columns(made_rows(), program, TASKS).column_names
    )


def test_a_table_in_memory_is_renamed_likewise():
    frame = made_rows(40).to_pandas()
    told = triaffect.to_openface(frame, {"AU12": 0.9})
    assert told["AU12_c"].sum() == (frame["AU12"] >= 0.9).sum()
    with pytest.raises(TableError, match="expected one of openface, pyfeat"):
        Postprocessing.parse(columns="openpose")
