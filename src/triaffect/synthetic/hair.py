"""Hair: where it grows, how far it stands out, and the part that hangs beside the face."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from triaffect.synthetic.curves import Array, Color, bell, ramp
from triaffect.synthetic.head import COLUMNS, NECK_SHARE, ROWS, Head, column_angles
from triaffect.synthetic.noise import smooth_noise
from triaffect.synthetic.people import HairStyle, RenderedPerson

THICKNESS = {HairStyle.SHORT: 9.0, HairStyle.LONG: 10.0, HairStyle.TIED: 5.0, HairStyle.BALD: 1.0}
CURTAIN_SHAPE = (150, 170)


_BORDER_DEGREES = (0, 20, 36, 52, 68, 92, 118, 149)
_BORDERS = {
    HairStyle.SHORT: (0, -1, -6, -20, -50, -52, -122, -136),
    HairStyle.LONG: (4, -4, -18, -44, -74, -112, -124, -138),
    HairStyle.TIED: (0, -2, -6, -18, -48, -52, -100, -130),
    HairStyle.BALD: (400, 400, 300, -6, -48, -52, -106, -136),
}
"""Height of the hair's border below the hairline in the middle, mm, by angle from the front."""


def scalp_cover(head: Head, person: RenderedPerson, random: np.random.Generator) -> Array:
    """Share of hair over skin at every point of the head, shape (ROWS, COLUMNS)."""
    size = (ROWS, COLUMNS)
    parting = float(random.normal(0, 7))
    degrees = np.rad2deg(np.broadcast_to(column_angles(), size)) - parting
    side = np.abs(degrees) - abs(parting) * ramp(np.abs(degrees), 30, 90)
    drop = np.interp(side, _BORDER_DEGREES, _BORDERS[person.hair_style]).astype(np.float32)
    temples = person.recession * np.exp(-(((side - 38) / 13) ** 2))
    sideburn = 26 * np.exp(-(((side - 76) / 7) ** 2)) * (person.beard + 0.35)
    ragged = 2.0 * smooth_noise(random, size, (9, 1.1)) + 2.0 * smooth_noise(random, size, (12, 11))
    sweep = float(random.normal(0, 0.10)) * np.clip(degrees, -45, 45)
    border = person.hairline + drop + temples - sideburn + sweep
    rows = np.linspace(0, 1, ROWS)[:, None]
    above = head.rest[..., 1] - border + ragged
    return np.asarray(ramp(above, -4.0, 4.0) * (rows < NECK_SHARE), np.float32)


def grow(head: Head, person: RenderedPerson, cover: Array, random: np.random.Generator) -> Head:
    """The head with its hair standing out."""
    outward = head.rest.copy()
    outward[..., 1] *= ramp(outward[..., 1], 85, 112)
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True) + 1e-6
    volume = 1 + 0.35 * smooth_noise(random, (ROWS, COLUMNS), (60, 40))
    strands = 0.06 * smooth_noise(random, (ROWS, COLUMNS), (30, 2))
    mass = ramp(cv2.GaussianBlur(cover, (0, 0), 6), 0.3, 1.05)
    height = THICKNESS[person.hair_style] * np.clip(volume, 0.4, 1.8) * (1 + strands) * mass
    return replace(head, rest=head.rest + outward * height[..., None])


def hair_shade(random: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Brightness of strands that run along the columns, about 1 on average."""
    fine = smooth_noise(random, shape, (40, 1.3))
    coarse = smooth_noise(random, shape, (60, 6))
    return np.asarray(np.clip(1 + 0.22 * fine + 0.18 * coarse, 0.35, 1.8), np.float32)


def beard_cover(head: Head, person: RenderedPerson, random: np.random.Generator) -> Array:
    """Share of beard over skin, shape (ROWS, COLUMNS)."""
    x, y = head.rest[..., 0], head.rest[..., 1]
    mouth = head.shape.mouth_y
    side = np.abs(x)
    border = np.interp(side, [0, 20, 34, 48, 58, 66], [mouth - 12, mouth - 4, mouth, -48, -30, -8])
    jaw = ramp(np.asarray(border - y, np.float32), -7, 11) * ramp(y, -135, -120)
    lip = bell(side, y, 9, mouth + 12.5, 15, 3.6, 4) * person.moustache
    patch = np.maximum(jaw * person.beard, lip)
    ragged = 0.8 + 0.2 * smooth_noise(random, (ROWS, COLUMNS), (1.2, 1.1))
    return np.asarray(np.clip(patch * ragged, 0, 1) * head.front, np.float32)


@dataclass(frozen=True)
class Curtain:
    """Long hair that hangs behind and beside the face.

    Attributes:
        points: In the head's axes, mm, (rows, columns, 3).
        follow: How far each row follows the head's turning, (rows, 1, 1).
        albedo: Linear RGB, (rows, columns, 3).
    """

    points: Array
    follow: Array
    albedo: Array

    @staticmethod
    def draw(color: Color, random: np.random.Generator) -> Curtain:
        """Hair of some length."""
        rows, columns = CURTAIN_SHAPE
        down = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
        start = np.deg2rad(72 + 4 * random.standard_normal())
        angle = np.linspace(start, 2 * np.pi - start, columns, dtype=np.float32)[None]
        flare = 76 + 18 * np.sin(np.pi * np.clip(down * 0.75 + 0.05, 0, 1))
        flare = flare + 1.8 * smooth_noise(random, CURTAIN_SHAPE, (30, 9))
        length = float(random.uniform(150, 215))
        y = 52 - down * length * (1 + 0.03 * smooth_noise(random, CURTAIN_SHAPE, (150, 6)))
        z = -14 + flare * 1.1 * np.cos(angle)
        z = z + 26 * down * np.exp(-(((angle - start) / 0.5) ** 2))
        points = np.stack([flare * np.sin(angle), np.broadcast_to(y, z.shape), z], -1)
        shade = hair_shade(random, CURTAIN_SHAPE)[..., None]
        return Curtain(
            np.asarray(points, np.float32),
            1 - 0.5 * down[..., None],
            np.asarray(color, np.float32) * shade,
        )
