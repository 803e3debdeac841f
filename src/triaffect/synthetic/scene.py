"""What surrounds a face: background, shoulders, glasses, a microphone, and the camera itself."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.synthetic.curves import Array, Color
from triaffect.synthetic.noise import happens, smooth_noise
from triaffect.synthetic.shade import Light

_SHOULDERS = np.array(
    [[-54, -128], [-74, -150], [-120, -166], [-190, -188], [-222, -230], [-235, -520]], np.float32
)
"""Outline of the left shoulder, mm, in the head's upright axes."""
_NOISE_SIDE = 512


def draw_light(random: np.random.Generator) -> Light:
    """A light somewhere above the camera, of some color, with some light all around."""
    towards = np.array([random.normal(0, 0.55), random.uniform(0.1, 0.8), 0.85])
    towards /= np.linalg.norm(towards)
    warmth = np.array([1, 0, -1]) * random.normal(0.02, 0.04)
    key = random.uniform(0.55, 0.95) * (1 + warmth)
    around = random.uniform(0.16, 0.36) * (1 - 0.7 * warmth + random.normal(0, 0.02, 3))
    return Light(_color(towards), _color(key), _color(around), _color(0.45 * around))


def draw_background(random: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """A room out of focus: a wall with a gradient, and blurred shapes on it, display RGB."""
    gray = random.uniform(45, 190)
    wall = gray + random.normal(0, 16, (2, 2, 1)) + random.normal(0, 5, 3)
    picture = cv2.resize(wall.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(random.integers(0, 8))):
        color = gray + random.normal(0, 38) + random.normal(0, 9, 3)
        size = random.uniform(0.08, 0.5, 2) * (width, 1.5 * height)
        x, y = random.uniform(-0.1, 1, 2) * (width, height)
        corners = (round(x), round(y)), (round(x + size[0]), round(y + size[1]))
        cv2.rectangle(picture, *corners, np.clip(color, 5, 245).tolist(), -1)
    picture = cv2.GaussianBlur(picture, (0, 0), float(random.uniform(2, 10)))
    picture += 0.8 * smooth_noise(random, (height, width), (24, 24))[..., None]
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


class Torso:
    """Shoulders in clothes, drawn once for a video and moved with the head."""

    def __init__(
        self, color: Color, light: Light, scale: float, random: np.random.Generator
    ) -> None:
        self.scale = scale
        width, height = int(520 * scale), int(400 * scale)
        self.origin = width / 2, int(-110 * scale)
        outline = np.concatenate([_SHOULDERS, (_SHOULDERS * [-1, 1])[::-1]]) * scale
        pixels = np.stack([outline[:, 0] + self.origin[0], self.origin[1] - outline[:, 1]], 1)
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [np.rint(pixels * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        self.cover = cv2.cvtColor(mask, cv2.COLOR_GRAY2RGB).astype(np.float32) / 255
        folds = cv2.GaussianBlur(
            smooth_noise(random, mask.shape, (50 * scale, 22 * scale)), (0, 0), 2
        )
        slope = np.linspace(-1, 1, width, dtype=np.float32)[None]
        facing = 0.55 + 0.3 * slope * light.direction[0] - 0.35 * slope**2 + 0.05 * folds
        bright = np.asarray(light.key, np.float32) * np.clip(facing, 0.1, 1)[..., None]
        bright += np.asarray(light.sky, np.float32) * 0.7
        stripes = 1 + 0.25 * happens(random, 0.3) * np.sign(
            np.sin(np.arange(height, dtype=np.float32) * (0.55 / max(scale, 0.2)))
        )
        cloth = bright * stripes[:, None, None] * np.asarray(color, np.float32)
        self.color = np.asarray(np.sqrt(np.clip(cloth, 0, 1)) * 255, np.float32)

    def draw(self, picture: Array, x: float, y: float) -> None:
        """Draw the shoulders below a head whose upright middle lies at (x, y), in place."""
        left, top = round(x - self.origin[0]), round(y - self.origin[1])
        height, width = picture.shape[:2]
        x0, x1 = max(left, 0), min(left + self.cover.shape[1], width)
        y0, y1 = max(top, 0), min(top + self.cover.shape[0], height)
        if x0 >= x1 or y0 >= y1:
            return
        part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        target = picture[y0:y1, x0:x1]
        target += (self.color[part] - target) * self.cover[part]


@dataclass(frozen=True)
class Camera:
    """A camera's faults.

    Attributes:
        noise: Standard deviation of the sensor's noise, in display levels.
        blur: Spread of the lens's blur, pixels; 0 is none.
        gain: Factors of red, green and blue.
        grain: Noise to cut frames from, shape (512, 512, 3).
    """

    noise: float
    blur: float
    gain: Color
    grain: Array

    @staticmethod
    def draw(random: np.random.Generator) -> Camera:
        """A camera of some quality."""
        grain = random.standard_normal((_NOISE_SIDE, _NOISE_SIDE, 3), dtype=np.float32)
        gain = 1 + random.normal(0, 0.025, 3)
        blur = float(max(0.0, random.normal(0.35, 0.35)))
        return Camera(float(random.uniform(0.8, 5.0)), blur, _color(gain), grain)

    def take(self, picture: Array, random: np.random.Generator) -> NDArray[np.uint8]:
        """A frame of the picture, display RGB in 0-255, shape (height, width, 3)."""
        height, width = picture.shape[:2]
        if self.blur > 0.3:  # noqa: PLR2004 - less cannot be seen
            picture = cv2.GaussianBlur(picture, (0, 0), self.blur)
        y = int(random.integers(0, _NOISE_SIDE - height + 1))
        x = int(random.integers(0, _NOISE_SIDE - width + 1))
        frame = cv2.multiply(picture, (*self.gain, 1.0))
        frame += self.grain[y : y + height, x : x + width] * np.float32(self.noise)
        return np.asarray(np.clip(frame, 0, 255), np.uint8)


def _color(values: NDArray[np.float64]) -> Color:
    return float(values[0]), float(values[1]), float(values[2])
