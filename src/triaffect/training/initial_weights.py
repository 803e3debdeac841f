"""Starting from trained weights: which ones fit a recipe and a store, and putting them in."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from triaffect.errors import ModelError, RunError
from triaffect.features.extractors.registry import DEFAULT, SHIPPED
from triaffect.features.model_folder import ModelFolder, file_hash, load_model_folder
from triaffect.features.own_networks import check_networks
from triaffect.features.store import FeatureStore
from triaffect.recipes.config import Recipe
from triaffect.training.build import in_seconds
from triaffect.training.run_folder import Initial, RunFolder

DISCRIMINATOR = "discriminator."
"""Left out where the stage has none, fresh where the weights have none: it belongs to a
training, not to the model."""

TRAIN_WEIGHTS = "triaffect-train-weights"
"""The distribution that adds them to an installed package."""

_FILES = {"light_face": "face.safetensors", "light_voice": "voice.safetensors"}
_FUSION = "fusion.safetensors"


def find_initial(name: str, recipe: Recipe, store: FeatureStore) -> Initial:
    """Find the weights of a model and see that they fit.

    Args:
        name: "default" for the shipped model, a model folder, or a finished run.
        recipe: The recipe whose network they go into.
        store: What it will learn from.

    Raises:
        ModelError: There is no such model, or it lacks a network or weights for the recipe's.
        RunError: The model reads other windows than the recipe.
        StoreError: The store was made with other networks than the model's.
    """
    path = SHIPPED if name == DEFAULT else Path(name)
    if RunFolder(path).about.is_file():
        path = RunFolder(path).model
    if not path.is_dir():
        raise ModelError(f"{DEFAULT}, a model folder or a finished run", "nothing", where=path)
    folder = load_model_folder(path)
    file = _FILES.get(recipe.net.kind, _FUSION)
    if file == _FUSION:
        _check_features(folder, recipe, store)
    if path == SHIPPED and not (path / file).is_file():
        remedy = f"install {TRAIN_WEIGHTS}, or work in a checkout of the repository"
        raise ModelError("the shipped weights to train on", "an installation without", remedy)
    weights = folder.file(file)
    return Initial(weights, file_hash(weights), folder.manifest.thresholds)


def _check_features(model: ModelFolder, recipe: Recipe, store: FeatureStore) -> None:
    for part in ("face", "voice"):
        model.network(part)
    check_networks(model, store)
    fusion, wanted = model.manifest.fusion, in_seconds(recipe.data.window)
    if fusion is None or fusion.window != wanted:
        got = "none" if fusion is None else str(fusion.window)
        raise RunError(f"an initial model over the recipe's {wanted}", got, where=model.path)


def fill(net: nn.Module, path: Path) -> None:
    """Put trained weights into a network.

    Raises:
        RunError: They are another network's.
    """
    try:
        given = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError("trained weights", str(error), where=path) from error
    own = net.state_dict()
    _check_fit(own, given, path)
    net.load_state_dict({name: given.get(name, value) for name, value in own.items()})


def _check_fit(own: dict[str, Tensor], given: dict[str, Tensor], where: Path) -> None:
    for name in dict.fromkeys((*own, *given)):
        one, other = (tuple(some[name].shape) if name in some else None for some in (own, given))
        may_differ = name.startswith(DISCRIMINATOR) and None in (one, other)
        if one != other and not may_differ:
            raise RunError(
                f"weights of the recipe's network: {name} {one or 'absent'}",
                str(other or "absent"),
                "use the recipe that trained them, or the net fields it had",
                where=where,
            )
