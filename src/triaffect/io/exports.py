"""Public names of a package that are imported when they are first used.

So ``from triaffect.tasks import Task`` works, a file can be cut otherwise without touching its
users, and importing the package costs nothing.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence


def lazy_exports(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: Its ``__name__``.
        names: Public names by the module of the package that has them, such as
            ``{"task": ["Task", "TaskScore"]}``. Type checkers read them from imports under
            ``TYPE_CHECKING``, and from ``__all__``.

    Returns:
        The two functions.

    Examples:
        >>> get, list_names = lazy_exports("triaffect.io", {"durations": ["parse_duration"]})
        >>> get("parse_duration")("1:30", "--start")
        90.0
        >>> "parse_duration" in list_names()
        True
    """
    modules = {name: f"{package}.{module}" for module, public in names.items() for name in public}

    def import_name(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(modules[name]), name)

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return import_name, list_names
