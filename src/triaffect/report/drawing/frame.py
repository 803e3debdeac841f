"""What is drawn on a frame: a box and a tag a face, its circumplex, its active units.

All sizes follow the shorter side of the frame, so that words are as readable in 4K as at 360
pixels. What belongs to a face is put where it covers no other face and nothing that was put
before, the largest faces first; where there is no room, less is told. The colors of faces are
those of Okabe and Ito, told apart by color-blind people too; a face has the same all along. In a
video what is written stays where it is (`triaffect.report.drawing.positions`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.report.drawing.lettering import font, write_line
from triaffect.report.drawing.positions import PanelPosition, WordPositions
from triaffect.studies.people import PARTICIPANT
from triaffect.tables.presence import SUFFIX
from triaffect.tasks.presence import PRESENT
from triaffect.tasks.task import Task

_Picture = NDArray[np.uint8]
_Colour = tuple[int, int, int]

_UNKNOWN = float("nan")
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

_TEXT_OF_SIDE = 1 / 24
"""Height of a line of text, of the frame's shorter side: 15 pixels of 360, 90 of 2160."""

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
        name: Who it is, where that is known.
        scores: Of each task of classes, the probability of each class by its title.
    """

    box: tuple[float, float, float, float] | None
    face_id: int | None
    tag: str
    point: tuple[float, float]
    axes: tuple[str, str]
    units: tuple[str, ...]
    name: str = ""
    scores: tuple[Mapping[str, float], ...] = ()

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
        units, point, axes = list[str](), (_UNKNOWN, _UNKNOWN), ("", "")
        scores = list[Mapping[str, float]]()
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
                scores.append({task.title(column): values[column] for column in learned})
            for column in task.threshold_columns:
                is_above = values[column] >= thresholds.get(column, PRESENT)
                if row.get(column + SUFFIX, is_above):
                    units.append(task.title(column))
        x, y, w, h = (_number(row.get(f"box_{side}")) for side in "xywh")
        seen = row.get("face_id") is not None
        box = (x, y, w, h) if seen else None
        face_id = int(_number(row["face_id"])) if seen else None
        name = str(row.get(PARTICIPANT) or "") if seen else ""
        likeliest = [max(own, key=own.__getitem__) for own in scores]
        pairs = zip(likeliest, scores, strict=True)
        tag = ", ".join(f"{title} {own[title]:.0%}" for title, own in pairs)
        return Drawn(box, face_id, tag, point, axes, tuple(units), name, tuple(scores))

    @property
    def who(self) -> str:
        """Return the face's name, or else its number."""
        return self.name or f"#{self.face_id}"

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


def draw(
    rgb: _Picture,
    faces: list[Drawn],
    time_s: float | None = None,
    positions: WordPositions | None = None,
) -> None:
    """Draw on a frame, in place.

    Args:
        rgb: RGB pixels, uint8, shape (height, width, 3).
        faces: What was found in it, in pixels of this frame.
        time_s: Its time in seconds, written into a corner; None for a picture.
        positions: Where things were put on the frames before; None for a single frame.
    """
    page = _Page(rgb, positions or WordPositions())
    if time_s is not None:
        page.time(time_s)
        faces = [page.steady(face, time_s) for face in faces]
    boxed = [(face, _Rect.of(face.box, rgb)) for face in faces if face.box is not None]
    boxed.sort(key=lambda each: -each[1].high)
    for face, edges in boxed:
        page.box(face, edges)
    held = [(face, page.hold(face, edges)) for face, edges in boxed]
    for face, edges in held:
        page.tag(face, edges)
    for face, edges in held:
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

    def __init__(self, rgb: _Picture, positions: WordPositions) -> None:
        self._rgb, self._positions = rgb, positions
        side = min(rgb.shape[:2])
        self._large = _Pen(rgb, max(6, round(side * _TEXT_OF_SIDE)))
        self._little = _Pen(rgb, max(6, round(0.75 * side * _TEXT_OF_SIDE)))
        self._small = side * _SMALL_FACE
        self._taken: list[_Rect] = []

    def time(self, time_s: float) -> None:
        """The time in the lower left corner."""
        pen = self._little
        tenths = math.floor(10 * time_s + 1e-6)
        words = f"{tenths // 600}:{tenths % 600 // 10:02d}.{tenths % 10}"
        wide, high = pen.size(["0" * len(words)])
        corner = _Rect(pen.pad, self._rgb.shape[0] - high - pen.pad, wide, high)
        pen.words(words, corner, _LIGHT, None)
        self._taken.append(corner)

    def steady(self, face: Drawn, time_s: float) -> Drawn:
        """The same face, its class and probability as calm as they can be read."""
        if not face.scores:
            return face
        words = self._positions.steady_words(face.face_id, face.scores, time_s)
        return replace(face, tag=words)

    def hold(self, face: Drawn, edges: _Rect) -> _Rect:
        """Where the words of a face are put: by its box of before while that hardly moved."""
        if face.face_id is None:
            return edges
        pixels = (edges.x, edges.y, edges.wide, edges.high)
        return _Rect(*self._positions.hold_box(face.face_id, pixels))

    def box(self, face: Drawn, edges: _Rect) -> None:
        """The outline of a face."""
        corner = (edges.x + edges.wide, edges.y + edges.high)
        width = self._large.stroke * (2 if edges.high >= self._small else 1)
        cv2.rectangle(self._rgb, (edges.x, edges.y), corner, _colour(face), width)
        self._taken.append(edges)

    def tag(self, face: Drawn, edges: _Rect) -> None:
        """Name and expression, above or below the box; the name alone in a crowd."""
        pen = self._large if edges.high >= self._small else self._little
        for words in (f"{face.who}  {face.tag}".rstrip(), face.who):
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
        """Plane and active units beside the box, or below or above it.

        It has room for what it held before, so that it stays where it is when a unit goes.
        """
        if edges.high < self._small or not (face.placed or face.units):
            return
        pen = self._large
        radius = int(np.clip(edges.high / 5, 1.5 * pen.line, 3.5 * pen.line))
        before = self._positions.panel_of(face.face_id)
        has_plane = face.placed or before.has_plane
        top = 2 * radius + pen.pad if has_plane else 0
        lists = (face.units, [name.split()[0] for name in face.units], ())
        for length, units in list(enumerate(lists))[before.length :]:
            wide, high = pen.size(units)
            wide, high = max(wide, 2 * radius if has_plane else 0), high + top
            if not high:
                return
            if units and length == before.length:
                wide, high = max(wide, before.wide), max(high, before.high)
            candidates = self._beside(edges, wide, high)
            again = self._free([candidates[before.side]]) if before.side is not None else None
            rectangle = again or self._free(candidates)
            if rectangle is None:
                continue
            sides = [each.inside(self._rgb) for each in candidates]
            side = before.side if again else sides.index(rectangle)
            self._positions.keep_panel(
                face.face_id, PanelPosition(side, length, wide, high, has_plane)
            )
            self._taken.append(rectangle)
            middle = (rectangle.x + radius, rectangle.y + radius)
            pen.plane(face, middle, radius, _colour(face))
            pen.lines(units, rectangle.x, rectangle.y + top)
            return

    def _beside(self, edges: _Rect, wide: int, high: int) -> list[_Rect]:
        """WordPositions for a panel: right of a box, left of it, below it and above it."""
        gap = 2 * self._large.pad
        return [
            _Rect(edges.x + edges.wide + gap, edges.y, wide, high),
            _Rect(edges.x - gap - wide, edges.y, wide, high),
            _Rect(edges.x, edges.y + edges.high + gap, wide, high),
            _Rect(edges.x, edges.y - gap - high, wide, high),
        ]

    def voice(self, face: Drawn) -> None:
        """What the voice says while no face is seen, in the corner."""
        if not (face.tag or face.placed):
            return
        pen = self._large
        radius = 2 * pen.line
        words = f"no face; by the voice: {face.tag}".rstrip(" :")
        pen.lines([words], pen.pad, pen.pad)
        centre = (2 * pen.pad + radius, 2 * pen.line + 3 * pen.pad + radius)
        pen.plane(face, centre, radius, _LIGHT)

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

    def size(self, lines: Sequence[str]) -> tuple[int, int]:
        """Width and height in pixels."""
        wide = max([font().width(words, self.line) + 2 * self.pad for words in lines], default=0)
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
        above = (rectangle.high - self.line) // 2
        at = (rectangle.x + self.pad, rectangle.y + above)
        write_line(self._rgb, words, at, self.line, colour)

    def plane(self, face: Drawn, centre: tuple[int, int], radius: int, colour: _Colour) -> None:
        """The square of two columns, with their letters; the dot is the moment."""
        if not face.placed:
            return
        x, y = centre
        square = (x - radius, y - radius), (x + radius, y + radius)
        self._darken(_Rect(x - radius, y - radius, 2 * radius + 1, 2 * radius + 1))
        cv2.line(self._rgb, (x - radius, y), (x + radius, y), _AXIS, self.stroke)
        cv2.line(self._rgb, (x, y - radius), (x, y + radius), _AXIS, self.stroke)
        cv2.rectangle(self._rgb, *square, _DARK, 3 * self.stroke)
        cv2.rectangle(self._rgb, *square, _LIGHT, self.stroke)
        high = max(6, round(0.4 * radius))
        right, up = face.axes
        at = (x + radius - font().width(right, high) - 2 * self.stroke, y + self.stroke)
        write_line(self._rgb, right, at, high, _AXIS)
        write_line(self._rgb, up, (x + 2 * self.stroke, y - radius + self.stroke), high, _AXIS)
        dot = max(2, radius // 6)
        room = radius - dot
        at = (round(x + face.point[0] * room), round(y - face.point[1] * room))
        cv2.circle(self._rgb, at, dot + self.stroke, _DARK, -1, cv2.LINE_AA)
        cv2.circle(self._rgb, at, dot, colour, -1, cv2.LINE_AA)

    def _darken(self, rectangle: _Rect) -> None:
        left, top = max(0, rectangle.x), max(0, rectangle.y)
        ground = self._rgb[top : rectangle.y + rectangle.high, left : rectangle.x + rectangle.wide]
        if ground.size:
            ground[:] = np.asarray(cv2.LUT(ground, _DARKENED), np.uint8)
