"""A Ray cluster of two nodes on this machine, and means to disturb it."""

import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

NOT_THERE = "ray is not installed: pip install 'triaffect[ray]'"
LONG_S = 300.0
"""No step of a test takes so long; one that does has failed."""


@contextmanager
def own_temporary_files():
    """Temporary files, of started processes too, apart from those of tests that run beside."""
    folder = tempfile.mkdtemp(prefix="ray")  # names of sockets must be short
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def two_nodes():
    """Two nodes of a processor each; its caller has `own_temporary_files`."""
    ray = pytest.importorskip("ray.cluster_utils", reason=NOT_THERE)
    folder = tempfile.gettempdir()
    Path(folder, "ray").mkdir(exist_ok=True)  # ray writes there wherever it works
    head = {"num_cpus": 1, "include_dashboard": False, "temp_dir": folder}
    made = ray.Cluster(initialize_head=True, head_node_args=head)
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()
    assert not leftovers()


def leftovers():
    """Folders of rows that workers forgot."""
    return list(Path(tempfile.gettempdir()).glob("triaffect-rows-*"))


@contextmanager
def meanwhile(what):
    """Do something while the main thread waits for the cluster."""
    errors = []

    def guarded():
        try:
            what()
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=guarded)
    thread.start()
    yield
    thread.join(LONG_S)
    assert not thread.is_alive()
    assert not errors


def until(ready):
    """Wait until something is so."""
    for _ in range(int(LONG_S / 0.02)):
        if ready():
            return
        time.sleep(0.02)
    raise AssertionError("waited in vain")
