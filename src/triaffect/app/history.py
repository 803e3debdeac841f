"""The history of the page: a folder with a folder for each job, under ids of our own.

No name from a request becomes a path. A job's folder holds ``job.json`` and what was computed: the
table as Parquet, the summary, the page, the annotated copy. The uploaded file is there until its
job has ended. Tables of other formats are made when they are downloaded first.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triaffect.errors import DiskError, TableError, TriaffectError, first_line
from triaffect.io.atomic import lock_folder, make_folder, replace_file, write_json
from triaffect.prediction.options import Options
from triaffect.prediction.parts import read_rows
from triaffect.tables.office import MOST_ROWS, ExcelWriter
from triaffect.tables.postprocess import Postprocessing
from triaffect.tables.writers import CsvWriter

_ID_BYTES = 8
_MOST_NAME = 200
"""Characters of a file's name that are shown."""


class RequestError(TriaffectError):
    """A request that cannot be answered, with the status of the answer that says so.

    Args:
        status: HTTP status.
        code: A word for programs, such as ``too_large``.
        expected: What would have been right.
        got: What came instead.
        remedy: What the caller can do.
        where: The file, option or header at fault.
    """

    def __init__(
        self, status: int, code: str, expected: str, got: str, remedy: str = "", where: str = ""
    ) -> None:
        super().__init__(expected, got, remedy, where=where)
        self.status, self.code = status, code


def missing_error() -> RequestError:
    """Make the error of an id that there is not, or not any more."""
    return RequestError(404, "not_found", "a job in the history", "none of this id")


class JobState(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"


STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)
"""Of what is saved: no unknown field, no conversion between types, no change."""

ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.DELETED)


class JobOptions(BaseModel):
    """Options of a job, as a page or a program sends them; others are refused.

    Attributes:
        stride_s: Seconds from one row of a face to the next; None for every frame.
        max_faces: Only the largest so many faces of a frame; None for all.
        sound: Whether the sound of videos is used.
        smooth: Whether the table gets smoothed columns too.
        pictures: Whether the page shows small pictures of the people.
        annotate: Whether to make a copy of the video with predictions drawn.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stride_s: float | None = Field(default=None, ge=0.01, le=3600)
    max_faces: int | None = Field(default=None, ge=1, le=100)
    sound: bool = True
    smooth: bool = False
    pictures: bool = True
    annotate: bool = False

    def prediction(self) -> Options:
        """Return the options of the prediction."""
        return Options(sound=self.sound, stride_s=self.stride_s, max_faces=self.max_faces)

    def postprocessing(self, summary: Path | None) -> Postprocessing:
        """Return the steps from rows to tables.

        Args:
            summary: Where the summary goes; None for nowhere.
        """
        return Postprocessing.parse("centred" if self.smooth else "off", summary=summary)


class FaceResult(BaseModel):
    """What was seen of a face so far.

    Attributes:
        label: Such as ``Face 0``.
        share: Share of the time in which it was there.
        texts: For each task its values or classes in words.
    """

    model_config = STRICT

    label: str
    share: float
    texts: tuple[str, ...]


class HistoryEntry(BaseModel):
    """A job, and what became of it.

    Attributes:
        id: Name of its folder.
        name: Name of the file, for people; never a path.
        options: As chosen.
        size: Bytes of the file.
        created: Seconds since 1970.
        state: Where it is.
        is_listed: Whether it is of the page's history; a program's request is not.
        is_recording: Whether the file is a recording of the live page, which stays.
        duration_s: Seconds that the file lasts; None where it does not say.
        progress: Share of the media time that is done.
        message: The progress in words, or what is doubtful in the result.
        error: Why it failed: ``expected``, ``got``, ``remedy``, ``code``; None if it did not.
        rows: Rows of the table.
        results: What was seen of each face.
        files: What can be downloaded, by name of the download.
    """

    model_config = STRICT

    id: str
    name: str
    options: JobOptions = JobOptions()
    size: int = 0
    created: float = 0.0
    state: JobState = JobState.WAITING
    is_listed: bool = True
    is_recording: bool = False
    duration_s: float | None = None
    progress: float = 0.0
    message: str = ""
    error: dict[str, str] | None = None
    rows: int = 0
    results: tuple[FaceResult, ...] = ()
    files: tuple[str, ...] = ()


FILES = {
    "table.csv": "text/csv; charset=utf-8",
    "table.xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "table.parquet": "application/vnd.apache.parquet",
    "summary.csv": "text/csv; charset=utf-8",
    "page.html": "text/html; charset=utf-8",
    "annotated.mp4": "video/mp4",
    "annotated.png": "image/png",
    "recording.mp4": "video/mp4",
}
"""What may lie in a job's folder for download, with its type."""

MADE_OF_TABLE = ("table.csv", "table.xlsx")


class History:
    """The folder of the history; one process has it.

    Args:
        folder: The folder, made if it is not there. Jobs that an earlier process had not ended
            are waiting again.

    Attributes:
        folder: As given.
        version: Rises with every change of an entry.

    Raises:
        DiskError: It cannot be written, or another process has it.
        TriaffectError: It holds other things than a history.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self.folder = folder
        in_use = DiskError("a folder of one triaffect app", "another that runs", where=folder)
        self._lock_file = lock_folder(folder, in_use)
        self._lock = threading.RLock()
        self._entries: dict[str, HistoryEntry] = {}
        self.version = 0
        try:
            self._read()
        except BaseException:
            self._lock_file.close()
            raise

    def _read(self) -> None:
        """Read the entries, and tidy up what a killed process has left."""
        for path in sorted(self.folder.glob("*/job.json")):
            entry = _read_entry(path)
            if entry.state is JobState.DELETED or not entry.is_listed:
                shutil.rmtree(path.parent, ignore_errors=True)
                continue
            if entry.state not in ENDED and self.media(entry.id).is_file():
                entry = entry.model_copy(update={"state": JobState.WAITING, "progress": 0.0})
            elif entry.state not in ENDED:
                shutil.rmtree(path.parent, ignore_errors=True)  # its upload was not complete
                continue
            self._entries[entry.id] = entry
        for path in self.folder.iterdir():
            if path.name not in self._entries and _is_unfinished_upload(path):
                shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Let another process have the folder."""
        self._lock_file.close()

    def entries(self) -> list[HistoryEntry]:
        """Return the listed entries, the newest first."""
        with self._lock:
            entries = [each for each in self._entries.values() if each.is_listed]
        listed = [entry for entry in entries if entry.state is not JobState.DELETED]
        return sorted(listed, key=lambda entry: -entry.created)

    def entry(self, id_: str) -> HistoryEntry:
        """Return an entry.

        Args:
            id_: Its id, as a request has it.

        Raises:
            RequestError: There is none.
        """
        with self._lock:
            entry = self._entries.get(id_)
        if entry is None or entry.state is JobState.DELETED:
            raise missing_error()
        return entry

    def add(
        self,
        name: str,
        options: JobOptions,
        *,
        is_listed: bool = True,
        is_recording: bool = False,
    ) -> HistoryEntry:
        """Make the folder of a job, whose file is still to come.

        Args:
            name: Name of the file, for people.
            options: As chosen.
            is_listed: Whether it is of the page's history.
            is_recording: Whether its file is a recording, which stays.

        Returns:
            The entry, which is not listed before it is `update`d.

        Raises:
            DiskError: There is no room.
        """
        id_ = secrets.token_hex(_ID_BYTES)
        make_folder(self.folder / id_)
        shown = "".join(each if each.isprintable() else "?" for each in name)[:_MOST_NAME]
        shown = shown.encode("utf-8", "replace").decode().strip() or "unnamed"
        return HistoryEntry(
            id=id_,
            name=shown,
            options=options,
            is_listed=is_listed,
            is_recording=is_recording,
            created=time.time(),
        )

    def update(self, entry: HistoryEntry, *, save: bool = True, **changes: Any) -> HistoryEntry:  # noqa: ANN401 - fields
        """Change an entry.

        Args:
            entry: It, or an older state of it.
            save: Whether the change is to outlive the process.
            changes: Fields by name.

        Returns:
            The entry as it is now; one that was deleted stays so.
        """
        with self._lock:
            current = self._entries.get(entry.id, entry)
            if current.state is JobState.DELETED:
                return current
            self.version += 1
            self._entries[entry.id] = current = current.model_copy(update=changes)
            if save:
                write_json(self.folder / entry.id / "job.json", current.model_dump(mode="json"))
        return current

    def media(self, id_: str) -> Path:
        """Return where the file of a job is until the job has ended."""
        return self.folder / id_ / "media"

    def remove(self, entry: HistoryEntry) -> None:
        """Remove an entry with all that is on the disk of it.

        Args:
            entry: It; nothing happens if it is gone.
        """
        with self._lock:
            self.version += 1
            self._entries.pop(entry.id, None)
            shutil.rmtree(self.folder / entry.id, ignore_errors=True)

    def rows(self, entry: HistoryEntry) -> Iterator[pa.Table]:
        """Yield the rows of a job that is done, in pieces.

        Args:
            entry: The job.
        """
        return read_rows(self.folder / entry.id / "table.parquet")

    def download(self, entry: HistoryEntry, name: str) -> Path:
        """Return a file of a job that is done; tables are made of the Parquet one when needed.

        Args:
            entry: The job.
            name: One of `FILES`.

        Raises:
            RequestError: There is none of this name.
            DiskError: There is no room.
        """
        if name not in FILES or name not in entry.files:
            raise missing_error()
        path = self.folder / entry.id / name
        if name in MADE_OF_TABLE and not path.exists():
            write = _write_csv if name == "table.csv" else _write_excel
            with replace_file(path, unlocked=True) as temporary:
                write(self.folder / entry.id / "table.parquet", temporary)
        return path


def available_files(folder: Path) -> tuple[str, ...]:
    """List what can be downloaded of a job that is done.

    Args:
        folder: The job's folder.

    Returns:
        Names of `FILES`, those included that are made when needed: Excel's if openpyxl is there.
    """
    names = [name for name in FILES if (folder / name).is_file()]
    if "table.parquet" in names:
        names.append("table.csv")
        with suppress(ImportError):
            import openpyxl  # noqa: F401, PLC0415 - only to see whether it is there

            names.append("table.xlsx")
    return tuple(name for name in FILES if name in names)


def _read_entry(path: Path) -> HistoryEntry:
    """Read what is saved of a job.

    Raises:
        TableError: It is no job of ours.
    """
    remedy = "choose another folder, or remove this file"
    try:
        entry = HistoryEntry.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        got = first_line(error)
        raise TableError("a job of the history", got, remedy, where=path) from error
    if entry.id != path.parent.name or not _is_id(entry.id):
        raise TableError("a job's own folder", f"that of {entry.id}", remedy, where=path)
    return entry


def _is_id(name: str) -> bool:
    return len(name) == 2 * _ID_BYTES and set(name) <= set("0123456789abcdef")


def _is_unfinished_upload(folder: Path) -> bool:
    """Tell whether a folder is what a killed process leaves of an upload, and nobody else's."""
    return _is_id(folder.name) and {path.name for path in folder.iterdir()} <= {"media"}


def _write_csv(table: Path, path: Path) -> None:
    writer = CsvWriter(path, pyarrow.parquet.read_schema(table))
    for rows in read_rows(table):
        writer.write(rows)
    writer.close(None)


def _write_excel(table: Path, path: Path) -> None:
    """Write a workbook, or say that the table is too long for one.

    Raises:
        RequestError: It has more rows than a sheet.
    """
    if (count := pyarrow.parquet.read_metadata(table).num_rows) > MOST_ROWS:
        expected, remedy = f"at most {MOST_ROWS} rows for Excel", "take CSV or Parquet"
        raise RequestError(413, "too_long", expected, str(count), remedy)
    writer = ExcelWriter(path, pyarrow.parquet.read_schema(table))
    for rows in read_rows(table):
        writer.write(rows)
    writer.close(None)
