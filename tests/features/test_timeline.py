"""Window positions: the vectorised search against a plain reading of its contract."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triaffect.features.timeline import (
    ANY_TRACK,
    FileTimeline,
    MemoryTimeline,
    nearest_rows,
    voice_rows,
    window_rows,
)
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


@st.composite
def recordings(draw):
    """Rows of several tracks, in order of time, with gaps and shared times."""
    count = draw(st.integers(0, 60))
    steps = draw(st.lists(st.sampled_from([0, 1, 33, 40, 41, 400]), min_size=count, max_size=count))
    times_s = np.cumsum(np.array(steps, np.float64)) / 1000
    names = st.sampled_from(
        draw(st.sampled_from([[0], [0, 1], [3, 1, 7], [ANY_TRACK], [2, ANY_TRACK]]))
    )
    tracks = np.array(draw(st.lists(names, min_size=count, max_size=count)), np.int64)
    keys = np.stack([tracks, times_s], axis=1)
    _, first = np.unique(keys, axis=0, return_index=True)  # a face is once in a frame
    rows = np.sort(first)
    return tracks[rows], times_s[rows]


@given(
    recordings(),
    st.lists(st.tuples(st.integers(-1, 8), milliseconds), max_size=20),
    st.sampled_from([(1.0, 0.25), (0.8, 0.2), (0.12, 0.04), (5 / 3, 1 / 3)]),
    st.booleans(),
    st.integers(1, 9),
)
def test_windows_of_memory_and_of_files_are_equal_to_the_byte(
    tmp_path_factory, recording, moments, span_hop, causal, step
):
    """Whatever the tracks, gaps, times and windows, and though memory forgets what is not needed.

    Beside the two back ends, a store's view of the same rows: sorted by track, behind others'.
    """
    tracks, times_s = recording
    window = Window(*span_hop, causal=causal)
    rng = np.random.default_rng(len(times_s))
    values = rng.normal(size=(len(tracks), 3)).astype(np.float16)
    memory, folder = MemoryTimeline(3), tmp_path_factory.mktemp("rows")
    lazy = MemoryTimeline(3, lambda rows: values[rows[:, 0]])
    files = FileTimeline.create(folder, "face", values.dtype, 3)
    order = np.lexsort((times_s, tracks))
    others = np.ones((4, 3), np.float16)
    stored = FileTimeline(
        np.concatenate([others, values[order]]), tracks[order], times_s[order], first_row=4
    )
    moments = sorted(moments, key=lambda each: each[1])
    reach_s = window.offsets_s()[0] - window.hop_s / 2 - 1e-3
    for start in range(0, len(tracks), step):
        some = slice(start, start + step)
        numbers = np.arange(len(tracks))[some, None]
        memory.append(tracks[some], times_s[some], values[some])
        lazy.append(tracks[some], times_s[some], numbers)
        files.append(tracks[some], times_s[some], values[some])
        files.windows(tracks[:1], times_s[:1], window)  # reading between changes nothing
        if moments:
            for timeline in (memory, lazy, files):
                timeline.forget(moments[0][1] / 1000 + reach_s)
    at = np.array([track for track, _ in moments], np.int64)
    at_s = np.array([ms for _, ms in moments], np.float64) / 1000
    expected, present = files.windows(at, at_s, window)
    assert expected.dtype == np.float32
    for timeline in (memory, lazy, stored):
        got, there = timeline.windows(at, at_s, window)
        assert got.tobytes() == expected.tobytes()
        assert there.tobytes() == present.tobytes()
    for track, moment_s, row in zip(at.tolist(), at_s, present, strict=True):
        if ANY_TRACK not in tracks:
            mine = times_s[tracks == track]
            near = [plain_nearest(mine, moment_s + d, window.hop_s / 2) for d in window.offsets_s()]
            assert row.tolist() == [each >= 0 for each in near]
    files.close()


def test_rows_that_were_appended_to_files_are_read_back_with_their_keys(tmp_path):
    timeline = FileTimeline.create(tmp_path, "voice", np.dtype("f2"), 2)
    timeline.append(np.array([1, 0]), np.array([0.5, 0.6]), np.eye(2), np.array([7, 8]))
    timeline.append(np.array([1]), np.array([0.7]), np.ones((1, 2)))
    assert len(timeline) == 3
    timeline.close()
    values, keys = FileTimeline.read(tmp_path, "voice", np.dtype("f2"), 2, 3)
    assert values.tolist() == [[1, 0], [0, 1], [1, 1]]
    assert keys.tolist() == [(1, 7, 0.5), (0, 8, 0.6), (1, -1, 0.7)]
    with pytest.raises(ValueError, match="made by create"):
        FileTimeline(values, keys["track"], keys["time_s"]).append(
            keys["track"], keys["time_s"], values
        )
