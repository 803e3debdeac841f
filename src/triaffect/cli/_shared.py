"""What commands share: durations, JSON output, progress, warnings."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triaffect.errors import RunError, TriaffectError
from triaffect.io.durations import seconds_of

if TYPE_CHECKING:
    from triaffect.corpora.base import Corpus
    from triaffect.training.view import LeakChoice


def read_duration(text: str, option: str, what: str, longest_s: float) -> float:
    """Seconds of a duration such as ``0.4s``, ``400ms`` or ``0.4``.

    Args:
        text: What the user wrote.
        option: The option it was written for.
        what: What the duration is, such as ``"a delay"``.
        longest_s: More than this is a mistake in the unit.

    Raises:
        TriaffectError: It is no such text, or too long.
    """
    seconds = seconds_of(text)
    if not seconds <= longest_s:
        expected = f"{what} from 0 to {longest_s:g} s, such as 0.4s or 400ms"
        pointed = text.strip().replace(",", ".")
        remedy = f"write {pointed}" if seconds_of(pointed) <= longest_s else ""
        raise TriaffectError(expected, repr(text), remedy, where=option)
    return seconds


def need_place(path: Path) -> None:
    """See that a file can be written, before the work whose result it is to hold.

    Raises:
        TriaffectError: There is a folder of that name, or its folder cannot be written to.
    """
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir():
        raise TriaffectError("a file to write", "a folder", "add a file name", where=path)
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise TriaffectError("a folder that can be written to", "another", where=parent)


def write_json_file(path: Path, content: Any) -> None:  # noqa: ANN401 - anything JSON can say
    """Write indented JSON aside and rename it; folders are made as needed.

    Raises:
        TriaffectError: It cannot be written there.
    """
    aside = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        aside.replace(path)
    except OSError as error:
        got = str(error.strerror)
        raise TriaffectError("a file that can be written", got, where=path) from error


Told = Callable[[int, int, str], None]
"""Called with what is done, what there is in all, and a word about it."""


@contextmanager
def progress_bar() -> Iterator[Told]:
    """A bar on stderr, told after each piece of work; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    console = Console(stderr=True)
    silent = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=silent) as bar:
        task = bar.add_task("", total=None)

        def told(done: int, total: int, word: str) -> None:
            bar.update(task, completed=done, total=total, description=word)

        yield told


def training_word(stage: str, loss: float) -> str:
    """What is going on in training; the loss where there is one."""
    return stage if math.isnan(loss) else f"{stage}, loss {loss:.3f}"


AllowLeak = Annotated[
    bool, typer.Option("--allow-leak", help="Learn from people and videos of other splits too.")
]
DropLeak = Annotated[
    bool, typer.Option("--drop-leak", help="Leave out rows of people and videos of other splits.")
]


def leak_choice(*, allow: bool, drop: bool) -> LeakChoice | None:
    """What to do about people and videos in several splits; None if nothing is said.

    Raises:
        RunError: Both were given.
    """
    from triaffect.training.view import LeakChoice

    if allow and drop:
        raise RunError("--allow-leak or --drop-leak", "both")
    if allow:
        return LeakChoice.ALLOW
    return LeakChoice.DROP if drop else None


def tell_unread(corpus: Corpus) -> None:
    """Say on stderr where labels may be missing by mistake.

    Columns of a table that are passed over, one of which may be misspelt; and that a folder is
    taken for one without labels.
    """
    from triaffect.corpora.label_table import LabelTable
    from triaffect.corpora.media_folder import MediaFolder

    names = corpus.passed_over if isinstance(corpus, LabelTable) else []
    if names:
        typer.echo(f"triaffect: warning: columns passed over: {', '.join(names)}", err=True)
    if isinstance(corpus, MediaFolder):
        typer.echo(
            f"triaffect: warning: {corpus.root}: no label file of a known form; each of its "
            f"{len(corpus.sources()):,} files is a source without labels",
            err=True,
        )
