"""From a corpus of Aff-Wild2's form to a challenge's file, and the mistakes on the way."""

import io
import json
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

import numpy as np
import pytest

from tests.training.recipes import SMALL
from triaffect.cli.app import main

UNKNOWN = "nobody_left/00003.jpg"
ONE_EPOCH = ("teacher.epochs=1", "student.epochs=1")


def triaffect(*arguments):
    """Exit code, output and errors of a command, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    argv = ["triaffect", *map(str, arguments)]
    with mock.patch.object(sys, "argv", argv), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as ending:
            code = ending.code or 0
    return code, out.getvalue(), err.getvalue()


def done(*arguments):
    code, out, err = triaffect(*arguments)
    assert code == 0, err
    return out


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A made corpus whose test videos lack some crops, its store, and a list with a stranger."""
    folder = tmp_path_factory.mktemp("submit")
    corpus = folder / "corpus"
    done("corpus", "synth", corpus, "--people", 6, "--seconds", 1.5, "--jobs", 1)
    text = (corpus / "MTL_Challenge" / "test_set_list.txt").read_text()
    images = [line.rstrip(",") for line in text.splitlines()[1:]]
    for image in images[8:12]:
        (corpus / "cropped_aligned" / image).unlink()
    beyond = f"{images[0].partition('/')[0]}/09999.jpg"
    listed = [UNKNOWN, *reversed(images), beyond]
    (folder / "list.txt").write_text("\n".join(["image", *(f"{each}," for each in listed)]))
    done("extract", corpus, "--output", folder / "store", "--jobs", 1)
    return folder


@pytest.fixture(scope="module", params=["default", "paper_as_published"])
def run(request, place):
    kind = {"default": "default"}.get(request.param, "paper")
    options = [f"--set={each}" for each in (*SMALL[kind], *ONE_EPOCH)]
    out = place / request.param
    done(
        "train",
        request.param,
        "--store",
        place / "store",
        "--output",
        out,
        "--threads",
        1,
        *options,
    )
    return out


def submitted(place, run, out, *options):
    told = done(
        "submit", run, "--store", place / "store", "--list", place / "list.txt", "-o", out, *options
    )
    lines = [line.split(",") for line in out.read_text().splitlines()[1:]]
    return told, [line[0] for line in lines], np.array([line[1:] for line in lines], float)


def test_from_a_corpus_to_a_file_that_passes(place, run):
    out = place / "made" / "submission.txt"
    told, images, values = submitted(place, run, out)
    text = (place / "list.txt").read_text()
    assert images == [line.rstrip(",") for line in text.splitlines()[1:]]
    assert "videos that are not in the store: nobody_left\n" in told
    assert "zeros, as the video has no such moment: 1\n" in told
    assert not values[0].any()
    assert values[1:, :2].any(1).all()
    nearest = int(told.split("that can be predicted: ")[1].split()[0])
    assert nearest >= (1 if run.name == "default" else 1 + 4)
    checked = done("submit-check", out, "--list", place / "list.txt")
    assert checked == f"{out}: right, {len(images)} images\n"


def test_a_run_and_its_model_folder_agree(place, run):
    told, _, values = submitted(place, run, place / "run.txt")
    same, _, of_model = submitted(place, run / "model", place / "model.txt")
    assert told.splitlines()[:-1] == same.splitlines()[:-1]
    np.testing.assert_allclose(values[:, :2], of_model[:, :2], atol=1e-4)
    assert (values[:, 2:] == of_model[:, 2:]).mean() > 0.99


def test_a_stage_can_be_chosen(place, run):
    _, _, student = submitted(place, run, place / "student.txt", "--stage", "student")
    _, _, last = submitted(place, run, place / "last.txt")
    _, _, teacher = submitted(place, run, place / "teacher.txt", "--stage", "teacher")
    np.testing.assert_array_equal(student, last)
    assert (teacher != last).any()


def test_changed_weights_change_thresholds_only_where_the_model_says(place, run):
    """The thresholds of model.json decide."""
    high = place / f"{run.name}_high"
    shutil.copytree(run / "model", high)
    description = high / "model.json"
    told = json.loads(description.read_text())
    told["calibration"]["thresholds"] |= {"AU1": 0.999, "AU2": 0.001}
    description.write_text(json.dumps(told))
    _, _, plain = submitted(place, run / "model", place / "plain.txt")
    _, _, moved = submitted(place, high, place / "moved.txt")
    np.testing.assert_array_equal(plain[:, :3], moved[:, :3])
    np.testing.assert_array_equal(plain[:, 5:], moved[:, 5:])
    assert not moved[1:, 3].any()
    assert moved[1:, 4].all()


def mistakes(place, run):
    store, listed = ("--store", place / "store"), ("--list", place / "list.txt")
    out = ("-o", place / "wrong.txt")
    yield ("submit", run, *store, *listed, *out, "--stage", "third"), "one of the stages teacher, s"
    yield ("submit", run / "model", *store, *listed, *out, "--stage", "teacher"), "a run folder"
    yield ("submit", place / "store", *store, *listed, *out), "a run folder with run.json"
    yield ("submit", run, "--store", run, *listed, *out), "a feature store"
    yield ("submit", run, *store, "--list", place / "no.txt", *out), "a file to read"
    yield (
        ("submit", run, *store, *listed, "-o", place / "list.txt" / "out.txt"),
        "a folder, got a file",
    )
    yield ("submit", run, *store, *listed, "-o", place), "a file to write, got a folder"
    yield ("submit", run, *store, *listed, "-o", place / "list.txt"), "got the test list"
    foreign = place / "foreign.txt"
    foreign.write_text("image\nsomebody/00001.jpg\n")
    yield ("submit", run, *store, "--list", foreign, *out), "got none of them"
    twice = place / "twice.txt"
    twice.write_text("image\na/1.jpg\nb/1.jpg\na/1.jpg\n")
    yield ("submit", run, *store, "--list", twice, *out), "twice.txt:4: expected every image once"
    yield ("submit-check", place / "list.txt", *listed), "list.txt:1: expected the header image,v"
    half = place / "half"
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(run, half)
    (half / "stages" / "student" / "last.safetensors").unlink()
    yield ("submit", half, *store, *listed, *out), "expected a finished stage"


def test_mistakes_are_one_line_and_leave_no_file(place, run):
    before = (place / "list.txt").read_text()
    for arguments, message in mistakes(place, run):
        code, out, err = triaffect(*arguments)
        assert code == 2, (arguments, out, err)
        assert message in err
        assert err.count("\n") == 1
        assert not out
    assert (place / "list.txt").read_text() == before
    assert not [path.name for path in place.iterdir() if "wrong" in path.name]
