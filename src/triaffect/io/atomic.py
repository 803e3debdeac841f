"""Write files so that neither a kill, a full disk nor a power cut loses what was finished."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from triaffect.errors import DiskError, TriaffectError

LOCK = "lock"
"""The file of a folder that `locked` locks; it stays, empty."""

_AGAIN = (
    "make room or allow it, then run the same command again (train: with --resume): "
    "what was finished is kept"
)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell in one line what kept a file from being written.

    Raises:
        DiskError: The disk is full, read-only or fails, or it is not allowed.
    """
    try:
        yield
    except OSError as error:
        got = error.strerror or str(error)
        raise DiskError("a file that can be written", got, _AGAIN, where=path) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file aside to write to, which becomes ``path`` once its content is on the disk.

    Raises:
        DiskError: It cannot be written; what was there before stays.
    """
    aside = aside_of(path)
    with writing(path):
        try:
            yield aside
            sync_file(aside)
            aside.replace(path)
        except BaseException:
            with suppress(OSError):
                aside.unlink()  # half a file only takes room
            raise
        sync_folder(path.parent)


def aside_of(path: Path) -> Path:
    """Where a file is until it is whole; a killed process may leave it."""
    return path.with_name(path.name + ".part")


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all.

    Raises:
        DiskError: It cannot be written.
    """
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def make_folder(path: Path) -> None:
    """Make a folder, and those it is in, so that a power cut leaves them.

    Raises:
        DiskError: It cannot be made.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    with writing(path):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that."""
    if sys.platform == "win32":
        return
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def locked(folder: Path, in_use: TriaffectError) -> IO[bytes]:
    """A lock on a folder that ends with the process, however that ends.

    Args:
        folder: What to lock; it must be there.
        in_use: Raised if another process has it.

    Raises:
        DiskError: The folder cannot be written to, or its file system knows no locks.
    """
    with writing(folder / LOCK):
        stream = (folder / LOCK).open("ab")
        if sys.platform != "win32":
            import fcntl  # noqa: PLC0415 - not on every system

            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stream.close()
                raise in_use from None
            except OSError:
                stream.close()
                raise
    return stream
