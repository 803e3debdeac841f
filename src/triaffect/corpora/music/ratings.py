"""DEAM, EmoMusic and PMEmo: songs with valence and arousal, as published and as packed again.

A folder is read as ratings of whole songs, one moment at time 0 each; a file of ratings of half
seconds, or DEAM's folder of the two, as those, with the source ids of a corpus of its own
(``deam_dynamic/17``). Which files are meant, and where their form is known from, is in
docs/how-to/use-music.md. Ratings from 1 to 9, or from 0 to 1, become -1 to 1.

EmoMusic's songs are the first of DEAM's, under the same numbers. So both name a song alike as the
"person" that no two splits may share, and a store of both cannot be trained on a song in the one
and tested on it in the other without saying so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from triaffect.corpora.music.tables import (
    COMPUTED_TAGS,
    SPLIT_FILES,
    RatingColumns,
    Ratings,
    SongCorpus,
    read_sampled_songs,
    read_sheet,
    read_splits,
    read_timed_songs,
    read_whole_songs,
    refuse_computed_tags,
    song_numbers,
)
from triaffect.errors import AnnotationError, TableError
from triaffect.tasks.task import need_columns
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL
from triaffect.types import Moments, Source, Split

PACKED = RatingColumns("song_id", "valence_mean", "arousal_mean", 1.0, 9.0)
"""Of ``meta/static_annotations.csv``, as the programs of Music2Emo have all three corpora."""

STATIC = "static_annotations.csv"
_STATIC_OF_DEAM = "static_annotations_averaged_songs_*.csv"
_SONGS_OF_EMOMUSIC, _SET = "songs_info.csv", "Mediaeval 2013 set"
_SETS = {"development": Split.TRAIN, "evaluation": Split.TEST}
_UP = 5
"""How many folders above a file its corpus's folder may be."""


@dataclass(frozen=True)
class CorpusFiles:
    """The published form of one corpus.

    Attributes:
        columns: Of its table of whole songs; of its table of moments too, if it has one table.
        inside: Patterns of that table's folder, relative to the corpus's.
        tables: Pattern of the tables' names.
        sounds: Patterns of the folders of its sounds.
        moments: Names of the files of half seconds: of valence and arousal, or of both.
        songs: First part of the names by which splits are kept apart.
    """

    columns: RatingColumns
    inside: tuple[str, ...]
    tables: str
    sounds: tuple[str, ...]
    moments: tuple[str, ...]
    songs: str


LAYOUTS = {
    "deam": CorpusFiles(
        RatingColumns("song_id", "valence_mean", "arousal_mean", 1.0, 9.0),
        (
            ".",
            "song_level",
            "annotations*/song_level",
            "annotations/annotations*/song_level",
            "DEAM_Annotations/annotations/annotations*/song_level",
        ),
        _STATIC_OF_DEAM,
        ("MEMD_audio", "DEAM_audio/MEMD_audio"),
        ("valence.csv", "arousal.csv"),
        "mediaeval",
    ),
    "emomusic": CorpusFiles(
        RatingColumns("song_id", "mean_valence", "mean_arousal", 1.0, 9.0),
        (".", "annotations"),
        STATIC,
        ("clips_45seconds", "clips_45sec"),
        ("valence_cont_average.csv", "arousal_cont_average.csv"),
        "mediaeval",
    ),
    "pmemo": CorpusFiles(
        RatingColumns("musicId", "Valence(mean)", "Arousal(mean)", 0.0, 1.0),
        (".", "annotations"),
        STATIC,
        ("chorus",),
        ("dynamic_annotations.csv",),
        "pmemo",
    ),
}


class RatedSongs(SongCorpus):
    """Reader of DEAM, EmoMusic and PMEmo.

    Args:
        root: The corpus's folder, or the file (of DEAM also the folder) of its half seconds.

    Raises:
        AnnotationError: A split file is wrong, or a folder packed for Music2Emo has no corpus's
            name.
        TableError: A table lacks a column, or a cell holds what it cannot.
    """

    description = (
        "DEAM, EmoMusic or PMEmo: a folder with their static_annotations*.csv, or the file of "
        "their ratings of half seconds"
    )

    def __init__(self, root: Path) -> None:
        refuse_computed_tags(root)
        packed = _packed_table(root)
        name, tables = _find_tables(root)
        super().__init__(name if tables else f"{name}_dynamic", root)
        self._layout, folder = LAYOUTS[name], root
        if tables:
            columns = PACKED if packed is not None else self._layout.columns
            self._songs = read_whole_songs(tables, columns)
        else:
            self._songs = _read_moments(root, name)
            folder = _folder_of_corpus(root, self._layout)
        self._splits = self._read_splits(folder)
        self._sounds = {
            path.stem: path
            for pattern in ("mp3", *self._layout.sounds)
            for path in folder.glob(f"{pattern}/*.mp3")
        }
        for path in (folder / COMPUTED_TAGS, folder / "meta" / COMPUTED_TAGS):
            if path.exists():
                try:
                    refuse_computed_tags(path)
                except TableError as error:
                    parts = error.expected, error.got, "it is not read; " + error.remedy
                    self._problems.append(AnnotationError(*parts, where=path))

    @classmethod
    def recognizes(cls, root: Path) -> bool:
        """Return whether a path is of one of these corpora's forms.

        Args:
            root: A folder or file.
        """
        is_computed = root.name.lower() == COMPUTED_TAGS
        return is_computed or _packed_table(root) is not None or bool(_find_tables(root)[0])

    def sources(self) -> list[Source]:
        """List one source a song, with its sound if that is there, sorted by id."""
        return self._list(self._splits)

    def moments(self, source: Source) -> Moments:
        """Read the ratings of one song.

        Args:
            source: One of `sources`.

        Returns:
            A row a moment, without a face (track `NO_FACE`), of the label set VA.
        """
        song = source.source_id.rpartition("/")[2]
        ratings = self._songs[song]
        person = f"{self._layout.songs}/{song}"
        labels = {VALENCE_AROUSAL.key: ratings.values}
        return self._build(source, person, self._splits[song], ratings.times_s, labels)

    def _read_splits(self, folder: Path) -> dict[str, Split]:
        """Splits of the songs: of the split files, of EmoMusic's own table, or all of training."""
        for files_at in (folder / "meta" / "split", folder / "split"):
            if any((files_at / name).is_file() for name in SPLIT_FILES):
                splits = read_splits(files_at, self._songs)
                absent = sorted(self._songs.keys() - splits.keys(), key=int)
                if absent:
                    got = f"{len(absent)} in none, such as {absent[0]}; they are left out"
                    self._problems.append(
                        AnnotationError("every song in a split", got, where=files_at)
                    )
                return splits
        for path in (folder / "annotations" / _SONGS_OF_EMOMUSIC, folder / _SONGS_OF_EMOMUSIC):
            if self._layout is LAYOUTS["emomusic"] and path.is_file():
                return _read_sets(path, self._songs)
        return dict.fromkeys(self._songs, Split.TRAIN)


def _packed_table(root: Path) -> Path | None:
    """Find the table of a folder that was packed for Music2Emo."""
    path = root / "meta" / STATIC
    return path if path.is_file() else None


def _find_tables(root: Path) -> tuple[str, list[Path]]:
    """Find which corpus a path is, empty for none, and its tables of whole songs.

    No tables means that the path is the file, or the folder, of half seconds.

    Raises:
        AnnotationError: A folder packed for Music2Emo is called after none of the three.
    """
    packed = _packed_table(root)
    if packed is not None:
        name = root.resolve().name.lower()
        if name not in LAYOUTS:
            got, remedy = f"one named {root.resolve().name}", "rename the folder"
            expected = f"a folder named {', '.join(LAYOUTS)}"
            raise AnnotationError(expected, got, remedy, where=root)
        return name, [packed]
    for name, layout in LAYOUTS.items():
        if root.is_file() and root.name in layout.moments:
            return name, []
        if name == "deam" and all((root / file).is_file() for file in layout.moments):
            return name, []
        for pattern in layout.inside if root.is_dir() else ():
            tables = sorted(root.glob(f"{pattern}/{layout.tables}"))
            if tables and (name == "deam" or layout.columns.song in read_sheet(tables[0])):
                return name, tables
    return "", []


def _read_moments(root: Path, name: str) -> dict[str, Ratings]:
    """Read the ratings of half seconds that a path stands for."""
    layout, folder = LAYOUTS[name], root if root.is_dir() else root.parent
    if len(layout.moments) == 1:
        return read_timed_songs(root, layout.columns, "frameTime")
    valence, arousal = (folder / file for file in layout.moments)
    return read_sampled_songs(valence, arousal)


def _folder_of_corpus(path: Path, layout: CorpusFiles) -> Path:
    """Find the corpus's folder, above a file of its ratings, by its sounds or splits."""
    above = [path, *path.resolve().parents][: _UP + 1]
    for folder in above:
        markers = [*layout.sounds, "split/train.txt", f"annotations/{_SONGS_OF_EMOMUSIC}"]
        if folder.is_dir() and any(any(folder.glob(marker)) for marker in markers):
            return folder
    return path if path.is_dir() else path.parent


def _read_sets(path: Path, songs: Iterable[str]) -> dict[str, Split]:
    """Read which of EmoMusic's songs were for development and which for evaluation."""
    table = read_sheet(path)
    need_columns(table, ("song_id", _SET), str(path))
    sets = dict(zip(song_numbers(table, "song_id", path), table[_SET], strict=True))
    splits = {}
    for song in songs:
        word = str(sets.get(song, "")).strip()
        if word not in _SETS:
            got = f"'{word}' for song {song}" if song in sets else f"no row for song {song}"
            raise AnnotationError(f"{_SET} {' or '.join(_SETS)}", got, where=path)
        splits[song] = _SETS[word]
    return splits
