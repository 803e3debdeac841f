"""Stored rows into the arrays that networks take: one look-up a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from triaffect.types import FloatArray, RowNumbers


def gather(values: NDArray[Any], rows: RowNumbers) -> FloatArray:
    """Rows of a stream as float32, zeros where there is none.

    Args:
        values: Memory-mapped rows, shape (R, D).
        rows: Row numbers, -1 for none; any shape.

    Returns:
        A new array of the shape of ``rows`` and D.
    """
    shape, flat = (*rows.shape, values.shape[1]), rows.reshape(-1)
    if not values.size:
        return np.zeros(shape, np.float32)
    missing = flat < 0
    found = as_float32(np.asarray(values).take(np.where(missing, 0, flat), axis=0))
    if missing.any():
        found[missing] = 0
    return found.reshape(shape)


def as_float32(values: NDArray[Any]) -> FloatArray:
    """The same numbers as float32.

    PyTorch widens half precision many times faster than NumPy, to the same numbers.
    """
    if values.dtype == np.float16:
        return torch.from_numpy(values).float().numpy()
    return values.astype(np.float32, copy=False)
