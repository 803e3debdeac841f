"""Broken media by the handful, and that the script would notice what it looks for."""

import os
import random
import time

import numpy as np
import pyarrow as pa
import pytest

from tests.benchmarks.scripts import load
from triaffect.errors import MediaError

script = load("fuzz_media")


def test_two_dozen_broken_files_end_as_they_should(tmp_path):
    tally = script.fuzz(24, 1, tmp_path)
    assert tally.wrong == []
    assert tally.outcomes.total() == 24
    found = script.result(tally, 24, 1)
    assert sum(each["median"] for each in found["results"]) == 24


def test_the_same_seed_breaks_the_same(tmp_path):
    clip, other = bytes(range(256)) * 40, b"other" * 999
    one, again = (
        [script.broken(clip, [other], random.Random(k)) for k in range(200)] for _ in range(2)
    )
    assert one == again
    assert len({kind for kind, _ in one}) == 6
    assert all(content and content != clip for kind, content in one if kind in ("flips", "cut"))


@pytest.mark.parametrize(
    ("frames", "times", "told"),
    [
        ([[0, 0], [1]], [[0, 0], [0.1]], "whole"),
        ([[0, 1]], [[0.1, 0.1]], "wrong: times that do not rise"),
        ([[1], [0]], [[0], [0.1]], "wrong: times that do not rise"),
        ([[0]], [[np.nan]], "wrong: times that cannot be"),
        ([[0]], [[-1.0]], "wrong: times that cannot be"),
        ([], [], "wrong: a table without a row"),
    ],
)
def test_tables_that_cannot_be_are_noticed(frames, times, told):
    def tables(path):
        for number, time_s in zip(frames, times, strict=True):
            yield pa.table({"frame": number, "time_s": np.array(time_s, float)})

    assert script.tried(tables, None) == told


def test_errors_are_told_apart():
    def fails(error):
        def tables(path):
            raise error
            yield

        return tables

    assert script.tried(fails(MediaError("a", "b")), None) == "error"
    assert script.tried(fails(IndexError("off")), None) == "wrong: IndexError: off"


def stubborn(pipe, model):
    """Hang at one file, die at another, answer the rest."""
    pipe.send("ready")
    while True:
        name = pipe.recv()
        if name == "hang":
            time.sleep(60)
        if name == "die":
            os._exit(3)
        pipe.send(name)


def test_a_process_that_hangs_or_dies_is_noticed_and_started_again(tmp_path):
    watched = script.Watched(stubborn, tmp_path)
    told = [watched.outcome(name, 0.5) for name in ("one", "hang", "two", "die", "three")]
    watched.close()
    assert told == [
        "one", "wrong: no answer within 0.5 s", "two", "wrong: the process died with 3", "three",
    ]  # fmt: skip
