"""Networks of published systems that look at one face vector at a time.

The systems are those of docs/siblings.md. Where one begins with a convolutional network of its own,
its part after that stands here, on a stored vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from triaffect.errors import RecipeError
from triaffect.features.external.format import extra_inputs
from triaffect.models.attention import EncoderLayer, sinusoidal_positions
from triaffect.models.base import NetworkShape, NetworkSpec, Outputs, Standardise
from triaffect.models.default import fill_by_holding
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION
from triaffect.tasks.task import Task
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL


class FaceVectors(nn.Module):
    """The face vectors of windows, on one scale and without gaps.

    Args:
        shape: What the network is built for; vectors of another program have scales.
    """

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.position, self.width = shape.position, shape.face_dim
        self.scale: Standardise | None = shape.scales.get("face")

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Fill absent places with the next face in time, or else the last one.

        Args:
            inputs: ``face`` (N, W, F) and ``face_present`` (N, W).

        Returns:
            Vectors, shape (N, W, F).
        """
        faces, _ = fill_by_holding(inputs["face"], inputs["face_present"])
        return faces if self.scale is None else self.scale(faces)

    def of_moments(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the vectors at the moments themselves, shape (N, F); takes what `forward` does."""
        faces: Tensor = self(inputs)[:, self.position]
        return faces


class VectorLayersSpec(NetworkSpec):
    """Dense layers from a vector to all outputs at once; without ``hidden`` a linear one."""

    kind: Literal["vector_layers"]
    hidden: tuple[int, ...] = (4096, 4096)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class VectorLayers(nn.Module):
    """The challenge baselines: what is trained of them, on what their fixed layers give.

    Args:
        shape: What it is built for.
        hidden: Widths of the dense layers before the last.
        dropout: Share of their activations dropped while training.
    """

    spec: ClassVar = VectorLayersSpec
    input: ClassVar = "windows"
    has_discriminator: ClassVar = False
    reads_extra: ClassVar = False
    reads_voice: ClassVar = False
    reads_single_faces: ClassVar = True

    def __init__(self, shape: NetworkShape, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.face = FaceVectors(shape)
        self.widths = {task.key: task.raw_width for task in shape.tasks}
        layers: list[nn.Module] = []
        width = shape.face_dim
        for inner in hidden:
            layers += [nn.Linear(width, inner), nn.ReLU(), nn.Dropout(dropout)]
            width = inner
        self.trunk = nn.Sequential(*layers)
        self.output = nn.Linear(width, sum(self.widths.values()))

    @classmethod
    def build(cls, spec: VectorLayersSpec, shape: NetworkShape) -> Self:
        """Make a freshly initialized network.

        Args:
            spec: Its sizes, from a recipe.
            shape: What it is built for.
        """
        return cls(shape, **spec.sizes())

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Compute raw outputs.

        Args:
            inputs: ``face`` (N, W, F) and ``face_present`` (N, W); others are left alone.

        Returns:
            Raw outputs (N, K) of every task, and what the last layer sees.
        """
        features = self.trunk(self.face.of_moments(inputs))
        parts = self.output(features).split(list(self.widths.values()), dim=1)
        return Outputs(dict(zip(self.widths, parts, strict=True)), None, features)


class EmmaSpec(NetworkSpec):
    """Widths as published.

    Attributes:
        hidden: Between the vector and the logits of expressions and units.
        va_hidden: Between all logits and valence and arousal.
        drifting_expert: As the authors coded it, the expert's last batch norm stays in training
            mode though its weights are frozen: its logits are normalized by each batch while
            training, and by the drifting statistics afterwards.
    """

    kind: Literal["emma"]
    hidden: int = 512
    va_hidden: int = 256
    drifting_expert: bool = False


class EmmaNet(nn.Module):
    """Valence and arousal from the logits of expressions and units, beside a frozen expert's.

    The expert's logits are the further stream that the recipe names, or else those of the face
    network that made the store's vectors, by its own head of expressions.

    Args:
        shape: What it is built for.
        hidden: See `EmmaSpec`.
        va_hidden: Likewise.
        drifting_expert: Likewise.

    Raises:
        RecipeError: There is no expert, or more than one; or nothing beside valence and arousal.
    """

    spec: ClassVar = EmmaSpec
    input: ClassVar = "windows"
    has_discriminator: ClassVar = False
    reads_extra: ClassVar = True
    reads_voice: ClassVar = False

    expert_weight: Tensor | None
    expert_bias: Tensor | None

    def __init__(
        self, shape: NetworkShape, hidden: int, va_hidden: int, drifting_expert: bool
    ) -> None:
        super().__init__()
        keys = [task.key for task in shape.tasks]
        if VALENCE_AROUSAL.key not in keys or len(keys) == 1:
            raise RecipeError("valence and arousal, and another task", ", ".join(keys))
        self.widths = {
            task.key: task.raw_width for task in shape.tasks if task.key != VALENCE_AROUSAL.key
        }
        self.stream, experts = self._find_expert(shape)
        self.face = FaceVectors(shape)
        logits = sum(self.widths.values())
        self.trunk = nn.Sequential(nn.Linear(shape.face_dim, hidden), nn.ReLU())
        self.output = nn.Linear(hidden, logits)
        self.drift = nn.BatchNorm1d(experts, affine=False) if drifting_expert else None
        va_width = next(t.raw_width for t in shape.tasks if t.key == VALENCE_AROUSAL.key)
        self.va = nn.Sequential(
            nn.Linear(experts + logits, va_hidden), nn.ReLU(), nn.Linear(va_hidden, va_width)
        )

    @classmethod
    def build(cls, spec: EmmaSpec, shape: NetworkShape) -> Self:
        """Make a freshly initialized network.

        Args:
            spec: Its sizes, from a recipe.
            shape: What it is built for.
        """
        return cls(shape, **spec.sizes())

    def _find_expert(self, shape: NetworkShape) -> tuple[str, int]:
        """Return the expert's stream, empty for the store's own face network, and its logits."""
        streams = [name for name in shape.scales if name not in ("face", "voice")]
        weight = shape.face_heads.get(f"{EXPRESSION.key}.weight")
        if len(streams) > 1:
            raise RecipeError("one stream of an expert's logits", ", ".join(streams))
        if not streams and weight is None:
            raise RecipeError(
                "an expert's logits of expressions",
                "a store without, whose face network keeps no heads",
                "join them as a stream and --set data.extra=['NAME']",
            )
        bias = shape.face_heads.get(f"{EXPRESSION.key}.bias")
        self.register_buffer("expert_weight", None)
        self.register_buffer("expert_bias", None)
        if streams or weight is None:
            return streams[0], len(shape.scales[streams[0]].mean)
        self.expert_weight = weight.float()
        self.expert_bias = None if bias is None else bias.float()
        return "", len(weight)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Compute raw outputs.

        Args:
            inputs: ``face`` (N, W, F), ``face_present`` (N, W), and ``extra.<expert>`` (N, E),
                zero where there is none; others are left alone.

        Returns:
            Raw outputs (N, K) of every task, and what the logits are computed from.
        """
        faces = self.face.of_moments(inputs)
        features = self.trunk(faces)
        logits = self.output(features)
        if self.stream:
            expert = inputs[extra_inputs(self.stream)[0]]
        else:
            expert = nn.functional.linear(faces, self.expert_weight, self.expert_bias)  # type: ignore[arg-type]
        if self.drift is not None:
            expert = self.drift(expert)
        parts = logits.split(list(self.widths.values()), dim=1)
        raw = dict(zip(self.widths, parts, strict=True))
        raw[VALENCE_AROUSAL.key] = self.va(torch.cat([expert, logits], 1))
        return Outputs(raw, None, features)


class SlotNetSpec(NetworkSpec):
    """Sizes as published: 17 slots of width 16, of which the first are the labeled units."""

    kind: Literal["slots"]
    slots: int = 17
    width: int = 16
    heads: int = 8
    inner: int = 1024
    dropout: float = Field(default=0.3, ge=0, lt=1)


class SlotNet(nn.Module):
    """Sign and message: a slot for each unit, and what they mean together.

    Units are read from slots that have attended to each other. Other tasks are read from the
    slots as they were before, each turned by a matrix of its own and task, by their mean.

    Args:
        shape: What it is built for.
        slots: How many slots there are; some have no label.
        width: Length of a slot's vector.
        heads: Of the attention.
        inner: Width of its dense layer.
        dropout: Share of activations dropped while training, in the attention.

    Raises:
        RecipeError: There are fewer slots than units.
    """

    spec: ClassVar = SlotNetSpec
    input: ClassVar = "windows"
    has_discriminator: ClassVar = False
    reads_extra: ClassVar = False
    reads_voice: ClassVar = False
    reads_single_faces: ClassVar = True

    positions: Tensor

    def __init__(
        self,
        shape: NetworkShape,
        slots: int,
        width: int,
        heads: int,
        inner: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if slots < ACTION_UNITS.width:
            raise RecipeError(f"a slot at least for each of {ACTION_UNITS.width} units", str(slots))
        self.face, self.slots = FaceVectors(shape), slots
        self.tokens = nn.Linear(shape.face_dim, slots * width)
        self.register_buffer("positions", sinusoidal_positions(slots, width), persistent=False)
        self.drop = nn.Dropout(dropout)
        self.attend = EncoderLayer(width, heads, inner, dropout, "gelu")
        self.unit_weight = nn.Parameter(torch.empty(ACTION_UNITS.width, width))
        self.unit_bias = nn.Parameter(torch.zeros(ACTION_UNITS.width))
        nn.init.xavier_uniform_(self.unit_weight)
        self.units = [task.key for task in shape.tasks if task.key == ACTION_UNITS.key]
        others: list[Task] = [task for task in shape.tasks if task.key != ACTION_UNITS.key]
        self.turns = nn.ParameterDict()
        for task in others:
            self.turns[task.key] = nn.Parameter(torch.empty(slots, width, width))
            nn.init.uniform_(self.turns[task.key], -(width**-0.5), width**-0.5)
        self.heads = nn.ModuleDict({task.key: nn.Linear(width, task.raw_width) for task in others})

    @classmethod
    def build(cls, spec: SlotNetSpec, shape: NetworkShape) -> Self:
        """Make a freshly initialized network.

        Args:
            spec: Its sizes, from a recipe.
            shape: What it is built for.
        """
        return cls(shape, **spec.sizes())

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Compute raw outputs.

        Args:
            inputs: ``face`` (N, W, F) and ``face_present`` (N, W); others are left alone.

        Returns:
            Raw outputs (N, K) of every task, and all slots side by side.
        """
        tokens = self.tokens(self.face.of_moments(inputs)).unflatten(1, (self.slots, -1))
        raw = {}
        for key in self.units:
            attended = self.attend(self.drop(tokens + self.positions))
            first = attended[:, : len(self.unit_bias)]
            raw[key] = (first * self.unit_weight).sum(2) + self.unit_bias
        for key, head in self.heads.items():
            turned = torch.einsum("nsd,sde->nse", tokens, self.turns[key])
            raw[key] = head(turned.mean(1))
        return Outputs(raw, None, tokens.flatten(1))
