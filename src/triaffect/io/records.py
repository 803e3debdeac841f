"""Read JSON that the package wrote into typed records, every damage named.

A record is a pydantic model or a dataclass. Reading is strict: a field that is missing, of another
type or unknown is an error of this package that says which and what was there instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from triaffect.errors import TriaffectError

T = TypeVar("T")

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)
"""Of a record: no unknown field, no conversion between types, no change."""
_LONGEST = 80

_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)
"""Makes one adapter for each type: that takes a while, and a store has a line for each source."""


class Record(BaseModel):
    """A JSON object with known fields."""

    model_config = STRICT


def parse_record(
    kind: type[T], content: object, error: type[TriaffectError], remedy: str, where: Path | str
) -> T:
    """Make a record of decoded JSON.

    Args:
        kind: Its type; a dataclass says ``__pydantic_config__ = STRICT``.
        content: What was decoded.
        error: Raised where it does not fit.
        remedy: What to do then.
        where: File, and line if it has many, that the content came from.

    Returns:
        An instance of ``kind``; lists of the content are tuples in it where its fields are.

    Raises:
        TriaffectError: Of the class ``error``: a field does not fit. The message names the first.

    Examples:
        >>> class Box(Record):
        ...     width: int
        >>> parse_record(Box, {"width": 3}, TriaffectError, "measure again", "box.json")
        Box(width=3)
        >>> parse_record(Box, {"width": "3"}, TriaffectError, "measure again", "box.json")
        Traceback (most recent call last):
        ...
        triaffect.errors.TriaffectError: box.json: expected width: a valid integer, got '3'; \
measure again
    """
    try:
        # as JSON and not as objects: a list is then a tuple, and nothing else converts
        record: T = _adapter(kind).validate_json(json.dumps(content))
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "the content"
        if first["type"] == "missing":
            expected, got = f"the field {name}", "none"
        elif first["type"] == "extra_forbidden":
            expected, got = "only fields that this version knows", name
        else:
            rule = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            expected, got = f"{name}: {rule}", repr(first["input"])[:_LONGEST]
        raise error(expected, got, remedy, where=where) from problem
    return record
