"""Augment log-mel spectra as rooms, microphones and telephone lines do.

Power is what adds up where sounds meet, so noise, echo and distortion are added as power.
Strengths are drawn for each spectrum. Spectra are (N, T, B), natural log of power, 100 rows a
second of 64 bands (see `triaffect.voice.log_mel`); power below the front end's floor is lost.
Columns of pitch and periodicity beside the bands follow where a voice is moved or drowned.
Every function changes a share of the spectra, drawn first; the others stay as they are.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from triaffect.datasets.batches import some, uniform
from triaffect.types import FloatArray
from triaffect.voice.log_mel import BANDS, CENTERS_HZ

ECHOING, NOISY, NARROW, CODED, CLIPPED = 0.15, 0.3, 0.1, 0.1, 0.05
"""Share of the spectra in a room that echoes, with noise, over a telephone's band, through a
codec, and too loud for their microphone."""

DROWNED_DB, AUDIBLE_DB = -10.0, 15.0
"""Signal to noise from which on nothing of a voice is left, and from which on all of it."""
SMALLEST_SPEED, LARGEST_SPEED = 1.2, 1.8
"""How much too fast or too slow a recording is played, as a factor."""
LEFT_AT_WRONG_SPEED, LEFT_BY_TELEPHONE = 0.3, 0.7
"""What is left of a voice at the largest wrong speed, and of one within a telephone's band."""

FLOOR = 1e-6
"""Power that the front end adds."""
HIGHER_OCTAVES, WITHOUT_PITCH = 0.1, 0.1
"""Deviation of the pitch of a varied voice, and the share of voices whose pitch is not there."""
ROWS_PER_S = 100
DECAY_60_DB = math.log(1e6)
TOP_BAND_OF_TELEPHONE, LOWEST_BAND_OF_TELEPHONE = (42, 50), (0, 8)
"""Where a telephone's band ends (3 to 4 kHz) and begins (up to 300 Hz), of 64 bands."""


def follow(pitch: Tensor, moment: Tensor, octaves: Tensor) -> Tensor:
    """Move the pitch along with a voice.

    Args:
        pitch: Octaves above 150 Hz, 0 where there is none, and periodicity, shape (N, T, 2).
        moment: The row that each row shows, shape (N, T), rounded and held within the stretch.
        octaves: By how much each voice is higher, shape (N,).

    Returns:
        Shape (N, T, 2).
    """
    rows = moment.round().long().clamp(0, pitch.shape[1] - 1)
    moved = pitch.gather(1, rows[:, :, None].expand_as(pitch))
    height, periodicity = moved[:, :, 0], moved[:, :, 1]
    return torch.stack([height + octaves[:, None] * (height != 0), periodicity], 2)


def vary_pitch(pitch: Tensor, rng: np.random.Generator) -> Tensor:
    """Make voices a little higher or lower, and take the pitch of some away.

    Args:
        pitch: Octaves above 150 Hz, and periodicity, shape (N, T, 2).
        rng: Source of the random numbers.

    Returns:
        Shape (N, T, 2).
    """
    count, length, _ = pitch.shape
    octaves = torch.from_numpy(rng.normal(0, HIGHER_OCTAVES, count).astype(np.float32))
    varied = follow(pitch, torch.arange(length).expand(count, -1), octaves)
    varied[some(rng, count, WITHOUT_PITCH)] = 0
    return varied


def room(logmel: Tensor, rng: np.random.Generator, *, share: float = ECHOING) -> Tensor:
    """Let some spectra echo: a tail that falls by 60 dB within 0.15 to 0.9 s.

    Args:
        logmel: Shape (N, T, B), float32.
        rng: Source of the random numbers.
        share: Chance of a spectrum to be changed, in [0, 1].

    Returns:
        Spectra of the same shape; `logmel` itself if none is drawn.
    """
    rows = some(rng, len(logmel), share)
    if not len(rows):
        return logmel
    seconds, strength = uniform(rng, len(rows), 0.15, 0.9), uniform(rng, len(rows), -2, 1)
    at = torch.arange(logmel.shape[1], dtype=torch.float32)
    ago = at[:, None] - at[None, :]
    fall = torch.exp(-DECAY_60_DB / ROWS_PER_S * ago / seconds[:, None, None])
    tail = torch.where(ago > 0, fall, 0)
    tail = tail / tail.sum(2, keepdim=True).clamp(min=1) * strength.exp()[:, None, None]
    power = (logmel[rows].exp() - FLOOR).clamp(min=0)
    echoing = logmel.clone()
    echoing[rows] = (power + tail @ power + FLOOR).log()
    return echoing


def noise(logmel: Tensor, rng: np.random.Generator, *, share: float = NOISY) -> Tensor:
    """Add noise to some spectra, 0 to 30 dB below their mean power.

    The noise has any color, steady or swelling; a third of the times it is another spectrum of
    the batch, backwards, as people who talk elsewhere in the room.

    Args:
        logmel: Shape (N, T, B), float32.
        rng: Source of the random numbers.
        share: Chance of a spectrum to be changed, in [0, 1].

    Returns:
        Spectra of the same shape; `logmel` itself if none is drawn.
    """
    rows = some(rng, len(logmel), share)
    if not len(rows):
        return logmel
    made = _colored_noise(len(rows), logmel, rng)
    others = logmel[torch.from_numpy(rng.integers(0, len(logmel), len(rows)))].flip(1).exp()
    talk = torch.from_numpy(rng.random(len(rows)) < 1 / 3)[:, None, None]
    made = torch.where(talk, others, made)
    below = (10 ** (-uniform(rng, len(rows), 0, 30) / 10))[:, None, None]
    power = (logmel[rows].exp() - FLOOR).clamp(min=0)
    level = power.mean((1, 2), keepdim=True) / made.mean((1, 2), keepdim=True).clamp(min=FLOOR)
    noisy = logmel.clone()
    noisy[rows] = (power + made * level * below + FLOOR).log()
    return noisy


def drown(logmel: Tensor, rng: np.random.Generator, *, share: float) -> tuple[Tensor, FloatArray]:
    """Drown some spectra in noise, from what one can still listen to down to nothing.

    Args:
        logmel: Shape (N, T, B), float32.
        rng: Source of the random numbers.
        share: Chance of a spectrum to be changed, in [0, 1].

    Returns:
        Spectra of the same shape, and how much is left of each voice, shape (N,): 1 of those that
        stay as they are, 0 where the noise is 10 dB stronger, linear in decibels between.
    """
    rows = some(rng, len(logmel), share)
    left = np.ones(len(logmel), np.float32)
    if not len(rows):
        return logmel, left
    ratio_db = uniform(rng, len(rows), DROWNED_DB, AUDIBLE_DB)
    left[rows.numpy()] = (ratio_db.numpy() - DROWNED_DB) / (AUDIBLE_DB - DROWNED_DB)
    made = _colored_noise(len(rows), logmel, rng)
    power = (logmel[rows].exp() - FLOOR).clamp(min=0)
    level = power.mean((1, 2), keepdim=True) / made.mean((1, 2), keepdim=True).clamp(min=FLOOR)
    drowned = logmel.clone()
    under = (10 ** (-ratio_db / 10))[:, None, None]
    drowned[rows] = (power + made * level * under + FLOOR).log()
    return drowned, left


def play_at_wrong_speed(
    logmel: Tensor, rng: np.random.Generator, *, share: float
) -> tuple[Tensor, FloatArray]:
    """Play some spectra too fast and too high, or too slow and too low, by a factor of 1.2 to 1.8.

    Args:
        logmel: Shape (N, T, 64) or, with pitch, (N, T, 66), float32.
        rng: Source of the random numbers.
        share: Chance of a spectrum to be changed, in [0, 1].

    Returns:
        Spectra of the same shape, the edges continued, and how much is left of each voice, shape
        (N,): 1 of those that stay as they are, less the further the speed is off, down to 0.3.
    """
    (count, length, _), bands = logmel.shape, BANDS
    rows = some(rng, count, share)
    left = np.ones(count, np.float32)
    if not len(rows):
        return logmel, left
    speed = torch.exp(uniform(rng, len(rows), math.log(SMALLEST_SPEED), math.log(LARGEST_SPEED)))
    left[rows.numpy()] = 1 - (1 - LEFT_AT_WRONG_SPEED) * (speed.log() / math.log(LARGEST_SPEED))
    speed = torch.where(torch.from_numpy(rng.random(len(rows)) < 0.5), speed, 1 / speed)  # noqa: PLR2004
    before_hz = CENTERS_HZ / speed.numpy()[:, None]
    before = np.interp(before_hz, CENTERS_HZ, np.linspace(-1, 1, bands)).astype(np.float32)
    band = torch.from_numpy(before)
    moment = torch.linspace(-1, 1, length) * speed[:, None]
    grid = torch.stack([
        band[:, None, :].expand(-1, length, -1), moment[:, :, None].expand(-1, -1, bands)
    ], 3)  # fmt: skip
    moved = F.grid_sample(
        logmel[rows, :, :bands].unsqueeze(1), grid, padding_mode="border", align_corners=True
    )
    played = logmel.clone()
    played[rows, :, :bands] = moved.squeeze(1)
    if logmel.shape[2] > bands:
        row = (moment + 1) * (length - 1) / 2
        played[rows, :, bands:] = follow(logmel[rows, :, bands:], row, speed.log2())
    return played, left


def microphone(logmel: Tensor, rng: np.random.Generator, *, share: float = NARROW) -> Tensor:
    """Color every spectrum a little, and cut a share of them down to a telephone's band.

    Args:
        logmel: Shape (N, T, B), float32.
        rng: Source of the random numbers.
        share: Chance of a spectrum to be narrowed, in [0, 1].

    Returns:
        Spectra of the same shape, none below the front end's floor.
    """
    count, _, bands = logmel.shape
    points = torch.from_numpy(rng.normal(0, 0.4, (count, 1, 6)).astype(np.float32))
    curve = F.interpolate(points, bands, mode="linear", align_corners=True)
    colored = logmel + curve
    return narrow(colored, some(rng, count, share), rng)


def narrow(logmel: Tensor, rows: Tensor, rng: np.random.Generator) -> Tensor:
    """Cut some spectra down to a telephone's band.

    Args:
        logmel: Shape (N, T, B), float32.
        rows: Which ones, shape (M,).
        rng: Source of the random numbers.

    Returns:
        Spectra of the same shape, none below the front end's floor.
    """
    narrowed = logmel.clone()
    if len(rows):
        band = torch.arange(logmel.shape[2])
        low = torch.from_numpy(rng.integers(*LOWEST_BAND_OF_TELEPHONE, len(rows)))[:, None]
        high = torch.from_numpy(rng.integers(*TOP_BAND_OF_TELEPHONE, len(rows)))[:, None]
        outside = (low - band).clamp(min=0) + (band - high).clamp(min=0)
        narrowed[rows] -= (2.5 * outside)[:, None, :]
    return narrowed.clamp(min=math.log(FLOOR))


def spoil(logmel: Tensor, rng: np.random.Generator, *, share: float) -> tuple[Tensor, FloatArray]:
    """Drown some spectra in noise, play some at a wrong speed, put some through a telephone.

    Args:
        logmel: Shape (N, T, 64) or, with pitch, (N, T, 66), float32.
        rng: Source of the random numbers.
        share: Half of it is the chance to be drowned, a quarter that of each other damage.

    Returns:
        Spectra of the same shape, and how much is left of each voice, in [0, 1], shape (N,).
    """
    spectrum, left = drown(logmel[:, :, :BANDS], rng, share=share / 2)
    pitch = logmel[:, :, BANDS:].clone()
    pitch[:, :, 1:] *= torch.from_numpy(left)[:, None, None]
    spoiled, more = play_at_wrong_speed(torch.cat([spectrum, pitch], 2), rng, share=share / 4)
    rows = some(rng, len(logmel), share / 4)
    left = left * more
    left[rows.numpy()] *= LEFT_BY_TELEPHONE
    narrowed = narrow(spoiled[:, :, :BANDS], rows, rng)
    return torch.cat([narrowed, spoiled[:, :, BANDS:]], 2), left


def clip(logmel: Tensor, rng: np.random.Generator, *, share: float = CLIPPED) -> Tensor:
    """Overload some spectra: the loudest rows lose height, and gain overtones everywhere.

    Args:
        logmel: Shape (N, T, B), float32.
        rng: Source of the random numbers.
        share: Chance of a spectrum to be changed, in [0, 1].

    Returns:
        Spectra of the same shape; `logmel` itself if none is drawn.
    """
    rows = some(rng, len(logmel), share)
    if not len(rows):
        return logmel
    lost = uniform(rng, len(rows), 0.5, 3)[:, None, None]
    leak = uniform(rng, len(rows), -8, -5)[:, None, None]
    loud = logmel[rows].logsumexp(2, keepdim=True)
    over = (loud - (loud.amax(1, keepdim=True) - lost)).clamp(min=0)
    spread = torch.where(over > 0, loud + leak, -math.inf)
    clipped = logmel.clone()
    clipped[rows] = torch.logaddexp(logmel[rows] - 0.7 * over, spread)
    return clipped


def codec(logmel: Tensor, rng: np.random.Generator, *, share: float = CODED) -> Tensor:
    """Drop of some spectra what louder bands of the same moment hide, and round the rest.

    Args:
        logmel: Shape (N, T, B), float32.
        rng: Source of the random numbers.
        share: Chance of a spectrum to be changed, in [0, 1].

    Returns:
        Spectra of the same shape; `logmel` itself if none is drawn.
    """
    rows = some(rng, len(logmel), share)
    if not len(rows):
        return logmel
    hidden = uniform(rng, len(rows), 4, 9)[:, None, None]
    step = uniform(rng, len(rows), 0.2, 1.0)[:, None, None]
    before = logmel[rows]
    rounded = ((before / step).round_() * step).clamp_(min=math.log(FLOOR))
    audible = before > before.amax(2, keepdim=True) - hidden
    coded = logmel.clone()
    coded[rows] = torch.where(audible, rounded, math.log(FLOOR))
    return coded


def _colored_noise(count: int, like: Tensor, rng: np.random.Generator) -> Tensor:
    """Make noise of random color and steadiness around a power of 1."""
    _, length, bands = like.shape
    tilt = uniform(rng, count, -4, 2)[:, None, None] * torch.linspace(-1, 1, bands)
    points = torch.from_numpy(rng.normal(0, 1, (count, 1, 12)).astype(np.float32))
    swell = F.interpolate(points, length, mode="linear", align_corners=True)[:, 0, :, None]
    fast = torch.Generator().manual_seed(int(rng.integers(1 << 32)))
    grain = torch.empty(count, length, bands).normal_(generator=fast)
    return (tilt + swell * uniform(rng, count, 0, 1)[:, None, None] + 0.5 * grain).exp()
