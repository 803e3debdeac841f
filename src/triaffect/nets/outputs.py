"""What every multi-task network returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """One forward pass over N rows.

    Attributes:
        raw: Raw outputs by task key, before the task's activation, shape (N, K) each.
        domain: Logits of what the discriminator tells apart, shape (N, classes); None if the
            network has no discriminator.
        features: The shared features that heads and discriminator see, shape (N, D).
    """

    raw: dict[str, Tensor]
    domain: Tensor | None
    features: Tensor
