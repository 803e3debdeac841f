"""The colors of a face at rest: skin, eyebrows, beard, hair."""

from __future__ import annotations

import cv2
import numpy as np

from triaffect.synthetic.curves import Array, bell, bells, ramp
from triaffect.synthetic.eyes import lid_shadow
from triaffect.synthetic.hair import beard_cover, hair_shade
from triaffect.synthetic.head import COLUMNS, NECK_SHARE, ROWS, Head
from triaffect.synthetic.noise import smooth_noise
from triaffect.synthetic.people import RenderedPerson
from triaffect.synthetic.skin import blend

BROW_PIXELS_PER_MM = 4
_BROW_BOX = (64, 34)
"""Width and height of an eyebrow's drawing, mm."""


def paint(
    head: Head, person: RenderedPerson, scalp: Array, random: np.random.Generator
) -> tuple[Array, Array]:
    """Albedo (ROWS, COLUMNS, 3) and gloss (ROWS, COLUMNS) of a person at rest."""
    albedo = _skin(head, person, random)
    blend(albedo, person.hair, 0.9 * beard_cover(head, person, random))
    brows = _brows(head, person, random)
    blend(albedo, np.asarray(person.hair, np.float32) * 0.6, brows)
    strands = hair_shade(random, (ROWS, COLUMNS))[..., None]
    blend(albedo, np.asarray(person.hair, np.float32) * strands, scalp)
    gloss = _gloss(head, person) * (1 - 0.8 * np.maximum(scalp, brows))
    return albedo, np.asarray(gloss, np.float32)


def _skin(head: Head, person: RenderedPerson, random: np.random.Generator) -> Array:
    x, y = head.rest[..., 0], head.rest[..., 1]
    shape, size = head.shape, (ROWS, COLUMNS)
    albedo = np.empty((*size, 3), np.float32)
    albedo[:] = person.skin
    mottle = 0.035 * smooth_noise(random, size, (9, 9)) + 0.03 * smooth_noise(random, size, (2, 2))
    albedo *= (1 + mottle)[..., None]
    red = (
        0.55 * bells(x, y, 38, -30, 14, 13)
        + 0.6 * bell(x, y, 0, shape.nose_tip_y - 2, 13, 9)
        + 0.3 * bell(x, y, 0, -100, 13, 8)
        + 0.5 * ramp(np.abs(x), 76, 86) * ramp(y, 25, 10) * ramp(y, -60, -45)
        + 0.15 * smooth_noise(random, size, (14, 14)) * head.front
    )
    albedo *= 1 - np.clip(red * person.ruddiness, 0, 1.2)[..., None] * np.array(
        [0.03, 0.22, 0.20], np.float32
    )
    shadow = lid_shadow(x, y, shape) * (0.5 + 0.006 * person.age)
    albedo *= 1 - shadow[..., None] * np.array([0.26, 0.32, 0.28], np.float32)
    spots = ramp(smooth_noise(random, size, (2.2, 2.2)), 1.4, 2.2) * bells(x, y, 20, -22, 22, 16)
    albedo *= 1 - 0.5 * person.freckles * spots[..., None] * np.array([0.6, 1, 1], np.float32)
    tip = shape.nose_tip_y
    nostril = bells(x, y, 6.8 + 0.5 * shape.nose_width, tip - 11.0, 3.6, 1.9, 3)
    groove = 0.35 * bells(x, y, 17.0 + shape.nose_width, tip - 6, 1.6, 5)
    albedo *= (1 - np.maximum(0.88 * nostril, groove))[..., None]
    return albedo * _hollows(head, scale=1.0)[..., None]


def _hollows(head: Head, scale: float) -> Array:
    """Light that reaches hollows from all around: 1 in the open, less in folds."""
    depth = head.rest[..., 2]
    light = np.ones(depth.shape, np.float32)
    for spread in (4, 12):
        around = cv2.GaussianBlur(depth, (0, 0), spread)
        light -= scale * 0.045 * np.clip(around - depth, 0, 8) * head.front
    rows = np.linspace(0, 1, ROWS, dtype=np.float32)[:, None]
    neck = ramp(rows, NECK_SHARE - 0.035, NECK_SHARE + 0.005) * ramp(rows, 1.06, NECK_SHARE + 0.03)
    return np.asarray(np.clip(light, 0.35, 1) * (1 - 0.5 * neck), np.float32)


def _gloss(head: Head, person: RenderedPerson) -> Array:
    x, y = head.rest[..., 0], head.rest[..., 1]
    oily = (
        0.6 * bell(x, y, 0, head.shape.nose_tip_y, 8, 8)
        + 0.5 * bell(x, y, 0, 44, 28, 14)
        + 0.35 * bells(x, y, 36, -18, 12, 9)
        + 0.3 * bell(x, y, 0, -100, 9, 7)
    )
    return np.asarray(person.shine * (0.18 + 0.42 * oily), np.float32)


def _brows(head: Head, person: RenderedPerson, random: np.random.Generator) -> Array:
    """Share of eyebrow over skin: hairs drawn one by one, then laid on both sides."""
    drawing = _draw_brow(person, random)
    x, y = head.rest[..., 0], head.rest[..., 1]
    inner = head.shape.eye_x - 20.0
    column = (np.abs(x) - inner + 6) * BROW_PIXELS_PER_MM
    row = (head.shape.brow_y - y + _BROW_BOX[1] / 2) * BROW_PIXELS_PER_MM
    laid = cv2.remap(drawing, column, row, cv2.INTER_LINEAR, borderValue=0.0)
    return np.asarray(laid * head.front, np.float32)


def _draw_brow(person: RenderedPerson, random: np.random.Generator) -> Array:
    width, height = (n * BROW_PIXELS_PER_MM for n in _BROW_BOX)
    canvas = np.zeros((height, width), np.uint8)
    for along in np.sort(random.uniform(0, 1, 230)):
        x = 6 + 44 * along
        arch = (
            1.5
            + person.brow_arch * np.sin(np.pi * min(1.0, along / 0.68) / 2)
            - 11 * max(0.0, along - 0.66) ** 1.3
        )
        thick = (
            person.brow_thickness
            * min(1.0, 0.75 + along)
            * (1 - 0.75 * max(0.0, along - 0.45) / 0.55)
        )
        y = arch + thick * random.uniform(-0.5, 0.5)
        lean = np.deg2rad(np.interp(along, [0, 0.25, 1], [75, 35, -12]) + random.normal(0, 9))
        length = random.uniform(3.5, 6.5)
        ends = [
            (x + length * t * np.cos(lean), _BROW_BOX[1] / 2 - y - length * t * np.sin(lean))
            for t in (-0.4, 0.6)
        ]
        points = [tuple(round(16 * BROW_PIXELS_PER_MM * c) for c in end) for end in ends]
        stroke = np.zeros_like(canvas)
        cv2.line(stroke, points[0], points[1], 120, 2, cv2.LINE_AA, shift=4)
        canvas = cv2.add(canvas, stroke)
    soft = cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), 2.0)
    return np.asarray(np.clip(1.15 * soft, 0, 1) * person.brow_density, np.float32)
