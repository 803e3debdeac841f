"""Columns of words out of plain text."""

import numpy as np

from triaffect.types import Words


def words_of(texts) -> Words:
    names, codes = np.unique(np.asarray(texts), return_inverse=True)
    return Words.of(names.tolist(), codes)
