"""What is predicted, how it is learned and how it is scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

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

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "action_units": ["ActionUnits"],
        "expression": ["Expression"],
        "registry": ["TASKS"],
        "task": ["LossOptions", "ScoreDetails", "Task", "TaskScore"],
        "valence_arousal": ["ValenceArousal"],
    },
)
