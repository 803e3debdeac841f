"""The commands themselves, killed with all their processes and given again."""

import errno
import io
import os
import random
import sys
import time

import pandas as pd
import pytest

from tests.e2e.kills import RECIPE, contents, differences, kill_command
from tests.features.made_corpus import write_sound
from tests.features.stored import FACE, VOICE, fill
from tests.training.recipes import SMALL, small
from tests.training.stores import made_store
from triaffect.cli.app import main
from triaffect.errors import DiskError
from triaffect.features.model_folder import load_model_folder
from triaffect.features.store_writer import StoreWriter
from triaffect.training.trainer import train

TRIAFFECT = (sys.executable, "-m", "triaffect")


def make_sounds(root):
    rows = []
    for k in range(30):
        write_sound(root / f"{k}.wav", 4.0)
        place = {"clip": f"{k}.wav", "time_s": 1.0, "split": "train", "person": str(k)}
        rows.append(place | {"valence": k / 30, "arousal": 0.5})
    pd.DataFrame(rows).to_csv(root / "labels.csv", index=False)


def extraction(root, out):
    voice = ("--face", "none", "--voice", "logmel64", "--jobs", "2")
    return [*TRIAFFECT, "extract", str(root), "--output", str(out), *voice]


def make_store(root):
    made_store(root / "store", videos=4, frames=60)


def training(root, out):
    sizes = (*SMALL["default"], *RECIPE[1:])
    changes = [word for change in sizes for word in ("--set", change)]
    store = ("--store", str(root / "store"), "--output", str(out), "--resume", "--threads", "1")
    return [*TRIAFFECT, "train", "default", *store, *changes]


@pytest.mark.parametrize(("make", "command"), [(make_sounds, extraction), (make_store, training)])
def test_a_killed_command_ends_as_one_that_was_not(make, command, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    make(data)
    start = time.monotonic()
    assert kill_command(command(data, tmp_path / "whole"), 300) == 0
    seconds, rng = time.monotonic() - start, random.Random(2)
    again = command(data, tmp_path / "killed")
    ends = [kill_command(again, rng.uniform(0.15, 0.5) * seconds) for _ in range(2)]
    assert None in ends
    assert kill_command(again, 300) == 0
    whole, killed = contents(tmp_path / "whole"), contents(tmp_path / "killed")
    assert differences(whole, killed) == []


def test_a_finished_run_exports_what_is_missing(tmp_path, monkeypatch):
    make_store(tmp_path)
    command = training(tmp_path, tmp_path / "run")[3:]
    monkeypatch.setattr(sys, "argv", ["triaffect", *command])
    with pytest.raises(SystemExit, match="0"):
        main()
    before = contents(tmp_path / "run")
    model = tmp_path / "run" / "model"
    model.rename(model.with_name(".model.old"))  # as a kill between the two renames leaves it
    (tmp_path / "run" / "scores.json").unlink()
    with pytest.raises(SystemExit, match="0"):
        main()
    assert differences(before, contents(tmp_path / "run")) == []
    load_model_folder(model)


@pytest.fixture
def read_only(monkeypatch):
    """Every file and folder refuses to be written; root could write whatever the modes say."""

    def refuse(path):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    def opened(file, mode="r", *more, open_=io.open, **named):
        return refuse(file) if set(mode) & set("wax+") else open_(file, mode, *more, **named)

    def opened_by_number(path, flags, *more, open_=os.open, **named):
        return refuse(path) if flags & os.O_CREAT else open_(path, flags, *more, **named)

    def begin():
        monkeypatch.setattr(io, "open", opened)
        monkeypatch.setattr(os, "open", opened_by_number)
        monkeypatch.setattr(os, "mkdir", lambda path, *_: refuse(path))

    return begin


def test_a_read_only_place_is_told_in_one_line(tmp_path, read_only, monkeypatch, capsys):
    make_store(tmp_path)
    command = training(tmp_path, tmp_path / "run")[3:]
    with StoreWriter.create_or_resume(tmp_path / "extracted", FACE, VOICE) as writer:
        fill(writer, "ab")
    read_only()
    monkeypatch.setattr(sys, "argv", ["triaffect", *command])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 2
    assert told.startswith(f"triaffect: {tmp_path / 'run'}: ")
    assert "Read-only file system" in told
    with pytest.raises(DiskError, match=r"extracted/lock: .*Read-only"):
        StoreWriter.create_or_resume(tmp_path / "extracted", FACE, VOICE)


def test_a_journal_without_room_loses_nothing(tmp_path):
    store = made_store(tmp_path / "store", videos=4, frames=60)
    recipe = small("default", "data.batch_size=32")
    whole = train(recipe, store, tmp_path / "whole")
    (tmp_path / "run").mkdir()
    journal, written = tmp_path / "run" / "journal.jsonl", tmp_path / "written.jsonl"

    def fill_up(*_):
        if not journal.is_symlink():
            if journal.exists():
                journal.rename(written)
            journal.symlink_to("/dev/full")

    with pytest.raises(DiskError, match=r"journal\.jsonl: .*No space left on device"):
        train(recipe, store, tmp_path / "run", report=fill_up, checkpoint_every_s=0)
    journal.unlink()
    if written.exists():
        written.rename(journal)
    train(recipe, store, tmp_path / "run", resume=True)
    assert differences(contents(whole.root), contents(tmp_path / "run")) == []
