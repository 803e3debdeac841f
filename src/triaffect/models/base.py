"""The contract of a network, how recipes name networks, loading of weights, and ensembles.

A network that a recipe may name, one of this package or of another, is a `torch.nn.Module` with

- ``spec``, a subclass of `NetworkSpec`: the keys of the recipe's ``[net]`` table, checked by
  pydantic. A class attribute, as are the next three;
- ``input``, what a row of it is:

  ==============  ==========================================================================
  ``"crops"``     ``crop``, gray levels (N, 64, 64), uint8
  ``"logmel"``    ``logmel``, natural-log mel power (N, T, 64), 100 rows a second;
  ``"windows"``   ``face`` (N, W, F) with ``face_present`` (N, W), bool; ``voice`` (N, V) with
                  ``voice_present`` (N,), bool; and of each of ``data.extra``
                  ``extra.NAME`` (N, D) with ``extra.NAME.present`` (N,), bool. With
                  ``data.voice_sequence``, ``voice`` is (N, W, V) and its presence (N, W)
  ==============  ==========================================================================

- ``has_discriminator``: whether it takes a stage's adversary;
- ``reads_extra``: whether it takes further streams, ``data.extra``;
- ``answers_sequence``, if it has it: whether its outputs have a ``sequence``, for
  ``data.sequences``;
- ``reads_voice_sequence``, if it has it: whether it takes ``data.voice_sequence``, and only that;
- ``reads_voice``, if it has it: False for one that reads faces alone, and so takes a store without
  voices;
- ``reads_single_faces``, if it has it: whether the face of the moment is all that it reads, so that
  it can stand behind ``face_encoder`` on crops;
- ``has_branches``, if it has it: whether its outputs have ``branches``, for the terms of a loss
  that learn from or teach them;
- ``answers_views``, if it has it: whether its outputs have ``views`` while it is trained, for a
  stage's agreement;
- ``build(spec, shape)``, a class method that makes a freshly initialized one for a
  `NetworkShape`;
- ``forward(inputs)``, from a dictionary of these inputs to `Outputs`: raw outputs of every task,
  before the task's own activation;
- for crops and logmel, ``encode(x)``, from the input to features (N, D): what is exported, and
  what a store is made with;
- for crops, if it has it, ``answer(features)``: from features (N, D) to raw outputs by task key,
  as `forward` computes them in evaluation mode. It is exported beside ``encode``, so that the
  model predicts by itself;
- ``answers_latents``, if it has it: whether it is built with latents for a stage with
  ``bootstrap``; its crops then come in two variations while it is trained, ``crop`` and ``crop_2``,
  and its outputs have ``latents``;
- ``after_step()``, if it has it, is called whenever an optimizer has changed it;
- ``layers()``, if it has it: names of its parts in the order in which an input goes through them,
  parts of one depth together, for ``optimizer.layer_decay``.

Everything that `forward` does must be exportable with `torch.onnx.export`, with a free number of
rows. In evaluation mode each row's outputs must depend on that row alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from triaffect.errors import ModelError, PluginError, RecipeError
from triaffect.io.plugins import Plugin, find_plugin, plugin_names
from triaffect.tasks.task import Task

NETWORKS = {
    "paper": "triaffect.models.paper:PaperNet",
    "default": "triaffect.models.default:DefaultNet",
    "light_face": "triaffect.models.light_face:LightFace",
    "light_voice": "triaffect.models.light_voice:LightVoice",
    "vector_layers": "triaffect.models.siblings.frames:VectorLayers",
    "emma": "triaffect.models.siblings.frames:EmmaNet",
    "slots": "triaffect.models.siblings.frames:SlotNet",
    "task_branches": "triaffect.models.siblings.sequences:TaskBranches",
    "shared_trunk": "triaffect.models.siblings.music:SharedTrunk",
    "share_bottom": "triaffect.models.siblings.sequences:ShareBottomNet",
    "head_fusion": "triaffect.models.siblings.voices:HeadFusion",
    "sdt": "triaffect.models.siblings.modalities:ModalityTransformer",
    "masked_views": "triaffect.models.siblings.crops:MaskedViews",
    "latent_face": "triaffect.models.siblings.crops:LatentFace",
    "face_encoder": "triaffect.models.siblings.crops:FaceEncoder",
}
"""The package's own networks by the ``kind`` of a recipe's ``[net]``."""

GROUP = "triaffect.networks"
"""Entry points of the networks of other packages."""


class NetworkSpec(BaseModel):
    """Keys of a recipe's ``[net]`` table; a network's own spec adds its sizes.

    Attributes:
        kind: Name of a network of the package or of an entry point, or a dotted path such as
            ``"my_module:MyNet"``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str

    def sizes(self) -> dict[str, Any]:
        """Return everything but the kind, as keyword arguments."""
        return self.model_dump(exclude={"kind"})


def read_network_spec(value: object) -> object:
    """Check a ``[net]`` table by the spec of the network that it names; leave all else as it is.

    Args:
        value: What a recipe has there.
    """
    kind = value.get("kind") if isinstance(value, dict) else None
    return find_network(kind).spec.model_validate(value) if isinstance(kind, str) else value


def optional_key(default: Any, **limits: Any) -> Any:  # noqa: ANN401 - a field of any type
    """Declare a key that recipes had not from the start.

    While it has its default it is not written, so that older recipes keep their hash.

    Args:
        default: Value of a recipe that does not have the key.
        limits: As of `pydantic.Field`, such as ``ge=0``.

    Returns:
        What stands behind the key's annotation in a spec.
    """
    return Field(default=default, exclude_if=lambda value: value == default, **limits)


FARTHEST = 10.0
"""In spreads: values farther from the mean are held here."""


class Standardise(nn.Module):
    """Bring every column to mean 0 and spread 1, by numbers that are saved with the weights.

    Layer norm, which the project's own vectors have, would leave nothing of a stream of one
    column, and let the column of the largest unit drown the others.

    Args:
        mean: Shape (D,).
        std: Shape (D,).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, x: Tensor) -> Tensor:
        """Bring values to one scale.

        Args:
            x: Shape (..., D).

        Returns:
            Shape (..., D), within `FARTHEST` spreads of the mean.
        """
        return ((x - self.mean) / self.std).clamp(-FARTHEST, FARTHEST)


@dataclass(frozen=True)
class NetworkShape:
    """What a network is built for.

    Attributes:
        tasks: What it predicts.
        face_dim: Length of a face vector; 0 for a network that takes none.
        voice_dim: Length of a voice vector; 0 likewise.
        classes: Number of classes that the adversary tells apart; 0 for no discriminator.
        position: Which position of its window the moment is; the last, or the middle one.
        scales: Mean and spread of the columns of streams from other programs, by the input
            that they fill ("face", "voice" or a name of ``data.extra``).
        face_heads: Parameters of the heads with which the face network of the store read its
            vectors, such as ``EXPR.weight`` (K, face_dim) and ``EXPR.bias`` (K,); empty where
            it came without.
        voice_heads: Likewise of the voice network.
        latent: Whether it is for a stage that learns latents.
    """

    tasks: Sequence[Task]
    face_dim: int = 0
    voice_dim: int = 0
    classes: int = 0
    position: int = -1
    scales: Mapping[str, Standardise] = field(default_factory=dict)
    face_heads: Mapping[str, Tensor] = field(default_factory=dict)
    voice_heads: Mapping[str, Tensor] = field(default_factory=dict)
    latent: bool = False


class TrainableNetwork(Protocol):
    """The class of a network that a recipe may name; see the module."""

    spec: ClassVar[type[NetworkSpec]]
    input: ClassVar[Literal["crops", "logmel", "windows"]]
    has_discriminator: ClassVar[bool]
    reads_extra: ClassVar[bool]

    @classmethod
    def build(cls, spec: Any, shape: NetworkShape) -> nn.Module:  # noqa: ANN401 - its own spec
        """Make a freshly initialized network.

        Args:
            spec: Its sizes, an instance of its own ``spec``.
            shape: What it is built for.
        """


class SpecNetwork(nn.Module):
    """A network that is made of its spec and its shape alone: ``cls(spec, shape)``."""

    @classmethod
    def build(cls, spec: Any, shape: NetworkShape) -> Self:  # noqa: ANN401 - its own spec
        """Make a freshly initialized network.

        Args:
            spec: Its sizes, from a recipe.
            shape: What it is built for.
        """
        return cls(spec, shape)


def network_plugin(kind: str) -> Plugin | None:
    """Say where a network comes from.

    Args:
        kind: Name of a network of the package or of an entry point, or a dotted path.

    Returns:
        None for one of the package's own, and for a name that nobody offers.
    """
    return None if kind in NETWORKS else find_plugin(GROUP, kind)


def find_network(kind: str) -> type[TrainableNetwork]:
    """Find the class of a network.

    Args:
        kind: Name of a network of the package or of an entry point, or a dotted path.

    Returns:
        The class; its contract is the module's.

    Raises:
        RecipeError: No network has that name; the message names the nearest.
        PluginError: The network of another package is missing, fails on import, or does not
            keep the contract.
    """
    plugin = Plugin(NETWORKS[kind]) if kind in NETWORKS else find_plugin(GROUP, kind)
    if plugin is None:
        names = [*NETWORKS, *plugin_names(GROUP)]
        near = get_close_matches(kind, names, 1, cutoff=0.4)
        remedy = f"did you mean {near[0]}?" if near else ""
        raise RecipeError("one of the networks " + ", ".join(names), repr(kind), remedy)
    loaded = plugin.load(f"network {kind.rpartition(':')[2]}")
    wrong = "a class" if not isinstance(loaded, type) else ""
    needed = ["spec", "input", "has_discriminator", "reads_extra", "build", "forward"]
    needed += ["encode"] if getattr(loaded, "input", "") in ("crops", "logmel") else []
    wrong = wrong or ", ".join(name for name in needed if not hasattr(loaded, name))
    if wrong or not issubclass(loaded.spec, NetworkSpec):
        got = f"one without {wrong or 'a NetworkSpec as spec'}"
        raise PluginError(f"a network as {plugin.path}", got, "see triaffect.models.base")
    return cast("type[TrainableNetwork]", loaded)


@dataclass(frozen=True)
class Branch:
    """What a further head of a network answers, for the terms of a loss alone.

    Attributes:
        raw: Raw outputs by task key, as of `Outputs`.
        present: Which rows the head has something to go by, shape (N,), bool.
        sequence: As of `Outputs`.
    """

    raw: dict[str, Tensor]
    present: Tensor
    sequence: dict[str, Tensor] | None = None


@dataclass(frozen=True)
class Latents:
    """What a network in training predicts of its own slow copy's view of two variations of a row.

    Attributes:
        task: Key of the task whose classes have the vectors.
        predicted: Of each variation, shape (N, D).
        targets: What the copy says of it, without gradient, shape (N, D).
        vectors: A vector for each class, shape (D, K).
    """

    task: str
    predicted: tuple[Tensor, Tensor]
    targets: tuple[Tensor, Tensor]
    vectors: Tensor


class EmaTarget(nn.Module):
    """A copy of modules whose parameters follow theirs as a moving average, without gradient.

    It stays in training mode with the network that it is part of: its batch norms use their batch,
    and their statistics are its own.

    Args:
        source: What is copied and followed.
        decay: Share of the copy that a step leaves, in [0, 1).
    """

    def __init__(self, source: nn.Module, decay: float) -> None:
        super().__init__()
        self.copy = deepcopy(source).requires_grad_(requires_grad=False)
        self.decay = decay

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Compute what the copy says, of any shape that the source takes; no gradient flows."""
        answer: Tensor = self.copy(x)
        return answer

    @torch.no_grad()
    def follow(self, source: nn.Module) -> None:
        """Move each parameter of the copy towards the source's by 1 - decay.

        Args:
            source: Modules of the same build, after an update.
        """
        own: list[Tensor] = [*self.copy.parameters()]
        theirs: list[Tensor] = [*source.parameters()]
        torch._foreach_lerp_(own, theirs, 1 - self.decay)


@dataclass(frozen=True)
class Outputs:
    """One forward pass over N rows.

    Attributes:
        raw: Raw outputs by task key, before the task's activation, shape (N, K) each.
        domain: Logits of what the discriminator tells apart, shape (N, classes); None if the
            network has no discriminator.
        features: The shared features that heads and discriminator see, shape (N, D).
        sequence: Raw outputs of every place of the windows, shape (N, W, K) each, of a network
            that answers them all; None of others.
        branches: Answers of further heads by their names; empty for a network without.
        views: Raw outputs by task key, shape (N, K) each, of every view that a network in
            training has of the rows and learns from in place of ``raw``; empty of others.
        latents: Of a network in training that learns them; None of others.
    """

    raw: dict[str, Tensor]
    domain: Tensor | None
    features: Tensor
    sequence: dict[str, Tensor] | None = None
    branches: Mapping[str, Branch] = field(default_factory=dict)
    views: tuple[dict[str, Tensor], ...] = ()
    latents: Latents | None = None


TRAINING_PARTS = ("discriminator.", "latent.")
"""Of a training, not of a model: weights may come without them, and a network may lack them."""

HEADS = ("heads.", "direct.", "direct_voice.")
"""Of the tasks that a network predicts."""

LATER_LAYERS = ("earlier.", "pitch.")
"""What earlier stages, and the pitch, add to features; nothing, to begin with."""

_COUNTER = "num_batches_tracked"
"""torch counts batches but never uses the count while momentum is fixed."""

_SHARE = ".share"
"""What a network adds to a head of the voice; older weights do not say."""

_EXAMPLES = 3
"""How many names an error lists."""


def load_weights(
    network: nn.Module,
    path: Path,
    *,
    discriminator_optional: bool = False,
    heads_optional: bool = False,
) -> None:
    """Fill a network from a safetensors file of its parameters and buffers.

    Args:
        network: The network; it stays on its device and keeps its precision.
        path: The file.
        discriminator_optional: Whether the file or the network may lack a discriminator, or the
            parts of latents; what the file lacks stays freshly initialized.
        heads_optional: Whether the file or the network may likewise lack heads, of tasks that
            the other has not, and layers from earlier stages and from the pitch.

    Raises:
        ModelError: No such file, no safetensors, or names and shapes of another network.
    """
    if not path.is_file():
        raise ModelError("a safetensors file", "no such file", where=path)
    try:
        loaded = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError("a safetensors file", f"another one ({error})", where=path) from error

    def is_optional(name: str) -> bool:
        return (
            name.endswith((_COUNTER, _SHARE))
            or (discriminator_optional and name.startswith(TRAINING_PARTS))
            or (heads_optional and name.startswith((*HEADS, *LATER_LAYERS)))
        )

    own = network.state_dict()
    lacks = [name for name in own if name not in loaded and not is_optional(name)]
    strange = [name for name in loaded if name not in own and not is_optional(name)]
    misshapen = [
        f"{name} {tuple(loaded[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if name in loaded and loaded[name].shape != own[name].shape
    ]
    for problem, names in (("lacks", lacks), ("has", strange), ("has", misshapen)):
        if names:
            more = f" and {len(names) - _EXAMPLES} more" if len(names) > _EXAMPLES else ""
            got = f"one that {problem} {', '.join(names[:_EXAMPLES])}{more}"
            remedy = "use the network and sizes that they were trained with"
            expected = f"the weights of {type(network).__name__}"
            raise ModelError(expected, got, remedy, where=path)
    # Without a share the network itself knows what older weights mean.
    state = {name: value for name, value in own.items() if not name.endswith(_SHARE)}
    network.load_state_dict(state | {name: loaded[name] for name in own if name in loaded})


class Ensemble(nn.Module):
    """The mean of several networks' outputs, of each task by those that predict it.

    Raw outputs are averaged: of a softmax task that is the geometric mean of the members'
    distributions, brought back to a sum of 1. With tasks, values and probabilities are.

    Args:
        members: Networks of the same inputs; their tasks may differ.
        tasks: Tasks whose values are averaged, each by its own `Task.average`.
    """

    def __init__(self, members: Sequence[nn.Module], tasks: Sequence[Task] = ()) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self._average = {task.key: task.average for task in tasks}

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Average the raw outputs of every task that some member predicts.

        Args:
            inputs: What every member takes, of N rows.

        Returns:
            Means in single precision, (N, K) by task key, and the features of all members, one
            after another along the last axis; no discriminator.
        """
        outputs = [member(inputs) for member in self.members]
        raw = self._join([each.raw for each in outputs])
        return Outputs(raw, None, torch.cat([each.features for each in outputs], 1))

    def encode(self, crops: Tensor) -> Tensor:
        """Compute the features of all members over crops, one after another.

        Args:
            crops: What every member encodes, of N rows.

        Returns:
            Shape (N, members * D).
        """
        return torch.cat([member.encode(crops) for member in self.members], 1)  # type: ignore[operator]

    def answer(self, features: Tensor) -> dict[str, Tensor]:
        """Average what members over crops answer of their features.

        Args:
            features: As `encode` gives them.

        Returns:
            Means by task key, shape (N, K) each.
        """
        parts = zip(self.members, features.chunk(len(self.members), 1), strict=True)
        return self._join([member.answer(part) for member, part in parts])  # type: ignore[operator]

    def _join(self, answers: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Average raw outputs (N, K) by task key, of each task those members that have it."""
        joined = {}
        for key in dict.fromkeys(key for each in answers for key in each):
            values = torch.stack([each[key].float() for each in answers if key in each])
            joined[key] = self._average[key](values) if key in self._average else values.mean(0)
        return joined
