"""The examples in the docstrings of the package run and print what they say."""

import doctest
import importlib

import pytest

from tests.architecture.repository import ROOT

SOURCE = ROOT / "src"
MODULES = [
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((SOURCE / "triaffect").rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]
"""Every module with an example."""


def test_the_modules_with_examples_are_all_there():
    assert {"triaffect", "triaffect.io.durations", "triaffect.metrics.abaw"} <= {*MODULES}


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert attempted > 0
    assert failed == 0
