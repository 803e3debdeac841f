"""A video of known size with one real face and a voice-like sound, to measure speed on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, FRAME_RATE, SOUND_RATE = 640, 480, 25, 16_000


def write_portrait_video(path: Path, frames: int) -> Path:
    """Write a video of scikit-image's public-domain portrait, swaying slowly.

    Args:
        path: Where to.
        frames: How many, at 25 a second, 640x480 pixels.

    Returns:
        The path.
    """
    from triaffect.media.writer import write_video

    write_video(path, _pictures(frames), FRAME_RATE, _hum(frames / FRAME_RATE), SOUND_RATE)
    return path


def _pictures(frames: int) -> Iterator[NDArray[np.uint8]]:
    from skimage.data import astronaut

    portrait = astronaut()[:HEIGHT]
    wide = np.pad(portrait, ((0, 0), (0, WIDTH - portrait.shape[1]), (0, 0)), "edge")
    for frame in range(frames):
        yield np.roll(wide, round(30 * np.sin(frame / 12)) + 60, axis=1)


def _hum(seconds: float) -> NDArray[np.float32]:
    """A pitch that rises and falls, with overtones."""
    time_s = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    phase = 2 * np.pi * (140 * time_s + 30 * np.sin(2 * time_s))
    overtones = [np.sin(order * phase) / order for order in range(1, 6)]
    sound: NDArray[np.float32] = (0.2 * np.sum(overtones, axis=0)).astype(np.float32)
    return sound
