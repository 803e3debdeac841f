"""The moving average of weights, against its formula."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from triaffect.training.optimizers import ExponentialMovingAverage


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def moved(net, step):
    with torch.no_grad():
        for value in net.state_dict().values():
            value.add_(step)
    return net


def test_it_follows_its_formula(net):
    average = ExponentialMovingAverage(net, deepcopy(net), 0.6)
    wanted = {name: value.clone() for name, value in net.state_dict().items()}
    for t in range(1, 20):
        moved(net, t)
        average.update(net)
        decay = min(0.6, (1 + t) / (10 + t))
        for name, value in net.state_dict().items():
            if name.endswith("tracked"):
                wanted[name] = value.clone()
            else:
                wanted[name] = decay * wanted[name] + (1 - decay) * value
    assert average.decay == 0.6
    for name, value in average.net.state_dict().items():
        torch.testing.assert_close(value, wanted[name])


def test_it_is_a_network_apart_that_does_not_learn(net):
    average = ExponentialMovingAverage(net, deepcopy(net), 0.9)
    before = average.net[0].weight.clone()
    moved(net, 1)
    assert torch.equal(average.net[0].weight, before)
    assert not average.net.training
    assert net.training
    assert not any(each.requires_grad for each in average.net.parameters())


def test_it_goes_on_where_it_was(net):
    one, other = (ExponentialMovingAverage(net, deepcopy(net), 0.9) for _ in range(2))
    one.update(moved(net, 1))
    other.load_state_dict({name: value.clone() for name, value in one.state_dict().items()})
    moved(net, 1)
    for each in (one, other):
        each.update(net)
    assert one.updates == other.updates == 2
    ours, theirs = one.state_dict(), other.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
