"""Attention in the blocks of the face network."""

import numpy as np
import onnxruntime
import pytest
import torch

from tests.training.recipes import small
from tests.training.stores import crops_store
from triaffect.features.model_folder import load_model_folder
from triaffect.models.attention import ChannelAttention, SpatialAttention
from triaffect.models.light_face import LightFace
from triaffect.tasks.registry import TASKS
from triaffect.training.export import FeatureEncoder, export_run, to_onnx
from triaffect.training.trainer import train

KINDS = ["none", "channel", "channel_spatial"]


@pytest.fixture
def maps():
    return torch.randn(3, 16, 5, 5, generator=torch.Generator().manual_seed(0))


def test_channels_are_weighed_whole(maps):
    torch.manual_seed(0)
    weight = ChannelAttention(16)(maps) / maps
    assert torch.allclose(weight, weight[:, :, :1, :1].expand_as(weight), atol=1e-5)
    assert weight.min() > 0
    assert weight.max() < 1
    assert weight[0, :, 0, 0].std() > 1e-3


def test_places_are_weighed_alike_in_all_channels(maps):
    torch.manual_seed(0)
    weight = SpatialAttention()(maps) / maps
    assert torch.allclose(weight, weight[:, :1].expand_as(weight), atol=1e-4)
    assert weight[0, 0].std() > 1e-3


def test_each_kind_has_what_the_one_before_has():
    keys = [set(LightFace(TASKS, attention=kind).state_dict()) for kind in KINDS]
    assert keys[0] < keys[1]
    assert not any("attention" in key for key in keys[0])
    added = [len([key for key in each if "attention" in key]) for each in keys]
    assert added == [0, 6 * 4, 6 * 6]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_exported_and_answers_each_crop_alone(kind):
    torch.manual_seed(0)
    net = LightFace(TASKS, (8, 16), (1, 1), 8, attention=kind).eval()
    crops = torch.randint(0, 256, (5, 64, 64), dtype=torch.uint8)
    graph = to_onnx(FeatureEncoder(net), {"crops": crops[:2]}, ["features"])
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    whole = session.run(None, {"crops": crops.numpy()})[0]
    for number in range(len(crops)):
        alone = session.run(None, {"crops": crops[number : number + 1].numpy()})[0]
        np.testing.assert_allclose(alone, whole[number : number + 1], atol=1e-4)


def test_a_recipe_trains_and_exports_it(tmp_path):
    store = crops_store(tmp_path / "store", rows=40)
    changes = ["net.attention=channel_spatial", "data.held_out=0", "face.epochs=1"]
    folder = train(small("light_face", *changes), store, tmp_path / "run")
    export_run(folder, store)
    assert load_model_folder(folder.model).manifest.recipe["net"]["attention"] == "channel_spatial"
