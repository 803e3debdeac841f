"""Learning latents from a network's own slow copy, with what is labeled taken out of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from triaffect.errors import TriaffectError
from triaffect.losses.objective import StepContext


def remove_directions(latents: Tensor, vectors: Tensor, classes: Tensor) -> Tensor:
    """Take from each latent its length along the vector of its class.

    Args:
        latents: Shape (N, D).
        vectors: A vector for each class, shape (D, K).
        classes: Distributions over the classes, shape (N, K); zeros for a row without a label,
            which stays as it is.

    Returns:
        Shape (N, D).

    Examples:
        >>> latent = torch.tensor([[3.0, 4.0]])
        >>> remove_directions(latent, torch.eye(2), torch.tensor([[0.0, 1.0]])).tolist()
        [[3.0, -1.0]]
    """
    lengths: Tensor = torch.linalg.vector_norm(latents, dim=1, keepdim=True)
    return latents - lengths * (classes @ vectors.T)


@dataclass(frozen=True)
class Bootstrap:
    """How far the predicted latents of two variations are from the target's of the other one.

    Attributes:
        weight: Weight of the distances, 2 - 2 cos, summed over both variations.
        orthogonality: Weight of what the classes' vectors lack to be orthogonal and of length 1.
        remove_emotion: Take the direction of a row's class out of the predictions first (BYEL);
            without, it is BYOL (Grill et al. 2020, arXiv:2006.07733) beside labels.
    """

    weight: float = 1.0
    orthogonality: float = 1.0
    remove_emotion: bool = True
    name: str = "bootstrap"

    def __call__(self, context: StepContext) -> dict[str, Tensor]:
        """Compute the terms ``bootstrap.latent`` and ``bootstrap.vectors``.

        Args:
            context: The update.

        Returns:
            Weighted scalars by name.

        Raises:
            TriaffectError: The network has no latents.
        """
        latents = context.outputs.latents
        if latents is None:
            raise TriaffectError("a network that learns latents", "one that does not")
        vectors, predicted = latents.vectors, list(latents.predicted)
        labels = context.targets.get(latents.task)
        if labels is not None and self.remove_emotion:
            classes = labels.values * labels.valid
            predicted = [remove_directions(each, vectors, classes) for each in predicted]
        pairs = zip(predicted, reversed(latents.targets), strict=True)
        distances = [2 - 2 * F.cosine_similarity(own, other.detach(), 1) for own, other in pairs]
        gram = vectors.T @ vectors
        lacking = (torch.eye(len(gram), device=gram.device) - gram).abs().sum()
        return {
            f"{self.name}.latent": self.weight * torch.stack(distances).sum(0).mean(),
            f"{self.name}.vectors": self.orthogonality * lacking,
        }
