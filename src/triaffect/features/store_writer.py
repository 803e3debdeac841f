"""Writing a feature store, source by source, so that a crash costs at most the last second.

Rows are appended and reach the disk before the line that makes them count. Opening a store
for writing cuts off what an earlier, interrupted writer left behind its last line.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.errors import StoreError
from triaffect.features import store
from triaffect.features.extractors.spec import ExtractorSpec
from triaffect.features.row_file import RowFile
from triaffect.features.store import StoredSource
from triaffect.features.timeline import KEY_DTYPE
from triaffect.io.atomic import (
    LOCK,
    lock_folder,
    make_folder,
    sync_folder,
    temporary_path,
    write_text,
)
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.types import FeatureSeries, Moments, moments_schema

_COMMIT_EVERY_S = 1.0
_BLOCK = 4096
"""Rows sorted and written at once."""
_LABEL_ORDER = ("label_set", "split", "track", "frame", "time_s", "person")
_BYTE = np.dtype(np.uint8)


@dataclass(frozen=True)
class FaceRows:
    """Face rows of one source, in any order.

    Attributes:
        values: Shape (N, D); may be memory-mapped.
        keys: track, frame, time_s of each, of type `KEY_DTYPE`, shape (N,).
    """

    values: NDArray[Any]
    keys: NDArray[Any]


@dataclass(frozen=True)
class SourceInfo:
    """What a store remembers of a source beside its rows; see `store.StoredSource`.

    Attributes:
        source: Its id.
        corpus: Name of its corpus.
        kind: "video", "images" or "sound".
        stills: Its images are unrelated pictures.
        frame_rate: Frames/s of its frame numbers.
        files: Path, size in bytes and time of change of each file it came from.
        problem: What was wrong with a part of it; None if nothing.
    """

    source: str
    corpus: str
    kind: str
    stills: bool
    frame_rate: float
    files: tuple[dict[str, Any], ...] = ()
    problem: str | None = None


class StoreWriter:
    """A store opened for adding sources. Use it in a ``with`` statement.

    Get one with `create_or_resume`; only one process can have a store open so.
    """

    def __init__(
        self,
        path: Path,
        specs: tuple[ExtractorSpec | None, ExtractorSpec | None],
        schema: pa.Schema,
        lock: ExitStack,
    ) -> None:
        log = store.read_log(path)
        self.path, self._schema, self._lock = path, schema, lock
        self._done = {entry.source: entry for entry in log.entries}
        self._failures = dict(log.failures)
        self._lines: list[str] = []
        self._committed_s = time.monotonic()
        ends = log.entries[-1] if log.entries else None
        face, voice = (ends.face[1], ends.voice[1]) if ends else (0, 0)
        self._moments_rows, moments_end = (ends.moments[1], ends.moments_end) if ends else (0, 0)
        (face_dtype, face_dim), (voice_dtype, voice_dim) = (
            (spec.row_dtype, spec.dim) if spec else (_BYTE, 0) for spec in specs
        )
        with ExitStack() as opened:
            self._files = opened
            self._face = self._open(store.FACE, face_dtype, face_dim, face)
            self._keys = self._open(store.FACE_KEYS, KEY_DTYPE, 0, face)
            self._voice = self._open(store.VOICE, voice_dtype, voice_dim, voice)
            self._times = self._open(store.VOICE_TIMES, store.TIME_DTYPE, 0, voice)
            self._moments = self._open(store.MOMENTS, _BYTE, 0, moments_end)
            self._log = self._open(store.SOURCES, _BYTE, 0, log.size)
            self._files = opened.pop_all()
        self._row_files = self._face, self._keys, self._voice, self._times, self._moments
        sync_folder(path)
        if moments_end == 0:
            self._moments.append(np.frombuffer(schema.serialize(), np.uint8))

    def _open(self, name: str, dtype: np.dtype[Any], width: int, keep: int) -> RowFile:
        file = RowFile(self.path / name, dtype, width, keep)
        return self._files.enter_context(closing(file))

    @staticmethod
    def create_or_resume(
        path: Path,
        face_spec: ExtractorSpec | None,
        voice_spec: ExtractorSpec | None,
        tasks: Sequence[Task] = TASKS,
    ) -> StoreWriter:
        """Open a store for adding sources; make it if there is none.

        Args:
            path: Its folder.
            face_spec: Face extractor of the rows to come; None if there will be none.
            voice_spec: Voice extractor likewise.
            tasks: Whose labels it keeps.

        Returns:
            The store, locked; leave its ``with`` statement, or call `finish`, to unlock it.

        Raises:
            StoreError: The folder holds something else, a store of other extractors or
                tasks, or one that another process is writing.
        """
        path = Path(path)
        _check_folder(path)
        make_folder(path)
        in_use = StoreError(
            "a store that nobody is writing", "one in use", "wait for the other process", where=path
        )
        lock = lock_folder(path, in_use)
        try:
            schema = moments_schema({task.key: task.columns for task in tasks})
            if (path / store.DESCRIPTION).exists():
                _check_same(path, face_spec, voice_spec, schema)
            else:
                content = {
                    "format": store.FORMAT,
                    "face": face_spec and asdict(face_spec),
                    "voice": voice_spec and asdict(voice_spec),
                    "versions": {"triaffect": version("triaffect")},
                }
                write_text(path / store.DESCRIPTION, json.dumps(content, indent=1) + "\n")
            return StoreWriter(path, (face_spec, voice_spec), schema, lock)
        except BaseException:
            lock.close()
            raise

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.finish()

    def has(self, source: str) -> bool:
        """Tell whether a source has been added, now or in an earlier run."""
        return source in self._done

    def entry(self, source: str) -> StoredSource:
        """Return what is known of a source that has been added.

        Raises:
            KeyError: It has not been added.
        """
        return self._done[source]

    def add(
        self,
        info: SourceInfo,
        moments: Moments,
        face: FaceRows | None = None,
        voice: FeatureSeries | None = None,
    ) -> StoredSource:
        """Add a source with its rows and labels.

        Args:
            info: What it is.
            moments: Its labels; columns of other tasks than the store's are an error.
            face: Its face rows; None if it has none.
            voice: Its voice rows in order of time; None if it has none.

        Returns:
            Its entry; what was written is undone if it cannot be added.

        Raises:
            StoreError: It has labels of a task that the store does not keep.
            ValueError: It is there already, or its rows are not the extractor's.
            DiskError: There is no room for it.
        """
        if self.has(info.source):
            raise ValueError(f"source {info.source} is in the store already")
        batch = _labels(moments, info.source, self._schema, self.path)
        digest = hashlib.blake2b(digest_size=16)
        before = [file.count for file in self._row_files]
        try:
            if face is not None:
                order = np.lexsort((face.keys["frame"], face.keys["track"]))
                for start in range(0, len(order), _BLOCK):
                    rows = order[start : start + _BLOCK]
                    append_hashed(self._face, face.values[rows], digest)
                    append_hashed(self._keys, face.keys[rows], digest)
            if voice is not None:
                append_hashed(self._voice, voice.values, digest)
                append_hashed(self._times, voice.times_s, digest)
            if batch.num_rows:
                append_hashed(self._moments, np.frombuffer(batch.serialize(), np.uint8), digest)
        except BaseException:
            for file, count in zip(self._row_files, before, strict=True):
                file.cut(count)
            raise
        first_moment, self._moments_rows = self._moments_rows, self._moments_rows + batch.num_rows
        entry = StoredSource(
            **vars(info),
            face=(before[0], self._face.count),
            voice=(before[2], self._voice.count),
            moments=(first_moment, self._moments_rows),
            moments_end=self._moments.count,
            digest=digest.hexdigest(),
            labels=_labels_digest(batch),
        )
        self._done[info.source] = entry
        self._write_line(asdict(entry))
        return entry

    def same_labels(self, source: str, moments: Moments) -> bool:
        """Tell whether labels are those that a source was added with, in whatever order.

        Args:
            source: A source that has been added.
            moments: The labels.

        Raises:
            StoreError: They are of a task that the store does not keep.
        """
        batch = _labels(moments, source, self._schema, self.path)
        return _labels_digest(batch) == self._done[source].labels

    def fail(self, source: str, message: str) -> None:
        """Note that a source could not be extracted; another run tries it again.

        Args:
            source: Its id.
            message: Why.
        """
        if self._failures.get(source) != message:
            self._failures[source] = message
            self._write_line({"source": source, "failed": message})

    def commit(self) -> None:
        """Make everything added so far count; this happens by itself about every second."""
        lines, self._lines = self._lines, []  # an interrupt must not have them written twice
        if lines:
            for file in self._row_files:
                file.sync()
            self._log.append(np.frombuffer("".join(lines).encode(), np.uint8))
            self._log.sync()
        self._committed_s = time.monotonic()

    def finish(self) -> None:
        """Commit, and let another process write."""
        with self._lock, self._files:
            self.commit()

    def _write_line(self, content: dict[str, Any]) -> None:
        self._lines.append(json.dumps(content) + "\n")
        if time.monotonic() - self._committed_s > _COMMIT_EVERY_S:
            self.commit()


def append_hashed(file: RowFile, rows: NDArray[Any], digest: hashlib.blake2b) -> None:
    """Write rows at the end of a file, and take them into the hash of a source's rows.

    Args:
        file: The file.
        rows: Shape (N, width) or (N,), see `RowFile.append`.
        digest: Is updated with the rows' bytes as they are in the file.
    """
    data = np.ascontiguousarray(rows, file.dtype)
    file.append(data)
    digest.update(data.view("u1").data if data.size else b"")


def _labels(moments: Moments, source: str, schema: pa.Schema, path: Path) -> pa.RecordBatch:
    """Cast labels to one batch of the store's schema; columns they lack become null."""
    table = moments.table
    unknown = [name for name in table.column_names if name not in schema.names]
    if unknown:
        raise StoreError(
            "labels of the store's tasks", ", ".join(unknown), "make a new store", where=path
        )
    if set(table.column("source").unique().to_pylist()) - {source}:
        raise ValueError(f"labels of source {source} only expected")
    columns = [
        table.column(field.name).cast(field.type).combine_chunks()
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _labels_digest(labels: pa.RecordBatch) -> str:
    """Hash labels; neither their order nor the version of Arrow changes the hash."""
    table = pa.Table.from_batches([labels]).sort_by([(name, "ascending") for name in _LABEL_ORDER])
    digest = hashlib.blake2b(digest_size=16)
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        digest.update(f"{name} {len(column)}\n".encode())
        digest.update(column.is_null().to_numpy(zero_copy_only=False).tobytes())
        if pa.types.is_string(column.type):
            words = column.fill_null("").dictionary_encode()
            digest.update(json.dumps(words.dictionary.to_pylist()).encode())
            column = words.indices
        digest.update(column.fill_null(0).to_numpy(zero_copy_only=False).tobytes())
    return digest.hexdigest()


def _check_folder(path: Path) -> None:
    if path.is_file():
        raise StoreError("a folder for the store", "a file", "choose another name", where=path)
    inside = {child.name for child in path.iterdir()} if path.is_dir() else set()
    inside -= {LOCK, temporary_path(path / store.DESCRIPTION).name}  # of a process that was killed
    if inside and store.DESCRIPTION not in inside:
        raise StoreError(
            "a feature store, an empty folder or none",
            f"a folder without {store.DESCRIPTION}",
            "choose another name, or delete the folder if it is a half-written store",
            where=path,
        )


def _check_same(
    path: Path, face: ExtractorSpec | None, voice: ExtractorSpec | None, schema: pa.Schema
) -> None:
    there = store.read_description(path)
    for part, had, requested in zip(("face", "voice"), there, (face, voice), strict=True):
        if had != requested:
            raise StoreError(
                f"the store's {part} extractor {had.describe() if had else 'none'}",
                requested.describe() if requested else "none",
                f"use that extractor, or another store (--{part}, --output)",
                where=path,
            )
    file = path / store.MOMENTS
    if file.is_file() and file.stat().st_size:
        ends = store.read_log(path).entries
        stored_schema = store.read_moments(file, ends[-1].moments_end).schema if ends else schema
        if stored_schema != schema:
            new = sorted(set(stored_schema.names) ^ set(schema.names))
            raise StoreError(
                "a store of the same tasks", f"other label columns: {', '.join(new)}",
                "make a new store", where=path,
            )  # fmt: skip
