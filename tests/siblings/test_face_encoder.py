"""Systems on vectors of single faces, learned from crops behind a face network."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.prediction.tiny_model import portrait
from tests.siblings.made import small, stage_run, trained
from tests.training.stores import crops_store, made_store
from triaffect.errors import RecipeError, StoreError
from triaffect.faces.alignment import align
from triaffect.faces.detection import CenterFace
from triaffect.features.extractors.onnx import gray64
from triaffect.models.base import load_weights
from triaffect.prediction.predictor import Predictor
from triaffect.recipes.config import Recipe
from triaffect.recipes.corpora import fit_to_store
from triaffect.recipes.load import load_recipe
from triaffect.training.export import export_run
from triaffect.training.run_folder import find_initial_weights
from triaffect.training.scoring import open_run

RECIPES = ("abaw3_va", "abaw3_expr", "abaw3_au", "abaw3_mtl", "abaw4_mtl")
RECIPES += ("smm_emotionnet", "deng2020_incomplete")
POOLS = "data.pools={VA = ['AU'], EXPR = ['AU'], AU = ['AU'], ALL = ['AU']}"
"""The rows of `crops_store`, which have labels of every task."""
TINY = {"widths": (8, 16), "blocks": (1, 1), "features": 12}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    torch.set_num_threads(1)
    return crops_store(tmp_path_factory.mktemp("crops") / "store")


def tiny(name, store, *changes):
    """The recipe as it becomes on crops, with a small face network."""
    recipe = fit_to_store(small(name, POOLS, "data.batch_size=32", *changes), store)
    return recipe.model_copy(update={"net": recipe.net.model_copy(update=TINY)})


@pytest.mark.parametrize("name", RECIPES)
def test_on_crops_a_face_network_stands_before_the_systems_own(name, store, tmp_path):
    plain = load_recipe(name)
    recipe = fit_to_store(plain, store)
    assert (recipe.net.kind, recipe.net.head, recipe.data.input) == (
        "face_encoder", plain.net, "crops",
    )  # fmt: skip
    assert (recipe.data.augment, recipe.data.variation) == (True, "shift")
    assert recipe.stages == plain.stages
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert fit_to_store(recipe, store) == recipe
    vectors = made_store(tmp_path / "store", videos=1, frames=4)
    assert fit_to_store(plain, vectors) is plain


def test_ones_own_variation_of_crops_stays(store):
    recipe = fit_to_store(load_recipe("abaw4_mtl", ["data.augment=true"]), store)
    assert (recipe.data.augment, recipe.data.variation) == (True, "faces")


@pytest.mark.parametrize("name", ["abaw3_expr", "smm_emotionnet"])
def test_the_face_network_learns_with_the_system(name, store, tmp_path):
    run = stage_run(tiny(name, store), store, tmp_path)
    before = {key: value.clone() for key, value in run.net.state_dict().items()}
    (_, kind, rows), *_ = run.plan(0).updates(run.kinds)
    for number, each in enumerate(run.kinds):
        terms = run.update(0, number, each, rows)
        assert np.isfinite(terms["loss"])
    moved = {key.split(".")[0] for key, value in run.net.named_parameters()
             if not torch.equal(value, before[key])}  # fmt: skip
    assert moved == {"stem", "stages", "embed", "heads"}
    assert kind in run.kinds


def test_a_blend_of_equal_crops_costs_what_a_crop_does(store, tmp_path):
    """Both rows and their blend are learned from: three times the loss of a row by itself."""
    losses = []
    for alpha in (0.2, 0.0):
        recipe = tiny("abaw3_expr", store, f"data.mix_augment={alpha}")
        still = recipe.data.model_copy(update={"augment": False, "variation": "faces"})
        run = stage_run(recipe.model_copy(update={"data": still}), store, tmp_path)
        rows = np.full(8, run.training["ALL"][0])
        losses.append(run.update(0, 0, "ALL", rows)["label.EXPR"])
    assert losses[0] == pytest.approx(3 * losses[1], rel=1e-4)


def test_crops_are_blended_as_gray_levels(store, tmp_path):
    run = stage_run(tiny("abaw3_expr", store, "data.mix_augment=5.0"), store, tmp_path)
    seen, forward = [], run.net.forward
    run.net.forward = lambda inputs: seen.append(inputs["crop"]) or forward(inputs)
    run.update(0, 0, "ALL", run.training["ALL"][:8])
    crops, blend = seen
    assert blend.dtype == torch.float32
    assert 0 <= blend.min() <= blend.max() <= 255
    assert blend.var() < crops.float().var()


def test_an_ensemble_answers_of_its_features_as_of_crops(store, tmp_path):
    recipe = tiny("deng2020_incomplete", store)
    run = stage_run(recipe, store, tmp_path, stage=len(recipe.stages) - 1)
    net = run.net.eval()
    assert len(net.members) == 2
    crops = torch.randint(0, 256, (5, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        expected, answers = net({"crop": crops}).raw, net.answer(net.encode(crops))
    assert answers.keys() == expected.keys() == {"VA", "EXPR", "AU"}
    for key, values in expected.items():
        torch.testing.assert_close(answers[key], values)


def test_it_begins_as_the_shipped_face_network_and_leaves_it_as_it_is(store, tmp_path):
    frozen = "baseline.frozen=['stem', 'stages', 'embed']"
    recipe = small("abaw3_expr", POOLS, frozen, "baseline.frozen_statistics=true")
    recipe = fit_to_store(recipe, store)
    initial = find_initial_weights("default", recipe, store)
    run = stage_run(recipe, store, tmp_path)
    load_weights(run.net, initial.path, discriminator_optional=True, heads_optional=True)
    head = run.net.heads["face"].output.weight.detach().clone()
    run.update(0, 0, "ALL", run.training["ALL"][:8])
    shipped, own = load_file(initial.path), run.net.state_dict()
    same = [name for name in own if name.split(".")[0] in ("stem", "stages", "embed")]
    assert len(same) > 40
    assert all(torch.equal(own[name], shipped[name].to(own[name].dtype)) for name in same)
    assert not torch.equal(run.net.heads["face"].output.weight, head)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["abaw3_expr", "deng2020_incomplete"])
def test_it_trains_scores_and_predicts_a_picture(name, store, tmp_path):
    stages = ("teacher", "student") if name == "deng2020_incomplete" else ("baseline",)
    short = [f"{stage}.epochs=1" for stage in stages]
    run = trained(tiny(name, store, *short), store, tmp_path / "run")
    export_run(run, store)
    scores = json.loads(run.scores.read_text())
    assert list(scores.values())[-1]["test"]["ALL"]
    rgb = portrait()
    crop = gray64(align(rgb, CenterFace()(rgb).landmarks[0])[None])
    context, stages = open_run(run.root, store)
    with torch.no_grad():
        raw = stages[-1].net({"crop": torch.from_numpy(crop)}).raw
    table = Predictor(run.model).predict(rgb)
    for task in context.tasks:
        expected = task.activate(raw[task.key])[0]
        columns = table[list(task.columns)].to_numpy()[0]
        np.testing.assert_allclose(columns, expected, atol=5e-3)


def test_what_reads_more_than_faces_or_more_than_one_is_refused(store, tmp_path):
    pools = POOLS.replace("{", "{MTL = ['AU'], ")
    for recipe in (
        load_recipe("default", [pools, "data.held_out=0"]),
        small("emenet", pools),
        small("ruc_aim3", pools),
    ):
        with pytest.raises(StoreError, match=r"face vectors for the net .*gray64 crops.*--face d"):
            trained(recipe, store, tmp_path / "run")
    recurrent = small("deng2020_incomplete", POOLS, "net.recurrence=both", "data.window.span=7")
    assert fit_to_store(recurrent, store) is recurrent
    net = "net={kind = 'face_encoder', head = {kind = 'emma'}}"
    with pytest.raises(RecipeError, match=r"single faces alone, got the net emma"):
        trained(load_recipe("abaw4_mtl", ["data.input=crops", net, POOLS]), store, tmp_path / "run")
    with pytest.raises(RecipeError, match="known key"):
        load_recipe("abaw4_mtl", ["net={kind = 'face_encoder', head = {kind = 'emma', a = 1}}"])
    assert not (tmp_path / "run").exists()
