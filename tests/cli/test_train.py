"""Train, evaluate and their mistakes, as the command line tells them."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.prediction.tiny_model import write_tiny_model
from tests.training.recipes import SMALL
from tests.training.stores import made_store
from tests.training.test_leaks import SOURCES, Made, store_of

FAST = [f"--set={s}" for s in (*SMALL["default"], "teacher.epochs=1", "student.epochs=1")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    made_store(folder / "store", videos=4, frames=60)
    store_of(folder / "leaky", *SOURCES, frames=60)
    return folder


def triaffect(*arguments):
    command = [sys.executable, "-m", "triaffect", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def run(place):
    words = ["--store", place / "store", "-o", place / "run", *FAST, "--log", "csv,tensorboard"]
    done = triaffect("train", "default", *words)
    assert done.returncode == 0, done.stderr
    return place / "run"


def test_a_run_folder_has_everything(run):
    about = json.loads((run / "run.json").read_text())
    assert about["recipe"]["net"]["width"] == 16
    assert (run / "journal.jsonl").stat().st_size
    assert {"teacher", "student"} == set(json.loads((run / "scores.json").read_text()))
    for stage in ("teacher", "student"):
        assert (run / "stages" / stage / "best.safetensors").is_file()
    assert {"model.json", "fusion.onnx", "fusion.safetensors", "CARD.md"} <= {
        path.name for path in (run / "model").iterdir()
    }
    card = (run / "model" / "CARD.md").read_text()
    assert card.startswith("---\nlicense: other\n")
    assert "| test | ALL | " in card
    rows = (run / "log" / "epochs.csv").read_text().splitlines()
    assert [row.split(",")[:3] for row in rows[1:]] == [
        ["1", "teacher", "1"],
        ["2", "student", "1"],
    ]
    (events,) = (run / "log" / "tensorboard").iterdir()
    assert events.stat().st_size > 500


@pytest.mark.parametrize("precision", [(), ("--precision", "bf16")])
def test_a_card_that_is_not_there_is_told_before_anything_is_made(place, monkeypatch, precision):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    out = place / "on_a_card"
    command = ["train", "default", "--store", place / "store", "-o", out, *FAST, *precision]
    done = triaffect(*command, "--device", "cuda")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(
        "triaffect: --device cuda: expected a CUDA card that torch can use"
    )
    assert "leave --device out" in done.stderr
    assert not out.exists()
    assert triaffect(*command, "--device", "gpu").returncode == 2


def test_bf16_trains_and_the_run_goes_on_in_it_alone(place):
    out = place / "bf16"
    command = ["train", "default", "--store", place / "store", "-o", out, *FAST]
    assert triaffect(*command, "--precision", "bf16").returncode == 0
    stages = json.loads((out / "run.json").read_text())["recipe"]["stages"]
    assert {stage["precision"] for stage in stages.values()} == {"bfloat16"}
    losses = [
        line["losses"]
        for line in map(json.loads, (out / "journal.jsonl").read_text().splitlines())
        if "losses" in line
    ]
    assert all(np.isfinite(list(each.values())).all() for each in losses)
    assert triaffect(*command, "--precision", "bf16", "--resume").returncode == 0
    other = triaffect(*command, "--precision", "float32", "--resume")
    assert other.returncode == 2
    assert "recipe_hash" in other.stderr
    assert len(other.stderr.strip().splitlines()) == 1


def test_evaluate_agrees_with_the_run(run, place):
    out = place / "scores.json"
    done = triaffect("evaluate", run, "--store", place / "store", "--json", out)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert set(found["stages"]) == {"teacher", "student"}
    own = json.loads((run / "scores.json").read_text())["student"]["test"]["ALL"]
    assert found["stages"]["student"]["all"]["official"] == pytest.approx(own["official"])
    assert set(found["chance"]) == set(own["official"])


def test_quiet_training_tells_its_results_alone(place, tmp_path):
    words = ["--store", place / "store", "-o", tmp_path / "run", *FAST, "--quiet"]
    done = triaffect("train", "default", *words)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("triaffect: warning: ") for line in done.stderr.splitlines())
    assert done.stdout.startswith("scores: ")


def test_one_person_to_learn_from_gets_advice_that_helps(tmp_path):
    made_store(tmp_path / "single", videos=1, frames=60)
    words = ["-o", tmp_path / "run", *FAST]
    done = triaffect("train", "default", "--store", tmp_path / "single", *words)
    assert done.returncode == 2
    assert "expected held out rows" in done.stderr
    assert "extract more people" in done.stderr
    assert "held_out=0" not in done.stderr
    people = (Made("made/a", ("train",)), Made("made/b", ("validation",)))
    store_of(tmp_path / "two", *people, frames=60)
    words += ["--store", tmp_path / "two"]
    done = triaffect("train", "default", *words)
    assert "or --set data.held_out=0 to choose on validation" in done.stderr
    done = triaffect("train", "default", *words, "--set", "data.held_out=0")
    assert done.returncode == 0, done.stderr


def test_what_is_done_about_leaks_is_told(place):
    paths = ["--store", place / "leaky", "-o", place / "dropped"]
    done = triaffect("train", "default", *paths, *FAST, "--drop-leak")
    assert done.returncode == 0, done.stderr
    warning = "warning: 1 people and 0 videos in several splits; left out rows: 60 for train"
    assert warning in done.stderr.splitlines()[0]
    assert json.loads((place / "dropped" / "run.json").read_text())["leaks"] == "drop"


def test_what_was_chosen_about_leaks_is_remembered(place):
    """Resuming need not say it again, and may say nothing else."""
    run = place / "resumed"
    command = ["train", "default", "--store", place / "leaky", "-o", run, *FAST]
    done = triaffect(*command, "--drop-leak")
    assert done.returncode == 0, done.stderr
    before = {path: path.read_bytes() for path in run.rglob("*.safetensors")}
    done = triaffect(*command, "--resume")
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in run.rglob("*.safetensors")} == before
    assert json.loads((run / "run.json").read_text())["leaks"] == "drop"
    done = triaffect(*command, "--resume", "--allow-leak")
    assert done.returncode == 2
    assert "expected the run's own leaks drop, got allow; resume with" in done.stderr


def test_a_new_run_remembers_nothing(place):
    command = [
        "train",
        "default",
        "--store",
        place / "leaky",
        "-o",
        place / "new",
        "--resume",
    ]
    done = triaffect(*command, *FAST)
    assert done.returncode == 2
    assert "got 1 people (p0) in several; --drop-leak" in done.stderr
    assert not (place / "new").exists()


def mistakes(place, run):
    half = place / "half"
    if not half.exists():
        shutil.copytree(run, half)
        shutil.rmtree(half / "stages" / "student")
    store = ["--store", place / "store"]
    yield ["train", "default", *store, "-o", run], "--resume"
    yield ["train", "nosuch", *store, "-o", place / "x"], "paper_as_coded"
    yield ["train", "default", "--store", place / "no", "-o", place / "x"], "no such folder"
    wrong = ["train", "default", *store, "-o", place / "x", "--set"]
    yield [*wrong, "student.optimizr.lr=1"], "did you mean 'optimizer'"
    yield [*wrong, "student.epochs=many"], "student.epochs"
    yield ["train", "light_face", *store, "-o", place / "x"], "gray64"
    yield (
        ["train", "default", *store, "-o", place / "x", "--allow-leak", "--drop-leak"],
        "both",
    )
    leaky = ["--store", place / "leaky", "-o", place / "x"]
    yield ["train", "default", *leaky], "got 1 people (p0) in several; --drop-leak"
    yield ["evaluate", place / "nothing", *store], "run.json"
    yield ["evaluate", half, *store], "stage student"
    yield ["evaluate", run, *store, "--split", "holdout"], "'holdout'"
    tiny = write_tiny_model(place / "tiny")
    yield ["evaluate", tiny, *store], "--face"


def test_mistakes_end_in_one_line_and_code_2(place, run):
    for arguments, message in mistakes(place, run):
        done = triaffect(*arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert message in done.stderr
        # A choice that there is not is refused by the parser of the command line, in a box.
        assert done.stderr.count("\n") == 1 or done.stderr.startswith("Usage: ")
        assert "Traceback" not in done.stderr
