"""How a head stands before the camera, and where its points fall in the picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from triaffect.synthetic.curves import Array

PIVOT = np.array([0, -62, -18], np.float32)
"""The point about which the head turns."""
EYE_DISTANCE_MM = 1100.0
"""Distance of the camera."""


@dataclass(frozen=True)
class View:
    """How a head stands before the camera.

    Attributes:
        yaw: Turn to the viewer's right, radians.
        pitch: Nod downwards, radians.
        roll: Lean to the viewer's left, radians.
        x: Where the middle between the eyes would lie with the head upright, pixels.
        y: The same, downwards.
        scale: Pixels per millimetre.
    """

    yaw: float
    pitch: float
    roll: float
    x: float
    y: float
    scale: float

    def rotation(self) -> Array:
        """Rotation from the head's axes to the camera's, shape (3, 3)."""
        cy, sy = np.cos(self.yaw), np.sin(self.yaw)
        cp, sp = np.cos(self.pitch), np.sin(self.pitch)
        cr, sr = np.cos(self.roll), np.sin(self.roll)
        turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        lean = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return np.asarray(lean @ nod @ turn, np.float32)

    def refinement(self) -> int:
        """How many times finer than the grid the points must lie to leave no holes."""
        return max(1, round(self.scale / 0.5))

    def transform(self, points: Array, follow: Array | float = 1.0) -> Array:
        """Points of the head in the camera's axes, mm; `follow` is 0 for what stays upright."""
        rotation = self.rotation()
        shift = (PIVOT - rotation @ PIVOT)[:, None]
        turned = cv2.transform(points, np.hstack([rotation, shift]))
        turned -= points
        turned *= follow
        turned += points
        return np.asarray(turned)

    def project(self, placed: Array) -> tuple[Array, Array]:
        """Pixels to the right and downwards of placed points (..., 3)."""
        zoom = np.float32(self.scale) / (1 - placed[..., 2] / np.float32(EYE_DISTANCE_MM))
        return placed[..., 0] * zoom + np.float32(self.x), np.float32(self.y) - placed[
            ..., 1
        ] * zoom
