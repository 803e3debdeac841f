"""Export of a finished run: its networks, what explains them, and one graph of them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.training.export.companions import add_companions, companion_files, golden_arrays
    from triaffect.training.export.end_to_end import export_graph
    from triaffect.training.export.run import (
        MIN_HALF_SIZE,
        OPSET,
        FeatureEncoder,
        export_run,
        halve,
        label_origins,
        quiet_exporter,
        to_onnx,
        without_traces,
    )

__all__ = [
    "MIN_HALF_SIZE",
    "OPSET",
    "FeatureEncoder",
    "add_companions",
    "companion_files",
    "export_graph",
    "export_run",
    "golden_arrays",
    "halve",
    "label_origins",
    "quiet_exporter",
    "to_onnx",
    "without_traces",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "companions": ["add_companions", "companion_files", "golden_arrays"],
        "end_to_end": ["export_graph"],
        "run": [
            "MIN_HALF_SIZE",
            "OPSET",
            "FeatureEncoder",
            "export_run",
            "halve",
            "label_origins",
            "quiet_exporter",
            "to_onnx",
            "without_traces",
        ],
    },
)
