"""Losses against scikit-learn and NumPy in float64, and what masks must never let through."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from tests.tasks.toy import PAIN
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import LossOptions, Reading
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL

EXACT = 1e-10
READINGS = list(Reading)
ALL_TASKS = [*TASKS, PAIN]
AS_KERAS = np.float64(np.float32(1e-7)), np.float64(np.float32(1) - np.float32(1e-7))

seeds = st.integers(0, 2**32 - 1)


def random_labels(task, rows, rng):
    match task.key:
        case "VA":
            return rng.uniform(-1, 1, (rows, 2))
        case "EXPR":
            return np.eye(8)[rng.integers(0, 8, rows)]
        case _:
            return rng.integers(0, 2, (rows, task.width)).astype(float)


def case(task, rows=9, seed=0):
    rng = np.random.default_rng(seed)
    raw = torch.tensor(rng.normal(size=(rows, task.width)) * 2, requires_grad=True)
    target = torch.tensor(random_labels(task, rows, rng))
    return raw, target, torch.ones(rows, task.width).bool(), torch.ones(rows).double()


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def ccc(x, y):
    covariance = np.cov(x, y, bias=True)
    return 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + (x.mean() - y.mean()) ** 2)


def test_concordance_loss():
    raw, target, valid, weight = case(VALENCE_AROUSAL)
    said = np.tanh(raw.detach().numpy())
    expected = 1 - np.mean([ccc(said[:, k], target[:, k].numpy()) for k in range(2)])
    ours = VALENCE_AROUSAL.loss(raw, target, valid, weight).item()
    assert ours == pytest.approx(expected, rel=0, abs=EXACT)


def test_concordance_loss_of_a_column_without_labels_is_that_of_the_other():
    raw, target, valid, weight = case(VALENCE_AROUSAL)
    valid[:, 1] = False
    said = np.tanh(raw.detach().numpy()[:, 0])
    ours = VALENCE_AROUSAL.loss(raw, target, valid, weight).item()
    assert ours == pytest.approx(1 - ccc(said, target[:, 0].numpy()), rel=0, abs=EXACT)


def test_concordance_by_weight_counts_a_row_of_weight_two_twice():
    raw, target, valid, weight = case(VALENCE_AROUSAL)
    weight[3] = 2
    again = torch.cat([torch.arange(9), torch.tensor([3])])
    twice = VALENCE_AROUSAL.loss(raw[again], target[again], valid[again], torch.ones(10))
    assert VALENCE_AROUSAL.loss(raw, target, valid, weight).item() == pytest.approx(
        twice.item(), rel=0, abs=EXACT
    )


@pytest.mark.parametrize("rows", [0, 1])
def test_concordance_of_fewer_than_two_rows_is_no_loss(rows):
    raw, target, valid, weight = case(VALENCE_AROUSAL)
    valid[rows:] = False
    loss = VALENCE_AROUSAL.loss(raw, target, valid, weight)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(raw.grad, torch.zeros_like(raw))


def test_concordance_without_spread_is_finite():
    raw = torch.zeros(4, 2, requires_grad=True)
    loss = VALENCE_AROUSAL.loss(raw, torch.zeros(4, 2), torch.ones(4, 2).bool(), torch.ones(4))
    loss.backward()
    assert loss.item() == 1
    assert raw.grad.isfinite().all()


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_cross_entropy(temperature):
    raw, target, valid, weight = case(EXPRESSION)
    weight[2] = 0.25
    probability = softmax(raw.detach().numpy() / temperature)
    expected = log_loss(
        target.numpy().argmax(1), probability, labels=range(8), sample_weight=weight.numpy()
    )
    ours = EXPRESSION.loss(raw, target, valid, weight, LossOptions(temperature=temperature))
    assert ours.item() == pytest.approx(expected, rel=0, abs=EXACT)


def test_cross_entropy_of_a_distribution():
    raw, _, valid, weight = case(EXPRESSION)
    target = softmax(np.random.default_rng(5).normal(size=(9, 8)))
    expected = -(target * np.log(softmax(raw.detach().numpy()))).sum(1).mean()
    ours = EXPRESSION.loss(raw, torch.tensor(target), valid, weight)
    assert ours.item() == pytest.approx(expected, rel=0, abs=EXACT)


def test_a_distribution_with_a_gap_is_no_label():
    raw, target, valid, weight = case(EXPRESSION)
    valid[0, 3] = False
    ours = EXPRESSION.loss(raw, target, valid, weight).item()
    without = EXPRESSION.loss(raw[1:], target[1:], valid[1:], weight[1:]).item()
    assert ours == pytest.approx(without, rel=0, abs=EXACT)


def test_binary_cross_entropy_of_partly_labelled_rows():
    raw, target, valid, weight = case(ACTION_UNITS)
    weight[1] = 3
    valid[:5, 4:] = False
    probability = 1 / (1 + np.exp(-raw.detach().numpy()))
    kept = valid.numpy()
    expected = log_loss(
        target.numpy()[kept],
        probability[kept],
        labels=[0, 1],
        sample_weight=np.broadcast_to(weight.numpy()[:, None], kept.shape)[kept],
    )
    ours = ACTION_UNITS.loss(raw, target, valid, weight).item()
    assert ours == pytest.approx(expected, rel=0, abs=EXACT)


def test_positive_weights_against_torch():
    raw, target, valid, weight = case(ACTION_UNITS)
    positive = torch.linspace(0.5, 6, 12, dtype=torch.float64)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        raw, target, pos_weight=positive
    )
    options = LossOptions(positive_weight=tuple(positive.tolist()))
    ours = ACTION_UNITS.loss(raw, target, valid, weight, options)
    assert ours.item() == pytest.approx(expected.item(), rel=0, abs=EXACT)


def test_distance_of_soft_labels_in_logits():
    raw, target, valid, weight = case(ACTION_UNITS)
    soft = torch.linspace(0.001, 0.6, 9, dtype=torch.float64)
    target[:, 0] = soft
    valid[2, 0] = False
    plain = ACTION_UNITS.loss(raw, target, valid, weight).item()
    ours = ACTION_UNITS.loss(raw, target, valid, weight, LossOptions(logit_weight=0.3)).item()
    distance = (raw[:, 0] - soft.logit().clamp(-5, 5)).detach()[valid[:, 0]]
    expected = 0.3 * (distance**2).sum().item() / valid.sum().item()
    assert ours - plain == pytest.approx(expected, rel=0, abs=EXACT), "labels of 0 and 1 have none"


def keras_cce(label, prediction):
    p = np.clip(prediction / prediction.sum(1, keepdims=True), *AS_KERAS)
    return -(label * np.log(p)).sum(1).mean()


def keras_bce(label, prediction):
    p = np.clip(prediction, *AS_KERAS)
    low = AS_KERAS[0]
    return -(label * np.log(p + low) + (1 - label) * np.log(1 - p + low)).mean()


@pytest.mark.parametrize("task", [EXPRESSION, ACTION_UNITS], ids=lambda t: t.key)
def test_library_readings(task):
    raw, target, valid, weight = case(task)
    said, label = task.activate(raw).detach().numpy(), target.numpy()
    formula = keras_cce if task is EXPRESSION else keras_bce
    for reading, pair in ((Reading.KERAS, (label, said)), (Reading.KERAS_REVERSED, (said, label))):
        ours = task.loss(raw, target, valid, weight, LossOptions(reading)).item()
        assert ours == pytest.approx(formula(*pair), rel=0, abs=EXACT)


def test_reversed_readings_are_linear_in_the_prediction():
    reversed_ = LossOptions(Reading.KERAS_REVERSED)
    raw, target, valid, weight = case(EXPRESSION)
    right = (EXPRESSION.activate(raw) * target).sum(1).mean().item()
    ours = EXPRESSION.loss(raw, target, valid, weight, reversed_).item()
    assert ours == pytest.approx(16.118095 * (1 - right), rel=1e-6)
    raw, target, valid, weight = case(ACTION_UNITS)
    said = ACTION_UNITS.activate(raw)
    expected = torch.where(target > 0, 15.33324 * (1 - said), 15.42495 * said).mean().item()
    ours = ACTION_UNITS.loss(raw, target, valid, weight, reversed_).item()
    assert ours == pytest.approx(expected, rel=1e-6)


def test_soft_labels_are_the_teachers_outputs():
    for task in ALL_TASKS:
        raw, _, valid, weight = case(task)
        teacher = case(task, seed=1)[0]
        for reading in READINGS:
            options = LossOptions(reading, temperature=2.5)
            scaled = teacher / 2.5 if task is EXPRESSION else teacher
            expected = task.loss(raw, task.activate(scaled).detach(), valid, weight, options)
            assert task.soft_loss(raw, teacher, options).item() == pytest.approx(
                expected.item(), rel=0, abs=EXACT
            )


def test_nothing_flows_into_the_teacher():
    for task in ALL_TASKS:
        raw, teacher = case(task)[0], case(task, seed=1)[0]
        for reading in READINGS:
            task.soft_loss(raw, teacher, LossOptions(reading)).backward()
        assert teacher.grad is None
        assert raw.grad.abs().sum() > 0


@pytest.mark.parametrize("task", ALL_TASKS, ids=lambda t: t.key)
@pytest.mark.parametrize("reading", READINGS)
@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_masked_entries_have_no_say(task, reading, seed):
    """Not even when the label, or the output itself, is NaN there."""
    rng = np.random.default_rng(seed)
    raw, target, valid, weight = case(task, 8, seed)
    valid = torch.tensor(rng.random((8, task.width)) < 0.6)
    weight = torch.tensor(rng.choice([0.0, 0.5, 1.0], 8))
    if task is EXPRESSION:
        valid = valid.all(1, keepdim=True).expand(8, 8) | torch.tensor(rng.random((8, 1)) < 0.5)
    counts = valid & (weight > 0).unsqueeze(1)
    options = LossOptions(reading)
    loss = task.loss(raw, target, valid, weight, options)
    (gradient,) = torch.autograd.grad(loss, raw)
    assert torch.equal(gradient[~counts], torch.zeros_like(gradient[~counts]))
    broken = task.loss(
        raw.detach().masked_fill(~counts, torch.nan),
        target.masked_fill(~counts, torch.nan),
        valid,
        weight,
        options,
    )
    assert torch.equal(broken, loss.detach())


@pytest.mark.parametrize("task", ALL_TASKS, ids=lambda t: t.key)
@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_order_of_the_rows_does_not_matter(task, seed):
    rng = np.random.default_rng(seed)
    raw, target, valid, weight = case(task, 8, seed)
    order = torch.tensor(rng.permutation(8))
    for reading in READINGS:
        options = LossOptions(reading)
        one = task.loss(raw, target, valid, weight, options).item()
        other = task.loss(raw[order], target[order], valid[order], weight[order], options).item()
        assert one == pytest.approx(other, rel=0, abs=EXACT)


@pytest.mark.parametrize("task", ALL_TASKS, ids=lambda t: t.key)
@pytest.mark.parametrize("reading", READINGS)
def test_rows_left_out_are_as_if_they_were_not_there(task, reading):
    raw, target, valid, weight = case(task)
    valid[4:] = False
    options = LossOptions(reading)
    with_them = task.loss(raw, target, valid, weight, options).item()
    without = task.loss(raw[:4], target[:4], valid[:4], weight[:4], options).item()
    assert with_them == pytest.approx(without, rel=0, abs=EXACT)


@pytest.mark.parametrize("task", ALL_TASKS, ids=lambda t: t.key)
@pytest.mark.parametrize("reading", READINGS)
def test_no_label_at_all_is_exactly_zero_and_still_attached(task, reading):
    raw, target, valid, weight = case(task)
    loss = task.loss(raw, target, torch.zeros_like(valid), weight, LossOptions(reading))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(raw.grad, torch.zeros_like(raw))


@pytest.mark.parametrize("task", ALL_TASKS, ids=lambda t: t.key)
@pytest.mark.parametrize("reading", READINGS)
def test_gradients_by_finite_differences(task, reading):
    raw, target, valid, weight = case(task, 5)
    # Soft targets, for hard ones sit on the edge of the clipping.
    if task is not VALENCE_AROUSAL:
        target = task.activate(case(task, 5, seed=3)[0]).detach()

    def loss(x):
        return task.loss(x, target, valid, weight, LossOptions(reading, 1.5))

    assert torch.autograd.gradcheck(loss, (raw,))
