"""MTG-Jamendo's moods and themes: tracks with some of 56 tags, in the published splits."""

from __future__ import annotations

import math
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from triaffect.corpora.media_folder import can_be_clip
from triaffect.corpora.music.tables import SongCorpus
from triaffect.errors import AnnotationError
from triaffect.tasks.mood_tags import MOODS
from triaffect.tasks.registry import TASKS, task
from triaffect.types import Moments, Source, Split

FILES = {
    f"autotagging_moodtheme-{split}.tsv": split
    for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)
}
"""Names of the three files of a split, and what each is for."""

COLUMNS = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")
FIRST_SPLIT = Path("data") / "splits" / "split-0"
CATEGORY = "mood/theme---"
"""What stands before every tag."""


class TaggedTrack(NamedTuple):
    """A line of a split file."""

    artist: str
    split: Split
    tags: tuple[str, ...]


class JamendoMoods(SongCorpus):
    """Reader of the mood and theme tags of MTG-Jamendo.

    The "person" of a track is its artist: the published splits share none. A track's one moment is
    at time 0, and what it is not tagged with counts as absent.

    Args:
        root: The data set's folder, which stands for its split 0, or a folder with the three
            files of one of its splits.

    Raises:
        AnnotationError: A file of the split is missing, or a line of one is wrong.
    """

    description = f"MTG-Jamendo: {FIRST_SPLIT.as_posix()} with {next(iter(FILES))} and so on"

    def __init__(self, root: Path) -> None:
        super().__init__("mtg_jamendo", root)
        self._tags = task("TAGS")
        folder = _split_folder(root)
        self._tracks: dict[str, TaggedTrack] = {}
        for name, split in FILES.items():
            self._read(folder / name, split)
        # A split's folder lies three folders below that of the data set.
        bases = [root] if folder != root else [root, *root.resolve().parents[:3]]
        self._sounds = {
            track: path
            for track in self._tracks
            for base in bases
            for path in (base / "audio" / f"{track}.mp3", base / f"{track}.mp3")
            if path.is_file()
        }

    @classmethod
    def recognizes(cls, root: Path) -> bool:
        """Return whether a path is of this corpus's form.

        Args:
            root: A folder or file; the folder of the data set, or of one of its splits, is.
        """
        return any((_split_folder(root) / name).is_file() for name in FILES)

    def sources(self) -> list[Source]:
        """List one source a track, with its sound if that is there, sorted by id."""
        return self._list(self._tracks)

    def moments(self, source: Source) -> Moments:
        """Read the tags of one track.

        Args:
            source: One of `sources`.

        Returns:
            One row without a face (track `NO_FACE`), of the label set TAGS.
        """
        track = self._tracks[source.source_id.partition("/")[2]]
        labels = np.array([[float(mood in track.tags) for mood in MOODS]])
        person, by_task = f"{self.name}/{track.artist}", {self._tags.key: labels}
        return self._build(source, person, track.split, np.zeros(1), by_task, (*TASKS, self._tags))

    def _read(self, path: Path, split: Split) -> None:
        """Read one file of a split."""
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            expected = f"the three files {', '.join(FILES)}"
            got = "one that cannot be read" if path.exists() else f"none named {path.name}"
            raise AnnotationError(expected, got, where=path.parent) from error
        header = tuple((lines or [""])[0].split("\t"))
        if header != COLUMNS:
            missing = [name for name in COLUMNS if name not in header]
            got = f"none named {', '.join(missing)}" if missing else ", ".join(header)
            raise AnnotationError(f"columns {', '.join(COLUMNS)}", got, where=path)
        for number, line in enumerate(lines[1:], 2):
            if not line.strip():
                continue
            track, own = _read_line(line.split("\t"), split, f"{path}:{number}")
            if track in self._tracks:
                before = self._tracks[track].split
                where = "twice" if before is split else f"in {before} too"
                got = f"{track} {where}"
                raise AnnotationError(
                    "each track once, in one split", got, where=f"{path}:{number}"
                )
            self._tracks[track] = own


def _split_folder(root: Path) -> Path:
    """The folder of the split that a path stands for."""
    return root / FIRST_SPLIT if (root / FIRST_SPLIT).is_dir() else root


def _read_line(cells: list[str], split: Split, where: str) -> tuple[str, TaggedTrack]:
    """Read a track's path without its ending, and the rest of its line."""
    if len(cells) < len(COLUMNS):
        got = f"{len(cells)} cells"
        raise AnnotationError("six cells or more, tabs between them", got, where=where)
    _, artist, _, path, duration = cells[: len(COLUMNS) - 1]
    if not can_be_clip(path) or not artist:
        raise AnnotationError(
            "an artist and the path of a track", f"'{artist}', '{path}'", where=where
        )
    try:
        seconds = float(duration)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise AnnotationError("a track's length in seconds", repr(duration), where=where)
    tags = []
    for text in filter(None, (cell.strip() for cell in cells[len(COLUMNS) - 1 :])):
        tag = text.removeprefix(CATEGORY)
        if tag == text or tag not in MOODS:
            near = get_close_matches(tag, MOODS, 1)
            remedy = f"did you mean {CATEGORY}{near[0]}?" if near else ""
            raise AnnotationError(
                f"{CATEGORY} and one of {len(MOODS)} tags", repr(text), remedy, where=where
            )
        tags.append(tag)
    if not tags:
        raise AnnotationError("one tag at least", "none", where=where)
    return PurePosixPath(path).with_suffix("").as_posix(), TaggedTrack(artist, split, tuple(tags))
