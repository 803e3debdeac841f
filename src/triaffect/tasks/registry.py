"""The tasks there are: those of the package, and those that other packages add.

A new task of the package is one file and one line here. A task of another package is named by
its entry point in the group ``triaffect.tasks``, or by a dotted path such as
``my_module:ENGAGEMENT``; see `triaffect.io.plugins`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from triaffect.errors import PluginError, TriaffectError
from triaffect.io.plugins import Plugin, find_plugin, plugin_names
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION
from triaffect.tasks.task import Task
from triaffect.tasks.va_variants import VARIANTS
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL

TASKS: tuple[Task, ...] = (
    VALENCE_AROUSAL,
    EXPRESSION,
    ACTION_UNITS,
)
"""The tasks of the package; `available_tasks` has those of others too."""

NAMED = {
    "TAGS": "triaffect.tasks.mood_tags:MOOD_TAGS",
    "ACOUSTICS": "triaffect.tasks.acoustics:ACOUSTICS",
}
"""Paths of tasks of the package that stores and tables have only once they are named, by key."""

GROUP = "triaffect.tasks"

_loaded: dict[str, tuple[Task, Plugin]] = {}
"""Tasks of other packages, and of `NAMED`, that this process has loaded, by key."""


def task(name: str) -> Task:
    """Find a task by its key, or load it by its dotted path.

    Args:
        name: A key, such as ``"VA"``, one of `NAMED` or that of an entry point;
            ``"my_module:ENGAGEMENT"``; or a variant of valence and arousal, see
            `triaffect.tasks.va_variants`.

    Returns:
        The task; one of another package, or of `NAMED`, is imported at the first call.

    Raises:
        TriaffectError: No task has that key; the message names the nearest.
        PluginError: The task of another package is missing, fails on import or is no task.

    Examples:
        >>> task("VA").columns
        ('valence', 'arousal')
    """
    by_key = {each.key: each for each in TASKS} | {key: one for key, (one, _) in _loaded.items()}
    if name in by_key | VARIANTS:
        return (by_key | VARIANTS)[name]
    plugin = Plugin(NAMED[name]) if name in NAMED else find_plugin(GROUP, name)
    if plugin is not None:
        return load_task(plugin, name)
    keys = list(dict.fromkeys([*by_key, *NAMED, *plugin_names(GROUP)]))
    near = get_close_matches(name.upper(), keys, 1, cutoff=0.3)
    remedy = f"did you mean {near[0]}?" if near else ""
    raise TriaffectError("one of the tasks " + ", ".join(keys), repr(name), remedy)


def load_task(plugin: Plugin, name: str) -> Task:
    """Load a task of another package; `task` finds it by its key from then on.

    Args:
        plugin: Where it comes from.
        name: What it is called in messages.

    Returns:
        The task.

    Raises:
        PluginError: It is missing, fails on import, is no task, or has another task's key.
    """
    loaded = plugin.load(f"task {name.rpartition(':')[2]}")
    if not isinstance(loaded, Task):
        remedy = "name an instance of a subclass of triaffect.tasks.task.Task"
        raise PluginError(f"a task as {plugin.path}", f"{loaded!r:.60}", remedy)
    owner = _loaded.get(loaded.key, (loaded, plugin))[1]
    if loaded.key in {each.key for each in TASKS} or owner.path != plugin.path:
        remedy = "give it a key of its own"
        raise PluginError(f"a new key for the task {plugin.path}", repr(loaded.key), remedy)
    _loaded[loaded.key] = loaded, plugin
    return loaded


def resolve_tasks(names: Iterable[str]) -> list[Task]:
    """Find tasks by keys or dotted paths.

    Args:
        names: Of each task, as `task` takes them.

    Returns:
        The tasks, in the same order.

    Raises:
        TriaffectError: A task is unknown, or named twice.
        PluginError: The task of another package is missing, fails on import or is no task.

    Examples:
        >>> [each.name for each in resolve_tasks(["EXPR", "VA"])]
        ['expression', 'valence_arousal']
    """
    tasks = [task(name) for name in names]
    keys = [each.key for each in tasks]
    for key in keys:
        if keys.count(key) > 1:
            raise TriaffectError("each task once", f"{key} {keys.count(key)} times")
    return tasks


def available_tasks() -> tuple[Task, ...]:
    """List the tasks of the package, of installed packages, and those loaded by their paths.

    A task of an installed package that cannot be loaded is left out, with a warning.
    """
    for name in plugin_names(GROUP):
        try:
            task(name)
        except PluginError as error:
            warnings.warn(str(error), stacklevel=2)
    return (*TASKS, *(loaded for loaded, _ in _loaded.values()))


def task_plugins(tasks: Iterable[Task]) -> Mapping[str, Plugin]:
    """Say where those of the tasks come from that other packages add.

    Args:
        tasks: Any tasks.

    Returns:
        By key, of those that `task` or `load_task` has loaded; none of this package's.
    """
    return {each.key: _loaded[each.key][1] for each in tasks if each.key in _loaded}
