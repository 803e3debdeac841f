"""The shipped multi-task network: small, and at ease with a missing face or voice.

What is absent is replaced by a learned placeholder, so a moment may have a face alone, a voice
alone, a single still image, or a window with gaps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from triaffect.errors import RecipeError
from triaffect.features.external.format import extra_inputs
from triaffect.models.base import (
    NetworkShape,
    NetworkSpec,
    Outputs,
    Standardise,
    optional_key,
)
from triaffect.models.discriminator import TaskDiscriminator
from triaffect.tasks.task import Task


class PresentOr(nn.Module):
    """Project what is there; put a learned vector where nothing is.

    Args:
        inputs: Length of a vector.
        width: Length of what comes out.
        scale: What its values are brought to one scale by; None for layer norm.
    """

    def __init__(self, inputs: int, width: int, scale: Standardise | None = None) -> None:
        super().__init__()
        self.project = nn.Sequential(
            scale or nn.LayerNorm(inputs), nn.Linear(inputs, width), nn.LayerNorm(width), nn.GELU()
        )
        self.absent = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Project vectors.

        Args:
            x: Vectors, shape (..., inputs); what stands where nothing is does not matter.
            present: Which of them are there, shape (...), bool.

        Returns:
            Shape (..., width).
        """
        return torch.where(present.unsqueeze(-1), self.project(x), self.absent)


def fill_by_holding(faces: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Fill absent places of windows with the next face in time, or else with the last one.

    Args:
        faces: Vectors, shape (N, W, D).
        present: Which of them are there, shape (N, W), bool.

    Returns:
        Vectors, shape (N, W, D), and which places are filled: all of a window with a face.

    Examples:
        >>> faces = torch.tensor([[[0.0], [5.0], [0.0], [7.0], [0.0]]])
        >>> held, filled = fill_by_holding(faces, faces[:, :, 0] > 0)
        >>> held[0, :, 0].tolist(), filled[0].all().item()
        ([5.0, 5.0, 7.0, 7.0, 7.0], True)
    """
    vectors, flags = list(faces.unbind(1)), list(present.unbind(1))
    last = len(flags) - 1
    later, earlier = range(last - 1, -1, -1), range(1, last + 1)
    for order, step in ((later, 1), (earlier, -1)):
        for at in order:
            there, source = flags[at], at + step
            vectors[at] = torch.where(there.unsqueeze(1), vectors[at], vectors[source])
            flags[at] = there | flags[source]
    return torch.stack(vectors, 1), torch.stack(flags, 1)


Norm = Literal["batch", "layer"]


def dense(inputs: int, outputs: int, dropout: float = 0.0, norm: Norm = "batch") -> nn.Sequential:
    """Make a block of linear layer, norm, SiLU and dropout, (N, inputs) to (N, outputs)."""
    normalize = nn.BatchNorm1d(outputs) if norm == "batch" else nn.LayerNorm(outputs)
    return nn.Sequential(nn.Linear(inputs, outputs), normalize, nn.SiLU(), nn.Dropout(dropout))


class DefaultNetSpec(NetworkSpec):
    """The small presence-aware network over windows of stored vectors."""

    kind: Literal["default"]
    width: int = 128
    head: int = 64
    discriminator: tuple[int, ...] = (64, 32)
    dropout: float = 0.3
    drop_face: float = Field(default=0.15, ge=0, le=0.5)
    drop_voice: float = Field(default=0.15, ge=0, le=0.5)
    drop_extra: float = Field(default=0.15, ge=0, le=0.5)
    hold: bool = optional_key(default=False)
    norm: Norm = optional_key(default="batch")
    face_heads: bool = optional_key(default=False)
    voice_heads: bool = optional_key(default=False)
    fixed_voice_heads: tuple[str, ...] = optional_key(default=())


class VoiceHead(nn.Linear):
    """A linear layer from the voice vector, which may be the whole answer where no face is.

    Args:
        inputs: Length of a voice vector.
        outputs: Length of a task's raw output.

    Attributes:
        share: What the rest of the network adds to it, shape (): 1, or 0 of a fixed one. It is
            stored with the weights, so that who trains on from them has the same network.
    """

    share: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)
        self.register_buffer("share", torch.ones(()))

    def fix(self, weight: Tensor, bias: Tensor) -> None:
        """Make a voice network's head, (outputs, inputs) and (outputs,), the whole answer."""
        with torch.no_grad():
            self.weight.copy_(weight)
            self.bias.copy_(bias)
            self.share.zero_()
        self.requires_grad_(requires_grad=False)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        *more: Any,  # noqa: ANN401 - torch's own hook
    ) -> None:
        """Take weights, which say whether the head is fixed; older ones, without, are not."""
        share = state_dict.setdefault(f"{prefix}share", torch.ones(()))
        if self.share == 0 and share != 0:
            self.requires_grad_(requires_grad=True)
        super()._load_from_state_dict(state_dict, prefix, *more)


class DefaultNet(nn.Module):
    """Window of face vectors, one voice vector and maybe further ones to all tasks.

    The moment's own face also speaks directly: a linear layer from its vector, as the face network
    had while it learnt, adds to each task's answer, so that what it reads of a still face is kept.
    Where a window has no face, the voice may speak directly in the same way.

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
        drop_extra: Share of training rows that have a further vector hidden, each by itself,
            if they have a face or a voice.
        hold: Fill places of a window that has no face there with the next face, or after the last
            with that. A still picture, its first frame as a video and the same face held for ten
            seconds are then the same input.
        norm: What follows each linear layer. Where faces and voices come in batches of their
            own, batch norm learns from each alone and then answers by the mean of both: layer
            norm answers as it learned.
        face_heads: The layers by which a face speaks directly begin as the heads of the face
            network that made the vectors, where the store has them.
        voice_heads: Where no face is in the window, a linear layer from the voice vector adds to
            each task's answer; it begins as the head of the voice network, where the store has it.
        fixed_voice_heads: Keys of tasks whose head of the voice network is, without a face in the
            window, the whole answer, and does not learn. What is learned from the people that the
            voice network has learned from is surer than it may be about others.
        scales: Means and spreads of the streams that have columns of their own units: by
            "face", by "voice", and by the name of each further stream, in order.

    Raises:
        RecipeError: A head is to be fixed that the store's voice network has not.
    """

    spec: ClassVar = DefaultNetSpec
    input: ClassVar = "windows"
    has_discriminator: ClassVar = True
    reads_extra: ClassVar = True

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
        *,
        drop_extra: float = 0.15,
        hold: bool = False,
        norm: Norm = "batch",
        face_heads: Mapping[str, Tensor] | None = None,
        voice_heads: Mapping[str, Tensor] | None = None,
        fixed_voice_heads: Sequence[str] = (),
        scales: Mapping[str, Standardise] | None = None,
    ) -> None:
        super().__init__()
        self.drop_face, self.drop_voice, self.drop_extra = drop_face, drop_voice, drop_extra
        further = dict(scales or {})
        self.face_scale = further.pop("face", None)
        self.face = PresentOr(face_dim, width, self.face_scale)
        self.voice = PresentOr(voice_dim, width, further.pop("voice", None))
        self.hold, self.names = hold, tuple(further)
        self.extra = nn.ModuleList(
            PresentOr(len(scale.mean), width, scale) for scale in further.values()
        )
        self.memory = nn.GRUCell(width, width)
        joined, block = (3 + len(self.names)) * width, partial(dense, norm=norm)
        self.trunk = nn.Sequential(block(joined, 2 * width, dropout), block(2 * width, width))
        self.heads = nn.ModuleDict(
            {
                task.key: nn.Sequential(block(width, head), nn.Linear(head, task.raw_width))
                for task in tasks
            }
        )
        self.direct = self._direct_face(face_dim, tasks, face_heads or {})
        self.direct_voice = self._direct_voice(voice_dim, tasks, voice_heads, fixed_voice_heads)
        self.discriminator = (
            TaskDiscriminator(width, discriminator, classes, dropout) if classes else None
        )

    @classmethod
    def build(cls, spec: DefaultNetSpec, shape: NetworkShape) -> Self:
        """Make a freshly initialized network.

        Args:
            spec: Its sizes, from a recipe.
            shape: What it is built for; its scales name the streams of other programs.
        """
        sizes = spec.sizes() | {
            "face_heads": shape.face_heads if spec.face_heads else None,
            "voice_heads": shape.voice_heads if spec.voice_heads else None,
        }
        return cls(
            shape.face_dim,
            shape.voice_dim,
            shape.tasks,
            classes=shape.classes,
            scales=shape.scales,
            **sizes,
        )

    def _direct_face(
        self, face_dim: int, tasks: Sequence[Task], parameters: Mapping[str, Tensor]
    ) -> nn.ModuleDict:
        """Make layers that begin with the answers that the face network had, where it had any."""
        layers = nn.ModuleDict()
        for task in tasks:
            layers[task.key] = layer = nn.Linear(face_dim, task.raw_width, bias=False)
            nn.init.zeros_(layer.weight)
            weight = parameters.get(f"{task.key}.weight")
            if weight is not None and weight.shape == layer.weight.shape:
                last = self.heads[task.key].get_submodule("1")
                assert isinstance(last, nn.Linear)  # noqa: S101 - for mypy
                with torch.no_grad():
                    layer.weight.copy_(weight)
                    last.weight.zero_()
                    last.bias.copy_(parameters[f"{task.key}.bias"])
        return layers

    def _direct_voice(
        self,
        voice_dim: int,
        tasks: Sequence[Task],
        parameters: Mapping[str, Tensor] | None,
        fixed: Sequence[str],
    ) -> nn.ModuleDict | None:
        """Make layers that begin with the answers that the voice network had, where it had any."""
        layers = nn.ModuleDict()
        unfixed = set(fixed)
        for task in tasks if parameters is not None else ():
            layers[task.key] = layer = VoiceHead(voice_dim, task.raw_width)
            weight = (parameters or {}).get(f"{task.key}.weight")
            if weight is None or weight.shape != layer.weight.shape:
                continue
            bias = (parameters or {})[f"{task.key}.bias"]
            if task.key in fixed:
                layer.fix(weight, bias)
                unfixed.remove(task.key)
                continue
            last = self.heads[task.key].get_submodule("1")
            assert isinstance(last, nn.Linear)  # noqa: S101 - for mypy
            with torch.no_grad():
                layer.weight.copy_(weight)
                last.weight.zero_()
                layer.bias.copy_(bias - last.bias)
        if unfixed:
            names = ", ".join(sorted(unfixed))
            expected = "net.fixed_voice_heads of tasks that the store's voice network has heads for"
            remedy = "leave them out, or extract with a voice network that reads these tasks"
            if parameters is None:
                expected, remedy = "net.voice_heads, which net.fixed_voice_heads needs", "set it"
            raise RecipeError(expected, f"none for {names}", remedy)
        return layers if parameters is not None else None

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Compute the raw outputs of windows.

        In training some faces, voices and further vectors are hidden at random.

        Args:
            inputs: ``face`` (N, W, Df), ``face_present`` (N, W), ``voice`` (N, Dv),
                ``voice_present`` (N,), and of each further stream ``extra.<name>`` (N, D) and
                ``extra.<name>.present`` (N,).

        Returns:
            Raw outputs (N, K) of every task, the discriminator's logits (N, classes) if there is
            one, and the shared features (N, width).
        """
        face_present, voice_present = inputs["face_present"], inputs["voice_present"]
        if self.training:
            face_present, voice_present = self._hide(face_present, voice_present)
        window, filled = inputs["face"], face_present
        if self.hold:
            window, filled = fill_by_holding(window, face_present)
        faces = self.face(window, filled)
        memory = faces.new_zeros(faces.shape[0], faces.shape[2])
        for position in range(faces.shape[1]):
            memory = self.memory(faces[:, position], memory)
        voice = self.voice(inputs["voice"], voice_present)
        extras = self._extras(inputs, face_present.any(1) | voice_present)
        features = self.trunk(torch.cat([memory, faces[:, -1], voice, *extras], 1))
        # The moment's own face vector as the face network gave it, zero where there is none.
        own = inputs["face"][:, -1]
        if self.face_scale is not None:
            own = self.face_scale(own)
        own = torch.where(face_present[:, -1].unsqueeze(1), own, 0)
        raw = {key: head(features) + self.direct[key](own) for key, head in self.heads.items()}
        if self.direct_voice is not None:
            spoken = (voice_present & ~face_present.any(1)).unsqueeze(1)
            vector = torch.where(spoken, inputs["voice"], 0)
            for key, layer in self.direct_voice.items():
                answer = layer(vector) + layer.share * raw[key]
                raw[key] = torch.where(spoken, answer, raw[key])
        domain = None if self.discriminator is None else self.discriminator(features)
        return Outputs(raw=raw, domain=domain, features=features)

    def _extras(self, inputs: dict[str, Tensor], others: Tensor) -> list[Tensor]:
        """Project each further stream's vectors; ``others``: rows with a face or a voice."""
        projected = []
        for name, project in zip(self.names, self.extra, strict=True):
            vectors, presence = extra_inputs(name)
            present = inputs[presence]
            if self.training:
                present = present & ~(
                    others & (torch.rand(len(present), device=present.device) < self.drop_extra)
                )
            projected.append(project(inputs[vectors], present))
        return projected

    def _hide(self, face: Tensor, voice: Tensor) -> tuple[Tensor, Tensor]:
        """Hide a face or a voice at random, never the only one a row has."""
        draw = torch.rand(len(voice), device=voice.device)
        hide_face = (draw < self.drop_face) & voice
        hide_voice = (draw > 1 - self.drop_voice) & face.any(1)
        return face & ~hide_face.unsqueeze(1), voice & ~hide_voice
