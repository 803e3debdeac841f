"""What is drawn on a frame: a box and a tag a face, its circumplex, its active units.

All sizes follow the shorter side of the frame, so that words are as readable in 4K as at 360
pixels. What belongs to a face is put where it covers no other face and nothing that was put
before, the largest faces first; where there is no room, less is told. The colours of faces are
those of Okabe and Ito, told apart by colour-blind people too; a face has the same all along.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.tables.presence import SUFFIX
from triaffect.tasks.presence import PRESENT
from triaffect.tasks.task import Task

_Picture = NDArray[np.uint8]
_Colour = tuple[int, int, int]

_UNKNOWN = float("nan")
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_COLOURS: tuple[_Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
)
_DARK, _LIGHT, _AXIS = (16, 16, 16), (245, 245, 245), (170, 170, 170)
_DARKENED = (np.arange(256) * 0.35).astype(np.uint8)
"""What becomes of the colors of the ground of words and circles."""

_TEXT_OF_SIDE = 1 / 27
"""Height of a line of text, of the frame's shorter side: 13 pixels of 360, 80 of 2160."""

_SMALL_FACE = 1 / 6
"""Faces less high than this, of the frame's shorter side, get a box and a small tag alone."""

_COVERED = 0.15
"""How much of a tag or panel may lie over something else."""


@dataclass(frozen=True)
class Drawn:
    """What is told of one face, or of the voice where none is seen.

    Attributes:
        box: x, y, width, height in pixels of the frame; None for the voice.
        face_id: Number of the face; None for the voice.
        tag: What it looks like in words, such as ``"happiness 87%"``.
        point: Where it lies on the circumplex, -1 to 1 to the right and upwards; NaN if unknown.
        axes: A letter for each direction.
        units: Names of what is present.
    """

    box: tuple[float, float, float, float] | None
    face_id: int | None
    tag: str
    point: tuple[float, float]
    axes: tuple[str, str]
    units: tuple[str, ...]

    @staticmethod
    def of_row(
        row: Mapping[str, object], tasks: Sequence[Task], thresholds: Mapping[str, float]
    ) -> Drawn:
        """Read a row of a prediction table; columns that it does not have are left out.

        Args:
            row: Values by column; flags of what is present, see `PresenceFilter`, go before
                probabilities.
            tasks: What is predicted.
            thresholds: From which probability on something is present, by column; else 0.5.

        Returns:
            What is drawn of the row.
        """
        tags, units, point, axes = list[str](), list[str](), (_UNKNOWN, _UNKNOWN), ("", "")
        for task in tasks:
            values = {column: _number(row.get(column)) for column in task.columns}
            if task.circumplex:
                (x, y), (low, high) = values.values(), task.display_range
                middle, half = (low + high) / 2, (high - low) / 2
                point = ((x - middle) / half, (y - middle) / half)
                right, up = task.columns
                axes = (right[0].upper(), up[0].upper())
            elif task.exclusive and not all(map(math.isnan, values.values())):
                # a class that was not learned is blank
                learned = [column for column in values if not math.isnan(values[column])]
                likeliest = max(learned, key=values.__getitem__)
                tags.append(f"{task.title(likeliest)} {values[likeliest]:.0%}")
            for column in task.threshold_columns:
                is_above = values[column] >= thresholds.get(column, PRESENT)
                if row.get(column + SUFFIX, is_above):
                    units.append(task.title(column))
        x, y, w, h = (_number(row.get(f"box_{side}")) for side in "xywh")
        seen = row.get("face_id") is not None
        box = (x, y, w, h) if seen else None
        face_id = int(_number(row["face_id"])) if seen else None
        return Drawn(box, face_id, ", ".join(tags), point, axes, tuple(units))

    @property
    def placed(self) -> bool:
        """Tell whether its position on the circumplex is known."""
        return not math.isnan(sum(self.point))

    def enlarged(self, times: int) -> Drawn:
        """Return the same on a frame that is a whole number of times as large."""
        if self.box is None or times == 1:
            return self
        x, y, w, h = self.box
        return replace(self, box=(x * times, y * times, w * times, h * times))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else _UNKNOWN


def draw(rgb: _Picture, faces: list[Drawn]) -> None:
    """Draw on a frame, in place.

    Args:
        rgb: RGB pixels, uint8, shape (height, width, 3).
        faces: What was found in it, in pixels of this frame.
    """
    page = _Page(rgb)
    boxed = [(face, _Rect.of(face.box, rgb)) for face in faces if face.box is not None]
    boxed.sort(key=lambda each: -each[1].high)
    for face, edges in boxed:
        page.box(face, edges)
    for face, edges in boxed:
        page.tag(face, edges)
    for face, edges in boxed:
        page.panel(face, edges)
    for face in faces:
        if face.box is None:
            page.voice(face)


@dataclass(frozen=True)
class _Rect:
    """A rectangle of whole pixels."""

    x: int
    y: int
    wide: int
    high: int

    @property
    def area(self) -> int:
        """Pixels of it."""
        return self.wide * self.high

    @staticmethod
    def of(box: tuple[float, float, float, float], rgb: _Picture) -> _Rect:
        """The part of a box that lies in the frame."""
        x, y, w, h = box
        left, right = (min(max(round(v), 0), rgb.shape[1] - 1) for v in (x, x + w))
        top, bottom = (min(max(round(v), 0), rgb.shape[0] - 1) for v in (y, y + h))
        return _Rect(left, top, right - left, bottom - top)

    def inside(self, rgb: _Picture) -> _Rect:
        """The same, moved so that it lies in the frame."""
        x = max(0, min(self.x, rgb.shape[1] - self.wide))
        y = max(0, min(self.y, rgb.shape[0] - self.high))
        return replace(self, x=x, y=y)

    def shared(self, other: _Rect) -> int:
        """Pixels that both cover."""
        wide = min(self.x + self.wide, other.x + other.wide) - max(self.x, other.x)
        high = min(self.y + self.high, other.y + other.high) - max(self.y, other.y)
        return max(0, wide) * max(0, high)


class _Page:
    """A frame, and where something is on it."""

    def __init__(self, rgb: _Picture) -> None:
        self._rgb = rgb
        side = min(rgb.shape[:2])
        self._large = _Pen(rgb, max(6, round(side * _TEXT_OF_SIDE)))
        self._little = _Pen(rgb, max(6, round(0.75 * side * _TEXT_OF_SIDE)))
        self._small = side * _SMALL_FACE
        self._taken: list[_Rect] = []

    def box(self, face: Drawn, edges: _Rect) -> None:
        """The outline of a face."""
        corner = (edges.x + edges.wide, edges.y + edges.high)
        width = self._large.stroke * (2 if edges.high >= self._small else 1)
        cv2.rectangle(self._rgb, (edges.x, edges.y), corner, _colour(face), width)
        self._taken.append(edges)

    def tag(self, face: Drawn, edges: _Rect) -> None:
        """Number and expression, above or below the box; the number alone in a crowd."""
        pen = self._large if edges.high >= self._small else self._little
        for words in (f"#{face.face_id} {face.tag}".rstrip(), f"#{face.face_id}"):
            wide, high = pen.size([words])
            above = _Rect(edges.x, edges.y - high, wide, high)
            below = replace(above, y=edges.y + edges.high)
            rectangle = self._free([above, below])
            if rectangle:
                break
        else:
            rectangle = above.inside(self._rgb)
        pen.words(words, rectangle, _DARK, _colour(face))
        self._taken.append(rectangle)

    def panel(self, face: Drawn, edges: _Rect) -> None:
        """Circumplex and active units beside the box, or below or above it."""
        if edges.high < self._small or not (face.placed or face.units):
            return
        pen = self._large
        radius = int(np.clip(edges.high / 5, 1.5 * pen.line, 3.5 * pen.line))
        for units in (face.units, [name.split()[0] for name in face.units], ()):
            wide, high = pen.size(units)
            wide, high = max(wide, 2 * radius), high + 2 * radius + pen.pad
            gap = 2 * pen.pad
            right, below = edges.x + edges.wide + gap, edges.y + edges.high + gap
            candidates = [
                _Rect(right, edges.y, wide, high),
                _Rect(edges.x - gap - wide, edges.y, wide, high),
                _Rect(edges.x, below, wide, high),
                _Rect(edges.x, edges.y - gap - high, wide, high),
            ]
            rectangle = self._free(candidates)
            if rectangle:
                self._taken.append(rectangle)
                pen.circumplex(
                    face, (rectangle.x + radius, rectangle.y + radius), radius, _colour(face)
                )
                pen.lines(units, rectangle.x, rectangle.y + 2 * radius + pen.pad)
                return

    def voice(self, face: Drawn) -> None:
        """What the voice says while no face is seen, in the corner."""
        if not (face.tag or face.placed):
            return
        pen = self._large
        radius = 2 * pen.line
        words = f"no face; by the voice: {face.tag}"
        pen.lines([words], pen.pad, pen.pad)
        centre = (2 * pen.pad + radius, 2 * pen.line + 3 * pen.pad + radius)
        pen.circumplex(face, centre, radius, _LIGHT)

    def _free(self, candidates: Sequence[_Rect]) -> _Rect | None:
        """The place, moved into the frame, that covers least; None if all cover too much.

        That is too much of itself, or of anything smaller, such as the label of the same face.
        """
        best, least = None, math.inf
        for rectangle in (each.inside(self._rgb) for each in candidates):
            shared = [rectangle.shared(other) for other in self._taken]
            allowed = [_COVERED * min(rectangle.area, other.area) for other in self._taken]
            fits = all(one <= most for one, most in zip(shared, allowed, strict=True))
            if fits and sum(shared) <= _COVERED * rectangle.area and sum(shared) < least:
                best, least = rectangle, sum(shared)
        return best


def _colour(face: Drawn) -> _Colour:
    return _COLOURS[(face.face_id or 0) % len(_COLOURS)]


class _Pen:
    """Writes lines of one height."""

    def __init__(self, rgb: _Picture, line: int) -> None:
        self._rgb, self.line = rgb, line
        self.stroke = max(1, round(min(rgb.shape[:2]) / 360))
        self.pad = max(2, line // 4)
        self._scale: float = line / 30  # the font is that high at scale 1, all in all

    def size(self, lines: Sequence[str]) -> tuple[int, int]:
        """Width and height in pixels."""
        sizes = [cv2.getTextSize(words, _FONT, self._scale, self.stroke)[0] for words in lines]
        wide = max([int(size[0]) + 2 * self.pad for size in sizes], default=0)
        return wide, len(lines) * (self.line + self.pad)

    def lines(self, lines: Sequence[str], x: int, y: int) -> None:
        """Write light lines on a darkened ground."""
        for words in lines:
            rectangle = _Rect(x, y, *self.size([words]))
            self.words(words, rectangle, _LIGHT, None)
            y += rectangle.high

    def words(self, words: str, rectangle: _Rect, colour: _Colour, ground: _Colour | None) -> None:
        """Write one line."""
        if ground is None:
            self._darken(rectangle)
        else:
            corner = (rectangle.x + rectangle.wide, rectangle.y + rectangle.high - 1)
            cv2.rectangle(self._rgb, (rectangle.x, rectangle.y), corner, ground, -1)
        at = (rectangle.x + self.pad, rectangle.y + self.line - self.line // 8)
        cv2.putText(self._rgb, words, at, _FONT, self._scale, colour, self.stroke, cv2.LINE_AA)

    def circumplex(
        self, face: Drawn, centre: tuple[int, int], radius: int, colour: _Colour
    ) -> None:
        """The plane of two columns, with their letters; the dot is the moment."""
        if not face.placed:
            return
        x, y = centre
        self._darken(_Rect(x - radius, y - radius, 2 * radius + 1, 2 * radius + 1), radius)
        cv2.circle(self._rgb, centre, radius, _DARK, 3 * self.stroke, cv2.LINE_AA)
        cv2.circle(self._rgb, centre, radius, _LIGHT, self.stroke, cv2.LINE_AA)
        cv2.line(self._rgb, (x - radius, y), (x + radius, y), _AXIS, self.stroke)
        cv2.line(self._rgb, (x, y - radius), (x, y + radius), _AXIS, self.stroke)
        for letter, right, up in zip(face.axes, (0.6, 0.1), (-0.36, 0.56), strict=True):
            at = (round(x + right * radius), round(y - up * radius))
            cv2.putText(self._rgb, letter, at, _FONT, radius / 80, _AXIS, self.stroke, cv2.LINE_AA)
        at = (round(x + face.point[0] * radius), round(y - face.point[1] * radius))
        dot = max(2, radius // 5)
        cv2.circle(self._rgb, at, dot + self.stroke, _DARK, -1, cv2.LINE_AA)
        cv2.circle(self._rgb, at, dot, colour, -1, cv2.LINE_AA)

    def _darken(self, rectangle: _Rect, radius: int = 0) -> None:
        """Darken a rectangle, or the circle in it."""
        left, top = max(0, rectangle.x), max(0, rectangle.y)
        ground = self._rgb[top : rectangle.y + rectangle.high, left : rectangle.x + rectangle.wide]
        if not ground.size:
            return
        dark = np.asarray(cv2.LUT(ground, _DARKENED), np.uint8)
        if radius:
            mask = np.zeros(ground.shape[:2], np.uint8)
            cv2.circle(
                mask, (rectangle.x - left + radius, rectangle.y - top + radius), radius, 1, -1
            )
            dark[mask == 0] = ground[mask == 0]
        ground[:] = dark
