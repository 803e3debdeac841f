"""The progress bar of long commands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
