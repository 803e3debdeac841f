"""Prediction: videos, pictures and sounds in, tables out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triaffect.prediction.batch import PredictionJob, predict_files
    from triaffect.prediction.options import Options
    from triaffect.prediction.predictor import PartialMediaWarning, Predictor, load, load_cached

__all__ = [
    "Options",
    "PartialMediaWarning",
    "PredictionJob",
    "Predictor",
    "load",
    "load_cached",
    "predict_files",
]

_MODULES = {
    "Options": "triaffect.prediction.options",
    "PartialMediaWarning": "triaffect.prediction.predictor",
    "PredictionJob": "triaffect.prediction.batch",
    "Predictor": "triaffect.prediction.predictor",
    "load": "triaffect.prediction.predictor",
    "load_cached": "triaffect.prediction.predictor",
    "predict_files": "triaffect.prediction.batch",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
