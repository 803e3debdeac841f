"""A face's own beginning: its median, blank until it is known, however the stream is cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tables.made_rows import cut, joined, made_rows
from triaffect.tables.baseline import SUFFIX, baseline_columns, subtract_baseline
from triaffect.tasks.registry import TASKS

SECONDS = 3.0


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_distance_from_the_median_of_the_first_seconds(seed):
    raw = made_rows(200, seed=seed)
    frame = joined(subtract_baseline([raw], SECONDS, TASKS)).to_pandas()
    names = baseline_columns(TASKS)
    assert {"valence", "AU12"} <= set(names)
    assert not {"p_anger", "expression"} & set(names)
    for _, rows in frame.groupby("face_id"):
        start = rows.loc[rows["valence"].notna(), "time_s"].iloc[0]
        early = rows["time_s"] <= start + SECONDS
        assert 3 < early.sum() < len(rows) - 3
        for name in names:
            assert rows.loc[early, name + SUFFIX].isna().all()
            expected = rows.loc[~early, name] - rows.loc[early, name].median()
            np.testing.assert_allclose(rows.loc[~early, name + SUFFIX], expected, atol=6e-7)


def test_frames_without_a_face_and_faces_seen_too_briefly_have_none():
    frame = joined(subtract_baseline([made_rows(200)], SECONDS, TASKS)).to_pandas()
    nobody = frame["face_id"].isna() & frame["valence"].notna()
    assert nobody.any()
    assert frame.loc[nobody, "valence" + SUFFIX].isna().all()
    brief = joined(subtract_baseline([made_rows(200)], 500.0, TASKS))
    assert brief["valence" + SUFFIX].null_count == len(brief)


def test_each_clip_has_its_own():
    clips = [made_rows(60, seed=k, clip=f"{k}.mp4") for k in range(2)]
    alone = joined(joined(subtract_baseline([clip], SECONDS, TASKS)) for clip in clips)
    assert joined(subtract_baseline([joined(clips)], SECONDS, TASKS)).equals(alone)


@settings(max_examples=40)
@given(seed=st.integers(0, 99), places=st.sets(st.integers(0, 60), max_size=20))
def test_it_does_not_matter_where_the_stream_is_cut(seed, places):
    whole = made_rows(60, seed=seed)
    parts = cut(whole, {place for place in places if place <= len(whole)})
    expected = joined(subtract_baseline([whole], SECONDS, TASKS))
    assert joined(subtract_baseline(parts, SECONDS, TASKS)).equals(expected)
