"""Labels of training rows hidden on purpose.

To see what learning does without them, or as better ones are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from triaffect.features.store import FeatureStore
from triaffect.recipes.recipe import Recipe
from triaffect.tasks.registry import task as task_by_key
from triaffect.tasks.task import Task
from triaffect.training.held_out import hold_out, in_order, people_apart
from triaffect.types import BoolArray, LabelOrigin, Moments, Split, origin_column


def learnt_from(
    recipe: Recipe, store: FeatureStore, tasks: Sequence[Task], seed: int
) -> FeatureStore:
    """The store as a run learns from it: some labels hidden, some people held out."""
    trusted = humans_first(store, recipe.data.humans_first, tasks)
    hidden = hide_labels(trusted, recipe.data.hide_labels, tasks, seed)
    return hold_out(hidden, recipe.data.held_out)


def hide_labels(
    store: FeatureStore, share: float, tasks: Sequence[Task], seed: int
) -> FeatureStore:
    """The store, where a share of the training people lack the labels of each task.

    Which people is drawn for each task by itself. A row that is left with the labels of a single
    task becomes one of that task's label set, as if nothing else had ever been annotated.

    Args:
        store: The store; it is not changed.
        share: Of the people, in [0, 1); those who share a video count as one. 0 gives the store
            back.
        tasks: Whose labels to hide.
        seed: Decides who is drawn.
    """
    if not share:
        return store
    training = np.flatnonzero(store.moments.words("split") == Split.TRAIN)
    unit, names = people_apart(store, training)
    hidden = {}
    for task in tasks:
        without = np.zeros(len(names), np.bool_)
        without[in_order(names, f"{seed} {task.key} ")[: round(share * len(names))]] = True
        hidden[task.key] = np.zeros(len(store.moments), np.bool_)
        hidden[task.key][training[without[unit]]] = True
    changed = copy(store)
    changed.moments = _without(store.moments, hidden, tasks)
    return changed


def humans_first(store: FeatureStore, keys: Sequence[str], tasks: Sequence[Task]) -> FeatureStore:
    """The store, where tasks that people labelled are learnt from what people said alone.

    Rendered, derived and soft labels of these tasks leave the training rows if there is a human
    one among those; otherwise they are all there is, and stay. Rows change their label set as
    with `hide_labels`.

    Args:
        store: The store; it is not changed.
        keys: Keys of these tasks.
        tasks: The tasks of the recipe.

    Raises:
        TriaffectError: No task has such a key.
    """
    trusted = {task_by_key(key).key for key in keys}
    training = store.moments.words("split") == Split.TRAIN
    hidden = {task.key: np.zeros(len(training), np.bool_) for task in tasks}
    for task in (task for task in tasks if task.key in trusted):
        labelled = training & store.moments.labelled(task.columns)[0]
        origin = store.moments.table.column(origin_column(task.key))
        human = pc.equal(origin, LabelOrigin.HUMAN).fill_null(False).to_numpy()
        if (labelled & human).any():
            hidden[task.key] = labelled & ~human
    if not any(rows.any() for rows in hidden.values()):
        return store
    changed = copy(store)
    changed.moments = _without(store.moments, hidden, tasks)
    return changed


def _without(moments: Moments, hidden: Mapping[str, BoolArray], tasks: Sequence[Task]) -> Moments:
    """Moments that lack each task's labels in its hidden rows."""
    table = moments.table
    for task in tasks:
        for name in (*task.columns, origin_column(task.key)):
            if name in table.column_names:
                values = pc.if_else(hidden[task.key], None, table[name])
                table = _with(table, name, values)
    left = [Moments(table).labelled(task.columns)[0] for task in tasks]
    touched = np.any(list(hidden.values()), axis=0)
    sets = table["label_set"]
    for task, labelled in zip(tasks, left, strict=True):
        alone = touched & labelled & (np.sum(left, axis=0) == 1)
        sets = pc.if_else(alone, task.key, sets)
    return Moments(_with(table, "label_set", sets))


def _with(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, table.schema.field(name), values)
