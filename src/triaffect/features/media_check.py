"""Check a corpus's media without extracting: what is broken, too small, or silent.

Every video and sound is opened and must decode; a video is looked at in `FRAMES` places and at
its end. Of a folder of pictures up to `PICTURES` are read, of an array `ARRAY_PICTURES`, spread
evenly. The size of a face is the shorter side of its box: of the largest face found in a frame
or picture, or of the stored picture where faces are aligned already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.base import Corpus
from triaffect.errors import MediaError, TriaffectError
from triaffect.faces.detection import (
    CROP_DETECTION_SIZE,
    CROP_THRESHOLD,
    SMALL_PX,
    CenterFace,
    Detections,
    usual_size,
)
from triaffect.features.extraction import ARRAY_SUFFIX
from triaffect.io.workers import WorkerPool
from triaffect.media.audio import sound_chunks
from triaffect.media.container import audio_stream, open_container, stream_duration_s, video_stream
from triaffect.media.find import PICTURES as PICTURE_SUFFIXES
from triaffect.media.frames_at import SampledFrames
from triaffect.media.probe import read_image
from triaffect.types import Source, SourceKind

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


FRAMES, PICTURES, ARRAY_PICTURES = 5, 20, 200
"""Looked at in a video, in a folder of pictures, and in an array of pictures."""

HEARD_S, HEARD_RATE = 60, 8000
"""Seconds of a sound that are listened to until something is heard, and samples/s."""

SILENCE = 1e-4
"""What stays below this, -80 dB of full scale, is nothing to hear."""

SHORT_S, SHORT_SHARE = 1.0, 0.1
"""A sound is short if it lacks this many seconds of its picture, and this share of it."""

_JPEG_START, _JPEG_END, _TAIL = b"\xff\xd8", b"\xff\xd9", 1024

_Picture = NDArray[np.uint8]
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Look:
    """A source to look into.

    Attributes:
        source: The source.
        faces: Whether to look for faces.
    """

    source: Source
    faces: bool


def check_media(
    corpus: Corpus,
    jobs: int = 1,
    face_sources: int = 300,
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> MediaReport:
    """Look into the media of every source; a broken one never stops the others.

    Args:
        corpus: The corpus. It is sent to the processes, so its class must be importable.
        jobs: Processes.
        face_sources: In how many sources at most, spread evenly, faces are looked for.
        progress: Told after each source: sources done, sources in all, its id.
    """
    sources = corpus.sources()
    shows = [k for k, source in enumerate(sources) if _has_faces_to_find(corpus, source)]
    chosen = set(spread(shows, face_sources))
    todo = [Look(source, k in chosen) for k, source in enumerate(sources)]
    report = MediaReport()
    results = WorkerPool(partial(MediaChecker, corpus), _died).results(todo, jobs)
    for done, looked in enumerate(results, 1):
        report.add(looked)
        progress(done, len(todo), looked.source)
    return report


def spread(items: Sequence[_Item], count: int) -> list[_Item]:
    """So many of the items at most, spread evenly."""
    if len(items) <= count:
        return list(items)
    return [items[int((k + 0.5) / count * len(items))] for k in range(count)]


def _has_faces_to_find(corpus: Corpus, source: Source) -> bool:
    if source.kind is SourceKind.IMAGES:
        return not corpus.aligned and source.images is not None and source.images.exists()
    return source.kind is SourceKind.VIDEO and source.video is not None and source.video.exists()


def _died(look: Look) -> Looked:
    reason = "the process died of it: out of memory, or a fault in a decoder"
    return Looked(look.source.source_id, [f"{look.source.source_id}: {reason}"])


class MediaChecker:
    """Looks into one source after another.

    Args:
        corpus: Whose sources they are.
        _is_cancelled: Not used; a look is too short to cancel.
    """

    def __init__(self, corpus: Corpus, _is_cancelled: Callable[[], bool]) -> None:
        cv2.setNumThreads(1)
        self._corpus = corpus

    def __call__(self, look: Look) -> Looked:
        """Look into one source; files that are not there are another's business."""
        source, looked = look.source, Looked(look.source.source_id)
        if source.images is not None and source.images.exists():
            with looked.noting():
                self._pictures(source.images, look, looked)
        before = len(looked.broken)
        if source.video is not None and source.video.exists():
            with looked.noting():
                self._video(source.video, look, looked)
        readable = len(looked.broken) == before or source.sound != source.video
        if source.sound is not None and source.sound.exists() and readable:
            with looked.noting():
                _listen(source.sound, looked)
        return looked

    def _pictures(self, path: Path, look: Look, looked: Looked) -> None:
        if path.suffix == ARRAY_SUFFIX:
            for rgb in self._of_array(look.source):
                self._measure(rgb, look, looked)
            return
        files = spread(_picture_files(path), PICTURES)
        if not files:
            looked.searched += 1  # a folder without a crop: no face was found there
        for file in files:
            with looked.noting():
                self._measure(_whole_picture(file), look, looked)

    def _of_array(self, source: Source) -> Iterator[_Picture]:
        total = sum(1 for _ in self._corpus.images(source))
        wanted = set(spread(range(total), ARRAY_PICTURES))
        pictures = enumerate(self._corpus.images(source))
        return (rgb for place, (_, rgb) in pictures if place in wanted)

    def _video(self, path: Path, look: Look, looked: Looked) -> None:
        frames = SampledFrames(path, FRAMES if look.faces else 1)
        for frame in frames:
            if look.source.kind is SourceKind.VIDEO:
                self._measure(frame.rgb, look, looked)
        if frames.problem:
            raise MediaError("a whole video", frames.problem, "copy it again", where=path)

    def _measure(self, rgb: _Picture, look: Look, looked: Looked) -> None:
        looked.pictures += 1
        if look.source.kind is SourceKind.IMAGES and self._corpus.aligned:
            looked.searched += 1
            looked.faces_px.append(float(min(rgb.shape[:2])))
        elif look.faces:
            looked.searched += 1
            boxes = self._find(rgb).boxes
            if len(boxes):
                looked.faces_px.append(float(boxes[:, 2:].min(axis=1).max()))

    def _find(self, rgb: _Picture) -> Detections:
        """Faces as extraction finds them; else, to tell small ones from none, at twice the size."""
        longer = max(rgb.shape[:2])
        if longer <= SMALL_PX:
            return self._in_small(rgb)
        found = self._in_large(rgb)
        if not len(found):
            finer = copy(self._in_large)
            finer.size = 2 * usual_size(longer)
            found = finer(rgb)
        return found

    @cached_property
    def _in_small(self) -> CenterFace:
        return CenterFace(CROP_DETECTION_SIZE, CROP_THRESHOLD)

    @cached_property
    def _in_large(self) -> CenterFace:
        return CenterFace()


def _picture_files(path: Path) -> list[Path]:
    """Pictures of a folder in order, or the one picture that the path is."""
    if not path.is_dir():
        return [path]
    files = (file for file in path.iterdir() if not file.name.startswith("."))
    return sorted(file for file in files if file.suffix.lower() in PICTURE_SUFFIXES)


def _whole_picture(path: Path) -> _Picture:
    """Read a picture, of which the decoder would fill a missing end with gray in silence."""
    with path.open("rb") as file:
        start = file.read(len(_JPEG_START))
        file.seek(max(0, path.stat().st_size - _TAIL))
        if start == _JPEG_START and _JPEG_END not in file.read():
            raise MediaError("a whole JPEG picture", "a cut-off one", "copy it again", where=path)
    return read_image(path)


def _listen(path: Path, looked: Looked) -> None:
    """Whether there is something to hear, and for as long as there is something to see."""
    with open_container(path) as container:
        sound, picture = audio_stream(container), video_stream(container)
        if sound is None and picture is None:
            raise MediaError("a sound", "a file without one", "check the file", where=path)
        if sound is None:
            looked.quiet = Quiet.MISSING
            return
        sound_s = stream_duration_s(container, sound)
        picture_s = stream_duration_s(container, picture) if picture else None
    loudest = None
    for second, chunk in enumerate(sound_chunks(path, HEARD_RATE)):
        loudest = max(loudest or 0.0, float(np.abs(chunk).max(initial=0)))
        if loudest > SILENCE or second == HEARD_S:
            break
    if loudest is None:
        raise MediaError("a sound that decodes", "nothing", "record it again", where=path)
    looked.heard = loudest > SILENCE
    if not looked.heard:
        looked.quiet = Quiet.SILENT
    if sound_s and picture_s and picture_s - sound_s > max(SHORT_S, SHORT_SHARE * picture_s):
        looked.short_s = sound_s, picture_s
