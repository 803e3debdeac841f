"""A part of the training rows held out, by which epochs are chosen and thresholds are set.

What chooses an epoch is not fit to be reported: the best of twenty epochs on a set looks better
there than elsewhere. So a share of the training people is not learnt from, and validation only
reports.

Who is held out follows from names alone, not from the seed: a face network and the network that
reads its vectors, trained one after the other, hold out the same people.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from triaffect.features.store import FeatureStore
from triaffect.training.leaks import video_of, with_splits
from triaffect.types import BoolArray, IntArray, Split

HELD_OUT = "held out"
"""In place of their split, in training rows that are kept for choosing."""

_DIGEST_BYTES = 8


def hold_out(store: FeatureStore, share: float) -> FeatureStore:
    """The store, where some training people belong to the split `HELD_OUT`.

    People who share a video stay together. Of each label set of each corpus about ``share`` of
    the rows are held out, and one person at least where it has two.

    Args:
        store: The store; it is not changed.
        share: Which part of the training rows to hold out, in [0, 1); 0 gives the store back.
    """
    if not share:
        return store
    training = np.flatnonzero(store.moments.words("split") == Split.TRAIN)
    unit, names = people_apart(store, training)
    counts = _rows_of(unit, len(names), _strata(store, training))
    held = _choose(counts, in_order(names), share)
    apart = np.zeros(len(store.moments), np.bool_)
    apart[training[held[unit]]] = True
    return with_splits(store, pc.if_else(apart, HELD_OUT, store.moments.table["split"]))


def people_apart(store: FeatureStore, rows: IntArray) -> tuple[IntArray, list[str]]:
    """Units of which none shares a person or a video with another.

    Args:
        store: The store.
        rows: Rows of its moments.

    Returns:
        Unit of each of the rows, and each unit's name: the first of its people's.
    """
    person, source = store.moments.words("person"), store.moments.words("source")
    videos = dict(zip(store.sources, video_of(store), strict=True))
    pairs = np.unique(np.stack([source.codes[rows], person.codes[rows]], 1), axis=0)
    groups: dict[str, list[int]] = {}
    for code, who in pairs.tolist():
        video = videos[source.names[code]]
        if video is not None:  # the people of a set of pictures are strangers
            groups.setdefault(video, []).append(who)
    root = _joined(len(person.names), groups.values())
    units, unit = np.unique(root[person.codes[rows]], return_inverse=True)
    first: dict[int, str] = {}
    for who in np.unique(pairs[:, 1]).tolist():
        name = person.names[who]
        first[int(root[who])] = min(first.get(int(root[who]), name), name)
    return unit, [first[int(one)] for one in units]


def in_order(names: Iterable[str], salt: str = "") -> IntArray:
    """Places of names in an order that follows from nothing but them, and the salt."""
    digests = [
        blake2b(f"{salt}{name}".encode(), digest_size=_DIGEST_BYTES).digest() for name in names
    ]
    return np.argsort(np.array([int.from_bytes(d) for d in digests], np.uint64), kind="stable")


def _joined(count: int, groups: Iterable[list[int]]) -> IntArray:
    """Root of each of ``count`` members, the same for all that some group joins."""
    root = list(range(count))

    def find(member: int) -> int:
        while root[member] != member:
            root[member] = root[root[member]]
            member = root[member]
        return member

    for group in groups:
        for one, other in pairwise(group):
            root[find(one)] = find(other)
    return np.array([find(member) for member in range(count)], np.int64)


def _strata(store: FeatureStore, rows: IntArray) -> IntArray:
    """Number of each row's corpus and label set together."""
    source, label_set = store.moments.words("source"), store.moments.words("label_set")
    corpora = {entry.source: entry.corpus for entry in store.entries}
    names = [corpora[name] for name in source.names]
    corpus = np.unique(names, return_inverse=True)[1][source.codes[rows]]
    return np.unique(corpus * len(label_set.names) + label_set.codes[rows], return_inverse=True)[1]


def _rows_of(unit: IntArray, units: int, stratum: IntArray) -> NDArray[np.float64]:
    """Rows of each unit in each stratum."""
    strata = int(stratum.max(initial=-1)) + 1
    counts = np.bincount(unit * strata + stratum, minlength=units * strata)
    return counts.reshape(units, strata).astype(np.float64)


def _choose(counts: NDArray[np.float64], order: IntArray, share: float) -> BoolArray:
    """Units that together come closest to the share of every stratum, shape (units,).

    One after the other in the given order, each unit that brings the strata closer to what is
    wanted of them is taken.
    """
    total = counts.sum(0)
    least = np.where(counts > 0, counts, np.inf).min(0, initial=np.inf)
    several = (counts > 0).sum(0) > 1
    wanted = np.where(several, np.maximum(share, least / total), 0)
    relative, taken, held = counts / total, np.zeros(len(total)), np.zeros(len(counts), np.bool_)
    for unit in order.tolist():
        with_it = taken + relative[unit]
        if ((with_it - wanted) ** 2).sum() < ((taken - wanted) ** 2).sum():
            taken, held[unit] = with_it, True
    return held
