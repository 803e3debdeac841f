"""The rows that the networks of all compared recipes have inputs for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce

import numpy as np

from triaffect.errors import StoreError
from triaffect.evaluation.comparison.systems import ComparedRecipe
from triaffect.evaluation.evaluate import rows_of_split
from triaffect.features.store import FeatureStore
from triaffect.metrics.abaw import reachable_scores
from triaffect.tasks.registry import resolve_tasks
from triaffect.training.build import build_samples
from triaffect.training.scoring import truth_of
from triaffect.training.view import apply_run_splits
from triaffect.types import IntArray

_KEYS_WITHOUT_EFFECT_ON_INPUTS = {
    *("pools", "batch_size", "min_batch", "augment", "balance"),
    *("held_out", "hide_labels", "humans_first"),
}
"""Keys of a recipe's data that do not change which rows have inputs."""


@dataclass(frozen=True)
class CommonRows:
    """Rows that every system is scored on.

    Attributes:
        split: Their split.
        moments: Their places in the store's Moments table, ascending, shape (N,).
        unit: Number of each row's video (in a set of stills: person), from 0, shape (N,).
        available: By recipe, how many rows of the split it has inputs for.
        reachable: Best official scores that their labels allow; see `reachable_scores`.
    """

    split: str
    moments: IntArray
    unit: IntArray
    available: dict[str, int]
    reachable: dict[str, float]

    @property
    def units(self) -> int:
        """Number of videos, or people."""
        return int(self.unit.max()) + 1


def common_rows(
    entries: Sequence[ComparedRecipe], store: FeatureStore, split: str
) -> tuple[CommonRows | None, dict[str, str]]:
    """Find the rows of a split that every recipe has inputs for.

    Args:
        entries: The recipes; those that read the same inputs are looked up once.
        store: The store.
        split: "train", "validation" or "test", as each recipe assigns it.

    Returns:
        The rows, None if the store can serve no recipe; and by name of a recipe that it cannot
        serve the reason.

    Raises:
        TriaffectError: No such split.
        StoreError: There is no row that all have inputs for.
    """
    available: dict[str, IntArray] = {}
    errors: dict[str, str] = {}
    by_inputs: dict[str, IntArray] = {}
    first = None
    for entry in entries:
        key = entry.recipe.data.model_dump_json(exclude=_KEYS_WITHOUT_EFFECT_ON_INPUTS)
        key += str(entry.recipe.tasks) + entry.identity.data
        try:
            if key not in by_inputs:
                data, tasks = entry.recipe.data, resolve_tasks(entry.recipe.tasks)
                with_splits = apply_run_splits(store, data, entry.identity.data)
                samples = build_samples(data, with_splits, tasks)
                rows = rows_of_split(with_splits, samples, split, tasks)
                by_inputs[key], first = rows.samples.rows.moments[rows.rows], first or rows
            available[entry.name] = by_inputs[key]
        except StoreError as error:
            errors[entry.name] = str(error)
    if first is None:
        return None, errors
    shared = reduce(partial(np.intersect1d, assume_unique=True), by_inputs.values())
    if not len(shared):
        expected = f"rows of the split '{split}' that all entries have inputs for"
        raise StoreError(expected, "none", "compare fewer of them", where=store.path)
    own = np.searchsorted(first.samples.rows.moments[first.rows], shared)
    _, unit = np.unique(first.units()[own], return_inverse=True)
    counts = {name: len(each) for name, each in available.items()}
    reachable = reachable_scores(truth_of(first.samples, first.rows[own]), first.tasks)
    return CommonRows(split, shared, unit, counts, reachable), errors
