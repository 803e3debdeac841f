"""The paper's extractors, with weights of one's own, as a model folder to extract with."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tools.keras_import.convert import FER_RESNET34, SOUNDNET8
from triaffect.features.model_folder import (
    SOUNDNET,
    FacePart,
    Manifest,
    ModelFolder,
    VoicePart,
    write_model_folder,
)
from triaffect.models.base import load_weights
from triaffect.models.fer_resnet34 import STAGES, FerResNet34
from triaffect.models.soundnet import HEAD_KERNEL, LAYERS, OBJECTS, SoundNet8
from triaffect.training.export import to_onnx
from triaffect.types import Window
from triaffect.version import __version__

NAME = "paper_networks"
LICENCE = "that of the weights it was made from"
SPAN_S, RATE = 10.0, 22_050
SIDE = 224


def write_paper_folder(
    path: Path, face: Path | None, voice: Path | None, hop_s: float
) -> ModelFolder:
    """Write a model folder with the paper's face network, its voice network, or both.

    Args:
        path: The folder.
        face: Weights of `FerResNet34`, a safetensors file.
        voice: Weights of `SoundNet8`.
        hop_s: Seconds between voice vectors, each of the 10 s before its moment.

    Raises:
        ModelError: A file holds other weights, or ``path`` is something else than a model folder.
    """
    files: dict[str, bytes | Path] = {}
    parts: dict[str, FacePart | VoicePart] = {}
    if face is not None:
        net = FerResNet34()
        load_weights(net, face)
        crops = {"crops": torch.rand(2, 3, SIDE, SIDE)}
        files["face.onnx"] = to_onnx(net, crops, ["features"])
        parts["face"] = FacePart("face.onnx", FER_RESNET34, "rgb224", STAGES[-1][0])
    if voice is not None:
        sound = SoundNet8()
        load_weights(sound, voice)
        blocks = soundnet_files(sound, round(SPAN_S * RATE))
        files |= blocks
        *before, last = blocks
        window = Window(SPAN_S, hop_s)
        parts["voice"] = VoicePart(last, SOUNDNET8, SOUNDNET, OBJECTS, window, blocks=tuple(before))
    versions = {"triaffect": __version__, "torch": torch.__version__}
    manifest = Manifest(NAME, __version__, LICENCE, versions=versions, **parts)  # type: ignore[arg-type]
    return write_model_folder(path, manifest, files)


def soundnet_files(net: SoundNet8, samples: int) -> dict[str, bytes]:
    """SoundNet in three networks, by file name, in order.

    Args:
        net: The network.
        samples: Length of a window.
    """
    net.eval()
    first, second = (_WithoutPadding(net, k) for k in range(2))
    wave = torch.rand(2, 1024)
    with torch.no_grad():
        maps = first(wave)
        window = net.body[: _start(2)](torch.zeros(2, 1, samples))
    files = {
        "voice.first.onnx": to_onnx(first, {"wave": wave}, ["maps"], free_length=True),
        "voice.second.onnx": to_onnx(second, {"maps": maps}, ["maps_2"], free_length=True),
    }
    rest = onnx.load_from_string(to_onnx(_Rest(net), {"maps": window}, ["features"]))
    # The last file's hash is the name of the whole: it has to change with the others.
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    onnx.helper.set_model_props(rest, hashes)
    return files | {"voice.onnx": rest.SerializeToString()}


def _start(layer: int) -> int:
    """Where in the body a layer begins: convolution, batch norm, ReLU and perhaps a pool."""
    return sum(4 if each.pool > 1 else 3 for each in LAYERS[:layer])


class _WithoutPadding(nn.Module):
    """One of the first convolutions with batch norm and ReLU; a wave (N, S) gets its channel."""

    def __init__(self, net: SoundNet8, layer: int) -> None:
        super().__init__()
        convolution, self.norm = net.body[_start(layer)], net.body[_start(layer) + 1]
        assert isinstance(convolution, nn.Conv1d)  # noqa: S101 - as every layer begins
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(1) if x.ndim == 2 else x  # noqa: PLR2004
        layer = self.convolution
        maps: Tensor = self.norm(F.conv1d(x, layer.weight, layer.bias, layer.stride))
        return maps.relu()


class _Rest(nn.Module):
    """From the second pool of a window to the object classes of the first step."""

    def __init__(self, net: SoundNet8) -> None:
        super().__init__()
        self.body, self.objects = net.body[_start(2) :], net.objects

    def forward(self, maps: Tensor) -> Tensor:
        # One product for all rows; a convolution would read its weights anew for each.
        seen: Tensor = self.body(maps)[:, :, :HEAD_KERNEL]
        return F.linear(seen.flatten(1), self.objects.weight.flatten(1), self.objects.bias)
