"""Prediction: videos, pictures and sounds in, tables out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.prediction.batch import predict_files
    from triaffect.prediction.options import Options
    from triaffect.prediction.parts import PredictionJob
    from triaffect.prediction.predictor import (
        DoubtfulMediaWarning,
        PartialMediaWarning,
        Predictor,
        load,
        load_cached,
    )

__all__ = [
    "DoubtfulMediaWarning",
    "Options",
    "PartialMediaWarning",
    "PredictionJob",
    "Predictor",
    "load",
    "load_cached",
    "predict_files",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "batch": ["predict_files"],
        "options": ["Options"],
        "parts": ["PredictionJob"],
        "predictor": [
            "DoubtfulMediaWarning",
            "PartialMediaWarning",
            "Predictor",
            "load",
            "load_cached",
        ],
    },
)
