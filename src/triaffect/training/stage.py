"""One stage of a recipe: its network, its teacher, its updates and its scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from triaffect.datasets.augmentation.augment import (
    CROP_VARIATIONS,
    Variation,
    vary_crops,
    vary_logmel,
)
from triaffect.datasets.augmentation.mixup import fade_labels, mix_rows, paste, splice
from triaffect.datasets.augmentation.spectra import spoil
from triaffect.datasets.batches import EpochPlan, make_batch, plan_epoch, take
from triaffect.datasets.windows import WindowSamples, sequence_batch
from triaffect.errors import RecipeError
from triaffect.losses.objective import StagnationWeights, StepContext
from triaffect.metrics.abaw import Score
from triaffect.models.base import Branch, Outputs, load_weights
from triaffect.models.keras_layers import KerasBatchNorm
from triaffect.recipes.config import EXTERNAL, INITIAL, Stage
from triaffect.training.build import TrainingContext, build_objectives
from triaffect.training.checkpoint import load_checkpoint, save_checkpoint
from triaffect.training.device import CPU
from triaffect.training.distillation import (
    PoolTeacher,
    RawOutputs,
    StoredTeacher,
    distilled_tasks,
    load_teachers,
)
from triaffect.training.optimizers import (
    ExponentialMovingAverage,
    KerasAdam,
    build_optimizer,
    clip_gradients,
)
from triaffect.training.scoring import score_pools
from triaffect.types import Batch, BoolArray, IntArray, Split

CROP, SECOND_CROP, LOGMEL = "crop", "crop_2", "logmel"
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
        if self.stage.start:
            weights = context.folder.weights(self.stage.start, "last")
            load_weights(self.net, weights, discriminator_optional=True, heads_optional=True)
        freeze(self.net, self.stage.frozen)
        self.ema: ExponentialMovingAverage | None = None
        if self.stage.average:
            self.ema = ExponentialMovingAverage(
                self.net, context.build_net(self.stage), self.stage.average
            )
        self.optimizer = build_optimizer(self.stage.optimizer, self.net)
        rows = np.unique(np.concatenate([self.training[kind] for kind in self.kinds]))
        self.objectives = build_objectives(self.stage, context.samples.rows, rows, context.tasks)
        self.stagnation = StagnationWeights(
            (task.key for task in context.tasks), self.stage.stagnation, self.stage.stagnation_rule
        )
        self.teacher = self._load_teacher()
        self.stored = self._store_teacher()
        self.pool_teachers = self._load_pool_teachers()

    @property
    def scored_net(self) -> nn.Module:
        """Return what is scored and saved: the network, or the moving average of its weights."""
        return self.net if self.ema is None else self.ema.net

    @property
    def starts_trained(self) -> bool:
        """Tell whether the network begins with trained weights rather than with random ones."""
        return not self.stage.ensemble and self.context.folder.initial.is_file()

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
        every = data.sequence_stride if data.sequences else 1
        pools = {kind: self.training[kind][::every] for kind in self.kinds}
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
        counted: BoolArray | None = None
        if self.context.recipe.data.sequences:
            assert isinstance(self.context.samples, WindowSamples)  # noqa: S101 - of such an input
            batch, counted = sequence_batch(self.context.samples, kind, rows)
        else:
            batch = make_batch(self.context.samples, kind, rows)
        turn = (epoch, iteration, self.kinds.index(kind))
        batch, inputs = self._augmented(batch, turn)
        self.net.train()
        if self.stage.frozen_statistics:  # batch norms use those they have, and keep them
            for module in self.net.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm | KerasBatchNorm):
                    module.eval()
        steps = [(1.0, self._step_context(batch, inputs, epoch, counted))]
        if self.context.recipe.data.mix_augment:
            steps = self._blended_steps(batch, inputs, epoch, turn, steps[0][1])
        terms: dict[str, Tensor] = {}
        for weight, step in steps:
            for objective in self.objectives:
                for name, value in objective(step).items():
                    terms[name] = terms[name] + weight * value if name in terms else weight * value
        return self._descend(terms, self.kinds.index(kind))

    def _descend(self, terms: dict[str, Tensor], number: int) -> dict[str, float]:
        """Move the network by the terms of an update's loss, or by those of the iteration so far.

        Args:
            terms: The terms by name.
            number: Which of the iteration's updates it is.

        Returns:
            Their values, and their sum as ``loss``.
        """
        joint, last = self.stage.joint_step, len(self.kinds) - 1
        if joint == "off" or number == 0:
            self.optimizer.zero_grad(set_to_none=True)
        values: dict[str, float] = {}
        if terms:
            losses = torch.stack(list(terms.values()))
            share = 1 / len(self.kinds) if joint == "mean" else 1.0
            (share * losses.sum()).backward()  # type: ignore[no-untyped-call]
            values = dict(zip(terms, losses.tolist(), strict=True))  # one wait for the device
        if terms if joint == "off" else number == last:
            clip_gradients(self.stage.optimizer, self.net)
            self.optimizer.step()
            after_step: Callable[[], None] | None = getattr(self.net, "after_step", None)
            if after_step is not None:
                after_step()
            if self.ema is not None:
                self.ema.update(self.net)
        return {**values, "loss": sum(values.values())}

    def _blended_steps(
        self,
        batch: Batch,
        inputs: dict[str, Tensor],
        epoch: int,
        turn: tuple[int, ...],
        real: StepContext,
    ) -> list[tuple[float, StepContext]]:
        """Add blends of rows to an update, as MixAugment does.

        Its loss is that of both real rows and of their blend, whose labels weigh by their shares.
        Crops are blended, and vectors where both rows have one. Labels belong to the network's
        answer for the blend one after the other, so that the concordance is of true labels.
        """
        alpha = self.context.recipe.data.mix_augment
        rng = np.random.default_rng((self.context.seed, self.index, *turn, 1))
        share = float(rng.beta(alpha, alpha))
        partner = rng.permutation(len(batch.rows))
        other = torch.from_numpy(partner).to(self.context.device.torch_device)
        blend = dict(inputs)
        if CROP in inputs:
            crops = inputs[CROP].float()
            blend[CROP] = share * crops + (1 - share) * crops[other]
        for name, value in inputs.items():
            presence = inputs.get(f"{name}.present", inputs.get(f"{name}_present"))
            if value.is_floating_point() and presence is not None:
                both = (presence & presence[other]).unsqueeze(-1)
                blend[name] = torch.where(both, share * value + (1 - share) * value[other], value)
        swapped = {key: take(targets, partner) for key, targets in batch.targets.items()}
        virtual = self._step_context(batch, blend, epoch)
        targets = self.context.device.targets(swapped)
        return [(2.0, real), (share, virtual), (1 - share, replace(virtual, targets=targets))]

    @property
    def steps(self) -> int:
        """Count the optimizer's steps of one iteration."""
        return len(self.kinds) if self.stage.joint_step == "off" else 1

    def set_rate(self, done: int, iterations: int) -> None:
        """Set the learning rate of the next iteration.

        Args:
            done: Iterations of the stage so far.
            iterations: Iterations of an epoch.
        """
        spec, rate = self.stage.optimizer, self.stage.optimizer.lr
        share = done / (iterations * self.stage.epochs)
        if spec.schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * share))
        elif spec.schedule == "linear":
            warm = spec.warmup / self.stage.epochs
            rate *= min(1.0, (1 - share) / max(1 - warm, 1 / (iterations * self.stage.epochs)))
        elif spec.schedule == "step":
            rate *= spec.step_factor ** (done // iterations // spec.step_epochs)
        if spec.warmup:
            rate *= min(1.0, (done + 1) / (spec.warmup * iterations))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)

    def join_members(self) -> None:
        """Fill the networks of an ensemble with the best weights of its stages.

        Raises:
            RunError: A stage has none.
        """
        members: Any = self.net.get_submodule("members")
        for name, member in zip(self.stage.ensemble, members, strict=True):
            self.context.folder.load_weights(member, name, "best")

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
            self.context.unlearned,
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

    def _step_context(
        self,
        batch: Batch,
        inputs: dict[str, Tensor],
        epoch: int,
        counted: BoolArray | None = None,
    ) -> StepContext:
        """Run network and teacher on a batch; ``counted``: which positions of its windows count."""
        with self.context.device.autocast(self.stage.precision):
            outputs: Outputs = self.net(inputs)
        outputs = in_float32(outputs)
        if counted is not None:
            outputs = at_counted(outputs, self.context.device.tensor(counted))
        return StepContext(
            kind=batch.kind,
            tasks=self.context.tasks,
            outputs=outputs,
            teacher=self._teacher_outputs(batch, inputs),
            targets=self.context.device.targets(batch.targets),
            progress=min(1.0, (epoch + 1) / self.stage.epochs),
            task_weights=self.stagnation.weights(),
            fixed_weights=self.stage.task_weights,
            epoch=epoch,
        )

    def _teacher_outputs(self, batch: Batch, inputs: dict[str, Tensor]) -> RawOutputs | None:
        """Return raw outputs of the teacher of a batch's rows; None where nobody teaches."""
        own = self.pool_teachers.get(batch.kind)
        net, stored = (self.teacher, self.stored) if own is None else (own.net, own.stored)
        if net is None or batch.kind not in self.distilled_kinds:
            return None
        if stored is not None:
            return stored.raw(batch.rows)
        with torch.no_grad(), self.context.device.autocast(self.stage.precision):
            answers: Outputs = net(inputs)
        raw = in_float32(answers).raw
        return raw if own is None else {task.key: raw[task.key] for task in own.tasks}

    def _is_varied(self) -> bool:
        """Tell whether a row's inputs differ from epoch to epoch."""
        data = self.context.recipe.data
        return bool(data.augment or data.mix or data.drown)

    def _load_pool_teachers(self) -> dict[str, PoolTeacher]:
        """Load the earlier stages that teach one update each, by update."""
        teachers = {}
        for kind in self.distilled_kinds:
            if kind in self.stage.teachers:
                name = self.stage.teachers[kind]
                net, tasks = self._load_stage(name), self.context.learned_tasks(name)
                stored = None
                if not self._is_varied():
                    path = self.context.folder.weights(self.name, "last")
                    path = path.with_name(f"teacher.{kind}.float32")
                    rows = self.training[kind]
                    stored = StoredTeacher(net, self.context.samples, rows, tasks, path)
                teachers[kind] = PoolTeacher(net, tasks, stored)
        return teachers

    def stored_teachers(self) -> dict[str, StoredTeacher]:
        """List the files of teachers' outputs by the teacher's name."""
        own = {} if self.stored is None else {str(self.stage.teacher): self.stored}
        others = {
            self.stage.teachers[kind]: each.stored
            for kind, each in self.pool_teachers.items()
            if each.stored is not None
        }
        return own | others

    def _store_teacher(self) -> StoredTeacher | None:
        """Prepare the file of the teacher's outputs; none if rows are augmented."""
        if self.teacher is None or not self.distilled_kinds or self._is_varied():
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
            vary = CROP_VARIATIONS[data.variation]
            variations = {**VARIATIONS, CROP: vary, SECOND_CROP: vary}
            if self.stage.bootstrap is not None:
                varied[SECOND_CROP] = varied[CROP]
            for name in [each for each in varied if each in variations]:
                varied[name] = variations[name](varied[name], rng)
        if data.drown:
            varied[LOGMEL], left = spoil(varied[LOGMEL].float(), rng, share=data.drown)
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
        return self._load_stage(self.stage.teacher)

    def _load_stage(self, name: str) -> nn.Module:
        """An earlier stage's network, frozen and in evaluation mode."""
        teacher = self.context.build_net(self.context.recipe.stages[name])
        self.context.folder.load_weights(teacher, name, self.stage.teacher_weights)
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


def at_counted(outputs: Outputs, counted: Tensor) -> Outputs:
    """Take the answers of the positions of windows that count in place of the moments'.

    Args:
        outputs: Of a network that answers every position, of N windows.
        counted: Which positions count, shape (N, W), bool.

    Returns:
        Outputs and branches whose raw outputs are of the M positions, in their order, in float32.
    """

    def take_counted(sequence: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        assert sequence is not None  # noqa: S101 - `build_net` has seen to it
        return {key: value[counted].float() for key, value in sequence.items()}

    branches = {
        name: Branch(
            take_counted(each.sequence), each.present.unsqueeze(1).expand_as(counted)[counted]
        )
        for name, each in outputs.branches.items()
    }
    return replace(outputs, raw=take_counted(outputs.sequence), branches=branches)


def in_float32(outputs: Outputs) -> Outputs:
    """Convert outputs to float32 for the losses, which need the precision.

    Args:
        outputs: Of any precision.

    Returns:
        Raw outputs, of views too, domains and latents in float32; features as they are.
    """
    latents = outputs.latents
    if latents is not None:
        (one, other), targets = latents.predicted, latents.targets
        latents = replace(
            latents,
            predicted=(one.float(), other.float()),
            targets=(targets[0].float(), targets[1].float()),
        )
    domain = None if outputs.domain is None else outputs.domain.float()
    branches = {
        name: replace(each, raw={key: value.float() for key, value in each.raw.items()})
        for name, each in outputs.branches.items()
    }
    raw, *views = [
        {key: value.float() for key, value in each.items()}
        for each in (outputs.raw, *outputs.views)
    ]
    return replace(
        outputs, raw=raw, domain=domain, branches=branches, views=tuple(views), latents=latents
    )
