"""Which file belongs to which source of a store.

A file is named by its source's id, with or without the corpus in front, or by the last part of
the id; the clip's own suffix may be left out: ``talk/anna.mp4`` of a table of labels has
``talk/anna.mp4.npy``, ``talk/anna.npy`` or ``anna.npy``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from triaffect.features.external_files import SUFFIXES


@dataclass
class Matches:
    """What was found.

    Attributes:
        files: File, or name in a table, of each source.
        unused: Names that belong to no source.
        mistakes: Message by name for those that cannot be used.
    """

    files: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    mistakes: dict[str, str] = field(default_factory=dict)

    def knows(self, source: str) -> bool:
        """Whether there is something for a source, be it a mistake."""
        return source in self.files or source in self.mistakes


def match_names(names: Sequence[str], sources: Sequence[str]) -> Matches:
    """Find the source of each name.

    A name that fits several sources, and names that fit the same source, are mistakes; the
    more exact way to write an id wins.

    Args:
        names: Names without the suffix of the file.
        sources: Ids.
    """
    meant: list[dict[str, list[str]]] = []
    for source in sources:
        for rank, spelling in enumerate(_spellings(source)):
            meant += [{} for _ in range(rank + 1 - len(meant))]
            meant[rank].setdefault(spelling, []).append(source)
    found = Matches()
    claims: dict[str, list[str]] = {}
    for name in names:
        fitting = next((rank[name] for rank in meant if name in rank), [])
        if not fitting:
            found.unused.append(name)
        elif len(fitting) > 1:
            several = ", ".join(fitting[:3])
            found.mistakes[name] = f"fits several sources ({several}): use the whole id"
        else:
            claims.setdefault(fitting[0], []).append(name)
    for source, claiming in claims.items():
        if len(claiming) == 1:
            found.files[source] = claiming[0]
        else:
            found.mistakes[source] = "several files or names: " + ", ".join(claiming)
    return found


def _spellings(source: str) -> list[str]:
    """Ways to name a source, the exact ones first."""
    inner = source.partition("/")[2] or source
    exact = [source, inner, PurePosixPath(source).name]
    return [*exact, *(str(PurePosixPath(name).with_suffix("")) for name in exact)]


def files_in(folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Files of features in a folder and those below it.

    Links are followed only to files within the folder.

    Returns:
        File by its path relative to the folder, with its suffix; message by the path of each
        link that leads out of the folder or to another folder.
    """
    files: dict[str, Path] = {}
    mistakes: dict[str, str] = {}
    root = folder.resolve()
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(name for name in (*folders, *names) if not name.startswith(".")):
            path = Path(place, name)
            inside = path.relative_to(folder).as_posix()
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                mistakes[inside] = "a link that leads out of the folder is not followed"
            elif path.is_symlink() and path.is_dir():
                mistakes[inside] = "a link to a folder is not followed"
            elif path.suffix.lower() in SUFFIXES and path.is_file():
                files[inside] = path
        folders[:] = [name for name in folders if not name.startswith(".")]
    return files, mistakes
