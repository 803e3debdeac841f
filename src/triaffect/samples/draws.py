"""Random numbers for a batch, drawn row by row."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def uniform(rng: np.random.Generator, count: int, low: float, high: float) -> Tensor:
    """One number for each row, shape (count,) float32."""
    return torch.from_numpy(rng.uniform(low, high, count).astype(np.float32))


def stripe(rng: np.random.Generator, count: int, length: int, share: float) -> Tensor:
    """One run of hidden places in each row, of at most ``share``, shape (count, length) bool."""
    width = (uniform(rng, count, 0, share) * length)[:, None]
    start = (uniform(rng, count, 0, 1)[:, None]) * (length - width)
    place = torch.arange(length)[None]
    return (place >= start) & (place < start + width)


def some(rng: np.random.Generator, count: int, share: float) -> Tensor:
    """Numbers of the rows drawn, each with this chance, shape (drawn,)."""
    return torch.from_numpy(np.flatnonzero(rng.random(count) < share))
