"""Inputs that Python programs give: paths, pictures as arrays, frames, bytes, file objects."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from triaffect.errors import MediaError, TriaffectError
from triaffect.media.find import (
    PassedOverWarning,
    describe_passed_over,
    find_media,
    webcam_number,
)

_KINDS = "a path, a picture as array or PIL image, frames, bytes, a file object, or a list of them"
_CHANNELS = 3


class BinaryFile(Protocol):
    """A file that was opened for reading in binary mode."""

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes.

        Args:
            size: How many at most; -1 for all.
        """


TimedFrames: TypeAlias = "Iterable[tuple[float, NDArray[np.uint8]]]"
"""Time in seconds and RGB pixels (uint8, (height, width, 3)) of frames, in order of time."""

MediaInput: TypeAlias = "str | os.PathLike[str] | NDArray[Any] | bytes | BinaryFile | TimedFrames"
"""One input: a path, a picture, bytes or file of a video, picture or sound, or frames. A PIL image
is taken too."""


ProgressCallback: TypeAlias = Callable[[int, int, str], object]
"""Called with how many inputs are done, how many there are, and a message."""


@dataclass(frozen=True)
class FrameInput:
    """Frames in memory.

    Attributes:
        name: What the table calls them.
        frames: Time in seconds and RGB pixels of each; a picture is one at time 0.
    """

    name: str
    frames: TimedFrames


@dataclass(frozen=True)
class ByteInput:
    """The content of a media file that has no path.

    Attributes:
        name: What the table calls it.
        content: The bytes, or a file to read them from.
    """

    name: str
    content: bytes | BinaryFile

    @contextmanager
    def saved(self) -> Iterator[Path]:
        """Save it as a temporary file: decoders look back and forth, and read sound beside frames.

        Yields:
            The file, there while the ``with`` statement runs. A `MediaError` that names it is
            raised again with the input's own name.

        Raises:
            MediaError: The file object gives no bytes.
        """
        with tempfile.TemporaryDirectory(prefix="triaffect-") as folder:
            path = Path(folder, "media")
            with path.open("wb") as file:
                if isinstance(self.content, bytes):
                    file.write(self.content)
                else:
                    try:
                        shutil.copyfileobj(self.content, file)
                    except (TypeError, UnicodeDecodeError) as error:
                        expected, got = "a file opened in binary mode", "one opened as text"
                        remedy = 'open it with mode "rb"'
                        raise MediaError(expected, got, remedy, where=self.name) from error
            try:
                yield path
            except MediaError as error:
                if error.where != str(path):
                    raise
                parts = error.expected, error.got, error.remedy
                raise MediaError(*parts, where=self.name) from error


Item: TypeAlias = "Path | FrameInput | ByteInput | TriaffectError"
"""One input ready to be read, or why it cannot be."""


def list_items(media: Any) -> list[Item]:  # noqa: ANN401 - anything a user may try
    """List the inputs that an argument stands for.

    >>> [item.name for item in list_items([b"RIFF", np.zeros((4, 4, 3), np.uint8)])]
    ['bytes[0]', 'array[1]']

    Args:
        media: One input, or a list, tuple or iterator of inputs. A folder or a pattern such as
            ``"clips/*.mp4"`` stands for the media files in it; what is listed already, for itself.

    Returns:
        The inputs in order; in place of one that cannot be, the error, if there are others.

    Raises:
        MediaError: The only input cannot be, or there is none.
    """
    if isinstance(media, Iterator) and not hasattr(media, "read"):
        first = list(islice(media, 1))
        media = chain(first, media)
        if not first or _is_timed_frame(first[0]):
            return [FrameInput("frames", media)]
    elif isinstance(media, np.ndarray) and media.dtype.kind in "OU":
        media = media.tolist()
    elif not isinstance(media, (list, tuple)) or _is_timed_frame(next(iter(media), None)):
        return _read_item(media, "")
    items: list[Item] = []
    for number, each in enumerate(media):
        if isinstance(each, (FrameInput, ByteInput, TriaffectError)):  # listed before
            items.append(each)
            continue
        try:
            items += _read_item(each, f"[{number}]")
        except MediaError as error:
            items.append(error)
    if not items:
        raise MediaError(_KINDS, "an empty list")
    if len(items) == 1 and isinstance(items[0], TriaffectError):
        raise items[0]
    return items


def _is_timed_frame(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2  # noqa: PLR2004 - time and pixels
        and isinstance(value[0], (int, float, np.number))
        and hasattr(value[1], "shape")
    )


def _read_item(media: Any, suffix: str) -> list[Item]:  # noqa: ANN401 - anything a user may try
    if isinstance(media, (str, os.PathLike)):
        return _list_files(Path(media))
    if isinstance(media, (bytes, bytearray, memoryview)):
        return [ByteInput(f"bytes{suffix}", bytes(media))]
    if type(media).__module__.partition(".")[0] == "PIL":
        from PIL import ImageOps  # noqa: PLC0415 - not needed unless an image of it comes

        upright = ImageOps.exif_transpose(media).convert("RGB")
        name = getattr(media, "filename", "") or f"image{suffix}"
        return [FrameInput(str(name), [(0.0, np.asarray(upright, np.uint8))])]
    if hasattr(media, "shape") and hasattr(media, "__array__"):
        name = f"array{suffix}"
        return [FrameInput(name, [(0.0, _picture(np.asarray(media), name))])]
    if hasattr(media, "read"):
        name = getattr(media, "name", None)
        return [ByteInput(name if isinstance(name, str) else f"file{suffix}", media)]
    if isinstance(media, Iterable) and not isinstance(media, (dict, set, frozenset)):
        return [FrameInput(f"frames{suffix}", media)]
    raise MediaError(_KINDS, f"{type(media).__name__}", where=f"input{suffix}")


def _list_files(path: Path) -> list[Item]:
    """List the files that a path stands for, and warn of those that are passed over."""
    if webcam_number(path) is not None:
        return [path]
    passed_over: list[Path] = []
    files = find_media([path], passed_over=passed_over)
    if passed_over:
        warnings.warn(describe_passed_over(passed_over), PassedOverWarning, stacklevel=4)
    return list(files)


def _picture(pixels: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Check a picture given as array, and make it RGB.

    Raises:
        MediaError: It is not uint8 of shape (height, width, 3) or (height, width).
    """
    shape, remedy = pixels.shape, ""
    if pixels.dtype != np.uint8:
        remedy = "scale its levels to 0 to 255 and convert it: picture.astype(numpy.uint8)"
    elif len(shape) == _CHANNELS and shape[2] == _CHANNELS + 1:
        remedy = "leave transparency out: picture[..., :3]"
    elif len(shape) == _CHANNELS and shape[0] == _CHANNELS:
        remedy = "put the channels last: picture.transpose(1, 2, 0)"
    elif len(shape) > _CHANNELS:
        remedy = "give frames of a video as pairs of time and picture: [(0.0, picture), ...]"
    elif (len(shape) == _CHANNELS and shape[2] == _CHANNELS) or len(shape) == _CHANNELS - 1:
        if pixels.size:
            rgb = pixels if len(shape) == _CHANNELS else np.repeat(pixels[..., None], 3, axis=2)
            return np.ascontiguousarray(rgb, np.uint8)
        remedy = "check how it was read"
    expected = "a picture, uint8 of shape (height, width, 3) in RGB or (height, width) in gray"
    raise MediaError(expected, f"{pixels.dtype} of shape {shape}", remedy, where=name)
