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
        ("t.csv", "two outputs of one name"),
        ("./t.csv", "two outputs of one name"),
        ("x/../t.csv", "two outputs of one name"),
        ("link.csv", "two outputs of one name"),
        ("s.ods", ".jsonl"),
        ("file/s.csv", "a folder, got a file"),
    ],
)
def test_a_summary_that_cannot_be_written_is_refused(tmp_path, monkeypatch, summary, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "x").mkdir()
    (tmp_path / "link.csv").symlink_to("t.csv")
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


COMPUTED = [
    triaffect.smooth,
    lambda table: triaffect.smooth(table, "centred:0.8s"),
    lambda table: triaffect.subtract_baseline(table, "2s"),
    triaffect.to_openface,
    triaffect.to_pyfeat,
]


def two_clips():
    clips = [made_rows(30, seed=k, clip=name) for k, name in enumerate(("a.mp4", "b.mp4"))]
    return joined(clips).to_pandas()


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_changes_no_number(seed):
    """As of a table sorted by face, or shuffled; rows stay where they are, with their index."""
    table = two_clips()
    by_face = table.sort_values(["face_id", "clip", "time_s"])
    for moved in (by_face, table.sample(frac=1, random_state=seed)):
        summary = triaffect.summarize(moved).sort_values(["clip", "face_id"], ignore_index=True)
        pd.testing.assert_frame_equal(
            summary, triaffect.summarize(table).sort_values(["clip", "face_id"], ignore_index=True)
        )
        for compute in COMPUTED:
            result = compute(moved)
            assert result.index.equals(moved.index)
            pd.testing.assert_frame_equal(result.sort_index(), compute(table))


def test_recordings_of_one_name_after_another_are_not_mixed():
    table = made_rows(30).to_pandas()
    twice = pd.concat([table, table], ignore_index=True)
    once = triaffect.smooth(table)
    pd.testing.assert_frame_equal(
        triaffect.smooth(twice), pd.concat([once, once], ignore_index=True)
    )
    assert len(triaffect.summarize(twice)) == 2 * len(triaffect.summarize(table))


def test_a_table_without_rows_stays_one():
    none = two_clips().iloc[:0]
    for compute in COMPUTED:
        assert list(compute(none).columns) == list(compute(two_clips()).columns)
        assert len(compute(none)) == 0
    assert len(triaffect.summarize(none)) == 0
