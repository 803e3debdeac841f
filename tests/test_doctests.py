"""The examples in the documentation of public functions run and print what they say."""

import doctest
import importlib

import pytest

MODULES = ["triaffect", "triaffect.io.durations", "triaffect.metrics.abaw"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert attempted > 0
    assert failed == 0
