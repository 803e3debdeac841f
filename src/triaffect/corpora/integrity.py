"""Check a corpus's labels: what they hold, and what is missing, shared or contradictory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from triaffect.corpora.base import Corpus, is_stills
from triaffect.corpora.rows import name_videos
from triaffect.errors import TriaffectError
from triaffect.tasks.registry import available_tasks
from triaffect.tasks.task import Task
from triaffect.types import CORPUS_SPLITS, BoolArray, Moments, Source, SourceKind, Split, Targets


@dataclass
class ColumnSums:
    """Running sums of one label column.

    Attributes:
        count: Annotated rows.
        total: Sum of their values; of probabilities, how many rows show the class or unit.
        squares: Sum of the squares.
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float:
        """Mean of the annotated values; of probabilities, the positive rate."""
        return self.total / self.count if self.count else float("nan")

    @property
    def deviation(self) -> float:
        """Standard deviation of the annotated values."""
        return max(self.squares / self.count - self.mean**2, 0) ** 0.5 if self.count else self.mean

    def add(self, given: NDArray[np.float64]) -> None:
        """Count annotated values in."""
        self.count += len(given)
        self.total += float(given.sum())
        self.squares += float((given**2).sum())

    def to_json(self) -> dict[str, float]:
        """Count, mean and deviation; there must be a value."""
        mean, deviation = round(self.mean, 6), round(self.deviation, 6)
        return {"count": self.count, "mean": mean, "deviation": deviation}


@dataclass
class Survey:
    """What was found.

    A row is annotated for a task if it has any of its label columns, and completely if it has
    all of them.

    Attributes:
        sources: Number of sources of each kind.
        rows: Number of rows by (label set, split).
        split_rows: Number of rows by split.
        annotated: Annotated rows by (task key, split).
        complete: Completely annotated rows, likewise.
        together: Rows by (keys of all tasks they are annotated for, split).
        columns: Sums by (label column, split).
        classes: Rows whose likeliest class it is, by (label column of exclusive classes, split).
        without_media: Ids of sources whose images, video or sound are not there.
        without_sound: Ids of sources of moving pictures whose sound is not there.
        people: Splits in which each person occurs.
        videos: Splits in which each video occurs; see `triaffect.corpora.rows`.
        errors: Everything that is wrong with label files and videos.
    """

    sources: Counter[SourceKind] = field(default_factory=Counter)
    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    split_rows: Counter[str] = field(default_factory=Counter)
    annotated: Counter[tuple[str, str]] = field(default_factory=Counter)
    complete: Counter[tuple[str, str]] = field(default_factory=Counter)
    together: Counter[tuple[tuple[str, ...], str]] = field(default_factory=Counter)
    columns: dict[tuple[str, str], ColumnSums] = field(
        default_factory=lambda: defaultdict(ColumnSums)
    )
    classes: Counter[tuple[str, str]] = field(default_factory=Counter)
    without_media: list[str] = field(default_factory=list)
    without_sound: list[str] = field(default_factory=list)
    people: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    videos: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    errors: list[TriaffectError] = field(default_factory=list)

    @property
    def shared_people(self) -> dict[str, list[str]]:
        """Splits of the people who occur in more than one."""
        return _in_several(self.people)

    @property
    def alike_people(self) -> list[list[str]]:
        """People whose names differ in capitals only: perhaps one person, in two splits."""
        alike: defaultdict[str, list[str]] = defaultdict(list)
        for name in sorted(self.people):
            alike[name.casefold()].append(name)
        return [names for names in alike.values() if len(names) > 1]

    @property
    def shared_videos(self) -> dict[str, list[str]]:
        """Splits of the videos that occur in more than one."""
        return _in_several(self.videos)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        named = {"+".join(keys): keys for keys, _ in self.together}
        return {
            "sources": {str(kind): count for kind, count in sorted(self.sources.items())},
            "rows": _by_split(self.rows),
            "annotated": _by_split(self.annotated),
            "complete": _by_split(self.complete),
            "together": {
                name: {s: n for s in CORPUS_SPLITS if (n := self.together[keys, s])}
                for name, keys in named.items()
            },
            "labels": _by_split({k: v.to_json() for k, v in self.columns.items() if v.count}),
            "classes": _by_split(self.classes),
            "people": {
                "count": len(self.people),
                "shared": self.shared_people,
                "alike": self.alike_people,
            },
            "videos": {"count": len(self.videos), "shared": self.shared_videos},
            "without_media": self.without_media,
            "without_sound": self.without_sound,
            "mistakes": [str(error) for error in self.errors],
        }


def _in_several(splits: dict[str, set[str]]) -> dict[str, list[str]]:
    return {name: sorted(found) for name, found in sorted(splits.items()) if len(found) > 1}


def _by_split(values: Mapping[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
    """Values by name and split, without those that are nothing."""
    found: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for (name, split), value in values.items():
        if value:
            found[name][str(split)] = value
    return dict(found)


def survey(
    corpus: Corpus,
    progress: Callable[[int, int, str], None] = lambda *_: None,
    tasks: Sequence[Task] | None = None,
) -> Survey:
    """Read all labels of a corpus; no pictures and no sound.

    Args:
        corpus: The corpus.
        progress: Told after each source: sources done, sources in all, its id.
        tasks: The tasks whose labels are counted; None for all that are available.
    """
    tasks = tasks or available_tasks()
    found = Survey(errors=list(corpus.problems()))
    sources = corpus.sources()
    videos = name_videos({each.source_id: _video_file(corpus, each) for each in sources})
    for done, source in enumerate(sources, 1):
        _count_media(found, corpus, source)
        try:
            moments = corpus.moments(source)
        except TriaffectError as error:
            found.errors.append(error)
        else:
            _count_rows(found, moments, videos[source.source_id])
            _count_labels(found, moments, tasks)
        progress(done, len(sources), source.source_id)
    return found


def _video_file(corpus: Corpus, source: Source) -> str | None:
    """What a source is heard in, or else seen in; None for single pictures."""
    if is_stills(corpus, source):
        return None
    files = (path for path in (source.sound, source.video, source.images) if path is not None)
    return str(next(files, source.source_id))


def _count_media(found: Survey, corpus: Corpus, source: Source) -> None:
    found.sources[source.kind] += 1
    main = {
        SourceKind.IMAGES: source.images,
        SourceKind.VIDEO: source.video,
        SourceKind.SOUND: source.sound,
    }[source.kind]
    moves = source.kind is not SourceKind.SOUND and not is_stills(corpus, source)
    if not _there(main):
        found.without_media.append(source.source_id)
    elif moves and not _there(source.sound):
        found.without_sound.append(source.source_id)


def _there(path: Path | None) -> bool:
    return path is not None and path.exists()


def _count_rows(found: Survey, moments: Moments, video: str | None) -> None:
    table = moments.table
    for row in table.group_by(["label_set", "split"]).aggregate([([], "count_all")]).to_pylist():
        found.rows[row["label_set"], row["split"]] += row["count_all"]
        found.split_rows[row["split"]] += row["count_all"]
        if video is not None:
            found.videos[video].add(row["split"])
    for row in table.group_by(["person", "split"]).aggregate([]).to_pylist():
        found.people[row["person"]].add(row["split"])


def _count_labels(found: Survey, moments: Moments, tasks: Sequence[Task]) -> None:
    targets = {task.key: moments.targets(task.key, task.columns) for task in tasks}
    for split in CORPUS_SPLITS:
        mine = pc.equal(moments.table["split"], split).to_numpy()
        for task in tasks:
            _count_task(found, task, targets[task.key], mine, split)
        given = [targets[task.key].valid[mine].any(1) for task in tasks]
        codes = np.sum([has << k for k, has in enumerate(given)], axis=0)
        for code, count in enumerate(np.bincount(codes)):
            if count:
                keys = tuple(task.key for k, task in enumerate(tasks) if code >> k & 1)
                found.together[keys, split] += int(count)


def _count_task(found: Survey, task: Task, targets: Targets, mine: BoolArray, split: Split) -> None:
    valid, values = targets.valid[mine], targets.values[mine].astype(np.float64)
    found.annotated[task.key, split] += int(valid.any(1).sum())
    found.complete[task.key, split] += int(valid.all(1).sum())
    for k, column in enumerate(task.columns):
        found.columns[column, split].add(values[valid[:, k], k])
    if task.exclusive:
        likeliest = np.bincount(values[valid.all(1)].argmax(1), minlength=task.width)
        for column, count in zip(task.columns, likeliest, strict=True):
            found.classes[column, split] += int(count)
