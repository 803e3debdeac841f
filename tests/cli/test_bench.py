"""The benchmarks run and write down what they measured; how fast is nobody's promise."""

import json
import platform

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.inference.tiny_model import write_tiny_model
from triaffect.cli.app import app
from triaffect.cli.measure import Measurement, machine, measure
from triaffect.cli.paper_store import BATCHES, make_paper_store
from triaffect.recipes.load import load_recipe
from triaffect.samples.loader import plan_epoch
from triaffect.tasks.registry import TASKS
from triaffect.training.build import build_samples


def run(*args):
    result = CliRunner().invoke(app, ["bench", *map(str, args)])
    assert result.exit_code == 0, result.output
    return result.output


def check(path, benchmark, names):
    found = json.loads(path.read_text())
    assert found["benchmark"] == benchmark
    assert [each["name"] for each in found["results"]] == names
    for each in found["results"]:
        assert len(each["values"]) == 2
        assert min(each["values"]) > 0
        assert each["median"] == pytest.approx(np.median(each["values"]), abs=2e-3)
    assert {"processor", "cores", "python", "versions"} <= found["machine"].keys()
    return found


def test_train_times_both_generations(tmp_path):
    out = tmp_path / "train.json"
    shown = run("train", "--seconds", 0, "--repeats", 2, "--threads", 1, "--json", out)
    found = check(out, "train", ["teacher", "student"])
    assert found["settings"]["batches"] == BATCHES
    assert found["settings"]["threads"] == 1
    assert "teacher" in shown


def test_load_times_batches(tmp_path):
    out = tmp_path / "load.json"
    run("load", "--seconds", 0, "--repeats", 2, "--sources", 3, "--json", out)
    check(out, "load", ["load"])


def test_predict_times_the_whole_way_and_its_steps(tmp_path):
    out, model = tmp_path / "predict.json", write_tiny_model(tmp_path / "model")
    run("predict", "--model", model, "--frames", 5, "--repeats", 2, "--json", out)
    found = check(out, "predict", ["decode", "and find faces", "and all the rest"])
    medians = [each["median"] for each in found["results"]]
    assert medians[0] > medians[2], "decoding alone cannot be slower than decoding and more"


def test_paper_store_gives_the_papers_batches(tmp_path):
    recipe = load_recipe("paper_as_published")
    store = make_paper_store(tmp_path / "store", iterations=3, sources=4, seed=1)
    samples = build_samples(recipe.data, store, TASKS)
    pools = {kind: samples.rows.where("train", sets) for kind, sets in recipe.data.pools.items()}
    plan = plan_epoch(pools, recipe.data.batch_size, recipe.data.min_batch, (0,))
    assert plan.iterations == 3
    assert {kind: rows.shape[1] for kind, rows in plan.rows.items()} == BATCHES
    inputs = samples.inputs(pools["MTL"][:5])
    assert inputs["face"].shape == (5, 6, 512)
    assert inputs["voice"].shape == (5, 1000)
    assert inputs["face_present"].all()
    mtl = samples.rows.targets
    assert all(mtl[task.key].valid[pools["MTL"]].all() for task in TASKS)
    assert not mtl["EXPR"].valid[pools["VA"]].any()


def test_measure_counts_all_work_and_warms_up_first():
    done = []

    def step():
        done.append(1)
        return 7

    rate = measure("x", "things/s", step, seconds=0.0, repeats=3)
    assert len(done) == 4
    assert len(rate.values) == 3


def test_median_ignores_one_disturbed_measurement():
    assert Measurement("x", "/s", (100.0, 1.0, 102.0)).median == 100.0


def test_machine_does_not_name_the_computer():
    assert platform.node() not in json.dumps(machine())
