"""Weights of the published extractors from the files of other programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tools.keras_import.fit import fit, torch_weight
from tools.keras_import.read import read_variables
from tools.keras_import.variables import CONVOLUTION, Layer, layers_of
from triaffect.errors import ModelError
from triaffect.models.fer_resnet34 import STAGES, FerResNet34
from triaffect.models.soundnet import LAYERS, OBJECTS, SCENES, SoundNet8


@dataclass(frozen=True)
class Extractor:
    """A published extractor.

    Attributes:
        make: Its network, with random weights.
        features: Widths of its outputs.
        first: Kernel size and filters of its first layer, which its files are recognized by.
    """

    make: Callable[[], nn.Module]
    features: tuple[int, ...]
    first: tuple[int, int]


FER_RESNET34, SOUNDNET8 = "fer_resnet34", "soundnet8"
EXTRACTORS = {
    FER_RESNET34: Extractor(FerResNet34, (STAGES[-1][0],), (7, STAGES[0][0])),
    SOUNDNET8: Extractor(SoundNet8, (OBJECTS, SCENES), (LAYERS[0].kernel, LAYERS[0].filters)),
}


@dataclass(frozen=True)
class Converted:
    """Weights in the form of `triaffect.models.base.load_weights`.

    Attributes:
        network: Name of the network, of `EXTRACTORS`.
        tensors: By name in the network's state.
        left_out: The file's layers behind the features.
        numbered: Whether layers have Keras's own numbers; else they stand in the file's order.
    """

    network: str
    tensors: dict[str, Tensor]
    left_out: list[str]
    numbered: bool


def convert(path: Path, network: str | None = None) -> Converted:
    """Read the weights of one of the published extractors.

    Args:
        path: A file of Keras, TensorFlow or NumPy; see `tools.keras_import.read`.
        network: Whose weights it must hold; None to recognize it by its first layer.

    Raises:
        ModelError: It cannot be read, or its layers are those of another network.
    """
    layers = layers_of(read_variables(path), path)
    if not layers:
        raise ModelError("layers with weights", "none", where=path)
    name = network or _recognize(layers, path)
    if name not in EXTRACTORS:
        raise ModelError(f"a network among {', '.join(EXTRACTORS)}", name, where="--network")
    extractor = EXTRACTORS[name]
    with torch.device("meta"):  # its shapes are enough
        empty = extractor.make()
    fitted = fit(layers, empty, extractor.features, path)
    numbered = all(layer.number is not None for layer in layers)
    return Converted(name, fitted.tensors, fitted.left_out, numbered)


def _recognize(layers: list[Layer], where: Path) -> str:
    """Find the name of the network that a file's first convolution belongs to."""
    weights = [torch_weight(layer).shape for layer in layers if layer.kind == CONVOLUTION]
    sizes = {(max(shape[2:]), shape[0]) for shape in weights}
    for name, extractor in EXTRACTORS.items():
        if extractor.first in sizes:
            return name
    got = f"none of their first layers among {len(layers)} layers"
    raise ModelError(f"weights of {' or '.join(EXTRACTORS)}", got, where=where)
