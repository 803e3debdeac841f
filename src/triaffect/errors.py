"""Errors a user can act on: what was expected, what came, what to do."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path

_LIKE_AN_ESCAPE = re.compile(rb"\\(?=x[0-9a-f]{2})")


def printable(path: str | Path) -> str:
    r"""Return a path as text that every table, page and message can hold; no two become one.

    >>> printable("caf" + chr(0xDCE9)), printable("café")
    ('caf\\xe9', 'café')

    Args:
        path: The path. Bytes of it that are not UTF-8 are surrogates, as Python gives them; each
            becomes its number, such as ``\xe9``. A backslash that would read as such a number
            becomes ``\x5c``, but for those between Windows's folders.
    """
    name = os.fspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        pass
    else:
        if "\\x" not in name or os.sep == "\\":
            return name
    encoded = name.encode("utf-8", sys.getfilesystemencodeerrors())
    return _LIKE_AN_ESCAPE.sub(rb"\\x5c", encoded).decode("utf-8", "backslashreplace")


class TriaffectError(Exception):
    """An error that the user can mend, described in one line.

    The command line prints it without a traceback and exits with code 2.

    Args:
        expected: What would have been right, such as ``"12 action units"``.
        got: What came instead, such as ``"13"``.
        remedy: What the user can do about it; may be empty.
        where: The file (and line), key or option at fault; may be empty.
    """

    def __init__(
        self, expected: str, got: str, remedy: str = "", *, where: str | Path = ""
    ) -> None:
        self.expected, self.got, self.remedy, self.where = expected, got, remedy, str(where)
        prefix = f"{printable(self.where)}: " if self.where else ""
        suffix = f"; {remedy}" if remedy else ""
        message = f"{prefix}expected {expected}, got {got}{suffix}"
        super().__init__(message.encode("utf-8", "backslashreplace").decode())

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from the four parts, so that the error crosses a process boundary."""
        return _rebuild, (type(self), self.expected, self.got, self.remedy, self.where)


def _rebuild(
    kind: type[TriaffectError], expected: str, got: str, remedy: str, where: str
) -> TriaffectError:
    return kind(expected, got, remedy, where=where)


class MediaError(TriaffectError):
    """A video, image or sound that cannot be read."""


class AnnotationError(TriaffectError):
    """A label file with a value that no label can have; ``where`` is ``file:line``."""


class StoreError(TriaffectError):
    """A feature store that is missing, half written or made by another extractor."""


class RecipeError(TriaffectError):
    """A recipe with an unknown key or a value of the wrong type."""


class RunError(TriaffectError):
    """A run folder that is missing, half written or made by another recipe."""


class ModelError(TriaffectError):
    """A model folder that is missing, incomplete or does not match its hashes."""


class DiskError(TriaffectError):
    """A file that cannot be written: a full or read-only disk, or no permission."""


class TableError(TriaffectError):
    """A table of labels or predictions whose columns or rows do not fit."""


class PluginError(TriaffectError):
    """A task, network or corpus of another package that is missing or fails on import."""


def alike_names(names: Iterable[str]) -> list[list[str]]:
    """List names that differ in capitals, spaces or the coding of their letters alone.

    >>> alike_names(["P1", "P2", "p1", "P 2"])
    [['P1', 'p1']]

    Args:
        names: The names, in the order in which they are to be listed.

    Returns:
        The ways in which a name is written, for each name that is written in several.
    """
    alike: dict[str, dict[str, None]] = {}
    for name in names:
        plain = " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
        alike.setdefault(plain, {})[name] = None
    return [list(each) for each in alike.values() if len(each) > 1]


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says, or its type if it says nothing.

    Examples:
        >>> first_line(ValueError("no such node" + chr(10) + "at line 3")), first_line(KeyError())
        ('no such node', 'KeyError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def one_line(error: BaseException) -> str:
    """Return all that an exception says, in one line; its type if it says nothing.

    Args:
        error: The exception.

    Examples:
        >>> one_line(ValueError("no such node" + chr(10) + "  at line 3")), one_line(KeyError())
        ('no such node at line 3', 'KeyError')
    """
    return " ".join(str(error).split()) or type(error).__name__


def explain_missing_library(error: ImportError) -> TriaffectError | None:
    """Explain what to install where opencv lacks a library of the system.

    The headless build, which triaffect depends on, needs none; opencv-python in its place does.

    >>> explain_missing_library(ImportError("libGL.so.1: cannot open")).remedy
    'on Debian and Ubuntu: apt-get install libgl1 libglib2.0-0'
    >>> explain_missing_library(ImportError("No module named 'cv2'")) is None
    True

    Args:
        error: What an import raised.

    Returns:
        An error that says it; None if the cause is another one.
    """
    if not any(library in str(error) for library in ("libGL.so", "libglib-", "libgthread-")):
        return None
    remedy = "on Debian and Ubuntu: apt-get install libgl1 libglib2.0-0"
    return TriaffectError("libGL and glib for opencv", str(error), remedy)


def explain_old_processor(error: RuntimeError) -> TriaffectError | None:
    """Explain that NumPy does not run on a processor; without AVX2 all runs, but slower.

    Args:
        error: What an import raised.

    Returns:
        An error that says it; None if the cause is another one.

    Examples:
        >>> explain_old_processor(RuntimeError("built with baseline optimizations: X86_V2")).got
        'built with baseline optimizations: X86_V2'
        >>> explain_old_processor(RuntimeError("no running event loop")) is None
        True
    """
    if "baseline optimizations" not in str(error):
        return None
    remedy = "use a machine of 2009 or later"
    return TriaffectError("a processor with SSE4.2 (x86-64-v2)", one_line(error), remedy)
