"""The documentation says what the program does: commands, options, recipe keys, columns, links."""

import re
import shlex
from pathlib import Path
from typing import get_args

import pytest
import typer
from pydantic import BaseModel

from tests.architecture.repository import ROOT
from tools import command_reference
from triaffect.cli.app import app
from triaffect.models.base import NETWORKS, find_network
from triaffect.recipes.config import Recipe
from triaffect.recipes.load import shipped_recipes
from triaffect.tables.schema import table_schema
from triaffect.tasks.registry import TASKS

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
REFERENCE = ROOT / "docs" / "reference"
COMMON = {"--help", "--quiet"}
"""Options of every command, which its section need not repeat."""


def commands(group=None, path=()):
    """Every command of the program, but hidden ones, by the words that call it."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if command.hidden:
            continue
        words = (*path, name)
        if hasattr(command, "commands"):
            yield from commands(command, words)
        else:
            yield words, command


def options(command):
    """Spellings of a command's options, and those it cannot do without."""
    given = [each for each in command.params if each.param_type_name == "option"]
    spelled = {spelling for each in given for spelling in (*each.opts, *each.secondary_opts)}
    return spelled | {"--help"}, [set(each.opts) for each in given if each.required]


LOOP = ("for", "done")
"""First words of the lines around a loop's commands."""


def shell_lines():
    """Every command line in the documentation's shell blocks, with its page."""
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words and words[0] not in LOOP:
                    yield pytest.param(words, id=f"{page.stem}: {line[:50]}")


@pytest.mark.parametrize("words", list(shell_lines()))
def test_command_lines_exist(words):
    """A line calls a command that there is, with its own options and all it needs."""
    if words[0] not in ("triaffect", ".venv/bin/triaffect"):
        assert words[0] in ("make", "pip", ".venv/bin/pip", "python", "ray"), (
            "a program nobody explained"
        )
        return
    known = dict(commands())
    path = next((tuple(words[1:n]) for n in (3, 2) if tuple(words[1:n]) in known), None)
    assert path, f"no command {words[1:3]}"
    spelled, required = options(known[path])
    used = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert used <= spelled
    for spellings in required:
        assert used & spellings, f"{spellings} is required"


def test_command_reference_is_what_the_commands_say():
    assert command_reference.PAGE.read_text("utf-8") == command_reference.page()


@pytest.mark.parametrize(
    ("words", "command"), [pytest.param(*x, id=" ".join(x[0])) for x in commands()]
)
def test_command_details_name_only_options_of_their_command(words, command):
    text = (REFERENCE / "command-details.md").read_text("utf-8")
    heading = f"## triaffect {' '.join(words)}\n"
    assert heading in text
    section = text.partition(heading)[2].partition("\n## ")[0]
    mentioned = set(re.findall(r"`(--[a-z][a-z-]*)", section))
    assert mentioned <= options(command)[0], "an option that there is not"


def models_in(kind):
    """Every table of a recipe's tree."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from models_in(field.annotation)
    for part in get_args(kind):
        yield from models_in(part)


def test_every_recipe_key_and_recipe_is_in_the_reference():
    text = (REFERENCE / "recipes.md").read_text("utf-8")
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    told = {word for code in re.findall(r"`([^`]+)`", prose) for word in re.findall(r"\w+", code)}
    told |= set(re.findall(r"\[stages\.NAME\.(\w+)\]", prose))
    models = {*models_in(Recipe), *(find_network(kind).spec for kind in NETWORKS)}
    keys = {name for model in models for name in model.model_fields}
    assert keys - {"about"} <= told | {"data", "net", "stages"}
    assert set(shipped_recipes()) <= told


def test_every_column_is_in_the_reference():
    text = (REFERENCE / "prediction-table.md").read_text("utf-8")
    missing = [name for name in table_schema(TASKS).names if f"`{name}`" not in text]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if not target.startswith("https://"):
            found = (page.parent / target).resolve()
            assert found.exists(), f"{page.relative_to(ROOT)} links to {target}"
            assert found.is_relative_to(ROOT)


def test_every_page_can_be_reached():
    linked = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))
        if not target.startswith("https://")
    }
    decisions = set((ROOT / "docs" / "decisions").glob("*.md"))
    assert {page for page in PAGES[1:] if Path(page) not in linked | decisions} == {
        ROOT / "docs" / "index.md"
    }


def test_decisions_are_numbered_in_order():
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert [name[:3] for name in names] == [f"{n:03d}" for n in range(1, len(names) + 1)]
