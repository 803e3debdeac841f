"""Named arrays of a weight file, and the layers that they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triaffect.errors import ModelError
from triaffect.types import FloatArray

CONVOLUTION, DENSE, NORM = "convolution", "dense", "batch norm"

KERNEL, TORCH_KERNEL, BIAS = "kernel", "weight", "bias"
GAMMA, BETA, MEAN, VARIANCE = "gamma", "beta", "moving_mean", "moving_variance"

_SPELLINGS = {
    "weights": KERNEL,
    "biases": BIAS,
    "scale": GAMMA,
    "offset": BETA,
    "mean": MEAN,
    "running_mean": MEAN,
    "var": VARIANCE,
    "variance": VARIANCE,
    "running_var": VARIANCE,
}
_BY_NUMBER = {2: (KERNEL, BIAS), 4: (GAMMA, BETA, MEAN, VARIANCE)}
"""What Keras 3 calls "0", "1", … in a layer of so many variables."""

_AUTOMATIC = re.compile(r"(?:conv[12]d|dense|batch_normalization)(?:_(\d+))?")


@dataclass(frozen=True)
class Variable:
    """One array of a file.

    Attributes:
        layer: Path of its layer: one for each layer, in whatever form the file has.
        name: Name that the layer had where it was made, such as "conv2d_17".
        role: What it is in its layer, such as "kernel", or its number there.
        values: The array.
    """

    layer: str
    name: str
    role: str
    values: NDArray[np.generic]


@dataclass
class Layer:
    """A layer's variables by role, as `KERNEL` and the others.

    Attributes:
        path: Its path in the file.
        name: The name that it had where it was made.
        values: float32 arrays.
    """

    path: str
    name: str
    values: dict[str, FloatArray] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Convolution, dense or batch norm; otherwise the roles, for a message."""
        roles = set(self.values)
        if roles == {GAMMA, BETA, MEAN, VARIANCE}:
            return NORM
        kernel = self.values.get(KERNEL, self.values.get(TORCH_KERNEL))
        if kernel is None or not roles <= {KERNEL, TORCH_KERNEL, BIAS} or kernel.ndim == 1:
            return f"{', '.join(sorted(roles))}"
        return DENSE if kernel.ndim == 2 else CONVOLUTION  # noqa: PLR2004

    @property
    def number(self) -> int | None:
        """Which of its kind Keras made it as; None if the user named it."""
        match = _AUTOMATIC.fullmatch(self.name)
        return None if match is None else int(match.group(1) or 0)

    def shapes(self) -> str:
        """Its arrays' shapes in the file, for messages."""
        return ", ".join(f"{role} {values.shape}" for role, values in self.values.items())


def layers_of(variables: Iterable[Variable], where: Path) -> list[Layer]:
    """Layers with weights in order of their making, or of the file if that is unknown.

    Counters, seeds and other things without an axis or of whole numbers are left out.

    Raises:
        ModelError: A layer has two variables of one role, or a value that is no number.
    """
    layers_by_path: dict[str, Layer] = {}
    for variable in variables:
        values = np.asarray(variable.values)
        if values.ndim == 0 or values.dtype.kind != "f":
            continue
        layer = layers_by_path.setdefault(variable.layer, Layer(variable.layer, variable.name))
        earlier = layer.values.get(variable.role)
        if earlier is not None and not np.array_equal(earlier, values):
            raise ModelError(f"one {variable.role} of {variable.layer}", "two", where=where)
        if not np.isfinite(values).all():
            raise ModelError(f"numbers in {variable.layer}", "NaN or infinity", where=where)
        layer.values[variable.role] = values.astype(np.float32)
    layers = [_with_roles(layer) for layer in layers_by_path.values()]
    return [
        layer for kind in dict.fromkeys(x.kind for x in layers) for layer in _order(layers, kind)
    ]


def _order(layers: list[Layer], kind: str) -> list[Layer]:
    """The layers of one kind, by Keras's own numbers where all of them have one."""
    some = [layer for layer in layers if layer.kind == kind]
    numbers = [layer.number for layer in some]
    if None in numbers or len(set(numbers)) < len(numbers):
        return some
    return sorted(some, key=lambda layer: layer.number or 0)


def _with_roles(layer: Layer) -> Layer:
    """Roles in one spelling; PyTorch's batch norm has "weight" for gamma and "bias" for beta."""
    names = [_SPELLINGS.get(role.lstrip("_"), role.lstrip("_")) for role in layer.values]
    if all(name.isdigit() for name in names):
        roles = _BY_NUMBER.get(len(names), ())
        names = [roles[int(name)] if int(name) < len(roles) else name for name in names]
    elif MEAN in names:
        names = [{TORCH_KERNEL: GAMMA, BIAS: BETA}.get(name, name) for name in names]
    values = dict(zip(names, layer.values.values(), strict=True))
    return Layer(layer.path, layer.name, values)


def natural(text: str) -> list[tuple[int, str]]:
    """Sorting key that puts "conv2d_9" before "conv2d_10"."""
    return [
        (int(part or 0), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", text)
    ]
