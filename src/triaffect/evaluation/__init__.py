"""Scores of runs and models, comparisons of recipes, challenge submissions."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triaffect.evaluation.comparison.results import Comparison
    from triaffect.evaluation.evaluate import (
        EvaluationOptions,
        evaluate_folder,
        evaluate_model,
        evaluate_run,
    )
    from triaffect.evaluation.results import Evaluation, Resampling
    from triaffect.evaluation.submission.check import check_submission
    from triaffect.evaluation.submission.writer import Submission

__all__ = [
    "Comparison",
    "Evaluation",
    "EvaluationOptions",
    "Resampling",
    "Submission",
    "check_submission",
    "evaluate_folder",
    "evaluate_model",
    "evaluate_run",
]

_MODULES = {
    "Comparison": "triaffect.evaluation.comparison.results",
    "Evaluation": "triaffect.evaluation.results",
    "EvaluationOptions": "triaffect.evaluation.evaluate",
    "Resampling": "triaffect.evaluation.results",
    "Submission": "triaffect.evaluation.submission.writer",
    "check_submission": "triaffect.evaluation.submission.check",
    "evaluate_folder": "triaffect.evaluation.evaluate",
    "evaluate_model": "triaffect.evaluation.evaluate",
    "evaluate_run": "triaffect.evaluation.evaluate",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
