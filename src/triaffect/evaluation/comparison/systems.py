"""What is compared: recipes, each with its runs by seed, some of them still to train."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from triaffect.errors import RecipeError, RunError, StoreError
from triaffect.evaluation.comparison.budgets import NO_BUDGET, Budget
from triaffect.features.store import FeatureStore
from triaffect.recipes.config import EXTERNAL, INITIAL, Recipe
from triaffect.recipes.corpora import fit_to_store
from triaffect.recipes.load import load_recipe, recipe_hash, shipped_recipes
from triaffect.training.run_folder import (
    InitialWeights,
    RunDescription,
    RunFolder,
    find_initial_weights,
    is_finished,
    read_description,
)
from triaffect.training.view import LeakChoice

_WORDS = {
    "recipe": "their recipes",
    "initial": "the weights they began with",
    "teachers": "the runs that they learn from",
    "leaks": "what was done about leaks",
    "data": "the store they learn from",
}
"""What makes runs of one name different systems, by its name in `RunIdentity`."""


@dataclass(frozen=True)
class RunIdentity:
    """What all runs of one recipe have in common.

    Attributes:
        recipe: Hash of the resolved recipe.
        initial: Hash of the weights they began with; None for random ones.
        teachers: Hashes of the finished runs that they learn from.
        leaks: What was done about people and videos in several splits.
        data: Fingerprint of the store they learn from; empty if it lacks what the recipe reads.
    """

    recipe: str
    initial: str | None
    teachers: tuple[str, ...]
    leaks: str
    data: str


@dataclass(frozen=True)
class ComparedRecipe:
    """A recipe and its runs.

    Attributes:
        recipe: The recipe.
        identity: What they have in common.
        runs: Folders of the runs by seed.
        initial: Weights that runs still to train begin with.
    """

    recipe: Recipe
    identity: RunIdentity
    runs: dict[int, Path] = field(default_factory=dict)
    initial: InitialWeights | None = None

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return self.recipe.name


def find_entries(
    what: Sequence[str],
    store: FeatureStore,
    out: Path,
    seeds: Iterable[int],
    changes: Sequence[str] = (),
    leaks: LeakChoice = LeakChoice.REFUSE,
    init: str | None = None,
    budget: Budget = NO_BUDGET,
) -> list[ComparedRecipe]:
    """Group recipes and run folders by recipe, in their order on the command line.

    Args:
        what: Names of shipped recipes, recipe files, and folders of finished runs.
        store: What missing runs learn from.
        out: Where missing runs of a recipe are made, as ``<name>/seed-<seed>``.
        seeds: Of each recipe's runs; the folder of a run takes the place of its own seed's.
        changes: Overrides of every recipe that is not the folder of a run.
        leaks: What missing runs do about people and videos in several splits.
        init: Model that recipes with such a stage start from; see
            `triaffect.training.run_folder.find_initial_weights`.
        budget: What each missing run may spend on training.

    Returns:
        Each recipe once, with the runs that are there and those to train.

    Raises:
        RecipeError: No such recipe, two of one name, one that needs weights to begin with, or
            changes or weights to start from without a recipe for them.
        RunError: A folder without a finished run, one seed twice, or a folder below ``out``
            that holds another run than it should.
    """
    entries: dict[str, ComparedRecipe] = {}
    trained: dict[str, None] = {}
    for each in what:
        if _is_run(each):
            entry = _entry_of_run(Path(each))
        else:
            entry = _entry_of_recipe(each, changes, store, leaks, init, budget)
            trained[entry.name] = None
        first = entries.setdefault(entry.name, entry)
        _need_same(first, entry)
        if not _is_run(each):
            entries[entry.name] = first = replace(first, initial=entry.initial)
        for seed, folder in entry.runs.items():
            _add_run(first, seed, folder)
    _check_options([entries[name] for name in trained], changes, init, budget)
    if trained and out.exists() and not out.is_dir():
        raise RunError("a folder for the runs", "a file", "choose another --output", where=out)
    for name in trained:
        for seed in seeds:
            if seed not in entries[name].runs:
                entries[name].runs[seed] = out / name / f"seed-{seed}"
                _check_folder(entries[name], seed)
    return list(entries.values())


def _check_options(
    trained: Sequence[ComparedRecipe], changes: Sequence[str], init: str | None, budget: Budget
) -> None:
    """Check that every option has a recipe to act on."""
    if (changes or budget != NO_BUDGET) and not trained:
        option = "--set" if changes else "--updates or --seconds"
        raise RecipeError(f"a recipe that {option} can change", "finished runs alone", where=option)
    if init is not None and not any(each.initial for each in trained):
        got = ", ".join(each.name for each in trained) or "finished runs alone"
        expected = "a recipe that starts from other weights, such as finetune"
        raise RecipeError(expected, got, "leave it out", where="--init")


def _is_run(what: str) -> bool:
    """Tell whether a run folder is meant; a folder may be called as a shipped recipe is."""
    path = Path(what)
    return path.is_dir() and (
        RunFolder(path).description.is_file() or what not in shipped_recipes()
    )


def _entry_of_run(folder: Path) -> ComparedRecipe:
    """Return the recipe of a finished run, with that run."""
    description = read_description(folder)
    if not is_finished(folder):
        remedy = "finish it with train --resume, or give its recipe"
        raise RunError("a finished run", "one without scores", remedy, where=folder)
    runs = {description.seed: folder}
    return ComparedRecipe(description.recipe, _identity_of(description), runs)


def _entry_of_recipe(
    name: str,
    changes: Sequence[str],
    store: FeatureStore,
    leaks: LeakChoice,
    init: str | None,
    budget: Budget,
) -> ComparedRecipe:
    """Return a recipe without runs."""
    recipe = budget.apply(fit_to_store(load_recipe(name, changes), store), store)
    if not re.fullmatch(r"\w[\w.+-]*", recipe.name):
        expected = "a recipe's name of letters, digits and . _ + -, as its folder is named so"
        raise RecipeError(expected, repr(recipe.name), where=name)
    teachers = {stage.teacher for stage in recipe.stages.values()}
    if EXTERNAL in teachers or (INITIAL in teachers and init is None):
        remedy = "name the weights it starts from, such as --init default"
        if EXTERNAL in teachers:
            remedy = "train it with 'train --teacher' and compare the run folders"
        raise RecipeError(
            "recipes that need no other weights",
            f"{recipe.name}, which learns from another model or other runs",
            remedy,
            where=name,
        )
    initial = find_initial_weights(init, recipe, store) if init and INITIAL in teachers else None
    try:
        data = store.fingerprint(recipe.data.external)
    except StoreError:  # each of its runs will say what the store lacks
        data = ""
    sha256 = None if initial is None else initial.sha256
    identity = RunIdentity(recipe_hash(recipe), sha256, (), str(leaks), data)
    return ComparedRecipe(recipe, identity, initial=initial)


def _identity_of(run: RunDescription) -> RunIdentity:
    return RunIdentity(run.recipe_hash, run.initial, run.teachers, str(run.leaks), run.data)


def _differing(one: RunIdentity, other: RunIdentity) -> list[str]:
    """Say in what two runs differ."""
    return [text for name, text in _WORDS.items() if getattr(one, name) != getattr(other, name)]


def _need_same(first: ComparedRecipe, other: ComparedRecipe) -> None:
    """Check that two recipes of one name are one."""
    if differ := _differing(first.identity, other.identity):
        raise RecipeError(
            "different names for different systems",
            f"two named {first.name}, which differ in {' and '.join(differ)}",
            "change 'name' in a recipe file that extends the other",
        )


def _add_run(entry: ComparedRecipe, seed: int, folder: Path) -> None:
    there = entry.runs.setdefault(seed, folder)
    if there.resolve() != folder.resolve():
        expected = f"one run of {entry.name} with seed {seed}"
        raise RunError(expected, f"another in {there}", where=folder)


def _check_folder(entry: ComparedRecipe, seed: int) -> None:
    """Check that the folder of a run, if there is one, holds that run."""
    folder = entry.runs[seed]
    if not RunFolder(folder).description.exists():
        return
    description = read_description(folder)
    others = _differing(_identity_of(description), entry.identity)
    if description.seed != seed:
        others.append("seed")
    if others and entry.identity.data:
        raise RunError(
            f"a run of the recipe {entry.name} on this store with seed {seed}",
            f"another, by {' and '.join(others)}",
            "choose another --output, or give that folder away",
            where=folder,
        )
