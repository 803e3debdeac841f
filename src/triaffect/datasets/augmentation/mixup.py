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

from triaffect.types import FloatArray, IntArray, Targets

Join = Callable[[Tensor, IntArray, float, np.random.Generator], tuple[Tensor, float]]
"""Of inputs, partners and a share: joined inputs, and the share of each row that is its own."""


def mix_rows(
    inputs: Tensor, targets: Mapping[str, Targets], rng: np.random.Generator, join: Join
) -> tuple[Tensor, dict[str, Targets]]:
    """Mix every row of a batch with another one, all in the same way and proportion.

    Half of the batches are blended, of the others parts are joined. Only rows that have labels of
    the same tasks are mixed; one that has no such partner stays as it is, and an output that one
    of the two has no label of has none. What is mixed of labels is their weight as well, so that
    a loss linear in the label, as cross-entropy is, becomes the mixture of the two rows' losses.

    Args:
        inputs: Crops, gray levels (N, H, H), or spectra, log power (N, T, B), float32.
        targets: Labels by task key.
        rng: Where the random numbers come from.
        join: How parts are joined: `paste` for crops, `splice` for spectra.

    Returns:
        Inputs and labels of the same shapes and types.
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
        valid = each.valid & each.valid[partner]
        mixed_values = np.where(valid, values, each.values).astype(np.float32)
        labels[key] = Targets(mixed_values, valid, weight.astype(np.float32))
    return mixed, labels


def fade_labels(targets: Mapping[str, Targets], left: FloatArray) -> dict[str, Targets]:
    """Draw labels towards their mean over the batch, as far as little is left of an input.

    What cannot be heard or seen is then answered by what is common, and unsurely.

    Args:
        targets: Labels by task key, of N rows each.
        left: How much of each row's input is left, in [0, 1], shape (N,).

    Returns:
        Labels of the same validity and weight.
    """
    faded = {}
    for key, each in targets.items():
        count = np.maximum(each.valid.sum(0), 1)
        mean = np.where(each.valid, each.values, 0).sum(0) / count
        values = left[:, None] * each.values + (1 - left[:, None]) * mean
        values = np.where(each.valid, values, each.values).astype(np.float32)
        faded[key] = Targets(values, each.valid, each.weight)
    return faded


def partners(targets: Mapping[str, Targets], rng: np.random.Generator) -> IntArray:
    """Draw for each row a random partner, itself at times, with labels of the same tasks.

    Args:
        targets: Labels by task key, of N rows.
        rng: Where the random numbers come from.

    Returns:
        Row numbers, a permutation, shape (N,).

    Examples:
        >>> valid = np.array([[True], [False], [True]])
        >>> labels = {"VA": Targets(np.zeros((3, 1), np.float32), valid, np.ones(3, np.float32))}
        >>> partners(labels, np.random.default_rng(0))[1].item()
        1
    """
    valid = np.stack([each.valid.any(axis=1) for each in targets.values()], axis=1)
    kind = np.unique(valid, axis=0, return_inverse=True)[1].reshape(-1)
    partner = np.arange(len(kind))
    for one in range(kind.max(initial=-1) + 1):
        rows = np.flatnonzero(kind == one)
        partner[rows] = rng.permutation(rows)
    return partner


def paste(
    crops: Tensor, partner: IntArray, share: float, rng: np.random.Generator
) -> tuple[Tensor, float]:
    """Paste a square of their partners into crops.

    Args:
        crops: Gray levels, shape (N, H, H).
        partner: Row number of each one's partner, shape (N,).
        share: How much of each is to stay its own, in [0, 1].
        rng: Where the random numbers come from.

    Returns:
        Crops, and the share of each that is its own, exactly.
    """
    height = crops.shape[-1]
    side = int(height * math.sqrt(1 - share))
    top, left = rng.integers(0, height - side + 1, 2).tolist()
    mixed = crops.clone()
    square = (slice(None), slice(top, top + side), slice(left, left + side))
    mixed[square] = crops[partner][square]
    return mixed, 1 - (side / height) ** 2


def splice(
    logmel: Tensor, partner: IntArray, share: float, rng: np.random.Generator
) -> tuple[Tensor, float]:
    """Put a segment of time of their partners into spectra.

    Args:
        logmel: Log power, shape (N, T, B).
        partner: Row number of each one's partner, shape (N,).
        share: How much of each is to stay its own, in [0, 1].
        rng: Where the random numbers come from.

    Returns:
        Spectra, and the share of each that is its own, exactly.
    """
    length = logmel.shape[1]
    other = int(length * (1 - share))
    start = int(rng.integers(0, length - other + 1))
    mixed = logmel.clone()
    mixed[:, start : start + other] = logmel[partner, start : start + other]
    return mixed, 1 - other / length
