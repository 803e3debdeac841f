"""Eyeballs, lids and lashes, drawn on the surface for one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triaffect.synthetic.curves import Array, Color, bell, edge, hill, ramp
from triaffect.synthetic.head import Head, Shape
from triaffect.synthetic.skin import GridPatch, Surface, blend

IRIS_RADIUS, PUPIL_RADIUS, BALL_RADIUS = 5.9, 2.3, 12.3
_SCLERA: Color = (0.60, 0.55, 0.52)
_CORNER: Color = (0.50, 0.22, 0.20)


@dataclass(frozen=True)
class EyePose:
    """Where lids and gaze are, mm.

    Attributes:
        upper: Height of the upper lid's edge above the line between the corners.
        lower: Depth of the lower lid's edge below it.
        gaze_x: How far the iris lies to the viewer's right.
        gaze_y: How far it lies above the middle.
    """

    upper: float
    lower: float
    gaze_x: float
    gaze_y: float

    @staticmethod
    def of(shape: Shape, a: dict[int, float], gaze: tuple[float, float]) -> EyePose:
        """Lids of a face with these strengths of action (all actions present)."""
        size = 1 + shape.eye_size
        lid = 1 + 0.45 * a[5] - 0.22 * a[7] - 0.15 * a[4] - 0.12 * a[6] - 0.1 * a[9]
        upper = size * 4.7 * max(lid, 0.2) + 0.35 * gaze[1]
        lower = size * 4.6 * max(0.15, 1 - 0.55 * a[7] - 0.5 * a[6] - 0.1 * a[12] + 0.08 * a[5])
        shut = min(1.0, a[43])
        return EyePose(
            upper + shut * (0.15 - upper - 0.8 * lower),
            lower * (1 - 0.2 * shut),
            *gaze,
        )


@dataclass(frozen=True)
class Eyes:
    """The part of a person's eyes that does not move.

    Attributes:
        shape: The head's shape.
        windows: Where on the grid either eye is drawn.
        iris_color: Linear RGB.
        lashes: Darkness of the lashes in [0, 1].
        crease: Height of the lid's crease above its edge, mm.
        crease_depth: Strength of that crease in [0, 1].
        fibres: Brightness of the iris by angle, about 1 on average, shape (64,).
    """

    shape: Shape
    windows: tuple[GridPatch, GridPatch]
    iris_color: Color
    lashes: float
    crease: float
    crease_depth: float
    fibres: Array

    @staticmethod
    def make(
        head: Head,
        iris: Color,
        lashes: float,
        crease: tuple[float, float],
        random: np.random.Generator,
    ) -> Eyes:
        """Eyes for a head; `crease` is its height and strength."""
        x = head.shape.eye_x
        left = GridPatch.around(head, -x - 25, -x + 21, -16, 16)
        right = GridPatch.around(head, x - 21, x + 25, -16, 16)
        fibres = (1 + 0.25 * random.standard_normal(64)).astype(np.float32)
        return Eyes(head.shape, (left, right), iris, lashes, *crease, fibres)

    def draw(self, whole: Surface, pose: EyePose) -> None:
        """Draw both eyes on the surface."""
        for side, window in zip((-1, 1), self.windows, strict=True):
            surface = whole.window(window)
            lids = _Lids(surface, side, self.shape, pose)
            self._draw_lids(surface, window, lids)
            self._draw_ball(surface, lids, side, pose)
            self._draw_lashes(surface, lids)

    def _draw_lids(self, surface: Surface, window: GridPatch, lids: _Lids) -> None:
        gap = lids.v - lids.upper - self.crease * (0.35 + 0.65 * lids.root)
        groove = hill(gap, 0, 0.8) * lids.near * self.crease_depth
        plate = ramp(lids.v - lids.upper, -0.5, 1.0) * ramp(gap, 0.5, -1.5) * lids.near
        rim = hill(lids.v - lids.lower, -0.8, 0.8) * lids.near
        window.tilt(surface, 0.9 * plate - 0.9 * groove + 0.5 * rim)
        surface.albedo *= (1 - 0.30 * groove)[..., None]
        surface.gloss += 0.15 * rim

    def _draw_ball(self, surface: Surface, lids: _Lids, side: int, pose: EyePose) -> None:
        u, v = lids.u, lids.v
        inside = edge(lids.upper - v, 0.9) * edge(v - lids.lower, 0.9) * lids.within
        right, up = side * u - pose.gaze_x, v - pose.gaze_y
        radius = np.sqrt(right * right + up * up)
        angle = np.arctan2(up, right) * np.float32(32 / np.pi) + 32
        fibre = self.fibres[angle.astype(np.int32) % 64]
        color = np.empty_like(surface.albedo)
        color[:] = _SCLERA
        blend(color, _CORNER, np.maximum(ramp(u, -10.5, -15), 0.5 * ramp(u, 11, 16)))
        ring = 0.35 + 0.65 * ramp(radius, IRIS_RADIUS, IRIS_RADIUS - 1.8)
        inner = 1 + 0.5 * hill(radius, PUPIL_RADIUS + 1.2, 0.9)
        iris = np.asarray(self.iris_color, np.float32) * (ring * inner * fibre)[..., None]
        blend(color, iris, edge(IRIS_RADIUS - radius, 0.9))
        color *= (1 - 0.97 * edge(PUPIL_RADIUS - radius, 0.8))[..., None]
        shade = 0.38 + 0.62 * ramp(lids.upper - v, -0.3, 4.0) * ramp(v - lids.lower, -1.5, 1.5)
        blend(surface.albedo, color * shade[..., None], inside)
        flat = np.stack([side * u, v], -1) / np.float32(BALL_RADIUS)
        surface.normals[..., :2] += (flat - surface.normals[..., :2]) * inside[..., None]
        depth = np.sqrt(np.maximum(1 - (flat**2).sum(-1), 0.1))
        surface.normals[..., 2] += (depth - surface.normals[..., 2]) * inside
        surface.gloss += (0.1 - surface.gloss) * inside
        surface.gloss += 1.4 * inside * edge(IRIS_RADIUS + 1.5 - radius, 1.0)

    def _draw_lashes(self, surface: Surface, lids: _Lids) -> None:
        outer = 0.65 + 0.35 * ramp(lids.u, -12, 12)
        upper = hill(lids.v - lids.upper, 0.25 + 0.35 * self.lashes, 0.55 + 0.45 * self.lashes)
        lower = 0.28 * hill(lids.v - lids.lower, -0.5, 0.6)
        dark = np.maximum(upper * outer * (0.55 + 0.4 * self.lashes), lower) * lids.near
        surface.albedo *= (1 - dark)[..., None]
        surface.gloss *= 1 - dark


class _Lids:
    """Coordinates in one eye and the heights of its lids' edges, mm.

    `u` runs outwards from the pupil's resting place, `v` upwards.
    """

    def __init__(self, surface: Surface, side: int, shape: Shape, pose: EyePose) -> None:
        half = 14.8 * (1 + shape.eye_size)
        self.u = side * surface.points[..., 0] - np.float32(shape.eye_x)
        self.v = surface.points[..., 1] - np.float32(0.0)
        q = self.u / np.float32(half)
        square = np.clip(1 - q * q, 0, 1)
        self.root = np.sqrt(square)
        corner = np.float32(-0.3) + (np.float32(1.1 + shape.eye_tilt)) * q
        self.upper = corner + pose.upper * (0.45 * self.root + 0.55 * square) * (1 - 0.16 * q)
        self.lower = corner - pose.lower * (0.30 * self.root + 0.70 * square) * (1 + 0.22 * q)
        distance = np.abs(q)
        self.within = ramp(distance, 1.03, 0.97)
        self.near = ramp(distance, 1.12, 0.92)


def lid_shadow(x: Array, y: Array, shape: Shape) -> Array:
    """Darkening of the skin around the eyes in [0, 1], for the resting face."""
    below = bell(np.abs(x), y, shape.eye_x - 5, -10, 11, 4.5)
    inner = bell(np.abs(x), y, shape.eye_x - 16, 1, 5, 7)
    return np.asarray(np.maximum(0.7 * below, inner))
