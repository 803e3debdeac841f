"""Other splits than a corpus's own: other people to test, and validation learnt from too."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from triaffect.errors import StoreError
from triaffect.features.store import FeatureStore
from triaffect.recipes.recipe import DataSpec
from triaffect.training.leaks import with_splits
from triaffect.types import Split


def split_anew(store: FeatureStore, data: DataSpec) -> FeatureStore:
    """The store with the splits that the recipe asks for.

    Args:
        store: The store; it is not changed.
        data: Its `test_people` and `refit`.

    Raises:
        StoreError: The store has no such people.
    """
    if data.test_people:
        store = with_test_people(store, data.test_people)
    if data.refit:
        split = store.moments.table["split"]
        store = with_splits(store, _where(pc.equal(split, Split.VALIDATION), Split.TRAIN, split))
    return store


def split_as_learnt(store: FeatureStore, data: DataSpec, learnt: str | None) -> FeatureStore:
    """A store to score a run on: with the run's own splits, if it is what the run learnt from.

    Args:
        store: The store; it is not changed.
        data: Of the run's recipe.
        learnt: Fingerprint of the store that the run learnt from.
    """
    if not (data.refit or data.test_people) or store.fingerprint(data.external) != learnt:
        return store
    return split_anew(store, data)


def with_test_people(store: FeatureStore, people: Sequence[str]) -> FeatureStore:
    """The store where these people are their corpora's test split, and what was it is learnt from.

    A person's corpus is the first part of the name, as in ``emodb/03``.

    Args:
        store: The store; it is not changed.
        people: Names of persons.

    Raises:
        StoreError: The store has no such people.
    """
    table = store.moments.table
    there = set(pc.unique(table["person"]).to_pylist())
    missing = [name for name in people if name not in there]
    if missing:
        raise StoreError(
            "people of the store as data.test_people",
            f"unknown ones: {', '.join(missing)}",
            f"names are such as {', '.join(sorted(there)[:2])}",
            where=store.path,
        )
    corpus = pc.list_element(pc.split_pattern(table["person"], "/", max_splits=1), 0)
    concerned = pc.is_in(corpus, pa.array(sorted({name.split("/")[0] for name in people})))
    tested = pc.is_in(table["person"], pa.array(list(people)))
    split = table["split"]
    freed = _where(pc.and_(concerned, pc.equal(split, Split.TEST)), Split.TRAIN, split)
    return with_splits(store, _where(tested, Split.TEST, freed))


def _where(rows: pa.ChunkedArray, then: Split, otherwise: pa.ChunkedArray) -> pa.ChunkedArray:
    """A split column with another split in some rows."""
    return pc.if_else(rows, pa.scalar(str(then), otherwise.type), otherwise)
