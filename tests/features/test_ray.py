"""Extraction on a Ray cluster: the same store, whatever happens to its processes and nodes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.features.made_corpus import MadeCorpus, write_pictures, write_sound
from tests.features.networks import face_folder, voice_folder
from tests.features.test_extraction import same_files
from tests.io.two_nodes import (
    LONG_S,
    NOT_THERE,
    leftovers,
    meanwhile,
    own_temporary_files,
    two_nodes,
    until,
)
from tests.prediction.tiny_model import tone
from tests.prediction.tiny_model import write_sound as write_samples
from triaffect.errors import ModelError, TriaffectError
from triaffect.features.extraction import extract
from triaffect.features.extraction_worker import (
    ExtractionSettings,
    ExtractionWork,
    Job,
    Outcome,
    Worker,
    spill_folder,
)
from triaffect.features.store import FeatureStore
from triaffect.io import cluster
from triaffect.io.cluster import MOST_TRIES, Finished, RayCluster
from triaffect.types import Window

NAMES = ("a", "b", "c", "d", "e", "f")


@dataclass
class LoggedCorpus(MadeCorpus):
    """Writes down who computes what; some sources wait until there is a file ``go``."""

    log: Path = Path()
    waits: tuple[str, ...] = ()

    def images(self, source):
        ray = pytest.importorskip("ray")
        name = Path(source.source_id).name
        with self.log.open("a") as stream:
            stream.write(f"{name} {os.getpid()} {ray.get_runtime_context().get_node_id()}\n")
        for number, image in super().images(source):
            until = time.monotonic() + LONG_S
            while number == 3 and name in self.waits and not self.go.exists():
                assert time.monotonic() < until
                time.sleep(0.02)
            yield number, image

    @property
    def go(self):
        return self.log.with_name("go")

    def begun(self):
        """Name, process and node of each source that was begun."""
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
def whole(tmp_path_factory):
    """A corpus, and the store that one process makes of it."""
    folder = tmp_path_factory.mktemp("whole")
    root = write_pictures(folder / "corpus", NAMES)
    write_sound(root / "a.wav", 1.0)
    write_sound(root / "c.wav", 0.5)
    extract(MadeCorpus(root), folder / "one", "gray64", "logmel64", 1)
    return root, folder / "one"


def run(corpus, path, nodes, jobs=None):
    report = extract(corpus, path, "gray64", "logmel64", RayCluster(nodes.address, jobs))
    assert not (path / "pending").exists()
    return report


def test_a_cluster_makes_the_same_store_as_one_process_and_two(nodes, whole, tmp_path):
    root, one = whole
    extract(MadeCorpus(root), tmp_path / "two", "gray64", "logmel64", 2)
    corpus = LoggedCorpus(root, log=tmp_path / "log")
    report = run(corpus, tmp_path / "ray", nodes)
    assert (report.added, report.failures, report.problems) == (6, {}, {})
    assert same_files(one, tmp_path / "two")
    assert same_files(one, tmp_path / "ray")
    assert (one / "sources.jsonl").read_bytes() == (tmp_path / "ray" / "sources.jsonl").read_bytes()
    assert corpus.times() == Counter(NAMES)
    again = run(corpus, tmp_path / "ray", nodes)
    assert (again.added, again.there) == (0, 6)


def test_jobs_is_the_most_in_flight(nodes, whole, tmp_path):
    corpus = LoggedCorpus(whole[0], log=tmp_path / "log", waits=("a",))

    def look():
        until(corpus.log.exists)
        time.sleep(1.0)  # long enough for another job to begin, had it been sent
        began = corpus.times()
        corpus.go.touch()
        assert began == Counter("a")

    with meanwhile(look):
        run(corpus, tmp_path / "s", nodes, jobs=1)


def test_what_a_killed_worker_had_is_done_again_and_nothing_else(nodes, whole, tmp_path):
    root, one = whole
    corpus = LoggedCorpus(root, log=tmp_path / "log", waits=("a", "b"))

    def kill():
        until(lambda: corpus.log.exists() and corpus.times() == Counter("ab"))
        (victim,) = (int(pid) for name, pid, _ in corpus.begun() if name == "b")
        os.kill(victim, signal.SIGKILL)
        until(lambda: corpus.times()["b"] == 2)
        corpus.go.touch()

    with meanwhile(kill):
        report = run(corpus, tmp_path / "s", nodes)
    assert (report.added, report.failures) == (6, {})
    assert corpus.times() == Counter([*NAMES, "b"])
    assert same_files(one, tmp_path / "s")


def test_what_a_removed_node_had_is_done_again_and_nothing_else(nodes, whole, tmp_path):
    root, one = whole
    corpus = LoggedCorpus(root, log=tmp_path / "log", waits=("a", "b"))
    (victim,) = nodes.worker_nodes
    lost = []

    def remove():
        until(lambda: corpus.log.exists() and corpus.times() == Counter("ab"))
        ((name, worker),) = (each[:2] for each in corpus.begun() if each[2] == victim.node_id)
        lost.append(name)
        nodes.remove_node(victim, allow_graceful=False)
        until(lambda: not cluster._lives(int(worker)))
        corpus.go.touch()

    try:
        with meanwhile(remove):
            report = run(corpus, tmp_path / "s", nodes)
    finally:
        nodes.add_node(num_cpus=1)
        cluster._sweep()  # as the next worker on that machine does
    assert (report.added, report.failures) == (6, {})
    assert corpus.times() == Counter([*NAMES, *lost])
    assert same_files(one, tmp_path / "s")


def test_sources_that_are_broken_or_kill_their_process_are_told(nodes, whole, tmp_path):
    corpus = LoggedCorpus(
        whole[0], log=tmp_path / "log", broken={"b": "crash", "d": "bug", "e": "labels"}
    )
    report = run(corpus, tmp_path / "s", nodes)
    assert report.failures == {
        "made/b": "the process died of it: out of memory, or a fault in a decoder",
        "made/d": "faces: IndexError: list index out of range",
        "made/e": "labels: labels.txt:7: expected 12 action units, got 13",
    }
    assert FeatureStore.open(tmp_path / "s").sources == ["made/a", "made/c", "made/f"]
    assert corpus.times()["b"] == MOST_TRIES


INTERRUPTED = """
import signal
import sys
from pathlib import Path
from tests.features.made_corpus import MadeCorpus
from triaffect.io.cluster import RayCluster
from triaffect.features.extraction import extract

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
corpus = MadeCorpus(Path(sys.argv[1]), pause_s=0.6)
extract(corpus, Path(sys.argv[2]), "gray64", "logmel64", RayCluster(sys.argv[3]),
        progress=lambda done, total, source: print("done", done, flush=True))
"""


def test_an_interrupt_keeps_what_was_finished(nodes, whole, tmp_path):
    root, one = whole
    repository = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", INTERRUPTED, str(root), str(tmp_path / "s"), nodes.address]
    process = subprocess.Popen(
        command, cwd=repository,
        env={**os.environ, "PYTHONPATH": f"{repository / 'src'}{os.pathsep}{repository}"},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    with process:
        assert any(line == b"done 1\n" for line in process.stdout), "Ray prints there too"
        time.sleep(0.3)  # amidst the next
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        with suppress(subprocess.TimeoutExpired):
            process.wait(8)
        if process.poll() is None:  # seen twice on a busy machine, and not explained
            os.killpg(process.pid, signal.SIGINT)
        assert process.wait(LONG_S) != 0
    done = FeatureStore.open(tmp_path / "s").sources
    assert 1 <= len(done) < 6
    assert not (tmp_path / "s" / "pending").exists()
    corpus = LoggedCorpus(root, log=tmp_path / "log")
    report = run(corpus, tmp_path / "s", nodes)
    assert (report.there, report.added) == (len(done), 6 - len(done))
    assert same_files(one, tmp_path / "s")


def test_a_network_that_does_not_work_ends_the_extraction(nodes, whole, tmp_path):
    face, _ = face_folder(tmp_path / "face", dim=5, claimed=6)
    with pytest.raises(ModelError, match="6 features"):
        extract(
            MadeCorpus(whole[0]), tmp_path / "s", str(face.path), "none", RayCluster(nodes.address)
        )
    assert not (tmp_path / "s" / "pending").exists()


def test_a_node_with_other_packages_is_refused(nodes, whole, tmp_path, monkeypatch):
    mine = {"numpy": "1.0"}
    monkeypatch.setattr(cluster, "version", lambda package: mine.get(package, version(package)))
    with pytest.raises(TriaffectError, match=r"the machine .* expected numpy 1\.0, got 2"):
        run(MadeCorpus(whole[0]), tmp_path / "s", nodes)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "head", "ray://head:10001"])
def test_a_cluster_that_is_not_there_is_told(whole, tmp_path, address):
    pytest.importorskip("ray", reason=NOT_THERE)
    with pytest.raises(TriaffectError, match=r"^--ray-address: expected"):
        extract(MadeCorpus(whole[0]), tmp_path / "s", "gray64", "none", RayCluster(address))


def test_a_missing_ray_is_told(whole, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(TriaffectError, match=r"expected the package ray.*triaffect\[ray\]"):
        extract(MadeCorpus(whole[0]), tmp_path / "s", "gray64", "none", RayCluster())


def test_a_node_needs_the_corpus_alone_and_sends_rows_in_pieces(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PIECE_BYTES", 100)
    corpus = MadeCorpus(shutil.copytree(whole[0], tmp_path / "corpus"))
    write_samples(corpus.root / "a.wav", tone(2.5))
    face, _ = face_folder(tmp_path / "face")
    voice, _ = voice_folder(tmp_path / "voice", Window(1.0, 0.25, causal=False))
    settings = ExtractionSettings(corpus, str(face.path), str(voice.path), tmp_path / "pending")
    job = Job(0, corpus.sources()[0])
    expected = Worker(settings, lambda: False)(job)
    parcel = cluster.pack(ExtractionWork(settings))
    shutil.rmtree(face.path)
    shutil.rmtree(voice.path)
    *pieces, last = cluster.NodeWorker(parcel).messages(job)
    assert isinstance(last, Finished)
    outcome = last.result
    assert isinstance(outcome, Outcome)
    assert (outcome.faces, outcome.voices) == (expected.faces, expected.voices) == (7, 11)
    for path in spill_folder(settings.pending, 0).iterdir():
        mine = [piece.content for piece in pieces if piece.name == path.name]
        assert b"".join(mine) == path.read_bytes()
    assert max(len(piece.content) for piece in pieces) == 100
    assert not leftovers()


def test_a_node_without_the_corpus_is_refused(whole, tmp_path):
    corpus = MadeCorpus(tmp_path / "elsewhere")
    parcel = cluster.pack(
        ExtractionWork(ExtractionSettings(corpus, "gray64", "none", tmp_path / "pending"))
    )
    with pytest.raises(TriaffectError, match=r"expected the corpus at .*elsewhere.*same path"):
        cluster.NodeWorker(parcel)


def test_what_a_killed_worker_left_is_removed_by_the_next(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    kept, gone = (tmp_path / f"{cluster._prefix()}{pid}-x" for pid in (os.getpid(), ended.pid))
    for folder in (kept, gone):
        (folder / "000000").mkdir(parents=True)
    parcel = cluster.pack(
        ExtractionWork(
            ExtractionSettings(MadeCorpus(whole[0]), "gray64", "none", tmp_path / "pending")
        )
    )
    cluster.NodeWorker(parcel)
    assert kept.exists()
    assert not gone.exists()
