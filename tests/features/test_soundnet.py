"""Shared layers of overlapping windows against each window on its own."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from triaffect.features.extractors import soundnet
from triaffect.features.extractors.soundnet import (
    BOTH,
    FIRST,
    PLAIN,
    RATE,
    Blocks,
    LayerLayout,
    RingBuffer,
    Segments,
    SoundNet,
    best_share,
)
from triaffect.types import Window

RNG = np.random.default_rng(0)
FIRST_WEIGHTS = RNG.normal(0, 0.1, (64, 16)).astype(np.float32)
SECOND_WEIGHTS = RNG.normal(0, 0.1, (16 * 32, 32)).astype(np.float32)
# Zeros put into a wave after this are not the same as zeros put into what it gives.
BIAS = np.float32(1.5)


def first(wave):
    seen = sliding_window_view(wave, 64, axis=-1)[:, ::2]
    return np.maximum(seen @ FIRST_WEIGHTS + BIAS, 0).transpose(0, 2, 1)


def second(maps):
    seen = sliding_window_view(maps, 32, axis=-1)[:, :, ::2]  # (N, 16, J, 32)
    rows = seen.transpose(0, 2, 1, 3).reshape(len(maps), seen.shape[2], -1)
    return np.maximum(rows @ SECOND_WEIGHTS + BIAS, 0).transpose(0, 2, 1)


def rest(maps):
    return maps.reshape(len(maps), -1)


def eights(maps):
    whole = maps.shape[-1] // 8 * 8
    return maps[..., :whole].reshape(*maps.shape[:-1], -1, 8).max(-1)


def alone(window):
    """One window through the padded layers, as SoundNet is defined."""
    maps = eights(first(np.pad(window, 32)[None]))
    return rest(eights(second(np.pad(maps, ((0, 0), (0, 0), (16, 16))))))[0]


BLOCKS = Blocks(first, second, rest)


def joined(net, chunks):
    parts = list(net(chunks))
    if not parts:
        return np.zeros(0), np.zeros((0, 0))
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


@settings(max_examples=40, deadline=None)
@given(
    hop=st.sampled_from([1 / 30, 0.1, 0.05, 32 / RATE, 512 / RATE, 0.0333, 0.25, 1.0, 3.0]),
    samples=st.integers(4000, 9000),
    length=st.integers(0, 14_000),
    cuts=st.lists(st.integers(0, 14_000), max_size=6),
    causal=st.booleans(),
    share=st.sampled_from([PLAIN, FIRST, BOTH]),
    piece=st.sampled_from([0.01, 0.1, 2.0]),
)
@example(1 / 30, 8192, 12_000, [], True, BOTH, 2.0)
@example(1 / 30, 8191, 12_000, [8191], True, BOTH, 0.01)
def test_equal_to_every_window_on_its_own(hop, samples, length, cuts, causal, share, piece):
    window = Window(samples / RATE, hop, causal)
    wave = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
    chunks = np.split(wave, sorted(cut for cut in cuts if cut <= length))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(soundnet, "PIECE_S", piece)
        times_s, rows = joined(SoundNet(BLOCKS, window, share), chunks)
    cut = list(Segments(window, RATE, None)([wave]))
    np.testing.assert_array_equal(times_s, np.concatenate([[], *(times for times, _ in cut)]))
    windows = [each for _, batch in cut for each in batch]
    assert len(rows) == len(windows)
    for row, each in zip(rows, windows, strict=True):
        np.testing.assert_allclose(row, alone(each), rtol=1e-5, atol=1e-5)


def test_a_hop_that_drifts_off_its_first_remainders(monkeypatch):
    """Windows that begin where no row was foreseen are made on their own."""
    monkeypatch.setattr(soundnet, "_SURVEYED", 3)
    monkeypatch.setattr(soundnet, "_APART", 1)
    window = Window(5000 / RATE, 320.3 / RATE)
    wave = RNG.uniform(-1, 1, 12_000).astype(np.float32)
    _, rows = joined(SoundNet(BLOCKS, window, BOTH), [wave])
    windows = np.concatenate([batch for _, batch in Segments(window, RATE, None)([wave])])
    assert len(rows) > 20
    np.testing.assert_allclose(rows, [alone(each) for each in windows], rtol=1e-5, atol=1e-5)


def test_layout_of_ten_seconds():
    layout = LayerLayout(220_500)
    assert (layout.pooled_1, layout.clean_1) == (13_781, 13_779)
    assert (layout.pooled_2, layout.clean_2) == (861, 860)


@pytest.mark.parametrize(
    ("hop", "share"),
    [
        (1 / 30, BOTH),
        (0.1, BOTH),
        (0.25, FIRST),
        (1.0, FIRST),
        (5.0, FIRST),
        (4.9, PLAIN),
        (20.0, PLAIN),
    ],
)
def test_what_is_shared_by_hop(hop, share):
    assert best_share(Window(10.0, hop)) == share
    assert SoundNet(BLOCKS, Window(10.0, hop)).share == share
    assert best_share(Window(0.03, 0.001)) == PLAIN  # hears its padding everywhere


@pytest.mark.parametrize("share", [PLAIN, FIRST, BOTH])
def test_what_is_in_hand_stays_small(share, monkeypatch):
    tapes = []
    real = RingBuffer.__init__

    def remembered(self, *args):
        real(self, *args)
        tapes.append(self)

    monkeypatch.setattr(RingBuffer, "__init__", remembered)
    monkeypatch.setattr(soundnet, "PIECE_S", 0.2)
    net = SoundNet(BLOCKS, Window(5000 / RATE, 0.05), share)
    largest = 0
    for _ in net(np.zeros(2000, np.float32) for _ in range(30)):
        largest = max(largest, sum(tape._room.size for tape in tapes))
        for tape in tapes:
            assert tape.end - tape.first < 50_000
    assert 0 < largest < 2_000_000  # of 60,000 samples, in 32 rows of 32 channels


def test_a_tape_forgets_only_what_it_is_told():
    tape, number = RingBuffer((2,), -5), np.random.default_rng(0)
    expected = np.zeros((2, 0), np.float32)
    first = -5
    for _ in range(200):
        new = number.random((2, number.integers(0, 400))).astype(np.float32)
        tape.append(new)
        expected = np.concatenate([expected, new], axis=-1)
        drop = first + number.integers(0, expected.shape[-1] + 1)
        tape.drop(drop)
        expected, first = expected[:, drop - first :], drop
        assert (tape.first, tape.end) == (first, first + expected.shape[-1])
        np.testing.assert_array_equal(tape.part(tape.first, tape.end), expected)
    with pytest.raises(IndexError):
        tape.part(tape.first - 1, tape.end)
    with pytest.raises(IndexError):
        tape.part(tape.first, tape.end + 1)
