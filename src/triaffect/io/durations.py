"""Parse durations and positions in a file as users write them: ``0.4s``, ``1/30``, ``1:30``."""

from __future__ import annotations

import math
import re

from triaffect.errors import TriaffectError

_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_UNITS = re.compile(rf"(?P<number>{_NUMBER})\s*(?P<unit>ms|s|)", re.ASCII)
_FRACTION = re.compile(r"(?P<over>[0-9]+)\s*/\s*(?P<under>[0-9]+)\s*s?", re.ASCII)
_CLOCK = re.compile(
    r"(?:(?P<h>[0-9]+):(?=[0-5][0-9]:))?(?P<m>[0-9]+):(?P<s>[0-5][0-9](?:\.[0-9]*)?)", re.ASCII
)
_MINUTE_S = 60


def parse_duration(
    text: str | float,
    where: str,
    *,
    most_s: float = math.inf,
    least_s: float = 0.0,
    what: str = "a time",
    error: type[TriaffectError] = TriaffectError,
) -> float:
    """Parse a duration, or a position in a file.

    Args:
        text: A number of seconds, or a text: ``0.4``, ``0.4s``, ``400ms``, ``1/30``, ``1:30``
            (minutes and seconds) or ``1:02:03.5`` (hours too).
        where: The option or argument it was written for.
        most_s: Largest that makes sense, in seconds; more is a mistake in the unit.
        least_s: Smallest, likewise.
        what: What it is, such as ``"a delay"``.
        error: Class of the error.

    Returns:
        Seconds.

    Raises:
        TriaffectError: It is no such text, or out of bounds.

    Example:
        >>> parse_duration("400ms", "--stride"), parse_duration("1:02:03.5", "--start")
        (0.4, 3723.5)
    """
    stated = str(text).strip()
    seconds = float(text) if isinstance(text, (int, float)) else _seconds(stated)
    if least_s <= seconds <= most_s and math.isfinite(seconds):
        return seconds
    bounds = f"from {least_s:g} to {most_s:g} s" if most_s < math.inf else f"from {least_s:g} s on"
    examples = "0.4s or 400ms" if most_s < _MINUTE_S else "0.4s, 400ms or 1:30"
    pointed = stated.replace(",", ".")
    remedy = f"write {pointed}" if least_s <= _seconds(pointed) <= most_s else ""
    raise error(f"{what} {bounds}, such as {examples}", repr(text), remedy, where=where)


def _seconds(text: str) -> float:
    """Seconds that a text states; NaN if it states none."""
    text = text.lower()
    if match := _UNITS.fullmatch(text):
        return float(match["number"]) / (1000 if match["unit"] == "ms" else 1)
    if match := _FRACTION.fullmatch(text):
        return int(match["over"]) / int(match["under"]) if int(match["under"]) else math.nan
    if match := _CLOCK.fullmatch(text):
        return 3600 * int(match["h"] or 0) + 60 * int(match["m"]) + float(match["s"])
    return math.nan
