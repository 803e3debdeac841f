"""Joining files of features to the sources of a store, one after the other.

What is wrong with one file is noted, and the rest joined. A source that has been joined is
passed over if its rows are still the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.music.tables import refuse_computed_tags
from triaffect.errors import StoreError, TableError, TriaffectError
from triaffect.features.external.files import (
    SOURCE_COLUMNS,
    SUFFIXES,
    RawRows,
    Spellings,
    chunks,
    files_in,
    match_names,
    path_spellings,
    read_rows,
    rows_of,
    source_spellings,
)
from triaffect.features.external.format import DTYPES, ExternalSpec
from triaffect.features.external.writer import ExternalRows, ExternalWriter, FileRef
from triaffect.features.store import FeatureStore, StoredSource
from triaffect.features.timeline import ANY_TRACK, KEY_DTYPE, NO_FRAME

if TYPE_CHECKING:
    import pandas as pd

JoinProgress = Callable[[int, int, str], None]
"""Told after each source: sources done, sources in all, id of the source."""


@dataclass
class JoinReport:
    """What a joining did.

    Attributes:
        added: Sources joined.
        there: Sources that had been joined before.
        rows: Rows added.
        absent: Rows left out, for a value that is no finite number.
        without: Sources of the store for which there is nothing.
        unused: Files, or names in the table, that belong to no source.
        mistakes: Message by source or file for what could not be used.
        seconds: How long it took.
    """

    added: int = 0
    there: int = 0
    rows: int = 0
    absent: int = 0
    without: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    mistakes: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class _Part:
    """What there is for one source, read when it is its turn."""

    source: str
    path: Path
    file: Callable[[], FileRef]
    read: Callable[[], RawRows]


def stream_spec(
    name: str,
    rate: float | None,
    offset_s: float = 0.0,
    patterns: tuple[str, ...] = (),
    dtype: str = DTYPES[0],
    any_face: bool = False,
) -> ExternalSpec:
    """Describe what a stream is to be, before its first file says how wide it is.

    Args:
        name: Its name.
        rate: Rows a second; None for a row a frame.
        offset_s: Added to the time of every row.
        patterns: Names and patterns of the columns of tables; empty for all.
        dtype: "float32" or "float16".
        any_face: Pass over numbers of faces: rows count for every face of their source.

    Raises:
        StoreError: A rate that is not above 0, an offset that is not finite, or another type.

    Examples:
        >>> stream_spec("clip", rate=5, offset_s=0.1).dim
        0
    """
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise StoreError("rows a second above 0", f"{rate:g}", where="--rate")
    if not math.isfinite(offset_s):
        raise StoreError("seconds", f"{offset_s:g}", where="--offset")
    if dtype not in DTYPES:
        raise StoreError(" or ".join(DTYPES), repr(dtype), where="--dtype")
    return ExternalSpec(name, 0, dtype, rate, offset_s, patterns, (), any_face)


def join(
    store: FeatureStore,
    features: Path,
    spec: ExternalSpec,
    replace_all: bool = False,
    progress: JoinProgress | None = None,
) -> JoinReport:
    """Join features to a store as a stream of its own.

    Args:
        store: The store.
        features: A folder with a file a source, or a Parquet or CSV table of many sources.
        spec: What the stream is to be; see `stream_spec`.
        replace_all: Drop what the stream holds.
        progress: Told after each source.

    Returns:
        What was done, and what could not be used.

    Raises:
        StoreError: Nothing could be joined, or the stream is there and is another.
        TableError: The table is none, does not say which source a row belongs to, or is one that
            was computed from the labels.
    """
    refuse_computed_tags(features)
    started_s, report = time.monotonic(), JoinReport()
    by_id = {entry.source: entry for entry in store.entries}
    if not by_id:
        raise StoreError("a store with sources", "an empty one", where=store.path)
    list_parts = _in_folder if features.is_dir() else _in_table
    count, parts = list_parts(features, spec, list(by_id), report, source_spellings)
    with ExternalWriter(store.path, spec, replace_all) as writer:
        for done, part in enumerate(parts, 1):
            try:
                _join_one(writer, store, by_id[part.source], part, report)
            except TriaffectError as error:
                report.mistakes[part.source] = str(error)
            if progress:
                progress(done, count, part.source)
    report.seconds = time.monotonic() - started_s
    if not report.added + report.there:
        got = next(iter(report.mistakes.values()), f"names such as {report.unused[:3]}")
        raise StoreError(
            f"features of at least one of {len(by_id)} sources, such as '{next(iter(by_id))}'",
            got,
            where=features,
        )
    return report


def _join_one(
    writer: ExternalWriter,
    store: FeatureStore,
    entry: StoredSource,
    part: _Part,
    report: JoinReport,
) -> None:
    done, file = writer.done(part.source), part.file()
    if done and (done.bytes, done.sha256) == (file.bytes, file.sha256):
        report.there += 1
        return
    times = partial(frame_times, store, entry)
    rows = timed_rows(part.read(), writer.requested, times, file.path)
    if done is None:
        writer.add(part.source, rows, file)
        report.added, report.rows = report.added + 1, report.rows + len(rows.values)
        report.absent += rows.absent
    elif writer.same_rows(part.source, rows):
        report.there += 1
    else:
        raise StoreError(
            "the rows that were joined before", "others", "join all again with --replace",
            where=file.path,
        )  # fmt: skip


def _in_folder(
    folder: Path, spec: ExternalSpec, sources: list[str], report: JoinReport, spell: Spellings
) -> tuple[int, Iterator[_Part]]:
    """Count the sources that have a file, and list these."""
    files, report.mistakes = files_in(folder)
    stems: dict[str, list[str]] = {}
    for name in files:
        stems.setdefault(name[: name.rindex(".")], []).append(name)
    for stem, names in stems.items():
        if len(names) > 1:
            report.mistakes[stem] = "several files: " + ", ".join(names)
    single = {stem: names[0] for stem, names in stems.items() if len(names) == 1}
    matches = match_names(list(single), sources, spell)
    report.mistakes |= matches.mistakes
    report.unused = [single[stem] for stem in matches.unused]
    report.without = matches.without
    paths = {source: files[single[stem]] for source, stem in matches.files.items()}
    parts = (
        _Part(
            source,
            paths[source],
            partial(FileRef.of, paths[source]),
            partial(read_rows, paths[source], spec.wanted),
        )
        for source in sources
        if source in paths
    )
    return len(paths), parts


def _in_table(
    path: Path, spec: ExternalSpec, sources: list[str], report: JoinReport, spell: Spellings
) -> tuple[int, Iterator[_Part]]:
    """Count the sources that a table has rows of; yield each when its rows are all read."""
    if path.suffix.lower() not in SUFFIXES[1:] or not path.is_file():
        expected = "a folder with a file a source, or a .parquet or .csv table of many sources"
        raise StoreError(expected, "no such" if not path.exists() else path.name, where=path)
    column, counts = _rows_by_name(path)
    matches = match_names(list(counts), sources, spell)
    report.mistakes, report.unused = matches.mistakes, matches.unused
    report.without = matches.without
    owner = {name: source for source, name in matches.files.items()}
    file = cache(partial(FileRef.of, path))
    groups = _whole_groups(path, column, {name: counts[name] for name in owner})
    parts = (
        _Part(
            owner[name],
            path,
            file,
            partial(rows_of, table.drop(columns=column), spec.wanted, path),
        )
        for name, table in groups
    )
    return len(owner), parts


def read_clip(features: Path, spec: ExternalSpec, clip: str) -> tuple[RawRows, Path]:
    """Read the rows of one media file.

    Args:
        features: As for `join`, or a file of this one's rows, named as it is.
        spec: What the stream is.
        clip: The media file's path.

    Returns:
        The rows, and the file that they are in.

    Raises:
        TableError: There are none of it, or they cannot be read.
    """
    report = JoinReport()
    parts: Iterator[_Part] = iter(())
    if features.is_dir():
        _, parts = _in_folder(features, spec, [clip], report, path_spellings)
    elif features.is_file() and not _has_source_column(features):
        if match_names([features.stem], [clip], path_spellings).files:
            return read_rows(features, spec.wanted), features
    else:
        _, parts = _in_table(features, spec, [clip], report, path_spellings)
    for part in parts:
        return part.read(), part.path
    name = PurePath(clip)
    got = report.mistakes.get(clip, "none")
    remedy = f"name the file or the rows {name.stem} or {name.name}"
    raise TableError(f"features '{spec.name}' of {name.name}", got, remedy, where=features)


def check_one_each(features: Path, clips: Sequence[str]) -> None:
    """See that no features fit several media files.

    Raises:
        TableError: Some do.
    """
    if features.is_dir():
        names = [name[: name.rindex(".")] for name in files_in(features)[0]]
    elif features.is_file() and _has_source_column(features):
        names = list(_rows_by_name(features)[1])
    else:
        names = [features.stem]
    mistakes = match_names(names, clips, path_spellings).mistakes
    for name in names:
        if name in mistakes:
            got, remedy = f"'{name}' {mistakes[name]}", "name the features by more of the path"
            raise TableError("features of one file each", got, remedy, where=features)


def _has_source_column(path: Path) -> bool:
    """Whether a file is a table of many sources."""
    if path.suffix.lower() not in SUFFIXES[1:]:
        return False
    return bool({*SOURCE_COLUMNS} & {*next(chunks(path)).columns})


def _rows_by_name(path: Path) -> tuple[str, dict[str, int]]:
    """Find the column that names the sources, and count the rows of each name."""
    names = next(chunks(path)).columns
    column = next((name for name in SOURCE_COLUMNS if name in names), None)
    if column is None:
        got = ", ".join(str(name) for name in names[:8]) or "none"
        remedy = "or give a folder with a file a source"
        raise TableError("a column 'clip' or 'source'", got, remedy, where=path)
    counts: dict[str, int] = {}
    for part in chunks(path, [column]):
        for name, rows in part[column].astype(str).str.strip().value_counts(sort=False).items():
            counts[str(name)] = counts.get(str(name), 0) + int(rows)
    return column, counts


def _whole_groups(
    path: Path, column: str, counts: dict[str, int]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each name's rows, in the table's order; few names wait where they lie together."""
    import pandas as pd  # noqa: PLC0415 - heavy

    waiting: dict[str, list[pd.DataFrame]] = {}
    left = dict(counts)
    for part in chunks(path):
        for name, rows in part.groupby(part[column].astype(str).str.strip(), sort=False):
            if name not in left:
                continue
            waiting.setdefault(str(name), []).append(rows)
            left[str(name)] -= len(rows)
            if not left[str(name)]:
                yield str(name), pd.concat(waiting.pop(str(name)), ignore_index=True)


def timed_rows(
    raw: RawRows,
    spec: ExternalSpec,
    times_of: Callable[[NDArray[np.integer]], NDArray[np.float64]],
    where: Path,
) -> ExternalRows:
    """Give the rows of a source their times, and leave out those without finite values.

    Args:
        raw: Rows as the file has them.
        spec: What the stream is to be.
        times_of: Gives the times of frames of the source, where the file does not.
        where: The file, for messages.

    Returns:
        The rows, sorted by face and time.

    Raises:
        TableError: Times of a face do not rise, or a value is too large for the number type.
    """
    number = np.arange(len(raw.values)) if raw.frame is None else raw.frame
    has_frame = spec.rate is None and (raw.frame is not None or raw.time_s is None)
    keys = np.zeros(len(raw.values), KEY_DTYPE)
    keys["track"] = ANY_TRACK if raw.track is None or spec.any_face else raw.track
    keys["frame"] = number if has_frame else NO_FRAME
    if raw.time_s is not None:
        keys["time_s"] = raw.time_s
    elif spec.rate is not None:
        keys["time_s"] = number / spec.rate
    else:
        keys["time_s"] = times_of(number)
    keys["time_s"] += spec.offset_s
    order = np.argsort(keys["track"], kind="stable")
    track, time_s = keys["track"][order], keys["time_s"][order]
    fell = np.flatnonzero((np.diff(track) == 0) & (np.diff(time_s) <= 0))
    if len(fell):
        before, after = time_s[fell[0]], time_s[fell[0] + 1]
        remedy = "sort the rows; faces of one moment need a face_id each"
        raise TableError("rising times", f"{after:g} s after {before:g} s", remedy, where=where)
    finite = np.isfinite(raw.values).all(1)
    ordered = order[finite[order]]
    values, dtype = np.asarray(raw.values)[ordered], spec.row_dtype
    largest = max(float(values.max(initial=0)), -float(values.min(initial=0)))
    limit = float(np.finfo(dtype).max)
    if largest > limit:  # it would become infinite
        wider = dtype.itemsize < np.dtype(DTYPES[0]).itemsize
        remedy = f"join with --dtype {DTYPES[0]}" if wider else "scale the values"
        raise TableError(f"values within ±{limit:g}", f"{largest:g}", remedy, where=where)
    return ExternalRows(values.astype(dtype), keys[ordered], raw.columns, int((~finite).sum()))


def frame_times(
    store: FeatureStore, entry: StoredSource, frame: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Look the times of frames up: those stored with the source's faces, and even steps around.

    Args:
        store: The store.
        entry: The source.
        frame: Frame numbers from 0, shape (T,).

    Returns:
        Seconds, shape (T,); interpolated between frames with faces.
    """
    start, stop = entry.face
    stored, first = np.unique(store.face_frame[start:stop], return_index=True)
    if not len(stored) or entry.stills:
        return np.asarray(frame / entry.frame_rate, np.float64)
    return interpolate_times(frame, stored, store.face_time_s[start:stop][first], entry.frame_rate)


def interpolate_times(
    frame: NDArray[np.integer],
    timed: NDArray[np.integer],
    at_s: NDArray[np.float64],
    frame_rate: float,
) -> NDArray[np.float64]:
    """Times of frames, between those whose times are clear and in even steps around them.

    Args:
        frame: Frame numbers from 0, shape (T,).
        timed: Ascending numbers of the frames whose times are clear, at least one, shape (M,).
        at_s: Their times, shape (M,).
        frame_rate: Frames/s.
    """
    inside = np.interp(frame, timed, at_s)
    before = at_s[0] + (frame - timed[0]) / frame_rate
    after = at_s[-1] + (frame - timed[-1]) / frame_rate
    return np.asarray(np.select([frame < timed[0], frame > timed[-1]], [before, after], inside))
