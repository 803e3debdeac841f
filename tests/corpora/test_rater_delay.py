"""Ratings that lag behind: valence and arousal move, and nothing is lost, doubled or changed."""

from collections import Counter

import cv2
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.media.made import encode, flash_and_click
from triaffect.corpora.aff_wild2_files import SINGLE_TASK_FORMATS
from triaffect.corpora.base import open_corpus
from triaffect.corpora.frame_clock import FrameClock
from triaffect.corpora.rater_delay import DelayedRatings, move_ratings
from triaffect.corpora.rows import label_columns
from triaffect.types import Moments, moments_schema

COLUMNS = label_columns()
RATINGS = (*COLUMNS["VA"], "VA_weight", "VA_origin")
OTHERS = [name for key in ("EXPR", "AU") for name in (*COLUMNS[key], f"{key}_weight")]
KEYS = ("person", "track", "split", "label_set")


def table_of(rows):
    schema = moments_schema(COLUMNS)
    full = [{name: row.get(name) for name in schema.names} for row in rows]
    return pa.Table.from_pylist(full, schema)


def row(frame, time_s, *, valence=None, arousal=None, au=None, fear=None, **keys):
    labels = {"valence": valence, "arousal": arousal}
    if valence is not None or arousal is not None:
        labels |= {"VA_weight": 0.5 + frame % 2, "VA_origin": "human"}
    if au is not None:
        labels |= {"AU4": au, "AU_weight": 1.0, "AU_origin": "rendered"}
    if fear is not None:
        labels |= {"p_fear": fear, "EXPR_weight": 2.0, "EXPR_origin": "derived"}
    keys = {"source": "s", "person": "p", "track": 0, "split": "train", "label_set": "MTL"} | keys
    return {"frame": frame, "time_s": time_s} | keys | labels


CLOCKS = st.sampled_from(
    [
        FrameClock(25.0),
        FrameClock(29.97, 0.3),
        FrameClock(30.0),
        FrameClock(20.0, 0.0, np.cumsum([0.0, *([0.04, 0.1, 0.01] * 40)])),
    ]
)
VALUES = st.none() | st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0])


@st.composite
def labels(draw):
    """A source's clock and rows: any frames, people, sets, repeated rows, missing labels."""
    clock = draw(CLOCKS)
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 100), VALUES, VALUES, VALUES, VALUES,
                st.sampled_from(["p", "q"]), st.sampled_from([-1, 0, 1]),
                st.sampled_from(["VA", "MTL"]), st.sampled_from(["train", "test"]),
            ),
            max_size=30,
        )
    )  # fmt: skip
    return clock, table_of(
        row(frame, float(clock.times(np.array([frame]))[0]), valence=valence, arousal=arousal,
            au=au, fear=fear, person=person, track=track, label_set=label_set, split=split)
        for frame, valence, arousal, au, fear, person, track, label_set, split in rows
    )  # fmt: skip


def count(table, columns, keys):
    """How often each combination of labels is there, rows without any left out."""
    rows = table.to_pylist()
    return Counter(
        tuple(r[name] for name in (*keys, *columns))
        for r in rows
        if any(r[name] is not None for name in columns)
    )


@settings(max_examples=80, deadline=None)
@given(made=labels(), delay_s=st.sampled_from([0.01, 0.04, 0.1, 0.333, 0.4, 0.42, 2.0]))
def test_no_label_is_lost_doubled_or_changed(made, delay_s):
    clock, table = made
    moved = move_ratings(Moments(table), delay_s, clock).table
    assert moved.schema == table.schema
    moved.validate(full=True)
    stays = ("frame", "time_s", *KEYS)
    assert count(moved, OTHERS, stays) == count(table, OTHERS, stays)
    late = table.filter(pa.array(table["time_s"].to_numpy() >= delay_s - 1e-9))
    keys = ("person", "split", "label_set")
    assert count(moved, RATINGS, keys) == count(late, RATINGS, keys)
    rated = [r for r in moved.to_pylist() if r["valence"] is not None or r["arousal"] is not None]
    assert all(r["time_s"] >= 0 and r["frame"] >= 0 for r in rated)
    blank = [r for r in moved.to_pylist() if all(r[n] is None for n in (*RATINGS, *OTHERS))]
    before = [r for r in table.to_pylist() if all(r[n] is None for n in (*RATINGS, *OTHERS))]
    assert len(blank) <= len(before)  # a rating may land on one


@settings(max_examples=60, deadline=None)
@given(made=labels(), delay_s=st.sampled_from([0.04, 0.1, 0.4, 0.42]))
def test_each_lands_on_the_frame_shown_then(made, delay_s):
    clock, table = made
    keys = ("person", "split", "label_set", "frame", *RATINGS)
    expected = Counter()
    for r in table.to_pylist():
        earlier = r["time_s"] - delay_s
        if earlier >= -1e-9 and any(r[name] is not None for name in RATINGS):
            frame = int(clock.frames(np.array([max(earlier, 0.0)]))[0])
            expected[tuple(frame if k == "frame" else r[k] for k in keys)] += 1
    moved = move_ratings(Moments(table), delay_s, clock).table
    assert count(moved, RATINGS, ("person", "split", "label_set", "frame")) == expected


@settings(max_examples=30, deadline=None)
@given(made=labels())
def test_no_delay_changes_nothing(made):
    clock, table = made
    assert move_ratings(Moments(table), 0.0, clock).table == table


def test_labels_part_and_join_again():
    clock = FrameClock(25.0)
    table = table_of(
        [row(k, k / 25, valence=k / 100, arousal=-k / 100, au=k % 2) for k in range(20)]
    )
    moved = move_ratings(Moments(table), 0.4, clock).table.to_pylist()
    assert [r["frame"] for r in moved] == list(range(20))
    assert [r["AU4"] for r in moved] == [k % 2 for k in range(20)]
    assert [r["valence"] for r in moved] == pytest.approx(
        [(k + 10) / 100 for k in range(10)] + [None] * 10
    )
    assert [r["VA_weight"] for r in moved] == [0.5 + k % 2 for k in range(10)] + [None] * 10
    assert [r["VA_origin"] for r in moved] == ["human"] * 10 + [None] * 10
    assert [r["time_s"] for r in moved] == [k / 25 for k in range(20)]


def test_a_label_without_a_partner_has_its_own_row():
    table = table_of([row(20, 0.8, valence=1.0, au=1.0), row(3, 0.12, au=0.0)])
    moved = move_ratings(Moments(table), 0.4, FrameClock(25.0)).table.to_pylist()
    assert [(r["frame"], r["valence"], r["AU4"]) for r in moved] == [
        (3, None, 0.0), (10, 1.0, None), (20, None, 1.0)
    ]  # fmt: skip
    assert moved[1]["time_s"] == pytest.approx(0.4)
    assert moved[1]["label_set"] == "MTL"


def test_other_people_tracks_splits_and_sets_are_not_joined():
    for other in ({"person": "q"}, {"track": 1}, {"split": "test"}, {"label_set": "VA"}):
        table = table_of([row(10, 0.4, valence=1.0, **other), row(0, 0.0, au=1.0)])
        moved = move_ratings(Moments(table), 0.4, FrameClock(25.0)).table.to_pylist()
        assert len(moved) == 2
        assert {r["frame"] for r in moved} == {0}


def test_everything_lands_before_the_start():
    table = table_of([row(0, 0.0, valence=1.0), row(9, 0.36, arousal=1.0)])
    moved = move_ratings(Moments(table), 0.4, FrameClock(25.0)).table
    assert (len(moved), moved.schema) == (0, table.schema)


def test_before_the_first_picture_there_is_no_face():
    clock = FrameClock(25.0, 0.5)
    table = table_of([row(2, 0.58, valence=1.0), row(20, 1.3, valence=0.5)])
    moved = move_ratings(Moments(table), 0.4, clock).table.to_pylist()
    assert [(r["frame"], r["track"]) for r in moved] == [(0, -1), (10, 0)]


def test_a_table_at_a_variable_frame_rate(tmp_path):
    """The frame is the one of the video, not one at the mean rate."""
    encode(tmp_path / "a.mkv", [0, 40, 100, 130, 400, 410, 900, 1000])
    (tmp_path / "labels.csv").write_text(
        "clip,frame,valence,arousal,AU1\na.mkv,7,0.5,,1\na.mkv,4,,,0\na.mkv,6,0.25,1,\n"
    )
    corpus = DelayedRatings(open_corpus(tmp_path), 0.59)
    (source,) = corpus.sources()
    rows = corpus.moments(source).table.to_pylist()
    found = [(r["frame"], r["time_s"], r["valence"], r["AU1"], r["label_set"]) for r in rows]
    assert found == [
        (4, pytest.approx(0.4), None, 0.0, "AU"),
        (5, pytest.approx(0.41), 0.5, None, "MTL"),
        (7, pytest.approx(1.0), None, 1.0, "MTL"),
        (4, pytest.approx(0.31), 0.25, None, "VA"),
    ]


def test_aff_wild2(tmp_path):
    flash_and_click(tmp_path / "v.mp4", ("libx264", "aac", 16_000))
    for folder, lines in (
        ("VA_Estimation_Challenge", ["valence,arousal", *(f"0.{k},-0.{k}" for k in range(9))]),
        ("EXPR_Classification_Challenge", [SINGLE_TASK_FORMATS["EXPR"].header, *"000011111"]),
    ):
        path = tmp_path / folder / "Train_Set" / "v.txt"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(lines) + "\n")
    plain = open_corpus(tmp_path)
    (source,) = plain.sources()
    rows = DelayedRatings(plain, 0.2).moments(source).table.to_pandas()
    ratings, faces = rows[rows["label_set"] == "VA"], rows[rows["label_set"] == "EXPR"]
    assert ratings["frame"].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(ratings["valence"], [0.5, 0.6, 0.7, 0.8], atol=1e-6)
    assert faces["frame"].tolist() == list(range(9))


def test_unrelated_pictures_stay(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "labels.csv").write_text("clip,valence,arousal,AU1\na.png,0.5,0.5,1\nb.png,,,1\n")
    plain = open_corpus(tmp_path)
    corpus = DelayedRatings(plain, 0.4)
    source, _ = corpus.sources()
    assert corpus.unmoved() == [source.source_id]
    assert corpus.moments(source).table == plain.moments(source).table
