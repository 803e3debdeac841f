"""Read JSON that the package wrote into typed records, every damage named.

A record is a pydantic model or a dataclass. Reading is strict: a field that is missing, of another
type or unknown is an error of this package that says which and what was there instead.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from triaffect.errors import TriaffectError

T = TypeVar("T")

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)
"""Of a record: no unknown field, no conversion between types, no change."""
_LONGEST = 80


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

    Raises:
        TriaffectError: Of the class ``error``: a field does not fit.
    """
    try:
        # as JSON and not as objects: a list is then a tuple, and nothing else converts
        record: T = _adapter(kind).validate_json(json.dumps(content))  # type: ignore[arg-type]
    except ValidationError as problem:
        expected, got = _first_problem(problem)
        raise error(expected, got, remedy, where=where) from problem
    return record


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - any class
    """Make an adapter once: it takes a while, and a store has a line for each of its sources."""
    return TypeAdapter(kind)


def _first_problem(problem: ValidationError) -> tuple[str, str]:
    """What was expected of the first field that does not fit, and what was there."""
    first = problem.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"]) or "the content"
    if first["type"] == "missing":
        return f"the field {name}", "none"
    if first["type"] == "extra_forbidden":
        return "only fields that this version knows", name
    rule = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{name}: {rule}", repr(first["input"])[:_LONGEST]
