"""What a stream remembers: enough, independent of how it came in, and never more."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.app.serving import wait_until
from triaffect.prediction.buffers import FaceMemory, NewestVoice, VoiceMemory, VoiceSequence
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


@pytest.mark.parametrize("causal", [True, False])
def test_a_sequence_has_the_voice_of_every_instant(causal):
    """At each instant of a window what a moment at that instant would have, and none outside."""
    own, looks_at = Window(1.0, 0.2, causal=False), Window(1.2, 0.4, causal)
    times_s = np.arange(50) * 0.2
    rows = [
        VoiceRows(
            np.arange(s, s + 5, dtype="f2")[:, None], times_s[s : s + 5], times_s[s : s + 5] > 1
        )
        for s in range(0, 50, 5)
    ]
    sequence, plain = VoiceSequence(VoiceMemory(rows, own, 1), looks_at), VoiceMemory(rows, own, 1)
    moments = np.arange(0, 9.8, 0.1)
    for at_s in np.split(moments, 7):
        voices, present = sequence.at(at_s)
        assert voices.shape == (len(at_s), 4, 1)
        sequence.forget(float(at_s[0]))
        for k, offset_s in enumerate(looks_at.offsets_s()):
            expected, there = plain.at(at_s + offset_s)
            assert present[:, k].tolist() == there.tolist()
            assert voices[:, k].tolist() == expected.tolist()
    assert len(sequence._voice._timeline) < 30


def test_a_live_sequence_takes_what_has_arrived():
    """Each instant has the newest row that is not after it; before the sound there is none."""
    times_s = np.arange(30) * 0.2
    rows = VoiceRows(np.arange(30, dtype="f4")[:, None], times_s, times_s != 2.0)
    window = Window(1.2, 0.4)
    newest = NewestVoice([rows], Window(1.0, 0.2, causal=False), 1, window.span_s)
    wait_until(lambda: newest._recent.times_s[-1] > 5)
    voices, present = VoiceSequence(newest, window).at(np.array([5.9]))
    assert voices[0, :, 0].tolist() == [23, 25, 27, 29]
    assert present.all()
    assert len(newest._recent.times_s) == 7
    voices, present = VoiceSequence(newest, window).at(np.array([4.65]))
    assert present[0].tolist() == [False, False, False, True]
    plain = NewestVoice([rows], Window(1.0, 0.2, causal=False), 1)
    wait_until(lambda: plain._recent.times_s[-1] > 5)
    assert plain.at(np.array([5.9, 6.0]))[0].tolist() == [[29], [29]]
    assert plain.at(np.array([9.5]))[1].tolist() == [False]
