"""Words on frames, in a font of the package's own: OpenCV has strokes only, and ASCII alone.

`font/letters.png` holds the letters of DejaVu Sans Condensed Bold side by side, rendered once by
`tools/font_atlas.py`; a line is put together from them and scaled to the height that is needed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

import cv2
import numpy as np
from numpy.typing import NDArray

_Cover = NDArray[np.uint8]
_OTHER = "\N{WHITE SQUARE}"
"""Stands for a letter that the font does not have."""


@dataclass(frozen=True)
class Letter:
    """Where a letter is, in pixels of the strip.

    Attributes:
        start: Its first column.
        width: Its columns.
        left: How far it reaches to the left of where it is put; not above 0.
        advance: From it to the next.
    """

    start: int
    width: int
    left: int
    advance: float


@dataclass(frozen=True)
class Font:
    """Letters of one height.

    Attributes:
        strip: How much of each pixel is covered, 0 to 255, uint8, shape (height, all widths).
        letters: By the character.
    """

    strip: _Cover
    letters: dict[str, Letter]

    def width(self, text: str, height: int) -> int:
        """Measure a line.

        Args:
            text: The line.
            height: Pixels from the highest accent to below the longest tail.

        Returns:
            Pixels.
        """
        advance = sum(self._of(character).advance for character in text)
        return int(np.ceil(advance * height / len(self.strip)))

    def cover(self, text: str, height: int) -> _Cover:
        """Put a line together.

        Args:
            text: The line.
            height: As in `width`.

        Returns:
            How much of each pixel is covered, 0 to 255, uint8, shape (height, width).
        """
        advance = sum(self._of(character).advance for character in text)
        line = np.zeros((len(self.strip), int(np.ceil(advance)) + 1), np.uint8)
        at = 0.0
        for character in text:
            letter = self._of(character)
            first = max(0, round(at) + letter.left)
            own = self.strip[:, letter.start : letter.start + letter.width]
            room = line[:, first : first + own.shape[1]]
            np.maximum(room, own[:, : room.shape[1]], out=room)
            at += letter.advance
        size = (max(1, self.width(text, height)), height)
        is_smaller = height < len(self.strip)
        how = cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(line, size, interpolation=how), np.uint8)

    def _of(self, character: str) -> Letter:
        return self.letters.get(character, self.letters[_OTHER])


@cache
def font() -> Font:
    """Load the font of the package.

    >>> font().width("wide", 20) > font().width("thin", 20)
    True
    """
    folder = files("triaffect.report.drawing") / "font"
    content = np.frombuffer((folder / "letters.png").read_bytes(), np.uint8)
    strip = np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.uint8)
    stored = json.loads((folder / "letters.json").read_text("utf-8"))
    return Font(strip, {name: Letter(*columns) for name, columns in stored["letters"].items()})


@lru_cache(4096)
def _cover_of(text: str, height: int) -> _Cover:
    """Put a line together once; most lines of a video stay for seconds."""
    return font().cover(text, height)


def write_line(
    rgb: _Cover, text: str, position: tuple[int, int], height: int, color: tuple[int, int, int]
) -> None:
    """Write a line on a frame, in place; what lies outside the frame is left out.

    Args:
        rgb: RGB pixels, uint8, shape (height, width, 3).
        text: The line.
        position: x and y of its upper left corner.
        height: As in `Font.width`.
        color: Red, green and blue, 0 to 255.
    """
    x, y = position
    cover = _cover_of(text, height)
    cover = cover[max(0, -y) :, max(0, -x) :]
    x, y = max(0, x), max(0, y)
    ground = rgb[y : y + cover.shape[0], x : x + cover.shape[1]]
    if not ground.size:
        return
    part = cover[: ground.shape[0], : ground.shape[1], None].astype(np.uint16)
    mixed = ground * (255 - part) + np.array(color, np.uint16) * part
    ground[:] = ((mixed + 127) // 255).astype(np.uint8)
