"""Train a recipe, stage by stage, so that it can be killed anywhere and go on.

The order of rows and their augmentation follow from seed, stage, epoch and iteration alone;
what else decides the outcome (parameters, statistics, moments, the random state of dropout,
scores so far) is in the checkpoint. A resumed run ends with the same weights as one that was
never interrupted, on the same machine's processor with the same number of threads.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property, partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch

from triaffect.datasets.windows import WindowSamples, check_sequences
from triaffect.errors import RecipeError, StoreError
from triaffect.features.model_folder import Blank
from triaffect.features.store import FeatureStore
from triaffect.io.atomic import write_json
from triaffect.io.workers import peak_memory_mb
from triaffect.metrics.abaw import Score
from triaffect.metrics.thresholds import best_thresholds
from triaffect.models.base import load_weights
from triaffect.recipes.config import EXTERNAL, INITIAL, Recipe, Stage
from triaffect.recipes.corpora import fit_to_store
from triaffect.tasks.registry import resolve_tasks
from triaffect.training.build import INPUTS_NEEDED, TrainingContext, build_net, build_samples
from triaffect.training.checkpoint import read_progress, write_tensors
from triaffect.training.device import CPU, TorchDevice
from triaffect.training.distillation import stored_teachers
from triaffect.training.optimizers import KerasAdam
from triaffect.training.run_folder import (
    EpochEnded,
    EventListener,
    ExternalTeacher,
    InitialWeights,
    Journal,
    LeaksDetected,
    NoGain,
    NothingToChooseBy,
    NothingToLearn,
    PoolScores,
    RunFolder,
    StageStarted,
    begin_run,
    exclusive_lock,
    read_description,
    stored_leak_choice,
)
from triaffect.training.scoring import predict_rows, score_run, truth_of
from triaffect.training.stage import StageRun
from triaffect.training.view import (
    LeakChoice,
    TrainingView,
    constant_parts,
    unlearned_columns,
)
from triaffect.types import IntArray, Split


def check_stages(
    context: TrainingContext,
    initial: InitialWeights | None,
    teachers: Sequence[ExternalTeacher] = (),
) -> None:
    """See that every stage has rows, a network that takes them, and the weights it needs.

    Args:
        context: What the stages share; nothing of its folder is looked at.
        initial: Weights to start from.
        teachers: Finished runs to learn from.

    Raises:
        StoreError: The store has no rows for a stage to learn from or to choose on, or lacks
            what the network needs.
        RecipeError: The network does not fit the recipe, or a stage lacks initial weights
            or external teachers; or there are teachers that no stage learns from.
        ModelError: The initial weights are another network's.
    """
    for name, stage in context.recipe.stages.items():
        _check_rows(context, name, stage)
        if stage.teacher == INITIAL and initial is None:
            raise RecipeError(
                f"initial weights for the stage {name} to learn from",
                "none",
                "add --init default, a model folder or a run",
            )
        if stage.teacher == EXTERNAL and not teachers:
            raise RecipeError(
                f"teachers for the stage {name}", "none", "add --teacher RUN, once for each"
            )
        net = build_net(context.recipe, stage, context.store, context.tasks)
        if context.recipe.data.voice_sequence and isinstance(context.samples, WindowSamples):
            check_sequences(context.samples, context.store.path)
        if initial is not None:
            load_weights(
                net,
                initial.path,
                discriminator_optional=True,
                heads_optional=stage.teacher != INITIAL,
            )
    if teachers and all(stage.teacher != EXTERNAL for stage in context.recipe.stages.values()):
        raise RecipeError(
            f'a stage with teacher = "{EXTERNAL}" for the runs given', "none", "leave --teacher out"
        )


def _check_rows(context: TrainingContext, name: str, stage: Stage) -> None:
    if not any(kind in context.pools("train") for kind in stage.updates):
        raise StoreError(
            "training rows for the updates " + ", ".join(stage.updates),
            "none",
            f"extract a corpus with such labels, and {INPUTS_NEEDED}",
            where=context.store.path,
        )
    split = context.selection_split(stage)
    others = list(context.pools(split))
    if stage.selection.pool not in others and not context.recipe.data.refit:
        remedy = "give some people the split 'validation', and extract into a new store"
        if split == Split.HELD_OUT:
            remedy = "extract more people with labels, of whom one can be held out from training"
            if stage.selection.pool in context.pools(Split.VALIDATION):
                remedy += ", or --set data.held_out=0 to choose on validation"
        if others:
            remedy += f", or --set {name}.selection.pool={others[0]}"
        raise StoreError(
            f"{split} rows in the pool {stage.selection.pool}",
            "none",
            remedy,
            where=context.store.path,
        )


StepListener = Callable[[str, int, int, float], None]
"""Called after every iteration with stage, iterations done, iterations in all, and loss; and while
a teacher's outputs are computed with "STAGE: answers of TEACHER", rows done, all rows, and nan."""

CHECKPOINT_EVERY_S = 60.0


@dataclass
class TrainingProgress:
    """How far a run is; everything in a checkpoint that is not a tensor."""

    stage: int = 0
    epoch: int = 0
    iteration: int = 0
    best: float | None = None
    best_epoch: int = -1
    step: int = 0
    journal_bytes: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    stagnation: dict[str, Any] = field(default_factory=dict)
    finished: bool = False


def train(
    recipe: Recipe,
    store: FeatureStore,
    out: Path,
    seed: int = 0,
    resume: bool = False,
    report: StepListener | None = None,
    listener: EventListener | None = None,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    *,
    initial: InitialWeights | None = None,
    leaks: LeakChoice | None = None,
    device: TorchDevice = CPU,
    teachers: Sequence[ExternalTeacher] = (),
) -> RunFolder:
    """Train every stage of a recipe and score the result.

    Args:
        recipe: What to train.
        store: What to learn from.
        out: The run folder.
        seed: Decides initialisation, order, augmentation and dropout.
        resume: Go on with the run that is in the folder, if there is one.
        report: Called after every iteration.
        listener: Called with every event of the journal.
        checkpoint_every_s: Seconds between checkpoints within an epoch; every epoch ends
            with one.
        initial: Weights that every stage starts from; see `find_initial_weights`.
        leaks: What to do about people and videos in several splits; None for what the run was
            begun with, and a new one refuses them.
        device: Where to compute.
        teachers: Finished runs to learn from; see `triaffect.training.distillation`. A run
            that goes on has copies of its own and needs none.

    Returns:
        The run folder with journal, weights and ``scores.json``.

    Raises:
        RunError: The folder holds another run, or one and ``resume`` is off; or another process
            writes to it.
        StoreError: The store lacks what the recipe needs, or has leaks that are refused.
        DiskError: The folder cannot be written to; the run can go on later.
    """
    leaks = leaks or stored_leak_choice(out, resume)
    recipe = fit_to_store(recipe, store)
    view = TrainingView.of(recipe, store, seed, leaks)
    tasks = resolve_tasks(recipe.tasks)
    samples = build_samples(recipe.data, view.store, tasks)
    context = TrainingContext(recipe, view.store, samples, tasks, RunFolder(out), seed, device)
    teachers = teachers or stored_teachers(out, recipe, resume)
    check_stages(context, initial, teachers)
    data = store.fingerprint(recipe.data.external)
    annotated = [task for task in tasks if not task.computed]
    unlabeled = [] if teachers else unlearned_columns(view.moments, annotated)
    blank: Mapping[str, Blank] = dict.fromkeys(unlabeled, "always")
    if initial is not None:  # its weights know the others already
        blank = {name: initial.blank[name] for name in unlabeled if name in initial.blank}
    with exclusive_lock(out):
        folder = begin_run(
            out, recipe, seed, data, resume, initial, leaks, device.name, teachers, blank
        )
        context = replace(context, unlearned=read_description(out).unlearned)
        progress = _read_progress(folder)
        journal = Journal(folder.journal, listener)
        journal.cut(progress.journal_bytes)
        if not journal.size():
            _journal_labels(journal, view, leaks, unlabeled, context.unlearned)
        while progress.stage < len(context.names):
            _StageTrainer(context, progress, journal, report, checkpoint_every_s).run()
            progress = TrainingProgress(stage=progress.stage + 1, step=progress.step)
            progress.journal_bytes = journal.size()
        write_json(folder.scores, score_run(context))
    return folder


def _journal_labels(
    journal: Journal,
    view: TrainingView,
    leaks: LeakChoice,
    unlabeled: Sequence[str],
    unlearned: Sequence[str],
) -> None:
    """Write, at the head of a journal, what is to be known of the labels of a run."""
    if view.leaks:
        journal.write(
            LeaksDetected(
                choice=leaks,
                people=view.leaks.people,
                videos=view.leaks.videos,
                left_out=view.excluded,
            )
        )
    if unlabeled:
        initial = [name for name in unlabeled if name not in unlearned]
        journal.write(NothingToLearn(columns=list(unlearned), initial=initial))


def _read_progress(folder: RunFolder) -> TrainingProgress:
    """Return the progress of the last checkpoint, or that of the start."""
    if not folder.checkpoint.is_file():
        return TrainingProgress()
    saved = read_progress(folder.checkpoint)
    names = {each.name for each in fields(TrainingProgress)}
    return TrainingProgress(**{key: value for key, value in saved.items() if key in names})


class _StageTrainer:
    """Trains one stage from wherever its progress says to its end."""

    def __init__(
        self,
        context: TrainingContext,
        progress: TrainingProgress,
        journal: Journal,
        report: StepListener | None,
        checkpoint_every_s: float,
    ) -> None:
        self.context, self.at, self.journal, self.report = context, progress, journal, report
        self.every_s, self.saved_s = checkpoint_every_s, time.monotonic()
        self.started_s, self.processor_s = time.monotonic(), time.process_time()
        self.clock = time.process_time if context.device.name == CPU.name else time.monotonic
        self.used_s = progress.seconds - self.clock()
        peak_memory_mb(reset=True)
        self.stage = StageRun(context, progress.stage)
        self.split = context.selection_split(self.stage.stage)
        if isinstance(self.stage.optimizer, KerasAdam) and self.stage.stage.optimizer.shared:
            self.stage.optimizer.carry_step(progress.step)
        checkpoint = context.folder.checkpoint  # else of the end of the stage before
        if checkpoint.is_file() and read_progress(checkpoint)["stage"] == progress.stage:
            self.stage.load(checkpoint)
            self.stage.stagnation.load_state_dict(progress.stagnation)

    def run(self) -> None:
        """Do the stage's remaining epochs, then leave its last weights for those it teaches."""
        spec = self.stage.stage
        fresh = self.at.best is None and self.at.iteration == 0
        if self.stage.starts_trained and fresh and not self.context.recipe.data.refit:
            self._start()
        elif fresh and not self._decides():
            self.journal.write(
                NothingToChooseBy(
                    stage=self.stage.name, split=str(self.split), rows=len(self._chosen_on())
                )
            )
        if spec.ensemble:
            self.stage.join_members()
        while not self.at.finished and (spec.seconds or self.at.epoch < spec.epochs):
            if spec.ensemble:
                self._end_epoch({})
            else:
                self._store_teacher_outputs()
                self._epoch()
        if self.stage.starts_trained and self.at.best_epoch < 0:
            rows, decides = len(self._chosen_on()), self._can_choose()
            self.journal.write(
                NoGain(stage=self.stage.name, split=str(self.split), rows=rows, decides=decides)
            )
        self._set_thresholds()
        self._save_weights("last")
        for stored in self.stage.stored_teachers().values():
            stored.remove()
        if isinstance(self.stage.optimizer, KerasAdam):
            self.at.step = self.stage.optimizer.t

    def _start(self) -> None:
        """Score the initial weights: an epoch must beat them to count as best."""
        scores = self.stage.score(self.split)
        self.at.best = self._selection_value(scores)
        self._save_weights("best")
        held_out, validation = self._journal_scores(scores)
        self.journal.write(
            StageStarted(stage=self.stage.name, held_out=held_out, validation=validation)
        )

    @cached_property
    def constant_parts(self) -> dict[str, set[str]]:
        """Parts of each task's score that decide nothing on the rows that epochs are chosen by."""
        truth = truth_of(self.context.samples, self._chosen_on())
        return {
            task.key: constant_parts(task, truth[task.key])
            for task in self.context.tasks
            if task.key in truth
        }

    def _chosen_on(self) -> IntArray:
        """Rows that epochs are chosen on."""
        return self.context.pools(self.split)[self.stage.stage.selection.pool]

    def _decides(self) -> bool:
        """Tell whether scores choose the epoch; else the last one is taken, or the start kept."""
        if self.context.recipe.data.refit:
            return True  # as the recipe wishes, the last one is taken
        return self.stage.starts_trained or self._can_choose()

    def _can_choose(self) -> bool:
        """Tell whether any label differs between the rows that epochs are chosen by."""
        if self.stage.stage.selection.metric != "official":
            return True  # means over mini-batches have no parts to leave out
        tasks = self.context.tasks
        return any(
            set(task.part_names) - self.constant_parts.get(task.key, set()) for task in tasks
        )

    def _selection_value(self, scores: Mapping[str, Score]) -> float:
        """Compute what epochs are chosen by: the sum of the tasks' scores on the selected pool.

        Parts whose labels never differ there are left out, else a unit that is always present
        would choose the epoch that calls it so. Means over mini-batches have no parts.
        """
        value = 0.0
        for key, score in scores[self.stage.stage.selection.pool].tasks.items():
            constant = self.constant_parts.get(key, set())
            deciding = [each for name, each in score.parts.items() if name not in constant]
            if score.parts and len(deciding) < len(score.parts):
                value += sum(deciding) / max(len(deciding), 1)
            else:
                value += score.value
        return value

    def _journal_scores(self, chosen: Mapping[str, Score]) -> tuple[PoolScores | None, PoolScores]:
        """Give official scores on held-out people, if epochs are chosen on them; on validation."""
        if self.split == Split.VALIDATION:
            return None, _official(chosen)
        validation = _official(self.stage.score(Split.VALIDATION))
        return _official(chosen) if self.split == Split.HELD_OUT else None, validation

    def _set_thresholds(self) -> None:
        """Set the thresholds of the stage's best weights on the rows that chose them.

        Columns that they cannot decide keep the threshold of the model that training began with.
        """
        thresholds = dict(read_description(self.context.folder.root).initial_thresholds)
        selection = self.stage.stage.selection
        for column, value in selection.fixed_thresholds.items():
            is_logit = selection.threshold_scale == "logit"
            thresholds[column] = 1 / (1 + math.exp(-value)) if is_logit else value
        if self.stage.stage.selection.thresholds and self.split == Split.HELD_OUT:
            net = self.context.build_net(self.stage.stage)
            self.context.folder.load_weights(net, self.stage.name, "best")
            rows = self.context.pools(Split.HELD_OUT)[self.stage.stage.selection.pool]
            predictions = predict_rows(net, self.context.samples, rows, self.context.tasks)
            moments = self.context.samples.rows.moments[rows]
            person = self.context.store.moments.dictionary_column("person").codes[moments]
            truth = truth_of(self.context.samples, rows)
            thresholds |= best_thresholds(truth, predictions, self.context.tasks, person)
        if thresholds:
            write_json(self.context.folder.thresholds(self.stage.name), thresholds)

    def _store_teacher_outputs(self) -> None:
        """Compute all of the teachers' outputs before the first update needs one."""
        for teacher, stored in self.stage.stored_teachers().items():
            title = f"{self.stage.name}: answers of {teacher}"
            if self.report is None:
                stored.fill()
            else:
                stored.fill(partial(self._report_teacher, title))

    def _report_teacher(self, title: str, done: int, total: int) -> None:
        if self.report is not None:
            self.report(title, done, total, math.nan)

    def _epoch(self) -> None:
        at, plan = self.at, self.stage.plan(self.at.epoch)
        total = plan.iterations * self.stage.stage.epochs
        sums: defaultdict[str, float] = defaultdict(float, at.sums)
        remaining, limit_s = plan.updates(self.stage.kinds, at.iteration), self.stage.stage.seconds
        for iteration, group in groupby(remaining, key=itemgetter(0)):
            updates = list(group)
            done = at.epoch * plan.iterations + iteration
            if limit_s:
                done = min(total - 1, int(total * self._seconds() / limit_s))
            self.stage.set_rate(done, plan.iterations)
            loss = 0.0
            for _, kind, rows in updates:
                terms = self.stage.update(at.epoch, iteration, kind, rows)
                loss += terms["loss"]
                for name, value in terms.items():
                    sums[f"{kind}.{name}"] += value
            at.iteration, at.sums = iteration + 1, dict(sums)
            if self.report:
                self.report(self.stage.name, done + 1, total, loss / max(len(updates), 1))
            if time.monotonic() - self.saved_s > self.every_s:
                self._checkpoint()
            if limit_s and self._seconds() >= limit_s:
                break
        self._end_epoch({name: value / max(at.iteration, 1) for name, value in sums.items()})

    def _seconds(self) -> float:
        """Count what the stage has used of its `Stage.seconds`, before an interruption too."""
        return self.used_s + self.clock()

    def _end_epoch(self, losses: dict[str, float]) -> None:
        at, selection = self.at, self.stage.stage.selection
        scores: dict[str, Score] = {}
        if self.context.recipe.data.refit:
            value = float(at.epoch)  # so that the last one is the best
        else:
            scores = self.stage.score(self.split)
            value = self._selection_value(scores) if self._decides() else float(at.epoch)
            self.stage.stagnation.update(self.stage.task_values(scores))
        better = at.best is None or value > at.best
        if better:
            at.best, at.best_epoch = value, at.epoch
            self._save_weights("best")
            self.stage.new_best()
        held_out, validation = self._journal_scores(scores)
        self.journal.write(
            EpochEnded(
                stage=self.stage.name,
                epoch=at.epoch,
                losses={name: round(value, 6) for name, value in losses.items()},
                held_out=held_out,
                validation=validation,
                task_weights=self.stage.stagnation.weights(),
                best=better,
                seconds=round(time.monotonic() - self.started_s, 2),
                processor_seconds=round(time.process_time() - self.processor_s, 2),
                updates=at.iteration * self.stage.steps,
                peak_mb=round(peak_memory_mb() or 0, 1) or None,
            )
        )
        self.started_s, self.processor_s = time.monotonic(), time.process_time()
        at.finished = at.epoch - at.best_epoch >= selection.patience
        if limit_s := self.stage.stage.seconds:
            at.finished = self._seconds() >= limit_s
        at.epoch, at.iteration, at.sums = at.epoch + 1, 0, {}
        self._checkpoint()

    def _checkpoint(self) -> None:
        self.at.journal_bytes = self.journal.size()
        if self.stage.stage.seconds:  # else a checkpoint holds nothing of clocks
            self.at.seconds = self._seconds()
        self.at.stagnation = dict(self.stage.stagnation.state_dict())
        self.stage.save(self.context.folder.checkpoint, asdict(self.at))
        self.saved_s = time.monotonic()

    def _save_weights(self, which: str) -> None:
        path = self.context.folder.weights(self.stage.name, which)
        write_tensors(path, self.stage.scored_net.state_dict())


def _official(scores: Mapping[str, Score]) -> PoolScores:
    return {pool: score.annotated for pool, score in scores.items()}


def set_threads(count: int) -> None:
    """Use so many threads for every operation of torch in this process.

    Args:
        count: How many; the weights that a run ends with depend on it in their last digits.
    """
    torch.set_num_threads(count)
