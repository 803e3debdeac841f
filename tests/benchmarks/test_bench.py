"""The benchmarks run and write their measurements; no speed is promised."""

import json
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from tests.architecture.repository import ROOT
from tests.benchmarks.scripts import load
from tests.prediction.tiny_model import write_tiny_model
from triaffect.datasets.batches import plan_epoch
from triaffect.faces.detection import CenterFace
from triaffect.media.video import VideoFrames
from triaffect.models.paper import PaperNet
from triaffect.recipes.load import load_recipe
from triaffect.tasks.registry import TASKS
from triaffect.training.build import build_samples

bench, paper_store, portrait_video = load("bench"), load("paper_store"), load("portrait_video")
measuring = load("measure")
Measurement, machine, measure, report = (
    measuring.Measurement, measuring.machine, measuring.measure, measuring.report,
)  # fmt: skip
BATCHES = paper_store.BATCHES


def run(*args):
    result = CliRunner().invoke(bench.app, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    return result.output


def check(path, benchmark, names):
    result = json.loads(path.read_text())
    assert result["benchmark"] == benchmark
    assert [each["name"] for each in result["results"]] == names
    for each in result["results"]:
        assert len(each["values"]) == 2
        assert min(each["values"]) > 0
        assert each["median"] == pytest.approx(np.median(each["values"]), abs=2e-3)
    assert {"processor", "cores", "python", "versions"} <= result["machine"].keys()
    return result


def test_train_times_both_generations_and_the_floor(tmp_path):
    out = tmp_path / "train.json"
    shown = run(
        "train", "--seconds", 0, "--repeats", 2, "--threads", 1, "--cpu-time", "--json", out
    )
    result = check(out, "train", ["floor", "teacher", "student", "teacher", "student"])
    assert result["settings"]["batches"] == BATCHES == {"MTL": 8, "VA": 256, "EXPR": 93, "AU": 224}
    assert result["settings"]["threads"] == 1
    assert result["settings"]["cpu_time"]
    assert "teacher" in shown
    keys = result["keys"]
    for name in ("floor", "teacher", "student"):
        assert keys[f"{name}.samples_per_s"] > 0
    floor, student, teacher_share = (result["results"][place]["values"] for place in (0, 2, 3))
    assert (
        0.05
        < keys["student.share_of_floor"]
        == pytest.approx(np.median(np.divide(student, floor)), abs=2e-3)
    )
    assert len(teacher_share) == 2


def addmm_operations(_, left, right, **__):
    return 2 * left[0] * left[1] * right[1]


def test_floor_step_has_the_products_of_an_iteration_of_the_teacher(monkeypatch):
    """As many operations as the network's forward and backward, but for what is not needed."""
    net = PaperNet(face_dim=8, voice_dim=6, lstm=4, trunk=(12, 10), head=(7, 5))
    done = []
    monkeypatch.setattr(
        torch, "mm", lambda a, b, out: done.append(2 * a.shape[0] * a.shape[1] * b.shape[1])
    )
    step = paper_store.floor_step(net, {"VA": 3}, window=2)
    assert step() == 3
    monkeypatch.undo()
    inputs = {"face": torch.randn(3, 2, 8), "voice": torch.randn(3, 6)}
    with FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.addmm_: addmm_operations}
    ) as counter:
        outputs = net(inputs)
        (outputs.raw["VA"].sum() + outputs.domain.sum()).backward()
    voice_gradient = 2 * 3 * 6 * 12  # autograd's, of no use: rows, voice vector, first layer
    assert sum(done) == counter.get_total_flops() - voice_gradient


def test_load_times_batches(tmp_path):
    out = tmp_path / "load.json"
    run("load", "--seconds", 0, "--repeats", 2, "--sources", 3, "--threads", 1, "--json", out)
    result = check(out, "load", ["load"])
    assert result["keys"] == {"load.moments_per_s": result["results"][0]["median"]}
    assert result["settings"]["threads"] == 1


def test_extract_times_a_folder_of_videos(tmp_path):
    out = tmp_path / "extract.json"
    run("extract", "--videos", 2, "--frames", 5, "--jobs", 1, "--repeats", 2, "--json", out)
    result = check(out, "extract", ["extract"])
    assert result["keys"] == {"extract.frames_per_s": result["results"][0]["median"]}
    assert result["settings"] == {"jobs": 1, "videos": 2, "frames": 5}


def test_predict_times_the_whole_way_and_its_steps(tmp_path):
    out, model = tmp_path / "predict.json", write_tiny_model(tmp_path / "model")
    run("predict", "--model", model, "--frames", 5, "--repeats", 2, "--json", out)
    result = check(out, "predict", ["decode", "and find faces", "and all the rest"])
    medians = [each["median"] for each in result["results"]]
    assert medians[0] > medians[2], "decoding alone cannot be slower than decoding and more"


def test_paper_store_has_the_papers_batches(tmp_path):
    recipe = load_recipe("paper_as_published")
    store = paper_store.make_paper_store(tmp_path / "store", iterations=3, sources=4, seed=1)
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


def test_portrait_video_has_one_face_in_every_frame(tmp_path):
    path = portrait_video.write_portrait_video(tmp_path / "portrait.mp4", frames=3)
    counts = [len(CenterFace()(frame.rgb)) for frame in VideoFrames(path)]
    assert counts == [1, 1, 1]


def test_measure_counts_all_work_and_warms_up_first():
    done = []

    def step():
        done.append(1)
        return 7

    rate = measure("x", "things/s", step, seconds=0.0, repeats=3)
    assert len(done) == 4
    assert len(rate.values) == 3


def test_measurement_median_ignores_one_disturbed_measurement():
    assert Measurement("x", "/s", (100.0, 1.0, 102.0)).median == 100.0


def test_machine_does_not_name_the_computer():
    assert platform.node() not in json.dumps(machine())


def make_result(path, name, numbers, processor="A Processor"):
    measured = [Measurement(f"{name} {k}", "rows/s", tuple(each)) for k, each in enumerate(numbers)]
    report(name, measured, {"seed": 0}, path)
    content = json.loads(path.read_text())
    content["machine"]["processor"] = processor
    path.write_text(json.dumps(content))


def one_table(folder):
    script = ROOT / "benchmarks" / "table.py"
    return subprocess.run(
        [sys.executable, script, "--folder", folder], capture_output=True, text=True, check=False
    )


def test_table_shows_all_benchmarks_and_the_machine(tmp_path):
    make_result(tmp_path / "b.json", "train", [(1.0, 2.0, 570_829.4), (0.851, 0.852, 0.853)])
    make_result(tmp_path / "a.json", "load", [(7.0,)])
    done = one_table(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.replace("│", " ").splitlines()]
    at = lines.index(["load", "load", "0", "7", "7", "7", "rows/s"])
    assert at < lines.index(["train", "train", "0", "2", "1", "570,829", "rows/s"])
    assert ["train", "1", "0.852", "0.851", "0.853", "rows/s"] in lines
    assert done.stdout.count("A Processor, ") == 1
    assert f"Python {platform.python_version()}" in done.stdout


def test_table_numbers_the_machines_if_there_are_several(tmp_path):
    make_result(tmp_path / "a.json", "load", [(7.0,)])
    make_result(tmp_path / "b.json", "train", [(8.0,)], "Another")
    lines = one_table(tmp_path).stdout.replace("│", " ").splitlines()
    assert ["load", "load", "0", "7", "7", "7", "rows/s", "1"] in [line.split() for line in lines]
    assert ["train", "train", "0", "8", "8", "8", "rows/s", "2"] in [line.split() for line in lines]
    assert [line.split(",")[0] for line in lines if line.startswith(("1:", "2:"))] == [
        "1: A Processor", "2: Another",
    ]  # fmt: skip


def test_table_of_an_empty_folder_ends_with_a_message(tmp_path):
    done = one_table(tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"no JSON files in {tmp_path}: run make bench, or give --folder\n"


def test_bench_scale_writes_its_measurements(tmp_path):
    """With a few videos; its true size is for those who have the time and the disk."""
    script, out = ROOT / "benchmarks" / "bench_scale.py", tmp_path / "scale.json"
    subprocess.run([sys.executable, script, "--sources", "5", "--folder", tmp_path, "--json", out],
                   check=True, capture_output=True)  # fmt: skip
    result = json.loads(out.read_text())
    assert result["benchmark"] == "scale"
    assert result["settings"]["rows"] == 30_000
    assert {"scale.peak_mb", "scale.seconds", "scale.open.seconds"} <= result["keys"].keys()
    assert 50 < result["keys"]["scale.peak_mb"] < 2000
    assert result["keys"]["scale.seconds"] > result["keys"]["scale.open.seconds"] > 0
