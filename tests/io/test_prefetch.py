"""Working ahead in a thread: the same items, bounded, and no thread left behind."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triaffect.io.prefetch import prefetch


def threads():
    return [t for t in threading.enumerate() if t.name == "triaffect-prefetch"]


@given(st.lists(st.integers()), st.integers(1, 5))
def test_the_same_items_in_the_same_order(items, most):
    assert list(prefetch(items, most)) == items
    assert not threads()


def test_no_more_wait_than_may():
    made = []

    def items():
        for k in range(100):
            made.append(k)
            yield k

    given_out = prefetch(items(), 3)
    assert next(given_out) == 0
    time.sleep(0.3)
    assert len(made) <= 5  # the one taken, three waiting, one in hand
    given_out.close()
    assert len(made) <= 5


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        yield 2
        raise OSError("broken")

    got = []
    with pytest.raises(OSError, match="broken"):
        got.extend(prefetch(items(), 1))  # extend takes what comes before the error
    assert not threads()
    source = prefetch(items(), 8)
    assert [next(source), next(source)] == [1, 2]
    with pytest.raises(OSError, match="broken"):
        next(source)


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, ValueError])
def test_whatever_stops_the_consumer_stops_the_threads(error):
    """A chain of two, as decoding and finding faces are."""
    closed = []

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.append(threading.current_thread().name)

    def doubled(source):
        try:
            for item in source:
                yield 2 * item
        finally:
            source.close()

    source = prefetch(doubled(prefetch(items(), 2)), 2)
    assert [next(source) for _ in range(10)] == [0] * 10
    with pytest.raises(error):
        source.throw(error)
    assert not threads()
    assert closed == ["triaffect-prefetch"]


def test_a_generator_that_is_dropped_stops_too():
    source = prefetch(iter(int, 1), 2)
    next(source)
    del source
    assert not threads()


def test_nothing_runs_before_it_is_asked_for():
    prefetch(iter([1]), 1)
    assert not threads()
