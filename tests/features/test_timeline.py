"""Window positions: the vectorised search against a plain reading of its contract."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triaffect.features.timeline import nearest_rows, voice_rows, window_rows
from triaffect.types import Window

milliseconds = st.integers(0, 20_000)
sorted_times = st.lists(milliseconds, max_size=40, unique=True).map(
    lambda v: np.sort(np.array(v, np.float64)) / 1000
)


def plain_nearest(times_s, at_s, tolerance_s):
    best = min(range(len(times_s)), key=lambda r: (round(abs(times_s[r] - at_s), 6), r), default=-1)
    return best if best >= 0 and abs(times_s[best] - at_s) <= tolerance_s + 1e-6 else -1


@given(sorted_times, st.lists(milliseconds, max_size=10), st.sampled_from([0.02, 0.1, 0.35]))
def test_nearest_rows_equals_the_plain_search(times_s, at_ms, tolerance_s):
    at_s = np.array(at_ms, np.float64) / 1000
    expected = [plain_nearest(times_s, t, tolerance_s) for t in at_s]
    assert nearest_rows(times_s, at_s, tolerance_s).tolist() == expected


@given(
    sorted_times,
    st.lists(milliseconds, max_size=6),
    st.sampled_from([(1.0, 0.25), (0.8, 0.2), (5 / 3, 1 / 3)]),
    st.booleans(),
)
def test_window_rows_equals_the_plain_search(times_s, at_ms, span_hop, causal):
    window = Window(*span_hop, causal=causal)
    at_s = np.array(at_ms, np.float64) / 1000
    expected = [
        [plain_nearest(times_s, t + d, window.hop_s / 2) for d in window.offsets_s()] for t in at_s
    ]
    rows = window_rows(times_s, at_s, window)
    assert rows.shape == (len(at_s), len(window.offsets_s()))
    assert rows.tolist() == expected


@given(sorted_times, st.lists(milliseconds, min_size=1, max_size=6))
def test_a_causal_window_never_looks_past_the_moment(times_s, at_ms):
    at_s = np.array(sorted(at_ms), np.float64) / 1000
    times_s = np.union1d(times_s, at_s)  # the moments themselves are rows, as in a video
    rows = window_rows(times_s, at_s, Window(1.0, 0.25))
    assert (rows[:, -1] >= 0).all()
    assert (np.where(rows >= 0, times_s[rows], -1) <= at_s[:, None]).all()


def test_the_window_of_the_paper_at_thirty_frames_a_second():
    frames = np.arange(90) / 30
    rows = window_rows(frames, frames[[60, 30]], Window(50 / 30, 10 / 30))
    assert rows.tolist() == [[10, 20, 30, 40, 50, 60], [-1, -1, 0, 10, 20, 30]]


def test_an_empty_track_has_no_rows():
    assert (window_rows(np.empty(0), np.array([0.5]), Window(1.0, 0.5)) == -1).all()


@pytest.mark.parametrize("causal", [False, True])
def test_every_moment_within_the_sound_has_a_voice_row_and_none_far_outside(causal):
    window, times_s = Window(1.0, 0.2, causal=causal), np.arange(0, 3.01, 0.2)
    assert (voice_rows(times_s, np.arange(76) / 25, window) >= 0).all()
    assert voice_rows(times_s, np.array([3.5, 10.0]), window).tolist() == [-1, -1]
    assert voice_rows(np.empty(0), np.array([0.0]), window).tolist() == [-1]


def test_causal_voice_rows_are_never_later_than_the_moment_and_centred_ones_may_be():
    times_s, at_s = np.array([10.0, 10.2, 10.4]), np.array([9.95, 10.0, 10.19, 10.39])
    assert voice_rows(times_s, at_s, Window(10.0, 0.2)).tolist() == [-1, 0, 0, 1]
    assert voice_rows(times_s, at_s, Window(1.0, 0.2, causal=False)).tolist() == [0, 0, 1, 2]


def test_windows_may_be_counted_in_frames():
    rows = window_rows(np.array([0.0, 10, 19]), np.array([20.0]), Window(20, 10), tolerance=0.5)
    assert rows.tolist() == [[0, 1, -1]]
