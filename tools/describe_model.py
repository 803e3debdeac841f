"""Write into a model folder how far each of its outputs holds on people, and its temperatures.

    python tools/describe_model.py src/triaffect/weights/default validity.toml
    python tools/describe_model.py RUN/model --temperature EXPR=1.08 \
        --temperature-without-face EXPR=1

The first argument is a model folder, the second the file that ``benchmarks/validity.py`` writes: a
table for each column of the predictions, with ``holds`` ("shown", "partly", "not shown"),
``learned_from``, ``evidence``, ``blank`` ("never", "without voice", "without face", "always") and,
where it differs, ``holds_without_face``, the word for a voice alone. ``model.json`` gets them; the
networks stay as they are. A card (CARD.md) in the folder gets the same as a table, between the
lines that begin and end it, or else at its end, and its head; the program example.py and the
answers that it is checked by are written anew.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from triaffect.errors import ModelError, TriaffectError
from triaffect.features.model_folder import (
    Manifest,
    ModelFolder,
    OutputValidity,
    load_model_folder,
)
from triaffect.io.atomic import replace_file
from triaffect.io.records import parse_record
from triaffect.tasks.registry import available_tasks
from triaffect.training.export.companions import CARD, add_companions

BEGIN, END = "<!-- outputs: begin -->", "<!-- outputs: end -->"
HEAD = """## How far each output holds on people

Written by `tools/describe_model.py` from measurements; the rule stands in `benchmarks/validity.py`.

| output | holds on people | measured | learned from |
|---|---|---|---|
"""


def read_outputs(path: Path, manifest: Manifest) -> dict[str, OutputValidity]:
    """Read the words, and check that the model has these outputs.

    Args:
        path: The TOML file.
        manifest: The model's description.

    Returns:
        How far each output holds, by column, in the order of the model's columns.

    Raises:
        ModelError: The file is no TOML, or says what no model can have.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError("a TOML file", str(error), where=path) from error
    columns = [name for task in manifest.tasks for name in task["columns"]]
    unknown = [name for name in content if name not in columns]
    if unknown:
        expected = "outputs among " + ", ".join(columns)
        raise ModelError(expected, ", ".join(unknown), where=path)
    remedy = "run benchmarks/validity.py again, or correct it"
    return {
        name: parse_record(OutputValidity, content[name], ModelError, remedy, f"{path}: {name}")
        for name in columns
        if name in content
    }


def read_temperatures(
    texts: list[str], manifest: Manifest, option: str = "--temperature"
) -> dict[str, float]:
    """Read temperatures such as ``EXPR=1.1``, by key of a task that the model has.

    Args:
        texts: What the option says; each takes the place of what the model has.
        manifest: The model's description.
        option: "--temperature" or "--temperature-without-face".

    Raises:
        ModelError: No such task, or no number above 0.
    """
    has = manifest.temperatures_without_face
    if option == "--temperature":
        has = manifest.temperatures
    keys, result = [task["key"] for task in manifest.tasks], dict(has)
    for text in texts:
        key, _, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if key not in keys or not 0 < number < float("inf"):
            expected = f"a task ({', '.join(keys)}) and a number above 0, as EXPR=1.1"
            raise ModelError(expected, text, where=option)
        result[key] = number
    return result


def card_table(outputs: Mapping[str, OutputValidity]) -> str:
    """Write the outputs as a section of a card, those first that hold."""
    titles = {name: task.title(name) for task in available_tasks() for name in task.columns}
    order = ("shown", "partly", "not shown")
    rows = []
    for name, each in sorted(outputs.items(), key=lambda item: order.index(item[1].holds)):
        cells = (titles.get(name, name), each.word(), each.evidence, each.learned_from)
        rows.append(f"| {' | '.join(cells)} |\n")
    return f"{BEGIN}\n{HEAD}{''.join(rows)}{END}"


def with_section(card: str, section: str) -> str:
    """Put a section in a card: in place of the one of before, or at the end."""
    before, begin, rest = card.partition(BEGIN)
    if not begin:
        return f"{card.rstrip()}\n\n{section}\n"
    _, end, after = rest.partition(END)
    return f"{before}{section}{after if end else ''}"


def main() -> None:
    """Describe a model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a model folder; it is changed")
    parser.add_argument("validity", type=Path, nargs="?", help="the file of benchmarks/validity.py")
    for option in ("--temperature", "--temperature-without-face"):
        parser.add_argument(option, action="append", default=[], metavar="TASK=NUMBER")
    arguments = parser.parse_args()
    try:
        manifest = load_model_folder(arguments.model).manifest
        own, texts = "--temperature-without-face", arguments.temperature_without_face
        manifest = replace(
            manifest,
            temperatures=read_temperatures(arguments.temperature, manifest),
            temperatures_without_face=read_temperatures(texts, manifest, own),
        )
        if arguments.validity is not None:
            outputs = read_outputs(arguments.validity, manifest)
            manifest = replace(manifest, outputs=outputs)
        card = arguments.model / CARD
        if manifest.outputs and card.is_file():
            content = with_section(card.read_text("utf-8"), card_table(manifest.outputs))
            with replace_file(card) as temporary:
                temporary.write_text(content, "utf-8")
        add_companions(ModelFolder(arguments.model, manifest))
    except TriaffectError as error:
        raise SystemExit(str(error)) from error
    for name, each in manifest.outputs.items():
        print(f"{name:12} {each.describe()}")
    print(f"temperatures: {dict(manifest.temperatures) or 'none'}")
    print(f"without a face: {dict(manifest.temperatures_without_face) or 'the same'}")


if __name__ == "__main__":
    main()
