"""Smoothing: equal to a plain loop, however the stream is cut, at whatever frame rate."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tables.made_rows import cut, joined, made_rows
from tests.tasks.toy import PAIN
from triaffect.errors import TableError
from triaffect.tables.smoothing import (
    OFF,
    SUFFIX,
    Kind,
    Smoothing,
    centred_means,
    smooth_fields,
    smooth_parts,
    stands_for_s,
)
from triaffect.tasks.registry import TASKS

BOTH = [
    Smoothing(Kind.CAUSAL, 0.3),
    Smoothing(Kind.CENTRED, 0.5),
    Smoothing.parse("exponential"),
]
NUMBERS = [name for task in TASKS for name in task.columns]


def causal_loop(times, values, constant_s):
    """The textbook recursion, for one column of one face."""
    out, last = [], None
    for t, x in zip(times, values, strict=True):
        if math.isnan(x):
            out.append(math.nan)
            continue
        if last is None or t - last[0] > max(1.0, constant_s):
            last = (t, x)
        else:
            keep = math.exp(-(t - last[0]) / constant_s)
            last = (t, keep * last[1] + (1 - keep) * x)
        out.append(last[1])
    return out


def centred_loop(times, values, width_s):
    """The weighted mean over every pair of moments, for one column of one face."""
    known = [(t, x) for t, x in zip(times, values, strict=True) if not math.isnan(x)]
    out = []
    for t, x in zip(times, values, strict=True):
        above = below = 0.0
        for k, (u, y) in enumerate(known):
            if abs(u - t) < width_s:
                left = u - known[k - 1][0] if k else math.inf
                right = known[k + 1][0] - u if k + 1 < len(known) else math.inf
                sides = [side for side in (left, right) if side <= width_s / 2]
                stands = sum(sides) / len(sides) if sides else width_s / 2
                weight = stands * (0.5 + 0.5 * math.cos(math.pi * (u - t) / width_s))
                above, below = above + weight * y, below + weight
        out.append(math.nan if math.isnan(x) else above / below)
    return out


@pytest.mark.parametrize(
    ("smoothing", "loop"),
    [(BOTH[0], causal_loop), (BOTH[1], centred_loop)],
    ids=["causal", "centred"],
)
@pytest.mark.parametrize("seed", range(3))
def test_it_equals_a_plain_loop(smoothing, loop, seed):
    raw = made_rows(200, seed=seed)
    table = joined(smooth_parts([raw], smoothing, TASKS)).to_pandas()
    faces = table["face_id"].fillna(-1)
    assert {-1, 0, 1} == set(faces)
    assert table["valence"].isna().any()
    for face in set(faces):
        rows = table[faces == face]
        for name in NUMBERS:
            expected = loop(rows["time_s"].tolist(), rows[name].tolist(), smoothing.seconds)
            told = rows[name + SUFFIX].to_numpy()
            np.testing.assert_allclose(told, expected, atol=6e-7, equal_nan=True)


@pytest.mark.parametrize("smoothing", BOTH, ids=str)
@settings(max_examples=40)
@given(seed=st.integers(0, 99), places=st.sets(st.integers(0, 120), max_size=40))
def test_it_does_not_matter_where_the_stream_is_cut(smoothing, seed, places):
    clips = [made_rows(30, seed=seed + k, clip=f"{k % 2}.mp4") for k in range(3)]
    whole = joined(clips)
    parts = cut(whole, {place for place in places if place <= len(whole)})
    expected = joined(joined(smooth_parts([clip], smoothing, TASKS)) for clip in clips)
    assert joined(smooth_parts(parts, smoothing, TASKS)).equals(expected)


@pytest.mark.parametrize("smoothing", BOTH, ids=str)
def test_raw_columns_stay_and_blanks_stay_blank(smoothing):
    raw = made_rows(80)
    table = joined(smooth_parts([raw], smoothing, TASKS))
    assert table.select(raw.column_names).equals(raw)
    assert table.schema.names == [
        *raw.schema.names,
        *(field.name for field in smooth_fields(raw.schema, TASKS)),
    ]
    for task in TASKS:
        for name in task.prediction_columns:
            assert table[name + SUFFIX].is_null().equals(raw[name].is_null()), name


@pytest.mark.parametrize("smoothing", BOTH, ids=str)
def test_smoothed_distributions_are_distributions_and_name_their_likeliest(smoothing):
    frame = joined(smooth_parts([made_rows(200)], smoothing, TASKS)).to_pandas()
    for task in (task for task in TASKS if task.exclusive):
        smooth = frame[[name + SUFFIX for name in task.columns]].dropna()
        np.testing.assert_allclose(smooth.sum(axis=1), 1, atol=1e-5)
        label = frame.loc[smooth.index, task.prediction_columns[0] + SUFFIX]
        likeliest = np.array(task.part_names)[smooth.to_numpy().argmax(axis=1)]
        assert (label == likeliest).all()
        assert (label != frame.loc[smooth.index, task.prediction_columns[0]]).any()
    for task in TASKS:
        low, high = task.display_range
        smooth = frame[[name + SUFFIX for name in task.columns]]
        assert smooth.stack().dropna().between(low, high).all()


def exponential_loop(values, inertia):
    """The published recursion, for one column of one face."""
    out, mean = [], None
    for x in values:
        if not math.isnan(x):
            mean = x if mean is None else (inertia * mean + x) / (1 + inertia)
        out.append(math.nan if math.isnan(x) else mean)
    return np.array(out)


def test_exponential_smoothing_is_of_what_the_network_gives():
    raw = made_rows(200, seed=1)
    smoothing = Smoothing.parse("exponential:VA=9,AU=3")
    table = joined(smooth_parts([raw], smoothing, TASKS)).to_pandas()
    for _, rows in table.groupby(table["face_id"].fillna(-1)):
        valence = exponential_loop(rows["valence"], 9)
        np.testing.assert_allclose(rows["valence_smooth"], valence, atol=1e-6)
        p = rows["AU12"].clip(1e-7, 1 - 1e-7)
        logits = exponential_loop(np.log(p / (1 - p)), 3)
        np.testing.assert_allclose(rows["AU12_smooth"], 1 / (1 + np.exp(-logits)), atol=1e-6)
    alike = joined(smooth_parts([raw], Smoothing.parse("exponential"), TASKS))
    spelled = joined(smooth_parts([raw], Smoothing.parse("exponential:VA=9,EXPR=9,AU=7"), TASKS))
    assert alike.equals(spelled)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exponential", "exponential"),
        ("exponential:8.0", "exponential:8"),
        ("exponential:PAIN=2,AU=3", "exponential:AU=3,PAIN=2"),
    ],
)
def test_inertia_is_parsed_and_written_alike(text, expected):
    assert str(Smoothing.parse(text)) == expected
    assert Smoothing.parse(expected) == Smoothing.parse(text)


@pytest.mark.parametrize("text", ["exponential:-1", "exponential:VA", "exponential:=3"])
def test_another_inertia_is_refused(text):
    with pytest.raises(TableError, match=r"frames from 0 to 1000"):
        Smoothing.parse(text)


def wave(times_s):
    return np.sin(2 * np.pi * 0.5 * times_s)[:, None]


@pytest.mark.parametrize("rate", [15, 30, 60, None])
def test_the_frame_rate_does_not_matter(rate):
    """Also not where it changes half way: ``None`` is 60 fps until 5 s and 12 fps after."""
    at_s = np.arange(2, 8, 0.2)
    if rate is None:
        times = np.concatenate([np.arange(0, 5, 1 / 60), np.arange(5, 10, 1 / 12)])
    else:
        times = np.arange(0, 10, 1 / rate)
    dense = np.arange(0, 10, 1 / 1000)
    told = centred_means(at_s, times, wave(times), 0.5)
    np.testing.assert_allclose(told, centred_means(at_s, dense, wave(dense), 0.5), atol=0.01)


def test_every_value_counts_for_the_time_it_stands_for():
    told = stands_for_s(np.array([0.0, 0.1, 0.3, 0.3, 2.0, 4.0, 4.2]), 0.25)
    np.testing.assert_allclose(told, [0.1, 0.15, 0.1, 1e-9, 0.25, 0.2, 0.2], atol=2e-9)


def test_a_pause_starts_a_causal_mean_afresh_and_a_short_one_does_not():
    for pause, afresh in ((0.9, False), (1.1, True)):
        raw = made_rows(times_s=[0.0, 0.04, 0.04 + pause], faces=1, gaps=False)
        frame = joined(smooth_parts([raw], BOTH[0], TASKS)).to_pandas()
        assert frame["face_id"].tolist() == [0, 0, 0]
        assert (frame["valence"].iloc[2] == frame["valence" + SUFFIX].iloc[2]) == afresh


@pytest.mark.parametrize("smoothing", BOTH, ids=str)
def test_no_more_is_kept_and_awaited_than_told(smoothing):
    """Row by row: a centred mean is at most two widths behind, and memory stays as it was."""
    raw = made_rows(times_s=np.arange(0, 40, 0.1), faces=1)
    read_s, taken = 0.0, []

    def rows():
        nonlocal read_s
        for row in range(len(raw)):
            read_s = raw["time_s"][row].as_py()
            taken.append(pa.total_allocated_bytes())
            yield raw.take([row])  # a copy, so that it is gone when nobody holds it

    told = 0
    for table in smooth_parts(rows(), smoothing, TASKS):
        told += len(table)
        if len(taken) < len(raw):
            behind_s = read_s - table["time_s"][-1].as_py()
            assert behind_s <= (2 * smoothing.seconds + 0.1 if smoothing == BOTH[1] else 0) + 1e-6
    assert told == len(raw)
    assert max(taken[-100:]) - taken[0] < 1.2 * (max(taken[100:200]) - taken[0])


def test_only_the_tasks_columns_are_smoothed_whatever_they_are():
    four = (*TASKS, PAIN)
    table = joined(smooth_parts([made_rows(tasks=four)], BOTH[1], four))
    assert "pain_smooth" in table.column_names
    assert "detection_smooth" not in table.column_names


def test_off_is_the_default_and_adds_nothing():
    assert Smoothing() == OFF == Smoothing.parse("off")
    raw = made_rows()
    assert joined(smooth_parts([raw], OFF, TASKS)).equals(raw)


@pytest.mark.parametrize("text", ["off", "causal:0.25s", "centred:1.5s"])
def test_a_smoothing_is_written_as_it_is_read(text):
    assert str(Smoothing.parse(text)) == text
    assert Smoothing.parse("causal:250ms") == Smoothing.parse("causal:0.25")


@pytest.mark.parametrize(
    "text", ["", "on", "causal:", "causal:x", "causal:0s", "off:1s", "centred:99s"]
)
def test_no_such_smoothing(text):
    with pytest.raises(TableError, match="smooth: expected"):
        Smoothing.parse(text)


def test_time_that_falls_starts_afresh():
    one = made_rows(20, seed=1)
    twice = pd.concat([one.to_pandas()] * 2)
    table = joined(smooth_parts([pa.Table.from_pandas(twice)], BOTH[1], TASKS)).to_pandas()
    half = len(one)
    pd.testing.assert_frame_equal(table[:half], table[half:].set_index(table.index[:half]))
