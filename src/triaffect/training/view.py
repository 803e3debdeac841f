"""Which rows and labels a run learns from: split, leaks, hidden labels, held-out people.

Scores on a person or a video that was learnt from say little of others. Such a leak is refused
unless it is allowed by name, or the rows that leak are left out of training.

A video is a source; sources that share a file, such as the two people of a twin video, are one
video. Single pictures are none: a store of them is one source with all splits in it.

What chooses an epoch is not fit to be reported: the best of twenty epochs on a set looks better
there than elsewhere. So a share of the training people is not learnt from, and validation only
reports.

Who is held out follows from names alone, not from the seed: a face network and the network that
reads its vectors, trained one after the other, hold out the same people.

To see what learning does without them, or as better ones are there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from triaffect.corpora.rows import name_videos
from triaffect.errors import StoreError
from triaffect.features.store import Entry, FeatureStore
from triaffect.recipes.config import DataSpec, Recipe
from triaffect.tasks.registry import task as task_by_key
from triaffect.tasks.task import Task
from triaffect.types import BoolArray, IntArray, LabelOrigin, Moments, Split, origin_column

LEFT_OUT = Split.EXCLUDED
"""In place of their split, in rows that belong to none any more."""

_GIVES_WAY_TO = {
    Split.TRAIN: frozenset({Split.VALIDATION, Split.TEST}),
    Split.VALIDATION: frozenset({Split.TEST}),
}
"""Splits for whose sake rows of another one are left out."""

_NAMED = 3
"""How many people or videos a message names."""


class LeakChoice(StrEnum):
    """What to do about people and videos in several splits."""

    REFUSE = "refuse"
    ALLOW = "allow"
    DROP = "drop"


@dataclass(frozen=True)
class Leaks:
    """What occurs in more than one split.

    Attributes:
        people: Splits of each such person, sorted.
        videos: Splits of each such video, sorted; named by its sources.
        sources: Sources of each such video.
    """

    people: dict[str, list[str]] = field(default_factory=dict)
    videos: dict[str, list[str]] = field(default_factory=dict)
    sources: dict[str, list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything does."""
        return bool(self.people or self.videos)

    def __str__(self) -> str:
        """How many people and videos, and the first few of each by name."""
        parts = [("people", self.people), ("videos", self.videos)]
        return " and ".join(_counted(what, names) for what, names in parts if names)


def find_leaks(store: FeatureStore, pools: Mapping[str, Sequence[str]]) -> Leaks:
    """Find people and videos in more than one split, among the rows that a recipe uses.

    Args:
        store: The store.
        pools: The recipe's pools: label sets, some narrowed to a corpus, by name.
    """
    keys = ["source", "person", "split", "label_set"]
    groups = store.moments.table.select(keys).group_by(keys).aggregate([])
    place = pc.index_in(groups["source"], pa.array(store.sources, pa.string()))
    corpora = pa.array([entry.corpus for entry in store.entries], pa.string()).take(place)
    narrow = pc.binary_join_element_wise(corpora, groups["label_set"], "/")
    wanted = pa.array(sorted({name for names in pools.values() for name in names}), pa.string())
    used = pc.or_(pc.is_in(groups["label_set"], wanted), pc.is_in(narrow, wanted))
    names = video_of(store)
    groups = groups.append_column("video", pa.array(names, pa.string()).take(place)).filter(used)
    videos = _in_several(groups, "video")
    sources = defaultdict(list)
    for source, video in zip(store.sources, names, strict=True):
        if video in videos:
            sources[video].append(source)
    return Leaks(_in_several(groups, "person"), videos, dict(sources))


def settle(store: FeatureStore, leaks: Leaks, choice: LeakChoice) -> FeatureStore:
    """Do about leaks what was chosen.

    Returns:
        The store; with `LeakChoice.DROP` one whose rows that leak belong to no split.

    Raises:
        StoreError: There are leaks, and they are to be refused.
    """
    if leaks and choice is LeakChoice.REFUSE:
        raise StoreError(
            "people and videos in one split each",
            f"{leaks} in several",
            "--drop-leak leaves out their rows for training, --allow-leak learns from them too",
            where=store.path,
        )
    return without_leaks(store, leaks) if leaks and choice is LeakChoice.DROP else store


def without_leaks(store: FeatureStore, leaks: Leaks) -> FeatureStore:
    """The store, where training rows of people and videos that validation or test have too are
    `LEFT_OUT`, and validation rows of those that test has.
    """  # noqa: D205 - one sentence
    table = store.moments.table
    drop = pa.repeat(pa.scalar(value=False), len(table))
    for split, others in _GIVES_WAY_TO.items():
        people = [name for name, splits in leaks.people.items() if others & set(splits)]
        videos = [name for name, splits in leaks.videos.items() if others & set(splits)]
        sources = [source for video in videos for source in leaks.sources[video]]
        leaking = pc.or_(_among(table["person"], people), _among(table["source"], sources))
        drop = pc.or_(drop, pc.and_(leaking, pc.equal(table["split"], split)))
    return with_splits(store, pc.if_else(drop, LEFT_OUT, table["split"]))


def with_splits(store: FeatureStore, splits: pa.ChunkedArray | pa.Array) -> FeatureStore:
    """The store with another split column, shape (moments,)."""
    table = store.moments.table
    place = table.column_names.index("split")
    changed = copy(store)
    changed.moments = Moments(table.set_column(place, table.schema.field("split"), splits))
    return changed


def told(before: FeatureStore, after: FeatureStore, leaks: Leaks) -> dict[str, Any]:
    """What was found and how many rows of each split were left out for it, for the journal."""
    rows = _rows_by_split(before)
    left = _rows_by_split(after)
    fewer = {split: rows[split] - left.get(split, 0) for split in rows}
    return {
        "people": leaks.people,
        "videos": leaks.videos,
        "left_out": {split: count for split, count in sorted(fewer.items()) if count},
    }


def video_of(store: FeatureStore) -> list[str | None]:
    """Name of each source's video; None for single pictures."""
    files = {entry.source: None if entry.stills else _file(entry) for entry in store.entries}
    return list(name_videos(files).values())


def _file(entry: Entry) -> str:
    """What a source is heard in, or else seen in."""
    return str(entry.files[-1]["path"]) if entry.files else entry.source


def _in_several(groups: pa.Table, key: str) -> dict[str, list[str]]:
    """Splits of each name in a column that has more than one."""
    groups = groups.select([key, "split"]).drop_null()
    counts = groups.group_by(key).aggregate([("split", "count_distinct")])
    several = counts.filter(pc.greater(counts["split_count_distinct"], 1))[key]
    found: defaultdict[str, set[str]] = defaultdict(set)
    for row in groups.filter(pc.is_in(groups[key], several)).to_pylist():
        found[row[key]].add(row["split"])
    return {name: sorted(found[name]) for name in sorted(found)}


def _among(column: pa.ChunkedArray, names: Sequence[str]) -> pa.ChunkedArray:
    return pc.is_in(column, pa.array(names, pa.string()))


def _rows_by_split(store: FeatureStore) -> dict[str, int]:
    counts = store.moments.table["split"].value_counts().to_pylist()
    return {row["values"]: row["counts"] for row in counts}


def _counted(what: str, names: Iterable[str]) -> str:
    names = list(names)
    more = ", …" if len(names) > _NAMED else ""
    return f"{len(names)} {what} ({', '.join(names[:_NAMED])}{more})"


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


HELD_OUT = Split.HELD_OUT
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
    training = np.flatnonzero(store.moments.dictionary_column("split") == Split.TRAIN)
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
    person, source = (
        store.moments.dictionary_column("person"),
        store.moments.dictionary_column("source"),
    )
    videos = dict(zip(store.sources, video_of(store), strict=True))
    pairs = np.unique(np.stack([source.codes[rows], person.codes[rows]], 1), axis=0)
    groups: dict[str, list[int]] = {}
    for code, who in pairs.tolist():
        video = videos[source.values[code]]
        if video is not None:  # the people of a set of pictures are strangers
            groups.setdefault(video, []).append(who)
    root = _joined(len(person.values), groups.values())
    units, unit = np.unique(root[person.codes[rows]], return_inverse=True)
    first: dict[int, str] = {}
    for who in np.unique(pairs[:, 1]).tolist():
        name = person.values[who]
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
    source, label_set = (
        store.moments.dictionary_column("source"),
        store.moments.dictionary_column("label_set"),
    )
    corpora = {entry.source: entry.corpus for entry in store.entries}
    names = [corpora[name] for name in source.values]
    corpus = np.unique(names, return_inverse=True)[1][source.codes[rows]]
    return np.unique(corpus * len(label_set.values) + label_set.codes[rows], return_inverse=True)[1]


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
    training = np.flatnonzero(store.moments.dictionary_column("split") == Split.TRAIN)
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
    training = store.moments.dictionary_column("split") == Split.TRAIN
    hidden = {task.key: np.zeros(len(training), np.bool_) for task in tasks}
    for task in (task for task in tasks if task.key in trusted):
        labelled = training & store.moments.labeled(task.columns)[0]
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
    left = [Moments(table).labeled(task.columns)[0] for task in tasks]
    touched = np.any(list(hidden.values()), axis=0)
    sets = table["label_set"]
    for task, labelled in zip(tasks, left, strict=True):
        alone = touched & labelled & (np.sum(left, axis=0) == 1)
        sets = pc.if_else(alone, task.key, sets)
    return Moments(_with(table, "label_set", sets))


def _with(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, table.schema.field(name), values)
