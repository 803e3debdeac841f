"""The published face and voice networks: sizes, padding, weights from a file."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from triaffect.errors import ModelError
from triaffect.models.base import load_weights
from triaffect.models.fer_resnet34 import FerResNet34, SameConv2d, max_pool_same, same_padding
from triaffect.models.soundnet import SoundNet8


def numbers(net):
    state = net.state_dict()
    return sum(v.numel() for k, v in state.items() if not k.endswith("num_batches_tracked"))


def test_fer_resnet34_has_the_published_size():
    assert numbers(FerResNet34()) == 11_014_080


def test_face_features_are_never_negative():
    with torch.no_grad():
        features = FerResNet34().eval()(torch.rand(1, 3, 224, 224))
    assert features.shape == (1, 512)
    assert features.min() >= 0


def test_soundnet_has_the_size_its_layers_add_up_to():
    layers = [(1, 16, 64), (16, 32, 32), (32, 64, 16), (64, 128, 8), (128, 256, 4)]
    layers += [(256, 512, 4), (512, 1024, 4)]
    body = sum(i * o * k + o + 4 * o for i, o, k in layers)
    heads = sum(1024 * o * 8 + o for o in (1000, 401))
    assert numbers(SoundNet8()) == body + heads


def test_ten_seconds_of_sound_give_one_step():
    net = SoundNet8().eval()
    sound = torch.randn(1, 220_500).clamp(-1, 1) * 255
    with torch.no_grad():
        objects, scenes = net.heads(sound)
        assert torch.equal(net(sound), objects[:, :, 0])
    assert objects.shape == (1, 1000, 1)
    assert scenes.shape == (1, 401, 1)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [(224, 7, 2, (2, 3)), (112, 3, 2, (0, 1)), (56, 3, 1, (1, 1)), (56, 1, 2, (0, 0))],
)
def test_same_padding(size, kernel, stride, expected):
    assert same_padding(size, kernel, stride) == expected


def test_same_convolution_against_a_sum_by_hand():
    conv = SameConv2d(1, 1, 3, 2)
    image = torch.rand(1, 1, 6, 6)
    padded = np.zeros((7, 7))
    padded[:6, :6] = image[0, 0]  # all of the padding comes after
    kernel = conv.weight[0, 0].detach().numpy()
    expected = [
        [(padded[2 * r : 2 * r + 3, 2 * c : 2 * c + 3] * kernel).sum() for c in range(3)]
        for r in range(3)
    ]
    with torch.no_grad():
        np.testing.assert_allclose(conv(image)[0, 0], expected, rtol=0, atol=1e-6)
        pooled = max_pool_same(image, 3, 2)[0, 0]
    corner = image[0, 0, 4:, 4:].max()
    assert pooled.shape == (3, 3)
    assert pooled[2, 2] == corner


def test_weights_come_back_from_a_file(tmp_path):
    path = tmp_path / "sound.safetensors"
    written, read = SoundNet8(), SoundNet8()
    save_file(written.state_dict(), path)
    load_weights(read, path)
    assert all(
        torch.equal(a, b) for a, b in zip(written.parameters(), read.parameters(), strict=True)
    )


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    net = torch.nn.Linear(3, 2)
    save_file({"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match=r"weight \(2, 4\) for \(2, 3\)"):
        load_weights(net, path)
    save_file({"weight": torch.zeros(2, 3)}, path)
    with pytest.raises(ModelError, match="lacks bias"):
        load_weights(net, path)
    save_file({**net.state_dict(), "scale": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="has scale"):
        load_weights(net, path)
    path.write_bytes(b"not tensors")
    with pytest.raises(ModelError, match="safetensors"):
        load_weights(net, path)
    with pytest.raises(ModelError, match="no such file"):
        load_weights(net, tmp_path / "absent")
