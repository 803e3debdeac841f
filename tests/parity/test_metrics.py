"""The program's own per-batch metric."""

import json

import numpy as np
import pytest
import torch

from tests.parity.reference import DATA, KINDS, inputs, small_net, targets
from triaffect.metrics.abaw import per_batch_score
from triaffect.tasks.registry import TASKS
from triaffect.types import Targets

BATCH = np.arange(8)[None]
THEIRS = json.loads((DATA / "metrics_teacher_eval.json").read_text())


def batch(kind):
    with torch.no_grad():
        outputs = small_net("teacher").eval()(inputs(kind))
    truth = {
        key: Targets(t.values.numpy(), t.valid.numpy(), t.weight.numpy())
        for key, t in targets(kind).items()
    }
    said = {task.key: task.activate(outputs.raw[task.key]).numpy() for task in TASKS}
    return truth, said, outputs.domain


def test_mtl():
    truth, said, _ = batch("MTL")
    score = per_batch_score(truth, said, BATCH)
    ours = [score.official["P_MTL"], *(score.tasks[task.key].value for task in TASKS)]
    assert ours == pytest.approx(THEIRS["MTL"], rel=0, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_single_task(kind):
    truth, said, domain = batch(kind)
    value = per_batch_score(truth, said, BATCH).tasks[kind].value
    right = (domain.argmax(1) == KINDS[1:].index(kind)).double().mean().item()
    assert [value, right] == pytest.approx(THEIRS[kind], rel=0, abs=1e-6)
