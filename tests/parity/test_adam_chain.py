"""Twelve teacher updates, then twelve of the student with the same Adam."""

import numpy as np
import pytest
import torch

from tests.parity.reference import (
    KINDS,
    STAGNANT,
    inputs,
    load,
    loss_terms,
    our_name,
    small_net,
)
from triaffect.tasks.registry import TASKS
from triaffect.training.optimizers import KerasAdam

UPDATES = 12


def generation(who, teacher, first_step):
    """Losses before each update, arrays after it by the program's names, and the network."""
    net = small_net(who).train()
    optimizer = KerasAdam(net.parameters(), lr=1e-4)
    optimizer.carry_step(first_step)
    stagnant = STAGNANT["ni1" if who == "student" else "ni0"]
    losses, states = [], []
    for step in range(UPDATES):
        kind = KINDS[step % 4]
        with torch.no_grad():
            taught = None if teacher is None else teacher(inputs(kind))
        optimizer.zero_grad()
        loss = sum(loss_terms(who, kind, net(inputs(kind)), taught, 0.05, stagnant).values())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        states.append({name: value.clone() for name, value in net.state_dict().items()})
    return losses, states, net.eval(), optimizer.t


@pytest.fixture(scope="module")
def chain():
    teacher = generation("teacher", None, 0)
    student = generation("student", teacher[2], teacher[3])
    return {"teacher": teacher, "student": student}


@pytest.mark.parametrize("who", ["teacher", "student"])
def test_losses_along_the_updates(chain, who):
    for step, ours in enumerate(chain[who][0]):
        key = f"{who}.step{step + 1:02d}.{KINDS[step % 4]}.loss"
        assert ours == pytest.approx(float(load("adam_steps")[key]), rel=1e-5), key


@pytest.mark.parametrize("who", ["teacher", "student"])
@pytest.mark.parametrize(
    ("step", "tolerance"), [(1, 2e-7), (2, 1e-6), (3, 1e-6), (4, 1e-6), (12, 1e-5)]
)
def test_arrays_after_an_update(chain, who, step, tolerance):
    prefix = f"{who}.step{step:02d}.{KINDS[(step - 1) % 4]}."
    arrays = {
        key.removeprefix(prefix): value
        for key, value in load("adam_steps").items()
        if key.startswith(prefix) and not key.endswith(".loss")
    }
    assert len(arrays) == 14
    state = chain[who][1][step - 1]
    for name, theirs in arrays.items():
        # and one unit in the last place, by which sums in another order differ
        np.testing.assert_allclose(
            state[our_name(name)], theirs.T, rtol=1.2e-7, atol=tolerance, err_msg=name
        )


@pytest.mark.parametrize("who", ["teacher", "student"])
def test_outputs_after_the_updates(chain, who):
    with torch.no_grad():
        outputs = chain[who][2](inputs("VA"))
    ours = {task.key: task.activate(outputs.raw[task.key]) for task in TASKS}
    pairs = {
        "domain": outputs.domain.softmax(1),
        "va": ours["VA"],
        "expr_logits": outputs.raw["EXPR"],
        "au": ours["AU"],
    }
    for name, value in pairs.items():
        theirs = load("adam_steps")[f"{who}.after12.eval.VA.{name}"]
        np.testing.assert_allclose(value, theirs, rtol=0, atol=1e-3, err_msg=name)


def test_the_step_count_runs_through_both_generations(chain):
    assert chain["student"][3] == 2 * UPDATES


def test_a_fresh_count_for_the_student_would_show(chain):
    teacher = chain["teacher"]
    losses, _, _, _ = generation("student", teacher[2], 0)
    theirs = [
        float(load("adam_steps")[f"student.step{i + 1:02d}.{KINDS[i % 4]}.loss"])
        for i in range(UPDATES)
    ]
    assert not np.allclose(losses, theirs, rtol=1e-5, atol=0)
