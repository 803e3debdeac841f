"""``triaffect compare`` as a user meets it: tables, JSON, page, interruptions, mistakes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from tests.cli.test_evaluate import triaffect
from tests.evaluation.comparisons import recipe_files
from tests.training.stores import made_store
from tests.training.test_leaks import SOURCES, store_of


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("compare")
    made_store(folder / "store", videos=8, frames=50)
    return folder, recipe_files(folder)


def compare(place, *arguments, out="runs"):
    folder, _ = place
    return triaffect("compare", *arguments, "--store", folder / "store", "--output", folder / out)


def row_of(stdout, score, system):
    """The line of a system in the table of a score."""
    lines = stdout.splitlines()
    start = next(k for k, line in enumerate(lines) if line.split() == [score])
    return next(line for line in lines[start:] if line.startswith(system))


@pytest.fixture(scope="module")
def told(place):
    folder, files = place
    done = compare(
        place, files["plain"], files["taught"], "--seeds", 2, "--bootstrap", 100,
        "--json", folder / "deep" / "found.json", "--report", folder / "deeper" / "page.html",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done, json.loads((folder / "deep" / "found.json").read_text())


def test_every_score_is_told(told):
    done, found = told
    lines = done.stdout.splitlines()
    assert "2 videos" in lines[0]
    gap = found["systems"]["taught/student"]["difference"]["P_MTL"]
    row = row_of(done.stdout, "P_MTL", "taught/student")
    assert f"{gap['mean']:+.3f}" in row
    assert f"{gap['interval'][0]:+.3f} to {gap['interval'][1]:+.3f}" in row
    assert f"{gap['better']} of 2" in row
    for head in ("P_VA", "P_EXPR", "P_AU", "VA, part by part", "AU, part by part", "cost"):
        assert any(line.startswith(head) for line in lines), head
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [
        "[1/4] plain, seed 0",
        "[2/4] taught, seed 0",
        "[3/4] plain, seed 1",
        "[4/4] taught, seed 1",
    ]


def test_json_and_page_hold_everything(told, place):
    _, found = told
    assert set(found["systems"]) == {"plain", "taught/teacher", "taught/student"}
    assert set(found["systems"]["plain"]["seeds"]) == {"0", "1"}
    assert found["bootstrap"]["resamples"] == 100
    assert found["failed"] == []
    page = (place[0] / "deeper" / "page.html").read_text("utf-8")
    assert page.count("<svg") == 2 * 4 + 3 * 3  # scores, wide and narrow; parts by task and system
    parts = ("VA, valence", "VA, arousal", "EXPR, neutral", "EXPR, other", "AU, AU1", "AU, AU26")
    for heading in ("P_VA", "P_EXPR", "P_AU", "P_MTL", *parts):
        assert re.search(rf"<h\d[^>]*>{heading}</h", page), heading


def test_again_costs_no_training_and_tells_the_same(told, place):
    folder, files = place
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*.*")}
    done = compare(
        place, files["plain"], files["taught"], "--seeds", 2, "--bootstrap", 100,
        "--json", folder / "again.json",
    )  # fmt: skip
    first, again = (each.stdout.split(str(folder))[0] for each in (told[0], done))
    assert again == first, "all but the last lines, which name the outputs"
    assert done.stdout.splitlines()[-2:] == [str(folder / "again.json"), str(folder / "runs")]
    assert done.stderr == ""
    assert json.loads((folder / "again.json").read_text()) == told[1]
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*.*")}


def test_runs_can_be_compared_without_their_recipes(told, place):
    folder, _ = place
    runs = [folder / "runs" / name / f"seed-{k}" for name in ("taught", "plain") for k in (0, 1)]
    done = compare(
        place, *runs, "--against", "plain", "--bootstrap", 100, "--json", folder / "runs.json",
        out="none",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "runs.json").read_text())
    assert list(found["systems"]) == ["taught/teacher", "taught/student", "plain"]
    for name, system in found["systems"].items():
        assert system == told[1]["systems"][name]
    assert not (folder / "none").exists()


def test_what_fails_is_named_and_the_rest_is_done(told, place):
    folder, files = place
    done = compare(
        place, files["taught"], files["broken"], "--seeds", 1, "--json", folder / "x.json"
    )
    assert done.returncode == 1
    assert done.stderr.startswith("triaffect: broken: ")
    assert "lips" in done.stderr
    assert "taught/student" in done.stdout
    found = json.loads((folder / "x.json").read_text())
    assert [(each["entry"], each["seed"]) for each in found["failed"]] == [("broken", None)]


def test_one_run_that_fails_is_named(told, place):
    folder, files = place
    shutil.copytree(folder / "runs", folder / "harmed")
    weights = folder / "harmed/taught/seed-1/stages/teacher/best.safetensors"
    weights.write_bytes(b"junk")
    done = compare(place, files["taught"], "--seeds", 2, "--bootstrap", 0, out="harmed")
    assert done.returncode == 1
    assert done.stderr.startswith("[2/2] taught, seed 1 failed: ")
    assert done.stderr.count("\n") == 1
    assert row_of(done.stdout, "P_VA", "taught/student").split()[1] == "1"


def test_rows_without_inputs_are_the_reason_that_is_named(place):
    folder, files = place
    made_store(folder / "short", videos=8, frames=10)
    words = ["--store", folder / "short", "--output", folder / "short_runs", "--seeds", 1]
    done = triaffect("compare", files["plain"], *words)
    assert done.returncode == 2
    first = done.stderr.splitlines()[0]
    assert "rows of the split 'test' that the network has inputs for, got none of " in first
    assert "with faces and sound for as long before each as the recipe's windows want" in first


def test_quiet_comparing_tells_its_results_alone(place):
    done = compare(place, place[1]["plain"], "--seeds", 1, "--bootstrap", 0, "-q", out="quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert "P_MTL" in done.stdout


def test_leaks_are_refused_dropped_or_allowed(place):
    folder, files = place
    store_of(folder / "leaky", *SOURCES, frames=60)
    paths = ["--store", folder / "leaky", "--output", folder / "leaky_runs"]
    done = triaffect("compare", files["taught"], *paths, "--seeds", 2)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first.startswith("[1/2] taught, seed 0 failed: ")
    assert "--drop-leak" in first
    assert second == "[2/2] taught, seed 1 failed: likewise"
    done = triaffect("compare", files["taught"], *paths, "--seeds", 1, "--drop-leak")
    assert done.returncode == 0, done.stderr
    about = json.loads((folder / "leaky_runs" / "taught" / "seed-0" / "run.json").read_text())
    assert about["leaks"] == "drop"
    done = triaffect("compare", files["taught"], *paths, "--seeds", 1, "--allow-leak")
    assert done.returncode == 2
    assert "another, by what was done about leaks" in done.stderr
    done = triaffect("compare", files["taught"], *paths, "--allow-leak", "--drop-leak")
    assert "got both" in done.stderr


def mistakes(place):
    folder, files = place
    yield [files["plain"], "--against", "plane"], "did you mean plain"
    yield [files["plain"], "--split", "tset"], "is not one of"
    yield ["nosuch"], "'nosuch'"
    if not torch.cuda.is_available():
        yield [files["plain"], "--device", "cuda"], "CUDA"
    yield [files["plain"], "--json", folder], "a folder"
    yield [files["plain"], "--set", "net.lstm=9"], "another, by their recipes"
    yield [files["broken"]], "at least one entry"


def test_mistakes_end_in_code_2(told, place):
    for arguments, message in mistakes(place):
        done = compare(place, *arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert message in done.stderr
        assert done.stdout == ""


def test_a_file_is_no_place_for_runs(place):
    done = compare(place, place[1]["plain"], out="plain.toml")
    assert done.returncode == 2
    assert "expected a folder for the runs, got a file" in done.stderr


INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
from triaffect.cli.app import main
main()
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_keeps_what_was_finished(told, place, tmp_path, jobs):
    folder, files = place
    out = tmp_path / "runs"
    options = ["--store", str(folder / "store"), "-o", str(out), "--seeds", "4"]
    command = [sys.executable, "-c", INTERRUPTIBLE, "compare", files["taught"], *options]
    process = subprocess.Popen(
        [*command, "--jobs", str(jobs)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        first = process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to parent and workers
        _, said = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert first.startswith("[1/4] taught, seed 0: trained")
    assert process.returncode == 130
    assert said.splitlines()[-1] == "triaffect: interrupted; what was finished is kept"
    assert "Traceback" not in said
    finished = [path.parent.name for path in out.rglob("scores.json")]
    assert 1 <= len(finished) < 4
    before = time.time_ns()
    done = triaffect("compare", files["taught"], *options, "--bootstrap", 0)
    assert done.returncode == 0, done.stderr
    weights = {p.parts[-4] for p in out.rglob("best.safetensors") if p.stat().st_mtime_ns < before}
    assert set(finished) <= weights
    assert len(list(out.rglob("scores.json"))) == 4
