"""One stage of a recipe: its network, its teacher, its updates and its scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from triaffect.datasets.augmentation.augment import Variation, vary_crops, vary_logmel
from triaffect.datasets.augmentation.mixup import fade_labels, mix_rows, paste, splice
from triaffect.datasets.augmentation.spectra import drown
from triaffect.datasets.batches import EpochPlan, make_batch, plan_epoch
from triaffect.errors import RecipeError
from triaffect.losses.objective import StagnationWeights, StepContext
from triaffect.metrics.abaw import Score
from triaffect.models.base import Outputs, load_weights
from triaffect.models.keras_layers import KerasBatchNorm
from triaffect.recipes.config import EXTERNAL, INITIAL, Stage
from triaffect.training.build import TrainingContext, build_objectives
from triaffect.training.checkpoint import load_checkpoint, save_checkpoint
from triaffect.training.device import CPU
from triaffect.training.distillation import (
    RawOutputs,
    StoredTeacher,
    distilled_tasks,
    load_teachers,
)
from triaffect.training.optimizers import (
    ExponentialMovingAverage,
    KerasAdam,
    build_optimizer,
)
from triaffect.training.scoring import score_pools
from triaffect.types import Batch, IntArray, Split

CROP, LOGMEL = "crop", "logmel"
VARIATIONS: dict[str, Variation] = {CROP: vary_crops, LOGMEL: vary_logmel}


class StageRun:
    """A stage being trained.

    Args:
        context: What all stages share.
        index: Which stage it is; one that has rows, see `triaffect.training.trainer`.
    """

    def __init__(self, context: TrainingContext, index: int) -> None:
        self.context, self.index, self.name = context, index, context.names[index]
        self.stage: Stage = context.recipe.stages[self.name]
        self.training = context.pools(Split.TRAIN)
        seed = np.random.SeedSequence((context.seed, index))  # each stage has its own
        torch.manual_seed(int(seed.generate_state(1)[0]))
        self.net = context.build_net(self.stage)
        if self.starts_trained:
            initial = context.folder.initial
            load_weights(self.net, initial, discriminator_optional=True, heads_optional=True)
        freeze(self.net, self.stage.frozen)
        self.ema: ExponentialMovingAverage | None = None
        if self.stage.average:
            self.ema = ExponentialMovingAverage(
                self.net, context.build_net(self.stage), self.stage.average
            )
        self.optimizer = build_optimizer(self.stage.optimizer, self.net)
        rows = np.unique(np.concatenate([self.training[kind] for kind in self.kinds]))
        self.objectives = build_objectives(self.stage, context.samples.rows, rows)
        self.stagnation = StagnationWeights((t.key for t in context.tasks), self.stage.stagnation)
        self.teacher = self._load_teacher()
        self.stored = self._store_teacher()

    @property
    def scored_net(self) -> nn.Module:
        """Return what is scored and saved: the network, or the moving average of its weights."""
        return self.net if self.ema is None else self.ema.net

    @property
    def starts_trained(self) -> bool:
        """Tell whether the network begins with trained weights rather than with random ones."""
        return self.context.folder.initial.is_file()

    @property
    def kinds(self) -> list[str]:
        """List the updates of one iteration that have rows to learn from."""
        return [kind for kind in self.stage.updates if kind in self.training]

    @property
    def distilled_kinds(self) -> list[str]:
        """List those of `kinds` that also learn from the teacher."""
        distilled = self.stage.distillation.on if self.stage.distillation else ()
        return [kind for kind in self.kinds if kind in distilled]

    def plan(self, epoch: int) -> EpochPlan:
        """Draw the rows of every update of an epoch; they follow from the run's seed.

        Args:
            epoch: Number of the epoch, from 0.
        """
        data = self.context.recipe.data
        pools = {kind: self.training[kind] for kind in self.kinds}
        seed = (self.context.seed, self.index, epoch)
        return plan_epoch(pools, data.batch_size, data.min_batch, seed, self.stage.steps_per_epoch)

    def update(self, epoch: int, iteration: int, kind: str, rows: IntArray) -> dict[str, float]:
        """Do one update.

        Args:
            epoch: Number of the epoch, from 0.
            iteration: Number of the iteration in it, from 0.
            kind: Kind of the update, one of `kinds`.
            rows: Rows of the samples, shape (N,).

        Returns:
            The terms of the loss by name, and their sum as ``loss``.
        """
        batch = make_batch(self.context.samples, kind, rows)
        batch, inputs = self._augmented(batch, (epoch, iteration, self.kinds.index(kind)))
        self.net.train()
        if self.stage.frozen_statistics:  # batch norms use those they have, and keep them
            for module in self.net.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm | KerasBatchNorm):
                    module.eval()
        step = self._step_context(batch, inputs, epoch)
        terms: dict[str, Tensor] = {}
        for objective in self.objectives:
            terms |= objective(step)
        self.optimizer.zero_grad(set_to_none=True)
        values: dict[str, float] = {}
        if terms:
            losses = torch.stack(list(terms.values()))
            losses.sum().backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            if self.ema is not None:
                self.ema.update(self.net)
            values = dict(zip(terms, losses.tolist(), strict=True))  # one wait for the device
        return {**values, "loss": sum(values.values())}

    def set_rate(self, done: int, iterations: int) -> None:
        """Set the learning rate of the next iteration.

        Args:
            done: Iterations of the stage so far.
            iterations: Iterations of an epoch.
        """
        spec, rate = self.stage.optimizer, self.stage.optimizer.lr
        if spec.schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * (done / (iterations * self.stage.epochs))))
        if spec.warmup:
            rate *= min(1.0, (done + 1) / (spec.warmup * iterations))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def save(self, path: Path, progress: dict[str, Any]) -> None:
        """Write a checkpoint.

        Args:
            path: The file.
            progress: Where the run is, as JSON takes it.

        Raises:
            DiskError: It cannot be written.
        """
        save_checkpoint(path, self.net, self.optimizer, progress, self.ema)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Args:
            path: The file.

        Raises:
            RunError: Not a whole checkpoint.
        """
        load_checkpoint(path, self.net, self.optimizer, self.ema)

    def score(self, split: str) -> dict[str, Score]:
        """Score every pool of a split that is a task's own or the one selected by.

        Args:
            split: A `Split`.

        Returns:
            Scores by pool, as the stage's selection computes them.
        """
        scored = {self.stage.selection.pool, *(task.key for task in self.context.tasks)}
        pools = {name: rows for name, rows in self.context.pools(split).items() if name in scored}
        metric, size = self.stage.selection.metric, self.context.recipe.data.batch_size
        return score_pools(
            self.scored_net,
            self.context.samples,
            pools,
            self.context.tasks,
            metric,
            size,
            self.stage.precision,
        )

    def new_best(self) -> None:
        """Do what the stage's optimizer does at a new best score."""
        if self.stage.optimizer.reset_on_best and isinstance(self.optimizer, KerasAdam):
            self.optimizer.reset_moments()

    def task_values(self, scores: Mapping[str, Score]) -> dict[str, float]:
        """Choose each task's score: on its own pool, or on the selected one where it has none.

        Args:
            scores: As `score` returns them.

        Returns:
            Scores by task key.
        """
        selected = scores[self.stage.selection.pool]
        return {
            task.key: scores.get(task.key, selected).tasks[task.key].value
            for task in self.context.tasks
        }

    def _step_context(self, batch: Batch, inputs: dict[str, Tensor], epoch: int) -> StepContext:
        with self.context.device.autocast(self.stage.precision):
            outputs: Outputs = self.net(inputs)
        outputs = in_float32(outputs)
        teacher: RawOutputs | None = None
        if self.teacher is not None and batch.kind in self.distilled_kinds:
            if self.stored is not None:
                teacher = self.stored.raw(batch.rows)
            else:
                with torch.no_grad(), self.context.device.autocast(self.stage.precision):
                    answers: Outputs = self.teacher(inputs)
                teacher = in_float32(answers).raw
        return StepContext(
            kind=batch.kind,
            tasks=self.context.tasks,
            outputs=outputs,
            teacher=teacher,
            targets=self.context.device.targets(batch.targets),
            progress=(epoch + 1) / self.stage.epochs,
            task_weights=self.stagnation.weights(),
            fixed_weights=self.stage.task_weights,
        )

    def _store_teacher(self) -> StoredTeacher | None:
        """Prepare the file of the teacher's outputs; none if rows are augmented."""
        data = self.context.recipe.data
        is_varied = data.augment or data.mix or data.drown
        if self.teacher is None or not self.distilled_kinds or is_varied:
            return None
        rows = np.unique(np.concatenate([self.training[kind] for kind in self.distilled_kinds]))
        path = self.context.folder.weights(self.name, "last").with_name("teacher.float32")
        tasks = self.context.tasks
        if self.stage.teacher == EXTERNAL:
            tasks = distilled_tasks(self.context.folder, tasks)
        return StoredTeacher(self.teacher, self.context.samples, rows, tasks, path)

    def _augmented(self, batch: Batch, turn: tuple[int, ...]) -> tuple[Batch, dict[str, Tensor]]:
        """Augment a batch on the processor; give it with its inputs on the run's device."""
        data = self.context.recipe.data
        if not (data.augment or data.mix or data.drown):
            return batch, self.context.device.tensors(batch.inputs)
        rng = np.random.default_rng((self.context.seed, self.index, *turn))
        varied = CPU.tensors(batch.inputs)
        if data.augment:
            for name in [each for each in varied if each in VARIATIONS]:
                varied[name] = VARIATIONS[name](varied[name], rng)
        if data.drown:
            varied[LOGMEL], left = drown(varied[LOGMEL].float(), rng, share=data.drown)
            batch = replace(batch, targets=fade_labels(batch.targets, left))
        if data.mix and rng.random() < data.mix:
            name, join = (CROP, paste) if CROP in varied else (LOGMEL, splice)
            mixed, targets = mix_rows(varied[name].float(), batch.targets, rng, join)
            varied, batch = {**varied, name: mixed}, replace(batch, targets=targets)
        return batch, {
            name: value.to(self.context.device.torch_device) for name, value in varied.items()
        }

    def _load_teacher(self) -> nn.Module | None:
        """The teaching stage's network, frozen and in evaluation mode."""
        if self.stage.teacher is None:
            return None
        if self.stage.teacher == EXTERNAL:
            return load_teachers(self.context.folder, self.context.store, self.context.device)
        if self.stage.teacher == INITIAL:
            teacher = self.context.build_net(self.stage)
            load_weights(teacher, self.context.folder.initial, discriminator_optional=True)
            return teacher.eval().requires_grad_(requires_grad=False)
        stage = self.context.recipe.stages[self.stage.teacher]
        teacher = self.context.build_net(stage)
        self.context.folder.load_weights(teacher, self.stage.teacher, self.stage.teacher_weights)
        return teacher.eval().requires_grad_(requires_grad=False)


def freeze(net: nn.Module, parts: Sequence[str]) -> None:
    """Let parts of a network keep their weights; statistics of their batch norms go on.

    Args:
        net: The network; it is changed.
        parts: Beginnings of names of parameters, whole words between dots.

    Raises:
        RecipeError: The network has no such part.
    """
    for part in parts:
        own = [value for name, value in net.named_parameters() if f"{name}.".startswith(f"{part}.")]
        if not own:
            names = sorted({name.partition(".")[0] for name, _ in net.named_parameters()})
            raise RecipeError(f"frozen parts of {', '.join(names)}", part)
        for value in own:
            value.requires_grad = False


def in_float32(outputs: Outputs) -> Outputs:
    """Convert outputs to float32 for the losses, which need the precision.

    Args:
        outputs: Of any precision.

    Returns:
        Raw outputs and domains in float32; features as they are.
    """
    domain = None if outputs.domain is None else outputs.domain.float()
    raw = {key: value.float() for key, value in outputs.raw.items()}
    return Outputs(raw=raw, domain=domain, features=outputs.features)
