"""Writing a stream of external features into a store, source by source.

As in the store itself, rows reach the disk before the line that makes them count, so a crash
costs at most the last second, and another run goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.errors import StoreError, TableError
from triaffect.features.external import format as external
from triaffect.features.external.format import ExternalSpec, Joined
from triaffect.features.row_file import RowFile
from triaffect.features.store_writer import append_hashed
from triaffect.features.timeline import KEY_DTYPE
from triaffect.io.atomic import lock_folder, make_folder, write_text

_COMMIT_EVERY_S = 1.0
_BYTE = np.dtype(np.uint8)


@dataclass(frozen=True)
class ExternalRows:
    """Rows of one source, ready to be stored.

    Attributes:
        values: Finite numbers within the stream's number type, shape (N, D).
        keys: track, frame and time of each, of type `KEY_DTYPE`, sorted by track and
            time, shape (N,).
        columns: Names of the values; empty where the file has none.
        absent: Rows of the file that were left out.
    """

    values: NDArray[Any]
    keys: NDArray[Any]
    columns: tuple[str, ...]
    absent: int


@dataclass(frozen=True)
class FileRef:
    """A file that rows come from, to tell later whether it changed.

    Attributes:
        path: Where it is.
        bytes: Its size.
        sha256: Its hash.
    """

    path: Path
    bytes: int
    sha256: str

    @staticmethod
    def of(path: Path) -> FileRef:
        """Describe a file as it is now.

        Args:
            path: Where it is.

        Raises:
            TableError: It cannot be read.
        """
        try:
            with path.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            return FileRef(path, path.stat().st_size, sha256)
        except OSError as error:
            raise TableError("a file that can be read", str(error), where=path) from error


class ExternalWriter:
    """A stream opened for adding sources. Use it in a ``with`` statement.

    Only one process can have a stream open so. Width and columns are those of the first source.

    Args:
        store: Folder of the store.
        spec: What the stream is to be; its width and columns are not looked at.
        replace_all: Drop what the stream holds, once the first source is there to take its place.

    Attributes:
        requested: What the stream is to be.
        spec: What it is; None until its first source.

    Raises:
        StoreError: The stream is there and has another rate, offset, number type or columns,
            is damaged, or is being written.
    """

    def __init__(self, store: Path, spec: ExternalSpec, replace_all: bool = False) -> None:
        self._folder = store / external.FOLDER / external.check_name(spec.name)
        self.requested = spec
        make_folder(self._folder)
        in_use = StoreError(
            "a stream that nobody is writing", "one in use", "wait for the other process",
            where=self._folder,
        )  # fmt: skip
        self._lock = lock_folder(self._folder, in_use)
        self._files = ExitStack()
        self._pending: list[str] = []
        self._committed_s = time.monotonic()
        self._done: dict[str, Joined] = {}
        self.spec: ExternalSpec | None = None
        try:
            if not replace_all and (self._folder / external.DESCRIPTION).is_file():
                self._open(_checked(external.read_spec(self._folder), spec, self._folder))
        except BaseException:
            self._files.close()
            self._lock.close()
            raise

    def __enter__(self) -> ExternalWriter:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock, self._files:
            self.commit()

    def done(self, source: str) -> Joined | None:
        """Return what is known of a source, None if it has never been joined."""
        return self._done.get(source)

    def add(self, source: str, rows: ExternalRows, file: FileRef) -> None:
        """Add a source; what was written is undone if it cannot be added.

        Args:
            source: Its id.
            rows: Its rows.
            file: Where they come from.

        Raises:
            StoreError: Its rows are of another width, or have other columns, than the first
                source's.
            DiskError: There is no room for them.
        """
        if self.spec is None:
            # Drop what is there, the description first: without it nothing counts.
            for name in (external.DESCRIPTION, external.SOURCES, external.ROWS, external.KEYS):
                (self._folder / name).unlink(missing_ok=True)
            spec = replace(self.requested, dim=rows.values.shape[1], columns=rows.columns)
            versions = {"triaffect": version("triaffect")}
            content = {"format": external.FORMAT, **asdict(spec), "versions": versions}
            write_text(self._folder / external.DESCRIPTION, json.dumps(content, indent=1) + "\n")
            self._open(spec)
        self._check_fit(rows, file.path)
        before = self._values.count
        digest = hashlib.blake2b(digest_size=16)
        try:
            append_hashed(self._values, rows.values, digest)
            append_hashed(self._keys, rows.keys, digest)
        except BaseException:
            self._values.cut(before)
            self._keys.cut(before)
            raise
        span = before, self._values.count
        line = Joined(
            source, span, rows.absent, file.path.name, file.bytes, file.sha256, digest.hexdigest()
        )
        self._done[source] = line
        self._pending.append(json.dumps(asdict(line)) + "\n")
        if time.monotonic() - self._committed_s > _COMMIT_EVERY_S:
            self.commit()

    def same_rows(self, source: str, rows: ExternalRows) -> bool:
        """Tell whether a joined source has just these rows.

        Args:
            source: Id of a source that has been joined.
            rows: Rows to compare its own with, by their hash.
        """
        assert self.spec is not None  # noqa: S101 - a source has been joined
        digest = hashlib.blake2b(digest_size=16)
        for part, dtype in ((rows.values, self.spec.row_dtype), (rows.keys, KEY_DTYPE)):
            data = np.ascontiguousarray(part, dtype)
            digest.update(data.view("u1").data if data.size else b"")
        return digest.hexdigest() == self._done[source].digest

    def commit(self) -> None:
        """Make everything added so far count; this happens by itself about every second."""
        lines, self._pending = self._pending, []
        if lines:
            self._values.sync()
            self._keys.sync()
            self._log.append(np.frombuffer("".join(lines).encode(), np.uint8))
            self._log.sync()
        self._committed_s = time.monotonic()

    def _check_fit(self, rows: ExternalRows, where: Path) -> None:
        assert self.spec is not None  # noqa: S101 - the stream has begun
        if rows.values.shape[1] != self.spec.dim:
            first = next(iter(self._done), "the first source")
            raise StoreError(
                f"{self.spec.dim} values a row, as {first} has",
                str(rows.values.shape[1]),
                "leave the file out, or join all again with --replace",
                where=where,
            )
        if rows.columns != self.spec.columns:
            expected, got = (
                ", ".join(columns) or "without names, as in an array"
                for columns in (self.spec.columns, rows.columns)
            )
            raise StoreError(f"the columns {expected}", got, where=where)

    def _open(self, spec: ExternalSpec) -> None:
        lines, size = external.read_lines(self._folder)
        count = lines[-1].rows[1] if lines else 0
        self._done = {line.source: line for line in lines}
        self._values = self._file(external.ROWS, spec.row_dtype, spec.dim, count)
        self._keys = self._file(external.KEYS, KEY_DTYPE, 0, count)
        self._log = self._file(external.SOURCES, _BYTE, 0, size)
        self.spec = spec

    def _file(self, name: str, dtype: np.dtype[Any], width: int, keep: int) -> RowFile:
        file = RowFile(self._folder / name, dtype, width, keep)
        return self._files.enter_context(closing(file))


def _checked(there: ExternalSpec, requested: ExternalSpec, where: Path) -> ExternalSpec:
    """Return the spec of the stream that is there, if it is as requested."""
    for name, word in (
        ("rate", "rate"), ("offset_s", "offset"), ("dtype", "number type"),
        ("wanted", "columns"), ("any_face", "use of face numbers"),
    ):  # fmt: skip
        had, requested_value = getattr(there, name), getattr(requested, name)
        if had != requested_value:
            raise StoreError(
                f"the {word} of the stream that is there, {_describe(name, had)}",
                _describe(name, requested_value),
                "give the same options, another --name, or --replace",
                where=where,
            )
    return there


def _describe(name: str, value: object) -> str:
    if name == "rate":
        return "a row a frame" if value is None else f"{value:g} rows a second"
    if name == "any_face":
        return "--any-face" if value else "no --any-face"
    return (", ".join(value) or "all") if isinstance(value, tuple) else str(value)
