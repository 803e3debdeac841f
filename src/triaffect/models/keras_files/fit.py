"""Layers of a weight file into the places of a network, by order and shape.

A user's layer names say nothing, so: convolutions and dense layers fill, in order, the first
place of their shape that is still empty, and the k-th batch norm belongs to the k-th of the
convolutions that have one. In both networks equal shapes lie in one chain, so this is unambiguous
however the branches were written down, as long as layers stand in the order of their use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor, from_numpy, nn

from triaffect.errors import ModelError
from triaffect.models.keras_files.variables import (
    BETA,
    BIAS,
    CONVOLUTION,
    DENSE,
    GAMMA,
    KERNEL,
    MEAN,
    NORM,
    TORCH_KERNEL,
    VARIANCE,
    Layer,
)
from triaffect.types import FloatArray

Shape = tuple[int, ...]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_NORM_NAMES = {GAMMA: "weight", BETA: "bias", MEAN: "running_mean", VARIANCE: "running_var"}


@dataclass
class _Place:
    """A layer of the network: its module's name, its weight's shape, its batch norm's name."""

    name: str
    shape: Shape
    norm: str = ""


@dataclass(frozen=True)
class Fitted:
    """Weights of a network.

    Attributes:
        tensors: By name in the network's state.
        left_out: The file's layers behind the features, such as ``"dense_6 (512, 2)"``.
    """

    tensors: dict[str, Tensor]
    left_out: list[str]


def fit(layers: list[Layer], network: nn.Module, features: tuple[int, ...], where: Path) -> Fitted:
    """Give each layer its place.

    Args:
        layers: From `variables.layers_of`.
        network: A network of convolutions, each with or without a batch norm right behind it,
            and dense layers.
        features: Widths of the network's outputs; dense layers from there on are left out.
        where: The file, for messages.

    Raises:
        ModelError: A layer has no place, or a place no layer; the first is named with its shapes.
    """
    fitting = _Fitting(type(network).__name__, _places(network), set(features), where)
    for kind, place in (
        (CONVOLUTION, fitting.place_weights),
        (NORM, fitting.place_norm),
        (DENSE, fitting.place_weights),
    ):
        for layer in layers:
            if layer.kind == kind:
                place(layer)
    for layer in layers:
        if layer.kind not in (CONVOLUTION, NORM, DENSE):
            raise fitting.stray(layer, "layers of convolution, batch norm and dense")
    fitting.check_full()
    return Fitted(fitting.tensors, fitting.left_out)


def _places(network: nn.Module) -> list[_Place]:
    places: list[_Place] = []
    for name, module in network.named_modules():
        if isinstance(module, (*_CONVOLUTIONS, nn.Linear)):
            places.append(_Place(name, tuple(module.weight.shape)))
        elif isinstance(module, _NORMS):
            places[-1].norm = name
    return places


@dataclass
class _Fitting:
    """What is filled so far.

    Attributes:
        network: Its name, for messages.
        empty: Places still to fill, in the network's order.
        widths: From which widths on a dense layer may lie behind the network.
        where: The file.
        tensors: What is filled.
        norms: Places whose batch norm is still to come, in the order of their convolutions.
        left_out: See `Fitted`.
    """

    network: str
    empty: list[_Place]
    widths: set[int]
    where: Path
    tensors: dict[str, Tensor] = field(default_factory=dict)
    norms: list[_Place] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def place_weights(self, layer: Layer) -> None:
        """Put a convolution or a dense layer into the first empty place of its shape."""
        weight = torch_weight(layer)
        found = next((each for each in self.empty if _fits(weight.shape, each.shape)), None)
        if found is None and layer.kind == DENSE and weight.shape[1] in self.widths:
            self.widths.add(weight.shape[0])
            self.left_out.append(f"{layer.name} {weight.shape[::-1]}")
            return
        bias = layer.values.get(BIAS)
        if found is None or bias is None or bias.shape != weight.shape[:1]:
            raise self.stray(layer, "weights and biases of a layer still to fill")
        self.empty.remove(found)
        self.tensors[f"{found.name}.weight"] = _tensor(weight.reshape(found.shape))
        self.tensors[f"{found.name}.bias"] = _tensor(bias)
        if found.norm:
            self.norms.append(found)

    def place_norm(self, layer: Layer) -> None:
        """Put a batch norm behind the first convolution that still lacks its own."""
        width = layer.values[GAMMA].shape
        shapes = {values.shape for values in layer.values.values()}
        if not self.norms or shapes != {width} or width != self.norms[0].shape[:1]:
            wanted = f"one of {self.norms[0].shape[0]}" if self.norms else "none left"
            raise self.stray(layer, f"a batch norm in its order ({wanted})")
        place = self.norms.pop(0)
        for role, name in _NORM_NAMES.items():
            self.tensors[f"{place.norm}.{name}"] = _tensor(layer.values[role])

    def check_full(self) -> None:
        """Every place has its layer.

        Raises:
            ModelError: One has none.
        """
        for place in (*self.empty, *self.norms):
            what = f"{place.name} {place.shape}" if place in self.empty else place.norm
            got = f"a file without a layer for {what}"
            raise ModelError(f"all layers of {self.network}", got, where=self.where)

    def stray(self, layer: Layer, wanted: str) -> ModelError:
        """What to say of a layer that does not fit."""
        got = f"{layer.path} with {layer.shapes()}"
        return ModelError(f"{wanted} in {self.network}", got, where=self.where)


def torch_weight(layer: Layer) -> FloatArray:
    """The weight as torch has it: outputs, inputs of a group, then the kernel's axes."""
    if KERNEL in layer.values:
        return np.moveaxis(layer.values[KERNEL], (-1, -2), (0, 1))
    return layer.values[TORCH_KERNEL]


def _fits(given: Shape, wanted: Shape) -> bool:
    """Whether shapes agree; a one-dimensional kernel may have a second axis of 1."""
    if len(given) == len(wanted) + 1 and 1 in given[2:]:
        at = given.index(1, 2)
        given = given[:at] + given[at + 1 :]
    return given == wanted


def _tensor(values: FloatArray) -> Tensor:
    return from_numpy(np.ascontiguousarray(values, np.float32))
