"""The rows that several recipes' networks can all be asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce

import numpy as np

from triaffect.errors import StoreError
from triaffect.evaluation.comparison.systems import Entry
from triaffect.evaluation.evaluate import Split, split_of
from triaffect.features.store import FeatureStore
from triaffect.tasks.registry import resolve_tasks
from triaffect.training.build import build_samples
from triaffect.training.view import apply_run_splits
from triaffect.types import IntArray

_NO_MATTER = {
    *("pools", "batch_size", "min_batch", "augment", "balance"),
    *("held_out", "hide_labels", "humans_first"),
}
"""Of a recipe's data, what does not decide which rows can be asked about."""


@dataclass(frozen=True)
class Common:
    """Rows that every system is scored on.

    Attributes:
        split: Their split.
        moments: Their places in the store's Moments table, ascending, shape (N,).
        unit: Number of each row's video (in a set of stills: person), from 0, shape (N,).
        asked: By entry, how many rows of the split it can be asked about.
    """

    split: str
    moments: IntArray
    unit: IntArray
    asked: dict[str, int]

    @property
    def units(self) -> int:
        """How many videos, or people, there are."""
        return int(self.unit.max()) + 1


def common_rows(
    entries: Sequence[Entry], store: FeatureStore, split: str
) -> tuple[Common | None, dict[str, str]]:
    """Rows of a split that every entry can be asked about, and why an entry cannot be asked.

    Returns:
        The rows, None if no entry can be asked; and the error by entry.

    Raises:
        TriaffectError: No such split.
        StoreError: There is no row that all can be asked about.
    """
    asked: dict[str, IntArray] = {}
    errors: dict[str, str] = {}
    known: dict[str, IntArray] = {}
    first = None
    for entry in entries:
        key = entry.recipe.data.model_dump_json(exclude=_NO_MATTER) + str(entry.recipe.tasks)
        key += entry.identity.data
        try:
            if key not in known:
                rows = _rows_of_split(entry, store, split)
                known[key], first = rows.samples.rows.moments[rows.rows], first or rows
            asked[entry.name] = known[key]
        except StoreError as error:
            errors[entry.name] = str(error)
    if first is None:
        return None, errors
    shared = reduce(partial(np.intersect1d, assume_unique=True), known.values())
    if not len(shared):
        expected = f"rows of the split '{split}' that all entries can be asked about"
        raise StoreError(expected, "none", "compare fewer of them", where=store.path)
    units = first.units()[np.searchsorted(first.samples.rows.moments[first.rows], shared)]
    _, unit = np.unique(units, return_inverse=True)
    return Common(split, shared, unit, {name: len(each) for name, each in asked.items()}), errors


def _rows_of_split(entry: Entry, store: FeatureStore, split: str) -> Split:
    """What of a split an entry's networks can be asked about."""
    recipe = entry.recipe
    store = apply_run_splits(store, recipe.data, entry.identity.data)
    tasks = resolve_tasks(recipe.tasks)
    return split_of(store, build_samples(recipe.data, store, tasks), split, tasks)
