"""Build the parts of a training from its recipe: samples, networks and the terms of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

from triaffect.datasets.batches import Rows, Samples, balanced
from triaffect.datasets.images import CropSamples
from triaffect.datasets.spectra import LogmelSamples
from triaffect.datasets.windows import Streams, WindowSamples
from triaffect.errors import RecipeError, StoreError
from triaffect.features.extractors.onnx import GRAY_INPUTS, PITCHED
from triaffect.features.store import EXTRACTORS, FeatureStore
from triaffect.losses.adversarial import Adversary
from triaffect.losses.agreement import Agreement
from triaffect.losses.bootstrap import Bootstrap
from triaffect.losses.distillation import Distillation
from triaffect.losses.objective import Objective, Supervised
from triaffect.losses.self_distillation import SelfDistillation
from triaffect.models.base import (
    Ensemble,
    NetworkShape,
    Standardise,
    TrainableNetwork,
    find_network,
)
from triaffect.recipes.config import FACE, VOICE, DataSpec, Recipe, Stage
from triaffect.tasks.registry import task as task_by_key
from triaffect.tasks.task import Task
from triaffect.training.device import CPU, TorchDevice
from triaffect.training.run_folder import RunFolder
from triaffect.types import IntArray, Moments, Split, Window

POSITIVE_WEIGHT_RANGE = (0.2, 8.0)
"""Weights of rare and common units stay within this."""


INPUTS_NEEDED = "with faces and sound for as long before each as the recipe's windows want"
"""Remedy where a store has labelled rows, and the network no inputs for them."""


@dataclass(frozen=True)
class TrainingContext:
    """What every stage of a run shares.

    Attributes:
        recipe: The recipe.
        store: The store, with the splits and labels of the run's `TrainingView`.
        samples: Its rows as the network takes them.
        tasks: What is predicted.
        folder: The run folder.
        seed: Of everything random.
        device: Where the run computes.
        unlearned: Columns that nothing in the run teaches, which its scores leave blank.
    """

    recipe: Recipe
    store: FeatureStore
    samples: Samples
    tasks: Sequence[Task]
    folder: RunFolder
    seed: int
    device: TorchDevice = CPU
    unlearned: Sequence[str] = ()

    def selection_split(self, stage: Stage) -> Split:
        """Return the split that a stage's epochs are chosen on."""
        if stage.selection.split == "test":
            return Split.TEST
        return Split.HELD_OUT if self.recipe.data.held_out else Split.VALIDATION

    @cached_property
    def names(self) -> list[str]:
        """Names of the stages in order."""
        return list(self.recipe.stages)

    def pools(self, split: str) -> dict[str, IntArray]:
        """Find rows of one split by pool; empty pools are left out.

        Args:
            split: A `Split`.

        Returns:
            Indices into the samples' rows by name of the pool, ascending, shape (rows,) each.
        """
        pools = {
            name: self.samples.rows.where(split, sets)
            for name, sets in self.recipe.data.pools.items()
        }
        return {name: rows for name, rows in pools.items() if len(rows)}

    def learned_tasks(self, name: str) -> list[Task]:
        """List the tasks that a stage has training labels of, and so can teach.

        Args:
            name: Of a stage of the recipe.
        """
        keys, pools = {task.key for task in self.tasks}, self.pools(Split.TRAIN)
        rows = [(kind, pools[kind]) for kind in self.recipe.stages[name].updates if kind in pools]
        valid = {key: targets.valid for key, targets in self.samples.rows.targets.items()}
        return [
            task
            for task in self.tasks
            if any(
                valid[task.key][own].any() for kind, own in rows if kind not in keys - {task.key}
            )
        ]

    def build_net(self, stage: Stage) -> nn.Module:
        """Build a stage's network, freshly initialized, on the run's device.

        Args:
            stage: A stage of the recipe.

        Raises:
            TriaffectError: As `triaffect.training.build.build_net`.
        """
        net = build_net(self.recipe, stage, self.store, self.tasks)
        return net.to(self.device.torch_device)


def build_samples(spec: DataSpec, store: FeatureStore, tasks: Sequence[Task]) -> Samples:
    """Read the rows of a store as the recipe's network takes them.

    Args:
        spec: Which input, and which rows; see `triaffect.recipes.config.DataSpec`.
        store: The store.
        tasks: Whose labels the rows have.

    Returns:
        Crops, log-mel or windows of vectors, each row with its targets.

    Raises:
        StoreError: The store lacks what the input is made of.
        RecipeError: A task's labels are computed from sound, and the input is another.
    """
    if spec.input != "logmel" and any(task.computed for task in tasks):
        expected = "data.input 'logmel' for labels that are computed from sound"
        raise RecipeError(expected, f"'{spec.input}'")
    samples: Samples
    if spec.input == "crops":
        samples = CropSamples(store, tasks, spec.drop_partial)
    elif spec.input == "logmel":
        samples = LogmelSamples(store, tasks, spec.stretch_s, spec.drop_partial)
    else:
        samples = _windows(spec, store, tasks)
    keys = [task_by_key(key).key for key in spec.balance]
    present = [key for key in keys if key in samples.rows.targets]
    samples.rows = balanced(samples.rows, present, spec.balance_corpora)
    return samples


def unlabeled_samples(
    spec: DataSpec, store: FeatureStore, tasks: Sequence[Task], moments: Moments
) -> WindowSamples:
    """Read the rows of moments without labels as the recipe's network takes them.

    Args:
        spec: Which input; rows are left out only if the network cannot take them.
        store: The store.
        tasks: What is predicted.
        moments: Moments of the store's sources, others than its own labelled ones perhaps.

    Returns:
        Windows of vectors.

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
        needs_face=window.needs_face,
        drop_partial=spec.drop_partial,
        single_task_frame_offset=spec.single_task_frame_offset,
        stills_as_video=spec.stills_as_video,
        drop_minus_one=spec.drop_minus_one,
        moments=moments,
        streams=Streams(spec.face, spec.voice, spec.extra),
        voice_sequence=spec.voice_sequence,
    )


def build_net(
    recipe: Recipe, stage: Stage, store: FeatureStore, tasks: Sequence[Task]
) -> nn.Module:
    """Build a freshly initialized network for one stage.

    Args:
        recipe: The recipe.
        stage: The stage.
        store: Decides lengths of vectors, and scales of external streams.
        tasks: What is predicted.

    Returns:
        The network, on the processor.

    Raises:
        StoreError: The store lacks a stream that the network reads.
        RecipeError: The network does not take the recipe's input, or lacks what a term of the
            stage's loss needs: a discriminator, several views, latents, a task of classes.
    """
    kind, data, network = recipe.net.kind, recipe.data, find_network(recipe.net.kind)
    if stage.ensemble:
        members = [build_net(recipe, recipe.stages[name], store, tasks) for name in stage.ensemble]
        return Ensemble(members, tasks)
    if data.input != network.input:
        raise RecipeError(f"data.input '{network.input}' for the net {kind}", f"'{data.input}'")
    if data.sequences and not getattr(network, "answers_sequence", False):
        raise RecipeError("data.sequences for a net that answers every place", f"the net {kind}")
    if data.voice_sequence is not getattr(network, "reads_voice_sequence", False):
        expected = f"data.voice_sequence={'false' if data.voice_sequence else 'true'}"
        raise RecipeError(f"{expected} for the net {kind}", str(data.voice_sequence).lower())
    _check_terms(stage, network, kind, tasks)
    voice = store.voice_spec.name if store.voice_spec else "none"
    if getattr(recipe.net, "pitch", False) and voice != PITCHED:
        remedy = f"extract the sound again with --voice {PITCHED}, or set net.pitch=false"
        raise StoreError(f"a store of spectra with pitch ({PITCHED})", voice, remedy)
    if network.input != "windows":
        net = network.build(recipe.net, NetworkShape(tasks, latent=stage.bootstrap is not None))
        return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
    shape = NetworkShape(
        tasks,
        *vector_lengths(recipe, store),
        len(stage.adversary.classes) if stage.adversary else 0,
        -1 if data.window.causal else len(data.window.in_seconds().offsets_s()) // 2,
        _external_scales(data, store),
        _heads(store, FACE) if data.face == FACE else {},
        _heads(store, VOICE) if data.voice == VOICE else {},
    )
    return network.build(recipe.net, shape)


def _check_terms(
    stage: Stage, network: type[TrainableNetwork], kind: str, tasks: Sequence[Task]
) -> None:
    """See that a network answers what the terms of a stage's loss are computed from."""
    reads_branches = stage.self_distillation is not None or stage.supervised.branch_weight > 0
    reads_branches |= stage.distillation is not None and stage.distillation.branches
    if reads_branches and not getattr(network, "has_branches", False):
        expected = "no self_distillation, branches and branch_weight for a net without branches"
        raise RecipeError(expected, kind)
    if stage.adversary is not None and not network.has_discriminator:
        raise RecipeError("no adversary for a net without discriminator", kind)
    if stage.agreement is not None and not getattr(network, "answers_views", False):
        raise RecipeError("no agreement for a net with a single view", kind)
    if stage.agreement is not None and not any(task.exclusive for task in tasks):
        raise RecipeError("agreement on a task of classes", ", ".join(each.key for each in tasks))
    if stage.bootstrap is not None and not getattr(network, "answers_latents", False):
        raise RecipeError("no bootstrap for a net without latents", kind)


def _heads(store: FeatureStore, own: str) -> dict[str, Tensor]:
    """Read the heads of the network that a store's vectors were made with, if it keeps them."""
    file = store.path / EXTRACTORS / own / f"{own}.safetensors"
    if not file.is_file():
        return {}
    with safe_open(file, "pt") as tensors:
        names = [name for name in tensors.keys() if name.startswith("heads.")]  # noqa: SIM118
        return {name.removeprefix("heads."): tensors.get_tensor(name) for name in names}


def vector_lengths(recipe: Recipe, store: FeatureStore) -> tuple[int, int]:
    """Return the lengths of the face and the voice vectors that a recipe's network reads.

    That of the voice is 0 where the store has none and the network reads faces alone.

    Raises:
        StoreError: The store lacks one, or has crops in place of vectors.
    """
    data, kind = recipe.data, recipe.net.kind
    face_dim = _vector_length(store, data.face, FACE, kind)
    reads_voice = getattr(find_network(kind), "reads_voice", True)
    if not reads_voice and store.voice_spec is None and data.voice == VOICE:
        return face_dim, 0
    return face_dim, _vector_length(store, data.voice, VOICE, kind)


def _vector_length(store: FeatureStore, stream: str, own: str, kind: str) -> int:
    """Return the length of a stream's vectors; it may be the store's own face or voice."""
    if stream != own:
        return store.external(stream).spec.dim
    spec = store.face_spec if own == FACE else store.voice_spec
    if own == FACE and spec is not None and spec.name in GRAY_INPUTS:
        raise StoreError(
            f"a store of face vectors for the net {kind}",
            f"one of {spec.name} crops",
            "extract with --face default, or make vectors of the crops: extract STORE --face MODEL",
            where=store.path,
        )
    if spec is None:
        raise StoreError(
            f"a store with a {own} extractor for the net {kind}",
            "one without",
            f"extract it with --{own}, or name an external stream as data.{own}",
            where=store.path,
        )
    return spec.dim


def _external_scales(spec: DataSpec, store: FeatureStore) -> dict[str, Standardise]:
    """Measure scales of external streams in the training sources, by the input they fill."""
    used = {FACE: spec.face, VOICE: spec.voice, **{name: name for name in spec.extra}}
    external = {slot: name for slot, name in used.items() if name not in (FACE, VOICE)}
    if not external:
        return {}
    training = np.flatnonzero(store.moments.dictionary_column("split") == Split.TRAIN)
    sources = set(store.moments.dictionary_column("source").take(training).unique())
    scales = {}
    for slot, name in external.items():
        scale = store.external(name).scale(sources)
        scales[slot] = Standardise(torch.from_numpy(scale.mean), torch.from_numpy(scale.std))
    return scales


def build_objectives(
    stage: Stage, rows: Rows, training: IntArray, tasks: Sequence[Task]
) -> list[Objective]:
    """Build the terms of a stage's loss.

    Args:
        stage: The stage.
        rows: Rows of the samples, with their targets.
        training: Which of them the stage learns from, shape (N,).
        tasks: What is predicted.

    Returns:
        The supervised term, then those of distillation, of self-distillation, of an adversary, of
        agreement and of bootstrap if the stage has them.
    """
    label, weights = stage.supervised, dict[str, tuple[float, ...]]()
    for key in label.positive_weights:  # absent by present labels of each column
        targets = rows.targets[key]
        valid = targets.valid[training]
        present = (targets.values[training] * valid).sum(0)
        ratio = (valid.sum(0) - present) / np.maximum(present, 1)
        weights[key] = tuple(float(r) for r in ratio.clip(*POSITIVE_WEIGHT_RANGE))
    exclusive = {task.key for task in tasks if task.exclusive}
    for key, own in label.column_weights.items():
        if len(own) != rows.targets[key].values.shape[1]:
            width = rows.targets[key].values.shape[1]
            raise RecipeError(f"column_weights of {key} for its {width} columns", str(len(own)))
    own_weights, columns = _frequency_weights(label.frequency_weights, rows, training)
    weights |= own_weights
    classes = {key: own for key, own in label.column_weights.items() if key in exclusive}
    weights |= {key: own for key, own in label.column_weights.items() if key not in exclusive}
    fields = label.model_dump(exclude={"positive_weights", "column_weights", "frequency_weights"})
    objectives: list[Objective] = [
        Supervised(**fields, positive_weight=weights, class_weight=classes, column_weight=columns)
    ]
    if stage.distillation is not None:
        objectives.append(Distillation(**stage.distillation.model_dump()))
    if stage.self_distillation is not None:
        objectives.append(SelfDistillation(**stage.self_distillation.model_dump()))
    if stage.adversary is not None:
        objectives.append(Adversary(**stage.adversary.model_dump()))
    if stage.agreement is not None:
        objectives.append(Agreement(**stage.agreement.model_dump()))
    if stage.bootstrap is not None:
        objectives.append(Bootstrap(**stage.bootstrap.model_dump()))
    return objectives


def _frequency_weights(
    keys: Sequence[str], rows: Rows, training: IntArray
) -> tuple[dict[str, tuple[float, ...]], dict[str, tuple[float, ...]]]:
    """Weigh columns of sigmoid tasks by how many of the labeled training rows have each.

    Returns:
        By key of a task that the rows have labels of, for each column with a share p what "present"
        costs against "absent", 1 / p, and what the column weighs, 2p / (1 + p). A column that no
        row has counts as if one had.
    """
    present, columns = dict[str, tuple[float, ...]](), dict[str, tuple[float, ...]]()
    for key in keys:
        if key in rows.targets:
            targets = rows.targets[key]
            valid = targets.valid[training]
            labeled = np.maximum(valid.sum(0), 1)
            share = np.maximum((targets.values[training] * valid).sum(0), 1) / labeled
            present[key] = tuple((1 / share).tolist())
            columns[key] = tuple((2 * share / (1 + share)).tolist())
    return present, columns
