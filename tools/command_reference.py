"""Write docs/reference/commands.md from the help of every command.

``python tools/command_reference.py`` writes the page; with ``--check`` it only compares, and ends
with exit code 1 where the page is not what the commands say.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from triaffect.cli.app import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "commands.md"
HEAD = """# Commands

<!-- Written by tools/command_reference.py from the commands' own help: edit that. -->

A mistake of the caller ends in one line (what was expected, what came, what to do) and exit code 2.
`predict`, `extract` and `join` end with exit code 1 if some files or sources were left out and the
others are done. Ctrl-C ends with exit code 130; what is finished stays. [Commands in
detail](command-details.md) says more of each.
"""

Click = Any
"""A command or parameter of typer, which brings its own untyped click."""


def commands(
    group: Click = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Click]]:
    """Yield every visible command with the words that call it."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def page() -> str:
    """Compose the page as Markdown."""
    return HEAD + "".join(section(words, command) for words, command in commands())


def section(words: tuple[str, ...], command: Click) -> str:
    """Describe one command: what it does, how it is called, its options, examples."""
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name != "argument"]
    options = [each for each in options if not each.hidden and each.name != "help"]
    usage = [f"triaffect {' '.join(words)}", *map(metavar, arguments)]
    usage += [f"{each.opts[0]} {metavar(each)}" for each in options if each.required]
    text = f"\n## triaffect {' '.join(words)}\n\n"
    text += "```text\n" + " ".join([*usage, "[OPTIONS]"]) + "\n```\n\n"
    text += plain(command.help or "") + "\n"
    if arguments or options:
        text += "\n| | meaning | default |\n|---|---|---|\n"
        text += "".join(row(f"`{metavar(each)}`", each) for each in arguments)
        text += "".join(row(spelling(each), each) for each in options)
    examples = [line.strip() for line in (command.epilog or "").splitlines()]
    examples = [line for line in examples if line.startswith("triaffect ")]
    if examples:
        text += "\n```sh\n" + "\n".join(examples) + "\n```\n"
    return text


def row(name: str, parameter: Click) -> str:
    """Write one line of the table of options."""
    meaning = plain(parameter.help or "").replace("|", "\\|")
    return f"| {name} | {meaning} | {default(parameter)} |\n"


def spelling(option: Click) -> str:
    """Write how an option is spelled, and its choices."""
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    kind = option.bare_type()
    if isinstance(kind, type) and issubclass(kind, Enum):
        names += ": " + ", ".join(f"`{each.value}`" for each in kind)
    return names


def default(parameter: Click) -> str:
    """Write the default as the command's help shows it; blank for none."""
    shown, value = getattr(parameter, "show_default", None), parameter.default
    if parameter.required or isinstance(shown, str):
        return "required" if parameter.required else str(shown)
    if shown is False or value is None or callable(value) or value in ([], ()):
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{getattr(value, 'value', value)}`"


def metavar(parameter: Click) -> str:
    """Write what stands for an argument or an option's value."""
    word = str(parameter.metavar or parameter.name.upper().strip("_"))
    return word + ("..." if parameter.nargs == -1 and not word.endswith("...") else "")


def plain(text: str) -> str:
    """Join the lines of each paragraph of a help text."""
    paragraphs = text.replace("\b", "").replace("\f", "").strip().split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


if __name__ == "__main__":
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page(), "utf-8")
    elif PAGE.read_text("utf-8") != page():
        sys.exit(f"{PAGE.name} is not what the commands say: python tools/command_reference.py")
