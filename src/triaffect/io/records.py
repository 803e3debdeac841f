"""Read JSON that the package wrote into typed records, every damage named.

A record is a dataclass. Reading is strict: a field that is missing, of another type or unknown is
an error of this package that says which and what was there instead. It is done here and not by
pydantic, which recipes are read with: to import that takes longer than to load a model.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from triaffect.errors import TriaffectError

T = TypeVar("T")

_LONGEST = 80
_PLAIN: dict[Any, tuple[tuple[type[Any], ...], str]] = {
    str: ((str,), "a valid string"),
    int: ((int,), "a valid integer"),
    float: ((float, int), "a valid number"),
    bool: ((bool,), "a valid boolean"),
    type(None): ((type(None),), "null"),
}
"""Which values of JSON a type takes, and what it is called."""

_Path = tuple[str | int, ...]


class _MisfitError(ValueError):
    """What is somewhere in the content does not fit.

    Args:
        path: Names and numbers that lead there.
        rule: What should be there.
        got: What is; `MISSING` for nothing.
    """

    def __init__(self, path: _Path, rule: str, got: object) -> None:
        super().__init__(rule)
        self.path, self.rule, self.got = path, rule, got


def parse_record(
    kind: type[T], content: object, error: type[TriaffectError], remedy: str, where: Path | str
) -> T:
    """Make a record of decoded JSON.

    Args:
        kind: A dataclass of strings, numbers, ``Literal``, tuples, lists, mappings by name, other
            dataclasses, and any of them or None. ``Annotated`` names functions that raise a
            ValueError for what its type alone allows; so may ``__post_init__``.
        content: What was decoded.
        error: Raised where it does not fit.
        remedy: What to do then.
        where: File, and line if it has many, that the content came from.

    Returns:
        An instance of ``kind``; lists of the content are tuples in it where its fields are.

    Raises:
        TriaffectError: Of the class ``error``: a field does not fit. The message names the first.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Box:
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
        record: T = _read(kind, content, ())
    except _MisfitError as misfit:
        name = ".".join(str(part) for part in misfit.path) or "the content"
        if misfit.got is MISSING:
            raise error(f"the field {name}", "none", remedy, where=where) from misfit
        if not misfit.rule:
            expected = "only fields that this version knows"
            raise error(expected, name, remedy, where=where) from misfit
        got = repr(misfit.got)[:_LONGEST]
        raise error(f"{name}: {misfit.rule}", got, remedy, where=where) from misfit
    return record


def _read(kind: Any, content: Any, path: _Path) -> Any:  # noqa: ANN401 - any type's value
    """Make a value of a type out of decoded JSON; raise a `_MisfitError` where it is of another."""
    if kind is Any:
        return content
    if kind in _PLAIN:
        takes, rule = _PLAIN[kind]
        if not isinstance(content, takes) or (isinstance(content, bool) and kind is not bool):
            raise _MisfitError(path, rule, content)
        return float(content) if kind is float else content
    if is_dataclass(kind):
        return _read_fields(kind, content, path)
    return _read_composite(get_origin(kind), get_args(kind), content, path)


def _read_composite(origin: Any, inner: tuple[Any, ...], content: Any, path: _Path) -> Any:  # noqa: ANN401
    """Make a value of a type that is made of others."""
    if origin is Literal:
        if not any(content == each and type(content) is type(each) for each in inner):
            *some, last = map(repr, inner)
            raise _MisfitError(path, f"{', '.join(some)} or {last}" if some else last, content)
        return content
    if origin is Annotated:
        value = _read(inner[0], content, path)
        for check in inner[1:]:
            _call(check, (value,), content, path)
        return value
    if origin in (Union, types.UnionType):
        (other,) = (each for each in inner if each is not type(None))  # the only unions there are
        return None if content is None else _read(other, content, path)
    return _read_several(origin, inner, content, path)


def _read_fields(kind: Any, content: Any, path: _Path) -> Any:  # noqa: ANN401 - any dataclass
    """Make a dataclass of an object with a value for each field that has no default."""
    if not isinstance(content, dict):
        raise _MisfitError(path, "an object with fields", content)
    hints, has_default = _fields_of(kind)
    values = {}
    for name, hint in hints.items():
        if name in content:
            values[name] = _read(hint, content[name], (*path, name))
        elif not has_default[name]:
            raise _MisfitError((*path, name), "", MISSING)
    for name in content.keys() - hints.keys():
        raise _MisfitError((*path, name), "", content[name])
    return _call(lambda: kind(**values), (), content, path)


@cache
def _fields_of(kind: Any) -> tuple[dict[str, Any], dict[str, bool]]:  # noqa: ANN401 - a dataclass
    """The type of each field of a dataclass, and whether it has a default."""
    hints = get_type_hints(kind, include_extras=True)
    has_default = {
        each.name: each.default is not MISSING or each.default_factory is not MISSING
        for each in fields(kind)
    }
    return {name: hints[name] for name in has_default}, has_default


def _read_several(origin: Any, inner: tuple[Any, ...], content: Any, path: _Path) -> Any:  # noqa: ANN401
    """Make a tuple, list or mapping with values of the types in ``inner``."""
    if origin is dict or origin is Mapping:
        if not isinstance(content, dict):
            raise _MisfitError(path, "an object", content)
        return {
            _read(inner[0], name, (*path, name)): _read(inner[1], value, (*path, name))
            for name, value in content.items()
        }
    if origin not in (tuple, list):
        raise TypeError(f"a type that records may have expected, got {origin}")
    if not isinstance(content, list):
        raise _MisfitError(path, "a list", content)
    kinds = inner if origin is tuple and inner[-1] is not ... else inner[:1] * len(content)
    if len(kinds) != len(content):
        raise _MisfitError(path, f"a list of {len(kinds)}", content)
    return origin(
        _read(kind, each, (*path, number))
        for number, (kind, each) in enumerate(zip(kinds, content, strict=True))
    )


def _call(function: Any, values: tuple[Any, ...], content: Any, path: _Path) -> Any:  # noqa: ANN401
    try:
        return function(*values)
    except ValueError as error:
        raise _MisfitError(path, str(error), content) from error
