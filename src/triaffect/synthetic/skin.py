"""The surface that one frame is painted on: points, colors, normals, gloss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triaffect.synthetic.curves import Array
from triaffect.synthetic.head import Head


@dataclass
class Surface:
    """Arrays over the head's grid (or a window of it, sharing memory), changed in place.

    Attributes:
        points: Where the skin is now, before the head turns, mm, (rows, columns, 3).
        normals: Outward unit vectors, (rows, columns, 3).
        albedo: Linear RGB reflectance in [0, 1], (rows, columns, 3).
        gloss: Strength of the sharp highlight, (rows, columns).
    """

    points: Array
    normals: Array
    albedo: Array
    gloss: Array

    def window(self, part: GridPatch) -> Surface:
        """The part of the surface within a window, as views."""
        at = part.rows, part.columns
        return Surface(self.points[at], self.normals[at], self.albedo[at], self.gloss[at])


@dataclass(frozen=True)
class GridPatch:
    """A rectangle of the grid, with the grid's spacing inside it.

    Attributes:
        rows: Slice of rows.
        columns: Slice of columns.
        x_step: Change of x from a column to the next, mm, shape (columns,).
        y_step: Change of y from a row to the next (negative), mm, shape (rows, 1).
    """

    rows: slice
    columns: slice
    x_step: Array
    y_step: Array

    @staticmethod
    def around(head: Head, left: float, right: float, bottom: float, top: float) -> GridPatch:
        """The window that covers a rectangle of the resting face, mm."""
        middle_y = head.rest[:, head.rest.shape[1] // 2, 1]
        face_row = int(np.argmin(np.abs(middle_y - (bottom + top) / 2)))
        across = head.rest[face_row, :, 0]
        rows = _span(-middle_y, -top, -bottom)
        columns = _span(across, left, right)
        return GridPatch(
            rows,
            columns,
            np.gradient(across)[columns].astype(np.float32),
            np.gradient(middle_y)[rows, None].astype(np.float32),
        )

    def tilt(self, surface: Surface, height: Array) -> None:
        """Bend a window's normals as if its surface stood out by `height`, mm."""
        surface.normals[..., 0] -= np.gradient(height, axis=1) / self.x_step
        surface.normals[..., 1] -= np.gradient(height, axis=0) / self.y_step


def _span(ascending: Array, low: float, high: float) -> slice:
    """Slice of the longest ascending run's entries in [low, high], searched from its middle."""
    inside = np.flatnonzero((ascending >= low) & (ascending <= high))
    return slice(int(inside[0]), int(inside[-1]) + 1)


def blend(albedo: Array, color: tuple[float, float, float] | Array, share: Array) -> None:
    """Mix a color into the albedo in place, by a share in [0, 1] a point."""
    albedo += (np.asarray(color, np.float32) - albedo) * share[..., None]
