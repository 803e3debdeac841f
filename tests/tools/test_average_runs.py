"""The mean of several runs' weights is a run of its own."""

import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.training.external_teachers import made_teacher
from tests.training.stores import crops_store
from tools.average_runs import average_runs
from triaffect.errors import RunError
from triaffect.features.model_folder import load_model_folder


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


def test_runs_of_several_networks_have_no_mean(tmp_path):
    store = crops_store(tmp_path / "store")
    runs = [tmp_path / "first", tmp_path / "other"]
    made_teacher(store, runs[0])
    made_teacher(store, runs[1], 0, "net.features=4")
    with pytest.raises(RunError, match=r"other: expected runs of one network"):
        average_runs(runs, tmp_path / "mean", store)
    assert not (tmp_path / "mean").exists()
