"""Scores of the challenges, intervals, differences and thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

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

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "abaw": ["Score", "chance_score", "per_batch_score", "score_targets"],
        "bootstrap": ["Intervals"],
        "paired": ["Difference"],
        "tables": ["score_tables"],
        "thresholds": ["best_thresholds"],
    },
)
