"""Make a video of known size with one rendered face and a voice-like sound, to measure speed on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triaffect.media.writer import write_video
from triaffect.synthetic.portrait import render_portrait

WIDTH, HEIGHT, FRAME_RATE, SOUND_RATE = 640, 480, 25, 16_000
PERSON = 3
"""A rendered person whose face the detector is sure of (0.92)."""


@cache
def portrait() -> NDArray[np.uint8]:
    """Render one person, RGB of shape (480, 480, 3); every call returns the same picture."""
    return render_portrait(PERSON, size=HEIGHT)


def write_portrait_video(path: Path, frames: int) -> Path:
    """Write a video of the rendered portrait, swaying slowly.

    Args:
        path: File to write.
        frames: Length, at 25 frames a second of 640x480 pixels.

    Returns:
        The path.
    """
    write_video(path, _pictures(frames), FRAME_RATE, _hum(frames / FRAME_RATE), SOUND_RATE)
    return path


def _pictures(frames: int) -> Iterator[NDArray[np.uint8]]:
    wide = np.pad(portrait(), ((0, 0), (0, WIDTH - HEIGHT), (0, 0)), "edge")
    for frame in range(frames):
        yield np.roll(wide, round(30 * np.sin(frame / 12)) + 60, axis=1)


def _hum(seconds: float) -> NDArray[np.float32]:
    """Make a pitch that rises and falls, with overtones."""
    time_s = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    phase = 2 * np.pi * (140 * time_s + 30 * np.sin(2 * time_s))
    overtones = [np.sin(order * phase) / order for order in range(1, 6)]
    sound: NDArray[np.float32] = (0.2 * np.sum(overtones, axis=0)).astype(np.float32)
    return sound
