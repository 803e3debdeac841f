"""How facial actions move the skin: one displacement field an action, at strength 1.

The twelve action units of the labels come first, in their order; the others give faces the
movements that go with emotions and speech but are not labelled. The edges of lids and lips are
drawn in `eyes` and `mouth`; the fields here carry brows, cheeks, folds, wrinkles, jaw and chin.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from triaffect.synthetic.curves import Array, Real, bell, bells, fold, lines, ramp
from triaffect.synthetic.head import ROWS, Head, Shape

LABELLED = (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)
OTHERS = (5, 9, 17, 20, 43)
ACTIONS: tuple[int, ...] = LABELLED + OTHERS
"""Numbers of the facial action coding system; 43 is closing the eyes."""

COARSE = 2
"""Displacements are kept on every second row and column."""

Field = tuple[Real | float, Real | float, Real | float]
"""Displacement to the right, up and forward, mm."""


def action_fields(head: Head) -> Array:
    """Displacement of every action at strength 1, shape (ACTIONS, rows/2, columns/2, 3)."""
    rest = head.rest[::COARSE, ::COARSE]
    front = head.front[::COARSE, ::COARSE]
    x, y = rest[..., 0], rest[..., 1]
    fields = np.zeros((len(ACTIONS), *rest.shape), np.float32)
    for field, action in zip(fields, ACTIONS, strict=True):
        if action == _JAW:
            right, up, forward = _jaw_drop(rest, head.shape)
            visible: Real | float = 1.0
        elif action in _FIELDS:
            right, up, forward = _FIELDS[action](x, y, head.shape)
            visible = front
        else:
            continue
        field[..., 0] = np.sign(x) * right * visible
        field[..., 1] = up * visible
        field[..., 2] = forward * visible
    return fields


def strengths(actions: dict[int, float]) -> NDArray[np.float32]:
    """Strengths by action number as a vector in the order of `ACTIONS`."""
    return np.array([actions.get(action, 0.0) for action in ACTIONS], np.float32)


def _inner_brow_raise(x: Array, y: Array, shape: Shape) -> Field:
    top = shape.brow_y
    lift = bells(x, y, 13, top + 3, 11, 11) + 0.5 * bells(x, y, 11, top + 20, 13, 13)
    wrinkles = lines(y - top - 3 * np.cos(x / 14), 8.5) * bell(x, y, 0, top + 19, 20, 10, 3)
    return -0.8 * bells(x, y, 12, top, 8, 8), 7.0 * lift, 1.0 * wrinkles


def _outer_brow_raise(x: Array, y: Array, shape: Shape) -> Field:
    top = shape.brow_y
    lift = bells(x, y, 42, top + 2, 13, 11) + 0.5 * bells(x, y, 40, top + 19, 16, 13)
    wrinkles = lines(y - top + 0.12 * np.abs(x), 8.5) * bells(x, y, 40, top + 19, 15, 9, 3)
    return 0.0, 7.0 * lift, 0.9 * wrinkles


def _brow_lower(x: Array, y: Array, shape: Shape) -> Field:
    top = shape.brow_y
    down = bells(x, y, 15, top, 15, 10)
    knit = bells(x, y, 14, top, 10, 9)
    bulge = 2.4 * bells(x, y, 10, top - 1, 4, 7) - 2.2 * bells(x, y, 5, top + 1, 1.8, 7)
    return -4.0 * knit, -6.0 * down, bulge


def _cheek_raise(x: Array, y: Array, shape: Shape) -> Field:
    cheek = bells(x, y, 38, -27, 15, 12)
    crease = -1.6 * bells(x, y, shape.eye_x + 3, -14, 15, 1.9)
    feet = lines(y - 0.35 * np.abs(x), 5.5) * bells(x, y, shape.eye_x + 24, 0, 5, 9)
    return 1.0 * cheek, 5.5 * cheek, 3.5 * bells(x, y, 38, -24, 13, 9) + crease + 0.9 * feet


def _lid_tighten(x: Array, y: Array, shape: Shape) -> Field:
    lid = bells(x, y, shape.eye_x, -8, 13, 3)
    return 0.0, 1.2 * lid, 1.3 * lid - 0.9 * bells(x, y, shape.eye_x, -12.5, 12, 1.6)


def _nose_wrinkle(x: Array, y: Array, shape: Shape) -> Field:
    wrinkles = lines(y + 0.4 * np.abs(x), 5.0) * bells(x, y, 7, -4, 7, 10)
    wings = bells(x, y, 13, -38, 9, 9)
    return 0.8 * wings, 3.5 * wings - 3.0 * bells(x, y, 11, shape.brow_y - 2, 12, 8), 1.1 * wrinkles


def _upper_lip_raise(x: Array, y: Array, shape: Shape) -> Field:
    mouth = shape.mouth_y
    lip = bells(x, y, 13, mouth + 13, 12, 8)
    crease = fold(x, y, (18, -37), (30, mouth + 8))
    return 0.6 * lip, 4.5 * lip, 1.0 * lip + 2.6 * crease


def _corner_pull(x: Array, y: Array, shape: Shape) -> Field:
    mouth = shape.mouth_y
    corner = bells(x, y, 27, mouth, 12, 11)
    cheek = bells(x, y, 38, -40, 13, 13)
    crease = fold(x, y, (20, -40), (36, mouth))
    return 6.0 * corner + 1.5 * cheek, 6.0 * corner + 4.0 * cheek, 3.5 * cheek + 2.6 * crease


def _corner_depress(x: Array, y: Array, shape: Shape) -> Field:
    mouth = shape.mouth_y
    corner = bells(x, y, 26, mouth - 4, 10, 9)
    crease = fold(x, y, (27, mouth - 2), (33, mouth - 20))
    return 0.5 * corner, -5.0 * corner, 1.8 * crease + 1.5 * bells(x, y, 22, mouth - 14, 6, 5)


def _chin_raise(x: Array, y: Array, shape: Shape) -> Field:
    chin = bell(x, y, 0, -98, 16, 9)
    dimples = lines(x, 4.1) * lines(y, 3.7) * bell(x, y, 0, -97, 11, 6)
    return 0.0, 4.0 * chin, 2.0 * chin - 0.5 * dimples


def _lip_stretcher(x: Array, y: Array, shape: Shape) -> Field:
    corner = bells(x, y, 28, shape.mouth_y - 3, 12, 12)
    return 5.0 * corner, -1.0 * corner, -1.5 * corner


def _lip_tighten(x: Array, y: Array, shape: Shape) -> Field:
    mouth = shape.mouth_y
    corner = bells(x, y, 24, mouth, 9, 8)
    ring = bell(x, y, 0, mouth, 24, 13) - 1.2 * bell(x, y, 0, mouth, 20, 7)
    return -3.0 * corner, 0.0, 1.5 * ring - 1.0 * bells(x, y, 24, mouth, 3, 3)


def _lip_press(x: Array, y: Array, shape: Shape) -> Field:
    mouth = shape.mouth_y
    bulge = bells(x, y, 8, mouth + 8, 14, 3.5) + bells(x, y, 8, mouth - 9, 14, 3.5)
    return -1.5 * bells(x, y, 24, mouth, 9, 8), 0.0, 2.2 * bulge - 1.5 * bell(x, y, 0, mouth, 22, 4)


def _jaw_drop(rest: Array, shape: Shape) -> Field:
    """The jaw turns about the joint before the ears; the neck's skin follows a little."""
    x, y, z = (rest[..., k] for k in range(3))
    rows = np.linspace(0, 1, ROWS)[::COARSE, None].astype(np.float32)
    below = ramp(y, shape.mouth_y + 1, shape.mouth_y - 13)
    hinge = np.clip((z - 8) / 75, 0, 1.1) * ramp(rows, 0.89, 0.81)
    weight = below * hinge
    return -2.5 * bells(x, y, 45, -60, 15, 22) * ramp(z, 0, 30), -15.0 * weight, -5.0 * weight


_JAW = 26
_FIELDS: dict[int, Callable[[Array, Array, Shape], Field]] = {
    1: _inner_brow_raise,
    2: _outer_brow_raise,
    4: _brow_lower,
    6: _cheek_raise,
    7: _lid_tighten,
    9: _nose_wrinkle,
    10: _upper_lip_raise,
    12: _corner_pull,
    15: _corner_depress,
    17: _chin_raise,
    20: _lip_stretcher,
    23: _lip_tighten,
    24: _lip_press,
}
