"""What a network sees: windows of stored vectors, or augmented crops and spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.datasets.batches import Rows, Samples, make_batch, plan_epoch
    from triaffect.datasets.images import CropSamples
    from triaffect.datasets.spectra import LogmelSamples
    from triaffect.datasets.windows import Streams, WindowLookup, WindowSamples

__all__ = [
    "CropSamples",
    "LogmelSamples",
    "Rows",
    "Samples",
    "Streams",
    "WindowLookup",
    "WindowSamples",
    "make_batch",
    "plan_epoch",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "batches": ["Rows", "Samples", "make_batch", "plan_epoch"],
        "images": ["CropSamples"],
        "spectra": ["LogmelSamples"],
        "windows": ["Streams", "WindowLookup", "WindowSamples"],
    },
)
