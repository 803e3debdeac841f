"""Find media files: folders, globs, suffixes, natural order.

A folder gives its media files by their endings, and those of the folders in it; links to
folders are followed, each folder is looked into once, so that a link that leads back ends
nothing. A pattern (``*``, ``?``, ``[...]``, ``**``) that the shell left as it was gives the media
files that it matches, and the folders. Hidden files are passed over. Names are in natural
order: ``2.png`` before ``10.png``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from triaffect.errors import MediaError
from triaffect.types import SourceKind

_VIDEOS = "mp4 m4v mov avi mkv webm mpg mpeg wmv flv ts 3gp ogv"
_PICTURES = "jpg jpeg png bmp webp tif tiff"
_SOUNDS = "wav flac mp3 m4a aac ogg oga opus wma"
PICTURES = frozenset(f".{name}" for name in _PICTURES.split())
SOUNDS = frozenset(f".{name}" for name in _SOUNDS.split())
MEDIA = PICTURES | SOUNDS | frozenset(f".{name}" for name in _VIDEOS.split())
"""Files with these endings are taken from a folder; a file given by name may have any."""


def kind_by_name(suffix: str) -> SourceKind:
    """Tell what a file is by its ending; a video if it is none of those that are known.

    Args:
        suffix: The ending with its dot, in capitals or not.

    Examples:
        >>> kind_by_name(".JPG").value, kind_by_name(".mp4").value
        ('images', 'video')
    """
    if suffix.lower() in PICTURES:
        return SourceKind.IMAGES
    return SourceKind.SOUND if suffix.lower() in SOUNDS else SourceKind.VIDEO


_WEBCAM = re.compile(r"webcam:([0-9]{1,3})")
_PATTERN = re.compile(r"[*?\[]")


def find_media(inputs: Sequence[Path], images_as_video: bool = False) -> list[Path]:
    """List what inputs name.

    Args:
        inputs: Files, folders, patterns, ``webcam:0``.
        images_as_video: A folder with pictures in it is one video, and is given itself in
            their place; pictures named one by one, or by a pattern, stay pictures.

    Returns:
        Each file (or folder of pictures, or webcam) once, inputs in the order given, the
        files of each in natural order. A link to a file counts as a file of its own. A file
        that is named need not be there.

    Raises:
        MediaError: A folder or pattern gives none, or a folder cannot be read.
    """
    files: dict[Path, Path] = {}
    for each in inputs:
        for match in _matches(each):
            for path in _inside(match, images_as_video):
                # One file however links of folders lead to it; a link to the file is another.
                files.setdefault(Path(os.path.realpath(path.parent), path.name), path)
    return list(files.values())


def webcam_number(path: Path) -> int | None:
    """Return the number of the webcam named ``webcam:0``; None if this is something else.

    Args:
        path: What a user gave as input; a file of such a name, if there is one, is meant itself.

    Examples:
        >>> webcam_number(Path("webcam:1")), webcam_number(Path("clip.mp4"))
        (1, None)
    """
    match = _WEBCAM.fullmatch(str(path))
    return int(match[1]) if match and not path.exists() else None


def natural(path: Path) -> list[list[tuple[str, int]]]:
    """Make a key that sorts names as people do: numbers in them by value, whatever the case.

    Args:
        path: A path; its parts are compared one after another.

    Examples:
        >>> names = [Path("clip 10.png"), Path("Clip 2.png"), Path("clip 1.png")]
        >>> [str(path) for path in sorted(names, key=natural)]
        ['clip 1.png', 'Clip 2.png', 'clip 10.png']
    """
    key = []
    for part in path.parts:
        pieces = re.split(r"([0-9]+)", part.casefold())
        numbers = [*(int(piece) for piece in pieces[1::2]), -1]
        key.append([*zip(pieces[::2], numbers, strict=True), (part, 0)])
    return key


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures that lie in a folder itself, in natural order; hidden ones are none.

    Args:
        folder: The folder; those in it are not looked into.
    """
    names = (path.name for path in folder.iterdir())
    return sorted(_visible(folder, names, PICTURES), key=natural)


def _matches(pattern: Path) -> list[Path]:
    """List the media files and folders that a pattern matches; itself if it is none."""
    if os.path.lexists(pattern) or not _PATTERN.search(str(pattern)):
        return [pattern]
    matches = set()
    try:
        for path in Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))):
            hidden = [part for part in path.parts if part.startswith(".")]
            if set(hidden) <= {*pattern.parts} and (path.suffix.lower() in MEDIA or path.is_dir()):
                matches.add(path)
    except ValueError as error:
        raise MediaError("a pattern such as clips/**/*.mp4", str(error), where=pattern) from error
    if not matches:
        raise MediaError("a pattern that matches media files", "none", where=pattern)
    return sorted(matches, key=natural)


def _inside(path: Path, images_as_video: bool) -> Iterable[Path]:
    """List the media files of a folder and of those in it; the path itself if it is a file."""
    if not path.is_dir():
        return [path]
    inside: list[Path] = []
    for folder, names in _folders(path):
        files = list(_visible(folder, names, MEDIA))
        if images_as_video and any(file.suffix.lower() in PICTURES for file in files):
            inside = [*inside, folder]
            files = [file for file in files if file.suffix.lower() not in PICTURES]
        inside += files
    if not inside:
        raise MediaError("a folder with videos, images or sounds", "none in it", where=path)
    return sorted(inside, key=natural)


def _visible(folder: Path, names: Iterable[str], suffixes: frozenset[str]) -> Iterator[Path]:
    """Yield the paths of names that have one of the endings; of hidden ones and folders none."""
    for name in names:
        path = folder / name
        if not name.startswith(".") and path.suffix.lower() in suffixes and not path.is_dir():
            yield path


def _folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """A folder and those in it, each once, with the names of their files; links come last."""
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        links: list[Path] = []
        for start in waiting:
            for name, folders, files in os.walk(start, onerror=_unreadable):
                state = Path(name).stat()
                if (state.st_dev, state.st_ino) in seen:
                    folders.clear()
                    continue
                seen.add((state.st_dev, state.st_ino))
                folders[:] = [folder for folder in folders if not folder.startswith(".")]
                links += [path for path in map(Path(name).joinpath, folders) if path.is_symlink()]
                yield Path(name), files
        waiting = sorted(links, key=natural)


def _unreadable(error: OSError) -> None:
    got = error.strerror or str(error)
    raise MediaError("a folder that can be read", got, where=error.filename or "") from error
