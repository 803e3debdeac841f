"""Runs that learn through external features, and what they leave."""

import json

import numpy as np
import pytest
import torch

from tests.training.recipes import small
from tests.training.stores import made_store
from triaffect.errors import ModelError, RecipeError, StoreError
from triaffect.features.external.join import join, stream_spec
from triaffect.features.store import FeatureStore
from triaffect.metrics.abaw import chance_score, score_targets
from triaffect.prediction.predictor import load
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import TASKS
from triaffect.training.run_folder import read_description
from triaffect.training.scoring import open_run, predict_rows, truth_of
from triaffect.training.trainer import train

FACE = "data.face=noise"
ALONE = (
    "teacher.epochs=8",
    "student.epochs=1",
    "teacher.optimizer.lr=1e-2",
    "net.width=32",
    "net.dropout=0.0",
    "data.held_out=0",  # four videos to learn from are few enough
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """What the labels depend on is a stream; the face that a network sees is noise."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("external")
    made = made_store(folder / "store")
    rng = np.random.default_rng(0)
    streams = {
        "noise": (None, lambda rows: rng.normal(size=(len(rows), 8))),
        "told": (None, lambda rows: 50 * rows.astype(np.float32) + 1000),
        "sound": (30.0, lambda rows: rows.astype(np.float32)),
    }
    for name, (rate, make) in streams.items():
        (folder / name).mkdir()
        for entry in made.entries:
            rows = np.array(made.face[slice(*entry.face)])
            np.save(folder / name / f"{entry.source.rpartition('/')[2]}.npy", make(rows))
        join(made, folder / name, stream_spec(name, rate))
    return FeatureStore.open(folder / "store")


def scores(store, run):
    """Official score of a run's best teacher on people it has not seen, and of chance."""
    work, (stage, *_) = open_run(run, store)
    rows = np.flatnonzero(work.samples.rows.split == "test")
    truth = truth_of(work.samples, rows)
    prediction = predict_rows(stage.net, work.samples, rows, TASKS)
    found = score_targets(truth, prediction, TASKS).official["P_MTL"]
    return found, chance_score(truth, TASKS).official["P_MTL"]


@pytest.fixture(scope="module")
def told(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("told") / "run"
    train(small("default", FACE, 'data.extra=["told"]', *ALONE), store, out)
    return out


def test_a_network_learns_through_a_stream_and_not_without_it(store, told, tmp_path):
    with_it, by_chance = scores(store, told)
    train(small("default", FACE, *ALONE), store, tmp_path / "run")
    without, _ = scores(store, tmp_path / "run")
    assert with_it > by_chance + 0.2
    assert without < by_chance + 0.05


def test_a_network_learns_through_the_voice_of_another_program(store, tmp_path):
    train(small("default", FACE, "data.voice=sound", *ALONE), store, tmp_path / "run", seed=1)
    found, by_chance = scores(store, tmp_path / "run")
    assert found > by_chance + 0.1


def test_the_papers_network_runs_on_other_features(store, tmp_path):
    recipe = small("paper_as_published", "data.face=told", "data.voice=sound", "student.epochs=1")
    train(recipe, store, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "scores.json").read_text())["teacher"]["test"]["MTL"]
    work, _ = open_run(tmp_path / "run", store)
    assert work.samples.inputs(np.arange(2))["voice"].shape == (2, 12)


def test_a_run_without_its_model_folder_says_how_to_make_it(store, told):
    for path in (told, told / "model"):
        with pytest.raises(ModelError, match=r"external features \(noise, told\); .*--resume"):
            load(path)


def test_the_runs_data_are_the_streams_it_reads(store, told):
    assert read_description(told).data == store.fingerprint(["noise", "told"])


def test_a_store_without_the_stream_is_refused_by_name(told, tmp_path):
    bare = made_store(tmp_path / "bare", videos=4, frames=60)
    with pytest.raises(StoreError, match="an external stream called 'noise', got none at all"):
        open_run(told, bare)


@pytest.mark.parametrize(
    ("recipe", "overrides", "message"),
    [
        ("supervised", ['data.extra=["told"]'], "the net paper takes no data.extra"),
        ("light_face", ["data.face=told"], "for windows"),
        ("default", ["data.face=voice"], "cannot change places"),
        ("default", ['data.extra=["told", "told"]'], "each once"),
        ("default", ['data.extra=["face"]'], "extra names external streams"),
        ("default", ["data.extras=1"], "did you mean 'extra'"),
    ],
)
def test_streams_that_a_recipe_cannot_read(recipe, overrides, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(recipe, overrides)
