"""What an extractor is: the part of it that a store must remember."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from triaffect.types import Window


@dataclass(frozen=True)
class ExtractorSpec:
    """Identity and output of a face or voice extractor.

    Two stores can be compared, and a network be fed from a store, only if these are equal.

    Attributes:
        name: Such as ``"gray64"``, or the network's name in its model folder.
        sha256: Hash of the network's file; for a builtin its version.
        dim: Width of a row.
        dtype: ``"uint8"`` or ``"float16"``.
        rate: Samples per second of the sound it takes; 0 for a face extractor.
        window: Sound behind each row, and seconds between rows; None for a face extractor.
    """

    name: str
    sha256: str
    dim: int
    dtype: str
    rate: int = 0
    window: Window | None = None

    @property
    def row_dtype(self) -> np.dtype[Any]:
        """Return the NumPy type of `dtype`."""
        return np.dtype(self.dtype)

    def describe(self) -> str:
        """Name it with the beginning of its hash, for messages.

        Examples:
            >>> ExtractorSpec("gray64", "builtin-1", 4096, "uint8").describe()
            'gray64 (builtin-1)'
        """
        return f"{self.name} ({self.sha256[:12]})"
