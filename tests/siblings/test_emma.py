"""EMMA: valence and arousal from logits, beside an expert's."""

import json

import numpy as np
import pytest
import torch

from tests.siblings.made import (
    expert_store,
    one_epoch_of_steps,
    predicts_as_trained,
    small,
    trained,
)
from triaffect.errors import RecipeError
from triaffect.models.base import NetworkShape, Standardise
from triaffect.models.siblings.frames import EmmaNet
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import resolve_tasks

WIDE = 768
TASK_NAMES = ("VA_LINEAR", "EXPR", "AU")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return expert_store(tmp_path_factory.mktemp("emma"))


def network(drifting=False, face=WIDE, tasks=TASK_NAMES, **heads):
    scales = {} if heads else {"expert": Standardise(torch.zeros(8), torch.ones(8))}
    shape = NetworkShape(resolve_tasks(tasks), face, 0, scales=scales, face_heads=heads)
    return EmmaNet(shape, hidden=512, va_hidden=256, drifting_expert=drifting)


def inputs(rows, face=WIDE):
    made = torch.Generator().manual_seed(0)
    return {
        "face": torch.randn(rows, 1, face, generator=made),
        "face_present": torch.ones(rows, 1, dtype=torch.bool),
        "extra.expert": 2 * torch.randn(rows, 8, generator=made) + 1,
    }


def test_it_has_the_published_sizes():
    """768 to 512 to 20 logits; those and the expert's eight to 256 to 2."""
    count = sum(value.numel() for value in network().parameters())
    assert (
        count == (768 * 512 + 512) + (512 * 20 + 20) + (28 * 256 + 256) + (256 * 2 + 2) == 411_926
    )


def test_the_loss_of_valence_and_arousal_reaches_the_trunk_and_not_the_expert():
    net = network()
    net(inputs(4)).raw["VA"].sum().backward()
    assert net.trunk[0].weight.grad.abs().sum() > 0
    assert net.output.weight.grad.abs().sum() > 0


def test_the_stores_own_face_network_can_be_the_expert():
    weight = torch.randn(8, WIDE)
    net = network(**{"EXPR.weight": weight, "EXPR.bias": torch.zeros(8)}).eval()
    batch = inputs(3)
    first = net(batch).raw["VA"]
    batch["extra.expert"] += 100
    assert torch.equal(net(batch).raw["VA"], first)
    net.expert_weight.zero_()
    assert not torch.equal(net(batch).raw["VA"], first)


def test_an_expert_is_needed(store):
    with pytest.raises(RecipeError, match=r"expert's logits.*join them as a stream"):
        one_epoch_of_steps(small("emma", "data.extra=[]"), store, store.path.parent / "none")
    with pytest.raises(RecipeError, match="another task"):
        network(tasks=("VA_LINEAR",))


def test_a_drifting_expert_is_normalized_by_each_batch():
    """As coded: what a row gives depends on its batch while training, and statistics move."""
    for drifting in (True, False):
        net = network(drifting).train()
        batch = inputs(16)
        half = {name: value[:8] for name, value in batch.items()}
        alike = torch.allclose(net(batch).raw["VA"][:8], net(half).raw["VA"])
        assert alike is not drifting
    before = network(True).drift.running_mean.clone()
    net = network(True).train()
    net(inputs(16))
    assert not torch.equal(net.drift.running_mean, before)
    assert net.eval()(inputs(4)).raw["VA"].shape == (4, 2)


def test_thresholds_of_units_are_on_logits(store, tmp_path):
    for scale, expected in (("logit", 1 / (1 + np.exp(-0.8))), ("probability", 0.8)):
        recipe = small("emma", f"emma.selection.threshold_scale={scale}", "emma.epochs=1")
        folder = trained(recipe, store, tmp_path / scale)
        thresholds = json.loads(folder.thresholds("emma").read_text())
        assert thresholds["AU1"] == pytest.approx(expected)
        assert len(thresholds) == 12
    assert thresholds["AU25"] == pytest.approx(0.3)


def test_parts_have_rates_and_gradients_a_limit(store, tmp_path):
    recipe = small("emma", "emma.optimizer.warmup=0")
    run, terms = one_epoch_of_steps(recipe, store, tmp_path)
    rates = {group.get("factor", 1.0): group["lr"] for group in run.optimizer.param_groups}
    assert rates[0.128] == pytest.approx(0.128 * rates[1.0])
    norm = torch.cat([p.grad.flatten() for p in run.net.parameters()]).norm()
    assert norm <= 0.05 * (1 + 1e-4)
    assert {"ALL.label.VA", "ALL.label.EXPR", "ALL.label.AU"} <= terms.keys()
    with pytest.raises(RecipeError, match="nobody"):
        one_epoch_of_steps(small("emma", "emma.optimizer.rates={nobody = 2.0}"), store, tmp_path)


def test_it_trains_scores_and_predicts_as_it_was_trained(store, tmp_path):
    predicts_as_trained((), "emma", store, tmp_path / "run")


def test_one_update_at_the_papers_width(store, tmp_path):
    recipe = load_recipe("emma", ["data.extra=['expert']", "data.batch_size=100"])
    run, terms = one_epoch_of_steps(recipe, store, tmp_path)
    assert run.net.trunk[0].out_features == 512
    assert np.isfinite(terms["ALL.loss"])
