"""Tiny ONNX networks in model folders, for tests."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from triaffect.features.extractors.onnx import SPECTRA
from triaffect.features.model_folder import FacePart, Manifest, VoicePart, write_model_folder


def _model(input_name, kind, shape, dim, seed):
    """Mean over all but the rows' last axis, times a fixed matrix."""
    weights = np.random.default_rng(seed).normal(size=(shape[-1], dim)) / shape[-1]
    weights = weights.astype(np.float32)
    axes = np.arange(1, len(shape), dtype=np.int64)
    nodes = [
        helper.make_node("Cast", [input_name], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0, noop_with_empty_axes=1),
        helper.make_node("MatMul", ["mean", "weights"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info(input_name, kind, ["n", *shape])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", dim])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(axes, "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString(), weights


def face_folder(path, dim=5, kind="gray64", claimed=None, name="toy_face", seed=0):
    """A face network: the mean of the crop's rows times a matrix. Returns folder, matrix."""
    shape, dtype = ((64, 64), TensorProto.UINT8) if kind.startswith("gray64") else (
        (3, 224, 224), TensorProto.FLOAT)  # fmt: skip
    model, weights = _model("crops", dtype, shape, dim, seed)
    part = FacePart("face.onnx", name, kind, claimed or dim)
    folder = write_model_folder(path, Manifest(name, "1", "none", face=part), {"face.onnx": model})
    return folder, weights


def voice_folder(path, window, dim=4, kind="logmel64", name="toy_voice", seed=1):
    """A voice network: the mean over the stretch times a matrix. Returns folder, matrix."""
    if kind in SPECTRA:
        shape = round(window.span_s * 100), SPECTRA[kind]
        model, weights = _model("logmel", TensorProto.FLOAT, shape, dim, seed)
    else:
        samples = round(window.span_s * 22050)
        model, weights = _model("wave", TensorProto.FLOAT, (samples,), dim, seed)
    part = VoicePart("voice.onnx", name, kind, dim, window)
    folder = write_model_folder(
        path, Manifest(name, "1", "none", voice=part), {"voice.onnx": model}
    )
    return folder, weights
