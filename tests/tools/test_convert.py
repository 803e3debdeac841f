"""Weight files of Keras, TensorFlow and NumPy into the networks, and files that do not fit."""

import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from tests.tools.keras_made import drawn, filled, write_keras2, write_keras3
from tools.keras_import.convert import convert
from tools.keras_import.fit import fit
from tools.keras_import.read import read_variables
from tools.keras_import.variables import layers_of
from triaffect.errors import ModelError
from triaffect.models import fer_resnet34
from triaffect.models.fer_resnet34 import FerResNet34
from triaffect.models.soundnet import SoundNet8

DATA = Path(__file__).parent / "data"


@pytest.fixture
def tiny(monkeypatch):
    """The face network with fewer, narrower blocks."""
    monkeypatch.setattr(fer_resnet34, "STAGES", ((8, 1), (16, 2)))
    monkeypatch.setattr(fer_resnet34, "GROUPS", 4)
    return FerResNet34()


def same(tensors, net):
    state = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert tensors.keys() == state.keys()
    return all(torch.equal(tensors[name], value) for name, value in state.items())


def converted(path, net):
    return fit(layers_of(read_variables(path), path), net, (16,), path)


HEAD = ("dense_99", {"kernel": np.ones((16, 2), np.float32), "bias": np.zeros(2, np.float32)})


@pytest.mark.parametrize("form", ["keras2", "whole", "nested", "keras3", "zip"])
def test_every_form_of_keras_file(form, tiny, tmp_path):
    path = tmp_path / "w.h5"
    layers = [*drawn(tiny, 5), HEAD]
    if form in ("keras3", "zip"):
        write_keras3(path, layers)
    else:
        group = "model_weights" if form == "whole" else None
        write_keras2(path, layers, group, "net_1" if form == "nested" else None)
    if form == "zip":
        content, path = path.read_bytes(), tmp_path / "w.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", "{}")
            archive.writestr("model.weights.h5", content)
    got = converted(path, tiny)
    assert same(got.tensors, filled(tiny, 5))
    assert got.left_out == ["dense_99 (16, 2)"]


def test_whole_networks_are_known_by_their_first_layer(tmp_path):
    for net, seed, name in ((SoundNet8(), 3, "soundnet8"), (FerResNet34(), 1, "fer_resnet34")):
        write_keras3(tmp_path / "w.h5", drawn(net, seed))
        got = convert(tmp_path / "w.h5")
        assert got.network == name
        assert got.numbered
        assert same(got.tensors, filled(net, seed))


def test_layers_stand_in_order_of_their_making_whatever_the_file_says(tiny, tmp_path):
    layers = list(drawn(tiny, 5))
    rest = np.random.default_rng(0).permutation(len(layers))
    write_keras2(tmp_path / "w.h5", [layers[k] for k in rest])
    assert same(converted(tmp_path / "w.h5", tiny).tensors, filled(tiny, 5))


def test_a_shortcut_may_come_before_its_block(tiny, tmp_path):
    """Branches in another order: each batch norm still follows its convolution."""
    layers = dict(drawn(tiny, 5))
    ours = list(layers)
    at, norm_at = ours.index("conv2d_6"), ours.index("batch_normalization_5")
    assert layers["conv2d_6"]["kernel"].shape == (1, 1, 8, 16)
    shortcut = [ours[at], ours[norm_at]]
    rest = [name for name in ours if name not in shortcut]
    start = rest.index("conv2d_4")
    order = [*rest[:start], *shortcut, *rest[start:]]
    named = [(f"mine_{k}", layers[name]) for k, name in enumerate(order)]
    write_keras2(tmp_path / "w.h5", named)
    assert same(converted(tmp_path / "w.h5", tiny).tensors, filled(tiny, 5))


def test_long_lists_of_names_are_in_pieces(tiny, tmp_path):
    write_keras2(tmp_path / "w.h5", list(drawn(tiny, 5)))
    with h5py.File(tmp_path / "w.h5", "a") as file:
        names = file.attrs.pop("layer_names")
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:9], names[9:]
    assert same(converted(tmp_path / "w.h5", tiny).tensors, filled(tiny, 5))


def test_a_checkpoint_that_tensorflow_wrote(monkeypatch):
    """``data/tiny.*``: ``save_weights`` of Keras 2 (tf_keras 2.21), weights of seed 5, with a head.

    Its output, in ``data/keras.npz``, is of ``default_rng(6).random((2, 33, 40, 3), float32)``.
    """
    monkeypatch.setattr(fer_resnet34, "STAGES", ((8, 1), (16, 1)))
    monkeypatch.setattr(fer_resnet34, "GROUPS", 4)
    net = FerResNet34()
    got = converted(DATA / "tiny.index", net)
    assert same(got.tensors, filled(FerResNet34(), 5))
    assert got.left_out == ["dense_4 (16, 2)"]
    net.load_state_dict(got.tensors, strict=False)
    faces = np.random.default_rng(6).random((2, 33, 40, 3), np.float32).transpose(0, 3, 1, 2)
    with torch.no_grad(), np.load(DATA / "keras.npz") as file:
        ours = net.eval()(torch.from_numpy(faces)).numpy()
        np.testing.assert_allclose(ours, file["tiny"], rtol=1e-5, atol=1e-6)
    assert same(converted(DATA / "tiny", net).tensors, net)  # by its name without .index


def test_state_dictionaries_of_pytorch(tmp_path):
    """SoundNet as PyTorch ports have it: two-dimensional convolutions, names of their own."""
    net = filled(SoundNet8(), 3)
    arrays = {}
    for name, value in net.state_dict().items():
        array = value.numpy()
        arrays[f"net.{name}"] = array[..., None] if array.ndim == 3 else array
    np.savez(tmp_path / "w.npz", **arrays)
    got = convert(tmp_path / "w.npz")
    assert got.network == "soundnet8"
    assert same(got.tensors, net)
    assert not got.numbered


def _change(tiny, path, name, **arrays):
    layers = [(n, {**a, **arrays} if n == name else a) for n, a in drawn(tiny, 5)]
    write_keras2(path, layers)


def test_what_does_not_fit_is_named(tiny, tmp_path):
    path = tmp_path / "w.h5"

    def refused(match):
        with pytest.raises(ModelError, match=match):
            converted(path, tiny)

    wide = np.ones((3, 3, 8, 9), np.float32)
    _change(tiny, path, "conv2d_4", kernel=wide, bias=np.ones(9, np.float32))
    refused(r"conv2d_4 with kernel \(3, 3, 8, 9\), bias \(9,\)")
    _change(tiny, path, "conv2d_4", bias=np.ones(9, np.float32))
    refused(r"conv2d_4 with .*bias \(9,\)")
    _change(tiny, path, "batch_normalization_2", gamma=np.ones(9, np.float32))
    refused(r"batch norm in its order \(one of 8\).*batch_normalization_2 with gamma \(9,\)")
    _change(tiny, path, "dense_1", kernel=np.full((2, 8), np.nan, np.float32))
    refused("dense_1, got NaN")
    layers = list(drawn(tiny, 5))
    write_keras2(path, layers[:-1])
    refused(r"without a layer for blocks.2.attention.spatial \(1, 16, 3, 3\)")
    write_keras2(path, [layer for layer in layers if layer[0] != "batch_normalization_7"])
    refused(r"one of 16\)|without a layer for blocks.2.body.4")
    write_keras2(path, [*layers, ("dense_99", {"kernel": np.ones((9, 2)), "bias": np.ones(2)})])
    refused(r"dense_99 with kernel \(9, 2\)")
    write_keras2(path, [*layers, ("prelu", {"alpha": np.ones(3)})])
    refused(r"prelu with alpha \(3,\)")
    write_keras2(path, [(n, {"kernel": a["kernel"]} if n == "conv2d" else a) for n, a in layers])
    refused(r"conv2d with kernel \(7, 7, 3, 8\)")


def test_a_file_of_another_network(tiny, tmp_path):
    write_keras2(tmp_path / "w.h5", list(drawn(tiny, 5)))
    with pytest.raises(ModelError, match="fer_resnet34 or soundnet8, got none of their first"):
        convert(tmp_path / "w.h5")
    with pytest.raises(ModelError, match=r"conv2d with kernel \(7, 7, 3, 8\)"):
        convert(tmp_path / "w.h5", "soundnet8")
    with pytest.raises(ModelError, match="a network among"):
        convert(tmp_path / "w.h5", "vgg")
    write_keras2(tmp_path / "w.h5", [])
    with pytest.raises(ModelError, match="layers with weights"):
        convert(tmp_path / "w.h5")


def test_pickles_are_refused(tmp_path):
    np.save(tmp_path / "sound8.npy", np.array({"conv1": 1}, object), allow_pickle=True)
    (tmp_path / "w.pkl").write_bytes(b"")
    for name in ("sound8.npy", "w.pkl"):
        with pytest.raises(ModelError, match="as a pickle"):
            read_variables(tmp_path / name)
    np.savez(tmp_path / "w.npz", a=np.array({"b": 1}, object))
    with pytest.raises(ModelError, match="pickled objects"):
        read_variables(tmp_path / "w.npz")


def test_damaged_and_missing_files(tiny, tmp_path):
    path = tmp_path / "w.h5"
    write_keras2(path, list(drawn(tiny, 5)))
    content = path.read_bytes()
    for name, piece in (
        ("cut.h5", content[: len(content) // 2]),
        ("none.h5", b""),
        ("other.hdf5", b"text"),
        ("cut.keras", b"PK\x03\x04"),
        ("cut.npz", b"PK\x03\x04"),
    ):
        (tmp_path / name).write_bytes(piece)
        with pytest.raises(ModelError, match="damaged"):
            read_variables(tmp_path / name)
    for name, match in (("absent.h5", "no such file"), (".", "a SavedModel or one checkpoint")):
        with pytest.raises(ModelError, match=match):
            read_variables(tmp_path / name)
    (tmp_path / "w.txt").write_text("")
    with pytest.raises(ModelError, match=r"w\.txt"):
        read_variables(tmp_path / "w.txt")


def test_a_file_that_points_elsewhere(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["kernel"] = np.ones((2, 2))
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["layer"] = h5py.ExternalLink("secret.h5", "/")
    with pytest.raises(ModelError, match="a link at layer"):
        read_variables(tmp_path / "link.h5")
    with h5py.File(tmp_path / "named.h5", "w") as file:
        file.attrs["layer_names"] = ["layer"]
        file["layer"] = h5py.ExternalLink("secret.h5", "/")
    with pytest.raises(ModelError, match="a link at layer"):
        read_variables(tmp_path / "named.h5")
    with h5py.File(tmp_path / "path.h5", "w") as file:
        file.attrs["weight_names"] = ["layer/kernel"]
        file["layer"] = h5py.ExternalLink("secret.h5", "/")
    with pytest.raises(ModelError, match="a link at layer/kernel"):
        read_variables(tmp_path / "path.h5")
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("a/kernel", (1 << 40,), "f4", chunks=(1 << 20,))
    with pytest.raises(ModelError, match="up to 256 MiB, got more at /a/kernel"):
        read_variables(tmp_path / "huge.h5")
