"""What a stream remembers: enough, independent of how it came in, and never more."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from triaffect.prediction.buffers import FaceMemory, VoiceMemory
from triaffect.tables.schema import Instants
from triaffect.types import Window
from triaffect.voice.stream import VoiceRows


def instants(frames, tracks, rate=25.0):
    frames = np.asarray(frames, np.int64)
    rows = Instants.faceless(frames, frames / rate)
    return replace(rows, track=np.asarray(tracks, np.int64))


def marked(numbers):
    """Crops that `vectors_of` turns into these numbers."""
    return np.asarray(numbers, np.int32).view(np.uint8).reshape(len(numbers), 2, 2, 1)


def vectors_of(dim):
    return lambda crops: np.repeat(crops.reshape(-1, 4).view(np.int32), dim, axis=1)


def test_faces_are_remembered_no_longer_than_a_window_reaches():
    window = Window(0.8, 0.2)
    memory = FaceMemory(window, vectors_of(3), 3)
    for start in range(0, 5000, 20):
        frames = np.arange(start, start + 20)
        rows = instants(frames, frames // 500)  # a new face every 20 s
        memory.add(rows, marked(frames))
        vectors, present = memory.windows(rows)
        assert (vectors[:, -1, 0] == frames).all()
        assert present[:, -1].all()
        memory.forget(float(rows.time_s[-1]))
        assert len(memory._timeline) <= 0.9 * 25 + 1


def test_a_window_never_holds_another_track():
    memory = FaceMemory(Window(0.4, 0.04), vectors_of(1), 1)
    rows = instants([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1])
    memory.add(rows, marked([10, 20, 11, 21, 12, 22]))
    vectors, present = memory.windows(instants([2, 2, 2], [1, 0, -1]))
    assert vectors[present].tolist() == [[20], [21], [22], [10], [11], [12]]
    assert present.sum(axis=1).tolist() == [3, 3, 0]


def test_only_vectors_that_a_window_asks_for_are_made_and_each_once():
    made = []

    def extractor(crops):
        made.extend(crops.reshape(-1, 4).view(np.int32).ravel().tolist())
        return vectors_of(1)(crops)

    memory = FaceMemory(Window(0.4, 0.2), extractor, 1)
    for start in range(0, 50, 7):
        rows = instants(np.arange(start, min(start + 7, 50)), [0] * min(7, 50 - start))
        memory.add(rows, marked(rows.frame))
        wanted = rows[rows.frame % 10 == 0]
        vectors, present = memory.windows(wanted)
        for frame, vector, there in zip(wanted.frame, vectors[..., 0], present, strict=True):
            assert vector[there].tolist() == [f for f in (frame - 10, frame - 5, frame) if f >= 0]
        memory.forget(float(rows.time_s[-1]))
    assert made == [0, 5, 10, 15, 20, 25, 30, 35, 40]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 7))
def test_voice_rows_do_not_depend_on_how_they_come_and_are_forgotten(sizes, step):
    window = Window(1.0, 0.2, causal=False)
    count = sum(sizes)
    times_s, ends = np.arange(count) * 0.2, np.cumsum(sizes)
    active = times_s % 3 < 2
    series = [
        VoiceRows(
            np.arange(e - s, e, dtype=np.float16)[:, None], times_s[e - s : e], active[e - s : e]
        )
        for s, e in zip(sizes, ends, strict=True)
    ]
    memory = VoiceMemory(series, window, 1)
    at_s = np.arange(0, times_s[-1] + 0.2, 0.04)
    got, there = [], []
    for start in range(0, len(at_s), step):
        values, present = memory.at(at_s[start : start + step])
        assert (values[~present] == 0).all()
        got += values[:, 0].tolist()
        there += present.tolist()
        memory.forget(at_s[start])
        assert len(memory._timeline) <= 9 + 4 + step
    expected = [int(min(np.ceil(round(t / 0.2, 6) - 0.5), count - 1)) for t in at_s]
    assert there == active[expected].tolist()
    assert got == (expected * active[expected]).tolist()


def test_without_sound_there_is_no_voice():
    memory = VoiceMemory([], Window(1.0, 0.2), 4)
    values, present = memory.at(np.array([0.0, 1.0]))
    assert values.shape == (2, 4)
    assert not present.any()
    memory.forget(1.0)
