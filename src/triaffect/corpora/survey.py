"""What a corpus holds and what is wrong with it, read through source by source."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from triaffect.corpora.corpus import Corpus
from triaffect.errors import TriaffectError
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.types import Moments, Source, SourceKind, Split


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


@dataclass
class Survey:
    """What was found.

    Attributes:
        sources: Number of sources of each kind.
        rows: Number of rows by (label set, split).
        split_rows: Number of rows by split.
        annotated: Rows with a complete label, by (task key, split).
        columns: Sums by (label column, split).
        without_media: Ids of sources whose images, video or sound are not there.
        without_sound: Ids of sources with pictures but no sound.
        splits_of: Splits in which each person occurs.
        errors: Everything that is wrong with label files and videos.
    """

    sources: Counter[SourceKind] = field(default_factory=Counter)
    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    split_rows: Counter[str] = field(default_factory=Counter)
    annotated: Counter[tuple[str, str]] = field(default_factory=Counter)
    columns: dict[tuple[str, str], ColumnSums] = field(
        default_factory=lambda: defaultdict(ColumnSums)
    )
    without_media: list[str] = field(default_factory=list)
    without_sound: list[str] = field(default_factory=list)
    splits_of: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    errors: list[TriaffectError] = field(default_factory=list)

    @property
    def shared_people(self) -> dict[str, set[str]]:
        """Splits of the people who occur in more than one."""
        return {person: splits for person, splits in self.splits_of.items() if len(splits) > 1}


def survey(
    corpus: Corpus,
    progress: Callable[[int, int, str], None] = lambda *_: None,
    tasks: Sequence[Task] = TASKS,
) -> Survey:
    """Read all labels of a corpus; no pictures and no sound.

    Args:
        corpus: The corpus.
        progress: Told after each source: sources done, sources in all, its id.
        tasks: The tasks whose labels are counted.
    """
    found = Survey(errors=list(corpus.problems()))
    sources = corpus.sources()
    for done, source in enumerate(sources, 1):
        _count_media(found, source)
        try:
            moments = corpus.moments(source)
        except TriaffectError as error:
            found.errors.append(error)
        else:
            _count_labels(found, moments, tasks)
        progress(done, len(sources), source.source_id)
    return found


def _count_media(found: Survey, source: Source) -> None:
    found.sources[source.kind] += 1
    main = {
        SourceKind.IMAGES: source.images,
        SourceKind.VIDEO: source.video,
        SourceKind.SOUND: source.sound,
    }[source.kind]
    if not _there(main):
        found.without_media.append(source.source_id)
    elif source.kind != SourceKind.SOUND and not _there(source.sound):
        found.without_sound.append(source.source_id)


def _there(path: Path | None) -> bool:
    return path is not None and path.exists()


def _count_labels(found: Survey, moments: Moments, tasks: Sequence[Task]) -> None:
    table = moments.table
    for row in table.group_by(["label_set", "split"]).aggregate([([], "count_all")]).to_pylist():
        found.rows[row["label_set"], row["split"]] += row["count_all"]
        found.split_rows[row["split"]] += row["count_all"]
    for row in table.group_by(["person", "split"]).aggregate([]).to_pylist():
        found.splits_of[row["person"]].add(row["split"])
    masks = {split: pc.equal(table["split"], split).to_numpy() for split in Split}
    for task in tasks:
        targets = moments.targets(task.key, task.columns)
        for split, mine in masks.items():
            valid, values = targets.valid[mine], targets.values[mine].astype(np.float64)
            found.annotated[task.key, split] += int(valid.all(1).sum())
            for k, column in enumerate(task.columns):
                given = values[valid[:, k], k]
                sums = found.columns[column, split]
                sums.count += len(given)
                sums.total += float(given.sum())
                sums.squares += float((given**2).sum())
