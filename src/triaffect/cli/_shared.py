"""The vocabulary of the command line, so that an option means the same in every command.

A command takes its common options from here, as annotated types with one spelling and one help
text, and is registered by `add_command`: that gives it ``--quiet``, examples at the end of its
help, and old spellings that still work, with a warning.
"""

from __future__ import annotations

import functools
import inspect
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum, StrEnum
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import OptionInfo

from triaffect.errors import RunError, TriaffectError

if TYPE_CHECKING:
    from triaffect.corpora.base import Corpus
    from triaffect.io.engines import Engine
    from triaffect.training.view import LeakChoice


class Device(StrEnum):
    """Where networks run."""

    CPU = "cpu"
    CUDA = "cuda"


class SplitName(StrEnum):
    """A split of a store."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class EngineName(StrEnum):
    """What computes."""

    PROCESSES = "processes"
    RAY = "ray"


class Precision(StrEnum):
    """Floating-point numbers of a forward pass in training."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


def output_option(help_: str) -> OptionInfo:
    """Make the option ``-o/--output`` with a help text of the command's own.

    Args:
        help_: The text.

    Returns:
        What annotates a parameter.

    Examples:
        ``output: Annotated[Path, output_option("Run folder to make.")]``
    """
    made: OptionInfo = typer.Option("--output", "-o", help=help_, show_default=False)
    return made


def sound_track_option(panel: str | None = None) -> OptionInfo:
    """Make the option ``--sound-track``.

    Args:
        panel: Heading under which the help shows it; None for the usual one.

    Returns:
        What annotates a parameter, a number from 1; None for the usual choice.
    """
    made: OptionInfo = typer.Option(
        "--sound-track",
        min=1,
        metavar="N",
        help="Which of a file's several sounds to use, from 1.",
        show_default="the default one, or the one most like a voice",
        rich_help_panel=panel,
    )
    return made


OutputOption = Annotated[Path, output_option("Where to write; folders are made as needed.")]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--report",
        help="Also write a page to look at, .html.",
        show_default=False,
        rich_help_panel="Extras",
    ),
]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", help="Also write everything to this JSON file.", show_default=False),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where the networks run.")]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision", help="Numbers of the forward pass.", show_default="as the recipe says"
    ),
]
"""Registered with ``old_values={"--precision": {"bf16": "bfloat16"}}``."""
JobsOption = Annotated[
    int | None,
    typer.Option("--jobs", "-j", min=1, help="Processes at once.", show_default="all cores"),
]
"""None stands for `triaffect.io.workers.count_cores`."""
EngineOption = Annotated[
    EngineName,
    typer.Option("--engine", help="Compute in processes here, or on a Ray cluster."),
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        help="Head node of the cluster, HOST:PORT, or auto for the one on this machine.",
        show_default="RAY_ADDRESS, else Ray on this machine alone",
    ),
]
SplitOption = Annotated[SplitName, typer.Option("--split", help="Rows to score on.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Random seed.")]
"""0 unless a command has a reason for another default."""

QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="No progress and no notes; warnings and errors stay."),
]
"""`add_command` gives it to every command."""

_NARROW = 80
"""Letters of a line from which on the help of a command has columns."""

_quiet = False
"""Whether progress and notes are off, by ``--quiet``."""


def add_command(
    app: typer.Typer,
    command: Callable[..., None],
    name: str | None = None,
    *,
    examples: Sequence[str] = (),
    renamed: Mapping[str, str] = MappingProxyType({}),
    old_values: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    panel: str | None = None,
) -> None:
    """Register a command.

    Args:
        app: The program, or a group of its commands.
        command: The function.
        name: What it is called by, if not by the function's name.
        examples: Command lines at the end of its help.
        renamed: New spellings of options by their old ones, which are accepted with a warning
            and not listed: ``{"--out": "--output"}``.
        old_values: By option, new values by their old ones, which are accepted.
        panel: Heading in the list of commands.
    """

    class Command(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's
            _convert_directly(self.get_params(ctx))
            words: list[str] = super().parse_args(ctx, _modernize(args, renamed, old_values))
            return words

        def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - click's
            # Columns side by side would cut the names of options short.
            if shutil.get_terminal_size().columns < _NARROW:
                self.rich_markup_mode = None
            super().format_help(ctx, formatter)

    lines = "\n\n".join(f"  {line}" for line in examples)
    epilog = f"Examples:\n\n{lines}" if examples else None
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    settings: dict[str, Any] = {"help": text, "epilog": epilog, "rich_help_panel": panel}
    app.command(name, cls=Command, **settings)(_with_quiet(command))


class CommandGroup(TyperGroup):
    """The program, or a group of its commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's
        """Parse the words before the command's name."""
        _convert_directly(self.get_params(ctx))
        words: list[str] = super().parse_args(ctx, args)
        return words


_NUMBERS = {int: "[0-9]{1,15}", float: "[0-9]{1,15}([.][0-9]{1,15})?"}
"""How plain numbers are written."""


def _convert_directly(parameters: Iterable[Any]) -> None:
    """Let parameters take texts, paths, choices and defaults as they are, without pydantic.

    typer builds a pydantic type for each parameter, used or not; to import that takes longer than
    all else that a command line needs. What this cannot convert, or might refuse, typer does.
    """
    for parameter in parameters:
        if hasattr(parameter, "type_descriptor"):  # or it is another version of typer
            parameter.process_value = partial(_process_value, parameter, parameter.process_value)


def _process_value(
    parameter: Any,  # noqa: ANN401 - click's
    otherwise: Callable[[Any, Any], Any],
    context: Any,  # noqa: ANN401 - click's
    value: Any,  # noqa: ANN401 - click's
) -> Any:  # noqa: ANN401 - of the parameter's type
    """Convert a parameter's value as click would, or as ``otherwise`` does."""
    kind, several = parameter.type_descriptor.annotation, parameter.multiple or parameter.nargs != 1
    if value is None and not parameter.required:
        nothing = () if several else None
        return parameter.callback(context, parameter, nothing) if parameter.callback else nothing
    values = list(value) if several and isinstance(value, (list, tuple)) else [value]
    item = get_args(kind)[0] if several and get_args(kind) else kind
    plain = [_convert_plain(item, each, parameter) for each in values]
    if not plain or parameter.callback or any(each is None for each in plain):
        return otherwise(context, value)
    return plain if several else plain[0]


def _convert_plain(kind: Any, value: Any, parameter: Any) -> Any:  # noqa: ANN401 - of any parameter
    """Convert a value to a type if it is plainly one of the parameter's; None for any other."""
    if type(value) is kind and (kind is str or value == parameter.default):
        return value
    limits = parameter.type_descriptor.parameter_info
    if kind in (int, float) and isinstance(value, str) and re.fullmatch(_NUMBERS[kind], value):
        number = kind(value)
        above = limits.min is None or limits.min <= number
        return number if above and (limits.max is None or number <= limits.max) else None
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next((each for each in kind if value in (each, each.value)), None)
    limited = limits.exists or limits.writable or limits.resolve_path or limits.allow_dash
    limited = limited or not (limits.file_okay and limits.dir_okay)
    if kind is Path and isinstance(value, str) and not limited:
        path = Path(value)
        return path if os.access(path, os.R_OK) or not path.exists() else None
    return None


def _with_quiet(command: Callable[..., None]) -> Callable[..., None]:
    """The command with ``--quiet`` as its last option."""

    @functools.wraps(command)
    def run(*values: Any, quiet: bool = False, **options: Any) -> None:  # noqa: ANN401 - any command's
        global _quiet  # noqa: PLW0603 - one command runs in a process
        _quiet = quiet
        command(*values, **options)

    signature = inspect.signature(command, eval_str=True)
    added = inspect.Parameter(
        "quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=QuietOption
    )
    parameters = {**signature.parameters, "quiet": added}
    run.__signature__ = signature.replace(parameters=list(parameters.values()))  # type: ignore[attr-defined]
    run.__annotations__ = {name: each.annotation for name, each in parameters.items()}
    return run


def _modernize(
    arguments: Sequence[str],
    renamed: Mapping[str, str],
    old_values: Mapping[str, Mapping[str, str]],
) -> list[str]:
    """Replace old spellings in the words of a command line; what follows ``--`` stays."""
    words: list[str] = []
    option = ""
    for index, argument in enumerate(arguments):
        if argument == "--":
            return [*words, *arguments[index:]]
        spelling, equals, value = argument.partition("=")
        if spelling in renamed:
            warn(f"{spelling} is now {renamed[spelling]}")
            spelling = renamed[spelling]
        if equals:
            value = old_values.get(spelling, {}).get(value, value)
        elif option:
            spelling = old_values.get(option, {}).get(spelling, spelling)
        words.append(f"{spelling}{equals}{value}")
        option = "" if equals else spelling
    return words


def warn(message: str) -> None:
    """Write a warning on stderr, in one line.

    Args:
        message: What the user should know, without "warning".
    """
    typer.echo(f"triaffect: warning: {message}", err=True)


def note(message: str) -> None:
    """Write on stderr what is good to know; nothing with ``--quiet``.

    Args:
        message: One line.
    """
    if not _quiet:
        typer.echo(f"triaffect: {message}", err=True)


def progress_line(text: str) -> None:
    """Write on stderr how far a long command is, for those who read it later too; not if quiet.

    Args:
        text: One line.
    """
    if not _quiet:
        typer.echo(text, err=True)


def name_outputs(*lines: str | Path | None) -> None:
    """Write the last lines of a command: one for each output, with a word on what it holds.

    Args:
        *lines: What was written, such as ``"t.csv: 653 rows from 11 files"`` or a path; None
            for what was not asked for.
    """
    for line in lines:
        if line is not None and not _quiet:
            typer.echo(str(line))


def count_of(number: int, noun: str) -> str:
    """Write a number with its noun.

    >>> count_of(1, "file"), count_of(1200, "row")
    ('1 file', '1200 rows')

    Args:
        number: How many.
        noun: For one of them; an s makes it several.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


Progress = Callable[[float, int, str], None]
"""Called with what is done, which may be a fraction, what there is in all, and a message."""


def _show_nothing(done: float, total: int, message: str) -> None:
    """Show no progress."""


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Show a bar with the time that is left on stderr, unless that is no terminal, or quiet.

    Yields:
        Moves the bar; it can be called in any case.
    """
    if _quiet or not sys.stderr.isatty():
        yield _show_nothing
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    console = Console(stderr=True)
    silent = not console.is_terminal
    with Bars(*columns, console=console, transient=True, disable=silent) as bar:
        task = bar.add_task("", total=None, count="")

        def show(done: float, total: int, message: str) -> None:
            count = f"{int(done)}/{total}" if total > 1 else f"{done:.0%}"
            bar.update(task, completed=done, total=total, description=message, count=count)

        yield show


def training_word(stage: str, loss: float) -> str:
    """Describe what is going on in training, with the loss where there is one.

    >>> training_word("student", 0.5), training_word("student: answers of teacher", math.nan)
    ('student, loss 0.500', 'student: answers of teacher')

    Args:
        stage: Name of the stage, or what is computed for it.
        loss: Of the latest iteration; NaN for none.
    """
    return stage if math.isnan(loss) else f"{stage}, loss {loss:.3f}"


AllowLeak = Annotated[
    bool, typer.Option("--allow-leak", help="Learn from people and videos of other splits too.")
]
DropLeak = Annotated[
    bool, typer.Option("--drop-leak", help="Leave out rows of people and videos of other splits.")
]


def leak_choice(*, allow: bool, drop: bool) -> LeakChoice | None:
    """Choose what to do about people and videos in several splits.

    Args:
        allow: Whether ``--allow-leak`` was given.
        drop: Whether ``--drop-leak`` was given.

    Returns:
        The choice; None if none was made.

    Raises:
        RunError: Both were given.
    """
    from triaffect.training.view import LeakChoice

    if allow and drop:
        raise RunError("--allow-leak or --drop-leak", "both")
    if allow:
        return LeakChoice.ALLOW
    return LeakChoice.DROP if drop else None


def make_cluster(engine: EngineName, ray_address: str | None, jobs: int | None) -> Engine | None:
    """Choose the cluster that computes.

    Args:
        engine: As in ``--engine``.
        ray_address: As in ``--ray-address``.
        jobs: Most items in flight; None for as many as the cluster has processors.

    Returns:
        The cluster; None for processes of this machine.

    Raises:
        TriaffectError: There is an address for another engine.
    """
    if engine is EngineName.RAY:
        from triaffect.io.cluster import RayCluster

        return RayCluster(ray_address, jobs)
    if ray_address is not None:
        raise TriaffectError("--engine ray", engine.value, "add it", where="--ray-address")
    return None


def warn_of_unread(corpus: Corpus) -> None:
    """Warn on stderr where labels may be missing by mistake.

    Columns of a table that are passed over, one of which may be misspelt; that a folder is
    taken for one without labels; and what may be wrong with tables of other programs.

    Args:
        corpus: The corpus as it was opened.

    Raises:
        TableError: A table of another program labels nothing of the corpus; see
            `SoftLabels.doubts`.
    """
    from triaffect.corpora.label_table import LabelTable
    from triaffect.corpora.media_folder import MediaFolder
    from triaffect.corpora.soft_labels import SoftLabels
    from triaffect.media.find import describe_passed_over

    for doubt in corpus.doubts() if isinstance(corpus, SoftLabels) else ():
        warn(doubt)
    own = corpus.corpus if isinstance(corpus, SoftLabels) else corpus
    names = own.passed_over if isinstance(own, LabelTable) else []
    if names:
        typer.echo(f"triaffect: warning: columns passed over: {', '.join(names)}", err=True)
    if isinstance(corpus, MediaFolder):
        typer.echo(
            f"triaffect: warning: {corpus.root}: no label file of a known form; each of its "
            f"{len(corpus.sources()):,} files is a source without labels",
            err=True,
        )
        if corpus.passed_over:
            warn(describe_passed_over(sorted(corpus.passed_over)))
