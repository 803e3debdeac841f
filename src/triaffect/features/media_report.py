"""What a look into a corpus's media found, source by source and in sum."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median
from typing import Any

from triaffect.errors import TriaffectError

FACE_SOURCES = 300
"""In so many sources at most faces are looked for, unless more are asked for."""

SMALL_FACE_PX = 32
"""A source whose faces are smaller than this, by their median, shows too little of them."""


class Quiet(StrEnum):
    """Why a sound has nothing to hear."""

    MISSING = "missing"
    SILENT = "silent"


@dataclass
class Looked:
    """What was found in one source.

    Attributes:
        source: Its id.
        broken: What does not decode, a line each.
        pictures: Frames and pictures that did.
        searched: In how many of them a face was looked for.
        faces_px: Size of the largest face of each of them that has one, in pixels.
        heard: Whether there is something to hear.
        quiet: Why there is not, where there should be.
        short_s: Seconds of sound and of picture, where the sound is much shorter.
    """

    source: str
    broken: list[str] = field(default_factory=list)
    pictures: int = 0
    searched: int = 0
    faces_px: list[float] = field(default_factory=list)
    heard: bool = False
    quiet: Quiet | None = None
    short_s: tuple[float, float] | None = None

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Whatever is wrong with one file, the check goes on."""
        try:
            yield
        except TriaffectError as error:
            self.broken.append(str(error))
        except Exception as error:  # a decoder's surprise
            self.broken.append(f"{self.source}: {type(error).__name__}: {error}")


@dataclass
class MediaReport:
    """What was found in all sources.

    Attributes:
        sources: How many were looked into.
        pictures: Frames and pictures that were decoded.
        searched_sources: Sources in which faces were looked for, or are aligned already.
        searched: Pictures in which they were.
        found: Pictures that have one.
        broken: What does not decode, a line each, and a source that it belongs to.
        broken_sources: All sources that have something broken.
        face_px: Median size of the faces of each source that has any, in pixels.
        faceless: Sources in whose pictures no face was found.
        heard: Sources with something to hear.
        quiet: Sources with nothing to hear, by why.
        short_s: Seconds of sound and of picture of sources whose sound is much shorter.
    """

    sources: int = 0
    pictures: int = 0
    searched_sources: int = 0
    searched: int = 0
    found: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    broken_sources: list[str] = field(default_factory=list)
    face_px: dict[str, float] = field(default_factory=dict)
    faceless: list[str] = field(default_factory=list)
    heard: int = 0
    quiet: dict[Quiet, list[str]] = field(default_factory=lambda: {each: [] for each in Quiet})
    short_s: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, looked: Looked) -> None:
        """Count one source in."""
        self.sources += 1
        self.pictures += looked.pictures
        self.searched += looked.searched
        self.found += len(looked.faces_px)
        self.broken |= dict.fromkeys(looked.broken, looked.source)
        if looked.broken:
            self.broken_sources.append(looked.source)
        if looked.searched:
            self.searched_sources += 1
            if looked.faces_px:
                self.face_px[looked.source] = median(looked.faces_px)
            else:
                self.faceless.append(looked.source)
        self.heard += looked.heard
        if looked.quiet:
            self.quiet[looked.quiet].append(looked.source)
        if looked.short_s:
            self.short_s[looked.source] = looked.short_s

    @property
    def small(self) -> dict[str, float]:
        """Face size of the sources where it is too small, the smallest first."""
        small = {name: size for name, size in self.face_px.items() if size < SMALL_FACE_PX}
        return dict(sorted(small.items(), key=lambda item: item[1]))

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        sizes = sorted(self.face_px.values())
        return {
            "sources": self.sources,
            "pictures": self.pictures,
            "broken": list(self.broken),
            "broken_sources": self.broken_sources,
            "faces": {
                "sources": self.searched_sources,
                "pictures": self.searched,
                "found": self.found,
                "median_px": round(median(sizes), 1) if sizes else None,
                "too_small_below_px": SMALL_FACE_PX,
                "too_small": {name: round(size, 1) for name, size in self.small.items()},
                "none_found": self.faceless,
            },
            "sound": {
                "heard": self.heard,
                **{str(why): names for why, names in self.quiet.items()},
                "short": {
                    name: {"sound_s": round(sound, 2), "picture_s": round(picture, 2)}
                    for name, (sound, picture) in self.short_s.items()
                },
            },
        }
