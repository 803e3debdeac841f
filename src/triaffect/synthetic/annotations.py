"""Annotation files in the form of Aff-Wild2, single-task and multi-task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.aff_wild2 import (
    CHALLENGES,
    MULTI_TASK_FILES,
    MULTI_TASK_FOLDER,
    SPLIT_FOLDERS,
)
from triaffect.corpora.aff_wild2_files import MULTI_TASK_FORMAT, SINGLE_TASK_FORMATS
from triaffect.synthetic.labels import NO_AFFECT, NO_CODE, Labels
from triaffect.types import CORPUS_SPLITS, Split

TASKS = tuple(SINGLE_TASK_FORMATS)
_FOLDERS = {task: folder for folder, task in reversed(CHALLENGES.items())}
"""The first spelling of each challenge's folder."""
_SETS = {split: folder for folder, split in SPLIT_FOLDERS.items()}
_MULTI_TASK_FILES = {split: name for name, split in MULTI_TASK_FILES.items()}
"""The last spelling of each split's file."""
_TEST_LIST = "test_set_list.txt"
_UNITS = 12


@dataclass(frozen=True)
class Annotated:
    """The annotations of one person's video.

    Attributes:
        name: Of the video, with ``_left`` or ``_right`` where two share it.
        split: Which people it belongs with.
        tasks: The tasks that have a single-task file of it.
        single: Labels in the single-task files.
        multi: Labels in the multi-task file.
        listed: Which frames the multi-task file lists, (T,).
        surplus: How many lines more than frames (or fewer, if negative) the files have.
    """

    name: str
    split: Split
    tasks: tuple[str, ...]
    single: Labels
    multi: Labels
    listed: NDArray[np.bool_]
    surplus: int


def write_annotations(root: Path, videos: list[Annotated]) -> None:
    """Write all annotation files of a corpus, and the list of its test images."""
    for task in TASKS:
        for split in CORPUS_SPLITS:
            (root / _FOLDERS[task] / _SETS[split]).mkdir(parents=True)
    for video in videos:
        for task in video.tasks:
            lines = _cut_or_fill(_task_lines(video.single, task), task, video.surplus)
            path = root / _FOLDERS[task] / _SETS[video.split] / f"{video.name}.txt"
            _write(path, [SINGLE_TASK_FORMATS[task].header, *lines])
    folder = root / MULTI_TASK_FOLDER
    folder.mkdir()
    for split, name in _MULTI_TASK_FILES.items():
        rows = [row for video in videos if video.split is split for row in _image_lines(video)]
        _write(folder / name, [MULTI_TASK_FORMAT.header, *rows])
        if split is Split.TEST:
            images = [row.partition(",")[0] + "," for row in rows]
            _write(folder / _TEST_LIST, [MULTI_TASK_FORMAT.header, *images])


def _task_lines(labels: Labels, task: str) -> list[str]:
    if task == "VA":
        return [_affect(row) for row in labels.affect]
    if task == "EXPR":
        return [str(code) for code in labels.expression]
    return [_units(row) for row in labels.units]


def _cut_or_fill(lines: list[str], task: str, surplus: int) -> list[str]:
    """Lines cut short, or followed by lines without annotation."""
    empty = {"VA": _affect(np.full(2, NO_AFFECT)), "EXPR": str(NO_CODE)}
    filler = empty.get(task, _units(np.full(_UNITS, NO_CODE)))
    return lines[: len(lines) + min(surplus, 0)] + [filler] * max(surplus, 0)


def _image_lines(video: Annotated) -> list[str]:
    labels = video.multi
    return [
        f"{video.name}/{frame + 1:05d}.jpg,{_affect(labels.affect[frame])},"
        f"{labels.expression[frame]},{_units(labels.units[frame])}"
        for frame in np.flatnonzero(video.listed)
    ]


def _affect(row: NDArray[np.float64]) -> str:
    return ",".join("-5" if value == NO_AFFECT else f"{value:.3f}" for value in row)


def _units(row: NDArray[np.int64]) -> str:
    return ",".join(str(value) for value in row)


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
