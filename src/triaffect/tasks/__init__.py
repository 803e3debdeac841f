"""What is predicted, how it is learned and how it is scored."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triaffect.tasks.action_units import ActionUnits
    from triaffect.tasks.expression import Expression
    from triaffect.tasks.registry import TASKS
    from triaffect.tasks.task import LossOptions, ScoreDetails, Task, TaskScore
    from triaffect.tasks.valence_arousal import ValenceArousal

__all__ = [
    "TASKS",
    "ActionUnits",
    "Expression",
    "LossOptions",
    "ScoreDetails",
    "Task",
    "TaskScore",
    "ValenceArousal",
]

_MODULES = {
    "ActionUnits": "triaffect.tasks.action_units",
    "Expression": "triaffect.tasks.expression",
    "LossOptions": "triaffect.tasks.task",
    "ScoreDetails": "triaffect.tasks.task",
    "TASKS": "triaffect.tasks.registry",
    "Task": "triaffect.tasks.task",
    "TaskScore": "triaffect.tasks.task",
    "ValenceArousal": "triaffect.tasks.valence_arousal",
}


def __getattr__(name: str) -> object:
    """Import a name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
