"""Ctrl-C in the middle of `triaffect predict`: rows kept and marked, and the rest done later."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from tests.prediction.tiny_model import tone, write_clip, write_sound, write_tiny_model


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Three files, the second of them long, and a model."""
    folder = tmp_path_factory.mktemp("interrupted")
    write_sound(folder / "a.wav", tone(1.0))
    write_clip(folder / "b.mp4", 700, sound=False)
    write_sound(folder / "c.wav", tone(1.0))
    write_tiny_model(folder / "model")
    return folder


HEEDING = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("triaffect", run_name="__main__", alter_sys=True)
"""
"""The command, though the tests run where Ctrl-C is ignored, as in the background of a script."""


def start(place, output, jobs):
    command = [sys.executable, "-c", HEEDING, "predict", "a.wav", "b.mp4", "c.wav"]
    return subprocess.Popen(
        [*command, "-o", output, "--model", "model", "--jobs", str(jobs)],
        cwd=place,
        start_new_session=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def interrupt(place, output, jobs, wait_s):
    """Press Ctrl-C some time after the long file was begun; gives what was told on stderr."""
    process, parts = start(place, output, jobs), place / f"{output}.parts"
    others = 0
    while others < jobs or not list(parts.glob(".*.begun.parquet.*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
        others = sum("begun" not in path.name for path in parts.glob("*.parquet"))
    time.sleep(wait_s)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130, told
    return told


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_keeps_and_marks_what_was_done_and_the_same_command_goes_on(place, jobs):
    output, rows = f"t{jobs}.csv", 0
    partial = place / f"t{jobs}.partial.csv"
    for attempt in range(8):
        told = interrupt(place, output, jobs, 0.5 * 2**attempt)
        so_far = pd.read_csv(partial)
        rows = (so_far["clip"] == "b.mp4").sum()
        if rows:
            break
    assert "Traceback" not in told
    assert told.splitlines() == [
        f"triaffect: {len(so_far)} rows so far are in {partial.name}",
        "triaffect: interrupted; what was finished is kept",
    ]
    assert not (place / output).exists()
    meta = json.loads(partial.with_name(partial.name + ".meta.json").read_text())
    states = {each["clip"]: (each["state"], each["rows"]) for each in meta["problems"]}
    assert states["b.mp4"] == ("interrupted", rows)
    assert set(states) == ({"b.mp4", "c.wav"} if jobs == 1 else {"b.mp4"})
    again = start(place, output, jobs)
    _, told = again.communicate(timeout=300)
    assert (again.returncode, told) == (0, "")
    whole = pd.read_csv(place / output)
    assert whole["clip"].drop_duplicates().tolist() == ["a.wav", "b.mp4", "c.wav"]
    pd.testing.assert_frame_equal(
        whole[whole["clip"] == "b.mp4"][:rows].reset_index(drop=True),
        so_far[so_far["clip"] == "b.mp4"].reset_index(drop=True),
    )
    assert {path.name for path in place.glob(f"t{jobs}.*")} == {output, f"{output}.meta.json"}
