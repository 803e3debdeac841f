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
    kinds = ("*.py", "*.toml", "*.onnx", "*.json", "*.md", "*.js", "*.css", "*.html", "*.npz")
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


def test_licenses_come_along_in_the_metadata_and_in_each_model_folder(built):
    names = built.namelist()
    licenses = [name.partition("licenses/")[2] for name in names if "dist-info/licenses/" in name]
    weights = {f"src/triaffect/weights/{folder}/LICENSE" for folder in ("default", "detector")}
    assert set(licenses) == {"LICENSE", *weights}
    assert {name.removeprefix("src/") for name in weights} <= set(names)


def test_weights_to_train_on_are_a_wheel_of_their_own_and_half_of_all_weights(built, tmp_path):
    assert not [name for name in built.namelist() if name.endswith(".safetensors")]
    root = ROOT / "packages" / "train-weights"
    (path,) = wheel.WheelBuilder(str(root)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(path) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
    expected = {each.relative_to(PACKAGE.parent) for each in PACKAGE.rglob("*.safetensors")}
    assert names == {each.as_posix() for each in expected}


@pytest.mark.parametrize(("copy", "folder"), [("weights", "default"), ("detector", "detector")])
def test_copies_of_the_licenses_are_the_same(copy, folder):
    copied = ROOT / "packages" / "train-weights" / f"LICENSE-{copy}"
    assert copied.read_text("utf-8") == (PACKAGE / "weights" / folder / "LICENSE").read_text(
        "utf-8"
    )
