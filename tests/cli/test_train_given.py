"""Finished runs as teachers, everybody learnt from, other people tested: on the command line."""

import json
import shutil

import pytest
import torch

from tests.cli.test_evaluate import triaffect
from tests.training.external_teachers import QUICK, made_teacher
from tests.training.recipes import SMALL
from tests.training.stores import crops_store, made_store

STUDENT = """
extends = "light_face"
name = "student"
[stages.face]
teacher = "given"
[stages.face.distillation]
on = ["ALL"]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store of crops, one of videos, two teachers, and a recipe that listens."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("given")
    store = crops_store(folder / "store", rows=40)
    made_store(folder / "videos", videos=4, frames=30)
    made_teacher(store, folder / "one")
    made_teacher(store, folder / "two", 1)
    (folder / "student.toml").write_text(STUDENT)
    return folder


def command(place, recipe, out, *more, store="store"):
    sets = [*QUICK, *SMALL["light_face"], "face.epochs=1"] if store == "store" else []
    paths = ["--store", place / store, "--output", place / out, "--threads", 1]
    return ["train", recipe, *paths, *(f"--set={each}" for each in sets), *more]


def taught(*names):
    return [f"--teacher={name}" for name in names]


def test_two_runs_teach_a_third_which_then_needs_them_no_more(place):
    lent = [shutil.copytree(place / name, place / f"lent_{name}") for name in ("one", "two")]
    done = triaffect(*command(place, place / "student.toml", "run", *taught(*lent)))
    assert done.returncode == 0, done.stderr
    assert len(json.loads((place / "run" / "run.json").read_text())["teachers"]) == 2
    losses = json.loads((place / "run" / "journal.jsonl").read_text().splitlines()[0])["losses"]
    assert losses["ALL.teacher.EXPR"] > 0
    before = (place / "run" / "model" / "face.onnx").read_bytes()
    for each in lent:
        shutil.rmtree(each)
    done = triaffect(*command(place, place / "student.toml", "run", "--resume"))
    assert done.returncode == 0, done.stderr
    assert (place / "run" / "model" / "face.onnx").read_bytes() == before
    other = command(place, place / "student.toml", "run", *taught(place / "one"), "--resume")
    done = triaffect(*other)
    assert done.returncode == 2
    assert "expected the run's own teachers" in done.stderr


def test_a_refit_tells_its_epochs_without_scores(place):
    done = triaffect(*command(place, "light_face", "refit", "--set=data.refit=true"))
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("face epoch 1, ")
    assert line.endswith(" s *")


def mistakes(place):
    student, one = place / "student.toml", place / "one"
    half = shutil.copytree(one, place / "half")
    (half / "scores.json").unlink()
    yield command(place, student, "x"), "add --teacher RUN, once for each"
    yield command(place, student, "x", *taught(place / "no")), "no: expected a run folder"
    yield command(place, student, "x", *taught(one, half)), "finish it with train --resume"
    yield command(place, "light_face", "x", *taught(one)), "leave --teacher out"
    windows = command(place, "default", "x", *taught(one), store="videos")
    yield windows, "expected a teacher that takes windows of face, voice"
    va = command(place, student, "x", *taught(one), "--set=tasks=['VA']")
    yield va, "expected a teacher of VA, got one of EXPR, AU"
    people = [f"--set=data.test_people={json.dumps(['made/v00', 'made/nobody'])}"]
    yield command(place, "default", "x", *people, store="videos"), "unknown ones: made/nobody"
    both = ["--set=data.refit=true", "--set=data.held_out=0.1"]
    yield command(place, "light_face", "x", *both), "set held_out to 0"
    store = ["--store", place / "store", "--output", place / "runs"]
    yield ["compare", student, *store], "train it with 'train --teacher'"


def test_mistakes_end_in_one_line_and_code_2(place):
    for arguments, message in mistakes(place):
        done = triaffect(*arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
        assert not (place / "x").exists()
