"""Average the weights of runs that began at the same weights, and export the result.

``python -m tools.average_runs RUN RUN... OUTPUT --store STORE`` writes OUTPUT, a copy of the first
run whose best weights are the mean of all runs', with its model folder and scores. Trainings of
one recipe that began alike (``--init``) and differ by their seed mostly lie in one basin, where the
mean of weights reads about as well as all of them together, at the cost of one (Wortsman and others
2022, arXiv 2203.05482); not if what they began at had seen no label yet (journal of 2026-11-30), so
look at the scores. A mean that only teaches may cost more: with ``--mirror``, which face
networks have, it answers by a face and its mirror image. RUN may then be one alone. With
``--last`` the weights are those of the last epochs: where a score of few rows decides, the best
epoch is one of luck, and what a rate that fell to 0 ends in reads better in the mean.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from triaffect.errors import RunError, TriaffectError
from triaffect.features.store import FeatureStore
from triaffect.io.atomic import replace_folder, write_json
from triaffect.recipes.load import parse_recipe, recipe_hash
from triaffect.training.export.run import export_run
from triaffect.training.run_folder import RunFolder, read_description
from triaffect.training.scoring import open_run, score_run


def average_runs(
    runs: Sequence[Path],
    output: Path,
    store: FeatureStore,
    *,
    last: bool = False,
    mirror: bool = False,
) -> None:
    """Write a run whose best weights are the mean of others', of their last stage.

    Args:
        runs: Finished runs of one recipe.
        output: Folder of the new run; it must not be there.
        store: What they learned from.
        last: Take the weights of their last epochs, not of the best ones.
        mirror: Let it answer by a face and its mirror image.

    Raises:
        RunError: They are of several recipes or networks, or OUTPUT is there.
    """
    if output.exists():
        raise RunError("a new folder", "one that is there", where=output)
    recipes = [read_description(run).recipe for run in runs]
    for run, recipe in zip(runs, recipes, strict=True):
        if recipe.net != recipes[0].net or list(recipe.stages) != list(recipes[0].stages):
            raise RunError("runs of one network", "another one", where=run)
    stage = list(recipes[0].stages)[-1]
    which = "last" if last else "best"
    parts = [load_file(RunFolder(run).weights(stage, which)) for run in runs]
    for run, part in zip(runs, parts, strict=True):
        if differing := sorted(part.keys() ^ parts[0].keys()):
            got = f"one that differs in {differing[0]}"
            raise RunError("runs of one network", got, "train both by one version", where=run)
    mean = {
        name: torch.stack([part[name].double() for part in parts]).mean(0).to(value.dtype)
        for name, value in parts[0].items()
    }
    with replace_folder(output) as new:
        ignore = shutil.ignore_patterns("model", "lock")
        shutil.copytree(runs[0], new, ignore=ignore, dirs_exist_ok=True)
        folder = RunFolder(new)
        save_file(mean, folder.weights(stage, "best"))
        if mirror:
            content = json.loads(folder.description.read_text(encoding="utf-8"))
            content["recipe"]["net"]["mirror"] = True
            recipe = parse_recipe(content["recipe"], str(folder.description))
            write_json(folder.description, {**content, "recipe_hash": recipe_hash(recipe)})
        export_run(folder, store)
        context, _ = open_run(new, store)
        write_json(folder.scores, score_run(context))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("output", type=Path)
    parser.add_argument("--store", type=Path, required=True, help="what they learned from")
    parser.add_argument("--last", action="store_true", help="of the last epochs, not of the best")
    parser.add_argument("--mirror", action="store_true", help="answer by both sides of a face")
    arguments = parser.parse_args()
    average_runs(
        arguments.runs,
        arguments.output,
        FeatureStore.open(arguments.store),
        last=arguments.last,
        mirror=arguments.mirror,
    )
    print(f"{arguments.output}: the mean of {len(arguments.runs)} runs")


if __name__ == "__main__":
    try:
        main()
    except (TriaffectError, OSError) as error:
        raise SystemExit(str(error)) from error
