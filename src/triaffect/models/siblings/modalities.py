"""A transformer within and between modalities, over sequences of faces and voices.

The system is SDT (Ma and others, arXiv 2310.20494): each modality is encoded once by itself and
once by each other one, gates choose among the encodings and then among the modalities, and a
head of each modality learns from the fused one besides the labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from triaffect.errors import RecipeError
from triaffect.models.attention import sinusoidal_positions
from triaffect.models.base import (
    Branch,
    NetworkShape,
    NetworkSpec,
    Outputs,
    SpecNetwork,
    Standardise,
)
from triaffect.models.siblings.frames import FaceVectors

FACE, VOICE, FUSED = "face", "voice", "fused"
HIDDEN = -1e9
"""Logit of what is not there; far enough for a weight of exactly 0."""


class CrossEncoder(nn.Module):
    """One layer in which one modality's places attend to another's, or to their own.

    There is no norm before or after the attention, as the layer is the only one; there is one
    before the dense part.

    Args:
        width: Length D of a vector.
        heads: How many heads attend, each to a share of the vector.
        inner: Width of the dense part.
        dropout: Share of activations dropped while training.
    """

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.drop, self.norm = nn.Dropout(dropout), nn.LayerNorm(width)
        self.dense = nn.Sequential(
            nn.Linear(width, inner),
            nn.GELU("tanh"),
            nn.Dropout(dropout),
            nn.Linear(inner, width),
            nn.Dropout(dropout),
        )

    def forward(self, target: Tensor, source: Tensor, present: Tensor) -> Tensor:
        """Encode a modality by another one.

        Args:
            target: The modality that is encoded, (N, L, D).
            source: The one that is looked at, (N, L, D).
            present: Which places of it there are, (N, L), bool. Without any, nothing is added.

        Returns:
            Shape (N, L, D).
        """
        queries, keys, values = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, target), (self.key, source), (self.value, source))
        )
        seen = present[:, None, None]
        scores = queries @ keys.transpose(2, 3) / keys.shape[3] ** 0.5
        weights = scores.masked_fill(~seen, HIDDEN).softmax(3) * seen
        attended = self.out((weights @ values).transpose(1, 2).flatten(2))
        x = target + self.drop(attended) * present.any(1)[:, None, None]
        y: Tensor = x + self.dense(self.norm(x))
        return y


class ModalityTransformerSpec(NetworkSpec):
    """Sizes as in the released program.

    Attributes:
        width: Of everything.
        heads: Of the attention.
        inner: Width of a layer's dense part.
        dropout: Share of activations dropped while training.
        gate: Before encodings are joined, each is multiplied by the sigmoid of a trained layer
            of it ("trained"), or of itself ("identity", as for the data set MELD).
    """

    kind: Literal["sdt"]
    width: int = 1024
    heads: int = 8
    inner: int = 1024
    dropout: float = Field(default=0.5, ge=0, lt=1)
    gate: Literal["trained", "identity"] = "trained"


class FusedModalities(nn.Module):
    """The part of SDT after its inputs: any number of modalities to any number of tasks.

    Args:
        widths: Length of each modality's vectors, by its name.
        outputs: Raw outputs K of each task, by its key.
        spec: Its sizes.

    Raises:
        RecipeError: The width cannot be shared by the heads.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        outputs: Mapping[str, int],
        spec: ModalityTransformerSpec,
    ) -> None:
        super().__init__()
        width, rate = spec.width, spec.dropout
        if width % spec.heads or width % 2:
            raise RecipeError(f"an even net.width in {spec.heads} heads", str(width))
        self.width, self.names = width, tuple(widths)
        self.project = nn.ModuleDict(
            {name: nn.Linear(inputs, width, bias=False) for name, inputs in widths.items()}
        )
        pairs = [f"{target}_{source}" for target in widths for source in widths]
        self.encoders = nn.ModuleDict(
            {pair: CrossEncoder(width, spec.heads, spec.inner, rate) for pair in pairs}
        )
        self.gates = nn.ModuleDict(
            {
                pair: nn.Linear(width, width, bias=False)
                if spec.gate == "trained"
                else nn.Identity()
                for pair in pairs
            }
        )
        self.join = nn.ModuleDict({name: nn.Linear(len(widths) * width, width) for name in widths})
        self.choose = nn.Linear(width, width, bias=False)
        self.drop = nn.Dropout(rate)
        self.heads = nn.ModuleDict(
            {
                name: nn.ModuleDict({key: nn.Linear(width, k) for key, k in outputs.items()})
                for name in (*widths, FUSED)
            }
        )

    def forward(
        self, streams: Mapping[str, Tensor], present: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, dict[str, Tensor]]]:
        """Fuse sequences.

        Args:
            streams: Vectors of each modality, (N, L, its width), by its name.
            present: Which places of it there are, (N, L), bool.

        Returns:
            Fused features (N, L, D), and by the name of a modality, or "fused", the raw outputs
            (N, L, K) of every task.
        """
        length = next(iter(streams.values())).shape[1]
        positions = sinusoidal_positions(length, self.width)
        x = {}
        for name, project in self.project.items():
            vectors = project(streams[name])
            x[name] = self.drop(vectors + positions.to(vectors.device))
        joined = [self._encode(name, x, present) for name in self.names]
        there = torch.stack([present[name].any(1) for name in self.names], 1)
        shown = there | ~there.any(1, keepdim=True)  # of none, all: their answers mean nothing
        logits = torch.stack([self.choose(each) for each in joined], 1)
        weights = logits.masked_fill(~shown[:, :, None, None], HIDDEN).softmax(1)
        fused = (weights * torch.stack(joined, 1)).sum(1)
        answers = {FUSED: self._answer(FUSED, fused)}
        for name, each in zip(self.names, joined, strict=True):
            answers[name] = self._answer(name, self.drop(torch.relu(each)))
        return fused, answers

    def _encode(self, name: str, x: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Join a modality's encodings by every modality, each behind its gate, to (N, L, D)."""
        gated = []
        for source in self.names:
            pair = f"{name}_{source}"
            encoded = self.encoders[pair](x[name], x[source], present[source])
            gated.append(torch.sigmoid(self.gates[pair](encoded)) * encoded)
        y: Tensor = self.join[name](torch.cat(gated, 2))
        return y

    def _answer(self, name: str, features: Tensor) -> dict[str, Tensor]:
        heads = self.heads.get_submodule(name)
        return {key: head(features) for key, head in heads.named_children()}


class ModalityTransformer(SpecNetwork):
    """SDT on sequences of faces and voices.

    Where a window has no face, or no voice, nothing looks at that modality, the gate leaves it
    out, and its own head learns nothing. Places without a face have the next one in time, or
    else the last; nothing looks at places without a voice.

    Args:
        spec: Its sizes.
        shape: What it is built for.
    """

    spec: ClassVar = ModalityTransformerSpec
    input: ClassVar = "windows"
    has_discriminator: ClassVar = False
    reads_extra: ClassVar = False
    answers_sequence: ClassVar = True
    reads_voice_sequence: ClassVar = True
    has_branches: ClassVar = True

    def __init__(self, spec: ModalityTransformerSpec, shape: NetworkShape) -> None:
        super().__init__()
        self.face = FaceVectors(shape)
        self.voice_scale: Standardise | None = shape.scales.get(VOICE)
        self.fusion = FusedModalities(
            {FACE: shape.face_dim, VOICE: shape.voice_dim},
            {task.key: task.raw_width for task in shape.tasks},
            spec,
        )

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Compute raw outputs.

        Args:
            inputs: ``face`` (N, W, F), ``face_present`` (N, W), ``voice`` (N, W, V) and
                ``voice_present`` (N, W).

        Returns:
            Raw outputs of every task at the moments (N, K) and at every place (N, W, K), the
            fused features of the moments, and the branches "face" and "voice".
        """
        has_face, voice_present = inputs["face_present"].any(1), inputs["voice_present"]
        voices = inputs["voice"] if self.voice_scale is None else self.voice_scale(inputs["voice"])
        streams = {FACE: self.face(inputs), VOICE: voices}
        filled = has_face.unsqueeze(1).expand_as(voice_present)
        present = {FACE: filled, VOICE: voice_present}
        fused, answers = self.fusion(streams, present)
        position = self.face.position
        moments = {
            name: {key: value[:, position] for key, value in every.items()}
            for name, every in answers.items()
        }
        branches = {
            name: Branch(moments[name], present[name].any(1), answers[name])
            for name in (FACE, VOICE)
        }
        return Outputs(moments[FUSED], None, fused[:, position], answers[FUSED], branches)
