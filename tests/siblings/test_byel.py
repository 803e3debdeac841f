"""BYEL, on crops: latents without their emotion, from synthetic faces to real ones."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from tests.prediction.tiny_model import portrait
from tests.siblings.made import stage_run, trained
from tests.training.stores import crops_store, made_store
from tests.training.test_resume import ends_the_same
from triaffect.datasets.augmentation.augment import CROP_VARIATIONS
from triaffect.errors import RecipeError, StoreError
from triaffect.losses.bootstrap import Bootstrap, remove_directions
from triaffect.losses.objective import StepContext, TorchTargets
from triaffect.models.base import EmaTarget, Latents, NetworkShape, Outputs
from triaffect.models.siblings.crops import LatentFace, LatentFaceSpec
from triaffect.prediction.predictor import Predictor
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import TASKS, resolve_tasks
from triaffect.training.export import export_run
from triaffect.training.optimizers import Lars

EXPR = resolve_tasks(("EXPR",))
SMALL = ("net.stem=8", "net.widths=[8, 16]", "net.blocks=[1, 1]", "net.hidden=8", "net.latent=12")
SIZES = {"stem": 8, "widths": (8, 16), "blocks": (1, 1), "hidden": 8, "latent": 12}
POOLS = "data.pools={SYNTHETIC = ['AU'], REAL = ['AU']}"
"""The rows of `crops_store`, which have labels of expression too."""


def small(*changes):
    epochs = ("latent.epochs=2", "classifier.epochs=2", "data.batch_size=32")
    return load_recipe("byel", [*SMALL, POOLS, *epochs, *changes])


def network(learning=True, **sizes):
    torch.manual_seed(0)
    return LatentFace(
        LatentFaceSpec(kind="latent_face", **sizes), NetworkShape(EXPR, latent=learning)
    )


def crops(rows=6):
    made = torch.Generator().manual_seed(0)
    shape = (rows, 64, 64)
    return {
        name: torch.randint(0, 256, shape, generator=made, dtype=torch.uint8)
        for name in ("crop", "crop_2")
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    torch.set_num_threads(1)
    return crops_store(tmp_path_factory.mktemp("crops") / "store")


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    return trained(small(), store, tmp_path_factory.mktemp("byel") / "run")


def count(module):
    return sum(value.numel() for value in module.parameters())


def test_at_full_size_it_is_a_resnet50_with_the_published_projector_and_predictor():
    """A ResNet-50 without its head has 23,508,032, of which two of three colors have 6,272."""
    sizes = {"side": 128, "stem": 64, "widths": (256, 512, 1024, 2048), "blocks": (3, 4, 6, 3)}
    with torch.device("meta"):
        net = network(**sizes, bottleneck=True, hidden=4096, latent=256)
    parts = net.latent
    assert count(net.encoder) == 23_508_032 - 2 * 64 * 7 * 7
    assert count(parts.projector) == 2048 * 4096 + 4096 + 2 * 4096 + 4096 * 256 + 256
    assert count(parts.predictor) == 256 * 4096 + 4096 + 2 * 4096 + 4096 * 256 + 256
    assert parts.vectors.shape == (256, 8)
    following = count(parts.target)
    assert following == count(net.encoder) + count(parts.projector) == 32_951_488
    learned = sum(value.numel() for value in net.parameters() if value.requires_grad)
    assert learned == following + count(parts.predictor) + 256 * 8 + 2 * 8 == 35_063_248


def test_a_target_follows_parameters_and_not_statistics():
    source = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    target, first = EmaTarget(source, 0.75), source[0].weight.detach().clone()
    with torch.no_grad():
        source[0].weight += 4.0
        source[1].running_mean += 5.0
    target.follow(source)
    torch.testing.assert_close(target.copy[0].weight, first + 1.0)
    assert not target.copy[1].running_mean.any()
    answer = target(torch.randn(4, 3, requires_grad=True))
    assert not answer.requires_grad
    assert not any(value.requires_grad for value in target.parameters())


def test_the_network_moves_its_target_after_each_step(store, tmp_path):
    run = stage_run(small("net.target_decay=0.9"), store, tmp_path)
    target, encoder = run.net.latent.target.copy[0], run.net.encoder
    (_, kind, rows), *_ = run.plan(0).updates(run.kinds)
    before = encoder[0].weight.detach().clone()
    assert torch.equal(target[0].weight, before)
    terms = run.update(0, 0, kind, rows)
    moved = encoder[0].weight.detach() - before
    assert moved.abs().max() > 0
    torch.testing.assert_close(target[0].weight - before, 0.1 * moved, rtol=1e-2, atol=1e-7)
    assert terms.keys() == {"bootstrap.latent", "bootstrap.vectors", "label.EXPR", "loss"}
    assert terms["bootstrap.vectors"] < 1e-4  # they begin orthonormal


def latents_context(labels=((1, True), (0, True), (2, False))):
    made = torch.Generator().manual_seed(1)
    pairs = [torch.randn(3, 12, generator=made) for _ in range(4)]
    vectors = torch.linalg.qr(torch.randn(12, 8, generator=made))[0] * 1.5
    latents = Latents("EXPR", (pairs[0], pairs[1]), (pairs[2], pairs[3]), vectors)
    values = torch.eye(8)[[label for label, _ in labels]]
    valid = torch.tensor([ok for _, ok in labels])[:, None].expand(-1, 8)
    targets = {"EXPR": TorchTargets(values, valid, torch.ones(3))}
    outputs = Outputs({}, None, pairs[0], latents=latents)
    return StepContext("SYNTHETIC", EXPR, outputs, None, targets, 1.0, {}), pairs, vectors


def test_the_emotion_is_taken_out_of_what_is_predicted():
    """Of each variation, q - |q| W_y against the target's of the other; without a label, q."""
    context, (one, other, target, other_target), vectors = latents_context()
    directions = torch.stack([vectors[:, 1], vectors[:, 0], torch.zeros(12)])
    expected = 0.0
    for own, theirs in ((one, other_target), (other, target)):
        freed = own - own.norm(dim=1)[:, None] * directions
        expected += (2 - 2 * F.cosine_similarity(freed, theirs)).mean()
    terms = Bootstrap()(context)
    torch.testing.assert_close(terms["bootstrap.latent"], expected)
    torch.testing.assert_close(terms["bootstrap.vectors"], torch.tensor(8 * (1.5**2 - 1)))
    plain = Bootstrap(remove_emotion=False)(context)["bootstrap.latent"]
    assert not torch.isclose(plain, terms["bootstrap.latent"])
    freed = remove_directions(vectors.T, vectors / 1.5, torch.eye(8))
    assert freed.abs().max() < 1e-5  # nothing is left of the vectors themselves


def test_labels_are_learned_from_both_variations_in_full(store, tmp_path):
    run = stage_run(small(), store, tmp_path)
    (_, kind, rows), *_ = run.plan(0).updates(run.kinds)
    outputs, forward = [], run.net.forward
    run.net.forward = lambda inputs: outputs.append((inputs, forward(inputs))) or outputs[-1][1]
    terms = run.update(0, 0, kind, rows)
    ((inputs, answer),) = outputs
    labels = torch.from_numpy(run.context.samples.rows.targets["EXPR"].values[rows]).argmax(1)
    losses = [F.cross_entropy(view["EXPR"], labels) for view in answer.views]
    assert terms["label.EXPR"] == pytest.approx(sum(losses).item(), rel=1e-5)
    assert not torch.equal(inputs["crop"], inputs["crop_2"])


@pytest.mark.parametrize(("variation", "draws"), [("resize_together", 1), ("resize", 40)])
def test_as_coded_a_batch_is_varied_by_one_draw(variation, draws):
    """Forty times the same crop stays forty times the same, or becomes forty others."""
    crop = crops(1)["crop"].float().expand(40, -1, -1)
    varied = CROP_VARIATIONS[variation](crop, np.random.default_rng(3))
    assert varied.shape == crop.shape
    assert 0 <= varied.min() <= varied.max() <= 255
    assert len(varied.flatten(1).unique(dim=0)) == draws
    again = CROP_VARIATIONS[variation](crop, np.random.default_rng(4))
    assert not torch.equal(again, varied)


def test_lars_steps_in_proportion_to_the_parameter():
    weights = [torch.tensor([3.0, 4.0]), torch.zeros(2), torch.tensor([1.0, 0.0])]
    params = [torch.nn.Parameter(each.clone()) for each in weights]
    optimizer = Lars([{"params": params, "weight_decay": 0.5}], lr=0.2, momentum=0.5)
    gradients = [torch.tensor([0.0, 2.0]), torch.tensor([1.0, -1.0]), None]
    before = [torch.zeros(2), torch.zeros(2)]
    for _ in range(3):
        for p, gradient in zip(params, gradients, strict=True):
            p.grad = None if gradient is None else gradient.clone()
        for number in (0, 1):
            w, g = weights[number], gradients[number]
            ratio = 0.001 * w.norm() / (g.norm() + 0.5 * w.norm() + 1e-8) if w.any() else 1.0
            before[number] = 0.5 * before[number] + ratio * (g + 0.5 * w)
            weights[number] = w - 0.2 * before[number]
        optimizer.step()
        for p, expected in zip(params, weights, strict=True):
            torch.testing.assert_close(p.detach(), expected)


def test_the_second_stage_begins_with_the_features_of_the_first(run, store, tmp_path):
    first = load_file(run.weights("latent", "last"))
    assert any(name.startswith("latent.target.") for name in first)
    second = stage_run(small(), store, run.root, stage=1)
    state = second.net.state_dict()
    assert all(torch.equal(state[name], first[name]) for name in state if "encoder." in name)
    assert not any(name.startswith("latent.") for name in state)
    assert {name.split(".")[0] for name in state} == {"encoder", "heads"}


def test_a_killed_run_ends_as_one_that_was_not(store, tmp_path):
    ends_the_same(small("latent.epochs=1", "classifier.epochs=1"), store, tmp_path, (2, 3))


@pytest.mark.slow
def test_it_trains_scores_and_predicts_a_picture(run, store):
    export_run(run, store)
    scores = json.loads(run.scores.read_text())
    assert scores.keys() == {"latent", "classifier"}
    assert 0 <= scores["classifier"]["test"]["REAL"]["official"]["P_EXPR"] <= 1
    table = Predictor(run.model).predict(portrait())
    assert table[list(TASKS[1].columns)].notna().all(axis=None)
    assert table["face_seen"].all()


def test_what_does_not_fit_is_refused(store, tmp_path):
    vectors = made_store(tmp_path / "store", videos=4, frames=10)
    with pytest.raises(StoreError, match=r"gray64, got made_face.*--face gray64"):
        trained(small(), vectors, tmp_path / "run")
    nobody = "data.pools={SYNTHETIC = ['AU'], REAL = ['ferplus/EXPR']}"
    with pytest.raises(StoreError, match=r"validation rows in the pool REAL.*selection\.pool"):
        trained(small(nobody), store, tmp_path / "run")
    with pytest.raises(RecipeError, match="one task of classes"):
        trained(small("tasks=['EXPR', 'AU']"), store, tmp_path / "run")
    with pytest.raises(RecipeError, match="augment them, without mix"):
        small("data.mix=0.5")
    with pytest.raises(RecipeError, match="no earlier stage"):
        small("classifier.start=classifier")
    pools = "data.pools={ALL = ['AU']}"
    changes = ["face.bootstrap={}", "data.held_out=0", "data.mix=0.0", pools]
    plain = load_recipe("light_face", changes)
    with pytest.raises(RecipeError, match="net without latents"):
        trained(plain, store, tmp_path / "run")
    assert not (tmp_path / "run").exists()
