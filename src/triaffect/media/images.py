"""Read numbered pictures of a folder, or arrays, as a video."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.errors import MediaError, printable
from triaffect.media.find import pictures_in
from triaffect.media.pictures import picture_problem, read_picture
from triaffect.media.video import Frame
from triaffect.types import SourceKind

_NUMBER = re.compile(r"(.*?)([0-9]+)([^0-9]*)")
"""What stands before and after the last number of a name."""


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Hold OpenCV to one thread: others share the cores. What was set before comes back.

    It is a setting of the whole process, so a library must not leave it changed.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


class FrameReader(Protocol):
    """Frames in order of time, from anywhere: a video, pictures, a webcam, a program.

    Attributes:
        problem: After a loop: None, or what was lost.
    """

    problem: str | None

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames."""
        ...


class ImageFrames:
    """The pictures of one folder as a video, in natural order of their names.

    A picture that cannot be read leaves its number out, as a broken frame of a video does.

    Args:
        folder: The folder; folders in it are not looked into.
        rate: Pictures per second.

    Attributes:
        rate: As given.
        problem: After a loop: None, or which pictures could not be read.
        remark: None, or that their numbers have a gap; after a loop, also what is not read.

    Raises:
        MediaError: No picture is in it.
    """

    def __init__(self, folder: Path, rate: float) -> None:
        self.rate = rate
        self.problem: str | None = None
        self._pictures = pictures_in(folder)
        if not self._pictures:
            raise MediaError("a folder with pictures", "none in it", where=folder)
        self._gaps = _describe_gaps([path.name for path in self._pictures])
        self.remark = self._gaps

    def __iter__(self) -> Iterator[Frame]:
        """Yield the pictures that can be read.

        Raises:
            MediaError: None can be.
        """
        broken: list[MediaError] = []
        damaged, partial = list[str](), list[str]()
        for index, path in enumerate(self._pictures):
            try:
                picture = read_picture(path)
                problem = picture.problem or picture_problem(path, picture.content)
            except MediaError as error:
                broken.append(error)
                continue
            yield Frame(index, index / self.rate, picture.rgb)
            if problem:
                damaged.append(f"{printable(path.name)}, {problem}")
            if picture.remark:
                partial.append(f"{printable(path.name)}, {picture.remark}")
        if len(broken) == len(self._pictures):
            raise broken[0]
        lost = f"{len(broken)} pictures cannot be read, the first: {broken[0]}" if broken else ""
        if damaged:
            lost += f"{'; ' * bool(lost)}{len(damaged)} are damaged, the first: {damaged[0]}"
        self.problem = lost or None
        if partial:
            more = f"{len(partial)} are not read whole, the first: {partial[0]}"
            self.remark = "; ".join(filter(None, [self._gaps, more]))


def _describe_gaps(names: Sequence[str]) -> str | None:
    """Say that numbers are missing in the names of pictures, which mostly rise by one step.

    Args:
        names: In natural order; those that differ in more than their last number are left out.
    """
    series: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for name in names:
        if match := _NUMBER.fullmatch(name):
            series[match[1], match[3]].append((int(match[2]), name))
    missing, first = 0, ""
    for numbered in series.values():
        steps = [later[0] - one[0] for one, later in pairwise(numbered)]
        if not steps:
            continue
        step, count = Counter(steps).most_common(1)[0]
        if step < 1 or count * 2 <= len(steps):
            continue
        for (number, name), (later, _) in pairwise(numbered):
            lost = (later - number) // step - 1
            missing += max(0, lost)
            first = first or (name if lost > 0 else "")
    if not missing:
        return None
    count_words = f"{missing} numbers are" if missing > 1 else "a number is"
    return f"{count_words} missing, the first after {printable(first)}: no time is left for them"


class FrameSource:
    """Frames from anywhere as a source, like a `triaffect.media.probe.MediaFile`.

    Args:
        reader: The frames.
        path: What the table calls them.
        duration_s: How long they last; None if that is not clear yet.
        is_live: Whether the frames come as they happen: each gets its rows at once.
        read_sound: Yields the sound, mono in [-1, 1], at so many samples per second, as it comes;
            only of a live source. None for frames without sound.

    Attributes:
        path: As given.
        kind: A video.
        has_sound: Whether there is sound.
        duration_s: As given.
        is_live: As given.
        frame_rate: Frames per second; None if that is not clear.
        on_frame: Called with each frame before it is predicted; None for nothing.
    """

    def __init__(
        self,
        reader: FrameReader,
        path: str | Path,
        duration_s: float | None = None,
        *,
        is_live: bool = False,
        read_sound: Callable[[int], Iterator[NDArray[np.float32]]] | None = None,
    ) -> None:
        self.path, self.duration_s, self._reader = path, duration_s, reader
        self.kind, self.has_sound = SourceKind.VIDEO, read_sound is not None
        self.is_live, self._read_sound = is_live, read_sound
        self.frame_rate = reader.rate if isinstance(reader, ImageFrames) else None
        self.on_frame: Callable[[Frame], object] | None = None

    def stop(self) -> None:
        """End a live source after the frame that is being looked at; others go on."""
        stop = getattr(self._reader, "stop", None)
        if stop is not None:
            stop()

    def frames(self, from_s: float = 0.0) -> Iterator[Frame]:
        """Yield the frames from a time on, in order.

        Args:
            from_s: The time in seconds; at 0 or before, frames of any time are yielded.
        """
        for frame in self._reader:
            if frame.time_s >= from_s or from_s <= 0:
                if self.on_frame is not None:
                    self.on_frame(frame)
                yield frame

    @property
    def problem(self) -> str | None:
        """What was lost in a loop over the frames; None if nothing was."""
        return self._reader.problem

    @property
    def remark(self) -> str | None:
        """What is doubtful in how the frames were read; None if nothing is."""
        return getattr(self._reader, "remark", None)

    def sound(self, rate: int) -> Iterator[NDArray[np.float32]]:
        """Yield the sound of a live source; there is none with other frames.

        Args:
            rate: Samples per second.
        """
        return iter(()) if self._read_sound is None else self._read_sound(rate)


class ArrayFrames:
    """Frames from a program, checked.

    Args:
        frames: Time in seconds and RGB pixels (uint8, (height, width, 3)) of each, in order.
        name: What messages call them.

    Attributes:
        problem: None.
    """

    def __init__(
        self,
        frames: Iterable[tuple[float, NDArray[np.uint8]]],
        name: str = "frames",
    ) -> None:
        self._frames, self._name = frames, name
        self.problem: str | None = None

    def __iter__(self) -> Iterator[Frame]:
        """Yield them, numbered from 0.

        Raises:
            MediaError: There is none, the times do not rise, or pixels are of another kind.
        """
        last_s, index, channels = -math.inf, -1, 3
        for index, (time_s, rgb) in enumerate(self._frames):
            where = f"{self._name}, frame {index}"
            if not (math.isfinite(time_s) and time_s > last_s):
                expected = f"a time later than {last_s:g} s"
                raise MediaError(expected, f"{time_s:g} s", where=where)
            last_s, pixels = float(time_s), np.asarray(rgb)
            kind, shape = pixels.dtype, pixels.shape
            if kind != np.uint8 or shape[2:] != (channels,) or not pixels.size:
                expected = "RGB pixels, uint8 of shape (height, width, 3)"
                raise MediaError(expected, f"{kind} of shape {shape}", where=where)
            yield Frame(index, last_s, np.ascontiguousarray(pixels, np.uint8))
        if index < 0:
            raise MediaError("at least one frame", "none", where=self._name)
