"""The published multi-task network: size, layers against independent forms, fourth task."""

import numpy as np
import pytest
import torch

from triaffect.models.discriminator import TaskDiscriminator, reverse_gradient
from triaffect.models.keras_layers import KerasBatchNorm, ReluLSTM
from triaffect.models.paper import PaperNet
from triaffect.tasks.registry import TASKS


def test_published_size():
    net = PaperNet()
    assert sum(p.numel() for p in net.parameters()) == 4_709_401
    assert sum(v.numel() for v in net.state_dict().values()) == 4_714_969


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("lstm", 2_099_200),
        ("trunk.0", 1_553_408),
        ("trunk.1", 526_848),
        ("discriminator", 33_088 + 2_208 + 99),
        ("heads.VA", 132_352 + 33_408 + 258),
        ("heads.EXPR", 132_352 + 33_408 + 1_032),
        ("heads.AU", 132_352 + 33_408 + 1_548),
    ],
)
def test_published_size_of_each_part(part, expected):
    module = PaperNet().get_submodule(part)
    assert sum(v.numel() for v in module.state_dict().values()) == expected


def test_heads_have_no_dropout_and_the_rest_has():
    net = PaperNet()
    places = {n for n, m in net.named_modules() if isinstance(m, torch.nn.Dropout)}
    assert places == {
        "trunk.0.3",
        "trunk.1.3",
        "discriminator.hidden.0.3",
        "discriminator.hidden.1.3",
    }


def test_presence_is_ignored():
    net = PaperNet(
        face_dim=5, voice_dim=3, lstm=4, trunk=(6,), head=(4,), discriminator=(3,)
    ).eval()
    inputs = {"face": torch.randn(2, 6, 5), "voice": torch.randn(2, 3)}
    absent = {"face_present": torch.zeros(2, 6).bool(), "voice_present": torch.zeros(2).bool()}
    with torch.no_grad():
        assert torch.equal(net(inputs).features, net({**inputs, **absent}).features)


def test_outputs_follow_the_tasks_and_the_classes():
    net = PaperNet(TASKS[:2], 5, 3, 4, (6,), (4,), (3,), classes=0)
    outputs = net({"face": torch.randn(4, 6, 5), "voice": torch.randn(4, 3)})
    assert {key: raw.shape for key, raw in outputs.raw.items()} == {"VA": (4, 2), "EXPR": (4, 8)}
    assert outputs.domain is None


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_lstm_against_numpy():
    lstm = ReluLSTM(3, 4).double()
    x = np.random.default_rng(0).normal(size=(5, 6, 3))
    kernel, recurrent, bias = (p.detach().numpy() for p in lstm.parameters())
    hidden, cell = np.zeros((5, 4)), np.zeros((5, 4))
    for t in range(6):
        let_in, keep, new, let_out = np.split(
            x[:, t] @ kernel.T + hidden @ recurrent.T + bias, 4, 1
        )
        cell = sigmoid(keep) * cell + sigmoid(let_in) * np.maximum(new, 0)
        hidden = sigmoid(let_out) * np.maximum(cell, 0)
    with torch.no_grad():
        np.testing.assert_allclose(lstm(torch.tensor(x)), hidden, rtol=0, atol=1e-12)


@pytest.mark.parametrize("window", [1, 2, 6])
def test_lstm_gradients_are_its_slopes(window):
    lstm = ReluLSTM(3, 4).double()
    x = torch.randn(5, window, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: lstm(x), (x, *lstm.parameters()))


def test_mixed_precision_trains_near_the_full_one():
    net = PaperNet(face_dim=5, voice_dim=3, lstm=4, trunk=(6,), head=(4,), dropout=0.0).eval()
    inputs = {"face": torch.randn(8, 6, 5), "voice": torch.randn(8, 3)}
    full = net(inputs).features
    with torch.autocast("cpu", torch.bfloat16):
        mixed = net(inputs).features
    assert mixed.dtype == torch.bfloat16
    torch.testing.assert_close(mixed.float(), full, rtol=0.1, atol=0.05)
    for features in (full, mixed):
        net.zero_grad()
        features.sum().backward()
        assert net.lstm.weight_ih.grad.isfinite().all()


def test_lstm_starts_with_an_open_forget_gate_and_orthogonal_memory():
    lstm = ReluLSTM(3, 4)
    assert lstm.bias.tolist() == [0] * 4 + [1] * 4 + [0] * 8
    product = lstm.weight_hh.T @ lstm.weight_hh
    np.testing.assert_allclose(product.detach(), np.eye(4), rtol=0, atol=1e-6)


def test_batch_norm_moves_by_the_biased_variance():
    norm = KerasBatchNorm(2).double()
    x = np.random.default_rng(1).normal(size=(7, 2)) * 3 + 1
    norm(torch.tensor(x))
    np.testing.assert_allclose(norm.running_mean, 0.01 * x.mean(0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(norm.running_var, 0.99 + 0.01 * x.var(0), rtol=0, atol=1e-12)
    held = norm.running_var.clone()
    expected = (x - norm.running_mean.numpy()) / np.sqrt(held.numpy() + 1e-3)
    with torch.no_grad():
        np.testing.assert_allclose(norm.eval()(torch.tensor(x)), expected, rtol=0, atol=1e-12)
    assert torch.equal(norm.running_var, held)


def test_batch_norm_of_a_single_row_is_finite():
    norm = KerasBatchNorm(2)
    assert torch.equal(norm(torch.ones(1, 2)), torch.zeros(1, 2))
    assert norm.running_var.isfinite().all()


def test_batch_norm_gradient():
    norm = KerasBatchNorm(3).double()
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm, (x,))


def test_reversal_negates_the_gradient_alone():
    x = torch.randn(3, requires_grad=True)
    y = reverse_gradient(x)
    assert torch.equal(y, x)
    (y * torch.arange(3.0)).sum().backward()
    assert x.grad.tolist() == [0, -1, -2]


def test_discriminator_learns_what_the_features_unlearn():
    net = TaskDiscriminator(4, (3,), 2, 0.0).eval()
    features = torch.randn(6, 4, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(net(features), torch.tensor([0, 1] * 3))
    along_features, along_weights = torch.autograd.grad(loss, [features, net.out.weight])
    with torch.no_grad():
        target = torch.tensor([0, 1] * 3)
        after = torch.nn.functional.cross_entropy(net(features - 0.05 * along_features), target)
        assert after > loss  # descending a reversed gradient climbs
        net.out.weight -= 0.05 * along_weights
        assert torch.nn.functional.cross_entropy(net(features), target) < loss
