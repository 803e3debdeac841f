"""Layers of a weight file into the slots of a network, by order and shape.

A user's layer names say nothing, so: convolutions and dense layers fill, in order, the first
slot of their shape that is still empty, and the k-th batch norm belongs to the k-th of the
convolutions that have one. In both networks equal shapes lie in one chain, so this is unambiguous
however the branches were written down, as long as layers stand in the order of their use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor, from_numpy, nn

from tools.keras_import.variables import (
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
from triaffect.errors import ModelError
from triaffect.types import FloatArray

Shape = tuple[int, ...]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_NORM_NAMES = {GAMMA: "weight", BETA: "bias", MEAN: "running_mean", VARIANCE: "running_var"}


@dataclass
class _Slot:
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
    """Assign each layer to a slot of the network.

    Args:
        layers: From `variables.layers_of`.
        network: A network of convolutions, each with or without a batch norm right behind it,
            and dense layers.
        features: Widths of the network's outputs; dense layers from there on are left out.
        where: The file, for messages.

    Raises:
        ModelError: A layer has no slot, or a slot has no layer; the first is named with its shapes.
    """
    fitting = _Fitting(type(network).__name__, _slots(network), set(features), where)
    for kind, fill in (
        (CONVOLUTION, fitting.fill_weights),
        (NORM, fitting.fill_norm),
        (DENSE, fitting.fill_weights),
    ):
        for layer in layers:
            if layer.kind == kind:
                fill(layer)
    for layer in layers:
        if layer.kind not in (CONVOLUTION, NORM, DENSE):
            raise fitting.error_of(layer, "layers of convolution, batch norm and dense")
    fitting.check_complete()
    return Fitted(fitting.tensors, fitting.left_out)


def _slots(network: nn.Module) -> list[_Slot]:
    slots: list[_Slot] = []
    for name, module in network.named_modules():
        if isinstance(module, (*_CONVOLUTIONS, nn.Linear)):
            slots.append(_Slot(name, tuple(module.weight.shape)))
        elif isinstance(module, _NORMS):
            slots[-1].norm = name
    return slots


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
    empty: list[_Slot]
    widths: set[int]
    where: Path
    tensors: dict[str, Tensor] = field(default_factory=dict)
    norms: list[_Slot] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def fill_weights(self, layer: Layer) -> None:
        """Put a convolution or a dense layer into the first empty slot of its shape."""
        weight = torch_weight(layer)
        match = next((each for each in self.empty if _fits(weight.shape, each.shape)), None)
        if match is None and layer.kind == DENSE and weight.shape[1] in self.widths:
            self.widths.add(weight.shape[0])
            self.left_out.append(f"{layer.name} {weight.shape[::-1]}")
            return
        bias = layer.values.get(BIAS)
        if match is None or bias is None or bias.shape != weight.shape[:1]:
            raise self.error_of(layer, "weights and biases of a layer still to fill")
        self.empty.remove(match)
        self.tensors[f"{match.name}.weight"] = _tensor(weight.reshape(match.shape))
        self.tensors[f"{match.name}.bias"] = _tensor(bias)
        if match.norm:
            self.norms.append(match)

    def fill_norm(self, layer: Layer) -> None:
        """Put a batch norm behind the first convolution that still lacks its own."""
        width = layer.values[GAMMA].shape
        shapes = {values.shape for values in layer.values.values()}
        if not self.norms or shapes != {width} or width != self.norms[0].shape[:1]:
            expected = f"one of {self.norms[0].shape[0]}" if self.norms else "none left"
            raise self.error_of(layer, f"a batch norm in its order ({expected})")
        slot = self.norms.pop(0)
        for role, name in _NORM_NAMES.items():
            self.tensors[f"{slot.norm}.{name}"] = _tensor(layer.values[role])

    def check_complete(self) -> None:
        """Every slot has its layer.

        Raises:
            ModelError: One has none.
        """
        for slot in (*self.empty, *self.norms):
            what = f"{slot.name} {slot.shape}" if slot in self.empty else slot.norm
            got = f"a file without a layer for {what}"
            raise ModelError(f"all layers of {self.network}", got, where=self.where)

    def error_of(self, layer: Layer, expected: str) -> ModelError:
        """What to say of a layer that does not fit."""
        got = f"{layer.path} with {layer.shapes()}"
        return ModelError(f"{expected} in {self.network}", got, where=self.where)


def torch_weight(layer: Layer) -> FloatArray:
    """The weight as torch has it: outputs, inputs of a group, then the kernel's axes."""
    if KERNEL in layer.values:
        return np.moveaxis(layer.values[KERNEL], (-1, -2), (0, 1))
    return layer.values[TORCH_KERNEL]


def _fits(shape: Shape, expected: Shape) -> bool:
    """Whether shapes agree; a one-dimensional kernel may have a second axis of 1."""
    if len(shape) == len(expected) + 1 and 1 in shape[2:]:
        at = shape.index(1, 2)
        shape = shape[:at] + shape[at + 1 :]
    return shape == expected


def _tensor(values: FloatArray) -> Tensor:
    return from_numpy(np.ascontiguousarray(values, np.float32))
