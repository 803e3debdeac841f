"""Stretches of a chunked series against cutting them out of the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triaffect.features.extractors.soundnet import Segments
from triaffect.types import Window


def reference(series, window, rate, pad):
    """Every stretch, cut out of the whole padded series."""
    length = round(window.span_s * rate)
    lead = length if window.causal else length // 2
    times, cut = [], []
    if len(series) == 0:
        return times, cut
    padded = np.concatenate([np.full(length, np.nan), series, np.full(length, np.nan)])
    for k in range(100_000):
        middle = round(k * window.hop_s * rate)
        if middle > len(series):
            break
        stretch = padded[length + middle - lead :][:length]
        if pad is not None:
            stretch = np.where(np.isnan(stretch), pad, stretch)
        if not np.isnan(stretch).any():
            times.append(k * window.hop_s)
            cut.append(stretch)
    return times, cut


@settings(max_examples=150, deadline=None)
@given(
    count=st.integers(0, 120),
    span=st.integers(1, 30),
    hop=st.sampled_from([0.05, 0.1, 0.25, 1 / 30, 1.0]),
    causal=st.booleans(),
    padded=st.booleans(),
    cuts=st.lists(st.integers(0, 120), max_size=8),
    batch=st.integers(1, 7),
)
def test_equal_to_cutting_the_whole(count, span, hop, causal, padded, cuts, batch):
    rate = 20
    window = Window(span / rate, hop, causal)
    if round(hop * rate) < 1:
        window = Window(span / rate, 0.05, causal)
    series = np.arange(1, count + 1, dtype=np.float32)
    pad = np.float32(-1)
    chunks = np.split(series, sorted(c for c in cuts if c <= count))
    segments = Segments(window, rate, np.asarray(pad) if padded else None, batch)
    got = list(segments(chunks))
    times, cut = reference(series, window, rate, pad if padded else None)
    assert [len(b) for _, b in got[:-1]] == [batch] * max(0, len(got) - 1)
    np.testing.assert_allclose(np.concatenate([[], *(t for t, _ in got)]), times)
    if cut:
        np.testing.assert_array_equal(np.concatenate([b for _, b in got]), cut)


@pytest.mark.parametrize("causal", [True, False])
def test_what_is_in_hand_stays_small(causal):
    """A long series does not pile up: chunks are consumed as stretches come out."""
    alive = []

    def chunks():
        for k in range(200):
            alive.append(k)
            yield np.full(100, k, np.float32)

    segments = Segments(Window(2.0, 0.1, causal), 100, np.asarray(np.float32(0)), batch=4)
    for times_s, _ in segments(chunks()):
        assert len(alive) <= times_s[-1] + 1.0 + 4  # seconds read, one chunk each
