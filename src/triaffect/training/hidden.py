"""Labels of training rows hidden on purpose, to see what learning does without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from triaffect.features.store import FeatureStore
from triaffect.tasks.task import Task
from triaffect.training.held_out import in_order, people_apart
from triaffect.types import BoolArray, Moments, Split, origin_column


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
