"""A quantised network says about the same, from fewer bits."""

import numpy as np
import onnx
import onnxruntime
import torch

from tests.benchmarks.scripts import load
from triaffect.models.light_face import LightFace
from triaffect.tasks.registry import TASKS
from triaffect.training.export import FeatureEncoder, to_onnx

script = load("quantise_face")


def test_the_network_in_8_bits_gives_about_the_same_vectors(tmp_path):
    torch.manual_seed(0)
    net = LightFace(TASKS, (4, 6), (1, 1), features=8, mirror=True).eval()
    crops = np.random.default_rng(0).integers(0, 256, (64, 64, 64)).astype(np.uint8)
    example = {"crops": torch.from_numpy(crops[:2])}
    path = tmp_path / "face.onnx"
    path.write_bytes(to_onnx(FeatureEncoder(net), example, ["features"], half=True))
    made = script.quantised(path, crops)
    kinds = {each.data_type for each in onnx.load_from_string(made).graph.initializer}
    assert onnx.TensorProto.INT8 in kinds
    plain, small = (
        onnxruntime.InferenceSession(each).run(None, {"crops": crops})[0] for each in (path, made)
    )
    assert not np.array_equal(plain, small)
    assert np.abs(plain - small).mean() < 0.1 * plain.std()
