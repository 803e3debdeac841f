"""What lies in the repository, and what must not."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.repository import ROOT, text_of, tracked_files
from tests.markers import MARKED_FILES

FOREIGN = {
    "a machine's path": re.compile(r"(?<![\w.])/(?:wo" r"rk|ro" r"ot|ho" r"me|Us" r"ers)/\w"),
    "a package registry's host": re.compile(
        r"pypi\.(?:org|python)|pytho"
        r"nhosted|https?://\S*/simple\b|download\.pytorch\.org"
        r"|--(?:extra-)?index-"
        r"url|--find-"
        r"links|--trusted-"
        r"host"
    ),
    "a key": re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY|\bgh[pousr]_[A-Za-z0-9]{30}|\bAKIA[0-9A-Z]{16}"
    ),
}
MOST_BYTES = 17_000_000
BUILD = {"hatchling", "editables", "tomlkit", "trove-classifiers", "setuptools"}
"""What builds the package, with what that needs; torch needs setuptools."""
GPU = ("nvidia-", "cuda-", "triton")
"""What some builds of torch bring along and others do not."""


def test_nothing_foreign_in_any_file():
    found = []
    for path in tracked_files():
        text = text_of(path)
        for what, pattern in FOREIGN.items():
            found += [
                f"{path.relative_to(ROOT)}: {what}: {m.group()}" for m in pattern.finditer(text)
            ]
    assert not found


def test_no_large_file_and_no_real_data():
    for path in tracked_files():
        assert path.stat().st_size < MOST_BYTES, path
        assert path.suffix not in (".mpg", ".mp4", ".flac", ".wav", ".pkl", ".pth"), path


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def pins():
    """Pinned versions by canonical name."""
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(each.name): each for each in pinned}


def test_every_package_is_pinned_to_one_version():
    for name, pin in pins().items():
        (only,) = pin.specifier
        assert only.operator == "==", name
        assert "+" not in only.version, f"{name}: a local version exists on one machine only"
        assert pin.url is None
        assert pin.marker is None


def test_pins_satisfy_the_project():
    extras = project()["optional-dependencies"].values()
    for text in project()["dependencies"] + [each for extra in extras for each in extra]:
        requirement = Requirement(text)
        pin = pins()[canonicalize_name(requirement.name)]
        (only,) = pin.specifier
        assert requirement.specifier.contains(only.version), text


def test_pins_are_all_that_is_needed_and_no_more():
    extras = project()["optional-dependencies"]
    todo = project()["dependencies"] + extras["train"] + extras["ray"] + extras["dev"]
    todo += extras["app"] + extras["tensorboard"] + list(BUILD)
    needed = set()
    while todo:
        requirement = Requirement(todo.pop())
        name = canonicalize_name(requirement.name)
        marker = requirement.marker
        if (
            name.startswith(GPU)
            or name in needed
            or (marker and not marker.evaluate({"extra": ""}))
        ):
            continue
        needed.add(name)
        try:
            todo += requires(name) or []
        except PackageNotFoundError:
            continue
    assert needed - pins().keys() == set(), "needed and not pinned"
    assert pins().keys() - needed == set(), "pinned and not needed"


def test_makefile_installs_the_pinned_torch():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert f"{pins()['torch']}" in makefile
    assert set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)) >= {
        "test",
        "test-all",
        "lint",
        "demo",
        "bench",
    }


def test_continuous_integration_can_be_started():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    lines = script.read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("make test")] == [
        "make test",
        "make test-all",
    ]


def test_make_test_and_make_test_all_run_every_test_once():
    """Both select by the same markers, all of which are registered and in use."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (names,) = re.findall(r"^SLOW := (.*)$", makefile, re.MULTILINE)
    assert makefile.count('pytest -m "not ($(SLOW))"') == 1
    assert makefile.count('pytest -m "$(SLOW)"') == 1
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    registered = settings["tool"]["pytest"]["ini_options"]["markers"]
    assert set(names.split(" or ")) == {each.partition(":")[0] for each in registered}
    assert set(MARKED_FILES) <= set(names.split(" or "))


@pytest.mark.parametrize("pattern", [each for some in MARKED_FILES.values() for each in some])
def test_marked_files_exist(pattern):
    assert list((ROOT / "tests").glob(pattern))


def test_licence_is_the_one_declared():
    """The code's and the detector's are free; the weights are for research only."""
    weights = "LicenseRef-triaffect-weights-research-only"
    assert project()["license"] == f"Apache-2.0 AND MIT AND {weights}"
    assert all((ROOT / name).is_file() for name in project()["license-files"])
    licence = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
