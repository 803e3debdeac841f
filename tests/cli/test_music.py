"""Corpora of music from their labels to a store, as their page says it, on made files."""

import json
import re
import shlex
import sys

import numpy as np
import pytest

from tests.architecture.repository import ROOT
from tests.corpora.music.made import deam, jamendo, packed, pmemo, write
from triaffect.cli.app import main
from triaffect.features.store import FeatureStore
from triaffect.tasks import registry

PAGE = ROOT / "docs" / "how-to" / "use-music.md"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a reader of the page would be, and no tasks loaded by other tests."""
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch, *words):
    """Run a command in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["triaffect", *map(str, words)])
    with pytest.raises(SystemExit) as ending:
        main()
    return ending.value.code or 0


def page_commands():
    for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        for line in block.splitlines():
            yield shlex.split(line)[1:]


def quick(words):
    """The same command with one worker, or with a small network and one epoch a stage."""
    if words[0] == "extract":
        return [*words, "--jobs", "1"]
    sizes = ("net.hidden=8", "net.branch=8", "teacher.epochs=1", "student.epochs=1")
    return [*words, *(f"--set={size}" for size in sizes)] if words[0] == "train" else words


def make_features(store, width=12):
    """A row for each song of a store that says something of its labels."""
    rng = np.random.default_rng(0)
    for row in store.moments.table.to_pylist():
        vector = rng.normal(size=(1, width))
        vector[0, :2] += [row["valence"] or 0, row["tag_happy"] or 0]
        path = f"MERT/{row['source']}.npy"
        write(store.path.parent / path, "")
        np.save(store.path.parent / path, vector.astype(np.float32))


def test_the_page_runs_as_written(folder, monkeypatch, capsys):
    deam(folder / "DEAM", songs=tuple(range(2, 32)))
    pmemo(folder / "PMEmo2019", songs=tuple(range(1, 31)))
    jamendo(folder / "mtg-jamendo-dataset", tracks=6)
    for words in page_commands():
        if words[0] == "join":
            make_features(FeatureStore.open(folder / "STORE"))
        assert run(monkeypatch, *quick(words)) == 0, words
    output = capsys.readouterr().out
    assert "100.0 % of 78 labelled moments have a row" in output
    assert "pr_auc" in output
    description = json.loads((folder / "RUN" / "run.json").read_text())
    assert set(description["recipe"]["stages"]) == {
        *(f"teacher_{corpus}" for corpus in ("deam", "pmemo", "mtg_jamendo")),
        "student",
    }
    store = FeatureStore.open(folder / "STORE")
    splits = store.moments.table.group_by(["label_set", "split"]).aggregate([([], "count_all")])
    assert len(splits) == 6
    half = FeatureStore.open(folder / "HALF_SECONDS")
    assert {source.partition("/")[0] for source in half.sources} == {
        "pmemo_dynamic",
        "deam_dynamic",
    }


def test_the_table_computed_from_the_ratings_is_neither_labels_nor_features(
    folder, monkeypatch, capsys
):
    packed(folder / "deam")
    table = write(folder / "deam" / "meta" / "mood_probabilities.csv", "song_id,clip\n1,1\n")
    plain = ("--face", "none", "--voice", "none", "--jobs", "1")
    assert run(monkeypatch, "extract", "deam", "-o", "STORE", *plain) == 0
    assert "warning: deam/meta/mood_probabilities.csv" in capsys.readouterr().err
    for words in (
        ("extract", table, "-o", "OTHER", *plain),
        ("extract", "deam", "-o", "OTHER", *plain, "--labels-from", f"openface={table}"),
        ("join", "STORE", table, "--name", "moods", "--rate", "1"),
    ):
        assert run(monkeypatch, *words) == 2
        error = capsys.readouterr().err
        assert "which is computed from the songs' ratings" in error
        assert error.count("\n") == 1
