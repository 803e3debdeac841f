"""Means over stretches of time: the same however the rows come, gaps left open, never too many."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from triaffect.report.clip_series import FINEST_S, MOST_BINS, Grid


def gathered(times_s, values, cuts=()):
    """A grid and its one series, given rows in parts."""
    grid = Grid()
    series = grid.series(values.shape[1])
    marks = np.repeat(times_s[:, None], 5, axis=1)
    for part in np.split(np.arange(len(times_s)), cuts):
        if len(part):
            grid.reach(times_s[0], times_s[part[-1]])
            series.add(grid.segments(times_s[part]), values[part], marks[part])
    return grid, series


@st.composite
def rows(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, start = draw(st.integers(1, 400)), draw(st.floats(0, 50))
    longest = draw(st.sampled_from([0.04, 1.0, 30.0]))
    times_s = start + np.cumsum(rng.uniform(0.001, longest, count))
    values = np.where(rng.random((count, 3)) < 0.2, np.nan, rng.normal(size=(count, 3)))
    return times_s, values, sorted(rng.integers(0, count, draw(st.integers(0, 5))))


@given(rows())
def test_means_are_those_of_all_rows_of_a_stretch(case):
    times_s, values, cuts = case
    grid, series = gathered(times_s, values, cuts)
    assert len(series.rows) <= MOST_BINS
    segments = np.arange(series.first, series.first + len(series.rows))
    for place, mean, count, mark in zip(
        segments, series.means(), series.rows, series.marks, strict=True
    ):
        own = (times_s >= place * grid.step_s) & (times_s < (place + 1) * grid.step_s)
        assert own.sum() == count
        assert np.isnan(mark[0]) if not count else mark[0] == times_s[own][0]
        for k in range(3):
            told = values[own, k][~np.isnan(values[own, k])]
            assert np.isclose(mean[k], told.mean()) if len(told) else np.isnan(mean[k])
    assert series.rows.sum() == len(times_s)


@given(rows())
def test_parts_do_not_matter(case):
    times_s, values, cuts = case
    (one, whole), (two, parted) = gathered(times_s, values), gathered(times_s, values, cuts)
    assert one.step_s == two.step_s
    assert whole.first == parted.first
    assert np.array_equal(whole.rows, parted.rows)
    assert np.allclose(whole.means(), parted.means(), equal_nan=True)
    assert np.array_equal(whole.marks, parted.marks, equal_nan=True)


def test_stretches_are_no_longer_than_they_must_be():
    frames = np.arange(15_000) / 25
    assert gathered(frames, frames[:, None])[0].step_s == 0.5
    assert gathered(frames[:100], frames[:100, None])[0].step_s == FINEST_S


def test_series_of_one_grid_stay_in_step():
    grid = Grid()
    early, late = grid.series(1), grid.series(1)
    times_s = np.arange(0, 500, 0.5)
    for series, own in ((early, times_s[:10]), (late, times_s[990:])):
        grid.reach(0.0, own[-1])
        series.add(grid.segments(own), own[:, None], np.repeat(own[:, None], 5, axis=1))
    segments = grid.segments(times_s)
    assert np.array_equal(
        np.flatnonzero(~np.isnan(early.on(segments, early.means())[:, 0])), range(10)
    )
    seen = late.on(segments, late.means())[:, 0]
    assert np.array_equal(np.flatnonzero(~np.isnan(seen)), range(990, 1000))
    assert np.array_equal(seen[990:], times_s[990:])
