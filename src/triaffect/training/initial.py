"""Starting from trained weights: which ones fit a recipe and a store, and putting them in."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from triaffect.errors import ModelError, RunError
from triaffect.features.manifest import Manifest
from triaffect.features.model_folder import file_hash, load_model_folder
from triaffect.features.registry import DEFAULT, SHIPPED
from triaffect.features.store import FeatureStore
from triaffect.recipes.recipe import Recipe
from triaffect.training.build import in_seconds
from triaffect.training.run_folder import Initial, RunFolder

DISCRIMINATOR = "discriminator."
"""Left out where the stage has none, fresh where the weights have none: it belongs to a
training, not to the model."""

_FILES = {"light_face": "face.safetensors", "light_voice": "voice.safetensors"}
_FUSION = "fusion.safetensors"


def find_initial(name: str, recipe: Recipe, store: FeatureStore) -> Initial:
    """Find the weights of a model and see that they fit.

    Args:
        name: "default" for the shipped model, a model folder, or a finished run.
        recipe: The recipe whose network they go into.
        store: What it will learn from.

    Raises:
        ModelError: There is no such model, or it has no weights for the recipe's network.
        RunError: The model reads other features or windows than the recipe and the store have.
    """
    path = SHIPPED if name == DEFAULT else Path(name)
    if RunFolder(path).about.is_file():
        path = RunFolder(path).model
    if not path.is_dir():
        raise ModelError(f"{DEFAULT}, a model folder or a finished run", "nothing", where=path)
    folder = load_model_folder(path)
    file = _FILES.get(recipe.net.kind, _FUSION)
    if file == _FUSION:
        _check_features(folder.manifest, recipe, store, path)
    weights = folder.file(file)
    return Initial(weights, file_hash(weights), folder.manifest.thresholds)


def _check_features(manifest: Manifest, recipe: Recipe, store: FeatureStore, where: Path) -> None:
    for part, made in (("face", store.face_spec), ("voice", store.voice_spec)):
        own = manifest.parts.get(part)
        if own is None or made is None or own.sha256 != made.sha256:
            raise RunError(
                f"a store made with the initial model's own {part} network",
                "none" if made is None else f"one made with {made.describe()}",
                f"extract it with --{part} {where}",
                where=store.path,
            )
    wanted = in_seconds(recipe.data.window)
    if manifest.fusion is None or manifest.fusion.window != wanted:
        got = "none" if manifest.fusion is None else str(manifest.fusion.window)
        raise RunError(f"an initial model over the recipe's {wanted}", got, where=where)


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
