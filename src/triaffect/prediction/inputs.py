"""Kinds of input from the command line: a file, a folder of pictures, a webcam."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from triaffect.errors import MediaError
from triaffect.media.find import pictures_in, webcam_number
from triaffect.media.images import FrameSource, ImageFrames
from triaffect.media.probe import MediaFile, probe
from triaffect.media.webcam import WebcamFrames, call_on_interrupt


@dataclass(frozen=True)
class InputOptions:
    """Options of inputs that are not single files.

    Attributes:
        images_rate: Pictures per second of a folder that is one video; None if none is.
        seconds: How long a camera is watched; None until Ctrl-C.
    """

    images_rate: float | None = None
    seconds: float | None = None

    @contextmanager
    def open(self, path: Path) -> Iterator[MediaFile | FrameSource]:
        """Open one input.

        Args:
            path: A file, a folder of pictures if `images_rate` is set, or ``webcam:0``. Ctrl-C
                ends what is read of a webcam, and nothing else.

        Yields:
            The source, open while the ``with`` statement runs.

        Raises:
            MediaError: It cannot be read.
        """
        number = webcam_number(path)
        if number is not None:
            camera = WebcamFrames(number, self.seconds)
            with call_on_interrupt(camera.stop):  # what was seen until then is a whole recording
                yield FrameSource(camera, path, self.seconds, is_live=True)
        elif self.images_rate is not None and path.is_dir():
            duration_s = len(pictures_in(path)) / self.images_rate
            yield FrameSource(ImageFrames(path, self.images_rate), path, duration_s)
        else:
            yield probe(path)

    def state(self, path: Path) -> str:
        """Describe an input so that a change of it shows.

        Args:
            path: The input; it need not exist.

        Returns:
            Size and time of change in nanoseconds; of a folder of pictures, those of each.
        """
        if self.images_rate is not None and path.is_dir():
            states = [f"{image.name} {_state(image)}" for image in pictures_in(path)]
            return "\n".join([f"{self.images_rate} pictures/s", *states])
        return _state(path)


DEFAULT_INPUTS = InputOptions()
"""Every input is a file, or a webcam until Ctrl-C."""


def _state(path: Path) -> str:
    try:
        state = path.stat()
    except OSError:
        return "0\n0"
    return f"{state.st_size}\n{state.st_mtime_ns}"


def input_size(path: Path) -> int | None:
    """Measure an input, or a file of features, to compare it with that of another machine.

    Args:
        path: A file, or a folder of files.

    Returns:
        Its bytes, of a folder those of the files in it; None if there is none.
    """
    try:
        files = path.iterdir() if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files)
    except OSError:
        return None


def check_only_webcam(files: list[Path]) -> None:
    """Check that a webcam is the only input: nobody watches it while a file is read.

    Args:
        files: Every input of a command.

    Raises:
        MediaError: It is not.
    """
    cameras = [path for path in files if webcam_number(path) is not None]
    if cameras and len(files) > 1:
        remedy = "predict the others by another command"
        raise MediaError("a camera alone", f"{len(files)} inputs", remedy, where=cameras[0])
