"""Build networks, optimizers, objectives and samples from a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from triaffect.datasets.batches import Rows, Samples, balanced
from triaffect.datasets.images import CropSamples
from triaffect.datasets.spectra import LogmelSamples
from triaffect.datasets.windows import Streams, WindowSamples
from triaffect.errors import RecipeError, StoreError
from triaffect.features.store import FeatureStore
from triaffect.losses.adversarial import Adversary
from triaffect.losses.distillation import Distillation
from triaffect.losses.objective import Objective, Supervised
from triaffect.models.default import DefaultNet, Standardise
from triaffect.models.light_face import LightFace
from triaffect.models.light_voice import LightVoice
from triaffect.models.paper import PaperNet
from triaffect.recipes.config import (
    FACE,
    VOICE,
    DataSpec,
    LightFaceSpec,
    LightVoiceSpec,
    OptimizerSpec,
    PaperNetSpec,
    Recipe,
    Stage,
    WindowSpec,
)
from triaffect.tasks.registry import task as task_by_key
from triaffect.tasks.task import Task
from triaffect.training.optimizers import KerasAdam
from triaffect.types import IntArray, Moments, Split, Window

PAPER_FRAME_RATE = 30.0
"""Frames per second that the paper's windows are counted at."""

POSITIVE_WEIGHT_RANGE = (0.2, 8.0)
"""Weights of rare and common units stay within this."""


def build_samples(spec: DataSpec, store: FeatureStore, tasks: Sequence[Task]) -> Samples:
    """Rows of a store as the recipe's input wants them."""
    samples = _samples(spec, store, tasks)
    known = [task_by_key(key).key for key in spec.balance]
    samples.rows = balanced(samples.rows, [key for key in known if key in samples.rows.targets])
    return samples


def _samples(spec: DataSpec, store: FeatureStore, tasks: Sequence[Task]) -> Samples:
    if spec.input == "crops":
        return CropSamples(store, tasks, spec.drop_partial)
    if spec.input == "logmel":
        return LogmelSamples(store, tasks, spec.stretch_s, spec.drop_partial)
    return _windows(spec, store, tasks)


def asked_samples(
    spec: DataSpec, store: FeatureStore, tasks: Sequence[Task], moments: Moments
) -> WindowSamples:
    """Rows of moments that nobody labelled, as the recipe's network takes them.

    Raises:
        RecipeError: The recipe's network does not look at windows.
    """
    if spec.input != "windows":
        raise RecipeError("a network over windows of vectors", f"one over {spec.input}")
    return _windows(spec.model_copy(update={"drop_partial": False}), store, tasks, moments)


def _windows(
    spec: DataSpec, store: FeatureStore, tasks: Sequence[Task], moments: Moments | None = None
) -> WindowSamples:
    window = spec.window
    return WindowSamples(
        store,
        tasks,
        Window(window.span, window.hop, window.causal),
        in_frames=window.unit == "frames",
        complete=window.complete,
        drop_partial=spec.drop_partial,
        single_task_frame_offset=spec.single_task_frame_offset,
        stills_as_video=spec.stills_as_video,
        drop_minus_one=spec.drop_minus_one,
        moments=moments,
        streams=Streams(spec.face, spec.voice, spec.extra),
    )


def in_seconds(spec: WindowSpec) -> Window:
    """A recipe's window for prediction, which knows seconds alone."""
    unit = PAPER_FRAME_RATE if spec.unit == "frames" else 1.0
    return Window(spec.span / unit, spec.hop / unit, spec.causal)


def build_net(
    recipe: Recipe, stage: Stage, store: FeatureStore, tasks: Sequence[Task]
) -> nn.Module:
    """A freshly initialised network for one stage.

    Raises:
        StoreError: The store lacks a stream that the network reads.
        RecipeError: The network does not take the recipe's input, or has no discriminator
            for the stage's adversary.
    """
    net, wanted = recipe.net, recipe.data.input
    sizes = net.model_dump(exclude={"kind"})
    needs = {"light_face": "crops", "light_voice": "logmel"}.get(net.kind, "windows")
    if wanted != needs:
        raise RecipeError(f"data.input '{needs}' for the net {net.kind}", f"'{wanted}'")
    if isinstance(net, LightFaceSpec | LightVoiceSpec):
        if stage.adversary is not None:
            raise RecipeError("no adversary for a net without discriminator", net.kind)
        light = LightFace if isinstance(net, LightFaceSpec) else LightVoice
        made: nn.Module = light(tasks, **sizes)
        return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
    dims: dict[str, Any] = {
        "face_dim": _width(store, recipe.data.face, FACE, net.kind),
        "voice_dim": _width(store, recipe.data.voice, VOICE, net.kind),
        "tasks": tasks,
        "classes": len(stage.adversary.classes) if stage.adversary else 0,
    }
    if isinstance(net, PaperNetSpec):
        return PaperNet(**dims, **sizes)
    return DefaultNet(**dims, **sizes, scales=_scales(recipe.data, store))


def _width(store: FeatureStore, stream: str, own: str, kind: str) -> int:
    """Length of the vectors of a stream, which may be the store's own face or voice."""
    if stream != own:
        return store.external(stream).spec.dim
    spec = store.face_spec if own == FACE else store.voice_spec
    if spec is None:
        raise StoreError(
            f"a store with a {own} extractor for the net {kind}",
            "one without",
            f"extract it with --{own}, or name an external stream as data.{own}",
            where=store.path,
        )
    return spec.dim


def _scales(spec: DataSpec, store: FeatureStore) -> dict[str, Standardise]:
    """Scales of the external streams by the input they fill, from the sources to learn from."""
    used = {FACE: spec.face, VOICE: spec.voice, **{name: name for name in spec.extra}}
    external = {place: name for place, name in used.items() if name not in (FACE, VOICE)}
    if not external:
        return {}
    training = np.flatnonzero(store.moments.dictionary_column("split") == Split.TRAIN)
    sources = set(store.moments.dictionary_column("source").take(training).unique())
    scales = {}
    for place, name in external.items():
        scale = store.external(name).scale(sources)
        scales[place] = Standardise(torch.from_numpy(scale.mean), torch.from_numpy(scale.std))
    return scales


def build_optimizer(spec: OptimizerSpec, net: nn.Module) -> torch.optim.Optimizer:
    """The stage's optimiser over all parameters."""
    if spec.kind == "keras_adam":
        return KerasAdam(net.parameters(), lr=spec.lr)
    if spec.decay_on == "all":
        return torch.optim.AdamW(net.parameters(), lr=spec.lr, weight_decay=spec.decay, fused=True)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in net.parameters() if p.ndim > 1], "weight_decay": spec.decay},
        {"params": [p for p in net.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=spec.lr, fused=True)


def build_objectives(stage: Stage, rows: Rows, training: IntArray) -> list[Objective]:
    """The named terms of a stage's loss."""
    label = stage.supervised
    weights = {key: _positive_weights(rows, training, key) for key in label.positive_weights}
    fields = label.model_dump(exclude={"positive_weights"})
    objectives: list[Objective] = [Supervised(**fields, positive_weight=weights)]
    if stage.distillation is not None:
        objectives.append(Distillation(**stage.distillation.model_dump()))
    if stage.adversary is not None:
        objectives.append(Adversary(**stage.adversary.model_dump()))
    return objectives


def _positive_weights(rows: Rows, training: IntArray, key: str) -> tuple[float, ...]:
    """Absent over present of each column of a sigmoid task among the training rows."""
    targets = rows.targets[key]
    valid = targets.valid[training]
    present = (targets.values[training] * valid).sum(0)
    ratio = (valid.sum(0) - present) / np.maximum(present, 1)
    return tuple(float(r) for r in ratio.clip(*POSITIVE_WEIGHT_RANGE))
