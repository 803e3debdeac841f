"""Comparing on a Ray cluster: the runs of one machine, whatever happens to its processes."""

import json
import os
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from tests.e2e.kills import contents
from tests.evaluation.comparisons import recipe_files
from tests.io.two_nodes import LONG_S, leftovers, meanwhile, own_temporary_files, two_nodes, until
from tests.training.stores import made_store
from triaffect.cli import app
from triaffect.errors import StoreError, TriaffectError
from triaffect.evaluation.comparison import runs as compared_runs
from triaffect.evaluation.comparison.common_rows import common_rows
from triaffect.evaluation.comparison.runs import ComparisonSettings, RunJob, RunWorkload, run_jobs
from triaffect.evaluation.comparison.systems import find_entries
from triaffect.features.store import FeatureStore
from triaffect.io import cluster
from triaffect.io.cluster import MOST_TRIES, Finished, NodeWorker, RayCluster
from triaffect.training.run_folder import InitialWeights, exclusive_lock, is_finished

SEEDS = range(2)


@dataclass(frozen=True)
class LoggedWorkload(RunWorkload):
    """Writes down who trains what; some runs wait until there is a file ``go``, or crash."""

    log: Path = Path()
    waits: str = ""
    crashes: str = ""

    def job_here(self, job, store):
        name = f"{job.entry}-{job.seed}"
        with self.log.open("a") as stream:
            stream.write(f"{name} {os.getpid()}\n")
        if name == self.crashes:
            os.kill(os.getpid(), signal.SIGKILL)
        end = time.monotonic() + LONG_S
        while name == self.waits and not self.log.with_name("go").exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        return super().job_here(job, store)

    @property
    def begun(self):
        return [line.split() for line in self.log.read_text().splitlines()]

    @property
    def times(self):
        return Counter(name for name, _ in self.begun)


@pytest.fixture(scope="module", autouse=True)
def apart():
    with own_temporary_files():
        yield


@pytest.fixture(scope="module")
def nodes():
    with two_nodes() as made:
        yield made


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store, recipe files, and what one process says of both recipes."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("compare")
    made_store(folder / "store", videos=8, frames=50)
    files = recipe_files(folder / "recipes")
    jobs, settings = work(folder, files, folder / "one")
    return folder, files, list(run_jobs(jobs, settings))


def work(folder, files, out):
    """Jobs of both recipes that write below a folder, and what they have in common."""
    store = FeatureStore.open(folder / "store")
    entries = find_entries([files["plain"], files["taught"]], store, out, SEEDS)
    common, _ = common_rows(entries, store, "test")
    jobs = [RunJob(e.name, seed, e.recipe, e.runs[seed]) for e in entries for seed in SEEDS]
    return jobs, ComparisonSettings(folder / "store", common)


def said(outcomes):
    """What runs say of the videos, and what is wrong with them; without seconds."""
    found = []
    for each in outcomes:
        stages = {
            name: ({key: v.tobytes() for key, v in s.statistics.items()}, s.parameters, s.epochs)
            for name, s in each.stages.items()
        }
        found.append((each.job.entry, each.job.seed, stages, each.error))
    return found


def same_runs(folder, out):
    """Whether runs are to the bit those of one process."""
    one, other = contents(folder / "one"), contents(out)
    for runs in (one, other):
        for name in [
            name for name in runs if name.endswith(("journal.jsonl", "point.safetensors"))
        ]:
            del runs[name]  # they hold seconds; of the folder of a run `contents` leaves them out
    assert one == other
    for run in (folder / "one").glob("*/seed-*"):
        assert contents(run) == contents(out / run.relative_to(folder / "one"))


def logged(monkeypatch, tmp_path, **how):
    """What a cluster does from now on; logged."""

    def for_cluster(settings, jobs):
        plain = RunWorkload.for_cluster(settings, jobs)
        return LoggedWorkload(plain.settings, data=plain.data, log=tmp_path / "log", **how)

    made = LoggedWorkload(ComparisonSettings(Path(), None), log=tmp_path / "log", **how)
    double = type("Double", (), {"__new__": lambda _, *args: RunWorkload(*args)})
    double.for_cluster = staticmethod(for_cluster)
    monkeypatch.setattr(compared_runs, "RunWorkload", double)
    return made


def test_runs_and_scores_are_those_of_one_process_and_finished_ones_stay(
    nodes, place, tmp_path, monkeypatch
):
    folder, files, one = place
    jobs, settings = work(folder, files, tmp_path / "runs")
    shutil.copytree(folder / "one" / "plain" / "seed-1", jobs[1].folder)
    settings = replace(settings, store=Path(os.path.relpath(folder / "store")))
    log = logged(monkeypatch, tmp_path)
    done = list(run_jobs(jobs, settings, engine=RayCluster(nodes.address)))
    assert said(done) == said(one)
    assert [each.trained for each in done] == [True, False, True, True]
    assert log.times == Counter({"plain-0": 1, "taught-0": 1, "taught-1": 1})
    same_runs(folder, tmp_path / "runs")
    again = list(run_jobs(jobs, settings, engine=RayCluster(nodes.address)))
    assert said(again) == said(one)
    assert not any(each.trained for each in again)
    assert len(log.begun) == 3


def test_a_killed_worker_s_run_is_done_again_and_no_other(nodes, place, tmp_path, monkeypatch):
    folder, files, one = place
    jobs, settings = work(folder, files, tmp_path / "runs")
    log = logged(monkeypatch, tmp_path, waits="taught-0")

    def kill():
        until(lambda: log.log.exists() and "taught-0" in log.times)
        (victim,) = (int(pid) for name, pid in log.begun if name == "taught-0")
        os.kill(victim, signal.SIGKILL)
        until(lambda: log.times["taught-0"] == 2)
        (tmp_path / "go").touch()

    with meanwhile(kill):
        done = list(run_jobs(jobs, settings, engine=RayCluster(nodes.address)))
    assert said(done) == said(one)
    assert log.times == Counter(["plain-0", "plain-1", "taught-0", "taught-0", "taught-1"])
    same_runs(folder, tmp_path / "runs")
    cluster._sweep()  # as the next worker on that machine does
    assert not leftovers()


def test_a_run_that_kills_its_process_stops_no_other(nodes, place, tmp_path, monkeypatch):
    folder, files, one = place
    jobs, settings = work(folder, files, tmp_path / "runs")
    log = logged(monkeypatch, tmp_path, crashes="plain-0")
    done = list(run_jobs(jobs[:2], settings, engine=RayCluster(nodes.address)))
    assert "its process died of it" in done[0].error
    assert said(done[1:]) == said(one[1:2])
    assert log.times == Counter({"plain-0": MOST_TRIES, "plain-1": 1})
    assert {path.name for path in (tmp_path / "runs" / "plain").iterdir()} == {"seed-0", "seed-1"}
    assert not is_finished(jobs[0].folder)
    cluster._sweep()


def test_the_command_gives_the_table_of_one_machine(nodes, place, tmp_path, capsys):
    folder, files, _ = place
    command = ["compare", files["plain"], "--store", str(folder / "store"), "--seeds", "2"]
    command += ["--bootstrap", "50", "--threads", "1"]
    engine = ["--engine", "ray", "--ray-address", nodes.address]
    found = {}
    for name, more in (("one", ["--jobs", "1"]), ("ray", engine)):
        path = tmp_path / f"{name}.json"
        out = ["-o", str(tmp_path / name), "--json", str(path)]
        app.app([*command, *out, *more], standalone_mode=False)
        found[name] = json.loads(path.read_text())["systems"]["plain"]
    assert found["one"]["mean"] == found["ray"]["mean"]
    assert [each["scores"] for each in found["one"]["seeds"].values()] == [
        each["scores"] for each in found["ray"]["seeds"].values()
    ]
    assert "[2/2] plain, seed 1: trained" in capsys.readouterr().err
    with pytest.raises(TriaffectError, match=r"^--threads: expected one thread for each run"):
        app.app([*command[:-1], "2", *engine, "-o", str(tmp_path)], standalone_mode=False)
    nowhere = ["--engine", "ray", "--ray-address", "127.0.0.1:1", "-o", str(tmp_path / "new")]
    with pytest.raises(TriaffectError, match=r"^--ray-address: expected a Ray cluster at 127"):
        app.app([*command, *nowhere], standalone_mode=False)


def test_a_node_has_the_same_torch_and_the_same_store(place, tmp_path, monkeypatch):
    folder, files, _ = place
    mine = shutil.copytree(folder / "store", tmp_path / "store")
    jobs, settings = work(folder, files, tmp_path / "runs")
    workload = RunWorkload.for_cluster(replace(settings, store=mine), jobs)
    parcel = cluster.pack(workload)
    assert {"torch", "triaffect", "numpy"} <= parcel.versions.keys()
    other = replace(parcel, versions={**parcel.versions, "torch": "1.0"})
    with pytest.raises(TriaffectError, match=r"expected torch 1\.0, got"):
        NodeWorker(other)
    *_, last = NodeWorker(parcel).messages(jobs[0])
    assert isinstance(last, Finished)
    assert not last.result.error
    assert last.result.job == jobs[0]
    worker = NodeWorker(replace(parcel, workload=replace(workload, data={"plain": "x"})))
    *_, last = worker.messages(jobs[0])
    assert "expected the same store everywhere, got another one on the machine" in last.result.error
    shutil.rmtree(mine)
    with pytest.raises(StoreError, match=r"^the machine .* on every machine, got .*copy it to"):
        NodeWorker(parcel)
    assert not leftovers()


def test_initial_weights_go_along(place, tmp_path):
    folder, files, _ = place
    jobs, settings = work(folder, files, tmp_path / "runs")
    weights = folder / "one" / "plain" / "seed-1" / "stages" / "supervised" / "best.safetensors"
    gone = Path(shutil.copy(weights, tmp_path / "gone.safetensors"))
    job = replace(jobs[0], initial=InitialWeights(gone, "0" * 64))
    here = tmp_path / "here"
    (one,) = run_jobs([replace(job, folder=here)], settings)
    assert not one.error
    parcel = cluster.pack(RunWorkload.for_cluster(settings, [job]))
    gone.unlink()
    *pieces, last = NodeWorker(parcel).messages(job)
    assert not last.result.error
    sent = b"".join(each.content for each in pieces if each.name == "initial.safetensors")
    assert sent == weights.read_bytes()
    assert said([last.result]) == said([one])


def test_what_another_process_trains_fails_alone_and_a_kill_on_arrival_loses_nothing(
    place, tmp_path, monkeypatch
):
    folder, files, one = place
    jobs, settings = work(folder, files, tmp_path / "runs")
    workload = RunWorkload.for_cluster(settings, jobs)
    with exclusive_lock(jobs[0].folder):
        (outcome,) = run_jobs(jobs[:1], settings, engine=RayCluster("nowhere:1"))
        assert "one in use" in outcome.error
    came = folder / "one" / "plain" / "seed-0"
    count = sum(1 for _ in came.iterdir()) - 1  # without the lock
    for moves in range(count + 1):
        shutil.rmtree(jobs[0].folder)
        shutil.copytree(came, jobs[0].folder)
        (jobs[0].folder / "scores.json").unlink()
        with (jobs[0].folder / "journal.jsonl").open("a") as journal:
            journal.write("an epoch after the checkpoint")
        arrived = shutil.copytree(came, workload.folder(jobs[0]), dirs_exist_ok=True)
        (arrived / "lock").unlink(missing_ok=True)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", stopping(Path.replace, moves))
            try:
                workload.finish(jobs[0], one[0])
            except KeyboardInterrupt:
                assert moves < count
            else:
                assert moves == count
        assert is_finished(jobs[0].folder) == (moves == count)
        (outcome,) = run_jobs(jobs[:1], settings)
        assert said([outcome]) == said(one[:1])
        assert contents(jobs[0].folder) == contents(came)


def stopping(move, moves):
    """A function that moves so many files, then is interrupted."""
    left = moves

    def moved(path, target):
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        return move(path, target)

    return moved
