"""``triaffect evaluate`` as a user meets it: tables, JSON, and what goes wrong."""

import contextlib
import io
import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.prediction.tiny_model import write_tiny_model
from tests.training.recipes import small
from tests.training.stores import FACE, VOICE, made_store
from triaffect.cli.app import main
from triaffect.evaluation.evaluate import EvaluationOptions, evaluate_model, evaluate_run
from triaffect.features.store import FeatureStore
from triaffect.training.trainer import train


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store, and a finished run on it."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("evaluate")
    store = made_store(folder / "store", videos=8, frames=60)
    train(small("default"), store, folder / "run")
    return folder


def triaffect(*arguments):
    """Exit code, standard output and standard error of the command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["triaffect", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
    return SimpleNamespace(
        returncode=done.value.code or 0, stdout=out.getvalue(), stderr=err.getvalue()
    )


@pytest.fixture(scope="module")
def told(place):
    """Output and JSON of both protocols."""
    out = place / "deep" / "scores.json"
    done = triaffect(
        "evaluate", place / "run", "--store", place / "store", "--protocol", "authors",
        "--bootstrap", 200, "--seed", 5, "--json", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(out.read_text())


def test_json_keeps_its_keys_and_holds_everything(told):
    _, found = told
    assert {"run", "split", "stages", "chance", "bootstrap"} <= set(found)
    assert {k: found["bootstrap"][k] for k in ("resamples", "seed", "level")} == {
        "resamples": 200,
        "seed": 5,
        "level": 0.95,
    }
    student = found["stages"]["student"]
    assert set(student) == {"all", "corpora", "authors"}
    assert {"rows", "official", "tasks", "accuracy", "intervals"} == set(student["all"])
    expression = student["all"]["tasks"]["EXPR"]
    assert np.shape(expression["confusion"]) == (8, 9)
    assert {"f1", "precision", "recall", "support", "predicted", "rows"} == set(
        expression["by_part"]["anger"]
    )
    assert set(student["all"]["intervals"]["parts"]["VA"]) == {"valence", "arousal"}
    assert student["authors"]["seeds"] == [5, 6, 7, 8, 9]
    assert list(student["authors"]["pools"]) == ["MTL", "VA", "EXPR", "AU"]


def test_tables_say_what_the_json_says(told):
    out, found = told
    student = found["stages"]["student"]["all"]
    low, high = student["intervals"]["official"]["P_MTL"]
    assert f"{student['official']['P_MTL']:.3f}" in out
    assert f"{low:.2f} to {high:.2f}" in out
    assert "200 resamples, seed" in out
    assert "So few" in " ".join(out.split())
    for title in ("student: VA", "student: EXPR, true down", "student: AU", "teacher: EXPR"):
        assert title in out
    unit = student["tasks"]["AU"]["by_part"]["AU12"]
    (line,) = [each for each in out.partition("student: AU")[2].splitlines() if "AU12" in each]
    assert line.split()[1] == f"{unit['f1']:.3f}"
    assert line.split()[-3:] == [str(unit[k]) for k in ("support", "predicted", "rows")]
    assert "student: the authors' mean over 1 mini-batches" in out


def test_without_json_and_intervals(place):
    done = triaffect("evaluate", place / "run", "--store", place / "store", "--bootstrap", 0)
    assert done.returncode == 0, done.stderr
    assert "student" in done.stdout
    assert "interval" not in done.stdout
    assert "mini-batches" not in done.stdout


def test_the_same_seed_gives_the_same_numbers(place):
    store = FeatureStore.open(place / "store")
    once, again, other = (
        evaluate_run(place / "run", store, options=EvaluationOptions(True, 7, seed))
        for seed in (1, 1, 2)
    )
    assert once == again
    assert once.stages["student"].overall.intervals != other.stages["student"].overall.intervals
    assert once.stages["student"].overall.official == other.stages["student"].overall.official


def test_a_model_folder_is_scored_by_the_label_sets(place, monkeypatch):
    """The store is not of the model's own networks: only their sizes are made to fit."""
    monkeypatch.setattr("triaffect.evaluation.evaluate.check_networks", lambda model, store: None)
    monkeypatch.setattr("tests.prediction.tiny_model.FACE_DIM", FACE.dim)
    monkeypatch.setattr("tests.prediction.tiny_model.VOICE_DIM", VOICE.dim)
    model = write_tiny_model(place / "tiny")
    store = FeatureStore.open(place / "store")
    evaluation = evaluate_model(model, store, "validation", EvaluationOptions(True, 20))
    (scores,) = evaluation.stages.values()
    assert list(scores.authors.pools) == ["MTL", "VA", "EXPR", "AU"]


@pytest.mark.parametrize(
    ("option", "value", "choices"),
    [
        ("--split", "tset", "'train', 'validation', 'test'"),
        ("--protocol", "author", "'official', 'authors'"),
    ],
)
def test_misspelled_choice_is_refused_with_the_choices(place, option, value, choices):
    done = triaffect("evaluate", place / "run", "--store", place / "store", option, value)
    assert done.returncode == 2
    message = " ".join(done.stderr.replace("│", " ").split())
    assert option in message
    assert f"'{value}' is not one of {choices}" in message


def test_an_unfinished_run_and_an_absent_split_end_in_one_line(place, tmp_path):
    made_store(tmp_path / "store", videos=2, frames=60)
    run = ["evaluate", place / "run", "--store", tmp_path / "store"]
    done = triaffect(*run)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "split 'test', got none; it has train" in done.stderr
    scores = place / "run" / "scores.json"
    kept = scores.read_text()
    scores.unlink()
    done = triaffect(*run, "--split", "train")
    scores.write_text(kept)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "finish it with train --resume" in done.stderr


def test_a_json_file_that_cannot_be_written_ends_in_one_line(place):
    done = triaffect("evaluate", place / "run", "--store", place / "store", "--json", place)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "a file to write, got a folder" in done.stderr
    assert not done.stdout, "told before the work, not after it"


def test_a_store_of_other_networks_is_refused(place, tmp_path):
    shutil.copytree(place / "run", tmp_path / "run")
    write_tiny_model(tmp_path / "run" / "model")
    done = triaffect("evaluate", tmp_path / "run", "--store", place / "store")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "extract it with --face" in done.stderr


def test_default_is_the_shipped_model(place, monkeypatch):
    monkeypatch.chdir(place)
    done = triaffect("evaluate", "default", "--store", "store")
    assert done.returncode == 2
    assert "run.json" not in done.stderr, "it was read, and was made with other networks"
    assert "network" in done.stderr
    (place / "default").mkdir()
    assert "run.json" in triaffect("evaluate", "default", "--store", "store").stderr


def test_weights_that_do_not_fit_end_in_one_line(place, tmp_path):
    shutil.copytree(place / "run", tmp_path / "run")
    about = tmp_path / "run" / "run.json"
    about.write_text(about.read_text().replace('"width": 16', '"width": 32'))
    done = triaffect("evaluate", tmp_path / "run", "--store", place / "store")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "use the network and sizes that they were trained with" in done.stderr
