"""Prediction on a Ray cluster: the same table, whatever happens to its processes and nodes."""

import os
import shutil
import signal
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest

import triaffect
from tests.io.two_nodes import (
    LONG_S,
    NOT_THERE,
    leftovers,
    meanwhile,
    own_temporary_files,
    two_nodes,
    until,
)
from tests.prediction.tiny_model import tone, write_clip, write_sound
from triaffect.cli import app
from triaffect.errors import MediaError, TriaffectError
from triaffect.io import cluster
from triaffect.io.cluster import MOST_TRIES, Finished, NodeWorker, Piece, RayCluster
from triaffect.prediction.batch import predict_files
from triaffect.prediction.inputs import InputOptions, input_size
from triaffect.prediction.parts import PredictionJob, PredictionWork


@dataclass(frozen=True)
class LoggedInputs(InputOptions):
    """Writes down who computes what; some files wait until there is a file ``go``, or crash."""

    log: Path = Path()
    waits: tuple[str, ...] = ()
    crashes: tuple[str, ...] = ()

    @contextmanager
    def open(self, path):
        ray = pytest.importorskip("ray")
        with self.log.open("a") as stream:
            stream.write(f"{path.name} {os.getpid()} {ray.get_runtime_context().get_node_id()}\n")
        if path.name in self.crashes:
            os.kill(os.getpid(), signal.SIGKILL)
        until = time.monotonic() + LONG_S
        while path.name in self.waits and not self.go.exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        with super().open(path) as source:
            yield source

    @property
    def go(self):
        return self.log.with_name("go")

    def begun(self):
        return [line.split() for line in self.log.read_text().splitlines()]

    def times(self):
        return Counter(name for name, _, _ in self.begun())


@pytest.fixture(scope="module", autouse=True)
def apart():
    with own_temporary_files():
        yield


@pytest.fixture(scope="module")
def nodes():
    with two_nodes() as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five files, of which one is broken, one cut off, and a name of one that is missing."""
    folder = tmp_path_factory.mktemp("files")
    for k in range(3):
        write_sound(folder / f"{k}.wav", tone(1.0 + k / 2))
    write_clip(folder / "clip.mp4", 6)
    (folder / "bad.mp4").write_bytes(b"nothing")
    return folder


NAMES = ("2.wav", "bad.mp4", "clip.mp4", "0.wav", "missing.mp4", "1.wav")


@pytest.fixture(scope="module")
def one(model, folder, tmp_path_factory):
    """The table that this process makes, and what became of the files."""
    output = tmp_path_factory.mktemp("one") / "one.csv"
    files = [folder / name for name in NAMES]
    return output, predict_files(files, PredictionJob(output, model))


def words(results):
    return [(r.path.name, r.rows, r.state, str(r.error), r.problem) for r in results]


def test_the_table_is_that_of_one_process_and_so_are_failures(nodes, model, folder, one, tmp_path):
    inputs = LoggedInputs(log=tmp_path / "log")
    job, progress = PredictionJob(tmp_path / "t.csv", model, inputs=inputs), []
    files, engine = [folder / name for name in NAMES], RayCluster(nodes.address)
    results = predict_files(
        files, job, engine=engine, progress=lambda done, name: progress.append((done, name))
    )
    assert (tmp_path / "t.csv").read_bytes() == one[0].read_bytes()
    assert words(results) == words(one[1])
    assert progress == list(enumerate(NAMES, 1))
    assert inputs.times() == Counter(NAMES)
    assert {path.suffix for path in job.parts.iterdir()} == {".parquet"}
    predict_files(files, job, engine=engine)
    assert inputs.times() == Counter([*NAMES, "bad.mp4", "missing.mp4"])
    assert (tmp_path / "t.csv").read_bytes() == one[0].read_bytes()


def test_the_command_names_files_as_they_were_named_here(
    nodes, model, folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(folder)
    expected = tmp_path / "one.csv"
    predict_files([Path("clip.mp4")], PredictionJob(expected, model))
    output = tmp_path / "t.csv"
    command = ["predict", "clip.mp4", "-o", str(output), "--model", str(model)]
    engine = ["--engine", "ray", "--ray-address", nodes.address]
    app.app([*command, *engine], standalone_mode=False)
    assert output.read_bytes() == expected.read_bytes()
    assert "from 1 file" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {
        *("one.csv", "one.csv.meta.json", "t.csv", "t.csv.meta.json"),
    }


def test_what_a_killed_worker_had_is_done_again_and_nothing_else(
    nodes, model, folder, one, tmp_path
):
    inputs = LoggedInputs(log=tmp_path / "log", waits=("2.wav", "clip.mp4"))

    def kill():
        until(lambda: inputs.log.exists() and {"2.wav", "clip.mp4"} <= inputs.times().keys())
        (victim,) = (int(pid) for name, pid, _ in inputs.begun() if name == "clip.mp4")
        os.kill(victim, signal.SIGKILL)
        until(lambda: inputs.times()["clip.mp4"] == 2)
        inputs.go.touch()

    job = PredictionJob(tmp_path / "t.csv", model, inputs=inputs)
    with meanwhile(kill):
        results = predict_files(
            [folder / name for name in NAMES], job, engine=RayCluster(nodes.address)
        )
    assert words(results) == words(one[1])
    assert inputs.times() == Counter([*NAMES, "clip.mp4"])
    assert (tmp_path / "t.csv").read_bytes() == one[0].read_bytes()


def test_what_a_removed_node_had_is_done_again_and_nothing_else(
    nodes, model, folder, one, tmp_path
):
    inputs = LoggedInputs(log=tmp_path / "log", waits=("2.wav", "clip.mp4"))
    (victim,) = nodes.worker_nodes
    lost = []

    def remove():
        until(lambda: inputs.log.exists() and {"2.wav", "clip.mp4"} <= inputs.times().keys())
        waiting = [each for each in inputs.begun() if each[0] in inputs.waits]
        ((name, worker),) = (each[:2] for each in waiting if each[2] == victim.node_id)
        lost.append(name)
        nodes.remove_node(victim, allow_graceful=False)
        until(lambda: not cluster._lives(int(worker)))
        inputs.go.touch()

    job = PredictionJob(tmp_path / "t.csv", model, inputs=inputs)
    try:
        with meanwhile(remove):
            results = predict_files(
                [folder / name for name in NAMES], job, engine=RayCluster(nodes.address)
            )
    finally:
        nodes.add_node(num_cpus=1)
        cluster._sweep()  # as the next worker on that machine does
    assert words(results) == words(one[1])
    assert inputs.times() == Counter([*NAMES, *lost])
    assert (tmp_path / "t.csv").read_bytes() == one[0].read_bytes()


def test_a_file_that_kills_its_process_stops_no_other(nodes, model, folder, tmp_path):
    inputs = LoggedInputs(log=tmp_path / "log", crashes=("1.wav",))
    files = [folder / "1.wav", folder / "0.wav"]
    job = PredictionJob(tmp_path / "t.csv", model, inputs=inputs)
    results = predict_files(files, job, engine=RayCluster(nodes.address))
    assert "the process died of it" in str(results[0].error)
    assert results[1].error is None
    assert inputs.times() == Counter({"1.wav": MOST_TRIES, "0.wav": 1})
    assert pd.read_csv(tmp_path / "t.csv")["clip"].unique().tolist() == [str(files[1])]


def test_python_programs_use_a_cluster_too(nodes, model, folder):
    paths = [folder / "clip.mp4", folder / "0.wav"]
    engine = triaffect.RayCluster(nodes.address)
    table = triaffect.predict(paths, model=model, engine=engine)
    pd.testing.assert_frame_equal(table, triaffect.predict(paths, model=model))
    with pytest.raises(MediaError, match=r"bad\.mp4"):
        triaffect.predict(folder / "bad.mp4", model=model, engine=engine)
    with pytest.raises(MediaError, match=r"^engine: expected files"):
        triaffect.predict(b"RIFF", model=model, engine=engine)


@pytest.mark.parametrize("versions", [("2.0.0", None), (None, "3.99.1")])
def test_another_ray_or_python_is_refused_in_one_line(
    nodes, model, folder, tmp_path, monkeypatch, versions
):
    utils = pytest.importorskip("ray._private.utils", reason=NOT_THERE)
    mine = [other or own for other, own in zip(versions, utils.compute_version_info(), strict=True)]
    monkeypatch.setattr(utils, "compute_version_info", lambda: tuple(mine))
    job = PredictionJob(tmp_path / "t.csv", model)
    with pytest.raises(TriaffectError, match="the same Ray and Python on every") as caught:
        predict_files([folder / "0.wav"], job, engine=RayCluster(nodes.address))
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in mine)
    assert not job.output.exists()


def test_another_triaffect_is_refused_in_one_line(nodes, model, folder, tmp_path, monkeypatch):
    mine = {"triaffect": "9.9"}
    monkeypatch.setattr(cluster, "version", lambda package: mine.get(package, version(package)))
    with pytest.raises(TriaffectError, match=r"^the machine .* expected triaffect 9\.9, got"):
        predict_files(
            [folder / "0.wav"],
            PredictionJob(tmp_path / "t.csv", model),
            engine=RayCluster(nodes.address),
        )
    assert not (tmp_path / "t.csv").exists()


def test_a_node_needs_the_files_alone_and_the_same_ones(model, folder, tmp_path):
    mine = shutil.copytree(model, tmp_path / "model")
    path = Path(shutil.copy(folder / "0.wav", tmp_path / "a.wav"))
    work = PredictionWork(
        PredictionJob(tmp_path / "t.csv", mine), {path: input_size(path)}, names={path: "a.parquet"}
    )
    parcel = cluster.pack(work)
    shutil.rmtree(mine)
    worker = NodeWorker(parcel)
    *pieces, last = worker.messages((path,))
    assert all(isinstance(piece, Piece) for piece in pieces)
    assert {piece.name for piece in pieces} == {"a.parquet"}
    assert isinstance(last, Finished)
    assert last.result[0].rows > 0
    path.write_bytes(path.read_bytes() + b"more")
    (last,) = worker.messages((path,))
    assert "bytes on the machine" in str(last.result[0].error)
    path.unlink()
    (last,) = worker.messages((path,))
    assert "got no such file on the machine" in str(last.result[0].error)
    assert not leftovers()


def test_a_webcam_stays_here(model, tmp_path):
    job = PredictionJob(tmp_path / "t.csv", model)
    with pytest.raises(MediaError, match="leave --engine out"):
        predict_files([Path("webcam:0")], job, engine=RayCluster())
