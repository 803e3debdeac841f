"""Scores of runs and models, comparisons of recipes, challenge submissions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

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

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "comparison.results": ["Comparison"],
        "evaluate": ["EvaluationOptions", "evaluate_folder", "evaluate_model", "evaluate_run"],
        "results": ["Evaluation", "Resampling"],
        "submission.check": ["check_submission"],
        "submission.writer": ["Submission"],
    },
)
