"""``triaffect join`` as its page tells it, and its mistakes."""

import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from tests.architecture.repository import ROOT
from tests.prediction.tiny_model import write_sound
from tests.training.recipes import SMALL
from tests.training.stores import made_store
from triaffect.cli.app import main

PAGE = ROOT / "docs" / "how-to" / "use-external-features.md"
FRAMES, RATE = 90, 30
OPENFACE = "frame, face_id, timestamp, confidence, success, AU01_r, AU12_r, pose_Rx, pose_Tx\n"


def triaffect(*arguments, cwd):
    command = [sys.executable, "-m", "triaffect", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store of four videos, and files as the page's three programs write them."""
    folder = tmp_path_factory.mktemp("join")
    rng = np.random.default_rng(0)
    store = made_store(folder / "STORE", videos=4, frames=FRAMES)
    for name in ("W2V", "CLIP", "OPENFACE"):
        (folder / name).mkdir()
    for name in (source.rpartition("/")[2] for source in store.sources):
        np.save(folder / "W2V" / f"{name}.npy", rng.normal(size=(149, 12)).astype(np.float32))
        np.save(folder / "CLIP" / f"{name}.npy", rng.normal(size=(FRAMES, 16)).astype(np.float32))
        rows = "".join(
            f"{k + 1}, 0, {k / RATE:.3f}, 0.98, {int(k % 9 > 0)}, 0.50, 1.25, 0.1, 900\n"
            for k in range(FRAMES)
        )
        (folder / "OPENFACE" / f"{name}.csv").write_text(OPENFACE + rows)
    return folder


def page_commands():
    for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        for line in block.splitlines():
            yield shlex.split(line)[1:]


def quick(words):
    """The same training with a small network and one epoch."""
    if words[0] != "train":
        return words
    sizes = SMALL["paper" if words[1].startswith("paper") else "default"]
    changes = [*sizes, "teacher.epochs=1", "student.epochs=1"]
    return [*words, *(f"--set={change}" for change in changes)]


@pytest.fixture(scope="module")
def page(place):
    """Every command of the page, run in order, and what it printed."""
    told = {}
    for words in page_commands():
        done = triaffect(*quick(words), cwd=place)
        assert done.returncode == 0, (words, done.stderr)
        told[" ".join(words[:4])] = done.stdout
    return told


@pytest.mark.slow
def test_the_page_runs_as_written(page, place):
    joined = [told for words, told in page.items() if words.startswith("join")]
    assert len(joined) == 3
    assert "12 values a row: joined 4 sources (596 rows, 0 more" in joined[0]
    assert "100.0 % of 1440 labelled moments have a row" in joined[1]
    assert "3 values a row: joined 4 sources (320 rows, 40 more" in joined[2]
    assert (place / "scores.json").is_file()


def test_a_run_with_external_features_says_which_it_needs(page, place):
    (message,) = (text for words, text in page.items() if words.startswith("train default"))
    assert re.search(r"model: +RUN/model", message)
    sound = place / "sound.wav"
    write_sound(sound, np.zeros(32_000, np.float32))
    for model in ("RUN", "RUN/model"):
        done = triaffect("predict", sound, "-o", "x.csv", "--model", model, cwd=place)
        assert_mistake(done, "features of other programs (clip, w2v, openface)")


def assert_mistake(done, message):
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["STORE", "CLIP", "--name", "clip2"], "expected --rate or --per-frame, got neither"),
        (["STORE", "CLIP", "--name", "a", "--rate", "5", "--per-frame"], "got both"),
        (["STORE", "CLIP", "--name", "face", "--per-frame"], "other than face and voice"),
        (["STORE", "CLIP", "--name", "../up", "--per-frame"], "got '../up'"),
        (["STORE", "CLIP", "--name", "a", "--rate", "0"], "rows a second above 0"),
        (["NONE", "CLIP", "--name", "a", "--per-frame"], "no such folder"),
        (["STORE", "NONE", "--name", "a", "--per-frame"], "got no such"),
        (["STORE", "STORE", "--name", "a", "--per-frame"], "features of at least one of 4"),
        (["STORE", "CLIP", "--name", "w2v", "--per-frame"], "or --replace"),
        (["STORE", "OPENFACE", "--name", "b", "--per-frame"], "--columns"),
        (["STORE", "OPENFACE", "--name", "c", "--per-frame", "--columns", "AU99_r"], "AU01_r"),
        (["STORE", "CLIP", "--name", "d", "--per-frame", "--columns", "x"], "got an array"),
    ],
)
def test_mistakes_end_in_one_line_and_code_2(page, place, arguments, message, monkeypatch, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setattr("sys.argv", ["triaffect", "join", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_what_was_not_joined_is_named(page, place, tmp_path):
    np.save(tmp_path / "v00.npy", np.zeros((5, 2)))
    (tmp_path / "v01.npy").write_bytes(b"broken")
    np.save(tmp_path / "stranger.npy", np.zeros((5, 2)))
    done = triaffect("join", "STORE", tmp_path, "--name", "some", "--per-frame", cwd=place)
    assert done.returncode == 1
    assert "made/v01 is left out" in done.stderr
    assert "2 sources without features: made/v02, made/v03" in done.stderr
    assert "1 files or names without a source: stranger.npy" in done.stderr
    assert done.stdout.count("\n") == 1
    (tmp_path / "v01.npy").unlink()
    done = triaffect("join", "STORE", tmp_path, "--name", "some", "--per-frame", cwd=place)
    assert done.returncode == 0, "what has no features is no failure"
