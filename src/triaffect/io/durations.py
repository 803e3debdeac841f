"""Parse lengths of time as users write them: ``0.4s``, ``400ms`` or ``0.4``."""

from __future__ import annotations

import math
import re

from triaffect.errors import TableError

_DURATION = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*(ms|s|)", re.ASCII)


def seconds_of(text: str) -> float:
    """Seconds that a text says; NaN if it says none."""
    found = _DURATION.fullmatch(text.strip().lower())
    return float(found[1]) / (1000 if found[2] == "ms" else 1) if found else math.nan


def read_seconds(text: str | float, where: str, least: float, most: float) -> float:
    """A length of time in seconds.

    Args:
        text: The number with or without its unit; seconds without.
        where: The option, for the error.
        least: Shortest that makes sense, in seconds.
        most: Longest, likewise.

    Raises:
        TableError: It is no length of time, or out of bounds.
    """
    seconds = seconds_of(str(text))
    if not least <= seconds <= most:
        expected = f"a time from {least:g}s to {most:g}s, as 0.4s, 400ms or 0.4"
        raise TableError(expected, repr(text), where=where)
    return seconds
