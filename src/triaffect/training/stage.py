"""One stage of a recipe: its network, its teacher, its updates and its scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from triaffect.datasets.augmentation.augment import Variation, vary_crops, vary_logmel
from triaffect.datasets.augmentation.mixup import mix_crops, mix_spectra
from triaffect.datasets.batches import EpochPlan, Samples, make_batch, plan_epoch
from triaffect.errors import RunError
from triaffect.features.store import FeatureStore
from triaffect.losses.objective import StagnationWeights, StepContext
from triaffect.metrics.abaw import Score
from triaffect.models.base import Outputs
from triaffect.models.keras_layers import KerasBatchNorm
from triaffect.recipes.config import EXTERNAL, INITIAL, Recipe, Stage
from triaffect.tasks.task import Task
from triaffect.training.build import build_net, build_objectives, build_optimizer
from triaffect.training.checkpoint import load_checkpoint, save_checkpoint
from triaffect.training.device import CPU, Device
from triaffect.training.distillation import Raw, StoredTeacher, known_to_teachers, open_teachers
from triaffect.training.ema import ExponentialMovingAverage
from triaffect.training.initial_weights import fill
from triaffect.training.optimizers import KerasAdam
from triaffect.training.run_folder import RunFolder
from triaffect.training.scoring import score_pools
from triaffect.training.view import HELD_OUT
from triaffect.types import Batch, IntArray, Split

CROP, LOGMEL = "crop", "logmel"
VARIATIONS: dict[str, Variation] = {CROP: vary_crops, LOGMEL: vary_logmel}


@dataclass(frozen=True)
class TrainingContext:
    """What every stage of a run shares."""

    recipe: Recipe
    store: FeatureStore
    samples: Samples
    tasks: Sequence[Task]
    folder: RunFolder
    seed: int
    device: Device = CPU

    @property
    def choosing(self) -> str:
        """The split that epochs are chosen on."""
        return HELD_OUT if self.recipe.data.held_out else Split.VALIDATION

    @cached_property
    def names(self) -> list[str]:
        """Names of the stages in order."""
        return list(self.recipe.stages)

    def pools(self, split: str) -> dict[str, IntArray]:
        """Rows of one split by pool name; empty pools are left out."""
        pools = {
            name: self.samples.rows.where(split, sets)
            for name, sets in self.recipe.data.pools.items()
        }
        return {name: rows for name, rows in pools.items() if len(rows)}

    def net(self, stage: Stage) -> nn.Module:
        """A freshly initialised network of a stage, where the run computes."""
        made = build_net(self.recipe, stage, self.store, self.tasks)
        return made.to(self.device.torch_device)


class StageRun:
    """A stage being trained.

    Args:
        work: What all stages share.
        index: Which stage it is; one that has rows, see `triaffect.training.trainer`.
    """

    def __init__(self, work: TrainingContext, index: int) -> None:
        self.work, self.index, self.name = work, index, work.names[index]
        self.stage: Stage = work.recipe.stages[self.name]
        self.training = work.pools(Split.TRAIN)
        torch.manual_seed(_mixed(work.seed, index))
        self.net = work.net(self.stage)
        if self.starts_trained:
            fill(self.net, work.folder.initial)
        self.average: ExponentialMovingAverage | None = None
        if self.stage.average:
            self.average = ExponentialMovingAverage(
                self.net, work.net(self.stage), self.stage.average
            )
        self.optimizer = build_optimizer(self.stage.optimizer, self.net)
        rows = np.unique(np.concatenate([self.training[kind] for kind in self.kinds]))
        self.objectives = build_objectives(self.stage, work.samples.rows, rows)
        self.stagnation = StagnationWeights((t.key for t in work.tasks), self.stage.stagnation)
        self.teacher = self._load_teacher()
        self.stored = self._store_teacher()

    @property
    def learnt(self) -> nn.Module:
        """What is scored and kept: the network, or the average of its weights."""
        return self.net if self.average is None else self.average.net

    @property
    def starts_trained(self) -> bool:
        """Whether the network begins with given weights rather than with random ones."""
        return self.work.folder.initial.is_file()

    @property
    def kinds(self) -> list[str]:
        """Updates of one iteration that have rows to learn from."""
        return [kind for kind in self.stage.updates if kind in self.training]

    @property
    def taught_kinds(self) -> list[str]:
        """Those of `kinds` in which the teacher has a say."""
        distilled = self.stage.distillation.on if self.stage.distillation else ()
        return [kind for kind in self.kinds if kind in distilled]

    def plan(self, epoch: int) -> EpochPlan:
        """Rows of every update of an epoch."""
        data = self.work.recipe.data
        pools = {kind: self.training[kind] for kind in self.kinds}
        seed = (self.work.seed, self.index, epoch)
        return plan_epoch(pools, data.batch_size, data.min_batch, seed, self.stage.steps_per_epoch)

    def update(self, epoch: int, iteration: int, kind: str, rows: IntArray) -> dict[str, float]:
        """Do one update; return the terms of its loss and their sum by name."""
        batch = make_batch(self.work.samples, kind, rows)
        batch, inputs = self._shown(batch, (epoch, iteration, self.kinds.index(kind)))
        self.net.train()
        if self.stage.frozen_statistics:
            freeze_statistics(self.net)
        context = self._context(batch, inputs, epoch)
        terms: dict[str, Tensor] = {}
        for objective in self.objectives:
            terms |= objective(context)
        self.optimizer.zero_grad(set_to_none=True)
        values: dict[str, float] = {}
        if terms:
            losses = torch.stack(list(terms.values()))
            losses.sum().backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            if self.average is not None:
                self.average.update(self.net)
            values = dict(zip(terms, losses.tolist(), strict=True))  # one wait for the device
        return {**values, "loss": sum(values.values())}

    def set_rate(self, done: int, iterations: int) -> None:
        """Set the learning rate after ``done`` iterations of the stage, so many an epoch."""
        spec, rate = self.stage.optimizer, self.stage.optimizer.lr
        if spec.schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * (done / (iterations * self.stage.epochs))))
        if spec.warmup:
            rate *= min(1.0, (done + 1) / (spec.warmup * iterations))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def save(self, path: Path, progress: dict[str, Any]) -> None:
        """Write a checkpoint; see `triaffect.training.checkpoint.save_checkpoint`."""
        save_checkpoint(path, self.net, self.optimizer, progress, self.average)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        load_checkpoint(path, self.net, self.optimizer, self.average)

    def score(self, split: str) -> dict[str, Score]:
        """Score of every pool of a split that is a task's own or the one selected by."""
        wanted = {self.stage.selection.pool, *(task.key for task in self.work.tasks)}
        pools = {name: rows for name, rows in self.work.pools(split).items() if name in wanted}
        metric, size = self.stage.selection.metric, self.work.recipe.data.batch_size
        return score_pools(
            self.learnt,
            self.work.samples,
            pools,
            self.work.tasks,
            metric,
            size,
            self.stage.precision,
        )

    def new_best(self) -> None:
        """Do what the stage's optimiser does at a new best score."""
        if self.stage.optimizer.reset_on_best and isinstance(self.optimizer, KerasAdam):
            self.optimizer.reset_moments()

    def task_values(self, scores: Mapping[str, Score]) -> dict[str, float]:
        """Score of each task on its own pool, or on the selected one where it has none."""
        selected = scores[self.stage.selection.pool]
        return {
            task.key: scores.get(task.key, selected).tasks[task.key].value
            for task in self.work.tasks
        }

    def _context(self, batch: Batch, inputs: dict[str, Tensor], epoch: int) -> StepContext:
        with self.work.device.autocast(self.stage.precision):
            outputs: Outputs = self.net(inputs)
        outputs = in_float32(outputs)
        return StepContext(
            kind=batch.kind,
            tasks=self.work.tasks,
            outputs=outputs,
            teacher=self._taught(batch, inputs),
            targets=self.work.device.targets(batch.targets),
            progress=(epoch + 1) / self.stage.epochs,
            task_weights=self.stagnation.weights(),
        )

    def _taught(self, batch: Batch, inputs: dict[str, Tensor]) -> Raw | None:
        """What the teacher says of a batch; None where it is not listened to."""
        if self.teacher is None or batch.kind not in self.taught_kinds:
            return None
        if self.stored is not None:
            return self.stored.raw(batch.rows)
        with torch.no_grad(), self.work.device.autocast(self.stage.precision):
            said: Outputs = self.teacher(inputs)
        return in_float32(said).raw

    def _store_teacher(self) -> StoredTeacher | None:
        """The teacher's memory; none if it is shown another variation of a row each time."""
        data = self.work.recipe.data
        if self.teacher is None or not self.taught_kinds or data.augment or data.mix:
            return None
        rows = np.unique(np.concatenate([self.training[kind] for kind in self.taught_kinds]))
        path = self.work.folder.weights(self.name, "last").with_name("teacher.float32")
        tasks = self.work.tasks
        if self.stage.teacher == EXTERNAL:
            tasks = known_to_teachers(self.work.folder, tasks)
        return StoredTeacher(self.teacher, self.work.samples, rows, tasks, path)

    def _shown(self, batch: Batch, turn: tuple[int, ...]) -> tuple[Batch, dict[str, Tensor]]:
        """A batch's labels, and its inputs where the run computes, varied on the processor."""
        data = self.work.recipe.data
        if not (data.augment or data.mix):
            return batch, self.work.device.tensors(batch.inputs)
        rng = np.random.default_rng((self.work.seed, self.index, *turn))
        shown = CPU.tensors(batch.inputs)
        if data.augment:
            for name in [each for each in shown if each in VARIATIONS]:
                shown[name] = VARIATIONS[name](shown[name], rng)
        if data.mix and rng.random() < data.mix:
            name, mix = (CROP, mix_crops) if CROP in shown else (LOGMEL, mix_spectra)
            mixed, targets = mix(shown[name].float(), batch.targets, rng)
            shown, batch = {**shown, name: mixed}, replace(batch, targets=targets)
        return batch, {
            name: value.to(self.work.device.torch_device) for name, value in shown.items()
        }

    def _load_teacher(self) -> nn.Module | None:
        """The teaching stage's network, frozen and in evaluation mode."""
        if self.stage.teacher is None:
            return None
        if self.stage.teacher == EXTERNAL:
            work = self.work
            return open_teachers(work.folder, work.store, work.tasks, work.device)
        if self.stage.teacher == INITIAL:
            teacher = self.work.net(self.stage)
            fill(teacher, self.work.folder.initial)
            return teacher.eval().requires_grad_(requires_grad=False)
        stage = self.work.recipe.stages[self.stage.teacher]
        teacher = self.work.net(stage)
        load_weights(teacher, self.work.folder, self.stage.teacher, self.stage.teacher_weights)
        return teacher.eval().requires_grad_(requires_grad=False)


def freeze_statistics(net: nn.Module) -> None:
    """Let batch norms use the statistics they have, and keep them."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm | KerasBatchNorm):
            module.eval()


def in_float32(outputs: Outputs) -> Outputs:
    """The same outputs for the losses, which need the precision."""
    domain = None if outputs.domain is None else outputs.domain.float()
    raw = {key: value.float() for key, value in outputs.raw.items()}
    return Outputs(raw=raw, domain=domain, features=outputs.features)


def load_weights(net: nn.Module, folder: RunFolder, stage: str, which: str) -> None:
    """Put a stage's saved weights into a network.

    Raises:
        RunError: The run has no such weights, or they are another network's.
    """
    path = folder.weights(stage, which)
    if not path.is_file():
        raise RunError(f"weights of the stage {stage}", "none", "finish the run", where=path)
    try:
        net.load_state_dict(load_file(path))
    except Exception as error:
        got = " ".join(str(error).split())[:200]
        raise RunError("weights of the recipe's network", got, where=path) from error


def _mixed(seed: int, index: int) -> int:
    """A seed of its own for every stage."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1)[0])
