"""Architecture figures of a source tree: python benchmarks/house.py [--repo BEFORE [AFTER]].

    python benchmarks/house.py --repo ../old . --except synthetic
    python benchmarks/house.py --list

Prints how many files, functions, folders and names a package has and how large they are; with two
trees, side by side. The source is parsed, never imported, so a tree of any age can be measured.
`--list` names whatever is over a limit in the last tree. `tests/architecture` asserts on the same
figures.

How it counts:

- Lines are all lines of a file. Functions are all `def`s: methods and nested functions too.
- The length of a body starts after the docstring. The length of a function includes its signature
  (the options of a command are its signature) but no docstring.
- Folders count every `.py` file directly in them, `__init__.py` as well.
- Folders named after `--except` are exempt from the limits on files, functions and folders; the
  means and medians include them.
- A banned word counts where a name is defined: modules, functions, classes, arguments, variables,
  attributes and import aliases. It counts as a whole name and as a part of one (`known_faces`,
  `_told`, `GivenTeacher`), unless the part belongs to one of `STANDARD_COMPOUNDS`.
- Classes include aliases of types (`Progress = Callable[...]`): both are what a signature names.
- Circles are between modules, from imports at the module's level, those for type checkers
  included. A name that a package exports leads to the module that defines it. What an
  `__init__.py` imports for type checkers only is its list of exports, and no import.
- Upward imports are judged by the layers of the import-linter contract in `pyproject.toml`, at
  whatever depth of a function they stand. The package itself belongs to the highest layer.
"""

from __future__ import annotations

import argparse
import ast
import re
import statistics
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "src/triaffect"
MAX_FILE_LINES = 700
MAX_FUNCTION_LINES = 45
MAX_FOLDER_FILES = 12

BANNED_WORDS = (
    *("told", "tell", "said", "asked", "found", "wanted", "given", "kept", "known", "aside"),
    *("alone", "learnt", "taught", "heard", "place", "stretch", "tape", "glance", "sight"),
    *("hearing", "ahead", "form", "about", "opening", "sinks", "many"),
)
"""Words of our own where the field has a term; see "Words" in the design."""

PLURALS = {
    f"{noun}{'es' if noun.endswith('ch') else 's'}": noun
    for noun in ("place", "stretch", "tape", "glance", "sight", "form", "opening")
}

STANDARD_COMPOUNDS = (
    *("in_place", "look_ahead", "read_ahead", "write_ahead", "not_found", "file_found"),
    *("time_stretch", "contrast_stretch", "gradient_tape", "well_known"),
    *("closed_form", "long_form", "wide_form", "wave_form", "form_data", "multipart_form"),
    *("how_many", "too_many", "as_many", "one_to_many", "many_to_one", "many_to_many"),
    *("morphological_opening", "decimal_place", "decimal_places"),
)
"""Terms of the field or plain English that contain a banned word as a part."""

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_COMPOUND = re.compile(rf"(?:(?<=_)|^)(?:{'|'.join(STANDARD_COMPOUNDS)})(?=_|$)")
_TYPE_NAME = re.compile(r"_?[A-Z]\w*[a-z]\w*")

Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class SourceFile:
    """One parsed file.

    Attributes:
        path: Relative to the package, such as ``faces/stream.py``.
        module: Dotted name, such as ``triaffect.faces.stream``.
        lines: Number of lines.
        tree: Its syntax tree.
    """

    path: str
    module: str
    lines: int
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        """Tell whether it is an ``__init__.py``."""
        return self.path.rpartition("/")[2] == "__init__.py"

    @property
    def folder(self) -> str:
        """Return the folder, relative to the package; ``.`` for the package itself."""
        return self.path.rpartition("/")[0] or "."


@dataclass(frozen=True)
class Function:
    """One function or method.

    Attributes:
        file: Where it is defined.
        node: Its definition.
        body_lines: Lines of the body, without the docstring.
        lines: Lines from ``def`` to the end, without the docstring.
    """

    file: SourceFile
    node: Definition
    body_lines: int
    lines: int

    @classmethod
    def measure(cls, file: SourceFile, node: Definition) -> Function:
        """Measure one definition."""
        docstring, *rest = node.body
        documented = ast.get_docstring(node, clean=False) is not None
        prose = docstring.end_lineno - docstring.lineno + 1 if documented else 0
        body = rest if documented else node.body
        body_lines = node.end_lineno - body[0].lineno + 1 if body else 0
        return cls(file, node, body_lines, node.end_lineno - node.lineno + 1 - prose)

    def __str__(self) -> str:
        """Name it with its file and line."""
        return f"{self.file.path}:{self.node.lineno} {self.node.name}"


@dataclass(frozen=True)
class Import:
    """One module of the package that another one imports.

    Attributes:
        source: Dotted name of the module that imports.
        target: Dotted name of the imported module.
        line: Where.
        at_module_level: Runs when the module is imported, or is for type checkers.
    """

    source: str
    target: str
    line: int
    at_module_level: bool


@dataclass
class House:
    """A package's source, and what can be counted in it.

    Attributes:
        files: Every source file of the package.
        layers: Layers of the import contract, the highest first; each a set of module names.
            Empty if there is no contract.
        exempt: Names of folders to which the limits do not apply.
    """

    files: tuple[SourceFile, ...]
    layers: tuple[frozenset[str], ...] = ()
    exempt: frozenset[str] = frozenset()
    _nodes: dict[str, list[ast.AST]] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, repo: Path, package: str = PACKAGE, exempt: Sequence[str] = ()) -> House:
        """Parse a package.

        Args:
            repo: Folder with ``pyproject.toml``.
            package: The package's folder, relative to `repo`.
            exempt: Names of folders to which the limits do not apply.

        Raises:
            FileNotFoundError: The folder has no Python file.
        """
        folder = repo / package
        paths = sorted(folder.rglob("*.py"))
        if not paths:
            raise FileNotFoundError(f"no Python file in {folder}: give --repo and --package")
        files = tuple(_parse(path, folder) for path in paths)
        return cls(files, _read_layers(repo / "pyproject.toml"), frozenset(exempt))

    @cached_property
    def modules(self) -> dict[str, SourceFile]:
        """Files by dotted name."""
        return {file.module: file for file in self.files}

    @cached_property
    def functions(self) -> list[Function]:
        """Every function and method."""
        return [
            Function.measure(file, node)
            for file in self.files
            for node in self.nodes(file)
            if isinstance(node, Definition)
        ]

    def nodes(self, file: SourceFile) -> list[ast.AST]:
        """Return every node of a file's syntax tree; computed once."""
        if file.module not in self._nodes:
            self._nodes[file.module] = list(ast.walk(file.tree))
        return self._nodes[file.module]

    def is_limited(self, file: SourceFile) -> bool:
        """Tell whether the limits apply to a file."""
        return not self.exempt & set(file.path.split("/"))

    def long_files(self) -> dict[str, int]:
        """Lines of files over the limit."""
        return {
            file.path: file.lines
            for file in self.files
            if file.lines > MAX_FILE_LINES and self.is_limited(file)
        }

    def long_functions(self, signature: bool = False) -> dict[str, int]:
        """Lines of functions over the limit.

        Args:
            signature: Count the signature too, not only the body.
        """
        return {
            str(each): length
            for each in self.functions
            if (length := each.lines if signature else each.body_lines) > MAX_FUNCTION_LINES
            and self.is_limited(each.file)
        }

    def folder_sizes(self) -> Counter[str]:
        """Files of each folder to which the limits apply."""
        return Counter(file.folder for file in self.files if self.is_limited(file))

    def full_folders(self) -> dict[str, int]:
        """Files of folders over the limit."""
        return {k: count for k, count in self.folder_sizes().items() if count > MAX_FOLDER_FILES}

    def banned_names(self) -> dict[str, list[str]]:
        """Definitions of names with a banned word, by word."""
        matches: dict[str, list[str]] = {}
        for file in self.files:
            for name, line in (*_module_names(file), *_defined_names(self.nodes(file))):
                for word in banned_words(name):
                    matches.setdefault(word, []).append(f"{file.path}:{line} {name}")
        return matches

    def class_definitions(self) -> dict[str, list[str]]:
        """Where each class and alias of a type is defined, by its name."""
        locations: dict[str, list[str]] = {}
        for file in self.files:
            nested = [node for node in self.nodes(file) if isinstance(node, ast.ClassDef)]
            aliases = ((name, line) for name, line in _type_aliases(file.tree))
            for name, line in (*((node.name, node.lineno) for node in nested), *aliases):
                locations.setdefault(name, []).append(f"{file.path}:{line}")
        return locations

    def repeated_classes(self) -> dict[str, list[str]]:
        """Where each class name with several definitions is defined."""
        return {k: where for k, where in self.class_definitions().items() if len(where) > 1}

    @cached_property
    def imports(self) -> list[Import]:
        """Imports between modules of the package."""
        exports = {file.module: _exports(file) for file in self.files if file.is_package}
        return [
            Import(file.module, target, node.lineno, at_module_level)
            for file in self.files
            for node, at_module_level in _import_nodes(file)
            for target in sorted(self._targets(file, node, exports))
            if target != file.module
        ]

    def _targets(
        self,
        file: SourceFile,
        node: ast.Import | ast.ImportFrom,
        exports: dict[str, dict[str, str]],
    ) -> set[str]:
        if isinstance(node, ast.Import):
            return {alias.name for alias in node.names if alias.name in self.modules}
        base = _absolute(file, node)
        targets = set()
        for alias in node.names:
            submodule, exported = f"{base}.{alias.name}", exports.get(base, {}).get(alias.name)
            targets.add(submodule if submodule in self.modules else base)
            if exported is not None:
                targets.add(exported)
        return targets & self.modules.keys()

    def circles(self) -> list[list[str]]:
        """Groups of modules that import each other at the modules' level."""
        graph: dict[str, set[str]] = {module: set() for module in self.modules}
        for each in self.imports:
            if each.at_module_level:
                graph[each.source].add(each.target)
        reach = {module: _reachable(graph, module) for module in graph}
        groups = {
            frozenset(other for other in reach[module] if module in reach[other])
            for module in graph
            if module in reach[module]
        }
        return sorted(sorted(group) for group in groups)

    def upward_imports(self) -> list[str]:
        """Imports from a layer above, or from a sibling in the same layer."""
        upward = []
        for each in self.imports:
            source, target = self._layer(each.source), self._layer(each.target)
            if source is None or target is None or source == target:
                continue
            if target[0] <= source[0] and self.layers:
                file = self.modules[each.source].path
                upward.append(f"{file}:{each.line} imports {each.target}")
        return upward

    def _layer(self, module: str) -> tuple[int, str] | None:
        """Number and name of a module's layer; the package itself is in the highest."""
        for number, layer in enumerate(self.layers):
            for name in layer:
                if module == name or module.startswith(f"{name}."):
                    return number, name
        if module.count(".") == 0 and self.layers:
            return 0, min(self.layers[0])
        return None

    def small_functions(self) -> list[str]:
        """One-line functions, undecorated, whose name is used once in the package."""
        uses: Counter[str] = Counter()
        for file in self.files:
            for node in self.nodes(file):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                    uses[node.id] += 1
                elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    uses[node.attr] += 1
        return [
            str(each)
            for each in self.functions
            if each.body_lines == 1
            and not each.node.decorator_list
            and not each.node.name.startswith("__")
            and uses[each.node.name] == 1
        ]


def banned_words(name: str) -> list[str]:
    """Return the banned words that a name is or contains, in order.

    >>> banned_words("_told"), banned_words("known_faces"), banned_words("GivenTeacher")
    (['told'], ['known'], ['given'])
    >>> banned_words("fill_in_place"), banned_words("FileNotFoundError"), banned_words("unknown")
    ([], [], [])
    """
    parts = "_".join(part.lower() for part in _PART.findall(name))
    words = (PLURALS.get(part, part) for part in _COMPOUND.sub("", parts).split("_"))
    return [word for word in words if word in BANNED_WORDS]


def _parse(path: Path, package: Path) -> SourceFile:
    text = path.read_text("utf-8")
    relative = path.relative_to(package)
    parts = (package.name, *relative.with_suffix("").parts)
    module = ".".join(parts).removesuffix(".__init__")
    return SourceFile(relative.as_posix(), module, len(text.splitlines()), ast.parse(text))


def _read_layers(pyproject: Path) -> tuple[frozenset[str], ...]:
    """Layers of the import contract, the highest first; siblings are separated by | or a colon."""
    if not pyproject.is_file():
        return ()
    tools = tomllib.loads(pyproject.read_text("utf-8")).get("tool", {})
    contracts = tools.get("importlinter", {}).get("contracts", [])
    layers = next((each["layers"] for each in contracts if each["type"] == "layers"), [])
    return tuple(
        frozenset(name.strip(" ()") for name in re.split(r"[|:]", layer)) for layer in layers
    )


def _module_names(file: SourceFile) -> Iterator[tuple[str, int]]:
    """Name of the module, or of the folder if it is the folder's ``__init__.py``."""
    yield file.module.rpartition(".")[2], 1


def _defined_names(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, int]]:
    """Every name that is defined, with its line; one that is assigned twice comes twice."""
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node.lineno
            case ast.ClassDef(name=name) | ast.arg(arg=name):
                yield name, node.lineno
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.ExceptHandler(name=str(name)) | ast.alias(asname=str(name)):
                yield name, node.lineno
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node.lineno


def _type_aliases(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Module-level aliases of types, with their lines: ``Progress = Callable[[int], None]``."""
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                is_type = isinstance(value, ast.Subscript | ast.BinOp | ast.Name | ast.Attribute)
                if is_type and _TYPE_NAME.fullmatch(name):
                    yield name, node.lineno


def _import_nodes(file: SourceFile) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Imports of a file, and whether they stand at the module's level."""
    stack: list[tuple[ast.AST, bool]] = [(node, True) for node in file.tree.body]
    while stack:
        node, at_module_level = stack.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, at_module_level
            continue
        if file.is_package and _is_for_type_checkers(node):
            stack += [(child, True) for child in node.orelse]
            continue
        inner = at_module_level and not isinstance(node, Definition | ast.Lambda)
        stack += [(child, inner) for child in ast.iter_child_nodes(node)]


def _is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _absolute(file: SourceFile, node: ast.ImportFrom) -> str:
    """Dotted name of the module that a ``from ... import`` names."""
    if not node.level:
        return node.module or ""
    parts = file.module.split(".")
    base = parts[: len(parts) - node.level + file.is_package]
    return ".".join([*base, *([node.module] if node.module else [])])


def _exports(package: SourceFile) -> dict[str, str]:
    """Modules from which an ``__init__.py`` takes its names, by name.

    Read from its imports, those for type checkers included, and from dictionaries that map a name
    to a module of the package.
    """
    exports = {}
    root = package.module.partition(".")[0]
    for node in ast.walk(package.tree):
        if isinstance(node, ast.ImportFrom):
            base = _absolute(package, node)
            exports |= {alias.asname or alias.name: base for alias in node.names}
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                match key, value:
                    case ast.Constant(value=str(name)), ast.Constant(value=str(module)):
                        relative = module.startswith(".")
                        exports[name] = f"{package.module}{module}" if relative else module
    return {k: module for k, module in exports.items() if module.split(".")[0] == root}


def _reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """Modules that can be reached from one by at least one import."""
    seen: set[str] = set()
    todo = list(graph[start])
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo += graph[module]
    return seen


def figures(house: House) -> dict[str, float | str]:
    """Compute every figure, by its title."""
    lines = sorted(file.lines for file in house.files)
    bodies = sorted(each.body_lines for each in house.functions)
    limited = [each for each in house.functions if house.is_limited(each.file)]
    files = [file for file in house.files if house.is_limited(file)]
    fullest, size = house.folder_sizes().most_common(1)[0]
    return {
        "files": len(lines),
        "lines": sum(lines),
        "lines a file, mean": round(statistics.mean(lines)),
        "lines a file, median": round(statistics.median(lines)),
        "longest file, lines": max(file.lines for file in files),
        f"files over {MAX_FILE_LINES} lines": len(house.long_files()),
        "functions": len(bodies),
        "functions per 1,000 lines": round(1000 * len(bodies) / sum(lines), 1),
        "body of a function, median lines": bodies[len(bodies) // 2],
        "body of a function, 95th percentile": bodies[int(len(bodies) * 0.95)],
        "longest body, lines": max(each.body_lines for each in limited),
        f"bodies over {MAX_FUNCTION_LINES} lines": len(house.long_functions()),
        "longest function with signature, lines": max(each.lines for each in limited),
        f"functions with signature over {MAX_FUNCTION_LINES} lines": len(
            house.long_functions(signature=True)
        ),
        "one-line functions with one caller": len(house.small_functions()),
        "folders": len({file.folder for file in house.files}),
        "most files in a folder": f"{size} ({fullest})",
        f"folders over {MAX_FOLDER_FILES} files": len(house.full_folders()),
        "names with a banned word": sum(map(len, house.banned_names().values())),
        "class names with several definitions": len(house.repeated_classes()),
        "circles of imports": len(house.circles()),
        "upward imports": len(house.upward_imports()) if house.layers else "no layers",
    }


def violations(house: House) -> Iterator[str]:
    """Name whatever is over a limit, a line each."""
    for title, sizes in (
        (f"files over {MAX_FILE_LINES} lines", house.long_files()),
        (f"bodies over {MAX_FUNCTION_LINES} lines", house.long_functions()),
        (f"functions with signature over {MAX_FUNCTION_LINES} lines", house.long_functions(True)),
        (f"folders over {MAX_FOLDER_FILES} files", house.full_folders()),
    ):
        yield f"\n{title}:"
        yield from (f"  {size:5} {name}" for name, size in sizes.items())
    for title, groups in (
        ("names with a banned word", house.banned_names()),
        ("class names with several definitions", house.repeated_classes()),
    ):
        yield f"\n{title}:"
        yield from (f"  {k}: {each}" for k, items in sorted(groups.items()) for each in items)
    yield "\ncircles of imports:"
    yield from (f"  {' <-> '.join(circle)}" for circle in house.circles())
    yield "\nupward imports:"
    yield from (f"  {each}" for each in house.upward_imports())
    yield "\none-line functions with one caller:"
    yield from (f"  {each}" for each in house.small_functions())


def print_table(houses: Sequence[House]) -> None:
    """Print the figures, a column for each tree."""
    columns = [figures(house) for house in houses]
    words = [{k: len(items) for k, items in house.banned_names().items()} for house in houses]
    headings = ("before", "after") if len(houses) > 1 else ("",)
    _print_row("", headings)
    for title in columns[0]:
        _print_row(title, [column[title] for column in columns])
    print()
    _print_row("banned words, definitions with each", headings)
    for word in BANNED_WORDS:
        if any(word in each for each in words):
            _print_row(f"  {word}", [each.get(word, 0) for each in words])


def _print_row(title: str, values: Sequence[float | str]) -> None:
    cells = (f"{value:,}" if isinstance(value, int | float) else value for value in values)
    print(f"{title:48}", *(f"{cell:>18}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repo", type=Path, nargs="+", default=[ROOT], help="one tree or two")
    parser.add_argument("--package", default=PACKAGE, help="the package's folder in the tree")
    parser.add_argument(
        "--except", dest="exempt", nargs="*", default=[], help="folders without limits"
    )
    parser.add_argument("--list", action="store_true", help="name whatever is over a limit")
    options = parser.parse_args()
    if len(options.repo) > 2:
        parser.error(f"expected one tree or two after --repo, got {len(options.repo)}")
    try:
        houses = [House.read(repo, options.package, options.exempt) for repo in options.repo]
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from error
    print_table(houses)
    if options.list:
        print("\n".join(violations(houses[-1])))


if __name__ == "__main__":
    main()
