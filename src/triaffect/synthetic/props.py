"""Things before a face: glasses, a microphone, a sheet of paper that hides it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.synthetic.curves import Array
from triaffect.synthetic.head import Shape
from triaffect.synthetic.splat import OVERSAMPLING, Canvas
from triaffect.synthetic.view import View

_SUBPIXEL_BITS = 4


def wear_glasses(canvas: Canvas, view: View, shape: Shape, color: tuple[int, int, int]) -> None:
    """Draw a frame of glasses over a head."""
    around = np.linspace(0, 2 * np.pi, 28)
    wave = np.stack([np.cos(around), np.sin(around)], 1)
    rim = np.sign(wave) * np.abs(wave) ** 0.75 * [23.5, 17.5] + [shape.eye_x + 1, -2]
    depth = 101 - 0.006 * (rim[:, 0] - 20) ** 2
    right = np.column_stack([rim, depth])
    bow = np.array([[right[:, 0].max(), 5, depth.min()], [77, 4, 20], [79, 2, -8]])
    bridge = np.array([[shape.eye_x - 22, 4, 103], [0, 7, 108], [22 - shape.eye_x, 4, 103]])
    curves = [right, right * [-1, 1, 1], bridge]
    curves.append(bow if view.yaw < 0 else bow * [-1, 1, 1])
    thick = max(1, round(2.0 * view.scale * OVERSAMPLING))
    for curve in curves:
        _draw(canvas, view, curve.astype(np.float32), (*color, 255), thick)


def _draw(
    canvas: Canvas, view: View, curve: Array, color: tuple[int, int, int, int], thick: int
) -> None:
    x, y = view.project(view.transform(curve[None]))
    pixels = np.stack([x[0], y[0]], 1) * OVERSAMPLING * (1 << _SUBPIXEL_BITS)
    points = [np.rint(pixels).astype(np.int32)]
    cv2.polylines(canvas.fine, points, False, color, thick, cv2.LINE_AA, _SUBPIXEL_BITS)


def hold_microphone(picture: Array, x: float, y: float, scale: float) -> None:
    """Draw a microphone whose head lies at (x, y), in place."""
    end = (round(x - 60 * scale), round(y + 190 * scale))
    cv2.line(picture, (round(x), round(y)), end, (28, 28, 30), round(22 * scale), cv2.LINE_AA)
    cv2.circle(picture, (round(x), round(y)), round(21 * scale), (52, 52, 55), -1, cv2.LINE_AA)
    shine = round(x - 7 * scale), round(y - 8 * scale)
    cv2.circle(picture, shine, round(8 * scale), (92, 92, 96), -1, cv2.LINE_AA)


def hide(picture: Array, x: float, y: float, scale: float, rise: float) -> None:
    """Hold a sheet of paper before a face; `rise` is 0 while it is away and 1 when it hides all."""
    top = y + (1 - rise) * 330 * scale - 100 * scale
    left, right = x - 100 * scale, x + 95 * scale
    corners = np.array(
        [
            [left, top],
            [right, top + 6 * scale],
            [right - 4 * scale, top + 260 * scale],
            [left + 3 * scale, top + 255 * scale],
        ]
    )
    cv2.fillPoly(picture, [np.rint(corners).astype(np.int32)], (206, 205, 198), cv2.LINE_AA)
    for line in range(6):
        down = round(top + (30 + 32 * line) * scale)
        ends = (round(left + 25 * scale), down), (round(right - 30 * scale), down)
        cv2.line(picture, ends[0], ends[1], (150, 150, 150), max(1, round(3 * scale)), cv2.LINE_AA)


def glasses_color(random: np.random.Generator) -> tuple[int, int, int]:
    """Black, brown or metal."""
    choices: NDArray[np.int64] = np.array([[22, 22, 24], [62, 40, 28], [120, 118, 112]])
    red, green, blue = choices[int(random.integers(len(choices)))]
    return int(red), int(green), int(blue)
