"""Varied crops and spectra for training: same meaning, other pixels.

Every function draws from the generator it is given, so a resumed run sees the same variants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from triaffect.datasets.augmentation.crops import blur, compress, cover, light
from triaffect.datasets.augmentation.spectra import (
    clip,
    codec,
    follow,
    microphone,
    noise,
    room,
    vary_pitch,
)
from triaffect.datasets.batches import some, stripe, uniform
from triaffect.voice.log_mel import BANDS

BADLY_SEEN = 0.3
"""Share of the crops that are covered, relit, blurred or compressed, as far as their draws say."""
HIDDEN = 0.25
"""Share of the crops that have a hidden block."""
ROTATION_DEG, SCALE, SHIFT = 12.0, 0.12, 0.08
"""Largest rotation, relative scale and relative shift of a crop."""
ENLARGED = 1.02
"""By how much `shift_crops` enlarges a crop before a part of its old size is cut out."""
JITTERED, SOFTENED = 0.3, 0.2
"""Shares of the crops whose light `resize_crops` changes, and that it blurs."""
PART_AREA, PART_ASPECT = (0.08, 1.0), math.log(4 / 3)
"""Range of the area of the part that it enlarges; largest logarithm of width over height."""
GAIN_LOG = 1.5
"""Largest change of log power of a spectrum: about 6.5 dB."""
MASK_SHARE = 0.15
"""Largest share of a side that a hidden block or stripe covers."""
HIDDEN_STRIPES = 2
"""Stripes of time, and as many of bands, that are hidden in a spectrum."""
TEMPO, LATER = 0.15, 0.15
"""Largest change of tempo, and largest shift in time as a share of the stretch."""
SIZE, HIGHER = 0.07, 0.03
"""Largest stretch and shift of the bands, as shares of all of them."""


def vary_crops(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirror, turn, scale and shift faces, and let some look as bad cameras see them.

    In the order in which it happens to a picture: things before the face, its pose, light, focus,
    noise, compression; at the end a block of some is hidden. Covers, light, focus and compression
    are those of a share of the crops, `BADLY_SEEN`; the others stay sharp.

    Args:
        crops: Gray levels in [0, 255], shape (N, H, H), any dtype; aligned faces.
        rng: Where the random numbers come from.

    Returns:
        Gray levels in [0, 255], shape (N, H, H), float32.
    """
    count, side = len(crops), crops.shape[-1]
    bad = some(rng, count, BADLY_SEEN)
    moved = crops.float().clone()
    moved[bad] = cover(moved[bad], rng)
    moved = _move(moved.unsqueeze(1), rng).squeeze(1)
    moved[bad] = blur(light(moved[bad], rng), rng)
    fast = torch.Generator().manual_seed(int(rng.integers(1 << 32)))
    noise = torch.empty_like(moved).normal_(generator=fast)
    moved = moved + noise.mul_(uniform(rng, count, 0, 6)[:, None, None])
    moved[bad] = compress(moved[bad], rng)
    moved = moved.clamp_(0, 255)
    drawn = torch.from_numpy(rng.random(count) < HIDDEN)[:, None, None]
    hidden_rows, hidden_columns = (
        stripe(rng, count, 2 * side, MASK_SHARE)[:, :side] for _ in range(2)
    )
    hidden = hidden_rows[:, :, None] & hidden_columns[:, None, :] & drawn
    return torch.where(hidden, moved.mean((1, 2), keepdim=True), moved)


def shift_crops(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Enlarge crops a little, cut them out again somewhere, and mirror half of them.

    Args:
        crops: Gray levels in [0, 255], shape (N, H, H), any dtype.
        rng: Where the random numbers come from.

    Returns:
        Gray levels, shape (N, H, H), float32.
    """
    count, shown = len(crops), torch.full((len(crops),), 1 / ENLARGED)
    mirror = torch.where(torch.from_numpy(rng.random(count) < 0.5), -1.0, 1.0)  # noqa: PLR2004
    margin = 1 - 1 / ENLARGED
    right, down = (uniform(rng, count, -margin, margin) for _ in range(2))
    return _cut_out(crops.float(), mirror * shown, shown, right, down)


def resize_crops(crops: Tensor, rng: np.random.Generator, *, together: bool = False) -> Tensor:
    """Cut parts of any size out of crops, and vary light and focus, as BYOL does of gray pictures.

    Of three in ten brightness and contrast change by up to 80 %, half are mirrored, one in five is
    blurred, and of all a part of 8 to 100 % of the area, somewhat wide or high, is enlarged.

    Args:
        crops: Gray levels in [0, 255], shape (N, H, H), any dtype.
        rng: Where the random numbers come from.
        together: Draw once for all crops of the batch.

    Returns:
        Gray levels in [0, 255], shape (N, H, H), float32.
    """
    count = 1 if together else len(crops)

    def draw(low: float, high: float, share: float = 1.0, otherwise: float = 1.0) -> Tensor:
        drawn = torch.from_numpy(rng.random(count) < share)
        values = torch.where(drawn, uniform(rng, count, low, high), otherwise)
        return values.expand(len(crops))

    def each(values: Tensor) -> Tensor:
        return values[:, None, None]

    levels = crops.float()
    jittered = torch.from_numpy(rng.random(count) < JITTERED).expand(len(crops))
    gain, contrast = (torch.where(jittered, draw(0.2, 1.8), 1.0) for _ in range(2))
    levels = (levels * each(gain)).clamp(0, 255)
    mean = levels.mean((1, 2), keepdim=True)
    levels = ((levels - mean) * each(contrast) + mean).clamp(0, 255)
    mirror = draw(-1.0, -1.0, share=0.5)
    side = torch.exp(-0.5 / draw(1.0, 2.0).square())  # beside 1 for the pixel itself
    side = each(draw(1.0, 1.0, share=SOFTENED, otherwise=0.0) * side)
    for axis in (1, 2):
        edged = F.pad(levels, (0, 0, 1, 1) if axis == 1 else (1, 1), mode="replicate")
        before, after = (
            edged.narrow(axis, 0, levels.shape[1]),
            edged.narrow(axis, 2, levels.shape[1]),
        )
        levels = (levels + side * (before + after)) / (1 + 2 * side)
    area, aspect = draw(*PART_AREA), draw(-PART_ASPECT, PART_ASPECT).exp()
    wide, high = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    right, down = draw(-1.0, 1.0) * (1 - wide), draw(-1.0, 1.0) * (1 - high)
    return _cut_out(levels, mirror * wide, high, right, down).clamp(0, 255)


CROP_VARIATIONS: dict[str, Callable[[Tensor, np.random.Generator], Tensor]] = {
    "faces": vary_crops,
    "shift": shift_crops,
    "resize": resize_crops,
    "resize_together": partial(resize_crops, together=True),
}
"""By their names in recipes."""


def _cut_out(crops: Tensor, wide: Tensor, high: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Resample a part of each crop bilinearly to the whole.

    Args:
        crops: Shape (N, H, H), float32.
        wide: Width of the part as a share of the crop's, negative to mirror it, shape (N,).
        high: Its height likewise.
        right: Where its middle is, from the crop's, in halves of its side, shape (N,).
        down: Likewise.

    Returns:
        Shape (N, H, H); edges are continued.
    """
    none = torch.zeros_like(wide)
    rows = [torch.stack([wide, none, right], 1), torch.stack([none, high, down], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), [len(crops), 1, *crops.shape[1:]], False)
    parts = F.grid_sample(crops.unsqueeze(1), grid, padding_mode="border", align_corners=False)
    return parts.squeeze(1)


def vary_speaker(logmel: Tensor, rng: np.random.Generator) -> Tensor:
    """Vary tempo, time, height of the voice, and size of the speaker.

    Args:
        logmel: Log power, shape (N, T, 64), or (N, T, 66) with pitch, which keeps its height.
        rng: Source of the random numbers.

    Returns:
        Spectra of the same shape, float32, resampled bilinearly; the edges are continued.
    """
    spectrum, pitch = logmel[:, :, :BANDS], logmel[:, :, BANDS:]
    count, length = spectrum.shape[:2]
    tempo, size = 1 + uniform(rng, count, -TEMPO, TEMPO), 1 + uniform(rng, count, -SIZE, SIZE)
    later = uniform(rng, count, -LATER, LATER) * 2
    higher = uniform(rng, count, -HIGHER, HIGHER) * 2
    none = torch.zeros(count)
    rows = [torch.stack([size, none, higher], 1), torch.stack([none, tempo, later], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), [count, 1, *spectrum.shape[1:]], align_corners=False)
    moved = F.grid_sample(spectrum.unsqueeze(1), grid, padding_mode="border", align_corners=False)
    if not pitch.shape[2]:
        return moved.squeeze(1)
    moment = ((grid[:, :, 0, 1] + 1) * length - 1) / 2
    return torch.cat([moved.squeeze(1), follow(pitch, moment, torch.zeros(count))], 2)


def vary_gain(logmel: Tensor, rng: np.random.Generator) -> Tensor:
    """Make every spectrum louder or quieter as a whole, by at most `GAIN_LOG`.

    Args:
        logmel: Log power, shape (N, T, B), float32.
        rng: Source of the random numbers.

    Returns:
        Log power of the same shape.
    """
    return logmel + uniform(rng, len(logmel), -GAIN_LOG, GAIN_LOG)[:, None, None]


Variation = Callable[[Tensor, np.random.Generator], Tensor]
"""Inputs (N, ...) and a generator to other inputs of the same shape and meaning."""

LOGMEL_STEPS: tuple[Variation, ...] = (
    vary_speaker,
    room,
    noise,
    vary_gain,
    clip,
    microphone,
    codec,
)
"""What changes a spectrum, in the order in which it happens to a sound."""


def vary_logmel(
    logmel: Tensor, rng: np.random.Generator, *, steps: Sequence[Variation] = LOGMEL_STEPS
) -> Tensor:
    """Let voices be quicker, higher or later, in other rooms and before other microphones.

    At the end bands and moments of each spectrum are hidden.

    Args:
        logmel: Log power, shape (N, T, 64), or (N, T, 66) with pitch and periodicity.
        rng: Source of the random numbers.
        steps: Changes of the spectra before a part of them is hidden, in their order.

    Returns:
        The same shape, float32.
    """
    (count, length, _), bands = logmel.shape, BANDS
    varied = logmel.float()
    for step in steps:
        if step is vary_speaker:
            varied = step(varied, rng)
        else:
            varied = torch.cat([step(varied[:, :, :bands], rng), varied[:, :, bands:]], 2)
    hidden = torch.zeros(count, length, bands, dtype=torch.bool)
    for _ in range(HIDDEN_STRIPES):
        hidden |= stripe(rng, count, length, MASK_SHARE)[:, :, None]
        hidden |= stripe(rng, count, bands, MASK_SHARE)[:, None, :]
    spectrum, pitch = varied[:, :, :bands], varied[:, :, bands:]
    spectrum = torch.where(hidden, spectrum.mean((1, 2), keepdim=True), spectrum)
    if not pitch.shape[2]:
        return spectrum
    pitch = torch.where(hidden.all(2, keepdim=True), 0.0, vary_pitch(pitch, rng))
    return torch.cat([spectrum, pitch], 2)


def _move(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Turn, scale, shift and at times mirror maps (N, 1, H, W) at random."""
    count = len(crops)
    angle = torch.deg2rad(uniform(rng, count, -ROTATION_DEG, ROTATION_DEG))
    scale = 1 + uniform(rng, count, -SCALE, SCALE)
    mirror = torch.where(torch.from_numpy(rng.random(count) < 0.5), -1.0, 1.0)  # noqa: PLR2004
    shift = 2 * torch.stack([uniform(rng, count, -SHIFT, SHIFT) for _ in range(2)], 1)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = [
        torch.stack([cos * mirror, -sin, shift[:, 0]], 1),
        torch.stack([sin * mirror, cos, shift[:, 1]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(crops.shape), align_corners=False)
    return F.grid_sample(crops, grid, padding_mode="border", align_corners=False)
