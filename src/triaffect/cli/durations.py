"""Durations as options take them: ``0.4s``, ``400ms`` or ``0.4``."""

from __future__ import annotations

from triaffect.errors import TriaffectError
from triaffect.inference.duration import seconds_of


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
