"""Lips, and what shows between them, drawn on the surface for one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triaffect.synthetic.curves import Array, Color, Real, bell, edge, hill, ramp
from triaffect.synthetic.head import Head, Shape
from triaffect.synthetic.skin import GridPatch, Surface, blend

HALF_WIDTH = 25.0
_SHUT_MM = 0.5
"""A gap between the lips that is too narrow to see into."""
_TOOTH_X = np.array([0.0, 4.3, 8.6, 11.7, 14.8, 18.6, 22.4, 25.6, 28.8, 32.0, 35.2])
"""Edge, middle, edge, middle ... of the teeth of one side, mm from the middle."""
_TOOTH_GAP = np.array([0.0, 4.3, 0.0, 3.1, 0.0, 3.8, 0.0, 3.2, 0.0, 3.2, 0.0])
"""Distance to the nearest edge there."""
_CAVITY: Color = (0.030, 0.008, 0.007)
_TONGUE: Color = (0.30, 0.085, 0.075)
_GUM: Color = (0.38, 0.13, 0.12)


@dataclass(frozen=True)
class MouthPose:
    """Where the lips are, mm, in the frame of the head.

    Attributes:
        half_width: From the middle to a corner.
        middle_y: Height of the closed line in the middle.
        corner_rise: How far the corners lie above it.
        gap_up: How far the upper lip's edge lies above the line.
        gap_down: How far the lower lip's edge lies below it.
        upper: Thickness of the upper lip's red.
        lower: Thickness of the lower lip's red.
        fullness: How much the lips stand out.
        jaw: How far the lower teeth lie below their resting place.
    """

    half_width: float
    middle_y: float
    corner_rise: float
    gap_up: float
    gap_down: float
    upper: float
    lower: float
    fullness: float
    jaw: float

    @staticmethod
    def of(shape: Shape, a: dict[int, float]) -> MouthPose:
        """Lips of a face with these strengths of action (all actions present)."""
        pressed = min(1.0, 0.45 * a[23] + 0.8 * a[24])
        jaw = 13.0 * a[26]
        apart = a[25]
        return MouthPose(
            half_width=HALF_WIDTH
            + shape.mouth_width
            + 6.0 * a[12]
            + 4.0 * a[20]
            - 3.5 * a[23]
            - 2.0 * a[24]
            - 3.0 * a[26] * apart,
            middle_y=shape.mouth_y + 1.5 * a[10] + 0.5 * a[12] + 1.5 * a[17],
            corner_rise=6.5 * a[12] - 5.5 * a[15] - 1.0 * a[20] - 1.5 * a[17],
            gap_up=apart * (1.8 + 2.5 * a[10] + 2.6 * a[12]) + 1.0 * a[10],
            gap_down=apart * (2.5 + 1.8 * a[12] + jaw) + 0.6 * a[10],
            upper=max(0.8, (6.6 + shape.lip_upper) * (1 - pressed) * (1 - 0.18 * a[12])),
            lower=max(1.0, (9.0 + shape.lip_lower) * (1 - pressed) * (1 - 0.15 * a[12])),
            fullness=max(0.1, 1.0 - 0.8 * pressed + 0.25 * a[17]),
            jaw=jaw,
        )


@dataclass(frozen=True)
class Mouth:
    """The part of a person's mouth that does not move.

    Attributes:
        window: Where on the grid it is drawn.
        lip_color: Linear RGB.
        teeth_color: Linear RGB.
        grain: Fine vertical lines of the lips, about 1 on average, shape of the window.
    """

    window: GridPatch
    lip_color: Color
    teeth_color: Color
    grain: Array

    @staticmethod
    def make(head: Head, lip: Color, teeth: Color, random: np.random.Generator) -> Mouth:
        """A mouth for a head."""
        y = head.shape.mouth_y
        window = GridPatch.around(head, -42, 42, y - 34, y + 22)
        columns = window.columns.stop - window.columns.start
        rows = window.rows.stop - window.rows.start
        lines = 1 + 0.07 * random.standard_normal((1, columns)).astype(np.float32)
        return Mouth(window, lip, teeth, np.repeat(lines, rows, axis=0))

    def draw(self, whole: Surface, pose: MouthPose) -> None:
        """Draw the mouth on the surface."""
        surface = whole.window(self.window)
        lips = _Curves(surface.points[..., 0], surface.points[..., 1], pose)
        self._draw_lips(surface, lips, pose)
        self._draw_inside(surface, lips, pose)

    def _draw_lips(self, surface: Surface, lips: _Curves, pose: MouthPose) -> None:
        upper = np.clip((lips.y - lips.line) / (lips.top - lips.line + 0.3), 0, 1.4)
        lower = np.clip((lips.line - lips.y) / (lips.line - lips.bottom + 0.3), 0, 1.4)
        is_upper = (lips.y > lips.line).astype(np.float32)
        across = is_upper * upper + (1 - is_upper) * lower
        red = edge(lips.top - lips.y, 1.3) * edge(lips.y - lips.bottom, 1.6)
        red = red * ramp(lips.q_abs, 1.03, 0.93)
        shade = self.grain * (1.0 - 0.25 * is_upper)
        color = np.asarray(self.lip_color, np.float32) * shade[..., None]
        blend(surface.albedo, color, 0.88 * red)
        swell = np.sqrt(np.clip(across, 0, 1) * np.clip(1.35 - across, 0, 1)) * lips.fade
        height = pose.fullness * (2.4 * is_upper + 3.6 * (1 - is_upper)) * swell
        self.window.tilt(surface, np.asarray(height, np.float32))
        surface.gloss += 0.35 * red * (1 - is_upper) * self.grain + 0.12 * red
        slit = np.exp(-0.5 * ((lips.y - lips.line) / 0.75) ** 2) * ramp(lips.q_abs, 1.08, 0.98)
        corner = bell(lips.q_abs, lips.y - lips.line, 1.0, 0, 0.06, 1.6)
        surface.albedo *= (1 - 0.72 * np.maximum(slit, 0.8 * corner))[..., None]

    def _draw_inside(self, surface: Surface, lips: _Curves, pose: MouthPose) -> None:
        if pose.gap_up + pose.gap_down < _SHUT_MM:
            return
        x, y = lips.x, lips.y
        inside = edge(lips.upper_edge - y, 0.8) * edge(y - lips.lower_edge, 0.8)
        inside = inside * ramp(lips.q_abs, 1.0, 0.94)
        color = np.empty_like(surface.albedo)
        color[:] = _CAVITY
        rest_y = pose.middle_y
        tongue = bell(x, y, 0, rest_y - 8 - 0.85 * pose.jaw, 16, 5.5, 4)
        blend(color, _TONGUE, 0.8 * tongue)
        dim = 1 - 0.75 * ramp(np.abs(x), 8, 26)
        lower_top = rest_y - 3.6 - pose.jaw + 0.0016 * x**2
        self._draw_teeth(color, x, (lower_top - y) / 7.0, 0.62 * dim, 0.75)
        upper_bottom = rest_y - 1.2 + 0.0035 * x**2
        self._draw_teeth(color, x, (y - upper_bottom) / 9.5, dim, 1.0)
        shadow = ramp(lips.upper_edge - y, -0.5, 3.0) * 0.6 + 0.4
        blend(surface.albedo, color * shadow[..., None], inside)
        towards = surface.normals[..., 2]
        surface.normals[..., 0] *= 1 - 0.7 * inside
        surface.normals[..., 1] *= 1 - 0.7 * inside
        towards += (1 - towards) * inside
        surface.gloss *= 1 - 0.8 * inside

    def _draw_teeth(self, color: Array, x: Array, up: Real, light: Real, scale: float) -> None:
        """A row of teeth; `up` is 0 at their free edge and 1 at the gum."""
        gaps = np.interp(np.abs(x) / scale, _TOOTH_X, _TOOTH_GAP).astype(np.float32)
        tooth = edge(up * 8, 1.0) * edge(1 - up, 0.25)
        gum = edge(up - 1, 0.25) * edge(1.7 - up, 0.3)
        shine = light * (1 - 0.45 * np.exp(-0.5 * (gaps / 0.45) ** 2))
        for tint, bright, cover in ((_GUM, light, gum), (self.teeth_color, shine, tooth)):
            blend(color, np.asarray(bright[..., None] * np.array(tint), np.float32), cover)


class _Curves:
    """Heights of the lips' edges above every point of the window, mm."""

    def __init__(self, x: Array, y: Array, pose: MouthPose) -> None:
        self.x, self.y = x, y
        q = x / np.float32(pose.half_width)
        self.q_abs = np.abs(q)
        within = np.clip(1 - q * q, 0, 1)
        root = np.sqrt(within)
        self.fade = root
        bow = 1 + 0.16 * hill(self.q_abs, 0.26, 0.14) - 0.2 * hill(q, 0, 0.1)
        closed = pose.middle_y + pose.corner_rise * np.minimum(self.q_abs, 1.3) ** 2
        closed = closed - 0.9 * hill(q, 0, 0.22) + 0.5 * within
        self.upper_edge = closed + pose.gap_up * root
        self.lower_edge = closed - pose.gap_down * (0.6 * within + 0.4 * root)
        self.top = self.upper_edge + pose.upper * (0.55 * root + 0.45 * within) * bow
        self.bottom = self.lower_edge - pose.lower * (0.35 * root + 0.65 * within)
        self.line = np.clip(y, self.lower_edge, self.upper_edge)
