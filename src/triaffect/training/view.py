"""Which rows and labels a run learns from.

`TrainingView.of` is the one place where they are decided, in this order:

1. *splits*: those of the store, or other test people, or validation learned from too;
2. *leaks*: people and videos in several splits are refused, allowed, or left out of training.
   Scores on a person or a video that was trained on say little of others;
3. *trusted labels*: tasks that people labeled are learned from people's labels alone;
4. *hidden labels*: labels of a share of the people are removed, to see what training does
   without them;
5. *held-out people*: a share of the training people is not learned from. The best of twenty
   epochs on a set looks better there than elsewhere, so epochs are chosen on these people, and
   validation only reports.

Where a recipe has a task whose labels are computed, sounds without any moment get some first.

A video is a source; sources that share a file, such as the two people of a twin video, are one
video. Single pictures are none: a store of them is one source with all splits in it.

Who is held out follows from names alone, not from the seed: a face network and the network that
reads its vectors, trained one after the other, hold out the same people.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from triaffect.corpora.acted_speech import middle_times_s
from triaffect.corpora.rows import build_moments, name_videos
from triaffect.errors import StoreError
from triaffect.features.store import FeatureStore
from triaffect.recipes.config import DataSpec, Recipe
from triaffect.tasks.presence import PRESENT
from triaffect.tasks.registry import resolve_tasks
from triaffect.tasks.registry import task as task_by_key
from triaffect.tasks.task import Task
from triaffect.types import (
    BoolArray,
    IntArray,
    LabelOrigin,
    Moments,
    Split,
    Targets,
    origin_column,
)
from triaffect.voice.log_mel import ROWS_PER_S

_LATER_SPLITS = {
    Split.TRAIN: frozenset({Split.VALIDATION, Split.TEST}),
    Split.VALIDATION: frozenset({Split.TEST}),
}
"""Splits for whose sake rows of a split are excluded."""

_EXAMPLES = 3
"""How many people or videos a message names."""

_DIGEST_BYTES = 8


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
        """Say whether anything occurs in more than one split."""
        return bool(self.people or self.videos)

    def __str__(self) -> str:
        """Count people and videos, and name the first few of each."""
        parts = []
        for noun, names in (("people", list(self.people)), ("videos", list(self.videos))):
            more = ", …" if len(names) > _EXAMPLES else ""
            if names:
                parts.append(f"{len(names)} {noun} ({', '.join(names[:_EXAMPLES])}{more})")
        return " and ".join(parts)


@dataclass(frozen=True)
class TrainingView:
    """A store as one run learns from it.

    Attributes:
        store: The store, with the run's splits and labels in its moments.
        leaks: People and videos in several splits.
        excluded: How many rows of each split were left out because of them.
    """

    store: FeatureStore
    leaks: Leaks
    excluded: dict[str, int]

    @staticmethod
    def of(
        recipe: Recipe, store: FeatureStore, seed: int, leaks: LeakChoice = LeakChoice.REFUSE
    ) -> TrainingView:
        """Decide which rows and labels a run learns from.

        Args:
            recipe: Its data keys say which; see the module.
            store: The store; it is not changed.
            seed: Seed of the run; it decides whose labels are hidden.
            leaks: What to do about people and videos in several splits.

        Returns:
            The store as the run learns from it, and what was left out.

        Raises:
            StoreError: There are leaks, and they are to be refused; or the store has no such
                people as the recipe names.
        """
        tasks = resolve_tasks(recipe.tasks)
        for task in tasks:
            if task.computed:
                store = add_unlabeled_sounds(store, task.key)
        store = apply_splits(store, recipe.data)
        leaking = find_leaks(store, recipe.data.pools)
        if leaking and leaks is LeakChoice.REFUSE:
            raise StoreError(
                "people and videos in one split each",
                f"{leaking} in several",
                "--drop-leak leaves out their rows for training, --allow-leak learns from them too",
                where=store.path,
            )
        before = _count_by_split(store)
        if leaking and leaks is LeakChoice.DROP:
            store = exclude_leaks(store, leaking)
        after = _count_by_split(store)
        fewer = {split: count - after.get(split, 0) for split, count in sorted(before.items())}
        store = use_trusted_labels(store, recipe.data.humans_first, tasks)
        store = hide_labels(store, recipe.data.hide_labels, tasks, seed)
        store = hold_out_people(store, recipe.data.held_out)
        return TrainingView(store, leaking, {split: n for split, n in fewer.items() if n})

    @property
    def moments(self) -> Moments:
        """Return the moments with the run's splits and labels."""
        return self.store.moments

    def rows(self, split: str) -> IntArray:
        """Find the moments of a split.

        Args:
            split: A `Split`.

        Returns:
            Their row numbers, ascending, shape (rows,), int64.
        """
        return np.flatnonzero(self.moments.dictionary_column("split") == split)


def add_unlabeled_sounds(store: FeatureStore, label_set: str) -> FeatureStore:
    """Give sources that have sound and no moment some to learn from, as clips with labels have.

    Args:
        store: The store; it is not changed.
        label_set: Annotation set of the new moments.

    Returns:
        A copy with moments every half second of the middle half of each such sound, of the
        training split; who speaks is not known, so each sound is a person of its own. The store
        itself if there is none.
    """
    added = [store.moments]
    for source, entry in zip(store.sources, store.entries, strict=True):
        first, end = entry.voice
        if end == first or entry.moments[1] > entry.moments[0]:
            continue
        times = middle_times_s((end - first) / ROWS_PER_S)
        frames = np.arange(len(times), dtype=np.int32)
        keys: dict[str, str | int | NDArray[np.generic]] = {"source": source, "person": source}
        keys |= {"track": -1, "frame": frames, "time_s": times}
        keys |= {"split": Split.TRAIN, "label_set": label_set}
        added.append(build_moments(len(times), keys, {}, LabelOrigin.HUMAN, ()))
    return _with_moments(store, Moments.concat(added)) if len(added) > 1 else store


def apply_run_splits(store: FeatureStore, data: DataSpec, trained_on: str | None) -> FeatureStore:
    """Give a store the splits of a run that is scored on it, if the run was trained on it.

    Args:
        store: The store; it is not changed.
        data: Data keys of the run's recipe.
        trained_on: Fingerprint of the store that the run was trained on.

    Returns:
        The store, or a copy with other splits.
    """
    if not (data.refit or data.test_people) or store.fingerprint(data.external) != trained_on:
        return store
    return apply_splits(store, data)


def apply_splits(store: FeatureStore, data: DataSpec) -> FeatureStore:
    """Give a store the splits that a recipe asks for.

    People named as ``data.test_people`` are their corpora's test split, and what was it is
    learned from. A person's corpus is the first part of the name, as in ``emodb/03``. With
    ``data.refit`` validation is learned from too.

    Args:
        store: The store; it is not changed.
        data: Data keys of the recipe.

    Returns:
        A copy with other splits; the store itself if the recipe asks for none.

    Raises:
        StoreError: The store has no such people.
    """
    if data.test_people:
        store = _with_splits(store, _swap_test_people(store, data.test_people))
    if data.refit:
        split = store.moments.table["split"]
        trained = _replace_where(pc.equal(split, Split.VALIDATION), Split.TRAIN, split)
        store = _with_splits(store, trained)
    return store


def _swap_test_people(store: FeatureStore, people: Sequence[str]) -> pa.ChunkedArray:
    """Make the split column where these people are tested in place of their corpora's own."""
    table = store.moments.table
    names = set(pc.unique(table["person"]).to_pylist())
    missing = [name for name in people if name not in names]
    if missing:
        raise StoreError(
            "people of the store as data.test_people",
            f"unknown ones: {', '.join(missing)}",
            f"names are such as {', '.join(sorted(names)[:2])}",
            where=store.path,
        )
    corpus = pc.list_element(pc.split_pattern(table["person"], "/", max_splits=1), 0)
    concerned = pc.is_in(corpus, pa.array(sorted({name.split("/")[0] for name in people})))
    tested = pc.is_in(table["person"], pa.array(list(people)))
    split = table["split"]
    freed = _replace_where(pc.and_(concerned, pc.equal(split, Split.TEST)), Split.TRAIN, split)
    return _replace_where(tested, Split.TEST, freed)


def _replace_where(rows: pa.ChunkedArray, split: Split, column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(rows, pa.scalar(str(split), column.type), column)


def _with_splits(store: FeatureStore, splits: pa.ChunkedArray | pa.Array) -> FeatureStore:
    """Copy a store with another split column, shape (moments,)."""
    return _with_moments(store, Moments(_with_column(store.moments.table, "split", splits)))


def _with_moments(store: FeatureStore, moments: Moments) -> FeatureStore:
    changed = copy(store)
    changed.moments = moments
    return changed


def _with_column(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    index = table.column_names.index(name)
    return table.set_column(index, table.schema.field(name), values)


def find_leaks(store: FeatureStore, pools: Mapping[str, Sequence[str]]) -> Leaks:
    """Find people and videos in more than one split, among the rows that a recipe uses.

    Args:
        store: The store.
        pools: The recipe's pools: label sets, some narrowed to a corpus, by name.

    Returns:
        What is in several splits; false if nothing is.
    """
    keys = ["source", "person", "split", "label_set"]
    groups = store.moments.table.select(keys).group_by(keys).aggregate([])
    entry = pc.index_in(groups["source"], pa.array(store.sources, pa.string()))
    corpora = pa.array([entry.corpus for entry in store.entries], pa.string()).take(entry)
    narrow = pc.binary_join_element_wise(corpora, groups["label_set"], "/")
    used = pa.array(sorted({name for names in pools.values() for name in names}), pa.string())
    mask = pc.or_(pc.is_in(groups["label_set"], used), pc.is_in(narrow, used))
    names = video_of(store)
    groups = groups.append_column("video", pa.array(names, pa.string()).take(entry)).filter(mask)
    videos = _find_in_several_splits(groups, "video")
    sources = defaultdict(list)
    for source, video in zip(store.sources, names, strict=True):
        if video in videos:
            sources[video].append(source)
    return Leaks(_find_in_several_splits(groups, "person"), videos, dict(sources))


def _find_in_several_splits(groups: pa.Table, key: str) -> dict[str, list[str]]:
    """Find the splits of each name in a column that has more than one."""
    groups = groups.select([key, "split"]).drop_null()
    counts = groups.group_by(key).aggregate([("split", "count_distinct")])
    several = counts.filter(pc.greater(counts["split_count_distinct"], 1))[key]
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for row in groups.filter(pc.is_in(groups[key], several)).to_pylist():
        splits[row[key]].add(row["split"])
    return {name: sorted(splits[name]) for name in sorted(splits)}


def exclude_leaks(store: FeatureStore, leaks: Leaks) -> FeatureStore:
    """Exclude rows of people and videos that a later split has too.

    Training rows give way to validation and test, validation rows to test.

    Args:
        store: The store; it is not changed.
        leaks: As `find_leaks` returns them.

    Returns:
        A copy in which these rows have the split `Split.EXCLUDED`.
    """
    table = store.moments.table
    drop = pa.repeat(pa.scalar(value=False), len(table))
    for split, others in _LATER_SPLITS.items():
        people = [name for name, splits in leaks.people.items() if others & set(splits)]
        videos = [name for name, splits in leaks.videos.items() if others & set(splits)]
        sources = [source for video in videos for source in leaks.sources[video]]
        leaking = pc.or_(
            pc.is_in(table["person"], pa.array(people, pa.string())),
            pc.is_in(table["source"], pa.array(sources, pa.string())),
        )
        drop = pc.or_(drop, pc.and_(leaking, pc.equal(table["split"], split)))
    return _with_splits(store, pc.if_else(drop, Split.EXCLUDED, table["split"]))


def video_of(store: FeatureStore) -> list[str | None]:
    """Name each source's video.

    It is named by the file whose sound belongs to the source, or else by the file it is seen in.

    Args:
        store: The store.

    Returns:
        A name for each source, in their order, the same for sources of one video; None for
        single pictures.
    """
    files: dict[str, str | None] = {}
    for entry in store.entries:
        file = str(entry.files[-1]["path"]) if entry.files else entry.source
        files[entry.source] = None if entry.stills else file
    return list(name_videos(files).values())


def _count_by_split(store: FeatureStore) -> dict[str, int]:
    counts = store.moments.table["split"].value_counts().to_pylist()
    return {row["values"]: row["counts"] for row in counts}


def use_trusted_labels(
    store: FeatureStore, keys: Sequence[str], tasks: Sequence[Task]
) -> FeatureStore:
    """Remove labels that are not a person's from training rows of tasks that people labeled.

    Rendered, derived and soft labels of these tasks leave the training rows if there is a human
    one among those; otherwise they are all there is, and stay. Rows change their label set as
    with `hide_labels`.

    Args:
        store: The store; it is not changed.
        keys: Keys of these tasks.
        tasks: The tasks of the recipe.

    Returns:
        A copy without these labels; the store itself if there are none.

    Raises:
        TriaffectError: No task has such a key.
    """
    trusted = {task_by_key(key).key for key in keys}
    training = store.moments.dictionary_column("split") == Split.TRAIN
    hidden = {task.key: np.zeros(len(training), np.bool_) for task in tasks}
    for task in (task for task in tasks if task.key in trusted):
        labeled = training & store.moments.labeled(task.columns)[0]
        origin = store.moments.table.column(origin_column(task.key))
        human = pc.equal(origin, LabelOrigin.HUMAN).fill_null(False).to_numpy()
        if (labeled & human).any():
            hidden[task.key] = labeled & ~human
    if not any(rows.any() for rows in hidden.values()):
        return store
    return _with_moments(store, _remove_labels(store.moments, hidden, tasks))


def unlearned_columns(moments: Moments, tasks: Sequence[Task]) -> list[str]:
    """List the outputs that no label teaches, so that a model cannot say anything of them.

    Args:
        moments: Moments of a `TrainingView`.
        tasks: What is predicted.

    Returns:
        Columns, in their order: of a value those whose training labels never differ; of presence
        those without a label for it, or without one against it; of classes those that never occur.
    """
    training = np.flatnonzero(moments.dictionary_column("split") == Split.TRAIN)
    columns = []
    for task in tasks:
        targets = moments.targets(task.key, task.columns)
        values, valid = targets.values[training], targets.valid[training]
        for name, own, there in zip(task.columns, values.T, valid.T, strict=True):
            if task.exclusive:
                is_learned = bool((own[there] > 0).any())
            elif name in task.threshold_columns:
                is_learned = len(np.unique(own[there] >= PRESENT)) > 1
            else:
                is_learned = len(np.unique(own[there])) > 1
            if not is_learned:
                columns.append(name)
    return columns


def constant_parts(task: Task, targets: Targets) -> set[str]:
    """List the parts of a task's score whose labels do not differ: they decide nothing.

    Args:
        task: The task.
        targets: Labels of the rows that are scored.

    Returns:
        Names among the task's ``part_names``: values and presence with one label throughout, and
        all classes where only one occurs. A unit that is always present would score 1 for being
        called so.
    """
    if task.exclusive:
        labels = targets.values[targets.valid.all(axis=1)]
        return set(task.part_names) if len(np.unique(labels.argmax(axis=1))) <= 1 else set()
    parts = set()
    for name, own, there in zip(task.part_names, targets.values.T, targets.valid.T, strict=True):
        labels = own[there] >= PRESENT if task.threshold_columns else own[there]
        if len(np.unique(labels)) <= 1:
            parts.add(name)
    return parts


def hide_labels(
    store: FeatureStore, share: float, tasks: Sequence[Task], seed: int
) -> FeatureStore:
    """Remove the labels of each task from a share of the training people.

    Which people is drawn for each task by itself. A row that is left with the labels of a single
    task becomes one of that task's label set, as if nothing else had ever been annotated.

    Args:
        store: The store; it is not changed.
        share: Of the people, in [0, 1); those who share a video count as one. 0 gives the store
            back.
        tasks: Whose labels to hide.
        seed: Decides who is drawn.

    Returns:
        A copy without these labels.
    """
    if not share:
        return store
    training = np.flatnonzero(store.moments.dictionary_column("split") == Split.TRAIN)
    unit, names = group_people(store, training)
    hidden = {}
    for task in tasks:
        without = np.zeros(len(names), np.bool_)
        without[_order_names(names, f"{seed} {task.key} ")[: round(share * len(names))]] = True
        hidden[task.key] = np.zeros(len(store.moments), np.bool_)
        hidden[task.key][training[without[unit]]] = True
    return _with_moments(store, _remove_labels(store.moments, hidden, tasks))


def _remove_labels(
    moments: Moments, hidden: Mapping[str, BoolArray], tasks: Sequence[Task]
) -> Moments:
    """Remove each task's labels from its hidden rows, masks of shape (moments,)."""
    table = moments.table
    for task in tasks:
        for name in (*task.columns, origin_column(task.key)):
            if name in table.column_names:
                values = pc.if_else(hidden[task.key], None, table[name])
                table = _with_column(table, name, values)
    left = [Moments(table).labeled(task.columns)[0] for task in tasks]
    touched = np.any(list(hidden.values()), axis=0)
    sets = table["label_set"]
    for task, labeled in zip(tasks, left, strict=True):
        single = touched & labeled & (np.sum(left, axis=0) == 1)
        sets = pc.if_else(single, task.key, sets)
    return Moments(_with_column(table, "label_set", sets))


def hold_out_people(store: FeatureStore, share: float) -> FeatureStore:
    """Move some training people to the split `Split.HELD_OUT`.

    People who share a video stay together. Of each label set of each corpus about ``share`` of
    the rows are held out, and one person at least where it has two.

    Args:
        store: The store; it is not changed.
        share: Which part of the training rows to hold out, in [0, 1); 0 gives the store back.

    Returns:
        A copy with these people in another split.
    """
    if not share:
        return store
    training = np.flatnonzero(store.moments.dictionary_column("split") == Split.TRAIN)
    unit, names = group_people(store, training)
    # Rows of one corpus and label set are a stratum.
    source = store.moments.dictionary_column("source")
    label_set = store.moments.dictionary_column("label_set")
    corpora = {entry.source: entry.corpus for entry in store.entries}
    _, corpus = np.unique([corpora[name] for name in source.values], return_inverse=True)
    keys = corpus[source.codes[training]] * len(label_set.values) + label_set.codes[training]
    stratum = np.unique(keys, return_inverse=True)[1]
    strata = int(stratum.max(initial=-1)) + 1
    counts = np.bincount(unit * strata + stratum, minlength=len(names) * strata)
    by_unit = counts.reshape(len(names), strata).astype(np.float64)
    held_out = choose_units(by_unit, _order_names(names), share)
    rows = np.zeros(len(store.moments), np.bool_)
    rows[training[held_out[unit]]] = True
    return _with_splits(store, pc.if_else(rows, Split.HELD_OUT, store.moments.table["split"]))


def group_people(store: FeatureStore, rows: IntArray) -> tuple[IntArray, list[str]]:
    """Group rows into units of which none shares a person or a video with another.

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
    root = _find_roots(len(person.values), groups.values())
    units, unit = np.unique(root[person.codes[rows]], return_inverse=True)
    first: dict[int, str] = {}
    for who in np.unique(pairs[:, 1]).tolist():
        name = person.values[who]
        first[int(root[who])] = min(first.get(int(root[who]), name), name)
    return unit, [first[int(one)] for one in units]


def _order_names(names: Iterable[str], salt: str = "") -> IntArray:
    """Order names by nothing but themselves and the salt; gives their numbers."""
    digests = [
        blake2b(f"{salt}{name}".encode(), digest_size=_DIGEST_BYTES).digest() for name in names
    ]
    return np.argsort(np.array([int.from_bytes(d) for d in digests], np.uint64), kind="stable")


def _find_roots(count: int, groups: Iterable[list[int]]) -> IntArray:
    """Find a root of each of ``count`` members, the same for all that some group joins."""
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


def choose_units(counts: NDArray[np.float64], order: IntArray, share: float) -> BoolArray:
    """Add units greedily while the share of every stratum gets closer to its target.

    >>> counts = np.array([[5.0, 0.0], [5.0, 5.0], [0.0, 5.0]])
    >>> choose_units(counts, np.array([1, 0, 2]), share=0.5).tolist()
    [False, True, False]

    Args:
        counts: Rows of each unit in each stratum, shape (units, strata).
        order: Order in which units are tried, shape (units,).
        share: Target share of each stratum; at least one unit where it has two.

    Returns:
        Which units are chosen, shape (units,).
    """
    total = counts.sum(0)
    least = np.where(counts > 0, counts, np.inf).min(0, initial=np.inf)
    several = (counts > 0).sum(0) > 1
    target = np.where(several, np.maximum(share, least / total), 0)
    relative, current = counts / total, np.zeros(len(total))
    chosen = np.zeros(len(counts), np.bool_)
    for unit in order.tolist():
        with_it = current + relative[unit]
        if ((with_it - target) ** 2).sum() < ((current - target) ** 2).sum():
            current, chosen[unit] = with_it, True
    return chosen
