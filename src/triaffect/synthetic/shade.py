"""Light on skin: soft diffuse light that bleeds red at its border, two highlights, shadows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.synthetic.curves import Array, Color

BLEED = (0.30, 0.16, 0.11)
"""How far light of each color creeps around into the shade under the skin."""
_SHADOW_REACH_MM = (7.0, 14.0, 24.0)


@dataclass(frozen=True)
class Light:
    """The light of a video, in the camera's axes.

    Attributes:
        direction: Unit vector towards the main light.
        key: Its color and strength, linear RGB.
        sky: Light from above and around.
        ground: Light from below and around.
    """

    direction: Color
    key: Color
    sky: Color
    ground: Color


def shade(
    albedo: Array, normals: Array, gloss: Array, lit: Array, light: Light
) -> NDArray[np.uint8]:
    """Display colors of points with these properties, shape (N, 3).

    Args:
        albedo: Linear RGB, (N, 3).
        normals: Unit vectors in the camera's axes, (N, 3).
        gloss: Strength of the sharp highlight, (N,).
        lit: Share of the main light that arrives, (N,).
        light: The light.
    """
    towards = np.asarray(light.direction, np.float32)
    half = towards + np.array([0, 0, 1], np.float32)
    axes = np.stack([towards, half / np.linalg.norm(half), np.array([0, 1, 0], np.float32)])
    facing, glint, up = cv2.split(cv2.transform(normals[:, None], axes))
    shine = _highlights(glint, gloss[:, None]) * (0.25 + 0.75 * lit[:, None])
    display = []
    for k, reflected in enumerate(cv2.split(albedo[:, None])):
        direct = np.maximum(facing + np.float32(BLEED[k]), 0)
        direct *= lit[:, None] * np.float32(light.key[k] / (1 + BLEED[k]))
        direct += up * np.float32((light.sky[k] - light.ground[k]) / 2)
        direct += np.float32((light.sky[k] + light.ground[k]) / 2)
        direct *= reflected
        direct += shine * np.float32(light.key[k])
        display.append(cv2.sqrt(np.clip(direct, 0, 1, out=direct)))
    return np.asarray(cv2.merge(display)[:, 0] * np.float32(255), np.uint8)


def _highlights(glint: Array, gloss: Array) -> Array:
    """Broad and sharp highlight of skin, and the point of light on what is wet (gloss over 1)."""
    broad = np.square(np.square(np.square(np.maximum(glint, 0))))
    sharp = np.square(np.square(broad)) * np.square(broad)
    point = np.square(sharp * sharp * sharp)
    skin = (0.06 * broad + 0.45 * sharp) * np.minimum(gloss, 1)
    return np.asarray(skin + point * np.maximum(gloss - 1, 0), np.float32)


def cast_shadows(points: Array, towards: Array, steps: tuple[float, float]) -> Array:
    """Share of the main light that arrives at the front of the face, shape (rows, columns).

    Looks from every point some way along the light for skin that stands higher, which is
    right where the grid is nearly even in x and y: on the front of the face.

    Args:
        points: In the head's axes, mm, (rows, columns, 3).
        towards: Unit vector to the light in the head's axes.
        steps: Change of x from column to column and of y from row to row, mm.
    """
    depth = np.ascontiguousarray(points[..., 2])
    lit = np.ones_like(depth)
    flat = float(np.hypot(towards[0], towards[1]))
    if flat < 0.1:  # noqa: PLR2004 - a light from straight ahead casts no shadow that is seen
        return lit
    for reach in _SHADOW_REACH_MM:
        columns = reach * towards[0] / flat / steps[0]
        rows = reach * towards[1] / flat / steps[1]
        move = np.array([[1, 0, columns], [0, 1, rows]], np.float32)
        there = cv2.warpAffine(
            depth,
            move,
            depth.shape[::-1],
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        over = there - depth - np.float32(reach * max(towards[2], 0.1) / flat)
        lit -= np.clip(over * np.float32(0.12), 0, 0.55)
    return np.asarray(cv2.blur(np.clip(lit, 0.15, 1), (5, 5)))
