"""Columns of tables are read as they were made, wherever the table was cut."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from triaffect.tables.schema import faces_of, times_of, values_of
from triaffect.types import NO_FACE

ROWS = 21


def cut(table, at):
    """The same rows in chunks, of which some begin within a byte of flags, or are empty."""
    edges = [0, *at, len(table)]
    parts = [table.slice(a, b - a) for a, b in pairwise(edges)]
    return pa.concat_tables(parts)


@pytest.mark.parametrize("at", [[], [3, 3, 11], [8, 20]])
@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.int64(), pa.int8(), pa.bool_()])
def test_numbers_and_flags_are_read_with_their_blanks(kind, at):
    random = np.random.default_rng(len(at))
    values = random.integers(0, 2, ROWS).tolist()
    values = [None if blank else value for value, blank in
              zip(values, random.random(ROWS) < 0.3, strict=True)]  # fmt: skip
    table = pa.table({"a": pa.array(values).cast(kind), "b": pa.array(range(ROWS)).cast(pa.int16()),
                      "c": pa.nulls(ROWS)})  # fmt: skip
    expected = np.array([values, range(ROWS), [None] * ROWS], np.float64).T
    read = values_of(cut(table, at), ["a", "b", "c"])
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_array_equal(values_of(cut(table, at).slice(5, 9), ["a"]), expected[5:14, :1])
    assert values_of(table.slice(0, 0), ["a", "b"]).shape == (0, 2)


def test_times_and_faces():
    table = pa.table({"time_s": [0.0, 0.04, 0.08], "face_id": pa.array([2, None, 0])})
    assert times_of(table).tolist() == [0.0, 0.04, 0.08]
    faces = faces_of(cut(table, [1]))
    assert faces.tolist() == [2, NO_FACE, 0]
    assert faces.dtype == np.int64
