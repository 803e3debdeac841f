"""Keras' Adam against NumPy, step by step."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from triaffect.training.optimizers import KerasAdam


class NumpyAdam:
    """p -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps), one t for all."""

    def __init__(self, values, lr):
        self.p, self.lr, self.t = [v.copy() for v in values], lr, 0
        self.m, self.v = [np.zeros_like(v) for v in values], [np.zeros_like(v) for v in values]

    def step(self, gradients):
        self.t += 1
        rate = self.lr * np.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
        for i, g in enumerate(gradients):
            if g is not None:
                self.m[i] = 0.9 * self.m[i] + 0.1 * g
                self.v[i] = 0.999 * self.v[i] + 0.001 * g**2
                self.p[i] -= rate * self.m[i] / (np.sqrt(self.v[i]) + 1e-7)


def setup(lr=0.01):
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(3, 2)), rng.normal(size=4)]
    params = [torch.nn.Parameter(torch.tensor(v)) for v in values]
    return rng, params, KerasAdam(params, lr=lr), NumpyAdam(values, lr)


def both_step(rng, params, ours, theirs, skip=()):
    gradients = [
        None if i in skip else rng.normal(size=tuple(p.shape)) * 1e-5 for i, p in enumerate(params)
    ]
    for p, g in zip(params, gradients, strict=True):
        p.grad = None if g is None else torch.tensor(g)
    ours.step()
    theirs.step(gradients)


def agree(params, theirs):
    for p, expected in zip(params, theirs.p, strict=True):
        np.testing.assert_allclose(p.detach(), expected, rtol=0, atol=1e-12)


def test_steps_with_a_parameter_skipped_now_and_then():
    rng, params, ours, theirs = setup()
    for step in range(8):
        both_step(rng, params, ours, theirs, skip=(1,) if step in (0, 3, 4) else ())
        agree(params, theirs)
    assert ours.t == 8


def test_it_differs_from_torchs_own_where_gradients_are_small():
    rng, params, ours, theirs = setup()
    copies = [torch.nn.Parameter(p.detach().clone()) for p in params]
    other = torch.optim.Adam(copies, lr=0.01, eps=1e-7)
    both_step(rng, params, ours, theirs)
    for p, copy in zip(params, copies, strict=True):
        copy.grad = p.grad
    other.step()
    assert not torch.allclose(params[0], copies[0], rtol=0, atol=1e-6)


def test_a_late_start_with_zero_moments():
    rng, params, ours, theirs = setup()
    ours.carry_step(500)
    theirs.t = 500
    for _ in range(3):
        both_step(rng, params, ours, theirs)
    agree(params, theirs)
    assert ours.t == 503


def test_moments_reset_while_the_count_goes_on():
    rng, params, ours, theirs = setup()
    for _ in range(3):
        both_step(rng, params, ours, theirs)
    ours.reset_moments()
    theirs.m = [0 * m for m in theirs.m]
    theirs.v = [0 * v for v in theirs.v]
    for _ in range(3):
        both_step(rng, params, ours, theirs)
    agree(params, theirs)


def test_saved_and_loaded_it_goes_on_identically():
    rng, params, ours, theirs = setup()
    for _ in range(3):
        both_step(rng, params, ours, theirs)
    copies = [torch.nn.Parameter(p.detach().clone()) for p in params]
    resumed = KerasAdam(copies, lr=0.5)
    resumed.load_state_dict(deepcopy(ours.state_dict()))
    assert resumed.t == 3
    both_step(rng, params, ours, theirs)
    for p, copy in zip(params, copies, strict=True):
        copy.grad = p.grad
    resumed.step()
    for p, copy in zip(params, copies, strict=True):
        assert torch.equal(p, copy)


def test_a_step_without_any_gradient_still_counts():
    _, params, ours, theirs = setup()
    ours.step()
    assert ours.t == 1
    agree(params, theirs)


def test_a_closure_is_refused():
    _, _, ours, _ = setup()
    with pytest.raises(ValueError, match="closure"):
        ours.step(lambda: 0.0)
