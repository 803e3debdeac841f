"""The shipped multi-task network: small, and at ease with a missing face or voice.

What is absent is replaced by a learned placeholder, so a moment may have a face alone, a voice
alone, a single still image, or a window with gaps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from triaffect.nets.discriminator import TaskDiscriminator
from triaffect.nets.outputs import Outputs
from triaffect.tasks.task import Task


class PresentOr(nn.Module):
    """Project what is there; put a learned vector where nothing is."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.LayerNorm(inputs), nn.Linear(inputs, width), nn.LayerNorm(width), nn.GELU()
        )
        self.absent = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Vectors (..., inputs) with presence (...) to (..., width)."""
        return torch.where(present.unsqueeze(-1), self.project(x), self.absent)


def dense(inputs: int, outputs: int, dropout: float = 0.0) -> nn.Sequential:
    """Linear, batch norm, SiLU, dropout."""
    return nn.Sequential(
        nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.SiLU(), nn.Dropout(dropout)
    )


class DefaultNet(nn.Module):
    """Window of face vectors and one voice vector to all tasks.

    Args:
        face_dim: Length of a face vector.
        voice_dim: Length of a voice vector.
        tasks: What to predict.
        classes: What the discriminator tells apart; none builds no discriminator.
        width: Inner width.
        head: Width of each task's head.
        discriminator: Widths of the discriminator.
        dropout: In the trunk and the discriminator.
        drop_face: Share of training rows that have their face hidden, if they have a voice.
        drop_voice: Share of training rows that have their voice hidden, if they have a face.
    """

    def __init__(
        self,
        face_dim: int,
        voice_dim: int,
        tasks: Sequence[Task],
        classes: int = 3,
        width: int = 128,
        head: int = 64,
        discriminator: Sequence[int] = (64, 32),
        dropout: float = 0.3,
        drop_face: float = 0.15,
        drop_voice: float = 0.15,
    ) -> None:
        super().__init__()
        self.drop_face, self.drop_voice = drop_face, drop_voice
        self.face = PresentOr(face_dim, width)
        self.voice = PresentOr(voice_dim, width)
        self.memory = nn.GRUCell(width, width)
        self.trunk = nn.Sequential(dense(3 * width, 2 * width, dropout), dense(2 * width, width))
        self.heads = nn.ModuleDict(
            {
                task.key: nn.Sequential(dense(width, head), nn.Linear(head, task.width))
                for task in tasks
            }
        )
        self.discriminator = (
            TaskDiscriminator(width, discriminator, classes, dropout) if classes else None
        )

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Arrays of a window batch to raw outputs.

        Args:
            inputs: ``face`` (N, W, Df), ``face_present`` (N, W), ``voice`` (N, Dv) and
                ``voice_present`` (N,).
        """
        face_present, voice_present = inputs["face_present"], inputs["voice_present"]
        if self.training:
            face_present, voice_present = self._hide(face_present, voice_present)
        faces = self.face(inputs["face"], face_present)
        memory = faces.new_zeros(faces.shape[0], faces.shape[2])
        for position in range(faces.shape[1]):
            memory = self.memory(faces[:, position], memory)
        voice = self.voice(inputs["voice"], voice_present)
        features = self.trunk(torch.cat([memory, faces[:, -1], voice], 1))
        raw = {key: head(features) for key, head in self.heads.items()}
        domain = None if self.discriminator is None else self.discriminator(features)
        return Outputs(raw=raw, domain=domain, features=features)

    def _hide(self, face: Tensor, voice: Tensor) -> tuple[Tensor, Tensor]:
        """Hide a face or a voice at random, never the only one a row has."""
        draw = torch.rand(len(voice))
        hide_face = (draw < self.drop_face) & voice
        hide_voice = (draw > 1 - self.drop_voice) & face.any(1)
        return face & ~hide_face.unsqueeze(1), voice & ~hide_voice
