"""Masked losses as pure functions of tensors; the only module of `tasks` that needs torch.

Every function here works in the dtype of its input and never mixes in an entry whose weight is
zero: such an entry is replaced before anything is computed, so its gradient is exactly zero even
if the value under it is NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from triaffect.tasks.task import Reading

LOWEST = 1.0000000116860974e-07
"""Keras' epsilon 1e-7 as the float32 number the authors' library computes with."""

HIGHEST = 1 - 1.1920928955078125e-07
"""1 - 1e-7 rounded to float32."""

MOST_LOGITS = 5.0
"""Logits of a probability of 0.0067 and 0.9933; what a soft label says beyond is noise."""

FEWEST_FOR_CCC = 2
"""A concordance needs a variance, so at least two rows."""


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Compute the mean of the entries by weight.

    Args:
        values: Any shape.
        weight: Same shape; zero for an entry that does not count.

    Returns:
        A scalar; exactly 0, still attached to the graph, where all weights are zero.

    Examples:
        >>> weighted_mean(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1.0]))
        tensor(2.)
    """
    total = weight.sum()
    return (values * weight).sum() / torch.where(total > 0, total, 1)


def ccc_loss(prediction: Tensor, target: Tensor, valid: Tensor, weight: Tensor) -> Tensor:
    """Compute 1 - the mean concordance correlation (Lin, 1989) over the columns.

    Moments are those of the population. A column with fewer than two entries does not count; one
    without any spread, whose concordance is 0/0, counts as 0.

    Args:
        prediction: Activated predictions, shape (N, K).
        target: Values, shape (N, K).
        valid: Which targets exist, shape (N, K), bool.
        weight: Weight of each row, shape (N,).

    Returns:
        A scalar from 0 to 2; exactly 0, still attached to the graph, where no column counts.

    Examples:
        >>> prediction = torch.tensor([[0.0], [1.0], [1.0]])
        >>> target = torch.tensor([[0.0], [1.0], [2.0]])
        >>> ccc_loss(prediction, target, torch.ones(3, 1).bool(), torch.ones(3))
        tensor(0.3333)
    """
    w = weight.unsqueeze(1).to(prediction.dtype) * valid
    counted = (w > 0).sum(0) >= FEWEST_FOR_CCC
    x, y = torch.where(w > 0, prediction, 0), torch.where(w > 0, target, 0)
    total = w.sum(0)
    w = w / torch.where(total > 0, total, 1)
    mean_x, mean_y = (w * x).sum(0), (w * y).sum(0)
    dx, dy = x - mean_x, y - mean_y
    spread = (w * (dx * dx + dy * dy)).sum(0) + (mean_x - mean_y) ** 2
    ccc = 2 * (w * dx * dy).sum(0) / torch.where(spread > 0, spread, 1)
    return weighted_mean(1 - ccc, counted.to(ccc.dtype))


def keras_categorical(label: Tensor, prediction: Tensor) -> Tensor:
    """Compute the categorical cross-entropy of the authors' library (Keras).

    Args:
        label: Distributions, shape (N, K).
        prediction: Distributions, shape (N, K); normalised and clipped.

    Returns:
        Of each row, shape (N,).
    """
    p = (prediction / prediction.sum(1, keepdim=True)).clamp(LOWEST, HIGHEST)
    return -(label * p.log()).sum(1)


def categorical(logits: Tensor, target: Tensor, reading: Reading) -> Tensor:
    """Compute the cross-entropy of each row in one of the three readings.

    Args:
        logits: Shape (N, K).
        target: Distributions, hard or soft, shape (N, K).
        reading: See `Reading`.

    Returns:
        Shape (N,).

    Examples:
        >>> target = torch.tensor([[1.0, 0.0]])
        >>> categorical(torch.zeros(1, 2), target, Reading.CONVENTIONAL)
        tensor([0.6931])
    """
    match reading:
        case Reading.CONVENTIONAL:
            return -(target * F.log_softmax(logits, dim=1)).sum(1)
        case Reading.KERAS:
            return keras_categorical(target, logits.softmax(1))
        case Reading.KERAS_REVERSED:
            return keras_categorical(logits.softmax(1), target)


def binary(logits: Tensor, target: Tensor, reading: Reading) -> Tensor:
    """Compute the binary cross-entropy of each entry in one of the three readings.

    Args:
        logits: Shape (N, K).
        target: Probabilities, hard or soft, shape (N, K).
        reading: See `Reading`.

    Returns:
        Shape (N, K).

    Examples:
        >>> binary(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), Reading.CONVENTIONAL)
        tensor([[0.6931, 0.6931]])
    """
    if reading is Reading.CONVENTIONAL:
        return F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    label, p = target, logits.sigmoid()
    if reading is Reading.KERAS_REVERSED:
        label, p = p, label
    p = p.clamp(LOWEST, HIGHEST)
    return -(label * (p + LOWEST).log() + (1 - label) * (1 - p + LOWEST).log())


def categorical_loss(
    logits: Tensor, target: Tensor, valid: Tensor, weight: Tensor, reading: Reading
) -> Tensor:
    """Compute the weighted mean of `categorical` over the rows whose whole distribution exists.

    Args:
        logits: Shape (N, K).
        target: Distributions, shape (N, K).
        valid: Which targets exist, shape (N, K), bool.
        weight: Weight of each row, shape (N,).
        reading: See `Reading`.

    Returns:
        A scalar; exactly 0, still attached to the graph, where no row counts.
    """
    w = weight.to(logits.dtype) * valid.all(1)
    counts = (w > 0).unsqueeze(1)
    # A uniform distribution stands in, for the reversed reading divides by the target's sum.
    held = torch.where(counts, target.to(logits.dtype), 1 / target.shape[1])
    return weighted_mean(categorical(torch.where(counts, logits, 0), held, reading), w)


def decoupled_divergence(
    logits: Tensor, teacher_logits: Tensor, labeled: Tensor, weights: tuple[float, float]
) -> Tensor:
    """Compute the two parts of a divergence from a teacher, each by its own weight.

    The first is that of the labeled class against all others together, the second that among
    the others (Zhao and others 2022, arXiv:2203.08679). With weights of 1 and of what the
    teacher leaves to the other classes, it is the Kullback-Leibler divergence.

    Args:
        logits: Shape (N, K), divided by a temperature perhaps.
        teacher_logits: Shape (N, K), likewise.
        labeled: The class of each row, shape (N, K), bool; a row without any has the plain
            divergence.
        weights: Of the labeled class, and of the others.

    Returns:
        Of each row, shape (N,).

    Examples:
        >>> labeled = torch.tensor([[True, False, False]])
        >>> decoupled_divergence(torch.zeros(1, 3), torch.ones(1, 3), labeled, (1.0, 8.0))
        tensor([0.])
    """
    far = 1000.0 * labeled  # as far as the authors push it; its share is then exactly 0
    parts = []
    for each in (teacher_logits, logits):
        whole = each.log_softmax(1)
        own = torch.where(labeled, whole, 0).sum(1)
        rest = (whole - far).logsumexp(1)
        parts.append((whole, torch.stack([own, rest], 1), (each - far).log_softmax(1)))
    plain, target, others = ((p.exp() * (p - q)).sum(1) for p, q in zip(*parts, strict=True))
    return torch.where(labeled.any(1), weights[0] * target + weights[1] * others, plain)


def binary_loss(
    logits: Tensor,
    target: Tensor,
    valid: Tensor,
    weight: Tensor,
    reading: Reading,
    positive_weight: tuple[float, ...] | None = None,
    logit_weight: float = 0.0,
    column_weight: tuple[float, ...] | None = None,
) -> Tensor:
    """Compute the weighted mean of `binary` over the entries that exist.

    Args:
        logits: Shape (N, K).
        target: Probabilities, shape (N, K).
        valid: Which targets exist, shape (N, K), bool.
        weight: Weight of each row, shape (N,).
        reading: See `Reading`.
        positive_weight: For each column what a target of 1 costs against one of 0; a soft
            target lies in between. None is 1.
        logit_weight: Weight of the squared distance between logits and those of soft targets,
            held within `MOST_LOGITS`: how strong an action is also where all agree on its
            presence. Targets of 0 and 1 have no such distance.
        column_weight: Factor of each column; the sum is divided by the number of entries all the
            same. None is 1.

    Returns:
        A scalar; exactly 0, still attached to the graph, where no entry counts.
    """
    w = weight.unsqueeze(1).to(logits.dtype) * valid
    target = torch.where(w > 0, target.to(logits.dtype), 0)
    losses = binary(torch.where(w > 0, logits, 0), target, reading)
    if positive_weight is not None:
        losses = losses * (1 + (logits.new_tensor(positive_weight) - 1) * target)
    if logit_weight:
        soft = (w > 0) & (target > 0) & (target < 1)
        soft_logits = torch.where(soft, target, 0.5).logit().clamp(-MOST_LOGITS, MOST_LOGITS)
        distance = torch.where(soft, logits, 0) - soft_logits
        losses = losses + logit_weight * distance * distance
    if column_weight is not None:
        losses = losses * logits.new_tensor(column_weight)
    return weighted_mean(losses, w)
