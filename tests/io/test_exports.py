"""Packages export their public nouns, each imported when it is first used."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import triaffect

ROOT = Path(triaffect.__file__).parent
PACKAGES = sorted(
    path.parent.relative_to(ROOT.parent).as_posix().replace("/", ".")
    for path in ROOT.glob("*/__init__.py")
    if "lazy_exports" in path.read_text("utf-8")
)


def test_all_packages_of_the_flow_export_their_nouns():
    flow = "io media faces voice tasks metrics corpora features tables prediction report"
    training = "datasets models losses recipes training evaluation"
    assert {*flow.split(), *training.split()} <= {name.split(".")[1] for name in PACKAGES}


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_exported_is_there_and_typed(name):
    package = importlib.import_module(name)
    folder = Path(package.__file__).parent
    typed = [
        alias.asname or alias.name
        for node in ast.walk(ast.parse((folder / "__init__.py").read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module.startswith(f"{name}.")
        for alias in node.names
        if alias.name != "lazy_exports"
    ]
    assert package.__all__ == sorted(package.__all__, key=lambda n: (not n.isupper(), n))
    assert sorted(package.__all__) == sorted(typed)
    assert {*package.__all__} <= {*dir(package)}
    modules = {path.stem for path in folder.iterdir()}
    for noun in package.__all__:
        assert getattr(package, noun) is not None
        assert noun not in modules, "a module of the same name would take its place"
    with pytest.raises(AttributeError, match=f"'{name}' has no attribute 'nonsense'"):
        _ = package.nonsense


def test_importing_every_package_loads_nothing_heavy():
    code = f"import {', '.join(PACKAGES)}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "cv2", "numpy", "pandas", "pyarrow"} & set(done.stdout.split())
