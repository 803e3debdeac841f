"""The linear layers that a store's face and voice network had while they learnt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from safetensors.numpy import load_file

from triaffect.features.model_folder import load_model_folder
from triaffect.features.store import EXTRACTORS, FeatureStore
from triaffect.nets.default import Heads
from triaffect.tasks.task import Task


def known_heads(store: FeatureStore, part: str, tasks: Sequence[Task]) -> Heads:
    """What a store's extractor says of tasks by itself.

    Args:
        store: The store; it keeps the model folders that it was made with.
        part: "face" or "voice".
        tasks: The tasks.

    Returns:
        By task key, for those that the network learnt; nothing for a network of another make.
    """
    folder = store.path / EXTRACTORS / part
    weights = f"{part}.safetensors"
    if not folder.is_dir() or weights not in load_model_folder(folder).manifest.files:
        return {}
    held = load_file(folder / weights)
    heads = {}
    for task in tasks:
        names = [f"heads.{task.key}.{kind}" for kind in ("weight", "bias")]
        if all(name in held for name in names) and len(held[names[1]]) == task.width:
            weight, bias = (torch.from_numpy(held[name].astype(np.float32)) for name in names)
            heads[task.key] = (weight, bias)
    return heads
