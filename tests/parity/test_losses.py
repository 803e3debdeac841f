"""Every loss of teacher and student, and its gradient to the outputs, from the stored outputs."""

import numpy as np
import pytest
import torch

from tests.parity.reference import KINDS, STAGNANT, load, loss_terms
from triaffect.models.base import Outputs
from triaffect.tasks.losses import keras_categorical

TOLERANCE = 1e-5
CASES = [
    (who, kind, mode, stagnant)
    for who, stagnants in (("teacher", [None]), ("student", ["ni0", "ni1"]))
    for kind in KINDS
    for mode in ("eval", "train_nodrop")
    for stagnant in stagnants
]


def stored_outputs(who, kind, mode):
    """Raw outputs in float64 that activate to the stored ones."""
    arrays = {
        name: torch.tensor(load("outputs")[f"{who}.{kind}.{mode}.{name}"]).double()
        for name in ("domain", "va", "expr_logits", "au")
    }
    raw = {
        "VA": arrays["va"].atanh(),
        "EXPR": arrays["expr_logits"],
        "AU": arrays["au"].logit(),
    }
    domain = arrays["domain"].log()
    for leaf in (*raw.values(), domain):
        leaf.requires_grad_(True)
    return Outputs(raw, domain, arrays["va"]), arrays


def loss_of(who, kind, outputs, stagnant, weight):
    taught, _ = stored_outputs("teacher", kind, "eval")
    terms = loss_terms(who, kind, outputs, taught, weight, STAGNANT[stagnant or "ni0"])
    return sum(terms.values())


@pytest.mark.parametrize(("who", "kind", "mode", "stagnant"), CASES)
def test_losses(who, kind, mode, stagnant):
    key = ".".join(filter(None, (who, kind, mode, stagnant)))
    for weight in (0.05, 0.5, 1.0):
        outputs, _ = stored_outputs(who, kind, mode)
        ours = loss_of(who, kind, outputs, stagnant, weight).item()
        assert ours == pytest.approx(float(load("losses")[f"{key}.dw{weight}"]), rel=TOLERANCE)


def to_raw(gradient, value, name):
    """The program's gradient to an activated output, carried on to the raw one."""
    gradient = torch.tensor(gradient).double()
    match name:
        case "va":
            return gradient * (1 - value**2)
        case "au":
            return gradient * value * (1 - value)
        case "domain":
            return value * (gradient - (value * gradient).sum(1, keepdim=True))
        case _:
            return gradient


@pytest.mark.parametrize(("who", "kind", "mode", "stagnant"), CASES)
def test_gradients_to_the_outputs(who, kind, mode, stagnant):
    key = ".".join(filter(None, (who, kind, mode, stagnant, "dw0.5")))
    outputs, arrays = stored_outputs(who, kind, mode)
    leaves = {
        "domain": outputs.domain,
        "va": outputs.raw["VA"],
        "expr_logits": outputs.raw["EXPR"],
        "au": outputs.raw["AU"],
    }
    loss = loss_of(who, kind, outputs, stagnant, 0.5)
    ours = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    for (name, leaf), gradient in zip(leaves.items(), ours, strict=True):
        stored = load("loss_grads_wrt_outputs")[f"{key}.d_{name}"]
        theirs = to_raw(stored, arrays[name], name).detach()
        if gradient is None:
            assert torch.equal(theirs, torch.zeros_like(leaf)), name
        else:
            # Carrying float32 gradients on to a saturated softmax leaves their rounding over.
            limit = TOLERANCE * float(theirs.abs().max()) + 1e-7 * np.abs(stored).max()
            np.testing.assert_allclose(gradient, theirs, rtol=0, atol=limit, err_msg=name)


@pytest.mark.parametrize("who", ["teacher", "student"])
@pytest.mark.parametrize("kind", KINDS[1:])
def test_gradient_to_the_discriminators_probabilities(who, kind):
    """Without the softmax in between, whose saturation hides digits above."""
    key = f"{who}.{kind}.eval" + (".ni0" if who == "student" else "") + ".dw0.5.d_domain"
    guessed = torch.tensor(load("outputs")[f"{who}.{kind}.eval.domain"]).requires_grad_(True)
    label = torch.eye(3)[KINDS[1:].index(kind)].expand(8, 3)
    (0.5 * keras_categorical(guessed, label).mean()).backward()
    theirs = load("loss_grads_wrt_outputs")[key]
    np.testing.assert_allclose(guessed.grad, theirs, rtol=TOLERANCE, atol=1e-7)
