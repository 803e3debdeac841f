"""The scripts of `benchmarks`, imported as they are when run: one finds its neighbours."""

import importlib
import sys
from types import ModuleType

from tests.architecture.repository import ROOT


def load(name: str) -> ModuleType:
    """A script as a module."""
    folder = str(ROOT / "benchmarks")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)
