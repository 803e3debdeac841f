"""Outputs, batch-norm statistics and gradients of the network against the authors' program."""

import numpy as np
import pytest
import torch

from tests.parity.reference import KINDS, STAGNANT, inputs, load, loss_terms, our_name, small_net
from triaffect.models import discriminator
from triaffect.tasks.registry import TASKS

TOLERANCE = 1e-5
WHO = ("teacher", "student")


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["eval", "train_nodrop"])
def test_outputs(who, kind, mode):
    net = small_net(who).train(mode == "train_nodrop")
    seen = {}
    net.lstm.register_forward_hook(lambda *a: seen.update(lstm=a[2]))
    net.trunk[0].register_forward_hook(lambda *a: seen.update(trunk0=a[2]))
    outputs = net(inputs(kind))
    probability = {task.key: task.activate(outputs.raw[task.key]) for task in TASKS}
    seen |= {"trunk1": outputs.features, "domain": outputs.domain.softmax(1)}
    seen |= {"va": probability["VA"], "au": probability["AU"], "expr_logits": outputs.raw["EXPR"]}
    for name, ours in seen.items():
        theirs = load("outputs")[f"{who}.{kind}.{mode}.{name}"]
        np.testing.assert_allclose(ours.detach(), theirs, rtol=0, atol=TOLERANCE, err_msg=name)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("kind", KINDS)
def test_one_training_pass_moves_the_statistics_of_every_batch_norm(who, kind):
    net = small_net(who).train()
    net(inputs(kind))
    ours = net.state_dict()
    prefix = f"{who}.{kind}.bn_after."
    theirs = {k.removeprefix(prefix): v for k, v in load("outputs").items() if prefix in k}
    assert len(theirs) == 20
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[our_name(name)], value, rtol=0, atol=1e-6, err_msg=name)


def gradients(who, kind, net):
    teacher = small_net("teacher").eval()
    with torch.no_grad():
        taught = teacher(inputs(kind))
    stagnant = STAGNANT["ni1" if who == "student" else "ni0"]
    loss = sum(loss_terms(who, kind, net(inputs(kind)), taught, 0.5, stagnant).values())
    loss.backward()
    return loss.item(), {name: p.grad for name, p in net.named_parameters()}


def comparable(name):
    """A bias in front of a batch norm has a gradient of rounding noise alone."""
    return not name.endswith("dense.bias")


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("kind", KINDS)
def test_parameter_gradients(who, kind):
    theirs = load("param_grads")
    loss, ours = gradients(who, kind, small_net(who).train())
    assert loss == pytest.approx(float(theirs[f"{who}.{kind}.loss"]), rel=TOLERANCE)
    norms = f"{who}.{kind}.norm."
    for key in (key for key in theirs if key.startswith(norms)):
        name = key.removeprefix(norms)
        gradient = ours[our_name(name)]
        assert (gradient is None) == bool(np.isnan(theirs[key])), name
        if gradient is not None and comparable(name):
            assert gradient.norm().item() == pytest.approx(float(theirs[key]), rel=TOLERANCE), name
    whole = f"{who}.{kind}.full."
    for key in (key for key in theirs if key.startswith(whole)):
        name = key.removeprefix(whole)
        if comparable(name):
            limit = TOLERANCE * np.abs(theirs[key]).max()
            np.testing.assert_allclose(
                ours[our_name(name)], theirs[key].T, rtol=0, atol=limit, err_msg=name
            )


def domain_gradients():
    net = small_net("teacher").train()
    terms = loss_terms("teacher", "VA", net(inputs("VA")), None, 1.0, STAGNANT["ni0"])
    terms["adversary"].backward()
    return terms["adversary"].item(), {n: p.grad for n, p in net.named_parameters()}


def test_gradient_reversal():
    theirs = load("grad_reversal")
    loss, ours = domain_gradients()
    assert loss == pytest.approx(float(theirs["grl.loss_domain_only"]), rel=TOLERANCE)
    prefix = "grl.domain_only."
    names = [k.removeprefix(prefix) for k in theirs if k.startswith(prefix)]
    assert len(names) == 21
    for name in filter(comparable, names):
        value = theirs[prefix + name]
        limit = TOLERANCE * np.abs(value).max()
        np.testing.assert_allclose(ours[our_name(name)], value.T, rtol=0, atol=limit, err_msg=name)
    silent = [name for name, gradient in ours.items() if gradient is None]
    assert silent
    assert all(name.startswith("heads.") for name in silent)


def test_without_the_reversal_shared_gradients_change_sign(monkeypatch):
    _, reversed_ = domain_gradients()
    monkeypatch.setattr(discriminator, "reverse_gradient", lambda x: x)
    _, plain = domain_gradients()
    for name, gradient in plain.items():
        if gradient is not None:
            sign = 1 if name.startswith("discriminator.") else -1
            assert torch.equal(gradient, sign * reversed_[name]), name
