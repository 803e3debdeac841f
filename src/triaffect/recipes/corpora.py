"""Write a recipe out for a store: for its corpora, and for crops in place of vectors.

A recipe that learns from several corpora, each with its own kind of label and its own teacher,
cannot name them beforehand. It has a stage with ``per_corpus = "stages"``, the teacher, and one
with ``per_corpus = "updates"``, the student; both learn from one pool. Once the store is known the
pool is divided by corpus, the first stage becomes one for each corpus, and the second gets an
update for each, taught by that corpus's stage. Tasks that no corpus has labels of are left out.

A recipe on vectors of single faces also learns from a store of gray crops: a face network is then
put before its own, and learns with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from triaffect.errors import StoreError
from triaffect.features.extractors.onnx import GRAY_INPUTS
from triaffect.features.store import FeatureStore
from triaffect.models.base import find_network
from triaffect.recipes.config import FACE, Recipe, Stage
from triaffect.tasks.registry import task as task_by_name
from triaffect.types import Split

FEWEST_CORPORA = 2


def fit_to_store(recipe: Recipe, store: FeatureStore) -> Recipe:
    """Write out the stages that a recipe has for each corpus, and what crops need.

    Args:
        recipe: Any recipe.
        store: What is learned from.

    Returns:
        The recipe with a pool for each corpus, named by it, and stages of its own, such as
        ``teacher_deam``, and with a face network on a store of crops; the same recipe if it has
        nothing for each corpus and reads what the store has.

    Raises:
        StoreError: Fewer than two corpora of the store have training labels of the recipe's
            tasks, or one of them has no validation rows to choose an epoch on.
    """
    recipe = _with_encoder(recipe, store)
    stages = recipe.stages
    pools = {each.selection.pool for each in stages.values() if each.per_corpus != "off"}
    if not pools:
        return recipe
    pool = min(pools)
    label_sets = recipe.data.pools[pool]
    corpora = _labeled_corpora(recipe, store, label_sets)
    tree = recipe.model_dump(mode="json")
    tree["tasks"] = [
        name for name in recipe.tasks if any(name in learned for learned in corpora.values())
    ]
    for corpus in corpora:
        tree["data"]["pools"][corpus] = [f"{corpus}/{label_set}" for label_set in label_sets]
    tree["stages"] = {}
    for name, stage in stages.items():
        tree["stages"] |= _write_out(name, stage, list(corpora), stages)
    return Recipe.model_validate(tree)


def _with_encoder(recipe: Recipe, store: FeatureStore) -> Recipe:
    """Put a face network before one that reads single faces, if the store has crops."""
    data, spec = recipe.data, store.face_spec
    if spec is None or spec.name not in GRAY_INPUTS or (data.input, data.face) != ("windows", FACE):
        return recipe
    is_single = data.window.span == 0 and not data.sequences
    if not is_single or not getattr(find_network(recipe.net.kind), "reads_single_faces", False):
        return recipe
    tree = recipe.model_dump(mode="json")
    tree["net"] = {"kind": "face_encoder", "head": tree["net"]}
    tree["data"]["input"] = "crops"
    if not data.augment:
        tree["data"] |= {"augment": True, "variation": "shift"}
    return Recipe.model_validate(tree)


def _write_out(
    name: str, stage: Stage, corpora: list[str], stages: dict[str, Stage]
) -> dict[str, dict[str, Any]]:
    """Write one stage out, by the names of those it becomes."""
    tree = stage.model_dump(mode="json", exclude={"per_corpus"})
    if stage.per_corpus == "stages":
        chosen = tree["selection"]
        return {
            f"{name}_{corpus}": {
                **tree, "updates": [corpus], "selection": {**chosen, "pool": corpus}
            }
            for corpus in corpora
        }  # fmt: skip
    if stage.per_corpus == "updates":
        tree["updates"] = corpora
        if stage.distillation is not None:
            tree["distillation"]["on"] = corpora
        if stage.teacher in stages and stages[stage.teacher].per_corpus == "stages":
            tree["teachers"] = {corpus: f"{stage.teacher}_{corpus}" for corpus in corpora}
            tree["teacher"] = None
    return {name: tree}


def _labeled_corpora(
    recipe: Recipe, store: FeatureStore, label_sets: tuple[str, ...]
) -> dict[str, set[str]]:
    """Find the corpora with training labels, and the names of their tasks.

    Raises:
        StoreError: They are too few, or one has nothing to validate on.
    """
    moments = store.moments
    sources = moments.dictionary_column("source")
    corpus_of = np.array([name.partition("/")[0] for name in sources.values], dtype=object)
    corpus = corpus_of[sources.codes] if len(moments) else np.empty(0, object)
    used = moments.dictionary_column("label_set").isin(label_sets)
    split = moments.dictionary_column("split")
    training, validation = used & (split == Split.TRAIN), used & (split == Split.VALIDATION)
    labeled = {
        name: moments.labeled(task_by_name(name).columns)[0] & training for name in recipe.tasks
    }
    learned = {
        each: {name for name, rows in labeled.items() if (rows & (corpus == each)).any()}
        for each in sorted(set(corpus_of))
    }
    learned = {each: names for each, names in learned.items() if names}
    if len(learned) < FEWEST_CORPORA:
        raise StoreError(
            f"training labels of two corpora at least for the recipe {recipe.name}",
            f"those of {', '.join(learned) or 'none'}",
            "extract another corpus into the same store, or train a recipe of one, such as default",
            where=store.path,
        )
    absent = [each for each in learned if not (validation & (corpus == each)).any()]
    if absent and not recipe.data.held_out and not recipe.data.refit:
        raise StoreError(
            f"validation rows of every corpus for the recipe {recipe.name}",
            f"none of {', '.join(absent)}",
            "extract into a new store with --validation-share 0.2, or --set data.held_out=0.1 to "
            "choose on training people",
            where=store.path,
        )
    return learned
