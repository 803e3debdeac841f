"""From a recipe's words to networks, optimisers, objectives and samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from triaffect.errors import RecipeError, StoreError
from triaffect.features.store import FeatureStore
from triaffect.nets.default import DefaultNet
from triaffect.nets.light_face import LightFace
from triaffect.nets.light_voice import LightVoice
from triaffect.nets.paper import PaperNet
from triaffect.objectives.adversary import Adversary
from triaffect.objectives.distillation import Distillation
from triaffect.objectives.objective import Objective
from triaffect.objectives.supervised import Supervised
from triaffect.recipes.recipe import (
    DataSpec,
    DefaultNetSpec,
    LightFaceSpec,
    LightVoiceSpec,
    OptimizerSpec,
    PaperNetSpec,
    Recipe,
    Stage,
    WindowSpec,
)
from triaffect.samples.dataset import Rows, Samples, balanced
from triaffect.samples.single import CropSamples, LogmelSamples
from triaffect.samples.windows import WindowSamples
from triaffect.tasks.task import Task
from triaffect.training.optimizers import KerasAdam
from triaffect.types import IntArray, Moments, Window

PAPER_FRAME_RATE = 30.0
"""Frames per second that the paper's windows are counted at."""

POSITIVE_WEIGHT_RANGE = (0.2, 8.0)
"""Weights of rare and common units stay within this."""


def build_samples(spec: DataSpec, store: FeatureStore, tasks: Sequence[Task]) -> Samples:
    """Rows of a store as the recipe's input wants them."""
    samples = _samples(spec, store, tasks)
    samples.rows = balanced(samples.rows, spec.balance)
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
        StoreError: The network needs a face and a voice extractor and the store lacks one.
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
    face, voice = store.face_spec, store.voice_spec
    if face is None or voice is None:
        missing = "face" if face is None else "voice"
        raise StoreError(
            f"a store with a {missing} extractor for the net {net.kind}",
            "one without",
            f"extract it with --{missing}",
            where=store.path,
        )
    classes = len(stage.adversary.classes) if stage.adversary else 0
    dims: dict[str, Any] = {
        "face_dim": face.dim,
        "voice_dim": voice.dim,
        "tasks": tasks,
        "classes": classes,
    }
    assert isinstance(net, PaperNetSpec | DefaultNetSpec)  # noqa: S101 - narrows the union
    return (
        PaperNet(**dims, **sizes) if isinstance(net, PaperNetSpec) else DefaultNet(**dims, **sizes)
    )


def build_optimizer(spec: OptimizerSpec, net: nn.Module) -> torch.optim.Optimizer:
    """The stage's optimiser over all parameters."""
    if spec.kind == "keras_adam":
        return KerasAdam(net.parameters(), lr=spec.lr)
    return torch.optim.AdamW(net.parameters(), lr=spec.lr, weight_decay=spec.decay)


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
