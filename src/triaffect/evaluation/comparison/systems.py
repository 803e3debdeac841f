"""What is compared: recipes, each with its runs by seed, and which of those are still to train."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from triaffect.errors import RecipeError, RunError, StoreError
from triaffect.features.store import FeatureStore
from triaffect.recipes.config import EXTERNAL, INITIAL, Recipe
from triaffect.recipes.load import load_recipe, recipe_hash, shipped_recipes
from triaffect.training.run_folder import (
    RunDescription,
    RunFolder,
    is_finished,
    read_description,
)
from triaffect.training.view import LeakChoice

_WORDS = {
    "recipe": "their recipes",
    "initial": "the weights they began with",
    "teachers": "the runs that taught them",
    "leaks": "what was done about leaks",
    "data": "the store they learnt from",
}
"""What makes runs of one name different systems, by its name in `Identity`."""


@dataclass(frozen=True)
class Identity:
    """What all runs of one entry have in common.

    Attributes:
        recipe: Hash of the resolved recipe.
        initial: Hash of the weights they began with, if they were given any.
        teachers: Hashes of the finished runs that taught them.
        leaks: What was done about people and videos in several splits.
        data: Fingerprint of the store they learnt from; empty if it lacks what the recipe reads.
    """

    recipe: str
    initial: str | None
    teachers: tuple[str, ...]
    leaks: str
    data: str


@dataclass(frozen=True)
class Entry:
    """A recipe and its runs.

    Attributes:
        recipe: What they trained, or are to train.
        identity: What they have in common.
        runs: Their folders by seed.
    """

    recipe: Recipe
    identity: Identity
    runs: dict[int, Path] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the recipe, by which the entry goes."""
        return self.recipe.name


def find_entries(
    what: Sequence[str],
    store: FeatureStore,
    out: Path,
    seeds: Iterable[int],
    changes: Sequence[str] = (),
    leaks: LeakChoice = LeakChoice.REFUSE,
) -> list[Entry]:
    """Put recipes and run folders together as entries, in the order they were given.

    Args:
        what: Names of shipped recipes, recipe files, and folders of finished runs.
        store: What missing runs learn from.
        out: Where missing runs of a recipe are made, as ``<name>/seed-<seed>``.
        seeds: Of each recipe's runs; a run folder that was given takes its own seed's place.
        changes: Overrides of every recipe that was not given as a run.
        leaks: What missing runs do about people and videos in several splits.

    Raises:
        RecipeError: No such recipe, two of one name, one that needs weights to begin with, or
            changes without a recipe to change.
        RunError: A folder without a finished run, one seed twice, or a folder below ``out``
            that holds another run than it should.
    """
    if changes and all(_is_run(each) for each in what):
        raise RecipeError("a recipe that --set can change", "finished runs alone", where="--set")
    entries: dict[str, Entry] = {}
    trained: dict[str, None] = {}
    for each in what:
        entry = _of_run(Path(each)) if _is_run(each) else _of_recipe(each, changes, store, leaks)
        known = entries.setdefault(entry.name, entry)
        _need_same(known, entry)
        for seed, folder in entry.runs.items():
            _add(known, seed, folder)
        if not _is_run(each):
            trained[entry.name] = None
    if trained and out.exists() and not out.is_dir():
        raise RunError("a folder for the runs", "a file", "choose another --out", where=out)
    for name in trained:
        for seed in seeds:
            if seed not in entries[name].runs:
                entries[name].runs[seed] = out / name / f"seed-{seed}"
                _check_folder(entries[name], seed)
    return list(entries.values())


def _is_run(what: str) -> bool:
    """Whether a run folder is meant; a folder beside may be called as a shipped recipe is."""
    path = Path(what)
    return path.is_dir() and (
        RunFolder(path).description.is_file() or what not in shipped_recipes()
    )


def _of_run(folder: Path) -> Entry:
    """The entry that a finished run stands for, with it alone."""
    description = read_description(folder)
    if not is_finished(folder):
        remedy = "finish it with train --resume, or give its recipe"
        raise RunError("a finished run", "one without scores", remedy, where=folder)
    return Entry(description.recipe, _identity_of(description), {description.seed: folder})


def _of_recipe(name: str, changes: Sequence[str], store: FeatureStore, leaks: LeakChoice) -> Entry:
    """The entry of a recipe, without runs."""
    recipe = load_recipe(name, changes)
    if not re.fullmatch(r"\w[\w.+-]*", recipe.name):
        expected = "a recipe's name of letters, digits and . _ + -, as its folder is named so"
        raise RecipeError(expected, repr(recipe.name), where=name)
    if any(stage.teacher in {INITIAL, EXTERNAL} for stage in recipe.stages.values()):
        raise RecipeError(
            "recipes that need no other weights",
            f"{recipe.name}, which learns from a model or runs that it is given",
            "train it with 'train --init' or 'train --teacher' and give the run folders",
            where=name,
        )
    try:
        data = store.fingerprint(recipe.data.external)
    except StoreError:  # each of its runs will say what the store lacks
        data = ""
    return Entry(recipe, Identity(recipe_hash(recipe), None, (), str(leaks), data))


def _identity_of(run: RunDescription) -> Identity:
    return Identity(run.recipe_hash, run.initial, run.teachers, str(run.leaks), run.data)


def _need_same(known: Entry, other: Entry) -> None:
    """See that two entries of one name are one."""
    pairs = [
        (name, getattr(known.identity, name), getattr(other.identity, name)) for name in _WORDS
    ]
    differ = [_WORDS[name] for name, one, two in pairs if one != two]
    if differ:
        raise RecipeError(
            "different names for different systems",
            f"two named {known.name}, which differ in {' and '.join(differ)}",
            "change 'name' in a recipe file that extends the other",
        )


def _add(entry: Entry, seed: int, folder: Path) -> None:
    there = entry.runs.setdefault(seed, folder)
    if there.resolve() != folder.resolve():
        expected = f"one run of {entry.name} with seed {seed}"
        raise RunError(expected, f"another in {there}", where=folder)


def _check_folder(entry: Entry, seed: int) -> None:
    """See that what is in a run's place, if anything, is that run."""
    folder = entry.runs[seed]
    if not RunFolder(folder).description.exists():
        return
    description = read_description(folder)
    found, own = _identity_of(description), entry.identity
    others = [_WORDS[name] for name in _WORDS if getattr(found, name) != getattr(own, name)]
    if description.seed != seed:
        others.append("seed")
    if others and own.data:
        raise RunError(
            f"a run of the recipe {entry.name} on this store with seed {seed}",
            f"another, by {' and '.join(others)}",
            "choose another --out, or give that folder away",
            where=folder,
        )
