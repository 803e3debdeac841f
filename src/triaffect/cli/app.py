"""The command ``triaffect``: its subcommands, and how an error reaches the user."""

from __future__ import annotations

import os
import re
import sys
from typing import Annotated

import typer

from triaffect.cli._shared import CommandGroup, add_command
from triaffect.cli.compare import COMPARE_EXAMPLES, COMPARE_RENAMED, compare
from triaffect.cli.corpus import corpus_app
from triaffect.cli.demo import DEMO_EXAMPLES, DEMO_RENAMED, demo
from triaffect.cli.evaluate import EVALUATE_EXAMPLES, evaluate, scores_app
from triaffect.cli.extract import EXAMPLES as EXTRACT_EXAMPLES
from triaffect.cli.extract import JOIN_EXAMPLES, extract, join
from triaffect.cli.extract import RENAMED as EXTRACT_RENAMED
from triaffect.cli.predict import EXAMPLES, RENAMED, predict
from triaffect.cli.studies.commands import (
    EXPORT_EXAMPLES,
    GROUPS_EXAMPLES,
    SUMMARIZE_EXAMPLES,
    export_events,
    groups,
    summarize,
)
from triaffect.cli.submit import CHECK_EXAMPLES, SUBMIT_EXAMPLES, submit, submit_check
from triaffect.cli.train import EXAMPLES as TRAIN_EXAMPLES
from triaffect.cli.train import EXPORT_MODEL_EXAMPLES, OLD_VALUES, export, train
from triaffect.cli.train import RENAMED as TRAIN_RENAMED
from triaffect.cli.web_app import APP_EXAMPLES, web_app
from triaffect.errors import TriaffectError, explain_missing_library, explain_old_processor
from triaffect.version import __version__

_INTERRUPTED = 130
"""What typer makes of Ctrl-C: the shell's code for a program that was ended by it."""

_EXTRAS = {
    **dict.fromkeys(["torch", "onnx", "onnxscript", "safetensors"], ("training", "train")),
    "ray": ("Ray", "ray"),
    **dict.fromkeys(["starlette", "uvicorn", "websockets"], ("a web server", "app")),
    **dict.fromkeys(["openpyxl", "pyreadstat"], ("tables of Excel and SPSS", "office")),
    "pympi": ("ELAN's files", "elan"),
}
"""By package that predicting does without: what it is for, and the extra that brings it."""

_PREDICT, _STUDIES, _TRAINING, _CHALLENGE = "Predict", "Studies", "Train", "Challenge"
"""Panels of the help."""

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Valence-arousal, expression and action units from faces and voices in video.",
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"triaffect {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Hold the options of the program itself."""


add_command(app, predict, examples=EXAMPLES, renamed=RENAMED, panel=_PREDICT)
add_command(app, web_app, "app", examples=APP_EXAMPLES, panel=_PREDICT)
add_command(app, summarize, examples=SUMMARIZE_EXAMPLES, panel=_STUDIES)
add_command(app, groups, examples=GROUPS_EXAMPLES, panel=_STUDIES)
add_command(app, export_events, "export-events", examples=EXPORT_EXAMPLES, panel=_STUDIES)
add_command(app, extract, examples=EXTRACT_EXAMPLES, renamed=EXTRACT_RENAMED, panel=_TRAINING)
add_command(app, join, examples=JOIN_EXAMPLES, panel=_TRAINING)
add_command(
    app,
    train,
    examples=TRAIN_EXAMPLES,
    renamed=TRAIN_RENAMED,
    old_values=OLD_VALUES,
    panel=_TRAINING,
)
add_command(app, export, examples=EXPORT_MODEL_EXAMPLES, panel=_TRAINING)
add_command(app, evaluate, examples=EVALUATE_EXAMPLES, panel=_TRAINING)
add_command(app, compare, examples=COMPARE_EXAMPLES, renamed=COMPARE_RENAMED, panel=_TRAINING)
add_command(app, submit, examples=SUBMIT_EXAMPLES, panel=_CHALLENGE)
add_command(app, submit_check, "submit-check", examples=CHECK_EXAMPLES, panel=_CHALLENGE)
add_command(app, demo, examples=DEMO_EXAMPLES, renamed=DEMO_RENAMED, panel=_TRAINING)
app.add_typer(corpus_app, name="corpus", rich_help_panel=_TRAINING)
app.add_typer(scores_app, name="scores", rich_help_panel=_CHALLENGE)


def _add_moved(name: str, replacement: str) -> None:
    """Add a hidden command that says where it went, whatever its arguments."""

    def moved() -> None:
        remedy = f"run `{replacement}` in a checkout of the repository"
        raise TriaffectError("a command of the installed program", f"{name}, which moved", remedy)

    settings = {"ignore_unknown_options": True, "allow_extra_args": True}
    app.command(name, hidden=True, add_help_option=False, context_settings=settings)(moved)


_add_moved("bench", "python benchmarks/bench.py")
_add_moved("weights", "python -m tools.keras_import")


def main() -> None:
    """Run the command line; a user's mistake ends in one line and exit code 2."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # what it would say is said in our words
    try:
        app()
    except TriaffectError as error:
        sys.stderr.write(f"triaffect: {error}\n")
        sys.exit(2)
    except ImportError as error:
        message = _explain_missing(error)
        if message is None:
            raise
        sys.stderr.write(f"triaffect{message}\n")
        sys.exit(2)
    except RuntimeError as error:
        explained = explain_old_processor(error)
        if explained is None:
            raise
        sys.stderr.write(f"triaffect: {explained}\n")
        sys.exit(2)
    except SystemExit as ending:
        if ending.code == _INTERRUPTED:
            sys.stderr.write("triaffect: interrupted; what was finished is kept\n")
        raise


def _explain_missing(error: ImportError) -> str | None:
    """One line for a package or system library that is not installed; None for another error."""
    if (explained := explain_missing_library(error)) is not None:
        return f": {explained}"
    package = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or package not in _EXTRAS:
        return None
    command = next((word for word in sys.argv[1:] if re.fullmatch(r"[a-z][a-z-]*", word)), "")
    purpose, extra = _EXTRAS[package]
    return f' {command} needs {purpose}: pip install "triaffect[{extra}]"'
