"""Rows gathered at once are the numbers that are stored."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from triaffect.datasets.windows import gather


def test_every_half_precision_number_stays_itself():
    """All 65,536 bit patterns, widened as NumPy widens them."""
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    plain = every.astype(np.float32)
    got = gather(every[:, None], np.arange(len(every)))[:, 0]
    finite = ~np.isnan(plain)
    assert finite.sum() == 2**16 - 2 * 1023
    np.testing.assert_array_equal(got[finite].view(np.uint32), plain[finite].view(np.uint32))
    assert np.isnan(got[~finite]).all()


@settings(max_examples=60, deadline=None)
@given(
    values=hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.uint8]),
        st.tuples(st.integers(0, 5), st.integers(1, 4)),
    ),
    shape=hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=5),
    kind=st.sampled_from([np.int32, np.int64]),
    seed=st.integers(0, 2**32),
)
def test_as_one_row_after_the_other(values, shape, kind, seed):
    values[:1] = np.array(np.nan).astype(values.dtype) if values.dtype.kind == "f" else 7
    rows = np.random.default_rng(seed).integers(-1, len(values), shape).astype(kind)
    got = gather(values, rows)
    assert got.dtype == np.float32
    assert got.shape == (*shape, values.shape[1])
    for place in np.ndindex(shape):
        expected = values[rows[place]] if rows[place] >= 0 else np.zeros(values.shape[1])
        np.testing.assert_array_equal(got[place], expected.astype(np.float32))


def test_what_is_gathered_is_a_copy(tmp_path):
    path = tmp_path / "rows.bin"
    np.arange(6, dtype=np.float32).tofile(path)
    values = np.memmap(path, np.float32, "r", shape=(3, 2))
    gather(values, np.array([1, -1]))[:] = 9
    np.testing.assert_array_equal(values, [[0, 1], [2, 3], [4, 5]])
