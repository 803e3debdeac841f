"""The log-mel contract: where rows lie, what a tone gives, and that chunks do not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triaffect.voice.log_mel import BANDS, FLOOR, RATE, log_mel, log_mel_stream


def tone(hz, seconds=1.0, amplitude=1.0):
    t = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def band_centres_hz():
    low, high = 2595 * np.log10(1 + np.array([60, 7600]) / 700)
    return 700 * (10 ** (np.linspace(low, high, BANDS + 2)[1:-1] / 2595) - 1)


@pytest.mark.parametrize("hz", [150.0, 440.0, 1000.0, 3000.0, 7000.0])
def test_a_tone_is_loudest_in_the_band_around_it(hz):
    rows = log_mel(tone(hz))
    centres = band_centres_hz()
    loudest = centres[rows[10:-10].argmax(1)]
    spacing = np.gradient(centres)[np.abs(centres - hz).argmin()]
    assert np.all(np.abs(loudest - hz) <= max(spacing, RATE / 512))


def test_level_is_the_natural_log_of_power():
    loud, soft = log_mel(tone(1000)), log_mel(tone(1000, amplitude=0.1))
    peak = loud[50].argmax()
    assert loud[50, peak] == pytest.approx(9, abs=0.6)
    assert loud[50, peak] - soft[50, peak] == pytest.approx(np.log(100), abs=1e-3)


def test_silence_is_the_floor():
    rows = log_mel(np.zeros(RATE, np.float32))
    assert rows.shape == (100, BANDS)
    assert np.all(rows == np.float32(FLOOR))


def test_row_i_stands_for_the_sound_around_its_own_ten_milliseconds():
    sound = np.zeros(RATE, np.float32)
    sound[8000] = 1.0  # 500.0 ms: in row 50's own 10 ms, and in the windows of 49 and 51
    heard = np.flatnonzero(log_mel(sound).max(1) > FLOOR + 1)
    np.testing.assert_array_equal(heard, [49, 50])


@pytest.mark.parametrize(("samples", "rows"), [(0, 0), (1, 1), (160, 1), (161, 2), (16000, 100)])
def test_every_sample_has_a_row(samples, rows):
    assert log_mel(np.ones(samples, np.float32)).shape == (rows, BANDS)


@settings(max_examples=30, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 40_000), max_size=12),
    samples=st.integers(0, 40_000),
    seed=st.integers(0, 9),
)
def test_chunks_give_exactly_the_whole(cuts, samples, seed):
    sound = np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)
    chunks = np.split(sound, sorted(c for c in cuts if c <= samples))
    streamed = np.concatenate([np.empty((0, BANDS), np.float32), *log_mel_stream(chunks)])
    np.testing.assert_array_equal(streamed, log_mel(sound))


def test_an_independent_computation_of_one_row():
    sound = np.random.default_rng(0).normal(0, 0.3, RATE).astype(np.float64)
    row, first = 37, 37 * 160 - 120
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    power = np.abs(np.fft.fft(sound[first : first + 400] * window, 512)[:257]) ** 2
    mel = np.linspace(2595 * np.log10(1 + 60 / 700), 2595 * np.log10(1 + 7600 / 700), BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    expected = [
        np.log(1e-6 + sum(p * max(0, np.interp(k * 31.25, edges[b : b + 3], [0, 1, 0]))
                          for k, p in enumerate(power)))
        for b in range(BANDS)
    ]  # fmt: skip
    np.testing.assert_allclose(log_mel(sound.astype(np.float32))[row], expected, atol=2e-4)
