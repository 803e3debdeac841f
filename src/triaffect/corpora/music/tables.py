"""What the corpora of music share: their tables of ratings, split files, and songs as sources."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from triaffect.corpora.frame_clock import EvenlyNumbered
from triaffect.corpora.rows import DEFAULT_RATE, Key, build_moments
from triaffect.errors import AnnotationError, TableError
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task, cell, need_columns, read_numbers, read_ranged
from triaffect.types import NO_FACE, LabelOrigin, Moments, Source, SourceKind, Split

COMPUTED_TAGS = "mood_probabilities.csv"
"""A table that goes round beside some of these corpora."""

SPLIT_FILES = {"train.txt": Split.TRAIN, "val.txt": Split.VALIDATION, "test.txt": Split.TEST}

_SAMPLE = re.compile(r"sample_(\d+)ms")


def refuse_computed_tags(path: Path) -> None:
    """See that a file is not the table of moods that was computed from the ratings.

    Args:
        path: A file that labels or features are to be read from; its name decides.

    Raises:
        TableError: It is that table.
    """
    if path.name.lower() == COMPUTED_TAGS:
        raise TableError(
            "labels or features of the music itself",
            f"{COMPUTED_TAGS}, which is computed from the songs' ratings and so predicts them "
            "almost perfectly",
            "leave it out: scores with it would say nothing",
            where=path,
        )


@dataclass(frozen=True)
class RatingColumns:
    """How a table names songs and ratings, and on which scale these are.

    Attributes:
        song: Column of the songs' numbers.
        valence: Column of the mean valence; likewise ``arousal``.
        low: Lowest rating; it becomes -1.
        high: Highest rating; it becomes 1.
    """

    song: str
    valence: str
    arousal: str
    low: float
    high: float

    def to_unit(self, ratings: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bring ratings to the range from -1 to 1.

        Args:
            ratings: Any shape.

        Examples:
            >>> RatingColumns("song_id", "v", "a", 1, 9).to_unit(np.array([1, 5, 9.0])).tolist()
            [-1.0, 0.0, 1.0]
        """
        return np.asarray(2 * (ratings - self.low) / (self.high - self.low) - 1, np.float64)


@dataclass(frozen=True)
class Ratings:
    """Ratings of one song.

    Attributes:
        times_s: Seconds from the start of the song's excerpt, rising, shape (T,).
        values: Valence and arousal from -1 to 1, NaN for none, shape (T, 2).
    """

    times_s: NDArray[np.float64]
    values: NDArray[np.float64]


def read_sheet(path: Path) -> pd.DataFrame:
    """Read a CSV table whose header may have spaces after its commas, as DEAM's has.

    Args:
        path: The file.

    Raises:
        TableError: It is not there, or no table.
    """
    try:
        table = pd.read_csv(path, skipinitialspace=True, encoding="utf-8-sig", low_memory=False)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise TableError("a CSV table in UTF-8", reason, where=path) from error
    return table.rename(columns=lambda name: str(name).strip())


def song_numbers(table: pd.DataFrame, column: str, path: Path, *, once: bool = True) -> list[str]:
    """Read the numbers of the songs that a table's rows are of.

    Args:
        table: The table.
        column: Name of their column.
        path: Its file, for messages.
        once: Whether no song may have two rows.

    Returns:
        A whole number as text for each row, such as ``"17"``.

    Raises:
        TableError: There is no such column, a cell is no whole number, or a song has two rows.
    """
    need_columns(table, (column,), str(path))
    values = read_numbers(table, column, str(path))
    wrong = np.flatnonzero(~(values == np.floor(values)) | (values < 0))
    if len(wrong):
        row = int(wrong[0])
        got = str(table[column].iloc[row])
        raise TableError("a song's number", got, where=cell(str(path), row, column))
    songs = [str(int(value)) for value in values]
    twice = [song for song, count in Counter(songs).items() if count > 1]
    if once and twice:
        raise TableError("each song once", f"song {twice[0]} twice", where=path)
    return songs


def read_whole_songs(paths: Iterable[Path], columns: RatingColumns) -> dict[str, Ratings]:
    """Read tables with one row a song.

    Args:
        paths: The tables, which have different songs.
        columns: Their columns and scale.

    Returns:
        Ratings by song, one each, at time 0.

    Raises:
        TableError: A table lacks a column, has a rating out of range or none, or a song that
            another table has.
    """
    songs: dict[str, Ratings] = {}
    for path in paths:
        table = read_sheet(path)
        names = (columns.valence, columns.arousal)
        need_columns(table, (columns.song, *names), str(path))
        values = read_ranged(table, names, columns.low, columns.high, str(path))
        blank = np.argwhere(np.isnan(values))
        if len(blank):
            row, k = (int(number) for number in blank[0])
            raise TableError("a rating", "a blank cell", where=cell(str(path), row, names[k]))
        for song, pair in zip(
            song_numbers(table, columns.song, path), columns.to_unit(values), strict=True
        ):
            if song in songs:
                raise TableError("each song in one table", f"song {song} in two", where=path)
            songs[song] = Ratings(np.zeros(1), pair[None])
    return songs


def read_sampled_songs(valence: Path, arousal: Path) -> dict[str, Ratings]:
    """Read two tables with a row a song and a column a moment, ``sample_15000ms`` and so on.

    Args:
        valence: The table of valence, from -1 to 1; blank cells are moments after a song's end.
        arousal: That of arousal, likewise.

    Returns:
        Ratings by song, of the moments at which it has any.

    Raises:
        TableError: A table is not there or lacks such columns, one has other songs or moments
            than the other, or a rating is out of range.
    """
    read: list[tuple[dict[str, int], NDArray[np.float64]]] = []
    moments: list[tuple[str, ...]] = []
    for path in (valence, arousal):
        table = read_sheet(path)
        names = tuple(name for name in table.columns if _SAMPLE.fullmatch(name))
        if not names:
            got = ", ".join(table.columns[:3]) or "an empty file"
            raise TableError("columns such as sample_15000ms", got, where=path)
        rows = {song: row for row, song in enumerate(song_numbers(table, "song_id", path))}
        moments.append(names)
        read.append((rows, read_ranged(table, names, -1.0, 1.0, str(path))))
    odd = set(moments[0]) ^ set(moments[1]) or read[0][0].keys() ^ read[1][0].keys()
    if odd or moments[0] != moments[1]:
        got = f"{min(odd, default='others')} in one of the two"
        raise TableError(f"the songs and moments of {valence.name}", got, where=arousal)
    times_s = np.array([int(name[len("sample_") : -len("ms")]) / 1000 for name in moments[0]])
    songs = {}
    for song, row in read[0][0].items():
        values = np.stack([read[0][1][row], read[1][1][read[1][0][song]]], axis=1)
        rated = ~np.isnan(values).all(1)
        songs[song] = Ratings(times_s[rated], values[rated])
    return songs


def read_timed_songs(path: Path, columns: RatingColumns, time: str) -> dict[str, Ratings]:
    """Read a table with a row a moment of a song.

    Args:
        path: The table.
        columns: Its columns and scale.
        time: Column of the seconds.

    Returns:
        Ratings by song, in the order of their times.

    Raises:
        TableError: It lacks a column, has a rating out of range or a moment twice.
    """
    table = read_sheet(path)
    names = (columns.valence, columns.arousal)
    need_columns(table, (columns.song, time, *names), str(path))
    values = columns.to_unit(read_ranged(table, names, columns.low, columns.high, str(path)))
    times_s = read_ranged(table, (time,), 0.0, np.inf, str(path))[:, 0]
    rows: dict[str, list[int]] = {}
    for row, song in enumerate(song_numbers(table, columns.song, path, once=False)):
        if np.isnan(times_s[row]):
            raise TableError("seconds", "a blank cell", where=cell(str(path), row, time))
        rows.setdefault(song, []).append(row)
    songs = {}
    for song, own in rows.items():
        order = np.array(own)[np.argsort(times_s[own], kind="stable")]
        again = np.flatnonzero(np.diff(times_s[order]) == 0)
        if len(again):
            got = f"song {song} twice at {times_s[order[again[0]]]:g} s"
            raise TableError("each moment of a song once", got, where=path)
        songs[song] = Ratings(times_s[order], values[order])
    return songs


def read_splits(folder: Path, songs: Iterable[str]) -> dict[str, Split]:
    """Read the songs of each split from text files, a song's number a line.

    Args:
        folder: Where ``train.txt``, ``val.txt`` and ``test.txt`` are.
        songs: The songs that have ratings.

    Returns:
        Splits by song; songs that no file names are left out.

    Raises:
        AnnotationError: A file is missing or names an unknown song, or two files name one.
    """
    splits: dict[str, Split] = {}
    rated = set(songs)
    for name, split in SPLIT_FILES.items():
        path = folder / name
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            expected = f"a text file of songs beside {' and '.join(SPLIT_FILES)}"
            raise AnnotationError(expected, "none that can be read", where=path) from error
        for number, line in enumerate(lines, 1):
            song, where = line.strip(), f"{path}:{number}"
            if not song:
                continue
            if song not in rated:
                raise AnnotationError("a song that has ratings", repr(song), where=where)
            if splits.setdefault(song, split) is not split:
                got = f"song {song} in {splits[song]} and {split}"
                raise AnnotationError("each song in one split", got, "name it once", where=where)
    return splits


class SongCorpus(EvenlyNumbered):
    """Songs with labels, whose sound may be there or not.

    Without their sound a store of them has labels alone, for features that are joined to it.

    Args:
        name: The corpus's name, first part of its source ids.
        root: What it was opened from.
    """

    aligned = False

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root = name, root
        self._sounds: Mapping[str, Path] = {}
        self._problems: list[AnnotationError] = []

    def _list(self, songs: Iterable[str]) -> list[Source]:
        """List songs as sources, sorted by id; only a file that is there is their sound."""
        sources = []
        for song in songs:
            sound = self._sounds.get(song)
            is_there = sound is not None and sound.is_file()
            sources.append(
                Source(f"{self.name}/{song}", SourceKind.SOUND, sound=sound if is_there else None)
            )
        return sorted(sources, key=lambda source: source.source_id)

    def _build(
        self,
        source: Source,
        person: str,
        split: Split,
        times_s: NDArray[np.float64],
        labels: Mapping[str, NDArray[np.float64]],
        tasks: Sequence[Task] = TASKS,
    ) -> Moments:
        """Build the moments of a song from labels of its one task, NaN for none."""
        keys: dict[str, Key] = {
            "source": source.source_id,
            "person": person,
            "track": NO_FACE,
            "frame": np.round(times_s * DEFAULT_RATE).astype(np.int32),
            "time_s": times_s,
            "split": str(split),
            "label_set": next(iter(labels)),
        }
        return build_moments(len(times_s), keys, labels, LabelOrigin.HUMAN, tasks)

    def images(self, source: Source) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield nothing: there are no pictures."""
        del source
        return iter(())

    def problems(self) -> list[AnnotationError]:
        """List what is left out of the corpus."""
        return self._problems
