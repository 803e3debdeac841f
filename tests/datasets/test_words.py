"""Columns of words as numbers answer as text does."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tests.datasets.words import words_of
from triaffect.types import KEY_COLUMNS, DictionaryColumn, Moments, Split


@given(texts=st.lists(st.sampled_from(["a", "b", "train", "ü" * 9])), cut=st.integers(0, 9))
def test_they_answer_as_text_does(texts, cut):
    plain = np.array(texts, np.str_)
    chunks = [pa.array(part, pa.string()) for part in (texts[:cut], texts[cut:])]
    column = pa.chunked_array(chunks)
    others = {
        field.name: column if pa.types.is_string(field.type) else pa.nulls(len(texts), field.type)
        for field in KEY_COLUMNS
    }
    words = Moments(pa.table(others)).dictionary_column("split")
    assert len(words) == len(texts)
    assert words.values == tuple(dict.fromkeys(texts))
    assert words.unique() == sorted(set(texts))
    np.testing.assert_array_equal(words[:], plain)
    np.testing.assert_array_equal(words == "a", plain == "a")
    np.testing.assert_array_equal(words != "z", plain != "z")
    np.testing.assert_array_equal(words == Split.TRAIN, plain == "train")
    np.testing.assert_array_equal(words.isin(["b", "z"]), np.isin(plain, ["b", "z"]))
    some = np.flatnonzero(plain != "b")
    np.testing.assert_array_equal(words.take(some)[:], plain[some])
    np.testing.assert_array_equal(words[plain == "b"], plain[plain == "b"])


def test_a_row_has_as_many_bytes_as_counting_the_words_takes():
    for count, size in ((1, 1), (128, 1), (129, 2), (40_000, 4)):
        codes = np.arange(count)
        words = DictionaryColumn.from_codes([str(code) for code in codes], codes)
        assert words.codes.itemsize == size
        assert words[-1:].tolist() == [str(count - 1)]


def test_words_that_no_row_has_are_not_used():
    words = words_of(["x", "y", "y"]).take(np.array([1]))
    assert words.values == ("x", "y")
    assert words.unique() == ["y"]
