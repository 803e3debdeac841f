"""A parametric human head as a dense grid of points, in millimetres.

Axes: x to the viewer's right, y up, z towards the viewer; the origin lies between the pupils'
height and the middle of the skull. Rows run from the crown over the face and under the chin
down the neck, columns around the head from one side of the nape to the other. A row is a
superellipse whose front point, half width and depth come from a table of stations; noses,
sockets, cheeks and lips are smooth bumps on top of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triaffect.synthetic.curves import Array, bell, bells, fold, lines, ramp, through

ROWS, COLUMNS = 288, 248
FRONT_SHARE = 0.52
"""Share of the angle that grows linearly with the column; the rest grows with its cube, so
that the columns crowd on the face."""
WIDEST_ANGLE = 2.6

# row share, front y, front z, half width, centre z, exponent, rise of the sides, back z
_STATIONS = np.array(
    [
        [0.000, 116, -14, 1, -16, 2.0, 0, -18],
        [0.036, 114, 14, 27, -16, 2.0, 0, -48],
        [0.084, 107, 36, 45, -15, 2.0, 0, -68],
        [0.139, 94, 57, 59, -14, 2.1, 0, -84],
        [0.192, 78, 73, 67, -13, 2.2, 0, -95],
        [0.240, 62, 83, 72, -12, 2.3, 0, -102],
        [0.286, 42, 91, 75, -11, 2.35, 0, -105],
        [0.345, 22, 95, 76, -10, 2.4, 0, -104],
        [0.398, 6, 91, 75.5, -8, 2.4, 0, -100],
        [0.457, -12, 89, 74, -6, 2.4, 0, -94],
        [0.515, -30, 91, 71, -4, 2.35, 0, -86],
        [0.569, -46, 95, 67, -2, 2.25, 1, -76],
        [0.640, -68, 94, 62, 0, 2.15, 8, -66],
        [0.697, -85, 92, 58, 1, 2.1, 18, -60],
        [0.745, -100, 92, 55, 1, 2.1, 31, -58],
        [0.774, -109, 88, 53, 0, 2.1, 40, -57],
        [0.791, -114, 80, 52, 0, 2.1, 45, -56],
        [0.803, -116, 68, 51, -2, 2.1, 46, -56],
        [0.824, -114, 50, 51, -6, 2.1, 42, -57],
        [0.842, -114, 36, 52, -10, 2.1, 33, -58],
        [0.863, -122, 30, 53, -13, 2.1, 18, -60],
        [0.903, -142, 30, 55, -16, 2.1, 4, -64],
        [1.000, -200, 38, 66, -18, 2.1, 0, -70],
    ],
    np.float64,
)
NECK_SHARE = 0.824
"""Rows from here on belong to the neck, which the head's turning moves less and less."""


@dataclass(frozen=True)
class Shape:
    """What makes one head differ from another; every field is 0 for the average head.

    Lengths are deviations in millimetres unless a field says otherwise.
    """

    head_width: float = 0.0
    jaw_width: float = 0.0
    chin_length: float = 0.0
    chin_depth: float = 0.0
    cheek_fullness: float = 0.0
    cheekbone: float = 0.0
    brow_ridge: float = 0.0
    forehead_slope: float = 0.0
    eye_spacing: float = 0.0
    eye_size: float = 0.0
    eye_tilt: float = 0.0
    eye_depth: float = 0.0
    nose_length: float = 0.0
    nose_width: float = 0.0
    nose_bridge: float = 0.0
    nose_tip: float = 0.0
    mouth_width: float = 0.0
    mouth_height: float = 0.0
    lip_upper: float = 0.0
    lip_lower: float = 0.0
    lip_protrusion: float = 0.0
    brow_height: float = 0.0
    ear_size: float = 0.0

    @property
    def eye_x(self) -> float:
        """Distance of a pupil from the middle of the face."""
        return 31.5 + self.eye_spacing

    @property
    def brow_y(self) -> float:
        """Height of the middle of the eyebrows."""
        return 19.0 + self.brow_height

    @property
    def nose_tip_y(self) -> float:
        """Height of the tip of the nose."""
        return -33.0 - self.nose_length

    @property
    def mouth_y(self) -> float:
        """Height of the line between the lips."""
        return -67.0 + self.mouth_height - 0.6 * self.nose_length


@dataclass(frozen=True)
class Head:
    """The resting head of one person.

    Attributes:
        shape: What it was made from.
        rest: Points in millimetres, shape (ROWS, COLUMNS, 3).
        front: 1 on the front of the head, falling to 0 towards its sides, (ROWS, COLUMNS).
    """

    shape: Shape
    rest: Array
    front: Array


def column_angles() -> Array:
    """Angle around the head of every column, radians, 0 in front, shape (COLUMNS,)."""
    t = np.linspace(-1, 1, COLUMNS)
    return (WIDEST_ANGLE * (FRONT_SHARE * t + (1 - FRONT_SHARE) * t**3)).astype(np.float32)


def build_head(shape: Shape, age_lines: float = 0.0) -> Head:
    """Points of a resting face; lids and lips are flat here, and drawn later.

    Args:
        shape: The head's shape.
        age_lines: Depth of the folds and lines that stay, in [0, 1].
    """
    rest, front = _loft(shape)
    x, y = rest[..., 0].copy(), rest[..., 1].copy()
    rest[..., 2] += front * (_nose(x, y, shape) + _eyes(x, y, shape) + _lower_face(x, y, shape))
    rest[..., 2] += front * age_lines * _wrinkles(x, y, shape)
    outward = (3.0 + shape.cheekbone) * bells(x, y, 62, -16, 14, 12)
    outward -= 4.0 * bells(x, y, 66, 26, 16, 18)
    rest[..., 0] += np.sign(x) * (front * outward + ears(rest, shape))
    return Head(shape, rest, front)


def _stations(shape: Shape) -> NDArray[np.float64]:
    table = _STATIONS.copy()
    share = table[:, 0]
    jaw = np.interp(share, [0.49, 0.69, 0.81, 0.85], [0, 1, 1, 0])
    chin = np.interp(share, [0.57, 0.74, 0.84, 0.89], [0, 1, 1, 0])
    top = np.interp(share, [0.00, 0.12, 0.32], [0, 1, 0])
    table[:, 1] -= shape.chin_length * chin
    table[:, 2] -= shape.forehead_slope * top
    table[:, 3] *= 1 + shape.head_width / 75 * (share < NECK_SHARE)
    table[:, 3] += shape.jaw_width * jaw
    return table


def _loft(shape: Shape) -> tuple[Array, Array]:
    table = _stations(shape)
    rows = through(np.linspace(0, 1, ROWS), table[:, 0], table[:, 1:])
    y, front_z, width, centre_z, exponent, rise, back_z = (row[:, None] for row in rows.T)
    angle = column_angles()[None, :].astype(np.float64)
    sine, cosine = np.sin(angle), np.cos(angle)
    depth = np.where(cosine > 0, front_z - centre_z, centre_z - back_z)
    radius = (np.abs(sine / width) ** exponent + np.abs(cosine / depth) ** exponent) ** (
        -1 / exponent
    )
    forward = np.maximum(radius * cosine, 0) / depth
    points = np.stack(
        [radius * sine, y + rise * (1 - forward), centre_z + radius * cosine], axis=-1
    )
    front = ramp(np.broadcast_to(cosine, points.shape[:2]).astype(np.float32), 0.0, 0.35)
    return points.astype(np.float32), front


def _nose(x: Array, y: Array, shape: Shape) -> Array:
    tip = shape.nose_tip_y
    end = tip - 13.0
    side = np.abs(x)
    height = (
        through(
            np.clip(y.ravel().astype(np.float64), end - 3, 25),
            np.array([end - 4, end - 1, end + 3, end + 7, tip + 1, tip + 8, -12, 2, 12, 26]),
            np.array(
                [
                    0,
                    0.5,
                    8,
                    18,
                    24 + shape.nose_tip,
                    23 + shape.nose_tip,
                    15 + shape.nose_bridge,
                    4.5 + 0.7 * shape.nose_bridge,
                    1.0,
                    0,
                ]
            )[:, None],
        )
        .reshape(y.shape)
        .astype(np.float32)
    )
    width = np.interp(y, [end, tip, -12, 4, 20], [10, 10, 7.5, 6.5, 12.0]).astype(np.float32)
    width += 0.25 * shape.nose_width
    ridge = height * np.exp(-0.5 * (side / width) ** 2.2)
    wing = 9.5 * bells(x, y, 11.5 + shape.nose_width, tip - 6.0, 5.5, 5.5, 3.0)
    ball = 4.0 * bells(x, y, 2.5, tip - 1, 6.5, 6.0)
    flank = 4.0 * bells(x, y, 13.0, -22.0, 8.0, 13.0)
    nostril = -3.0 * bells(x, y, 6.5 + 0.5 * shape.nose_width, tip - 11.5, 3.0, 2.2)
    joined = np.log(np.exp(ridge / 2.5) + np.exp(wing / 2.5)) * 2.5 - 2.5 * np.log(2)
    return np.asarray(joined + flank + ball + nostril, np.float32)


def _eyes(x: Array, y: Array, shape: Shape) -> Array:
    ex = shape.eye_x
    socket = -(8.0 + shape.eye_depth) * bells(x, y, ex, 2, 15, 10, 2.6)
    inner = -3.5 * bells(x, y, ex - 15.5, 1, 4.5, 6)
    ball = 8.0 * bells(x, y, ex, 0, 11.5, 9.0, 2.8)
    brow = (3.0 + shape.brow_ridge) * bells(x, y, ex - 6, 17, 17, 6)
    glabella = (1.5 + 0.6 * shape.brow_ridge) * bell(x, y, 0, 20, 10, 8)
    bag = 1.0 * bells(x, y, ex, -13, 11, 4)
    return np.asarray(socket + inner + ball + brow + glabella + bag, np.float32)


def _lower_face(x: Array, y: Array, shape: Shape) -> Array:
    mouth = shape.mouth_y
    cheek = (5.0 + shape.cheek_fullness) * bells(x, y, 40, -36, 17, 18)
    hollow = -3.0 * bells(x, y, 50, -66, 13, 16)
    barrel = (5.0 + shape.lip_protrusion) * bell(x, y, 0, mouth + 2, 24, 17, 2.5)
    philtrum = -1.6 * bell(x, y, 0, mouth + 15, 3.0, 7) + 0.8 * bells(x, y, 4.5, mouth + 14, 2.0, 7)
    fold = -2.0 * bells(x, y, 27, mouth + 10, 5, 14)
    under_lip = -4.0 * bell(x, y, 0, mouth - 17, 13, 5)
    chin = (5.0 + shape.chin_depth) * bell(x, y, 0, -101, 12, 9)
    return np.asarray(cheek + hollow + barrel + philtrum + fold + under_lip + chin, np.float32)


def ears(rest: Array, shape: Shape) -> Array:
    """How far the ears stand out, growing towards their rear rim; hollow in the middle."""
    y, z = rest[..., 1], rest[..., 2]
    size = 1 + shape.ear_size
    y0, z0 = -16.0, -12.0
    outline = bell(z, y, z0, y0, 13 * size, (22 - 4 * np.sign(y0 - y)) * size, 5)
    hollow = bell(z, y, z0 + 2, y0 - 2, 6, 10)
    return np.asarray(
        outline * (11 * size * ramp(z, z0 + 14, z0 - 10) + 2 - 5 * hollow), np.float32
    )


def _wrinkles(x: Array, y: Array, shape: Shape) -> Array:
    """Lines that the years leave: beside the nose, on the forehead, around the eyes."""
    mouth = shape.mouth_y
    cheek = 2.4 * fold(x, y, (19, -40), (31, mouth + 2))
    below = 1.2 * fold(x, y, (28, mouth - 4), (33, mouth - 22))
    forehead = 0.7 * lines(y - shape.brow_y - 2 * np.cos(x / 15), 8.5)
    forehead *= bell(x, y, 0, shape.brow_y + 20, 36, 9, 4)
    feet = 0.5 * lines(y - 0.35 * np.abs(x), 5.5) * bells(x, y, shape.eye_x + 24, 0, 5, 9)
    bags = 1.6 * bells(x, y, shape.eye_x - 1, -13.5, 11, 3.5)
    return np.asarray(cheek + below + forehead + feet + bags, np.float32)
