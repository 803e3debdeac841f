"""The multi-task network of Jeong, Oh and Lim (arXiv 2203.13072), 4,714,969 parameters.

Inputs are complete: every window position must hold a face vector and every row a voice vector.
Nothing is learned in place of an absent one, so presence is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from triaffect.models.base import NetworkShape, NetworkSpec, Outputs
from triaffect.models.discriminator import TaskDiscriminator
from triaffect.models.keras_layers import ReluLSTM, dense, dense_blocks
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task


class PaperNetSpec(NetworkSpec):
    """The published multi-task network; sizes as in the paper unless said otherwise."""

    kind: Literal["paper"]
    lstm: int = 512
    trunk: tuple[int, ...] = (1024, 512)
    head: tuple[int, ...] = (256, 128)
    discriminator: tuple[int, ...] = (64, 32)
    dropout: float = 0.5


class PaperNet(nn.Module):
    """LSTM over the faces, joined with the voice, a shared trunk, a head for each task.

    Args:
        tasks: What to predict; a head each.
        face_dim: Width of a face vector.
        voice_dim: Width of the voice vector.
        lstm: Units of the LSTM.
        trunk: Widths of the shared dense blocks.
        head: Widths of the dense blocks of each head.
        discriminator: Widths of the discriminator's dense blocks.
        classes: Number of classes the discriminator tells apart; 0 builds none.
        dropout: Of trunk and discriminator; heads have none.
    """

    spec: ClassVar = PaperNetSpec
    input: ClassVar = "windows"
    has_discriminator: ClassVar = True
    reads_extra: ClassVar = False

    def __init__(
        self,
        tasks: Sequence[Task] = TASKS,
        face_dim: int = 512,
        voice_dim: int = 1000,
        lstm: int = 512,
        trunk: Sequence[int] = (1024, 512),
        head: Sequence[int] = (256, 128),
        discriminator: Sequence[int] = (64, 32),
        classes: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.lstm = ReluLSTM(face_dim, lstm)
        self.trunk = dense_blocks(lstm + voice_dim, trunk, dropout)
        self.discriminator = (
            TaskDiscriminator(trunk[-1], discriminator, classes, dropout) if classes else None
        )
        self.heads = nn.ModuleDict(
            {
                task.key: nn.Sequential(
                    dense_blocks(trunk[-1], head), dense(head[-1], task.raw_width)
                )
                for task in tasks
            }
        )

    @classmethod
    def build(cls, spec: PaperNetSpec, shape: NetworkShape) -> Self:
        """Make a freshly initialized network; it takes vectors of any scale as they are.

        Args:
            spec: Its sizes, from a recipe.
            shape: What it is built for; its scales do not count.
        """
        return cls(
            shape.tasks, shape.face_dim, shape.voice_dim, classes=shape.classes, **spec.sizes()
        )

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Run on complete rows.

        Args:
            inputs: ``face`` (N, W, face_dim) and ``voice`` (N, voice_dim), float; others are
                left alone.

        Returns:
            Raw outputs (N, K) of every task, the discriminator's logits (N, classes) if there is
            one, and the shared features (N, trunk[-1]).
        """
        joined = torch.cat([self.lstm(inputs["face"]), inputs["voice"]], dim=1)
        features = self.trunk(joined)
        raw = {key: head(features) for key, head in self.heads.items()}
        domain = None if self.discriminator is None else self.discriminator(features)
        return Outputs(raw, domain, features)
