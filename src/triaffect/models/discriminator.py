"""The task discriminator behind a gradient reversal (Ganin and Lempitsky, 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from triaffect.models.keras_layers import dense, dense_blocks


class _Reversal(torch.autograd.Function):
    @staticmethod
    @override
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    @override
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.neg()


def reverse_gradient(x: Tensor) -> Tensor:
    """Return the same values; their gradient is negated on its way back.

    Args:
        x: Any shape.

    Examples:
        >>> x = torch.ones(2, requires_grad=True)
        >>> reverse_gradient(x).sum().backward()
        >>> x.grad
        tensor([-1., -1.])
    """
    return _Reversal.apply(x)  # type: ignore[no-any-return, no-untyped-call]


class TaskDiscriminator(nn.Module):
    """Guesses from shared features where a row came from; what it learns, they unlearn.

    Args:
        inputs: Width of the shared features.
        widths: Widths of the hidden dense blocks.
        classes: What there is to tell apart.
        dropout: Of the hidden blocks.
    """

    def __init__(self, inputs: int, widths: Sequence[int], classes: int, dropout: float) -> None:
        super().__init__()
        self.hidden = dense_blocks(inputs, widths, dropout)
        self.out = dense(widths[-1], classes)

    def forward(self, features: Tensor) -> Tensor:
        """Guess where rows came from.

        Args:
            features: Shared features, shape (N, inputs); the gradient that they get is reversed.

        Returns:
            Logits, shape (N, classes).
        """
        logits: Tensor = self.out(self.hidden(reverse_gradient(features)))
        return logits
