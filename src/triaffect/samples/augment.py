"""Varied crops and spectra for training: same meaning, other pixels.

Every function draws from the generator it is given, so a resumed run sees the same variants.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from triaffect.samples.camera import blur, compress, light
from triaffect.samples.cover import cover

ROTATION_DEG, SCALE, SHIFT = 12.0, 0.12, 0.08
"""Largest rotation, relative scale and relative shift of a crop."""
GAIN_LOG = 1.5
"""Largest change of log power of a spectrum: about 6.5 dB."""
MASK_SHARE = 0.15
"""Largest share of a side that a hidden block covers."""


def vary_crops(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirror, turn, scale and shift faces, and let them look as bad cameras see them.

    In the order in which it happens to a picture: things before the face, its pose, light, focus,
    noise, compression; at the end a block of some is hidden.

    Args:
        crops: Gray levels in [0, 255], shape (N, H, H), any dtype; aligned faces.
        rng: Where the random numbers come from.

    Returns:
        Gray levels in [0, 255], shape (N, H, H), float32.
    """
    count, side = len(crops), crops.shape[-1]
    moved = _move(cover(crops.float(), rng).unsqueeze(1), rng).squeeze(1)
    moved = blur(light(moved, rng), rng)
    fast = torch.Generator().manual_seed(int(rng.integers(1 << 32)))
    noise = torch.empty_like(moved).normal_(generator=fast)
    moved = moved + noise.mul_(_uniform(rng, count, 0, 6)[:, None, None])
    moved = compress(moved, rng).clamp_(0, 255)
    hidden = (
        _block(rng, count, side, side)
        & torch.from_numpy(rng.random(count) < 0.5)[  # noqa: PLR2004
            :, None, None
        ]
    )
    return torch.where(hidden, moved.mean((1, 2), keepdim=True), moved)


def vary_logmel(logmel: Tensor, rng: np.random.Generator) -> Tensor:
    """Shift in time and pitch, change loudness, hide bands and stretches of time.

    Args:
        logmel: Log power, shape (N, T, B).
        rng: Where the random numbers come from.

    Returns:
        Log power, shape (N, T, B), float32.
    """
    count, length, bands = logmel.shape
    gain = _uniform(rng, count, -GAIN_LOG, GAIN_LOG)[:, None, None]
    varied = logmel.float() + gain
    time = torch.from_numpy(rng.integers(-length // 8, length // 8 + 1, count))
    pitch = torch.from_numpy(rng.integers(-2, 3, count))
    rows = (torch.arange(length) + time[:, None]).clamp(0, length - 1)
    columns = (torch.arange(bands) + pitch[:, None]).clamp(0, bands - 1)
    varied = varied.gather(1, rows[:, :, None].expand(-1, -1, bands))
    varied = varied.gather(2, columns[:, None, :].expand(-1, length, -1))
    floor = varied.mean((1, 2), keepdim=True)
    hidden = _stripe(rng, count, length)[:, :, None] | _stripe(rng, count, bands)[:, None, :]
    return torch.where(hidden, floor, varied)


def _move(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Random similarity and mirror image of maps (N, 1, H, W)."""
    count = len(crops)
    angle = torch.deg2rad(_uniform(rng, count, -ROTATION_DEG, ROTATION_DEG))
    scale = 1 + _uniform(rng, count, -SCALE, SCALE)
    mirror = torch.where(torch.from_numpy(rng.random(count) < 0.5), -1.0, 1.0)  # noqa: PLR2004
    shift = 2 * torch.stack([_uniform(rng, count, -SHIFT, SHIFT) for _ in range(2)], 1)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = [
        torch.stack([cos * mirror, -sin, shift[:, 0]], 1),
        torch.stack([sin * mirror, cos, shift[:, 1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(crops.shape), align_corners=False)
    return F.grid_sample(crops, grid, padding_mode="border", align_corners=False)


def _uniform(rng: np.random.Generator, count: int, low: float, high: float) -> Tensor:
    return torch.from_numpy(rng.uniform(low, high, count).astype(np.float32))


def _stripe(rng: np.random.Generator, count: int, length: int) -> Tensor:
    """One run of hidden places in each row, shape (count, length)."""
    width = (_uniform(rng, count, 0, MASK_SHARE) * length)[:, None]
    start = (_uniform(rng, count, 0, 1)[:, None]) * (length - width)
    place = torch.arange(length)[None]
    return (place >= start) & (place < start + width)


def _block(rng: np.random.Generator, count: int, height: int, width: int) -> Tensor:
    """One hidden rectangle in each map, shape (count, height, width)."""
    return (
        _stripe(rng, count, 2 * height)[:, :height, None]
        & _stripe(rng, count, 2 * width)[:, None, :width]
    )
