"""Follow a face from its detection on by its gray levels, without a network.

The pattern that a face shows where it was detected is laid over later frames: the similarity
(shift, turn, scale) that makes them most alike is found by the inverse compositional algorithm
(Baker and Matthews 2004), whose derivatives are computed once for a detection. Each frame is
compared with the detection itself, so nothing drifts, and brightness and contrast do not matter.
A face that changes, is hidden or moves far at once fits badly: then a detector has to look.

A similarity is a pair of complex numbers a, b here: the point z = x + iy goes to a·z + b.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.faces.alignment import similarity
from triaffect.faces.detection import Detections
from triaffect.types import FloatArray

_CENTER, _HALF, _SPREAD = 56 + 66j, 48.0, 30.0
"""Of the pattern, in pixels of an aligned crop: its center, half its side, and the standard
deviation of its weights; eyes, nose and mouth count, hair and background hardly."""

_FINE, _COARSE = 48, 24
"""Samples across the pattern; the coarse one is for a face that moved far."""

_ALIKE = 0.93
"""Least correlation with the pattern of a face that is still there."""

_GROWN, _MOVED = 1.25, 0.5
"""Most change of size since the detection, and most way since the frame before, in halves of the
pattern's side."""

_STEPS, _STILL = 4, 0.03
"""Most steps of a search, and the length of the last one, in samples."""

_FLAT, _TELLING = 4.0, 1e-3
"""Least standard deviation, in gray levels, of a face; and least eigenvalue of the Hessian of a
pattern that tells where it is."""


@dataclass(frozen=True)
class _Patch:
    """The gray levels around one face.

    Attributes:
        gray: Uint8, shape (H, W).
        pixel: How many pixels of the picture one is wide.
        origin: Where the center of its first pixel lies in the picture.
    """

    gray: NDArray[np.uint8]
    pixel: int
    origin: complex

    @staticmethod
    def cut(rgb: NDArray[np.uint8], a: complex, b: complex) -> _Patch | None:
        """Cut the surroundings of a face out, in whole pixels of about a sample's size.

        Args:
            rgb: The picture, uint8, shape (height, width, 3).
            a: With `b`, from the picture to the pattern, whose center is 0.
            b: See `a`.

        Returns:
            The patch; None if the face is not in the picture.
        """
        pixel = max(1, int(2 * _HALF / _FINE / abs(a) + 1e-6))
        middle, reach = -b / a, 1.6 * _HALF / abs(a)
        limits = [side // pixel for side in rgb.shape[:2]]
        left, top = (max(0, int((at - reach) // pixel)) for at in (middle.real, middle.imag))
        right = min(limits[1], int((middle.real + reach) // pixel) + 1)
        bottom = min(limits[0], int((middle.imag + reach) // pixel) + 1)
        if right - left < _COARSE // 4 or bottom - top < _COARSE // 4:
            return None
        part = rgb[top * pixel : bottom * pixel, left * pixel : right * pixel]
        gray = np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), np.uint8)
        if pixel > 1:
            size = right - left, bottom - top
            gray = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)
        return _Patch(gray, pixel, pixel * complex(left, top) + complex(pixel - 1, pixel - 1) / 2)

    def halved(self) -> _Patch:
        """Return it at half the resolution, an odd last row or column left out."""
        size = self.gray.shape[1] // 2, self.gray.shape[0] // 2
        even = self.gray[: 2 * size[1], : 2 * size[0]]
        gray = np.asarray(cv2.resize(even, size, interpolation=cv2.INTER_AREA), np.uint8)
        return _Patch(gray, 2 * self.pixel, self.origin + self.pixel * (1 + 1j) / 2)


@lru_cache
def _grid(side: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Compute x and y of samples from -1 to 1, shape (side, side), and weights, (side²,)."""
    v, u = (np.mgrid[:side, :side].astype(np.float32) + np.float32(0.5)) * np.float32(2 / side) - 1
    weights = np.exp(-(u * u + v * v) * np.float32((_HALF / _SPREAD) ** 2 / 2)).ravel()
    return u, v, weights / weights.sum()


class _Pattern:
    """What a face looked like at one resolution, and how small motions change that.

    Args:
        patch: The surroundings of the face.
        a: With `b`, from the picture to the pattern, whose center is 0.
        b: See `a`.
        side: Samples across.

    Attributes:
        can_locate: Whether there is enough in it to tell where it is.
    """

    def __init__(self, patch: _Patch, a: complex, b: complex, side: int) -> None:
        self._side, self._scale = side, side / (2 * _HALF)
        u, v, self._weights = _grid(side)
        levels = self._sample(patch, a, b)
        centered = levels - self._weights @ levels
        deviation = float(np.sqrt(self._weights @ (centered * centered)))
        pattern = centered / np.float32(max(deviation, 1.0))
        shown = pattern.reshape(side, side)
        d_x = cv2.Sobel(shown, cv2.CV_32F, 1, 0, scale=1 / 8)
        d_y = cv2.Sobel(shown, cv2.CV_32F, 0, 1, scale=1 / 8)
        # by a shift to the right, one down, by growth and by a turn
        changes = np.stack([d_x, d_y, d_x * u + d_y * v, d_y * u - d_x * v]).reshape(4, -1)
        # less what brightness and contrast, which may change as well, could do
        changes -= (changes @ self._weights)[:, None]
        changes -= (changes @ (self._weights * pattern))[:, None] * pattern
        weighted = changes * self._weights
        hessian = (weighted @ changes.T).astype(np.float64)
        self.can_locate = deviation > _FLAT and float(np.linalg.eigvalsh(hessian)[0]) > _TELLING
        step = np.linalg.inv(hessian + 1e-9 * np.eye(4)).astype(np.float32) @ weighted
        self._products = np.stack([*step, self._weights * pattern, self._weights])

    def _sample(self, patch: _Patch, a: complex, b: complex) -> FloatArray:
        """Sample a patch where a similarity puts the pattern, shape (side²,)."""
        turn = 1 / (a * self._scale * patch.pixel)
        start = (-b / a - patch.origin) / patch.pixel - turn * (1 + 1j) * (self._side - 1) / 2
        matrix = np.array([[turn.real, -turn.imag, start.real], [turn.imag, turn.real, start.imag]])
        flags, edge = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
        size = self._side, self._side
        levels = cv2.warpAffine(patch.gray, matrix, size, flags=flags, borderMode=edge)
        return np.asarray(levels.ravel(), np.float32)

    def locate(self, patch: _Patch, a: complex, b: complex) -> tuple[complex, complex, float]:
        """Improve a similarity until the picture is most like the pattern.

        Args:
            patch: The surroundings of the face.
            a: With `b`, from the picture to the pattern, whose center is 0.
            b: See `a`.

        Returns:
            The better similarity, and the correlation before its last step.
        """
        alike = 0.0
        for _ in range(_STEPS):
            levels = self._sample(patch, a, b)
            *moves, likeness, mean = (self._products @ levels).tolist()
            variance = float(self._weights @ (levels * levels)) - mean * mean
            if variance < _FLAT**2:
                return a, b, 0.0
            right, down, growth, turn = (each / variance**0.5 for each in moves)
            alike = likeness / variance**0.5
            change = 1 + complex(growth, turn) * 2 / self._side
            a, b = change * a, change * b + complex(right, down) / self._scale
            if max(map(abs, (right, down, growth, turn))) < _STILL:
                break
        return a, b, alike


class FaceRegistration:
    """Where a face is, since it was detected.

    Args:
        rgb: The picture in which it was detected, uint8, shape (height, width, 3).
        detection: The face and no other.
    """

    def __init__(self, rgb: NDArray[np.uint8], detection: Detections) -> None:
        self._detection = detection
        matrix = similarity(detection.landmarks[0])
        a = complex(matrix[0, 0], matrix[1, 0])
        b = complex(matrix[0, 2], matrix[1, 2]) - _CENTER
        self._first = self._now = a, b
        self._pace = 0j
        self._patch = _Patch.cut(rgb, a, b)

    @cached_property
    def _fine(self) -> _Pattern | None:
        """The pattern, if it tells where the face is."""
        if self._patch is None:
            return None
        pattern = _Pattern(self._patch, *self._first, _FINE)
        return pattern if pattern.can_locate else None

    @cached_property
    def _coarse(self) -> _Pattern:
        assert self._patch is not None  # noqa: S101 - or there were no fine one
        return _Pattern(self._patch.halved(), *self._first, _COARSE)

    def locate(self, rgb: NDArray[np.uint8]) -> Detections | None:
        """Find the face in the next frame.

        Args:
            rgb: The frame, of the size of the picture.

        Returns:
            The face, with the confidence of its detection; None if it does not look as it did.
        """
        start_a, start_b = self._now[0], self._now[1] + self._pace
        patch, pattern = _Patch.cut(rgb, start_a, start_b), self._fine
        if patch is None or pattern is None:
            return None
        a, b, alike = pattern.locate(patch, start_a, start_b)
        if alike < _ALIKE:
            a, b, _ = self._coarse.locate(patch.halved(), *self._now)
            a, b, alike = pattern.locate(patch, a, b)
        first_a, first_b = self._first
        scale_turn, shift = first_a / a, (first_b - b) / a
        pace = b - a / self._now[0] * self._now[1]
        growth = abs(scale_turn)
        if alike < _ALIKE or not 1 / _GROWN < growth < _GROWN or abs(pace) > _MOVED * _HALF:
            return None
        self._now, self._pace = (a, b), pace
        boxes, landmarks = self._detection.boxes, self._detection.landmarks
        turned = np.array([[scale_turn.real, scale_turn.imag], [-scale_turn.imag, scale_turn.real]])
        offset = np.array([shift.real, shift.imag])
        size = boxes[:, 2:] * growth
        middle = (boxes[:, :2] + boxes[:, 2:] / 2) @ turned + offset
        return Detections(
            np.concatenate([middle - size / 2, size], axis=1).astype(np.float32),
            (landmarks @ turned + offset).astype(np.float32),
            self._detection.confidence,
        )
