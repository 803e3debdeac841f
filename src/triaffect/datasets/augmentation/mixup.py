"""Crops or spectra mixed with one another, and their labels likewise: mixup and CutMix.

Zhang et al. 2018 (arXiv:1710.09412) blend two pictures; Yun et al. 2019 (arXiv:1905.04899) paste
a rectangle of one into the other. A label then says how much of each there is to see. Spectra are
blended, or get a stretch of time of the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from triaffect.types import IntArray, Targets

_Join = Callable[[Tensor, IntArray, float, np.random.Generator], tuple[Tensor, float]]
"""Of inputs, partners and a share: joined inputs, and the share of each row that is its own."""


def mix_crops(
    crops: Tensor, targets: Mapping[str, Targets], rng: np.random.Generator
) -> tuple[Tensor, dict[str, Targets]]:
    """Mix every crop with another one of the batch, all in the same way and proportion.

    Only rows that have labels of the same outputs are mixed; one that has no such partner stays
    as it is. What is mixed of labels is their weight as well, so that a loss linear in the label,
    as cross-entropy is, becomes the mixture of the two rows' losses.

    Args:
        crops: Gray levels, shape (N, H, H), float32.
        targets: Labels by task key.
        rng: Where the random numbers come from.

    Returns:
        Crops and labels of the same shapes and types.
    """
    return _mix(crops, targets, rng, _paste)


def mix_spectra(
    logmel: Tensor, targets: Mapping[str, Targets], rng: np.random.Generator
) -> tuple[Tensor, dict[str, Targets]]:
    """Mix every spectrum with another one of the batch; see `mix_crops`.

    Args:
        logmel: Log power, shape (N, T, B), float32.
        targets: Labels by task key.
        rng: Where the random numbers come from.

    Returns:
        Spectra and labels of the same shapes and types.
    """
    return _mix(logmel, targets, rng, _splice)


def _mix(
    inputs: Tensor, targets: Mapping[str, Targets], rng: np.random.Generator, join: _Join
) -> tuple[Tensor, dict[str, Targets]]:
    """Blend all rows with their partners, or join parts of both.

    Labels are weighted by the share and by their row's weight, the weights by the share alone.
    """
    partner = partners(targets, rng)
    share = float(rng.beta(1.0, 1.0))
    if rng.random() < 0.5:  # noqa: PLR2004
        mixed = torch.lerp(inputs[partner], inputs, share)
    else:
        mixed, share = join(inputs, partner, share, rng)
    labels = {}
    for key, each in targets.items():
        own, other = share * each.weight, (1 - share) * each.weight[partner]
        weight = own + other
        part = np.where(weight > 0, own / np.where(weight > 0, weight, 1), share)[:, None]
        values = part * each.values + (1 - part) * each.values[partner]
        mixed_values = np.where(each.valid, values, each.values).astype(np.float32)
        labels[key] = Targets(mixed_values, each.valid, weight.astype(np.float32))
    return mixed, labels


def partners(targets: Mapping[str, Targets], rng: np.random.Generator) -> IntArray:
    """Draw for each row a random partner, itself at times, with labels of the same outputs.

    Args:
        targets: Labels by task key, of N rows.
        rng: Where the random numbers come from.

    Returns:
        Row numbers, a permutation, shape (N,).
    """
    valid = np.concatenate([each.valid for each in targets.values()], axis=1)
    kind = np.unique(valid, axis=0, return_inverse=True)[1].reshape(-1)
    partner = np.arange(len(kind))
    for one in range(kind.max(initial=-1) + 1):
        rows = np.flatnonzero(kind == one)
        partner[rows] = rng.permutation(rows)
    return partner


def _paste(
    crops: Tensor, partner: IntArray, share: float, rng: np.random.Generator
) -> tuple[Tensor, float]:
    """Paste a square of their partners into crops; return what share of each is its own too."""
    height = crops.shape[-1]
    side = int(height * math.sqrt(1 - share))
    top, left = rng.integers(0, height - side + 1, 2).tolist()
    mixed = crops.clone()
    square = (slice(None), slice(top, top + side), slice(left, left + side))
    mixed[square] = crops[partner][square]
    return mixed, 1 - (side / height) ** 2


def _splice(
    logmel: Tensor, partner: IntArray, share: float, rng: np.random.Generator
) -> tuple[Tensor, float]:
    """Put a stretch of time of their partners into spectra; return the own share of each too."""
    length = logmel.shape[1]
    other = int(length * (1 - share))
    start = int(rng.integers(0, length - other + 1))
    mixed = logmel.clone()
    mixed[:, start : start + other] = logmel[partner, start : start + other]
    return mixed, 1 - other / length
