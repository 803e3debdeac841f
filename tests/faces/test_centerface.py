"""The shipped face detector: as published, at any size, and refused when damaged."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from triaffect.errors import ModelError
from triaffect.faces.detection import INPUT, WEIGHTS, open_detector
from triaffect.models.centerface import MAPS, CenterFaceNetwork


@pytest.fixture
def copied(tmp_path):
    for name in ("detector.onnx", "detector.json"):
        (tmp_path / name).write_bytes((WEIGHTS / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (256, 320)])
def test_export_answers_as_the_torch_network(height, width):
    net = CenterFaceNetwork().eval()
    net.load_state_dict(load_file(WEIGHTS / "centerface.safetensors"))
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 3, height, width)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(pictures))
    got = open_detector().run(None, {INPUT: pictures})
    for name, one, other in zip(MAPS, expected, got, strict=True):
        assert other.shape == (2, MAPS[name], height // 4, width // 4)
        scale = max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(one.numpy(), other, rtol=0, atol=1e-5 * scale)


def test_number_of_parameters_is_that_of_the_published_file():
    assert sum(each.numel() for each in CenterFaceNetwork().parameters()) == 1_819_999


@pytest.mark.parametrize("damage", ["cut", "one byte", "no file", "no hash", "no description"])
def test_damaged_detector_is_refused(copied, damage):
    path, description = copied / "detector.onnx", copied / "detector.json"
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "one byte":
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    elif damage == "no file":
        path.unlink()
    elif damage == "no hash":
        description.write_text(json.dumps({"sha256": {}}))
    else:
        description.write_text("{")
    with pytest.raises(ModelError, match="install triaffect again"):
        open_detector(copied)


def test_source_license_and_hashes_come_with_the_detector():
    description = json.loads((WEIGHTS / "detector.json").read_text("utf-8"))
    assert set(description["sha256"]) == {"detector.onnx", "centerface.safetensors"}
    assert "MIT License" in (WEIGHTS / "LICENSE").read_text("utf-8")
