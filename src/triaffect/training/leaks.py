"""People and videos that occur in more than one split of a store.

Scores on a person or a video that was learnt from say little of others. Such a leak is refused
unless it is allowed by name, or the rows that leak are left out of training.

A video is a source; sources that share a file, such as the two people of a twin video, are one
video. Single pictures are none: a store of them is one source with all splits in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from triaffect.corpora.videos import name_videos
from triaffect.errors import StoreError
from triaffect.features.store import Entry, FeatureStore
from triaffect.types import Moments, Split

LEFT_OUT = "left out"
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
