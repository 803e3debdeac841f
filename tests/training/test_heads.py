"""What a store's networks said while they learnt is found, or nothing is."""

from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save

from tests.inference.tiny_model import write_tiny_model
from triaffect.features.manifest import FacePart, Manifest
from triaffect.features.model_folder import write_model_folder
from triaffect.tasks.registry import TASKS
from triaffect.training.heads import known_heads

EXPR = TASKS[1]


@pytest.fixture
def store(tmp_path):
    return SimpleNamespace(path=tmp_path)


def put(store, width):
    """A face network that learnt the second task, with so many outputs."""
    matrix = np.arange(width * 3, dtype=np.float16).reshape(width, 3)
    held = {"heads.EXPR.weight": matrix, "heads.EXPR.bias": np.ones(width, np.float16)}
    manifest = Manifest(
        name="face",
        version="1",
        licence="research",
        tasks=(),
        face=FacePart("face.onnx", "light_face", "gray64", 3),
    )
    files = {"face.onnx": b"face", "face.safetensors": save(held)}
    write_model_folder(store.path / "extractors" / "face", manifest, files)
    return matrix


def test_heads_of_the_tasks_that_it_learnt(store):
    matrix = put(store, EXPR.width)
    heads = known_heads(store, "face", TASKS)
    assert list(heads) == [EXPR.key]
    weight, bias = heads[EXPR.key]
    assert weight.tolist() == matrix.tolist()
    assert bias.tolist() == [1.0] * EXPR.width
    assert not known_heads(store, "voice", TASKS)


def test_a_head_of_other_classes_is_none(store):
    put(store, EXPR.width - 1)
    assert not known_heads(store, "face", TASKS)


def test_a_network_without_weights_to_train_on_has_none(store):
    write_tiny_model(store.path / "extractors" / "face")
    assert not known_heads(store, "face", TASKS)
