"""What can be seen to be wrong with a run before its folder is made."""

from __future__ import annotations

from collections.abc import Sequence

from triaffect.errors import RecipeError, StoreError
from triaffect.recipes.recipe import GIVEN, INITIAL, Stage
from triaffect.training.build import build_net
from triaffect.training.held_out import HELD_OUT
from triaffect.training.initial import fill
from triaffect.training.run_folder import GivenTeacher, Initial
from triaffect.training.stage_run import Work


def check_stages(
    work: Work, initial: Initial | None, teachers: Sequence[GivenTeacher] = ()
) -> None:
    """See that every stage has rows, a network that takes them, and the weights it wants.

    Args:
        work: What the stages share; nothing of its folder is looked at.
        initial: Weights to start from.
        teachers: Finished runs to learn from.

    Raises:
        StoreError: The store has no rows for a stage to learn from or to choose on, or lacks
            what the network needs.
        RecipeError: The network does not fit the recipe, or a stage wants initial weights
            or given teachers; or teachers are given that no stage listens to.
        RunError: The initial weights are another network's.
    """
    for name, stage in work.recipe.stages.items():
        _check_rows(work, name, stage)
        if stage.teacher == INITIAL and initial is None:
            raise RecipeError(
                f"initial weights for the stage {name} to learn from",
                "none",
                "add --init default, a model folder or a run",
            )
        if stage.teacher == GIVEN and not teachers:
            raise RecipeError(
                f"teachers for the stage {name}", "none", "add --teacher RUN, once for each"
            )
        net = build_net(work.recipe, stage, work.store, work.tasks)
        if initial is not None:
            fill(net, initial.path)
    if teachers and all(stage.teacher != GIVEN for stage in work.recipe.stages.values()):
        raise RecipeError(
            f'a stage with teacher = "{GIVEN}" for the runs given', "none", "leave --teacher out"
        )


def _check_rows(work: Work, name: str, stage: Stage) -> None:
    if not any(kind in work.pools("train") for kind in stage.updates):
        raise StoreError(
            "training rows for the updates " + ", ".join(stage.updates),
            "none",
            "extract a corpus with such labels, and with faces and sound for as long before "
            "each as the recipe's windows want",
            where=work.store.path,
        )
    others = list(work.pools(work.choosing))
    if stage.selection.pool not in others and not work.recipe.data.refit:
        remedy = "give some people the split 'validation', and extract into a new store"
        if work.choosing == HELD_OUT:
            remedy = "extract more people, or --set data.held_out=0 to choose on validation"
        if others:
            remedy += f", or --set {name}.selection.pool={others[0]}"
        raise StoreError(
            f"{work.choosing} rows in the pool {stage.selection.pool}",
            "none",
            remedy,
            where=work.store.path,
        )
