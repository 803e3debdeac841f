"""Durations as options take them: ``0.4s``, ``400ms`` or ``0.4``."""

from __future__ import annotations

import math
import re

from triaffect.errors import TriaffectError

_DURATION = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*(ms|s|)", re.ASCII)


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
    seconds = _seconds(text)
    if not seconds <= longest_s:
        expected = f"{what} from 0 to {longest_s:g} s, such as 0.4s or 400ms"
        pointed = text.strip().replace(",", ".")
        remedy = f"write {pointed}" if _seconds(pointed) <= longest_s else ""
        raise TriaffectError(expected, repr(text), remedy, where=option)
    return seconds


def _seconds(text: str) -> float:
    """Seconds that a text says; NaN if it says none."""
    found = _DURATION.fullmatch(text.strip().lower())
    return float(found[1]) / (1000 if found[2] == "ms" else 1) if found else math.nan
