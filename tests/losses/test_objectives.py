"""The sums of terms are the published formulas; masks, other tasks and silence are respected."""

import numpy as np
import pytest
import torch

from tests.tasks.toy import PAIN
from triaffect.errors import TriaffectError
from triaffect.losses.adversarial import Adversary
from triaffect.losses.distillation import Distillation
from triaffect.losses.objective import StepContext, Supervised, TorchTargets
from triaffect.models.base import Outputs
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import PLAIN_LOSS, LossOptions, Reading
from triaffect.types import Targets

ROWS = 6
WEIGHTS = {"VA": 1.5, "EXPR": 2.5, "AU": 4.5}
KERAS, REVERSED = Reading.KERAS, Reading.KERAS_REVERSED


def made_outputs(tasks, seed, classes=3):
    make = torch.Generator().manual_seed(seed)
    raw = {
        task.key: torch.randn(
            ROWS, task.width, generator=make, dtype=torch.float64
        ).requires_grad_()
        for task in tasks
    }
    domain = torch.randn(ROWS, classes, generator=make, dtype=torch.float64).requires_grad_()
    return Outputs(raw, domain, domain)


def made_labels(task, seed):
    rng = np.random.default_rng(seed)
    values = rng.random((ROWS, task.width))
    if task.key == "EXPR":
        values = np.eye(8)[rng.integers(0, 8, ROWS)]
    return TorchTargets(torch.tensor(values), torch.ones(ROWS, task.width).bool(), torch.ones(ROWS))


def made_context(kind, tasks=TASKS, labelled=("VA", "EXPR", "AU"), **changes):
    fields = {
        "kind": kind,
        "tasks": tasks,
        "outputs": made_outputs(tasks, 0),
        "teacher": made_outputs(tasks, 1).raw,
        "targets": {t.key: made_labels(t, 2) for t in tasks if t.key in labelled},
        "progress": 0.3,
        "task_weights": WEIGHTS,
    }
    return StepContext(**{**fields, **changes})


def label_loss(context, key, options=PLAIN_LOSS):
    task = next(t for t in context.tasks if t.key == key)
    labels = context.targets[key]
    raw = context.outputs.raw[key]
    return task.loss(raw, labels.values, labels.valid, labels.weight, options)


def teacher_loss(context, key, options=PLAIN_LOSS):
    task = next(t for t in context.tasks if t.key == key)
    return task.soft_loss(context.outputs.raw[key], context.teacher[key], options)


def near(term, expected):
    assert term.item() == pytest.approx(expected.item(), rel=0, abs=1e-10)


@pytest.mark.parametrize("kind", ["VA", "EXPR", "AU"])
def test_teacher_on_a_single_task_batch(kind):
    context = made_context(kind, labelled=(kind,))
    terms = Supervised()(context)
    assert list(terms) == [f"label.{kind}"]
    near(terms[f"label.{kind}"], label_loss(context, kind))


def test_teacher_on_a_fully_labelled_batch():
    context = made_context("MTL")
    terms = Supervised()(context)
    assert list(terms) == ["label.VA", "label.EXPR", "label.AU"]
    near(sum(terms.values()), sum(label_loss(context, key) for key in WEIGHTS))


@pytest.mark.parametrize("kind", ["VA", "EXPR", "AU"])
def test_student_on_a_single_task_batch(kind):
    context = made_context(kind, labelled=(kind,))
    hot = LossOptions(temperature=2.5)
    terms = Supervised(own_weight=10.0, use_task_weights=True, temperature=2.5)(context)
    terms |= Distillation(temperature=2.5)(context)
    terms |= Adversary()(context)
    others = [key for key in WEIGHTS if key != kind]
    place = torch.full((ROWS,), ["VA", "EXPR", "AU"].index(kind))
    expected = (
        10 * WEIGHTS[kind] * label_loss(context, kind, hot)
        + WEIGHTS[kind] * teacher_loss(context, kind, hot)
        + 0.9 * sum(WEIGHTS[key] * teacher_loss(context, key, hot) for key in others)
        + 0.3 * torch.nn.functional.cross_entropy(context.outputs.domain, place)
    )
    near(sum(terms.values()), expected)


def test_student_on_a_fully_labelled_batch_learns_from_labels_alone():
    context = made_context("MTL")
    student = (
        Supervised(own_weight=10.0, use_task_weights=True, temperature=2.5),
        Distillation(temperature=2.5),
        Adversary(),
    )
    terms = {name: term for objective in student for name, term in objective(context).items()}
    hot = LossOptions(temperature=2.5)
    near(sum(terms.values()), sum(WEIGHTS[k] * label_loss(context, k, hot) for k in WEIGHTS))


READINGS = {
    ("EXPR", "EXPR"): REVERSED,
    ("VA", "EXPR"): KERAS,
    ("AU", "EXPR"): REVERSED,
    ("AU", "AU"): REVERSED,
    ("VA", "AU"): KERAS,
    ("EXPR", "AU"): KERAS,
}


@pytest.mark.parametrize(("kind", "key"), READINGS)
def test_order_of_arguments_of_each_soft_loss_as_coded(kind, key):
    context = made_context(kind)
    term = Distillation(temperature=2.5, reading="as_coded")(context)[f"teacher.{key}"]
    weight = WEIGHTS[key] * (1 if key == kind else 0.9)
    for reading in (KERAS, REVERSED):
        expected = weight * teacher_loss(context, key, LossOptions(reading, 2.5))
        same = term.item() == pytest.approx(expected.item(), rel=0, abs=1e-10)
        assert same == (reading is READINGS[kind, key])


def test_label_losses_as_coded_are_reversed():
    context = made_context("MTL")
    terms = Supervised(reading="as_coded")(context)
    for key in ("EXPR", "AU"):
        near(terms[f"label.{key}"], label_loss(context, key, LossOptions(REVERSED)))


def test_adversary_as_coded_is_reversed():
    context = made_context("EXPR")
    term = Adversary(reading="as_coded")(context)["adversary"]
    right = context.outputs.domain.softmax(1)[:, 1].mean()
    assert term.item() == pytest.approx(0.3 * 16.118095 * (1 - right.item()), rel=1e-6)


def test_adversary_schedules():
    context = made_context("AU")
    full = Adversary(schedule="constant", weight=2.0)(context)["adversary"]
    near(Adversary(weight=2.0)(context)["adversary"], 0.3 * full)


def test_adversary_needs_a_discriminator_of_its_classes():
    outputs = made_outputs(TASKS, 0)
    without = Outputs(outputs.raw, None, outputs.features)
    with pytest.raises(TriaffectError, match="a discriminator of 3 classes, got no discr"):
        Adversary()(made_context("VA", outputs=without))
    with pytest.raises(TriaffectError, match="of 2 classes, got one of 3 classes"):
        Adversary(classes=("VA", "AU"))(made_context("VA"))
    assert Adversary()(made_context("MTL", outputs=without)) == {}


def test_distillation_needs_a_teacher():
    with pytest.raises(TriaffectError, match="a teacher"):
        Distillation()(made_context("VA", teacher=None))
    assert Distillation()(made_context("MTL", teacher=None)) == {}


def test_a_teacher_is_silent_on_what_it_does_not_know():
    """It gives no term and no gradient there; what it knows is taught as ever."""
    whole = made_context("ALL")
    context = made_context("ALL", teacher={"EXPR": whole.teacher["EXPR"]})
    terms = Distillation(on=("ALL",))(context)
    assert set(terms) == {"teacher.EXPR"}
    near(terms["teacher.EXPR"], Distillation(on=("ALL",))(whole)["teacher.EXPR"])
    sum(terms.values()).backward()
    assert context.outputs.raw["EXPR"].grad.any()
    assert context.outputs.raw["AU"].grad is None
    assert Distillation(on=("ALL",))(made_context("ALL", teacher={})) == {}


def test_a_task_without_a_label_gets_no_term_and_no_gradient():
    context = made_context("MTL")
    empty = context.targets["EXPR"]
    nothing = TorchTargets(empty.values, torch.zeros_like(empty.valid), empty.weight)
    context = made_context("MTL", targets={**context.targets, "EXPR": nothing})
    terms = Supervised()(context)
    assert list(terms) == ["label.VA", "label.AU"]
    sum(terms.values()).backward()
    assert context.outputs.raw["EXPR"].grad is None
    own = made_context("EXPR", targets={"EXPR": nothing})
    assert Supervised()(own) == {}


def test_a_partly_labelled_batch_learns_from_the_labels_it_has():
    context = made_context("MTL")
    labels = context.targets["AU"]
    valid = labels.valid.clone()
    valid[2:, 3:] = False
    context = made_context("MTL", targets={"AU": TorchTargets(labels.values, valid, labels.weight)})
    terms = Supervised()(context)
    assert list(terms) == ["label.AU"]
    terms["label.AU"].backward()
    gradient = context.outputs.raw["AU"].grad
    assert torch.equal(gradient != 0, valid)


def test_positive_weights_reach_their_task():
    context = made_context("MTL")
    positive = tuple(float(k) for k in range(1, 13))
    terms = Supervised(positive_weight={"AU": positive})(context)
    options = LossOptions(positive_weight=positive)
    near(terms["label.AU"], label_loss(context, "AU", options))
    near(terms["label.EXPR"], label_loss(context, "EXPR"))


def test_a_fourth_task_needs_nothing_else():
    tasks = (*TASKS, PAIN)
    context = made_context("PAIN", tasks, labelled=("PAIN",))
    terms = Supervised(own_weight=10.0, use_task_weights=True)(context)
    near(terms["label.PAIN"], 10 * label_loss(context, "PAIN"))
    taught = Distillation(on=("VA", "EXPR", "AU", "PAIN"), reading="as_coded")(context)
    assert list(taught) == ["teacher.VA", "teacher.EXPR", "teacher.AU", "teacher.PAIN"]
    near(taught["teacher.PAIN"], teacher_loss(context, "PAIN", LossOptions(REVERSED)))
    assert list(Supervised()(made_context("MTL", tasks, ("VA", "PAIN")))) == [
        "label.VA",
        "label.PAIN",
    ]
    four = made_context("PAIN", tasks, outputs=made_outputs(tasks, 0, classes=4))
    assert Adversary(classes=("VA", "EXPR", "AU", "PAIN"))(four)["adversary"] > 0


def test_targets_become_tensors():
    values = np.ones((2, 3), np.float32)
    targets = TorchTargets.of(Targets(values, values > 0, values[:, 0]))
    assert targets.values.dtype == torch.float32
    assert targets.valid.dtype == torch.bool
    assert targets.weight.shape == (2,)


def test_a_teacher_may_be_asked_only_where_a_label_is_missing():
    labelled = torch.tensor([True, False, False, True, False, True])
    context = made_context("ALL")
    context.targets["EXPR"].valid[~labelled] = False
    context.targets["AU"].valid[:] = False
    terms = Distillation(on=("ALL",), missing_only=True, other_weight=1.0)(context)
    assert set(terms) == {"teacher.EXPR", "teacher.AU"}, "every row has a label of VA"
    terms["teacher.EXPR"].backward()
    gradient = context.outputs.raw["EXPR"].grad
    assert gradient[~labelled].any(1).all()
    assert not gradient[labelled].any()
    whole = Distillation(on=("ALL",), other_weight=1.0)(context)
    assert set(whole) == {"teacher.VA", "teacher.EXPR", "teacher.AU"}
    torch.testing.assert_close(whole["teacher.AU"], terms["teacher.AU"])
