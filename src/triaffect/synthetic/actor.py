"""One person before the camera: everything at rest computed once, a frame drawn at a time."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.synthetic.appearance import paint
from triaffect.synthetic.curves import Array, ramp
from triaffect.synthetic.eyes import EyePose, Eyes
from triaffect.synthetic.hair import Curtain, grow, scalp_cover
from triaffect.synthetic.head import NECK_SHARE, ROWS, Head, build_head, column_angles, ears
from triaffect.synthetic.mouth import HALF_WIDTH, Mouth, MouthPose
from triaffect.synthetic.movement import ACTIONS, COARSE, action_fields, strengths
from triaffect.synthetic.people import HairStyle, RenderedPerson
from triaffect.synthetic.shade import Light, cast_shadows, shade
from triaffect.synthetic.skin import Surface
from triaffect.synthetic.splat import Dots
from triaffect.synthetic.view import View

GRID_STEPS = (1.9, -1.9)
"""RecipeNotes how far apart coarse points lie on the front of the face, mm."""
_UPSAMPLE = np.array([[1 / COARSE, 0, 0], [0, 1 / COARSE, 0]], np.float32)


class Actor:
    """A person ready to be drawn."""

    def __init__(self, person: RenderedPerson, random: np.random.Generator) -> None:
        self.person = person
        bare = build_head(person.shape, age_lines=float(np.clip((person.age - 22) / 45, 0, 1)))
        cover = scalp_cover(bare, person, random)
        unseen = np.maximum(0.6 * ramp(cover, 0.05, 0.3), 0.7 * (ears(bare.rest, person.shape) > 1))
        self.extra = unseen - 9 * _below_neckline(bare.rest)
        self.albedo, self.gloss = paint(bare, person, cover, random)
        self.fields = action_fields(bare)
        self.head = grow(bare, person, cover, random)
        teeth = (0.62, 0.56, 0.46)
        self.mouth = Mouth.make(bare, person.lips, teeth, random)
        self.eyes = Eyes.make(bare, person.iris, person.lashes, person.lid_crease, random)
        self.marks = _mark_points(bare)
        rows = np.linspace(0, 1, ROWS, dtype=np.float32)[:, None, None]
        self.follow = 0.25 + 0.75 * ramp(rows, 1.0, NECK_SHARE)
        long = person.hair_style is HairStyle.LONG
        self.curtain = Curtain.draw(person.hair, random) if long else None

    def surface(self, actions: dict[int, float], gaze: tuple[float, float]) -> Surface:
        """The face with these strengths of action (0 where not named) and this gaze, mm."""
        full = _complete(actions)
        points = self.head.rest + _upsample(self._displacement(full))
        normals = _upsample(_normals(points[::COARSE, ::COARSE]))
        surface = Surface(points, normals, self.albedo.copy(), self.gloss.copy())
        self.mouth.draw(surface, MouthPose.of(self.person.shape, full))
        self.eyes.draw(surface, EyePose.of(self.person.shape, full, gaze))
        return surface

    def _displacement(self, actions: dict[int, float]) -> Array:
        moved: Array = np.zeros_like(self.fields[0])
        for field, strength in zip(self.fields, strengths(actions), strict=True):
            if strength:
                moved += field * strength
        return moved

    def layers(self, surface: Surface, view: View, light: Light) -> list[Dots]:
        """The visible points as the camera sees them, back to front."""
        head = self._head_dots(surface, view, light)
        return [head] if self.curtain is None else [_curtain_dots(self.curtain, view, light), head]

    def _head_dots(self, surface: Surface, view: View, light: Light) -> Dots:
        across = np.flatnonzero(np.cos(column_angles() + view.yaw) > -0.25)  # noqa: PLR2004
        part = np.s_[:, int(across[0]) : int(across[-1]) + 1]
        rotation = view.rotation()
        normals = _unit(cv2.transform(surface.normals[part], rotation))
        towards = rotation.T @ np.asarray(light.direction, np.float32)
        coarse = surface.points[::COARSE, ::COARSE]
        lit = _upsample(cast_shadows(coarse, towards, GRID_STEPS))[part]
        placed = view.transform(surface.points[part], self.follow)
        shown = normals[..., 2] + self.extra[part]
        grids = [placed, normals, surface.albedo[part], surface.gloss[part], lit, shown]
        finer = view.refinement()
        if finer > 1:
            grids = [cv2.resize(grid, None, fx=finer, fy=finer) for grid in grids]
        seen = np.flatnonzero(grids.pop() > -0.05)  # noqa: PLR2004
        placed, normals, albedo = (grid.reshape(-1, 3).take(seen, 0) for grid in grids[:3])
        gloss, lit = (np.take(grid, seen) for grid in grids[3:])
        return _dots(placed, shade(albedo, normals, gloss, lit, light), view)

    def landmarks(self, surface: Surface, view: View) -> Array:
        """Left eye, right eye, nose, left and right mouth corner as seen, pixels, (5, 2)."""
        x, y = view.project(view.transform(surface.points.reshape(-1, 1, 3)[self.marks]))
        return np.concatenate([x, y], 1)


def _curtain_dots(curtain: Curtain, view: View, light: Light) -> Dots:
    finer = view.refinement()
    placed = view.transform(curtain.points, curtain.follow)
    normals = _normals(placed)
    normals *= np.sign(normals[..., 2:]) + np.float32(1e-3)
    placed, normals, albedo = (
        cv2.resize(grid, None, fx=finer, fy=finer).reshape(-1, 3)
        for grid in (placed, normals, curtain.albedo)
    )
    dim = np.full(len(placed), 0.8, np.float32)
    return _dots(placed, shade(albedo, normals, 0.3 * dim, dim, light), view)


def _mark_points(head: Head) -> NDArray[np.intp]:
    """Where on the flattened grid the five landmarks lie; they move with the skin."""
    shape = head.shape
    corner = HALF_WIDTH + shape.mouth_width
    targets = [
        [-shape.eye_x, 0],
        [shape.eye_x, 0],
        [0, shape.nose_tip_y],
        [-corner, shape.mouth_y],
        [corner, shape.mouth_y],
    ]
    flat = head.rest[..., :2].reshape(-1, 2)
    far = 1e6 * (head.front.reshape(-1) < 0.9)  # noqa: PLR2004 - not on the nape
    return np.array([(((flat - mark) ** 2).sum(-1) + far).argmin() for mark in targets])


def _below_neckline(points: Array) -> Array:
    """1 for skin that clothes hide: below a round neckline, which is lowest in front."""
    x, y, z = (points[..., k] for k in range(3))
    line = -176.0 + 36 * (x / 60) ** 2 + 30 * ramp(z, 10, -30)
    return ramp(line - y, -1, 1) * (y < -120)  # noqa: PLR2004


def _complete(actions: dict[int, float]) -> dict[int, float]:
    return {action: actions.get(action, 0.0) for action in ACTIONS}


def _dots(placed: Array, color: NDArray[np.uint8], view: View) -> Dots:
    x, y = view.project(placed)
    return Dots(x, y, placed[:, 2], color)


def _upsample(coarse: Array) -> Array:
    rows, columns = coarse.shape[:2]
    return np.asarray(
        cv2.warpAffine(
            coarse,
            _UPSAMPLE,
            (columns * COARSE, rows * COARSE),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def _normals(points: Array) -> Array:
    along = cv2.Sobel(points, cv2.CV_32F, 1, 0, ksize=3)
    down = cv2.Sobel(points, cv2.CV_32F, 0, 1, ksize=3)
    normal = np.stack(
        [
            down[..., 1] * along[..., 2] - down[..., 2] * along[..., 1],
            down[..., 2] * along[..., 0] - down[..., 0] * along[..., 2],
            down[..., 0] * along[..., 1] - down[..., 1] * along[..., 0],
        ],
        -1,
    )
    return _unit(normal)


def _unit(vectors: Array) -> Array:
    length = cv2.sqrt(cv2.transform(vectors * vectors, np.ones((1, 3), np.float32)))
    return np.asarray(vectors / (length + np.float32(1e-6))[..., None], np.float32)
