"""Validate submissions; reads the text by itself and shares no code with the writer.

A line break after the last line is as good as none. Everything else is as the organisers ask:
UTF-8 without a byte order mark, lines that end in a line feed alone, the header, then every
line of the test list once and in its order, each with 15 values.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from triaffect.corpora.aff_wild2_files import MULTI_TASK_FORMAT
from triaffect.errors import AnnotationError

HEADER = "image,valence,arousal,expression,aus"
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
_PATTERNS = (_DECIMAL, _DECIMAL, re.compile("[0-7]"), *(re.compile("[01]"),) * 12)
_RANGED = 2
"""How many of the values, the first ones, are numbers from -1 to 1."""
_EXPECTED = (
    *("a number from -1 to 1",) * _RANGED,
    "a class from 0 to 7",
    *("0 (absent) or 1 (present)",) * 12,
)
_NAMES = MULTI_TASK_FORMAT.names[1:]
"""What a message calls each value; this alone is the reader's of annotation files."""
_NO_TEXT = re.compile("[\udc80-\udcff]")
"""What Python makes of bytes that are no UTF-8."""


class _Problem(NamedTuple):
    line: int
    expected: str
    got: str


def check_submission(path: Path, images: Sequence[str]) -> None:
    """Check that a file has a line for every image of a test list.

    Args:
        path: The file.
        images: The list's images such as ``"video/00001.jpg"``, each once, in its order.

    Raises:
        AnnotationError: It does not; the message names the first wrong line and says how
            many more mistakes there are.
    """
    first: _Problem | None = None
    mistakes = 0
    for problem in _problems(path, images):
        mistakes += 1
        if first is None or problem.line < first.line:
            first = problem
    if first is not None:
        more = f"{mistakes - 1} more mistakes in this file" if mistakes > 1 else ""
        raise AnnotationError(first.expected, first.got, more, where=f"{path}:{first.line}")


def _problems(path: Path, images: Sequence[str]) -> Iterator[_Problem]:
    lines = _lines(path)
    header = next(lines, "")
    if header != HEADER:
        yield _Problem(1, f"the header {HEADER}", repr(header[:80]))
        return
    displaced, number = False, 1
    for number, (text, image) in enumerate(zip_longest(lines, images), 2):
        if text is None:
            displaced = True
            break
        displaced |= text.partition(",")[0] != image
        yield from _wrong_values(number, text)
    if displaced:
        yield from _misplaced(path, images)


def _lines(path: Path) -> Iterator[str]:
    """Yield lines without their line feed; what is no UTF-8 becomes `_NO_TEXT`."""
    try:
        with path.open("rb") as file:
            for raw in file:
                yield raw.removesuffix(b"\n").decode("utf-8", errors="surrogateescape")
    except OSError as error:
        raise AnnotationError("a file to read", str(error.strerror), where=path) from error


def _wrong_values(number: int, text: str) -> Iterator[_Problem]:
    values = text.split(",")[1:]
    if "\r" in text:
        yield _Problem(number, "a line that ends in a line feed alone", "a carriage return")
    elif _NO_TEXT.search(text):
        yield _Problem(number, "UTF-8 text", "other bytes")
    elif not text:
        yield _Problem(number, "an image and its values", "a blank line")
    elif len(values) != len(_PATTERNS):
        yield _Problem(number, f"an image and {len(_PATTERNS)} values", f"{len(values)} values")
    else:
        wrong = [k for k, value in enumerate(values) if not _fits(k, value)]
        if wrong:
            k = wrong[0]
            yield _Problem(number, f"{_NAMES[k]}: {_EXPECTED[k]}", repr(values[k][:40]))


def _fits(field: int, value: str) -> bool:
    matches = _PATTERNS[field].fullmatch(value) is not None
    return matches and (field >= _RANGED or -1 <= float(value) <= 1)


def _misplaced(path: Path, images: Sequence[str]) -> Iterator[_Problem]:
    """List absent, foreign and repeated images; if there are none, those out of order."""
    submitted = [text.partition(",")[0] for text in _lines(path)][1:]
    listed, times = set(images), Counter[str]()
    complete = True
    for number, image in enumerate(submitted, 2):
        times[image] += 1
        if image not in listed:
            yield _Problem(number, "an image of the list", repr(image[:80]))
        elif times[image] > 1:
            yield _Problem(number, "every image once", f"{image} again")
        complete &= image in listed and times[image] == 1
    end = len(submitted) + 1
    for image in images:
        if image not in times:
            complete = False
            yield _Problem(end, "every image of the list", f"no line for {image}")
    if complete:
        for number, (image, expected) in enumerate(zip(submitted, images, strict=True), 2):
            if image != expected:
                yield _Problem(number, f"{expected}, as in the list's order", image)
