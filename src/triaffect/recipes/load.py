"""Read a recipe file, what it extends, and overrides; explain what does not fit."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from triaffect.errors import RecipeError
from triaffect.models.base import find_network
from triaffect.recipes.config import Recipe

Tree = dict[str, Any]


def shipped_recipes() -> dict[str, Path]:
    """List the recipes that come with the package.

    Returns:
        File of each by its name, in alphabetical order; those of sibling systems last.

    Examples:
        >>> list(shipped_recipes())[:2]
        ['default', 'finetune']
    """
    folder = Path(str(files("triaffect.recipes")))
    paths = [*sorted(folder.glob("*.toml")), *sorted(folder.glob("siblings/*.toml"))]
    return {path.stem: path for path in paths}


def load_recipe(recipe: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Resolve a recipe.

    Args:
        recipe: A TOML file, or the name of a shipped recipe with or without ``.toml``.
        overrides: ``key.path=value`` with a TOML value; a bare word is text. The first key
            may be a stage's name.

    Returns:
        The recipe, with what it extends and the overrides, checked.

    Raises:
        RecipeError: No such recipe, bad TOML, an unknown key or an ill-typed value.
        PluginError: The network of another package is missing or fails on import.

    Examples:
        >>> load_recipe("default", ["data.batch_size=64"]).data.batch_size
        64
    """
    path = _find(str(recipe))
    tree = _read(path, ())
    for override in overrides:
        _set(tree, override)
    return parse_recipe(tree, str(path.name))


def recipe_hash(recipe: Recipe) -> str:
    """Compute the SHA-256 of the resolved recipe, independent of how its file is written.

    Args:
        recipe: The recipe; a key that recipes had not from the start counts once it is set.

    Returns:
        64 hexadecimal digits.
    """
    text = json.dumps(recipe.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _find(recipe: str) -> Path:
    """Find the file of a recipe; a file of that name goes before a shipped recipe."""
    shipped = shipped_recipes()
    path = Path(recipe)
    if path.is_file():
        return path
    if path.parent == Path() and path.name.removesuffix(".toml") in shipped:
        return shipped[path.name.removesuffix(".toml")]
    raise RecipeError(
        "a recipe file or one of " + ", ".join(shipped), f"'{recipe}'", "check the name"
    )


def _read(path: Path, chain: tuple[Path, ...]) -> Tree:
    """Read a file and what it extends; ``chain`` are the files that led to it."""
    if path in chain:
        raise RecipeError("recipes that extend each other in a line", "a circle", where=path)
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError("a TOML file", str(error), where=path) from None
    parent, removed = tree.pop("extends", None), tree.pop("remove", [])
    if parent is None:
        return tree
    if not isinstance(parent, str) or not isinstance(removed, list):
        raise RecipeError("extends to be a file name, remove a list of keys", "neither", where=path)
    beside = path.parent / parent
    base = _read(beside if beside.is_file() else _find(parent), (*chain, path))
    for key in removed:  # TOML has no word for "not any more"
        *parents, last = str(key).split(".")
        node: Any = base
        for each in parents:
            node = node.get(each, {}) if isinstance(node, dict) else {}
        if not isinstance(node, dict) or last not in node:
            raise RecipeError("remove to name a key of the extended file", f"'{key}'", where=path)
        del node[last]
    return _merge(base, tree)


def _merge(base: Tree, change: Mapping[str, Any]) -> Tree:
    """Put a file's tables into those it extends, key by key."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        merged[key] = value
        if isinstance(old, dict) and isinstance(value, dict):
            kind = old.get("kind")
            # A table that changes its kind starts afresh: the old kind's keys mean nothing to it.
            merged[key] = _merge(old, value) if value.get("kind", kind) == kind else value
    return merged


def _set(tree: Tree, override: str) -> None:
    """Set one key; a value that is no TOML is text."""
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError("an override key.path=value", f"'{override}'")
    if keys[0] in tree.get("stages", {}):
        keys = ["stages", *keys]
    node = tree
    for key in keys[:-1]:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise RecipeError(f"a table at {key}", f"a value in '{override}'")
    try:
        node[keys[-1]] = tomllib.loads(f"v = {text.strip()}")["v"]
    except tomllib.TOMLDecodeError:
        node[keys[-1]] = text.strip()


def parse_recipe(tree: Tree, where: str) -> Recipe:
    """Check a resolved recipe.

    Args:
        tree: Its tables.
        where: What to name in an error.

    Returns:
        The recipe.

    Raises:
        RecipeError: A key that this version does not know, with the nearest valid one; a
            missing key; or an ill-typed value.
        PluginError: The network of another package is missing or fails on import.
    """
    net = tree.get("net")
    try:
        if isinstance(net, dict) and isinstance(net.get("kind"), str):
            spec = find_network(net["kind"]).spec
            try:
                tree = {**tree, "net": spec.model_validate(net)}
            except ValidationError as error:
                first = error.errors()[0]
                raise _explain(first, ("net", *first["loc"]), where, spec) from None
        return Recipe.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        raise _explain(first, first["loc"], where) from None


def _explain(
    error: Mapping[str, Any],
    location: tuple[int | str, ...],
    where: str,
    spec: type[BaseModel] | None = None,
) -> RecipeError:
    """Say what is wrong with a key or a value; ``spec`` has the keys of its table, if given."""
    keys = [str(part) for part in location]
    path = ".".join(keys)
    if error["type"] == "extra_forbidden":
        # The fields of the table at these keys, through unions and dictionaries.
        models: list[type[BaseModel]] = [spec or Recipe]
        for key in keys[:-1] if spec is None else []:
            annotations = [m.model_fields[key].annotation for m in models if key in m.model_fields]
            if annotations:
                models = [model for annotation in annotations for model in _models_in(annotation)]
        valid = sorted({name for model in models for name in model.model_fields})
        near = difflib.get_close_matches(keys[-1], valid, n=1, cutoff=0.4)
        hint = f"did you mean '{near[0]}'?" if near else "known keys: " + ", ".join(valid)
        return RecipeError("a known key", f"'{path}'", hint, where=where)
    if error["type"] == "missing":
        return RecipeError(f"the key '{path}'", "none", where=where)
    message = str(error["msg"]).removeprefix("Value error, ")
    key = "" if not path else f" for '{path}'"
    return RecipeError(f"a valid value{key}", f"{error['input']!r:.80}", message, where=where)


def _models_in(annotation: object) -> list[type[BaseModel]]:
    """List the models that a type names, such as those of a union or a dictionary."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
