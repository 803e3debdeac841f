"""Where Aff-Wild2 keeps what: crops, raw videos and annotation files of a folder.

Everything may lie in the corpus's folder itself or one folder below it::

    cropped_aligned*/<video>/00001.jpg
    [batch* | new_vids* /] <video>.mp4 or .avi
    VA_Estimation_Challenge | EXPR_Classification_Challenge | EXPR_Recognition_Challenge |
        AU_Detection_Challenge / Train_Set | Validation_Set | Test_Set / <video>.txt
    [MTL_Challenge /] train_set.txt | training_set_annotations.txt, validation_set.txt |
        validation_set_annotations.txt, test_set_annotations.txt

The corpus's folder may be one of crops itself. Suffixes may be in upper case. The two people of
a twin video, ``<video>_left`` and ``<video>_right``, share its raw video unless each has its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from triaffect.errors import AnnotationError
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL
from triaffect.types import Split

CHALLENGES = {
    "VA_Estimation_Challenge": VALENCE_AROUSAL.key,
    "EXPR_Classification_Challenge": EXPRESSION.key,
    "EXPR_Recognition_Challenge": EXPRESSION.key,
    "AU_Detection_Challenge": ACTION_UNITS.key,
}
SPLIT_FOLDERS = {
    "Train_Set": Split.TRAIN,
    "Validation_Set": Split.VALIDATION,
    "Test_Set": Split.TEST,
}
MULTI_TASK_FOLDER = "MTL_Challenge"
MULTI_TASK_FILES = {
    "train_set.txt": Split.TRAIN,
    "training_set_annotations.txt": Split.TRAIN,
    "validation_set.txt": Split.VALIDATION,
    "validation_set_annotations.txt": Split.VALIDATION,
    "test_set_annotations.txt": Split.TEST,
}
CROPS_PREFIX = "cropped_aligned"
VIDEO_SUFFIXES = (".mp4", ".avi")
VIDEO_FOLDERS = ("batch", "new_vids")
"""How the folders begin that raw videos are handed out in."""
TWIN_SUFFIXES = ("_left", "_right")

_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Layout:
    """The files of one Aff-Wild2 folder.

    Attributes:
        crops: Folder of aligned faces by the video's name.
        raw: Raw video by its name without suffix.
        single: By the video's name, its single-task files by (task key, split).
        multi: Multi-task file by split.
        problems: Files and folders that are there twice, of which the first is used.
    """

    crops: dict[str, Path] = field(default_factory=dict)
    raw: dict[str, Path] = field(default_factory=dict)
    single: dict[str, dict[tuple[str, Split], Path]] = field(default_factory=dict)
    multi: dict[Split, Path] = field(default_factory=dict)
    problems: list[AnnotationError] = field(default_factory=list)

    def raw_video(self, name: str) -> Path | None:
        """Find the raw video behind a name; the two people of a twin video share theirs.

        Args:
            name: Name of a source: a video's, maybe with one of `TWIN_SUFFIXES`.

        Returns:
            Its file; None if there is none.

        Examples:
            >>> Layout(raw={"a": Path("a.mp4")}).raw_video("a_left").name
            'a.mp4'
        """
        for suffix in ("", *TWIN_SUFFIXES):
            if name.endswith(suffix) and (path := self.raw.get(name.removesuffix(suffix))):
                return path
        return None


def find_layout(root: Path) -> Layout:
    """List the files of an Aff-Wild2 folder; none of them is opened.

    Args:
        root: The corpus's folder, or its folder of crops.

    Returns:
        What is there, empty where nothing is. Of files and folders that are there twice, the first
        is listed, and each other one is among the problems.
    """
    layout = Layout()
    if root.name.startswith(CROPS_PREFIX):
        _add_crops(layout, root)
        return layout
    skipped = (CROPS_PREFIX, MULTI_TASK_FOLDER)  # looked into by name, from the folder above
    below = [folder for folder in _folders(root) if not folder.name.startswith(skipped)]
    for base in [root, *below]:
        for folder in _folders(base, CROPS_PREFIX):
            _add_crops(layout, folder)
        for folder in [base, *_folders(base, VIDEO_FOLDERS)]:
            for path in _visible(folder):
                if path.suffix.lower() in VIDEO_SUFFIXES:
                    _add(layout, layout.raw, path.stem, path)
        _add_annotations(layout, base)
    return layout


def _visible(folder: Path) -> Iterator[Path]:
    """Entries of a folder in order, without hidden ones such as the ``._x`` of archives."""
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return (entry for entry in entries if not entry.name.startswith("."))


def _folders(folder: Path, beginnings: str | tuple[str, ...] = "") -> list[Path]:
    entries = (entry for entry in _visible(folder) if entry.name.startswith(beginnings))
    return [entry for entry in entries if entry.is_dir()]


def _add_crops(layout: Layout, folder: Path) -> None:
    for each in _folders(folder):
        _add(layout, layout.crops, each.name, each)


def _add_annotations(layout: Layout, base: Path) -> None:
    """Add the single-task files and the multi-task files of one folder."""
    for challenge, key in CHALLENGES.items():
        for folder, split in SPLIT_FOLDERS.items():
            for path in _visible(base / challenge / folder):
                if path.suffix.lower() == ".txt":
                    _add(layout, layout.single.setdefault(path.stem, {}), (key, split), path)
    for name, split in MULTI_TASK_FILES.items():
        for path in (base / name, base / MULTI_TASK_FOLDER / name):
            if path.is_file():
                _add(layout, layout.multi, split, path)


def _add(layout: Layout, files: dict[_Key, Path], key: _Key, path: Path) -> None:
    if files.setdefault(key, path) != path:
        error = AnnotationError(
            f"one of its kind, {files[key]}", "another", "move one away", where=path
        )
        layout.problems.append(error)
