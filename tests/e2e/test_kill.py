"""Killed at any moment, or out of room, and begun again: the end is the same to the bit."""

import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.kills import (
    contents,
    differences,
    do_killed,
    do_limited,
    do_whole,
    export_work,
    made_extract,
    made_generations,
    made_train,
    warm_up,
)
from tests.prediction.tiny_model import write_tiny_model
from tests.training.recipes import small
from tests.training.stores import made_store
from triaffect.errors import RunError
from triaffect.training.run_folder import exclusive_lock
from triaffect.training.trainer import train

MAKE = {
    "extraction": (made_extract, 10, "face.bin"),
    "training": (made_train, 6, "stages/teacher/best.safetensors"),
}
GENERATIONS = ("emenet", "deng2020_incomplete", "music2emo")


@pytest.fixture(scope="module", params=MAKE)
def done(request, tmp_path_factory):
    """Work, how it ends when nobody interrupts it, how often to kill it, and a large file."""
    root = tmp_path_factory.mktemp(request.param)
    make, kills, file = MAKE[request.param]
    work = make(root)
    warm_up()
    return work, do_whole(work, root / "whole"), kills, file


def test_killed_work_ends_as_work_that_was_not(done, tmp_path):
    work, whole, kills, _ = done
    tally = do_killed(work, tmp_path, whole, kills, seed=1)
    assert tally.wrong == []
    assert tally.kills >= kills
    assert [name for name in whole.content if name.endswith(".part") or "/." in name] == []


@pytest.mark.parametrize("name", GENERATIONS)
def test_killed_generations_of_students_end_as_those_that_were_not(name, tmp_path):
    """Kills fall into members, ensembles, teachers of a corpus each, and between.

    All is the same to the bit.
    """
    work = made_generations(name, tmp_path)
    warm_up()
    whole = do_whole(work, tmp_path / "whole")
    assert "scores.json" in whole.content
    stages = {file.split("/")[1] for file in whole.content if file.startswith("stages/")}
    assert name == "music2emo" or any(f"{stage}_1" in stages for stage in stages), "ensembles"
    assert len(stages) >= 3, "teachers and what they teach"
    tally = do_killed(work, tmp_path, whole, 4, seed=2)
    assert tally.wrong == []
    assert tally.kills >= 4


def test_work_without_room_says_so_and_goes_on_later(done, tmp_path):
    work, whole, _, file = done
    folder = tmp_path / "run"
    told = do_limited(work, folder, len(whole.content[file]) - 1)
    assert told.startswith(f"2 {folder}")
    assert "File too large" in told
    assert "what was finished is kept" in told
    assert "\n" not in told
    assert list(folder.rglob("*.part")) == []
    assert do_limited(work, folder, 2**40) == "0 "
    assert differences(whole.content, contents(folder)) == []


def test_an_export_without_room_keeps_the_model_that_was_there(tmp_path):
    """Whether the first file has no room or a later one."""
    store, run = made_store(tmp_path / "store", videos=4, frames=60), tmp_path / "run"
    train(small("default", "data.batch_size=32"), store, run)
    export, model = partial(export_work, store.path), run / "model"
    assert do_limited(export, run, 2**40) == "0 "
    whole = contents(run)
    shutil.rmtree(model)
    write_tiny_model(model)
    before = contents(run)
    sizes = {len(content) for name, content in whole.items() if name.startswith("model/")}
    assert len(sizes) == 4
    for size in sizes:
        told = do_limited(export, run, size - 1)
        assert told.startswith(f"2 {model}: expected a file that can be written, got File too")
        assert differences(before, contents(run)) == []
    assert do_limited(export, run, 2**40) == "0 "
    assert differences(whole, contents(run)) == []


def test_a_run_folder_is_one_process_s(tmp_path):
    hold = (
        "import sys, time; from pathlib import Path; "
        "from triaffect.training.run_folder import exclusive_lock\n"
        "with exclusive_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    folder = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", hold, folder], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match=f"{folder}: .*one in use"), exclusive_lock(folder):
            pass
        process.send_signal(signal.SIGKILL)
    with exclusive_lock(folder):
        pass


def test_what_a_killed_start_leaves_is_no_obstacle(tmp_path):
    for name in ("lock", "run.json.part", "initial.safetensors", "initial.safetensors.part"):
        (tmp_path / name).write_text("half")
    with exclusive_lock(tmp_path):
        pass
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="other files"), exclusive_lock(tmp_path):
        pass


def test_workers_end_with_a_parent_that_is_killed():
    code = (
        "import os, time\n"
        "from tests.e2e.kills import started\n"
        "from triaffect.io.workers import WorkerPool\n"
        "if __name__ == '__main__':\n"
        "    for number in WorkerPool(started, str).results(range(9), 2): print(number, flush=True)"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        worker = int(process.stdout.readline())
        process.kill()
    end = time.monotonic() + 20
    while _lives(worker) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _lives(worker)


def _lives(pid):
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
