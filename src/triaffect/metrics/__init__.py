"""Scores of the challenges, intervals, differences and thresholds."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triaffect.metrics.abaw import Score, chance_score, per_batch_score, score_targets
    from triaffect.metrics.bootstrap import Intervals
    from triaffect.metrics.paired import Difference
    from triaffect.metrics.tables import score_tables
    from triaffect.metrics.thresholds import best_thresholds

__all__ = [
    "Difference",
    "Intervals",
    "Score",
    "best_thresholds",
    "chance_score",
    "per_batch_score",
    "score_tables",
    "score_targets",
]

_MODULES = {
    "Difference": "triaffect.metrics.paired",
    "Intervals": "triaffect.metrics.bootstrap",
    "Score": "triaffect.metrics.abaw",
    "best_thresholds": "triaffect.metrics.thresholds",
    "chance_score": "triaffect.metrics.abaw",
    "per_batch_score": "triaffect.metrics.abaw",
    "score_tables": "triaffect.metrics.tables",
    "score_targets": "triaffect.metrics.abaw",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
