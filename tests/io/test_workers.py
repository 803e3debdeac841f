"""Work in processes: order, a process that dies, an early end."""

import os
import time

import pytest

from triaffect.errors import ModelError, TriaffectError
from triaffect.io.workers import Cancelled, WorkerPool


def _double(is_cancelled):
    def compute(item):
        if item < 0:
            os._exit(1)  # as a fault in native code would
        time.sleep(0.02 * (item % 3))
        return 2 * item, os.getpid(), os.environ.get("OMP_NUM_THREADS")

    return compute


def _died(item):
    return item, "died", None


def _patient(is_cancelled):
    def compute(item):
        number, folder = item
        if number == 0:
            return item
        for _ in range(600):
            time.sleep(0.05)
            if is_cancelled():
                (folder / f"{number} stopped").touch()
                raise Cancelled
        (folder / f"{number} finished").touch()
        return item

    return compute


def _broken(is_cancelled):
    os._exit(1)


def _refused(is_cancelled):
    def compute(item):
        raise ModelError("a network", "none")

    return compute


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_items(processes):
    results = list(WorkerPool(_double, _died).results(range(12), processes))
    assert [double for double, _, _ in results] == [2 * k for k in range(12)]
    pids = {pid for _, pid, _ in results}
    assert (pids == {os.getpid()}) == (processes == 1)


def test_processes_run_libraries_on_one_thread_and_leave_the_parent_alone():
    before = os.environ.get("OMP_NUM_THREADS")
    results = list(WorkerPool(_double, _died).results([1, 2], 2))
    assert {threads for _, _, threads in results} == {"1"}
    assert os.environ.get("OMP_NUM_THREADS") == before


def test_an_item_that_kills_its_process_costs_only_itself():
    results = list(WorkerPool(_double, _died).results([1, 2, -3, 4, 5], 2))
    assert [first for first, _, _ in results] == [2, 4, -3, 8, 10]
    assert results[2][1] == "died"


def test_closing_early_stops_what_is_being_computed(tmp_path):
    results = WorkerPool(_patient, _died).results([(k, tmp_path) for k in range(8)], 2)
    assert next(results)[0] == 0
    results.close()
    assert {path.name.split()[1] for path in tmp_path.iterdir()} == {"stopped"}


def test_an_error_of_the_work_reaches_the_caller_whole():
    with pytest.raises(ModelError, match="expected a network, got none"):
        list(WorkerPool(_refused, _died).results([1, 2], 2))


def test_processes_that_cannot_start_are_told():
    with pytest.raises(TriaffectError, match="a worker process, got it ends at once"):
        list(WorkerPool(_broken, _died).results([1, 2], 2))
