"""What may be wrong with a face's crop or a sound, made by code.

`FACES` change an aligned crop, uint8 (112, 112, 3), as if the picture had been so; `SOUNDS`
change mono sound in [-1, 1] at `RATE`. Each gets a random generator and gives the same again
for the same seed.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from triaffect.faces.alignment import TEMPLATE, TEMPLATE_SIZE
from triaffect.types import FloatArray

Crop = NDArray[np.uint8]

RATE = 16_000
SMALL_PX = 12
CLEAN = "clean"


def _unchanged(crop: Crop, random: Generator) -> Crop:
    return crop


def _small(crop: Crop, random: Generator) -> Crop:
    few = cv2.resize(crop, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(few, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _levels(crop: NDArray[np.generic]) -> Crop:
    return np.clip(np.round(crop), 0, 255).astype(np.uint8)


def _dark(crop: Crop, random: Generator) -> Crop:
    return _levels(crop * 0.08)


def _blown_out(crop: Crop, random: Generator) -> Crop:
    return _levels(crop * 3.0)


def _noisy(crop: Crop, random: Generator) -> Crop:
    return _levels(crop + random.normal(0, 80, crop.shape))


def _blurred(crop: Crop, random: Generator) -> Crop:
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), 8), np.uint8)


def _jpeg(crop: Crop, random: Generator) -> Crop:
    _, written = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 5])
    return np.asarray(cv2.imdecode(written, cv2.IMREAD_COLOR), np.uint8)


def _masked(crop: Crop, random: Generator) -> Crop:
    """A surgical mask, from the bridge of the nose to the chin."""
    outline = np.array([[16, 64], [56, 58], [96, 64], [90, 98], [72, 111], [40, 111], [22, 98]])
    covered = cv2.fillPoly(crop.copy(), [outline], (190, 205, 215))
    for row in (76, 86, 96):
        cv2.line(covered, (22, row), (90, row), (160, 178, 190), 1)
    return np.asarray(covered, np.uint8)


def _sunglasses(crop: Crop, random: Generator) -> Crop:
    covered = crop.copy()
    left, right = (tuple(int(each) for each in point) for point in TEMPLATE[:2])
    cv2.line(covered, (0, left[1] - 6), (TEMPLATE_SIZE, left[1] - 6), (15, 15, 15), 3)
    for eye in (left, right):
        cv2.ellipse(covered, eye, (17, 13), 0, 0, 360, (15, 15, 15), -1)
    return covered


def _upside_down(crop: Crop, random: Generator) -> Crop:
    return np.ascontiguousarray(crop[::-1, ::-1])


def _drawing(crop: Crop, random: Generator) -> Crop:
    """Black lines on white where the picture has edges."""
    gray = cv2.GaussianBlur(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (0, 0), 1.5)
    lines = 255 - cv2.Canny(gray, 30, 70)
    return np.asarray(cv2.cvtColor(lines, cv2.COLOR_GRAY2RGB), np.uint8)


def _back_of_head(crop: Crop, random: Generator) -> Crop:
    """Nothing of the face: a dark oval with streaks of hair, on the picture's mean colour."""
    side = len(crop)
    hair = cv2.GaussianBlur(random.normal(0, 1, (side, side)), (0, 0), 1, sigmaY=9)
    hair = 45 + 12 * hair / hair.std()
    oval = cv2.ellipse(np.zeros((side, side)), (56, 56), (44, 54), 0, 0, 360, 1.0, -1)
    shape = cv2.GaussianBlur(oval, (0, 0), 2)[:, :, None]
    ground = np.broadcast_to(crop.mean((0, 1)), crop.shape)
    return _levels(shape * hair[:, :, None] + (1 - shape) * ground)


def _plain_noise(crop: Crop, random: Generator) -> Crop:
    return random.integers(0, 256, crop.shape).astype(np.uint8)


FACES: dict[str, Callable[[Crop, Generator], Crop]] = {
    CLEAN: _unchanged,
    "12 px": _small,
    "dark": _dark,
    "blown out": _blown_out,
    "noisy": _noisy,
    "blurred": _blurred,
    "JPEG 5": _jpeg,
    "mask": _masked,
    "sunglasses": _sunglasses,
    "upside down": _upside_down,
    "drawing": _drawing,
    "back of a head": _back_of_head,
    "plain noise": _plain_noise,
}
FACELESS = ("back of a head", "plain noise")
"""What no longer shows the face that the label is of."""


def _as_it_is(sound: FloatArray, random: Generator) -> FloatArray:
    return sound


def _clipped(sound: FloatArray, random: Generator) -> FloatArray:
    return np.clip(30 * sound, -1, 1)


def _band(sound: FloatArray, low_hz: float, high_hz: float) -> FloatArray:
    spectrum = np.fft.rfft(sound)
    hz = np.fft.rfftfreq(len(sound), 1 / RATE)
    spectrum[(hz < low_hz) | (hz > high_hz)] = 0
    return np.clip(np.fft.irfft(spectrum, len(sound)), -1, 1).astype(np.float32)


def _sampled_8k(sound: FloatArray, random: Generator) -> FloatArray:
    return _band(sound, 0, 4000)


def _telephone(sound: FloatArray, random: Generator) -> FloatArray:
    return _band(sound, 300, 3400)


def _noise_0_db(sound: FloatArray, random: Generator) -> FloatArray:
    noise = random.normal(0, np.sqrt(np.mean(sound**2)), len(sound))
    return np.clip(sound + noise, -1, 1).astype(np.float32)


def _quiet(sound: FloatArray, random: Generator) -> FloatArray:
    return sound * np.float32(0.01)


def _fast(sound: FloatArray, random: Generator) -> FloatArray:
    """Half as fast again and so much higher, as a tape would be."""
    at = np.arange(0, len(sound) - 1, 1.5)
    return np.interp(at, np.arange(len(sound)), sound).astype(np.float32)


SOUNDS: dict[str, Callable[[FloatArray, Generator], FloatArray]] = {
    CLEAN: _as_it_is,
    "clipped": _clipped,
    "8 kHz": _sampled_8k,
    "telephone": _telephone,
    "noise at 0 dB": _noise_0_db,
    "40 dB quieter": _quiet,
    "1.5 times as fast": _fast,
}
