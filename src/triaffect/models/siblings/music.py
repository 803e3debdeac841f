"""The network of Music2Emo: vectors side by side, a shared layer, and a branch for each task."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from triaffect.errors import RecipeError
from triaffect.features.external.format import extra_inputs
from triaffect.models.attention import EncoderLayer, sinusoidal_positions
from triaffect.models.base import NetworkShape, NetworkSpec, Outputs, SpecNetwork, Standardise
from triaffect.models.siblings.frames import FaceVectors

ROOTS = QUALITIES = 14
"""Numbers of chord roots and qualities that have a vector."""


class SharedTrunkSpec(NetworkSpec):
    """Widths as in the released program.

    Attributes:
        streams: Which vectors of the moment are read besides those of ``data.extra``.
        hidden: Of the layer that all tasks share.
        branch: Of the layer of each task.
        chords: Which stream of ``data.extra`` has the chords of a song: the numbers of their roots,
            then as many of their qualities, from 0 to 13; empty for none.
    """

    kind: Literal["shared_trunk"]
    streams: tuple[Literal["face", "voice"], ...] = ("face", "voice")
    hidden: int = 512
    branch: int = 256
    chords: str = ""


class ChordSequence(nn.Module):
    """A song's chords as one vector of width 8: that of a first place which attends to all others.

    As coded, places after the last chord are not masked, and the first place has no position.

    Args:
        length: How many chords there are.
    """

    positions: Tensor

    def __init__(self, length: int) -> None:
        super().__init__()
        half = 4
        self.roots, self.qualities = nn.Embedding(ROOTS, half), nn.Embedding(QUALITIES, half)
        for table in (self.roots, self.qualities):
            nn.init.xavier_uniform_(table.weight)
        self.width = 2 * half
        positions = sinusoidal_positions(length, self.width)
        self.register_buffer("positions", positions, persistent=False)
        layers = [EncoderLayer(self.width, 8, 64, 0.1, "relu") for _ in range(2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, numbers: Tensor) -> Tensor:
        """Compute vectors (N, 8) of rows of roots and qualities, shape (N, 2 · length)."""
        roots, qualities = numbers.round().long().clamp(0, ROOTS - 1).chunk(2, dim=1)
        chords = torch.cat([self.roots(roots), self.qualities(qualities)], 2) + self.positions
        first = torch.zeros_like(chords[:, :1])
        attended: Tensor = self.layers(torch.cat([first, chords], 1))[:, 0]
        return attended


class SharedTrunk(SpecNetwork):
    """Vectors of a moment side by side, one layer for all tasks, one more and an output for each.

    A vector that is absent is zero. Streams of other programs are brought to one scale.

    Args:
        spec: Its sizes, from a recipe.
        shape: What it is built for.

    Raises:
        RecipeError: It would read nothing, or chords that ``data.extra`` has not.
    """

    spec: ClassVar = SharedTrunkSpec
    input: ClassVar = "windows"
    has_discriminator: ClassVar = False
    reads_extra: ClassVar = True

    def __init__(self, spec: SharedTrunkSpec, shape: NetworkShape) -> None:
        super().__init__()
        further = {name: each for name, each in shape.scales.items() if name not in _OWN}
        if spec.chords and spec.chords not in further:
            got = ", ".join(further) or "none"
            raise RecipeError(f"data.extra with the stream {spec.chords} of net.chords", got)
        self.streams, self.chord_stream = spec.streams, spec.chords
        self.face = FaceVectors(shape) if "face" in spec.streams else None
        self.voice_scale: Standardise | None = shape.scales.get("voice")
        plain = {name: each for name, each in further.items() if name != spec.chords}
        self.scales = nn.ModuleDict(plain)
        width = shape.face_dim * ("face" in spec.streams) + shape.voice_dim * (
            "voice" in spec.streams
        )
        width += sum(len(each.mean) for each in plain.values())
        self.chords: ChordSequence | None = None
        if spec.chords:
            self.chords = ChordSequence(len(further[spec.chords].mean) // 2)
            width += self.chords.width
        if not width:
            raise RecipeError("a vector to read: net.streams or data.extra", "none")
        self.trunk = nn.Sequential(nn.Linear(width, spec.hidden), nn.ReLU())
        self.branches = nn.ModuleDict(
            {
                task.key: nn.Sequential(
                    nn.Linear(spec.hidden, spec.branch),
                    nn.ReLU(),
                    nn.Linear(spec.branch, task.raw_width),
                )
                for task in shape.tasks
            }
        )

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Compute raw outputs.

        Args:
            inputs: ``face`` (N, W, F) with ``face_present`` (N, W), ``voice`` (N, V) with
                ``voice_present`` (N,), and of each further stream ``extra.NAME`` with
                ``extra.NAME.present``; those that ``streams`` leaves out are left alone.

        Returns:
            Raw outputs (N, K) of every task, and what the shared layer gives.
        """
        parts = []
        if self.face is not None:
            seen = inputs["face_present"].any(1)
            parts.append(_or_zero(self.face.of_moments(inputs), seen))
        if "voice" in self.streams:
            voice = (
                inputs["voice"] if self.voice_scale is None else self.voice_scale(inputs["voice"])
            )
            parts.append(_or_zero(voice, inputs["voice_present"]))
        if self.chords is not None:
            vectors, presence = extra_inputs(self.chord_stream)
            parts.append(_or_zero(self.chords(inputs[vectors]), inputs[presence]))
        for name, scale in self.scales.items():
            vectors, presence = extra_inputs(name)
            parts.append(_or_zero(scale(inputs[vectors]), inputs[presence]))
        features = self.trunk(torch.cat(parts, 1))
        raw = {key: branch(features) for key, branch in self.branches.items()}
        return Outputs(raw, None, features)


_OWN = ("face", "voice")


def _or_zero(vectors: Tensor, present: Tensor) -> Tensor:
    """Vectors (N, D), zero in rows where they are absent."""
    return torch.where(present.unsqueeze(1), vectors, torch.zeros_like(vectors))
