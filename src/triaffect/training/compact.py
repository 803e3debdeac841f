"""ONNX files at half their size: weights are kept in half precision, and widened when loaded.

onnxruntime widens them once, when it opens the file, so the network is as fast and computes in
single precision as before. Each weight is off by at most one part in 2,048.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

LEAST = 1024
"""Numbers in a tensor that is worth it."""
_NARROW = ".float16"


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its large single-precision weights in half precision, each behind a cast.

    Weights that half precision cannot hold stay as they are.
    """
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(weight)
        with np.errstate(over="ignore"):
            narrow = values.astype(np.float16)
        if values.size < LEAST or not np.isfinite(narrow).all():
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(narrow, name + _NARROW))
        casts.append(onnx.helper.make_node("Cast", [name + _NARROW], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
