"""What a user gets who installs the package."""

import zipfile
from email.parser import Parser

import pytest

from tests.architecture.repository import PACKAGE, ROOT

wheel = pytest.importorskip("hatchling.builders.wheel", reason="needs hatchling, see requirements")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel, built from the working tree."""
    folder = tmp_path_factory.mktemp("dist")
    (path,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(path) as file:
        yield file


def test_wheel_holds_everything_the_package_reads(built):
    kinds = ("*.py", "*.toml", "*.onnx", "*.json", "*.safetensors", "*.md", "*.js", "*.css")
    kinds += ("LICENSE", "py.typed")
    wanted = {
        path.relative_to(PACKAGE.parent).as_posix() for k in kinds for path in PACKAGE.rglob(k)
    }
    assert wanted <= set(built.namelist())


def test_wheel_holds_nothing_else(built):
    strange = [n for n in built.namelist() if not n.startswith(("triaffect/", "triaffect-"))]
    assert not strange


def test_torch_is_asked_for_only_to_train(built):
    (name,) = [n for n in built.namelist() if n.endswith(".dist-info/METADATA")]
    wanted = Parser().parsestr(built.read(name).decode()).get_all("Requires-Dist")
    torch = [each for each in wanted if each.startswith("torch")]
    assert torch
    assert all("extra == 'train'" in each.replace('"', "'") for each in torch)


def test_licence_comes_along(built):
    assert any(name.endswith("licenses/LICENSE") for name in built.namelist())
