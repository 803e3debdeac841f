"""Find media files: folders, globs, suffixes, natural order.

A folder gives its media files by their endings, and those of the folders in it; links to
folders are followed, each folder is looked into once, so that a link that leads back ends
nothing. A pattern (``*``, ``?``, ``[...]``, ``**``) that the shell left as it was gives the media
files that it matches, and the folders. Hidden files count for nothing; other files that are passed
over are listed, so that they can be told. Names are in natural order: ``2.png`` before ``10.png``.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from triaffect.errors import MediaError, printable
from triaffect.types import SourceKind

# What FFmpeg and OpenCV read; docs/reference/media.md lists the same.
_VIDEOS = (
    "mp4 m4v mov qt avi divx mkv mk3d webm mpg mpeg mpe m1v m2v mpv m2p ps vob vro evo wmv asf flv "
    "f4v ts mts m2ts m2t trp tod mod 3gp 3gpp 3g2 3gp2 ogv ogm ogx dv dif mxf gxf nut nsv rm rmvb "
    "amv mjpeg mjpg mj2 mjp2 y4m ivf h264 264 avc h265 265 hevc vc1 obu bik smk wtv dvr-ms roq fli "
    "flc swf cine dav insv lrv ismv h261 h263 gif apng"
)
_PICTURES = (
    "jpg jpeg jpe jfif mpo png bmp dib webp tif tiff avif heic heif hif jp2 j2k j2c jpc pbm pgm "
    "ppm pnm pam pfm hdr sr ras exr tga dpx pcx sgi psd ico dds qoi xbm xpm xwd jls"
)
_SOUNDS = (
    "wav wave bwf w64 rf64 flac mp3 mp2 mpa m4a m4b m4r aac adts ac3 eac3 ec3 dts mlp thd ogg oga "
    "opus spx wma aif aiff aifc au snd caf amr awb 3ga ape wv tta tak shn mka weba mpc ra voc gsm "
    "qcp dsf dff oma aa3 at3 xwma 8svx sph nist"
)
PICTURES = frozenset(f".{name}" for name in _PICTURES.split())
SOUNDS = frozenset(f".{name}" for name in _SOUNDS.split())
MEDIA = PICTURES | SOUNDS | frozenset(f".{name}" for name in _VIDEOS.split())
"""Files with these endings are taken from a folder; a file given by name may have any."""


class PassedOverWarning(UserWarning):
    """Files of a folder are not read, because their endings are not those of media."""


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


_MOST_NAMED = 20
"""Files named in one line."""

_WEBCAM = re.compile(r"webcam(?::([0-9]{1,3}))?")
_PATTERN = re.compile(r"[*?\[]")


def find_media(
    inputs: Sequence[Path],
    images_as_video: bool = False,
    passed_over: list[Path] | None = None,
) -> list[Path]:
    """List what inputs name.

    Args:
        inputs: Files, folders, patterns, ``webcam:0``.
        images_as_video: A folder with pictures in it is one video, and is given itself in
            their place; pictures named one by one, or by a pattern, stay pictures.
        passed_over: Gets the files of folders and patterns whose endings are not those of media.

    Returns:
        Each file (or folder of pictures, or webcam) once, inputs in the order given, the
        files of each in natural order. A link to a file counts as a file of its own. A file
        that is named need not be there.

    Raises:
        MediaError: A folder or pattern gives none, or a folder cannot be read.
    """
    files: dict[tuple[str, str], Path] = {}
    real: dict[Path, str] = {}
    others: list[Path] = []
    for each in inputs:
        for match in _matches(each, others):
            for path in _inside(match, images_as_video, others):
                # One file however links of folders lead to it; a link to the file is another.
                folder = path.parent
                if folder not in real:
                    real[folder] = os.path.realpath(folder)
                files.setdefault((real[folder], path.name), path)
    if passed_over is not None:
        listed = set(files.values())
        passed_over += dict.fromkeys(path for path in others if path not in listed)
    return list(files.values())


def webcam_number(path: Path) -> int | None:
    """Return the number of the webcam named ``webcam:0``, which ``webcam`` alone is too.

    Args:
        path: What a user gave as input; a file of such a name, if there is one, is meant itself.

    Returns:
        The number; None if the path is something else.

    Examples:
        >>> [webcam_number(Path(name)) for name in ("webcam:1", "webcam", "clip.mp4")]
        [1, 0, None]
    """
    match = _WEBCAM.fullmatch(str(path))
    return int(match[1] or 0) if match and not path.exists() else None


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
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    pictures = (path for path in visible if path.suffix.lower() in PICTURES)
    return sorted((path for path in pictures if not path.is_dir()), key=natural)


def describe_passed_over(paths: Sequence[Path]) -> str:
    """Name files that are passed over, in one line.

    Args:
        paths: The files; of more than `_MOST_NAMED` the others are counted by their endings.

    Examples:
        >>> describe_passed_over([Path("notes.txt"), Path("a.xyz")])
        'passed over for their endings: notes.txt, a.xyz'
    """
    named = ", ".join(printable(path) for path in paths[:_MOST_NAMED])
    endings = Counter(printable(path.suffix) or "no ending" for path in paths[_MOST_NAMED:])
    others = "".join(f"; and {count} more: {ending}" for ending, count in endings.items())
    return f"passed over for their endings: {named}{others}"


def _matches(pattern: Path, passed_over: list[Path]) -> list[Path]:
    """List the media files and folders that a pattern matches; itself if it is none."""
    if os.path.lexists(pattern) or not _PATTERN.search(str(pattern)):
        return [pattern]
    matches = set()
    try:
        for path in Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))):
            hidden = [part for part in path.parts if part.startswith(".")]
            if set(hidden) <= {*pattern.parts}:
                is_media = path.suffix.lower() in MEDIA or path.is_dir()
                matches.add(path) if is_media else passed_over.append(path)
    except ValueError as error:
        raise MediaError("a pattern such as clips/**/*.mp4", str(error), where=pattern) from error
    if not matches:
        raise MediaError("a pattern that matches media files", "none", where=pattern)
    return sorted(matches, key=natural)


def _inside(path: Path, images_as_video: bool, passed_over: list[Path]) -> Iterable[Path]:
    """List the media files of a folder and of those in it; the path itself if it is a file."""
    if not path.is_dir():
        return [path]
    inside: list[Path] = []
    for folder, names in _folders(path):
        files, others = list[Path](), list[Path]()
        for file in (folder / name for name in names if not name.startswith(".")):
            (files if file.suffix.lower() in MEDIA else others).append(file)
        passed_over += sorted(others, key=natural)
        if images_as_video and any(file.suffix.lower() in PICTURES for file in files):
            inside = [*inside, folder]
            files = [file for file in files if file.suffix.lower() not in PICTURES]
        inside += files
    if not inside:
        raise MediaError("a folder with videos, images or sounds", "none in it", where=path)
    return sorted(inside, key=natural)


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
