"""Write files so that neither a kill, a full disk nor a power cut loses what was finished."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from triaffect.errors import DiskError, TriaffectError

LOCK = "lock"
"""The file of a folder that `lock_folder` locks; it stays, empty."""

_TRY_AGAIN = (
    "make room or allow it, then run the same command again (train: with --resume): "
    "what was finished is kept"
)


PAGES = (".html", ".htm")
"""How the names of pages end."""


def check_page(path: str | Path) -> Path:
    """Check, as `check_output` does, that a page to look at can be written.

    Args:
        path: The page to write later.

    Returns:
        The same path.

    Raises:
        DiskError: Its name is no page's, or it cannot be written there.
    """
    path = Path(path)
    if path.suffix.lower() not in PAGES:
        got = f"'{path.suffix}'" if path.suffix else "no ending"
        raise DiskError("a page whose name ends in .html", got, where=path)
    return check_output(path)


def check_output(path: Path) -> Path:
    """Check that a file can be written, before the work whose result it is to hold.

    A folder that is missing is made.

    Args:
        path: The file to write later.

    Returns:
        The same path.

    Raises:
        DiskError: It is a folder, or its folder cannot be made or written to.
    """
    if path.is_dir():
        raise DiskError("a file to write", "a folder", "add a file name", where=path)
    folder = path.absolute().parent
    make_folder(folder)
    if not os.access(folder, os.W_OK):
        got = "one that cannot be written to"
        raise DiskError("an output folder", got, "choose another or allow it", where=folder)
    return path


def check_distinct(outputs: Sequence[Path | None], inputs: Iterable[Path] = ()) -> None:
    """Check that no output of a command replaces another, or what the command reads.

    Args:
        outputs: Files to write later; None for what is not written.
        inputs: Files that are read, which may be missing.

    Raises:
        DiskError: It would.
    """
    paths = {os.path.realpath(path): path for path in outputs if path is not None}
    names = [os.path.realpath(path) for path in outputs if path is not None]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        got, remedy = "two outputs of one name", "choose another for one of them"
        raise DiskError("a file for each output", got, remedy, where=paths[twice])
    there = {_identity(path): path for path in paths.values() if path.is_file()}
    for each in inputs if there else ():
        replaced = there.get(_identity(each))
        if replaced is not None:
            expected, got = "an output beside what is read", "an input, which it would replace"
            raise DiskError(expected, got, "choose another name", where=replaced)


def _identity(path: Path) -> tuple[int, int] | None:
    """What the system knows a file by, whatever links lead to it; None if it is missing."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return state.st_dev, state.st_ino


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an error of the system into one line that names the file.

    Args:
        path: The file that is written in the ``with`` statement.

    Raises:
        DiskError: The disk is full, read-only or fails, or it is not allowed.
    """
    try:
        yield
    except OSError as error:
        got = error.strerror or str(error)
        raise DiskError("a file that can be written", got, _TRY_AGAIN, where=path) from error


def temporary_path(path: Path) -> Path:
    """Return where a file is until it is whole; a killed process may leave it there.

    Args:
        path: The file.

    Examples:
        >>> temporary_path(Path("model.json")).name
        'model.json.part'
    """
    return path.with_name(path.name + ".part")


@contextmanager
def replace_file(path: Path, *, unlocked: bool = False) -> Iterator[Path]:
    """Write a file whole or not at all.

    Args:
        path: The file; what is there is replaced.
        unlocked: Nothing keeps another process from writing the same file at the same time: the
            temporary file then has the process's number in its name. The last one wins.

    Yields:
        The temporary file to write, in the same folder. It takes the name ``path`` once its
        content is on the disk.

    Raises:
        DiskError: It cannot be written; what was there before stays.
    """
    temporary = temporary_path(path)
    if unlocked:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with disk_errors(path):
        try:
            yield temporary
            sync_file(temporary)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()  # half a file only takes room
            raise
        sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all; a missing folder is made.

    Args:
        path: The file; what is there is replaced.
        text: Its content, written as UTF-8.

    Raises:
        DiskError: It cannot be written.
    """
    make_folder(path.absolute().parent)
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:  # noqa: ANN401 - anything JSON can hold
    """Write indented JSON whole or not at all; a missing folder is made.

    Args:
        path: The file; what is there is replaced.
        content: Anything that `json.dumps` takes.

    Raises:
        DiskError: It cannot be written.
    """
    write_text(path, json.dumps(content, indent=1) + "\n")


def make_folder(path: Path) -> None:
    """Make a folder, and those it is in, so that a power cut leaves them.

    Args:
        path: The folder; nothing is done if it is there.

    Raises:
        DiskError: It cannot be made.
    """
    if path.is_dir():
        return
    if path.exists():
        raise DiskError("a folder", "a file", "choose another name", where=path)
    make_folder(path.parent)
    with disk_errors(path):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


@contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """Write a folder whole or not at all.

    A folder with the same files is left as it is. A kill between the two renames that replace
    a folder leaves none under its name; the next call puts the old one back.

    Args:
        path: The folder; what is there is replaced.

    Yields:
        An empty temporary folder to fill, beside ``path``.

    Raises:
        DiskError: It cannot be written; what was there before stays.
    """
    make_folder(path.parent)
    temporary, old = (path.with_name(f".{path.name}.{word}") for word in ("part", "old"))
    with disk_errors(path):
        if old.exists() and not path.exists():
            old.replace(path)  # a kill came between the renames
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            yield temporary
            for each in temporary.rglob("*"):
                sync_folder(each) if each.is_dir() else sync_file(each)
            sync_folder(temporary)
            if not _have_same_files(temporary, path):
                _swap_folders(temporary, old, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            if path.exists():  # else it is all there is, and the next call puts it back
                shutil.rmtree(old, ignore_errors=True)


def _have_same_files(one: Path, other: Path) -> bool:
    """Compare the files of two folders, and of those in them, by name and content."""
    first, second = (
        {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
        for folder in (one, other)
    )
    return first.keys() == second.keys() and all(
        filecmp.cmp(path, second[name], shallow=False) for name, path in first.items()
    )


def _swap_folders(temporary: Path, old: Path, path: Path) -> None:
    """Put the finished folder in its place; what was there moves away first."""
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.replace(old)
    try:
        temporary.replace(path)
    except BaseException:
        if old.exists():
            old.replace(path)
        raise
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk.

    Args:
        path: The file, written and closed.
    """
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that.

    Args:
        path: The folder, of which files were made, renamed or removed.
    """
    if sys.platform == "win32":
        return
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def lock_folder(folder: Path, in_use: TriaffectError) -> ExitStack:
    """Lock a folder for this process, until the lock is released or the process ends.

    Nor can this process lock it twice.

    Args:
        folder: What to lock; it must be there.
        in_use: Raised if another process has it.

    Returns:
        What releases the lock when it is closed, or at the end of its ``with`` statement.

    Raises:
        DiskError: The folder cannot be written to, or its file system knows no locks.
    """
    return _lock(folder / LOCK, in_use)


@contextmanager
def lock_output(path: Path) -> Iterator[None]:
    """Keep other processes from writing the same file while the ``with`` statement runs.

    Args:
        path: The file; a hidden one beside it is locked, and removed at the end.

    Raises:
        DiskError: Another process is writing it, or its folder cannot be written to.
    """
    got, remedy = "another run is writing this", "wait for it to end, or choose another name"
    in_use = DiskError("an output that no other run writes", got, remedy, where=path)
    name = path.with_name(f".{path.name}.lock")
    lock = _lock(name, in_use)
    while not name.exists():  # removed by another at its end, after this process had opened it
        lock.close()
        lock = _lock(name, in_use)
    with lock:
        try:
            yield
        finally:
            with suppress(OSError):  # Windows keeps a file that is open
                name.unlink()


def _lock(path: Path, in_use: TriaffectError) -> ExitStack:
    """Lock a file that is made if it is missing; raise an error if another process has it."""
    from filelock import FileLock, Timeout  # noqa: PLC0415 - only who writes needs it

    # A soft lock, which only is a file, would outlive a killed process.
    lock = FileLock(path, thread_local=False, fallback_to_soft=False)
    with disk_errors(path):
        try:
            lock.acquire(timeout=0)
        except Timeout:  # a TimeoutError, which is an OSError
            raise in_use from None
    released = ExitStack()
    released.callback(lock.release)
    return released
