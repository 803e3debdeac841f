"""A quantized network says about the same; half of one says what that half does."""

import numpy as np
import onnx
import onnxruntime
import torch

from tools.quantize_network import BATCH, quantize, without_mirror
from triaffect.models.light_face import LightFace
from triaffect.tasks.registry import TASKS
from triaffect.training.export import FeatureEncoder, to_onnx


def test_the_network_in_8_bits_gives_about_the_same_vectors(tmp_path):
    torch.manual_seed(0)
    net = LightFace(TASKS, (4, 6), (1, 1), features=8, mirror=True).eval()
    crops = np.random.default_rng(0).integers(0, 256, (64, 64, 64)).astype(np.uint8)
    example = {"crops": torch.from_numpy(crops[:2])}
    path = tmp_path / "face.onnx"
    path.write_bytes(to_onnx(FeatureEncoder(net), example, ["features"], half=True))
    made = quantize(path.read_bytes(), [{"crops": crops[k : k + BATCH]} for k in (0, BATCH)])
    kinds = {each.data_type for each in onnx.load_from_string(made).graph.initializer}
    assert onnx.TensorProto.INT8 in kinds
    plain, small = (
        onnxruntime.InferenceSession(each).run(None, {"crops": crops})[0] for each in (path, made)
    )
    assert not np.array_equal(plain, small)
    assert np.abs(plain - small).mean() < 0.1 * plain.std()


def test_without_the_mirror_image_it_is_the_network_that_sees_the_face_alone(tmp_path):
    torch.manual_seed(0)
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 64)).astype(np.uint8)
    example, answers = {"crops": torch.from_numpy(crops)}, {}
    net = LightFace(TASKS, (4, 6), (1, 1), features=8, mirror=True).eval()
    whole = to_onnx(FeatureEncoder(net), example, ["features"])
    net.mirror = False
    alone = to_onnx(FeatureEncoder(net), example, ["features"])
    assert without_mirror(alone) == alone
    half = without_mirror(whole)
    assert len(onnx.load_from_string(half).graph.node) < len(
        onnx.load_from_string(whole).graph.node
    )
    for name, each in {"whole": whole, "alone": alone, "half": half}.items():
        answers[name] = onnxruntime.InferenceSession(each).run(None, {"crops": crops})[0]
    np.testing.assert_allclose(answers["half"], answers["alone"], rtol=1e-4, atol=1e-5)
    assert not np.allclose(answers["half"], answers["whole"], rtol=1e-3)
