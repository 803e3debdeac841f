"""Measures of people in periods: shares, episodes, lengths, latencies; merged faces; baselines."""

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import triaffect
from tests.studies.made_study import plain_clip, smiles
from triaffect.studies.study import StudyWarning
from triaffect.tables.schema import to_pandas


def frame(*tables):
    return to_pandas(pa.concat_tables(tables))


def events(*rows):
    return pd.DataFrame(rows, columns=["clip", "start", "end", "name"])


def people(*rows, columns=("clip", "participant")):
    return pd.DataFrame(rows, columns=list(columns))


def test_an_event_has_share_episodes_length_and_latency_of_a_smile():
    table = frame(plain_clip("a.mp4", AU12=smiles((2.0, 3.0), (5.0, 5.5), (8.0, 9.0))))
    summary = triaffect.summarize(table, events=events(("a", 1.0, 7.0, "joke")))
    assert len(summary) == 1
    row = summary.iloc[0]
    assert row["smile_share"] == pytest.approx(1.5 / 6, abs=1e-6)
    assert row["smile_episodes"] == 2
    assert row["smile_per_min"] == pytest.approx(20)
    assert row["smile_mean_s"] == pytest.approx(0.75)
    assert row["smile_latency_s"] == pytest.approx(1.0)
    assert row["seconds"] == pytest.approx(6.0)
    assert row["AU12_share"] == row["smile_share"]


def test_an_event_between_two_rows_is_listed_with_blank_measures_and_warned_of():
    table = frame(plain_clip("a.mp4"))
    marked = events(("a", 1.0, 2.0, "rest"), ("a", 3.02, 3.08, "startle"))
    named = people(("a", "Anna"))
    for files in ({}, {"people": named}):
        with pytest.warns(StudyWarning, match=r"startle \(a.mp4, 3.02 to 3.08 s\)"):
            summary = triaffect.summarize(table, events=marked, **files)
        row = summary.iloc[1]
        assert (row["event"], row["start_s"], row["end_s"]) == ("startle", 3.02, 3.08)
        assert row["seconds"] == 0
        assert row.loc["valence_mean":].isna().all()
        with pytest.warns(StudyWarning, match="startle"):
            groups = triaffect.summarize(table, events=marked, by="event", **files)
        own = groups[groups["event"] == "startle"]
        assert len(own) == len(groups) / 2
        assert set(own["participants"]) == {0}
        assert own["mean"].isna().all()
    assert row["participant"] == "Anna"
    with pytest.warns(StudyWarning, match="startle"):
        only = triaffect.summarize(table, events=marked[1:], by="event", people=named)
    assert set(only["participants"]) == {0}


def test_an_event_never_lasts_longer_than_it_did():
    table = frame(plain_clip("a.mp4", AU12=smiles((2.0, 3.0))))
    marked = events(("a", 1.97, 2.13, "x"), ("a", 5.0, 5.2, "y"))
    summary = triaffect.summarize(table, events=marked)
    assert summary["seconds"].tolist() == pytest.approx([0.16, 0.2])
    assert summary["smile_share"].tolist() == [1, 0]
    assert summary["smile_per_min"].tolist() == pytest.approx([60 / 0.16, 0])


def test_an_event_without_a_row_does_not_thin_the_others_out():
    table = frame(plain_clip("a.mp4", AU12=smiles((2.0, 3.0))), plain_clip("b.mp4"))
    marked = events(("a", 1.5, 2.5, "joke"), ("b", 1.52, 1.58, "joke"))
    named = people(("a", "Anna"), ("b", "Anna"))
    with pytest.warns(StudyWarning, match="joke"):
        groups = triaffect.summarize(table, events=marked, by="event", people=named)
    own = groups.set_index("measure")
    assert own.loc["smile_episodes", ["participants", "clips", "mean"]].tolist() == [1, 1, 1]


def test_who_was_elsewhere_during_an_event_is_listed_if_named():
    first = plain_clip("a.mp4", 4.0).to_pandas()
    second = plain_clip("a.mp4", 4.0).to_pandas().assign(face_id=1)
    second["time_s"] += 4.0
    table = pd.concat([first, second], ignore_index=True)
    marked = events(("a", 1.0, 2.0, "early"))
    assert triaffect.summarize(table, events=marked)["face_id"].tolist() == [0]
    faces = ("clip", "face", "participant")
    named = people(("a", 0, "Anna"), ("a", 1, "Ben"), columns=faces)
    with pytest.warns(StudyWarning, match=r"without a row in an event .*: Ben in early \(a.mp4"):
        summary = triaffect.summarize(table, events=marked, people=named)
    assert summary["participant"].tolist() == ["Anna", "Ben"]
    assert summary["seconds"].tolist() == pytest.approx([1, 0])


def test_what_was_on_before_the_event_counts_for_the_share_alone():
    table = frame(plain_clip("a.mp4", AU12=smiles((1.0, 3.0))))
    row = triaffect.summarize(table, events=events(("a", 2.0, 4.0, "joke"))).iloc[0]
    assert row["smile_share"] == pytest.approx(0.5)
    assert row["smile_episodes"] == 0
    assert np.isnan(row["smile_latency_s"])
    assert np.isnan(row["smile_mean_s"])


def test_an_episode_that_begins_in_the_event_has_its_whole_length():
    table = frame(plain_clip("a.mp4", AU12=smiles((3.0, 7.0))))
    row = triaffect.summarize(table, events=events(("a", 2.0, 4.0, "joke"))).iloc[0]
    assert row["smile_mean_s"] == pytest.approx(4.0)


def test_a_brow_raise_needs_both_units():
    both = {"AU1": smiles((1.0, 5.0)), "AU2": smiles((3.0, 7.0))}
    row = triaffect.summarize(frame(plain_clip("a.mp4", **both)), events=events(("a", 0, 10, "x")))
    assert row["brow_raise_share"].item() == pytest.approx(0.2)
    assert row["AU1_share"].item() == pytest.approx(0.4)


def test_two_faces_of_one_name_are_one_person():
    first = plain_clip("a.mp4", 4.0, valence=lambda t: 0.2 + 0 * t).to_pandas()
    second = plain_clip("a.mp4", 4.0, valence=lambda t: 0.6 + 0 * t).to_pandas()
    second["time_s"] += 4.0
    second["face_id"] = 3
    table = pd.concat([first, second], ignore_index=True)
    faces = ("clip", "face", "participant")
    named = people(("a.mp4", 0, "Anna"), ("a.mp4", 3, "Anna"), columns=faces)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summary = triaffect.summarize(table, people=named)
    assert summary["face_id"].tolist() == [0]
    assert summary["valence_mean"].item() == pytest.approx(0.4)
    assert summary["seconds"].item() == pytest.approx(8.0)


def test_two_faces_of_one_name_at_the_same_moments_are_warned_of():
    table = frame(plain_clip("a.mp4", faces=2))
    named = people(("a.mp4", "Anna"))
    with pytest.warns(StudyWarning, match="two faces of Anna in 100 moments"):
        summary = triaffect.summarize(table, people=named)
    assert summary["seconds"].item() == pytest.approx(10.0)


def test_a_face_without_a_name_is_a_row_and_in_no_group():
    table = frame(plain_clip("a.mp4", faces=2))
    named = people(("a.mp4", 1, "Anna", "x"), columns=("clip", "face", "participant", "group"))
    with pytest.warns(StudyWarning, match="without a participant"):
        summary = triaffect.summarize(table, people=named)
    assert summary["participant"].isna().tolist() == [True, False]
    with pytest.warns(StudyWarning, match="without a participant"):
        groups = triaffect.summarize(table, people=named, by="group")
    assert set(groups["participants"]) <= {0, 1}


def test_the_baseline_is_the_median_of_the_event():
    table = frame(plain_clip("a.mp4", valence=lambda t: np.where(t < 5, 0.1, 0.5)))
    marked = events(("a", 6.0, 9.0, "late"), ("a", 0.0, 4.0, "early"))
    summary = triaffect.summarize(table, events=marked, baseline="late").set_index("event")
    assert summary.loc["early", "valence_above_own_mean"] == pytest.approx(-0.4)
    assert summary.loc["late", "valence_above_own_mean"] == pytest.approx(0.0)
    with pytest.raises(triaffect.TableError, match="with the events early, late"):
        triaffect.summarize(table, events=marked, baseline="other")


def test_a_sound_alone_is_measured_by_its_rows_without_a_face():
    table = plain_clip("a.wav").to_pandas()
    table["face_id"] = pd.array([pd.NA] * len(table), "Int64")
    table["arousal"] = 0.3
    summary = triaffect.summarize(table, people=people(("a.wav", "Anna")))
    assert summary["arousal_mean"].item() == pytest.approx(0.3)
    assert summary["participant"].item() == "Anna"


def test_events_of_a_column_are_those_it_was_made_from():
    table = frame(plain_clip("a.mp4"))
    marked = events(("a", 1.0, 3.0, "x"), ("a", 2.0, 4.0, "y"), ("a", 6.0, 7.0, "x"))
    table["event"] = None
    times = table["time_s"]
    for row, time in enumerate(times):
        inside = [e["name"] for _, e in marked.iterrows() if e["start"] <= time < e["end"]]
        table.loc[row, "event"] = "|".join(inside) or None
    with pytest.warns(StudyWarning, match="overlap"):
        of_files = triaffect.summarize(table.drop(columns="event"), events=marked)
    read_back = triaffect.summarize(table, people=people(("a.mp4", "Anna")))
    columns = ["event", "start_s", "end_s", "seconds"]
    assert read_back[columns].values.tolist() == of_files[columns].values.tolist()
