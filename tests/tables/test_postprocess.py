"""A table's form: what goes together, what is told of it, and tables in memory likewise."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import triaffect
from tests.tables.made_rows import cut, joined, made_rows
from triaffect.errors import TableError, TriaffectError
from triaffect.features.model_folder import file_hash
from triaffect.tables.metadata import about_run, column_notes
from triaffect.tables.postprocess import (
    PLAIN,
    TableForm,
    check_outputs,
    form_writer,
    formed,
    formed_schema,
)
from triaffect.tables.schema import to_pandas
from triaffect.tasks.registry import TASKS

FORMS = [
    PLAIN,
    TableForm.parse("causal"),
    TableForm.parse("centred:0.8s", "2s"),
    TableForm.parse(baseline="500ms"),
    TableForm.parse(columns="openface"),
    TableForm.parse(columns="pyfeat"),
]

PROBLEM = {"clip": "1.mp4", "state": "partial", "rows": 3, "problem": "cut off"}


@pytest.mark.parametrize("form", FORMS, ids=lambda form: str(form.options()))
def test_the_schema_is_known_beforehand_and_every_column_is_explained(form):
    raw = made_rows()
    schema = formed_schema(raw.schema, form, TASKS)
    table = joined(formed([raw], form, TASKS))
    assert table.schema.equals(schema)
    notes = column_notes(schema, form, TASKS)
    assert list(notes) == schema.names
    assert all(len(note) > 3 for note in notes.values())


def test_notes_say_how():
    schema = formed_schema(made_rows().schema, FORMS[2], TASKS)
    notes = column_notes(schema, FORMS[2], [task.with_thresholds({"AU1": 0.3}) for task in TASKS])
    assert "present from 0.3" in notes["AU1"]
    assert "centred:0.8s" in notes["valence_smooth"]
    assert "first 2 s" in notes["AU1_above_own"]


def test_notes_say_of_what_other_programs_columns_are_made():
    form, strict = FORMS[4], [task.with_thresholds({"AU1": 0.3}) for task in TASKS]
    notes = column_notes(formed_schema(made_rows().schema, form, TASKS), form, strict)
    assert notes["AU01_c"] == "OpenFace 2's; our AU1, 1 from 0.3 on, else 0"
    assert notes["frame"] == "OpenFace 2's; our frame, counted from 1"
    assert notes["timestamp"] == "OpenFace 2's; our time_s"
    assert notes["clip"] == "the path as given"


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_table_and_summary_are_written_and_described(tmp_path, name, model):
    output, summary = tmp_path / name, tmp_path / f"sum_{name}"
    form = TableForm.parse("causal", "1s", None, summary)
    clips = [made_rows(30, seed=k, clip=f"{k}.mp4") for k in range(2)]
    about = about_run(model, {"sound": True, **form.options()}, TASKS, [PROBLEM])
    with form_writer(output, clips[0].schema, form, TASKS, about) as add:
        for clip in clips:
            add(lambda clip=clip: iter(cut(clip, {3, 7})))
    expected = to_pandas(joined(formed(clips, form, TASKS)))
    pd.testing.assert_frame_equal(read(output), expected, check_dtype=False)
    expected = triaffect.summarize(joined(clips).to_pandas())
    pd.testing.assert_frame_equal(read(summary), expected, check_dtype=False, atol=2e-6)
    for path in (output, summary):
        told = told_of(path)
        assert told["model"]["name"] == "tiny"
        assert told["model"]["sha256"] == file_hash(model / "model.json")
        assert told["model"]["licence"] == "Apache-2.0"
        assert told["version"] == triaffect.__version__
        assert told["options"] == {
            "sound": True,
            "smooth": "causal:0.3s",
            "baseline_s": 1.0,
            "columns": "triaffect",
        }
        assert told["thresholds"]["AU12"] == 0.5
        assert told["problems"] == [PROBLEM]
    assert "causal:0.3s" in told_of(output)["columns"]["valence_smooth"]


def read(path):
    if path.suffix == ".jsonl":
        table = pd.read_json(path, lines=True)
    else:
        table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    return table.astype({"face_id": "Int64"})


def told_of(path):
    if path.suffix == ".parquet":
        return json.loads(pa.parquet.read_schema(path).metadata[b"triaffect"])
    return json.loads(path.with_name(path.name + ".meta.json").read_text("utf-8"))


def fail_half_way(output, form):
    with form_writer(output, made_rows().schema, form, TASKS, {}) as add:
        add(lambda: [made_rows()])
        raise ZeroDivisionError


def test_a_failure_leaves_neither(tmp_path):
    form = TableForm(summary=tmp_path / "sum.csv")
    with pytest.raises(ZeroDivisionError):
        fail_half_way(tmp_path / "t.csv", form)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        ("t.csv", "same file"),
        ("./t.csv", "same file"),
        ("s.xlsx", ".jsonl"),
        ("file/s.csv", "a folder, got a file"),
    ],
)
def test_a_summary_that_cannot_be_written_is_refused(tmp_path, monkeypatch, summary, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(TriaffectError, match=words):
        check_outputs(tmp_path / "t.csv", TableForm.parse(summary=tmp_path / summary))


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
        TableForm.parse(**wrong)


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
