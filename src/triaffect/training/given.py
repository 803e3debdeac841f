"""Finished runs as teachers: which ones fit a recipe, and the network that they are together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from triaffect.errors import RunError
from triaffect.features.model_folder import file_hash
from triaffect.features.store import FeatureStore
from triaffect.nets.ensemble import Ensemble
from triaffect.recipes.recipe import GIVEN, Recipe
from triaffect.tasks.registry import TASKS
from triaffect.tasks.registry import task as task_by_key
from triaffect.tasks.task import Task
from triaffect.training.build import build_net
from triaffect.training.initial import fill
from triaffect.training.place import Place
from triaffect.training.run_folder import (
    GivenTeacher,
    RunFolder,
    is_finished,
    read_about,
    read_recipe,
    recipes_of_teachers,
)


def find_teachers(runs: Sequence[Path], recipe: Recipe) -> list[GivenTeacher]:
    """Find the weights of finished runs and see that they can teach a recipe.

    Args:
        runs: Their folders.
        recipe: The recipe that learns from them.

    Raises:
        RunError: A folder holds no finished run, or one whose network takes another input or
            knows none of the recipe's tasks.
    """
    return [_find_teacher(run, recipe) for run in runs]


def kept_teachers(root: Path, recipe: Recipe, resume: bool) -> list[GivenTeacher]:
    """The teachers that a run keeps, so that it goes on without the runs that they come from.

    Args:
        root: The run folder, or where it will be.
        recipe: What is trained.
        resume: Whether to go on with the run that is there.

    Raises:
        RunError: Its ``run.json`` is damaged.
    """
    listens = any(stage.teacher == GIVEN for stage in recipe.stages.values())
    if not (listens and resume and RunFolder(root).about.exists()):
        return []
    hashes = read_about(root).get("teachers", [])
    kept = enumerate(zip(recipes_of_teachers(root), hashes, strict=True))
    return [GivenTeacher(theirs, RunFolder(root).teacher(n), sha) for n, (theirs, sha) in kept]


def _find_teacher(run: Path, recipe: Recipe) -> GivenTeacher:
    theirs = read_recipe(run)
    if not is_finished(run):
        remedy = "finish it with train --resume"
        raise RunError("a finished run as teacher", "one without scores", remedy, where=run)
    wanted, got = _input_of(recipe), _input_of(theirs)
    if got != wanted:
        raise RunError(f"a teacher that takes {wanted}", got, where=run)
    if not set(theirs.tasks) & set(recipe.tasks):
        known = ", ".join(theirs.tasks)
        raise RunError(f"a teacher of {', '.join(recipe.tasks)}", f"one of {known}", where=run)
    weights = RunFolder(run).weights(list(theirs.stages)[-1], "best")
    return GivenTeacher(theirs, weights, file_hash(weights))


def _input_of(recipe: Recipe) -> str:
    """In words, what a recipe's network is shown."""
    data = recipe.data
    if data.input == "logmel":
        return f"logmel of {data.stretch_s:g} s"
    if data.input == "crops":
        return data.input
    streams = ", ".join((data.face, data.voice, *data.extra))
    return f"windows of {streams}, {data.window}"


def open_teachers(
    folder: RunFolder, store: FeatureStore, known: Sequence[Task], place: Place
) -> nn.Module:
    """The teachers that a run was given, as one network in evaluation mode.

    Args:
        folder: The run folder that keeps them.
        store: What the run learns from.
        known: The tasks of the run; a teacher may know others too, which nobody asks about.
        place: Where the run computes.

    Raises:
        RunError: The folder is damaged.
    """
    members = []
    for number, recipe in enumerate(recipes_of_teachers(folder.root)):
        tasks = [task_by_key(key, (*known, *TASKS)) for key in recipe.tasks]
        stage = list(recipe.stages.values())[-1]
        net = build_net(recipe, stage, store, tasks)
        fill(net, folder.teacher(number))
        members.append(net.to(place.device))
    return Ensemble(members).eval().requires_grad_(requires_grad=False)


def known_to_teachers(folder: RunFolder, tasks: Sequence[Task]) -> list[Task]:
    """Those of a run's tasks that one of its given teachers at least can speak of."""
    known = {key for recipe in recipes_of_teachers(folder.root) for key in recipe.tasks}
    return [task for task in tasks if task.key in known]
