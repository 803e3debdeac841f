"""A face network that looks at faces and at their mirror images."""

import numpy as np
import onnxruntime
import pytest
import torch

from tests.training.recipes import small
from tests.training.stores import crops_store
from triaffect.features.model_folder import load_model_folder
from triaffect.models.light_face import LightFace
from triaffect.tasks.registry import TASKS
from triaffect.training.export import FeatureEncoder, export_run, to_onnx
from triaffect.training.scoring import open_run
from triaffect.training.trainer import train


def pair(**more):
    """The same network without and with mirror images."""
    nets = []
    for mirror in (False, True):
        torch.manual_seed(0)
        nets.append(LightFace(TASKS, (8, 16), (1, 1), 8, **more, mirror=mirror).eval())
    plain, mirrored = nets
    for net in nets:  # statistics and biases that differ from left to right
        torch.manual_seed(1)
        net.train()
        with torch.no_grad():
            for _ in range(3):
                net.encode(crops(seed=2))
        net.eval()
    return plain, mirrored


def crops(rows=6, seed=4):
    made = np.random.default_rng(seed).integers(0, 256, (rows, 64, 64)).astype(np.uint8)
    return torch.from_numpy(made)


@pytest.mark.parametrize("attention", ["none", "channel_spatial"])
def test_a_face_and_its_mirror_image_look_the_same(attention):
    plain, mirrored = pair(attention=attention)
    with torch.no_grad():
        one, other = (mirrored.encode(x) for x in (crops(), crops().flip(2)))
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(plain.encode(crops()), plain.encode(crops().flip(2)), atol=1e-3)


def test_features_are_the_mean_of_both_looks():
    plain, mirrored = pair()
    with torch.no_grad():
        wanted = (plain.encode(crops()) + plain.encode(crops().flip(2))) / 2
        torch.testing.assert_close(mirrored.encode(crops()), wanted, rtol=1e-5, atol=1e-5)
        said = mirrored({"crop": crops()})
    assert torch.equal(said.features, mirrored.encode(crops()))


def test_training_looks_once():
    plain, mirrored = pair(dropout=0.0)
    plain.train()
    mirrored.train()
    one, other = (net({"crop": crops()}) for net in (plain, mirrored))
    for key, raw in one.raw.items():
        assert torch.equal(raw, other.raw[key])
    statistics = [net.stem[1].running_mean for net in (plain, mirrored)]
    assert torch.equal(*statistics)


def test_it_adds_no_weights_and_is_off_unless_asked_for():
    plain, mirrored = pair()
    state = mirrored.state_dict()
    assert all(torch.equal(state[name], value) for name, value in plain.state_dict().items())
    assert len(state) == len(plain.state_dict())
    assert not LightFace(TASKS).mirror


def test_the_exported_network_looks_twice_too():
    _, mirrored = pair()
    graph = to_onnx(FeatureEncoder(mirrored), {"crops": crops()[:2]}, ["features"])
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])

    def run(x):
        return session.run(None, {"crops": x.numpy().copy()})[0]

    for rows in (1, 5):
        with torch.no_grad():
            wanted = mirrored.encode(crops()[:rows]).numpy()
        np.testing.assert_allclose(run(crops()[:rows]), wanted, atol=1e-4)
        np.testing.assert_allclose(run(crops()[:rows].flip(2)), wanted, atol=1e-4)


def test_a_recipe_trains_and_exports_it(tmp_path):
    """Training does the same with and without; what is scored and exported looks twice."""
    store = crops_store(tmp_path / "store", rows=40)
    changes = ["data.held_out=0", "face.epochs=1", "face.precision=float32"]
    folders = {}
    for mirror in ("false", "true"):
        recipe = small("light_face", *changes, f"net.mirror={mirror}")
        folders[mirror] = train(recipe, store, tmp_path / mirror)
    weights = [each.weights("face", "last").read_bytes() for each in folders.values()]
    assert weights[0] == weights[1]
    folder = folders["true"]
    export_run(folder, store)
    model = load_model_folder(folder.model)
    assert model.manifest.recipe["net"]["mirror"] is True
    graph = model.network("face")
    graph = graph if isinstance(graph, bytes) else graph.read_bytes()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    own = open_run(folder.root, store)[1][0].net
    assert own.mirror
    with torch.no_grad():
        wanted = own.encode(crops()).numpy()
    got = session.run(None, {"crops": crops().flip(2).numpy().copy()})[0]
    np.testing.assert_allclose(got, wanted, atol=1e-4)
