"""A table's form: what goes together, what is told of it, and tables in memory likewise."""

import numpy as np
import pandas as pd
import pytest

import triaffect
from tests.tables.made_rows import joined, made_rows
from triaffect.errors import TableError, TriaffectError
from triaffect.tables.metadata import column_notes
from triaffect.tables.postprocess import (
    PLAIN,
    Postprocessing,
    check_outputs,
    postprocess,
    postprocess_schema,
)
from triaffect.tasks.registry import TASKS

FORMS = [
    PLAIN,
    Postprocessing.parse("causal"),
    Postprocessing.parse("centred:0.8s", "2s"),
    Postprocessing.parse(baseline="500ms"),
    Postprocessing.parse(columns="openface"),
    Postprocessing.parse(columns="pyfeat"),
]

PROBLEM = {"clip": "1.mp4", "state": "partial", "rows": 3, "problem": "cut off"}


@pytest.mark.parametrize("form", FORMS, ids=lambda form: str(form.options()))
def test_the_schema_is_known_beforehand_and_every_column_is_explained(form):
    raw = made_rows()
    schema = postprocess_schema(raw.schema, form, TASKS)
    table = joined(postprocess([raw], form, TASKS))
    assert table.schema.equals(schema)
    notes = column_notes(schema, form, TASKS)
    assert list(notes) == schema.names
    assert all(len(note) > 3 for note in notes.values())


def test_notes_say_how():
    schema = postprocess_schema(made_rows().schema, FORMS[2], TASKS)
    notes = column_notes(schema, FORMS[2], [task.with_thresholds({"AU1": 0.3}) for task in TASKS])
    assert "present from 0.3" in notes["AU1"]
    assert "centred:0.8s" in notes["valence_smooth"]
    assert "first 2 s" in notes["AU1_above_own"]


def test_notes_say_of_what_other_programs_columns_are_made():
    form, strict = FORMS[4], [task.with_thresholds({"AU1": 0.3}) for task in TASKS]
    notes = column_notes(postprocess_schema(made_rows().schema, form, TASKS), form, strict)
    assert notes["AU01_c"] == "OpenFace 2's; our AU1, 1 from 0.3 on, else 0"
    assert notes["frame"] == "OpenFace 2's; our frame, counted from 1"
    assert notes["timestamp"] == "OpenFace 2's; our time_s"
    assert notes["clip"] == "the path as given"


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        ("t.csv", "same file"),
        ("./t.csv", "same file"),
        ("s.ods", ".jsonl"),
        ("file/s.csv", "a folder, got a file"),
    ],
)
def test_a_summary_that_cannot_be_written_is_refused(tmp_path, monkeypatch, summary, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(TriaffectError, match=words):
        check_outputs(tmp_path / "t.csv", Postprocessing.parse(summary=tmp_path / summary))


@pytest.mark.parametrize(
    "wrong",
    [
        {"smooth": "sometimes"},
        {"baseline": "0s"},
        {"baseline": "an hour"},
        {"columns": "openpose"},
        {"columns": "openface", "smooth": "causal"},
        {"columns": "pyfeat", "baseline": 5},
    ],
)
def test_no_such_form(wrong):
    with pytest.raises(TableError):
        Postprocessing.parse(**wrong)


def test_tables_in_memory_keep_what_else_they_hold():
    frame = made_rows(30).to_pandas().assign(mine=1)
    assert triaffect.smooth(frame, "off") is frame
    told = triaffect.smooth(frame, "causal")
    assert (told["mine"] == 1).all()
    assert "valence_smooth" in told
    once = triaffect.smooth(frame, "causal:1s")
    pd.testing.assert_frame_equal(triaffect.smooth(told, "causal:1s")[once.columns], once)


def test_a_table_without_predictions_or_times_is_refused():
    frame = made_rows(5).to_pandas()
    for wrong in (frame[["clip", "time_s", "face_id"]], frame.drop(columns="time_s")):
        for call in (triaffect.smooth, triaffect.subtract_baseline, triaffect.summarize):
            with pytest.raises(TableError, match="expected a prediction table"):
                call(wrong)


def test_some_tasks_are_enough():
    frame = made_rows(20).to_pandas()[["clip", "time_s", "face_id", "valence", "arousal"]]
    told = triaffect.smooth(frame)
    assert list(told.columns)[5:] == ["valence_smooth", "arousal_smooth"]
    assert np.isfinite(told["valence_smooth"].dropna()).all()
