"""Names and places of files as users have them, through the command line: one line for each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.media.films_made import write_film
from triaffect.cli.app import main

FRAMES = 2
NAMES = (
    *("-dash.mp4", "new\nline.mp4", "tab\t.mp4", "a%03d.mp4", "a*.mp4", "[1].mp4", "{a,b}.mp4"),
    *("http:x.mp4", "webcam:0.mp4", "quote'\".mp4", "back\\slash.mp4", "$HOME.mp4", "~.mp4"),
    *(" .mp4", "a b.mp4", "a.mp4.mp4", "a.tar.mp4", "😀é.mp4", "e\u0301.mp4", "\u00e9.mp4"),
    *("#1.mp4", "a&b.mp4", "a;b.mp4", "<b>.mp4", "CON.mp4", "a" * 251 + ".mp4"),
)
SAME_STEM = ("a.mp4", "a.mov", "a.mkv", "A.mp4", "a.MP4", "a.m4v")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_film(tmp_path_factory.mktemp("film") / "a.mp4", sound=None, frames=FRAMES)


@pytest.fixture
def run(monkeypatch, capsys, model, tmp_path):
    """Run ``predict`` in an empty folder; gives exit code, table, problems, lines on stderr."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def call(*arguments):
        line = ["triaffect", "predict", *arguments, "-o", "../t.csv", "--model", str(model)]
        line += ["--jobs", "1"]
        monkeypatch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as done:
            main()
        table, problems = None, []
        if Path("../t.csv").exists():
            table = pd.read_csv("../t.csv", keep_default_na=False, usecols=["clip", "frame"])
            problems = json.loads(Path("../t.csv.meta.json").read_text())["problems"]
        lines = capsys.readouterr().err.splitlines()
        return done.value.code or 0, table, problems, lines

    return call


@pytest.mark.parametrize(("how", "names"), [("folder", NAMES), ("names", SAME_STEM)])
def test_every_name_has_its_own_rows_and_copy(run, film, names, how):
    for name in names:
        Path(name).write_bytes(film.read_bytes())
    inputs = ["."] if how == "folder" else [f"./{name}" for name in names]
    more = ["--annotate", "../copies"] if names == SAME_STEM else []
    code, table, problems, lines = run(*inputs, *more)
    assert (code, problems, lines) == (0, [], [])
    counts = table.groupby("clip").size()
    assert len(counts) == len(names)
    assert set(counts) == {FRAMES}
    assert set(counts.index) == set(names)
    assert not more or len(list(Path("../copies").iterdir())) == len(names)


def test_places_that_hold_no_film_are_named_and_end_nothing(run, film):
    Path("film.mp4").write_bytes(film.read_bytes())
    Path("folder.mp4").mkdir()
    Path("folder.mp4/inner.mp4").symlink_to("../film.mp4")
    Path("again").symlink_to(".")
    os.mkfifo("pipe.mp4")
    Path("loop.mp4").symlink_to("loop.mp4")
    Path("nowhere.mp4").symlink_to("gone")
    Path("empty.mp4").touch()
    Path("link.mp4").symlink_to("film.mp4")
    os.link("film.mp4", "hard.mp4")
    code, table, problems, lines = run(".")
    assert code == 1
    read = ["film.mp4", "folder.mp4/inner.mp4", "hard.mp4", "link.mp4"]
    assert sorted(table["clip"].unique()) == read
    said = {
        each["clip"]: (each["state"], each["problem"].partition("got ")[2]) for each in problems
    }
    assert said == {
        "pipe.mp4": ("failed", "something that is not a file; give the file itself"),
        "loop.mp4": ("failed", "no such file; check the path"),
        "nowhere.mp4": ("failed", "no such file; check the path"),
        "empty.mp4": ("failed", "zero bytes; copy or record it again"),
    }
    assert all(line.startswith("triaffect: ") for line in lines)
    assert len(lines) == 5


def test_a_film_deep_down(run, film):
    """In folders whose path is longer than a name may be, and nearly as long as a path may be."""
    here = Path.cwd()
    for _ in range(14):
        folder = Path("d" * 240)
        folder.mkdir()
        os.chdir(folder)
    Path("a.mp4").write_bytes(film.read_bytes())
    os.chdir(here)
    code, table, _, lines = run(".")
    assert (code, lines) == (0, [])
    assert len(table) == FRAMES
    assert len(table["clip"][0]) > 3000


def test_a_film_that_is_there_no_more_when_its_turn_comes(run, film, monkeypatch):
    from triaffect.prediction.inputs import InputOptions  # noqa: PLC0415 - patched here

    for name in ("a.mp4", "b.mp4"):
        Path(name).write_bytes(film.read_bytes())
    open_input = InputOptions.open

    def vanishing(self, path):
        Path("b.mp4").unlink(missing_ok=True)
        return open_input(self, path)

    monkeypatch.setattr(InputOptions, "open", vanishing)
    code, table, problems, _ = run("a.mp4", "b.mp4")
    assert code == 1
    assert table["clip"].unique().tolist() == ["a.mp4"]
    assert [(each["clip"], each["state"]) for each in problems] == [("b.mp4", "failed")]


def test_libraries_say_nothing_of_their_own(model, tmp_path, film):
    """OpenCV, libtiff, libpng and FFmpeg would: every line is one of ours, once a file."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8))
    noise.save(tmp_path / "a.tiff", compression="zstd")
    Image.fromarray(np.asarray(noise)[..., 0].astype(np.float32)).save(tmp_path / "b.tiff")
    for name in ("c.png", "d.jpg", "e.webp", "f.bmp", "g.gif", "h.jp2"):
        noise.save(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    for name, share in (("i.mp4", 0.4), ("j.mkv", 0.7)):
        content = write_film(tmp_path / name, frames=9).read_bytes()
        (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    command = [sys.executable, "-m", "triaffect", "predict", ".", "-o", "t.csv", "--jobs", "1"]
    done = subprocess.run(
        [*command, "--model", str(model)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    lines = done.stderr.splitlines()
    assert [line for line in lines if not line.startswith("triaffect: ")] == []
    assert len(lines) == len(set(lines))
    for name in (
        "a.tiff",
        "b.tiff",
        "c.png",
        "d.jpg",
        "e.webp",
        "f.bmp",
        "g.gif",
        "h.jp2",
        "i.mp4",
    ):
        assert sum(name in line for line in lines) == 1, name
