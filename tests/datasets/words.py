"""Columns of words out of plain text."""

import numpy as np

from triaffect.types import DictionaryColumn


def words_of(texts) -> DictionaryColumn:
    names, codes = np.unique(np.asarray(texts), return_inverse=True)
    return DictionaryColumn.from_codes(names.tolist(), codes)
