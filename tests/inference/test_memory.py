"""What a stream remembers: enough, independent of how it came in, and never more."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from triaffect.features.listening import Hearing
from triaffect.inference.memory import FaceMemory, VoiceMemory
from triaffect.inference.table import Instants
from triaffect.types import FeatureSeries, Window

RATE = 1000
"""Another than a log-mel network's: whatever is loud counts as heard."""


def instants(frames, tracks, rate=25.0):
    n = len(frames)
    frames = np.asarray(frames, np.int64)
    box = np.zeros((n, 4), np.float32)
    return Instants(frames, frames / rate, np.asarray(tracks, np.int64), box, box[:, 0])


def test_faces_are_remembered_no_longer_than_a_window_reaches():
    window = Window(0.8, 0.2)
    memory = FaceMemory(window, 3)
    for start in range(0, 5000, 20):
        frames = np.arange(start, start + 20)
        rows = instants(frames, frames // 500)  # a new face every 20 s
        memory.add(rows, np.repeat(frames[:, None], 3, axis=1).astype(np.float32))
        vectors, present = memory.windows(rows)
        assert (vectors[:, -1, 0] == frames).all()
        assert present[:, -1].all()
        memory.forget(float(rows.time_s[-1]))
        assert sum(len(times) for times, _ in memory._tracks.values()) <= 0.9 * 25 + 1
    assert len(memory._tracks) <= 2


def test_a_window_never_holds_another_track():
    memory = FaceMemory(Window(0.4, 0.04), 1)
    rows = instants([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1])
    memory.add(rows, np.array([[10.0], [20], [11], [21], [12], [22]], np.float32))
    vectors, present = memory.windows(instants([2, 2, 2], [1, 0, -1]))
    assert vectors[present].tolist() == [[20], [21], [22], [10], [11], [12]]
    assert present.sum(axis=1).tolist() == [3, 3, 0]


def voice_of(series, loud_samples, window):
    hearing = Hearing(RATE)
    chunks = hearing.watch(iter([loud_samples]))

    def rows():
        for _ in chunks:
            pass
        yield from series

    return VoiceMemory(rows(), hearing, window, 1)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 7))
def test_voice_rows_do_not_depend_on_how_they_come_and_are_forgotten(sizes, step):
    window = Window(1.0, 0.2, causal=False)
    count = sum(sizes)
    times_s, ends = np.arange(count) * 0.2, np.cumsum(sizes)
    series = [
        FeatureSeries(np.arange(e - s, e, dtype=np.float16)[:, None], times_s[e - s : e])
        for s, e in zip(sizes, ends, strict=True)
    ]
    loud = np.ones(round(count * 0.2 * RATE), np.float32)
    memory = voice_of(series, loud, window)
    at_s = np.arange(0, times_s[-1] + 0.2, 0.04)
    got = []
    for start in range(0, len(at_s), step):
        values, present = memory.at(at_s[start : start + step])
        assert present.all()
        got += values[:, 0].tolist()
        memory.forget(at_s[start])
        assert len(memory._times_s) <= 9 + 4 + step
    expected = [min(np.ceil(round(t / 0.2, 6) - 0.5), count - 1) for t in at_s]
    assert got == expected


def test_without_sound_there_is_no_voice():
    memory = VoiceMemory(iter(()), Hearing(RATE), Window(1.0, 0.2), 4)
    values, present = memory.at(np.array([0.0, 1.0]))
    assert values.shape == (2, 4)
    assert not present.any()
    memory.forget(1.0)
