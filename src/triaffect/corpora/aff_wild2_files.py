"""The annotation files of Aff-Wild2: one header line, then comma-separated values a line.

A file that is right is read by Arrow in one go. Anything else is read again line by line, to
say which line is wrong and why. The codes for "not annotated", -5 for valence and arousal and
-1 for expression and action units, count as such however they are written (``-5``, ``-5.0``);
the published program keeps ``-5.0`` as if it were a label, which is not offered here. A valence
of -1 is a value like any other.

What counts as right: UTF-8, with or without a byte order mark; lines end in a line feed, with or
without a carriage return before it; blanks around fields are spaces and tabs; a number is decimal,
with or without point and exponent; blank lines only at the end, for frames are numbered by line.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from triaffect.corpora.rows import TaskLabels
from triaffect.errors import AnnotationError
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION, EXPRESSIONS
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL
from triaffect.types import BoolArray, IntArray

_NAME = r"[^/\\\pC\pZ](?:[^/\\\pC\p{Zl}\p{Zp}]*[^/\\\pC\pZ])?"
_IMAGE = rf"^(?P<video>{_NAME})/(?P<number>[0-9]{{1,8}})\.(?i:jpe?g)$"
"""Of Arrow's kind of pattern; no name has control characters, line ends, or blanks at its ends."""
_NO_VIDEO = (".", "..")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BLANKS = " \t"
_MARK = "\ufeff"
_SHOWN = 80
"""Characters of a wrong text that a message shows."""


@dataclass(frozen=True)
class ValueRule:
    """What one column may hold: a code for "not annotated", or a number in [low, high]."""

    name: str
    missing: float
    low: float
    high: float
    whole: bool

    def __str__(self) -> str:
        """Say the rule in words, as an error states what was expected."""
        kind = "whole number" if self.whole else "number"
        span = f"from {self.low:g} to {self.high:g}"
        return f"{self.name}: a {kind} {span}, or {self.missing:g} for not annotated"


@dataclass(frozen=True)
class FileFormat:
    """The form of one kind of annotation file.

    Attributes:
        header: First line, as published.
        values: What each number of a line may be.
        tasks: Key of the task that each number belongs to.
        has_image: Whether a line starts with the image it is about.
    """

    header: str
    values: tuple[ValueRule, ...]
    tasks: tuple[str, ...]
    has_image: bool = False

    @property
    def names(self) -> list[str]:
        """Names of what a line holds, in order."""
        return ["image"] * self.has_image + [each.name for each in self.values]


_unit = partial(ValueRule, missing=-1, low=0, high=1, whole=True)
_VA = FileFormat(
    "valence,arousal",
    tuple(ValueRule(name, -5, -1, 1, whole=False) for name in VALENCE_AROUSAL.columns),
    (VALENCE_AROUSAL.key,) * 2,
)
_EXPR = FileFormat(
    ",".join(name.capitalize() for name in EXPRESSIONS),
    (ValueRule("expression", -1, 0, len(EXPRESSIONS) - 1, whole=True),),
    (EXPRESSION.key,),
)
_AU = FileFormat(
    ",".join(ACTION_UNITS.columns),
    tuple(_unit(name) for name in ACTION_UNITS.columns),
    (ACTION_UNITS.key,) * len(ACTION_UNITS.columns),
)
SINGLE_TASK_FORMATS = {VALENCE_AROUSAL.key: _VA, EXPRESSION.key: _EXPR, ACTION_UNITS.key: _AU}
MULTI_TASK_FORMAT = FileFormat(
    "image,valence,arousal,expression,aus",
    _VA.values + _EXPR.values + _AU.values,
    _VA.tasks + _EXPR.tasks + _AU.tasks,
    has_image=True,
)


class ImageLabels(NamedTuple):
    """Lines of a multi-task file that name an image.

    Attributes:
        video: Name of the video, shape (N,).
        frame: 0-based frame number, shape (N,).
        line: 1-based line of the file, shape (N,).
        labels: The file's numbers and which of them are annotated, shape (N, 15).
        problems: The lines that are wrong, each with the video it names, ``""`` if none.
    """

    video: NDArray[np.object_]
    frame: IntArray
    line: IntArray
    labels: TaskLabels
    problems: list[tuple[str, AnnotationError]]


class _Lines(NamedTuple):
    labels: TaskLabels
    images: pa.Array
    problems: dict[int, AnnotationError]


def read_frames(path: Path, file_format: FileFormat) -> TaskLabels:
    """Read a single-task file, in which data line n is frame n - 1.

    Args:
        path: The file.
        file_format: One of `SINGLE_TASK_FORMATS`.

    Returns:
        The numbers of each frame and which of them are annotated, shape (frames, K).

    Raises:
        AnnotationError: The file is wrong; the message names the first wrong line and
            says how many more there are.
    """
    lines = _read_lines(path, file_format)
    if lines.problems:
        raise blame_first(list(lines.problems.values()))
    return lines.labels


def read_image_labels(path: Path) -> ImageLabels:
    """Read a multi-task file, whose lines name a video and an image of it.

    Args:
        path: The file, of the form `MULTI_TASK_FORMAT`.

    Returns:
        The lines that are right, in the file's order; the same image may be named twice.

    Raises:
        AnnotationError: The file has no right header, is empty or is not text. Single wrong
            lines are told in the result's ``problems`` instead, and left out of the rest.
    """
    lines = _read_lines(path, MULTI_TASK_FORMAT)
    video, frame = _split_images(lines.images)
    good = frame >= 0
    good[list(lines.problems)] = False
    problems = [
        (
            str(video[row] or ""),
            lines.problems.get(row) or _wrong_image(f"{path}:{row + 2}", lines.images[row].as_py()),
        )
        for row in np.flatnonzero(~good).tolist()
    ]
    line = np.flatnonzero(good) + 2
    return ImageLabels(video[good], frame[good], line, lines.labels.take(good), problems)


def read_test_list(path: Path) -> list[str]:
    """Read the images to predict, in order: a header, then ``video/00001.jpg`` a line.

    A trailing comma is allowed. A first line is a header if it begins with "image" and is none.

    Args:
        path: The file.

    Returns:
        Each image as ``video/number.jpg``, as written there.

    Raises:
        AnnotationError: The file is empty or not text, or a line is not an image of a video.
    """
    texts = [
        text.strip(_BLANKS).removesuffix(",").rstrip(_BLANKS)
        for text in _read_text(path).split("\n")
    ]
    wrong = _split_images(pa.array(texts, pa.string()))[1] < 0
    first = int(wrong[0] and texts[0].lower().startswith("image"))
    if len(texts) == first:
        raise AnnotationError("at least one image after the header", "none", where=f"{path}:1")
    if wrong[first:].any():
        row = first + int(wrong[first:].argmax())
        raise _wrong_image(f"{path}:{row + 1}", texts[row])
    return texts[first:]


def blame_first(errors: Sequence[AnnotationError]) -> AnnotationError:
    """Return the first of a file's errors, with a remedy that says how many follow.

    Args:
        errors: Of one file, in the order of its lines; at least one.
    """
    first = errors[0]
    if len(errors) == 1:
        return first
    more = f"{len(errors) - 1} more lines of this file are wrong"
    return AnnotationError(first.expected, first.got, more, where=first.where)


def _read_lines(path: Path, file_format: FileFormat) -> _Lines:
    header, _, body = _read_text(path).partition("\n")
    first_line, published = (
        text.replace("\t", "").replace(" ", "").lower() for text in (header, file_format.header)
    )
    if first_line != published:
        raise AnnotationError(f"the header {file_format.header}", _shown(header), where=f"{path}:1")
    if not body:
        raise AnnotationError("at least one line after the header", "none", where=f"{path}:1")
    return _parse_at_once(body, file_format) or _parse_by_line(path, body, file_format)


def _read_text(path: Path) -> str:
    """Return a file's lines up to the last that is not blank, joined by line feeds."""
    try:
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise AnnotationError("a file to read", str(error.strerror), where=path) from error
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        got = f"the byte {data[error.start]:#04x}"
        raise AnnotationError("UTF-8 text", got, where=f"{path}:{line}") from error
    text = text.replace("\r\n", "\n").removesuffix("\r").rstrip(_BLANKS + "\n")
    if not text:
        raise AnnotationError("a header line and values", "an empty file", where=f"{path}:1")
    return text


def _parse_at_once(body: str, file_format: FileFormat) -> _Lines | None:
    """Read all lines, or None if any of them may be wrong."""
    types = {name: pa.float64() for name in file_format.names} | {"image": pa.string()}
    if "\r" in body or body.startswith(_MARK):  # to Arrow the end of a line, and nothing
        return None
    try:
        table = csv.read_csv(
            pa.py_buffer(body.encode()),
            csv.ReadOptions(column_names=file_format.names, use_threads=False),
            csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False),
        )
    except pa.ArrowInvalid:
        return None
    numbers = np.stack([table.column(each.name).to_numpy() for each in file_format.values], axis=1)
    labels, wrong = _decode(numbers, file_format)
    if wrong.any():
        return None
    names = (
        table.column("image").combine_chunks()
        if file_format.has_image
        else pa.array([], pa.string())
    )
    return _Lines(labels, pc.utf8_trim(names, _BLANKS), {})


def _decode(numbers: NDArray[np.float64], file_format: FileFormat) -> tuple[TaskLabels, BoolArray]:
    """Tell labels from the codes for none, and from numbers that cannot be; shapes (N, K)."""
    rules = file_format.values
    missing = numbers == np.array([rule.missing for rule in rules])
    whole = np.array([rule.whole for rule in rules])
    fits = numbers >= np.array([rule.low for rule in rules])
    fits &= numbers <= np.array([rule.high for rule in rules])
    fits &= ~whole | (numbers == np.floor(numbers))
    values = np.where(fits, numbers, 0).astype(np.float32)
    return TaskLabels(values, fits), ~(fits | missing)


def _parse_by_line(path: Path, body: str, file_format: FileFormat) -> _Lines:
    """Read all lines, and say what is wrong with each that is."""
    lines = [text.split(",") for text in body.split("\n")]
    # NaN for what is no number, and for all of a line of another length
    numbers = np.full((len(lines), len(file_format.values)), np.nan)
    for row, fields in enumerate(lines):
        if len(fields) == len(file_format.names):
            texts = [field.strip(_BLANKS) for field in fields[file_format.has_image :]]
            numbers[row] = [float(each) if _NUMBER.fullmatch(each) else np.nan for each in texts]
    labels, wrong = _decode(numbers, file_format)
    problems = {
        row: _mistake(lines[row], file_format, int(wrong[row].argmax()), f"{path}:{row + 2}")
        for row in np.flatnonzero(wrong.any(1)).tolist()
    }
    images = [fields[0].strip(_BLANKS) for fields in lines] if file_format.has_image else []
    return _Lines(labels, pa.array(images, pa.string()), problems)


def _mistake(
    fields: list[str], file_format: FileFormat, column: int, where: str
) -> AnnotationError:
    """Say what is wrong with a line: how many values it has, or the one in that column."""
    names = file_format.names
    if len(fields) == len(names):
        got = _shown(fields[file_format.has_image + column].strip(_BLANKS))
        return AnnotationError(str(file_format.values[column]), got, where=where)
    needed, count = (f"{n} value{'' if n == 1 else 's'}" for n in (len(names), len(fields)))
    units = len(fields) - len(names) + file_format.tasks.count(ACTION_UNITS.key)
    got = count if any(fields) else "a blank line"
    got += f" ({units} action units)" if units > len(ACTION_UNITS.columns) else ""
    return AnnotationError(f"{needed} ({', '.join(names)})", got, where=where)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _split_images(images: pa.Array) -> tuple[NDArray[np.object_], IntArray]:
    """Return video (None if wrong) and 0-based frame (-1 if wrong) of images, shapes (N,)."""
    parts = pc.extract_regex(images, _IMAGE)
    video = pc.struct_field(parts, "video").to_numpy(zero_copy_only=False).copy()
    number = pc.cast(pc.struct_field(parts, "number"), pa.int64()).fill_null(0).to_numpy()
    wrong = parts.is_null().to_numpy(zero_copy_only=False) | np.isin(video, _NO_VIDEO)
    wrong |= number < 1
    video[wrong] = None
    return video, np.where(wrong, -1, number - 1).astype(np.int64)


def _wrong_image(where: str, text: str) -> AnnotationError:
    expected = "an image of a video, numbered from 1, such as video/00001.jpg"
    remedy = "paths stay inside the folder of crops"
    return AnnotationError(expected, _shown(text), remedy, where=where)
