"""The tasks there are. A new task is one file and one line here."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from triaffect.errors import TriaffectError
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION
from triaffect.tasks.task import Task
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL

TASKS: tuple[Task, ...] = (
    VALENCE_AROUSAL,
    EXPRESSION,
    ACTION_UNITS,
)


def task(key: str, tasks: Sequence[Task] = TASKS) -> Task:
    """Find a task by its key.

    Raises:
        TriaffectError: No task has that key; the message names the nearest.
    """
    by_key = {each.key: each for each in tasks}
    if key not in by_key:
        near = get_close_matches(key.upper(), by_key, 1, cutoff=0.3)
        remedy = f"did you mean {near[0]}?" if near else ""
        raise TriaffectError("one of the tasks " + ", ".join(by_key), repr(key), remedy)
    return by_key[key]
