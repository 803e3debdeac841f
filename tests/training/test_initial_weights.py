"""Starting from trained weights: what fits, what is refused, and what comes of it."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.recipes import SMALL, small
from tests.training.stores import FACE, VOICE, made_store
from triaffect.errors import ModelError, RecipeError, RunError, StoreError
from triaffect.features.extractors.registry import SHIPPED
from triaffect.features.model_folder import (
    FacePart,
    FusionPart,
    Manifest,
    VoicePart,
    write_model_folder,
)
from triaffect.features.store import FeatureStore
from triaffect.models.base import load_weights
from triaffect.recipes.load import load_recipe
from triaffect.training import run_folder
from triaffect.training.run_folder import InitialWeights, NoGain, find_initial_weights
from triaffect.training.scoring import open_run
from triaffect.training.trainer import train
from triaffect.types import Window

WINDOW = Window(2.0, 0.4)
ONE_EPOCH = ("finetune.epochs=1", "finetune.optimizer.lr=1e-4")


def test_find_initial_says_what_to_install_if_the_shipped_weights_are_not_there(
    tmp_path, monkeypatch
):
    shipped = tmp_path / "default"
    shutil.copytree(SHIPPED, shipped, ignore=shutil.ignore_patterns("*.safetensors"))
    monkeypatch.setattr(run_folder, "SHIPPED", shipped)
    with pytest.raises(ModelError, match="install triaffect-train-weights"):
        find_initial_weights("default", load_recipe("light_face"), None)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return made_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture(scope="module")
def trained(store, tmp_path_factory):
    """A run to start from."""
    recipe = small("default", "teacher.epochs=16", "student.epochs=1", "data.held_out=0")
    return train(recipe, store, tmp_path_factory.mktemp("run") / "first", seed=1)


@pytest.fixture(scope="module")
def initial(trained):
    return InitialWeights(trained.weights("teacher", "best"), "of the teacher")


def finetune(*overrides):
    """The recipe, choosing on validation: the store has four videos to learn from."""
    sizes = [*SMALL["default"], "data.batch_size=64", "data.held_out=0"]
    return load_recipe("finetune", [*sizes, *overrides])


def journal(folder):
    return [json.loads(line) for line in folder.journal.read_text().splitlines()]


def test_training_starts_where_the_given_weights_are(store, trained, initial, tmp_path):
    before = json.loads(trained.scores.read_text())["teacher"]["validation"]["ALL"]["official"]
    folder = train(finetune(*ONE_EPOCH), store, tmp_path / "run", initial=initial)
    start, epoch, *_ = journal(folder)
    assert start["event"] == "start"
    assert start["validation"]["ALL"] == pytest.approx(before)
    assert epoch["validation"]["ALL"]["P_MTL"] > 0.8 * before["P_MTL"]


def test_an_epoch_that_harms_is_not_kept(store, initial, tmp_path):
    """However it goes, the result is never worse on validation than what one began with."""
    wild = finetune("finetune.epochs=2", "finetune.optimizer.lr=0.5")
    folder = train(wild, store, tmp_path / "run", initial=initial)
    start, *epochs, end = journal(folder)
    told = {"event": "no_gain", "stage": "finetune", "split": "validation", "rows": end["rows"]}
    assert end == {**told, "decides": True}, "the user is told"
    assert all(
        line["validation"]["ALL"]["P_MTL"] < start["validation"]["ALL"]["P_MTL"] for line in epochs
    )
    assert not any(line["best"] for line in epochs)
    given, kept = load_file(initial.path), load_file(folder.weights("finetune", "best"))
    assert all(torch.equal(kept[name], given[name]) for name in kept)


@pytest.mark.parametrize(
    ("share", "rows"), [(0, "validation"), (0.1, "people held out from training")]
)
def test_an_epoch_that_cannot_win_is_explained_by_what_it_is_chosen_on(
    initial, tmp_path, share, rows
):
    """One moment's labels never differ, and every epoch scores the same on them."""
    store = made_store(tmp_path / "store", videos=4, frames=1)
    events = []
    recipe = finetune(*ONE_EPOCH, f"data.held_out={share}")
    train(recipe, store, tmp_path / "run", initial=initial, listener=events.append)
    line = str(events[-1])
    assert line.startswith("finetune: no epoch could beat the start, as no label differs between")
    assert f"those of {rows} ({events[-1].rows} row" in line
    assert events[-1].rows > 0


def test_no_gain_names_what_was_chosen_on():
    assert "beat the start on people held out from training;" in str(
        NoGain(stage="x", split="held out", rows=40)
    )
    assert "beat the start on validation;" in str(NoGain(stage="x", rows=40))


def test_the_model_one_starts_from_teaches(store, initial, tmp_path):
    """Its answers hold the network on every task; far from them without."""
    runs = {}
    for weight in (0.0, 1.0):
        change = f"finetune.distillation.other_weight={weight}"
        out = tmp_path / str(weight)
        folder = train(finetune(*ONE_EPOCH, change), store, out, initial=initial)
        runs[weight] = journal(folder)[1]["losses"]
    assert runs[0.0]["ALL.teacher.VA"] == 0
    assert runs[1.0]["ALL.teacher.VA"] > 0


def test_a_resumed_run_needs_the_same_weights(store, trained, initial, tmp_path):
    train(finetune(*ONE_EPOCH), store, tmp_path / "run", initial=initial)
    again = train(finetune(*ONE_EPOCH), store, tmp_path / "run", resume=True, initial=initial)
    first, *later = [line["event"] for line in journal(again)]
    assert (first, later.count("epoch")) == ("start", 1)
    other = InitialWeights(trained.weights("student", "best"), "of the student")
    with pytest.raises(RunError, match="initial"):
        train(finetune(*ONE_EPOCH), store, tmp_path / "run", resume=True, initial=other)
    with pytest.raises(RecipeError, match="--init"):
        train(finetune(*ONE_EPOCH), store, tmp_path / "run", resume=True)


def test_a_stage_cannot_learn_from_a_start_that_is_random(store, tmp_path):
    with pytest.raises(RecipeError, match="--init"):
        train(finetune(), store, tmp_path / "run")
    assert not (tmp_path / "run").exists(), "the next try can have the same name"


def test_weights_of_another_size_are_refused(store, initial, tmp_path):
    with pytest.raises(ModelError, match=r"weights of DefaultNet, got .* has face.*sizes"):
        train(finetune("net.width=8"), store, tmp_path / "run", initial=initial)


def test_a_discriminator_may_come_or_go(store, trained, initial, tmp_path):
    """It belongs to a training: the paper's stages can start from a network without one."""
    net = open_run(trained.root, store)[1][0].net
    bare = {k: v for k, v in net.state_dict().items() if not k.startswith("discriminator")}
    save_file(bare, tmp_path / "bare.safetensors")
    before = net.discriminator.out.weight.clone()
    with torch.no_grad():
        net.heads["VA"][1].weight.zero_()
    load_weights(net, tmp_path / "bare.safetensors", discriminator_optional=True)
    assert torch.equal(net.discriminator.out.weight, before)
    assert torch.equal(net.heads["VA"][1].weight, bare["heads.VA.1.weight"])


def model(path, without=None, **weights):
    """A model folder of the store's extractors, maybe without one, and maybe with weights."""
    manifest = Manifest(
        name="made",
        version="1",
        licence="any",
        face=FacePart("face.onnx", FACE.name, "gray64", FACE.dim),
        voice=VoicePart("voice.onnx", VOICE.name, "logmel64", VOICE.dim, Window(1.0, 0.1)),
        fusion=FusionPart("fusion.onnx", WINDOW, FACE.dim, VOICE.dim),
    )
    if without:
        manifest = replace(manifest, **{without: None})
    networks = {f"{part}.onnx": part.encode() for part in manifest.parts}
    return write_model_folder(path, manifest, {**networks, **weights})


def as_made_with(store, folder, face="face"):
    """The store as if the folder's networks had made it."""
    parts = folder.manifest.parts
    seen = FeatureStore.open(store.path)
    seen.face_spec = replace(FACE, sha256=parts[face].sha256)
    seen.voice_spec = replace(VOICE, sha256=parts["voice"].sha256)
    return seen


def test_a_model_folder_is_checked_before_it_is_used(store, tmp_path):
    weights = tmp_path / "w.safetensors"
    save_file({"x": torch.from_numpy(np.ones(2, np.float32))}, weights)
    whole = model(tmp_path / "whole", **{"fusion.safetensors": weights})
    found = find_initial_weights(str(whole.path), finetune(), as_made_with(store, whole))
    assert found.path == whole.path / "fusion.safetensors"
    with pytest.raises(StoreError, match=r"own face network.*extract it with --face"):
        find_initial_weights(str(whole.path), finetune(), as_made_with(store, whole, face="voice"))
    deaf = model(tmp_path / "deaf", without="voice", **{"fusion.safetensors": weights})
    with pytest.raises(ModelError, match="expected a model folder with a voice network, got one"):
        find_initial_weights(str(deaf.path), finetune(), as_made_with(store, whole))
    narrow = finetune("data.window.span=1.2")
    with pytest.raises(RunError, match="an initial model over the recipe's Window"):
        find_initial_weights(str(whole.path), narrow, as_made_with(store, whole))
    bare = model(tmp_path / "bare")
    with pytest.raises(ModelError, match=r"fusion\.safetensors"):
        find_initial_weights(str(bare.path), finetune(), as_made_with(store, bare))
    with pytest.raises(ModelError, match="model folder or a finished run"):
        find_initial_weights(str(tmp_path / "nothing"), finetune(), store)


def test_statistics_stay_as_they_were_given(store, initial, tmp_path):
    """A small table unlike the rest would move them, and with them every other answer."""
    kept = {}
    for frozen in ("true", "false"):
        recipe = finetune(*ONE_EPOCH, f"finetune.frozen_statistics={frozen}")
        folder = train(recipe, store, tmp_path / frozen, initial=initial)
        kept[frozen] = load_file(folder.weights("finetune", "last"))
    given = load_file(initial.path)
    names = [name for name in given if name.endswith(("running_mean", "running_var"))]
    names = [name for name in names if name in kept["true"]]  # no adversary, no discriminator
    assert all(torch.equal(kept["true"][name], given[name]) for name in names)
    assert not any(torch.equal(kept["false"][name], given[name]) for name in names)
    weight = "heads.VA.1.weight"
    assert not torch.equal(kept["true"][weight], given[weight]), "the rest does learn"


def test_a_store_without_the_rows_is_told_before_a_run_begins(tmp_path):
    """Also where it has no training row at all to weigh classes by."""
    for videos, missing in ((0, "training"), (1, "validation|held out")):
        store = made_store(tmp_path / f"store{videos}", videos=videos)
        for name in ("default", "paper_as_published"):
            with pytest.raises(StoreError, match=f"({missing}) rows"):
                train(small(name), store, tmp_path / "run")
            assert not (tmp_path / "run").exists()
