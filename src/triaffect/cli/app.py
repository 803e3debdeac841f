"""The command ``triaffect``: its subcommands, and how an error reaches the user."""

from __future__ import annotations

import sys

import typer

from triaffect.cli.bench import bench_app
from triaffect.cli.compare import compare
from triaffect.cli.corpus import corpus_app
from triaffect.cli.demo import demo
from triaffect.cli.evaluate import evaluate
from triaffect.cli.extract import extract
from triaffect.cli.join import join
from triaffect.cli.predict import predict
from triaffect.cli.scores import scores_app
from triaffect.cli.submit import submit, submit_check
from triaffect.cli.train import train
from triaffect.cli.weights import weights_app
from triaffect.errors import TriaffectError

_INTERRUPTED = 130
"""What typer makes of Ctrl-C: the shell's code for a program that was ended by it."""

_SYSTEM_LIBRARIES = ("libGL.so", "libglib-", "libgthread-")
"""What opencv needs of the system; bare servers lack it."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Valence-arousal, expression and action units from faces and voices in video.",
)
app.add_typer(corpus_app, name="corpus")
app.add_typer(bench_app, name="bench")
app.add_typer(scores_app, name="scores")
app.add_typer(weights_app, name="weights")
app.command()(extract)
app.command()(join)
app.command()(train)
app.command()(evaluate)
app.command()(compare)
app.command()(submit)
app.command("submit-check")(submit_check)
app.command()(predict)
app.command()(demo)


def main() -> None:
    """Run the command line; a user's mistake ends in one line and exit code 2."""
    try:
        app()
    except TriaffectError as error:
        sys.stderr.write(f"triaffect: {error}\n")
        sys.exit(2)
    except ImportError as error:
        if not any(library in str(error) for library in _SYSTEM_LIBRARIES):
            raise
        remedy = "on Debian and Ubuntu: apt-get install libgl1 libglib2.0-0"
        sys.stderr.write(f"triaffect: opencv needs libGL and glib, got {error}; {remedy}\n")
        sys.exit(2)
    except SystemExit as ending:
        if ending.code == _INTERRUPTED:
            sys.stderr.write("triaffect: interrupted; what was finished is kept\n")
        raise
