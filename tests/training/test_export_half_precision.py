"""Weights in half precision: the same network at half the size, computing in single precision."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from triaffect.training.export import MIN_HALF_SIZE, halve, to_onnx

EXAMPLE = {"x": torch.zeros(2, 48)}


def network(scale=1.0):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(48, 64), nn.ReLU(), nn.Linear(64, 5))
    with torch.no_grad():
        net[0].weight.mul_(scale)
    return net


def run(content, x):
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def test_it_is_half_as_large_and_answers_as_a_network_with_rounded_weights():
    net, x = network(), np.random.default_rng(0).normal(size=(7, 48)).astype(np.float32)
    whole, small = (to_onnx(net, EXAMPLE, ["y"], half=half) for half in (False, True))
    assert len(whole) - len(small) > 0.9 * 2 * net[0].weight.numel()
    with torch.no_grad():
        net[0].weight.copy_(net[0].weight.half().float())
        expected = net(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run(small, x), expected, atol=1e-5)
    assert not np.allclose(run(whole, x), expected, atol=1e-5), "there is something to round"


def test_small_tensors_and_what_does_not_fit_stay_as_they_are():
    weights = onnx.load_from_string(to_onnx(network(1e7), EXAMPLE, ["y"])).graph.initializer
    model = halve(onnx.load_from_string(to_onnx(network(1e7), EXAMPLE, ["y"])))
    after = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    for each in weights:
        before = numpy_helper.to_array(each)
        if before.size < MIN_HALF_SIZE or np.abs(before).max() > np.finfo(np.float16).max:
            np.testing.assert_array_equal(after[each.name], before)
            assert after[each.name].dtype == before.dtype
    assert any(np.abs(value).max() > np.finfo(np.float16).max for value in after.values())


@pytest.mark.parametrize("half", [False, True])
def test_what_is_exported_is_a_valid_model(half):
    onnx.checker.check_model(onnx.load_from_string(to_onnx(network(), EXAMPLE, ["y"], half=half)))
