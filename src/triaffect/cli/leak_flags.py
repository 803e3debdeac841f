"""The options ``--allow-leak`` and ``--drop-leak`` as one choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from triaffect.errors import RunError

if TYPE_CHECKING:
    from triaffect.training.leaks import LeakChoice


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
    from triaffect.training.leaks import LeakChoice

    if allow and drop:
        raise RunError("--allow-leak or --drop-leak", "both")
    if allow:
        return LeakChoice.ALLOW
    return LeakChoice.DROP if drop else None
