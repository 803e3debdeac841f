"""Objects that other packages add: by entry point, or by a dotted path such as ``my_module:NAME``.

An installed package offers an object under a name in its ``pyproject.toml``::

    [project.entry-points."triaffect.tasks"]
    ENG = "my_module:ENGAGEMENT"

A module that is merely on the path is named by its dotted path instead.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from triaffect.errors import PluginError


@dataclass(frozen=True)
class Plugin:
    """Where an object that another package adds comes from.

    Attributes:
        path: Its module and name, such as ``"my_module:ENGAGEMENT"``.
        package: The installed package that holds the module; empty for a mere file.
        version: Version of that package; empty likewise.
    """

    path: str
    package: str = ""
    version: str = ""

    @property
    def module(self) -> str:
        """The module to import."""
        return self.path.partition(":")[0]

    def to_json(self) -> dict[str, str]:
        """Return the attributes as plain values, without those that are empty.

        Examples:
            >>> Plugin("my_module:ENGAGEMENT").to_json()
            {'path': 'my_module:ENGAGEMENT'}
        """
        return {name: value for name, value in asdict(self).items() if value}

    def load(self, what: str) -> Any:  # noqa: ANN401 - an object of any type
        """Import the object.

        Args:
            what: The object in words, for an error, such as ``"task ENG"``.

        Returns:
            What the path names; its type is for the caller to check.

        Raises:
            PluginError: There is no such module, it fails on import, or lacks the name.
        """
        expected = f"the {what} of `{self.module}`"
        install = f"pip install {self.package}" if self.package else (
            "pip install the package that has it, or add its folder to PYTHONPATH"
        )  # fmt: skip
        try:
            value: Any = importlib.import_module(self.module)
        except Exception as error:  # whatever a stranger's module does
            name = error.name if isinstance(error, ModuleNotFoundError) else None
            if name is not None and f"{self.module}.".startswith(f"{name}."):
                raise PluginError(expected, f"no module {name}", install) from None
            got = f"{type(error).__name__}: {' '.join(str(error).split())[:100]}"
            remedy = f"mend {self.package or self.module}, which fails on import"
            raise PluginError(expected, got, remedy) from error
        for name in self.path.partition(":")[2].split("."):
            if not hasattr(value, name):
                remedy = f"check the name, or {install}"
                raise PluginError(expected, f"a module without {name}", remedy)
            value = getattr(value, name)
        return value


def find_plugin(group: str, name: str) -> Plugin | None:
    """Find an object by its name among entry points, or by its dotted path.

    Args:
        group: Group of entry points, such as ``"triaffect.tasks"``.
        name: Name of an entry point, or module and name with a colon between them.

    Returns:
        Where it comes from; None if no installed package offers that name. A dotted path always
        has a result, and nothing is imported: `Plugin.load` tells whether the module is there.

    Examples:
        >>> find_plugin("triaffect.tasks", "my_module:ENGAGEMENT")
        Plugin(path='my_module:ENGAGEMENT', package='', version='')
    """
    from importlib.metadata import entry_points, version  # noqa: PLC0415 - slow to import

    if ":" in name:
        packages = _distributions().get(name.partition(":")[0].partition(".")[0], [])
        return Plugin(name, packages[0], version(packages[0])) if packages else Plugin(name)
    for each in entry_points(group=group, name=name):
        return Plugin(each.value, each.dist.name, each.dist.version) if each.dist else None
    return None


def plugin_names(group: str) -> list[str]:
    """List the names that installed packages offer, sorted; none of them is imported.

    Args:
        group: Group of entry points, such as ``"triaffect.tasks"``.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import

    return sorted({each.name for each in entry_points(group=group)})


@cache
def _distributions() -> Mapping[str, list[str]]:
    """List the installed packages by the modules that they hold; looked for once."""
    from importlib.metadata import packages_distributions  # noqa: PLC0415 - slow to import

    return packages_distributions()
