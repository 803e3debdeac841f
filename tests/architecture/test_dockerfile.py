"""The Dockerfile is one that builds: its files, commands and options are there.

No Docker runs here: what a build would do is checked on its lines, and the package is built of the
files that it copies, and of no others.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from fnmatch import fnmatch
from itertools import pairwise

import pytest
import typer
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.architecture.repository import ROOT
from triaffect.cli.app import app
from triaffect.cli.web_app import _DEFAULT_PORT, TOKEN_VARIABLE

ORDER = ("FROM", "WORKDIR", "COPY", "COPY", "RUN", "RUN", "USER", "WORKDIR", "VOLUME", "EXPOSE",
         "HEALTHCHECK", "CMD")  # fmt: skip


def instructions():
    """Every instruction with its argument; a backslash joins lines."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line]
    return [tuple(line.split(" ", 1)) for line in lines if not line.startswith("#")]


def arguments(name):
    return [argument for each, argument in instructions() if each == name]


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def copied():
    """Paths in the repository that are copied, and where to."""
    for argument in arguments("COPY"):
        *sources, target = argument.split()
        for source in sources:
            yield source, target


def test_instructions_are_those_of_docker_in_their_order():
    assert tuple(name for name, _ in instructions()) == ORDER
    assert all(argument.strip() for _, argument in instructions())


def test_it_starts_from_one_python_that_the_package_runs_on():
    (base,) = arguments("FROM")
    name, _, tag = base.partition(":")
    assert name == "python"
    version = re.fullmatch(r"(3\.\d+)-slim-[a-z]+", tag)[1]
    assert SpecifierSet(project()["requires-python"]).contains(version)


def test_what_is_copied_is_there_and_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    for source, target in copied():
        assert (ROOT / source).exists(), source
        assert target.startswith("./")
        assert f"!{source}" in ignored
    assert ignored[0] == "*"
    licenses = project()["license-files"]
    kept = [source for source, _ in copied()]
    assert all(any(fnmatch(name, f"{each}*") for each in kept) for name in licenses)
    assert project()["readme"] in kept


def test_pip_installs_the_extra_of_the_page_at_the_pinned_versions():
    words = shlex.split(arguments("RUN")[0])
    assert words[:4] == ["python", "-m", "pip", "install"]
    known = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert all(word in known for word in words if word.startswith("--"))
    requirement = Requirement(words[-1].replace(".", "triaffect"))
    assert requirement.extras == {"app"}
    assert {"app"} <= set(project()["optional-dependencies"])
    constraint = words[words.index("--constraint") + 1]
    assert constraint in [source for source, _ in copied()]


def test_other_steps_are_commands_of_the_base():
    """Debian's own, that the slim image has as well."""
    (step,) = arguments("RUN")[1:]
    programs = [shlex.split(part)[0] for part in step.split("&&")]
    assert programs == ["useradd", "mkdir", "chown"]
    assert all(shutil.which(program) for program in programs)


def test_it_does_not_run_as_root():
    names = [name for name, _ in instructions()]
    (user,) = arguments("USER")
    assert user not in ("root", "0")
    assert f"useradd --create-home {user} " in arguments("RUN")[1]
    assert names.index("USER") < names.index("CMD")


def test_its_command_is_one_of_ours_that_listens_where_it_says():
    (command,) = arguments("CMD")
    words = json.loads(command)
    assert words[:2] == ["triaffect", "app"]
    options = typer.main.get_command(app).commands["app"].params
    spelled = {spelling for each in options for spelling in each.opts}
    assert {word for word in words if word.startswith("--")} <= spelled
    values = dict(pairwise(words))
    assert values["--port"] == str(_DEFAULT_PORT) == arguments("EXPOSE")[0]
    assert values["--folder"] == arguments("VOLUME")[0]
    assert values["--host"] == "0.0.0.0"
    assert TOKEN_VARIABLE in (ROOT / "Dockerfile").read_text("utf-8")
    health = json.loads(arguments("HEALTHCHECK")[0].removeprefix("CMD "))
    assert f":{_DEFAULT_PORT}/health" in health[-1]
    compile(health[-1], "HEALTHCHECK", "exec")


def test_the_package_is_built_of_what_is_copied(tmp_path):
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="needs hatchling")
    skipped = shutil.ignore_patterns("__pycache__", "*.safetensors")
    for source, target in copied():
        to = tmp_path / target if target != "./" else tmp_path / source
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, to, ignore=skipped)
        else:
            shutil.copy(ROOT / source, to)
    (path,) = wheel.WheelBuilder(str(tmp_path)).build(
        directory=str(tmp_path / "dist"), versions=["standard"]
    )
    with zipfile.ZipFile(path) as file:
        names = set(file.namelist())
    web = {f"triaffect/app/web/{path.name}" for path in (ROOT / "src/triaffect/app/web").iterdir()}
    assert web <= names
    assert "triaffect/weights/default/model.json" in names
