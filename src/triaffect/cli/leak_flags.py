"""The options ``--allow-leak`` and ``--drop-leak`` as one choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.errors import RunError

if TYPE_CHECKING:
    from triaffect.training.leaks import LeakChoice


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
