"""A budget that every recipe of a comparison may spend on training, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path

from triaffect.errors import RecipeError, StoreError
from triaffect.features.store import FeatureStore
from triaffect.recipes.config import Recipe, Stage
from triaffect.tasks.registry import resolve_tasks
from triaffect.training.build import TrainingContext, build_samples
from triaffect.training.run_folder import RunFolder
from triaffect.training.view import LeakChoice, TrainingView
from triaffect.types import Split


@dataclass(frozen=True)
class Budget:
    """What a run may spend, all its stages and their members together; None is no limit.

    Attributes:
        updates: Steps of the optimizer.
        seconds: See `triaffect.recipes.config.Stage`.
    """

    updates: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.updates is not None and self.seconds is not None:
            raise RecipeError("one budget", "--updates and --seconds", "leave one out")

    def apply(self, recipe: Recipe, store: FeatureStore) -> Recipe:
        """Return a recipe that spends the budget, whatever its own epochs and patience are.

        Its stages share the budget in proportion to the updates that their own epochs would take.
        Of updates, each stage makes its share in as many epochs as it had, or a few less, so that
        the rate follows its schedule to the end; no stage ends early for want of a better score.

        Args:
            recipe: The recipe.
            store: What it learns from.

        Returns:
            The recipe with other stages; the same one without a budget, or where the store lacks
            what it needs.
        """
        if self.updates is None and self.seconds is None:
            return recipe
        work = _planned_work(recipe, store)
        whole = sum(epochs * iterations * steps for epochs, iterations, steps in work.values())
        stages, so_far, spent = dict(recipe.stages), 0, 0
        for name, (own_epochs, own_iterations, steps) in work.items():
            stage, own = recipe.stages[name], own_epochs * own_iterations * steps
            so_far += own
            if self.seconds is not None:
                stages[name] = stage.model_copy(update={"seconds": self.seconds * own / whole})
                continue
            due = round((self.updates or 0) * so_far / whole) - spent
            epochs, iterations = _split_evenly(max(1, round(due / steps)), own_epochs)
            spent += epochs * iterations * steps
            selection = stage.selection.model_copy(update={"patience": epochs})
            limits = {"epochs": epochs, "steps_per_epoch": iterations, "selection": selection}
            stages[name] = stage.model_copy(update=limits)
        return recipe.model_copy(update={"stages": stages})


NO_BUDGET = Budget()
"""Every recipe trains as it says."""


def _planned_work(recipe: Recipe, store: FeatureStore) -> dict[str, tuple[int, int, int]]:
    """Look up the work of every stage that is trained.

    Returns:
        By stage, its epochs, iterations an epoch, and steps of the optimizer an iteration; empty
        where the store lacks what the recipe needs, which training says better.
    """
    try:
        view, tasks = (
            TrainingView.of(recipe, store, 0, LeakChoice.ALLOW),
            resolve_tasks(recipe.tasks),
        )
        samples = build_samples(recipe.data, view.store, tasks)
    except StoreError:
        return {}
    context = TrainingContext(recipe, view.store, samples, tasks, RunFolder(Path()), 0)
    pools, data = context.pools(Split.TRAIN), recipe.data
    every = data.sequence_stride if data.sequences else 1

    def work(stage: Stage) -> tuple[int, int, int]:
        kinds = [kind for kind in stage.updates if kind in pools]
        largest = max((len(pools[kind][::every]) for kind in kinds), default=1)
        iterations = stage.steps_per_epoch or ceil(largest / data.batch_size)
        return stage.epochs, iterations, len(kinds) if stage.joint_step == "off" else 1

    stages = {name: work(stage) for name, stage in recipe.stages.items() if not stage.ensemble}
    return stages if all(steps for _, _, steps in stages.values()) else {}


def _split_evenly(iterations: int, epochs: int) -> tuple[int, int]:
    """Split iterations into epochs of one length: as many epochs as wished, or down to half of it.

    >>> _split_evenly(1000, 30)
    (25, 40)
    """
    most = min(epochs, iterations)
    choices = range(most, max(1, most // 2) - 1, -1)
    count = min(choices, key=lambda each: abs(each * round(iterations / each) - iterations))
    return count, max(1, round(iterations / count))
