"""The mean of several runs' weights is a run of its own."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from tests.training.external_teachers import made_teacher, student
from tests.training.stores import crops_store
from tools.average_runs import average_runs
from triaffect.errors import RunError
from triaffect.features.model_folder import load_model_folder
from triaffect.recipes.load import recipe_hash
from triaffect.training.distillation import find_teachers
from triaffect.training.run_folder import read_description
from triaffect.training.scoring import open_run


def test_weights_are_the_mean_and_a_model_is_written(tmp_path):
    store = crops_store(tmp_path / "store")
    first, second = tmp_path / "first", tmp_path / "second"
    stage = made_teacher(store, first).root / "stages" / "face"
    shutil.copytree(first, second)
    weights = load_file(stage / "best.safetensors")
    moved = {
        name: value + 1 if value.dtype == np.float32 else value for name, value in weights.items()
    }
    save_file(moved, second / "stages" / "face" / "best.safetensors")
    average_runs([first, second], tmp_path / "mean", store)
    got = load_file(tmp_path / "mean" / "stages" / "face" / "best.safetensors")
    for name, value in weights.items():
        assert np.allclose(got[name], value + 0.5 * (value.dtype == np.float32), atol=1e-6)
    exported = load_file(load_model_folder(tmp_path / "mean" / "model").file("face.safetensors"))
    name = next(name for name, value in got.items() if value.ndim == 4)
    assert np.allclose(exported[name], got[name], atol=1e-2)
    assert np.array_equal(load_file(stage / "best.safetensors")[name], weights[name])
    with pytest.raises(RunError, match="expected a new folder"):
        average_runs([first, second], tmp_path / "mean", store)


def test_the_last_epochs_have_a_mean_of_their_own(tmp_path):
    store = crops_store(tmp_path / "store")
    stage = made_teacher(store, tmp_path / "run").root / "stages" / "face"
    best = load_file(stage / "best.safetensors")
    name = next(name for name, value in best.items() if value.ndim == 4)
    save_file(best | {name: best[name] + 1}, stage / "last.safetensors")
    for folder, last in (("best", False), ("last", True)):
        average_runs([tmp_path / "run"], tmp_path / folder, store, last=last)
        got = load_file(tmp_path / folder / "stages" / "face" / "best.safetensors")
        assert np.allclose(got[name], best[name] + last)


def test_runs_whose_weights_have_other_names_have_no_mean(tmp_path):
    store = crops_store(tmp_path / "store")
    for name in ("one", "other"):
        made_teacher(store, tmp_path / name)
    weights = tmp_path / "other" / "stages" / "face" / "best.safetensors"
    save_file(load_file(weights) | {"heads.EXPR.share": np.ones(1)}, weights)
    for runs in (["one", "other"], ["other", "one"]):
        with pytest.raises(RunError, match=r"differs in heads\.EXPR\.share"):
            average_runs([tmp_path / name for name in runs], tmp_path / "mean", store)


def test_a_mean_that_teaches_answers_by_both_sides_of_a_face(tmp_path):
    store = crops_store(tmp_path / "store")
    made_teacher(store, tmp_path / "run")
    for name, mirror in (("one", False), ("both", True)):
        average_runs([tmp_path / "run"], tmp_path / name, store, mirror=mirror)
    teachers = find_teachers([tmp_path / "one", tmp_path / "both"], student())
    assert [each.recipe.net.mirror for each in teachers] == [False, True]
    for name, mirror in (("run", False), ("one", False), ("both", True)):
        net = open_run(tmp_path / name, store)[1][-1].net
        crop = torch.rand(1, 64, 64) * 255
        seen, mirrored = (net({"crop": each}).raw["EXPR"] for each in (crop, crop.flip(2)))
        assert torch.allclose(seen, mirrored, atol=1e-5) == mirror
    scores = [(tmp_path / name / "scores.json").read_text() for name in ("run", "one")]
    assert scores[0] == scores[1]
    description = read_description(tmp_path / "both")
    assert description.recipe_hash == recipe_hash(description.recipe)


def test_runs_of_several_networks_have_no_mean(tmp_path):
    store = crops_store(tmp_path / "store")
    runs = [tmp_path / "first", tmp_path / "other"]
    made_teacher(store, runs[0])
    made_teacher(store, runs[1], 0, "net.features=4")
    with pytest.raises(RunError, match=r"other: expected runs of one network"):
        average_runs(runs, tmp_path / "mean", store)
    assert not (tmp_path / "mean").exists()
