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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from triaffect.errors import RecipeError, RunError, StoreError
from triaffect.features.store import FeatureStore
from triaffect.io.atomic import write_json
from triaffect.metrics.abaw import Score
from triaffect.metrics.thresholds import best_thresholds, read_thresholds
from triaffect.recipes.config import EXTERNAL, INITIAL, Recipe, Stage
from triaffect.tasks.registry import TASKS
from triaffect.tasks.registry import task as task_by_key
from triaffect.tasks.task import Task
from triaffect.training.build import build_net, build_samples
from triaffect.training.checkpoint import read_progress
from triaffect.training.device import CPU, Device
from triaffect.training.distillation import kept_teachers
from triaffect.training.files import write_tensors
from triaffect.training.initial_weights import fill
from triaffect.training.optimizers import KerasAdam
from triaffect.training.run_folder import (
    ExternalTeacher,
    Initial,
    Journal,
    Listener,
    RunFolder,
    begin,
    exclusive_lock,
    leaks_of,
    read_about,
    read_recipe,
)
from triaffect.training.scoring import predict_rows, score_pools, truth_of
from triaffect.training.stage import StageRun, TrainingContext, load_weights
from triaffect.training.view import (
    HELD_OUT,
    LeakChoice,
    find_leaks,
    learnt_from,
    settle,
    split_anew,
    split_as_learnt,
    told,
)
from triaffect.types import Split


def check_stages(
    work: TrainingContext, initial: Initial | None, teachers: Sequence[ExternalTeacher] = ()
) -> None:
    """See that every stage has rows, a network that takes them, and the weights it wants.

    Args:
        work: What the stages share; nothing of its folder is looked at.
        initial: Weights to start from.
        teachers: Finished runs to learn from.

    Raises:
        StoreError: The store has no rows for a stage to learn from or to choose on, or lacks
            what the network needs.
        RecipeError: The network does not fit the recipe, or a stage wants initial weights
            or given teachers; or teachers are given that no stage listens to.
        RunError: The initial weights are another network's.
    """
    for name, stage in work.recipe.stages.items():
        _check_rows(work, name, stage)
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
        net = build_net(work.recipe, stage, work.store, work.tasks)
        if initial is not None:
            fill(net, initial.path)
    if teachers and all(stage.teacher != EXTERNAL for stage in work.recipe.stages.values()):
        raise RecipeError(
            f'a stage with teacher = "{EXTERNAL}" for the runs given', "none", "leave --teacher out"
        )


def _check_rows(work: TrainingContext, name: str, stage: Stage) -> None:
    if not any(kind in work.pools("train") for kind in stage.updates):
        raise StoreError(
            "training rows for the updates " + ", ".join(stage.updates),
            "none",
            "extract a corpus with such labels, and with faces and sound for as long before "
            "each as the recipe's windows want",
            where=work.store.path,
        )
    others = list(work.pools(work.choosing))
    if stage.selection.pool not in others and not work.recipe.data.refit:
        remedy = "give some people the split 'validation', and extract into a new store"
        if work.choosing == HELD_OUT:
            remedy = "extract more people, or --set data.held_out=0 to choose on validation"
        if others:
            remedy += f", or --set {name}.selection.pool={others[0]}"
        raise StoreError(
            f"{work.choosing} rows in the pool {stage.selection.pool}",
            "none",
            remedy,
            where=work.store.path,
        )


Report = Callable[[str, int, int, float], None]
"""Called after every iteration with stage, iterations done, iterations in all, and loss; and while
a teacher's answers are computed with "STAGE: answers of TEACHER", rows done, all rows, and nan."""

CHECKPOINT_EVERY_S = 60.0


@dataclass
class Progress:
    """Where a run is; everything in a checkpoint that is not a tensor."""

    stage: int = 0
    epoch: int = 0
    iteration: int = 0
    best: float | None = None
    best_epoch: int = -1
    step: int = 0
    journal_bytes: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    stagnation: dict[str, Any] = field(default_factory=dict)
    finished: bool = False


def train(
    recipe: Recipe,
    store: FeatureStore,
    out: Path,
    seed: int = 0,
    resume: bool = False,
    report: Report | None = None,
    listener: Listener | None = None,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    known: Sequence[Task] = TASKS,
    *,
    initial: Initial | None = None,
    leaks: LeakChoice | None = None,
    device: Device = CPU,
    teachers: Sequence[ExternalTeacher] = (),
) -> RunFolder:
    """Train every stage of a recipe and score the result.

    Args:
        recipe: What to train.
        store: What to learn from.
        out: The run folder.
        seed: Decides initialisation, order, augmentation and dropout.
        resume: Go on with the run that is in the folder, if there is one.
        report: Told of every iteration.
        listener: Told of every line of the journal.
        checkpoint_every_s: Seconds between checkpoints within an epoch; every epoch ends
            with one.
        known: Every task that a recipe may name.
        initial: Weights that every stage starts from; see `triaffect.training.initial_weights`.
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
    tasks = [task_by_key(key, known) for key in recipe.tasks]
    split = split_anew(store, recipe.data)
    found = find_leaks(split, recipe.data.pools)
    leaks = leaks or leaks_of(out, resume)
    settled = settle(split, found, leaks)
    learnt = learnt_from(recipe, settled, tasks, seed)
    samples = build_samples(recipe.data, learnt, tasks)
    work = TrainingContext(recipe, learnt, samples, tasks, RunFolder(out), seed, device)
    teachers = teachers or kept_teachers(out, recipe, resume)
    check_stages(work, initial, teachers)
    data = store.fingerprint(recipe.data.external)
    with exclusive_lock(out):
        folder = begin(out, recipe, seed, data, resume, initial, leaks, device.name, teachers)
        progress = _resumed(folder)
        journal = Journal(folder.journal, listener)
        journal.cut(progress.journal_bytes)
        if found and not journal.size():
            journal.write("leaks", choice=leaks, **told(split, settled, found))
        while progress.stage < len(work.names):
            _Runner(work, progress, journal, report, checkpoint_every_s).run()
            progress = Progress(stage=progress.stage + 1, step=progress.step)
            progress.journal_bytes = journal.size()
        write_json(folder.scores, score_run(work))
    return folder


@dataclass(frozen=True)
class Trained:
    """What a stage has learnt.

    Attributes:
        name: The stage.
        net: Its network with its best weights, in evaluation mode.
        tasks: What it predicts, with the thresholds that the stage has set.
    """

    name: str
    net: nn.Module
    tasks: Sequence[Task]


def open_run(
    root: Path, store: FeatureStore, known: Sequence[Task] = TASKS
) -> tuple[TrainingContext, list[Trained]]:
    """Open a finished run to score it on a store: on its own, with the splits that it had.

    Returns:
        What its stages share, and what each stage has learnt.

    Raises:
        RunError: The folder holds no run, or an unfinished one.
        StoreError: The store lacks what the networks need.
    """
    recipe, about = read_recipe(root), read_about(root)
    tasks = [task_by_key(key, known) for key in recipe.tasks]
    store = split_as_learnt(store, recipe.data, about.get("data"))
    samples = build_samples(recipe.data, store, tasks)
    work = TrainingContext(recipe, store, samples, tasks, RunFolder(root), int(about["seed"]))
    nets = _trained(work)
    if not work.folder.scores.is_file():
        raise RunError(
            "a finished run", "one without scores", "finish it with train --resume", where=root
        )
    return work, nets


def _trained(work: TrainingContext) -> list[Trained]:
    nets = []
    for name, stage in work.recipe.stages.items():
        net = work.net(stage)
        load_weights(net, work.folder, name, "best")
        set_ = read_thresholds(work.folder.thresholds(name))
        tasks = [task.with_thresholds(set_) for task in work.tasks]
        nets.append(Trained(name, net.eval(), tasks))
    return nets


def score_run(work: TrainingContext) -> dict[str, Any]:
    """Official scores of every stage's best weights on each pool of validation and test."""
    size = work.recipe.data.batch_size
    scores: dict[str, Any] = {}
    for stage in _trained(work):
        scores[stage.name] = {}
        for split in (Split.VALIDATION, Split.TEST):
            pools = work.pools(split)
            found = score_pools(stage.net, work.samples, pools, stage.tasks, "official", size)
            scores[stage.name][split] = {pool: score.to_json() for pool, score in found.items()}
    return scores


def _resumed(folder: RunFolder) -> Progress:
    """Progress of the last checkpoint, or the start."""
    if not folder.checkpoint.is_file():
        return Progress()
    saved = read_progress(folder.checkpoint)
    known = {each.name for each in fields(Progress)}
    return Progress(**{key: value for key, value in saved.items() if key in known})


class _Runner:
    """Runs one stage from wherever its progress says to its end."""

    def __init__(
        self,
        work: TrainingContext,
        progress: Progress,
        journal: Journal,
        report: Report | None,
        checkpoint_every_s: float,
    ) -> None:
        self.work, self.at, self.journal, self.report = work, progress, journal, report
        self.every_s, self.saved_s = checkpoint_every_s, time.monotonic()
        self.started_s = time.monotonic()
        self.stage = StageRun(work, progress.stage)
        if isinstance(self.stage.optimizer, KerasAdam) and self.stage.stage.optimizer.shared:
            self.stage.optimizer.carry_step(progress.step)
        if work.folder.checkpoint.is_file() and self._is_mine():
            self.stage.load(work.folder.checkpoint)
            self.stage.stagnation.load_state_dict(progress.stagnation)

    def _is_mine(self) -> bool:
        """Whether the checkpoint was made within this stage, not at the end of the last one."""
        return bool(read_progress(self.work.folder.checkpoint)["stage"] == self.at.stage)

    def run(self) -> None:
        """Do the stage's remaining epochs, then leave its last weights for those it teaches."""
        spec = self.stage.stage
        fresh = self.at.best is None and self.at.iteration == 0
        if self.stage.starts_trained and fresh and not self.work.recipe.data.refit:
            self._start()
        while not self.at.finished and self.at.epoch < spec.epochs:
            self._ask_teacher()
            self._epoch()
        if self.stage.starts_trained and self.at.best_epoch < 0:
            self.journal.write("no_gain", stage=self.stage.name)
        self._set_thresholds()
        self._save_weights("last")
        if self.stage.stored is not None:
            self.stage.stored.remove()
        if isinstance(self.stage.optimizer, KerasAdam):
            self.at.step = self.stage.optimizer.t

    def _start(self) -> None:
        """Score the given weights: an epoch must beat them to count as best."""
        scores = self.stage.score(self.work.choosing)
        self.at.best = scores[self.stage.stage.selection.pool].official["P_MTL"]
        self._save_weights("best")
        self.journal.write("start", stage=self.stage.name, **self._told(scores))

    def _told(self, chosen: Mapping[str, Score]) -> dict[str, Any]:
        """Official scores for the journal, of what is chosen on and of validation."""
        if self.work.choosing == Split.VALIDATION:
            return {"validation": _official(chosen)}
        reported = self.stage.score(Split.VALIDATION)
        return {"held_out": _official(chosen), "validation": _official(reported)}

    def _set_thresholds(self) -> None:
        """Set the thresholds of the stage's best weights on the rows that chose them.

        What they cannot tell stays as it was in the model that training began with.
        """
        found = dict(read_about(self.work.folder.root).get("initial_thresholds", {}))
        if self.stage.stage.selection.thresholds and self.work.choosing == HELD_OUT:
            found |= self._best_thresholds()
        if found:
            write_json(self.work.folder.thresholds(self.stage.name), found)

    def _best_thresholds(self) -> dict[str, float]:
        net = self.work.net(self.stage.stage)
        load_weights(net, self.work.folder, self.stage.name, "best")
        rows = self.work.pools(self.work.choosing)[self.stage.stage.selection.pool]
        said = predict_rows(net, self.work.samples, rows, self.work.tasks)
        moments = self.work.samples.rows.moments[rows]
        person = self.work.store.moments.dictionary_column("person").codes[moments]
        truth = truth_of(self.work.samples, rows)
        return best_thresholds(truth, said, self.work.tasks, person)

    def _ask_teacher(self) -> None:
        """Have all of the teacher's answers before the first update needs one."""
        report, what = self.report, f"{self.stage.name}: answers of {self.stage.stage.teacher}"
        if self.stage.stored is None:
            return
        if report is None:
            self.stage.stored.fill()
        else:
            self.stage.stored.fill(lambda done, total: report(what, done, total, math.nan))

    def _epoch(self) -> None:
        at, plan = self.at, self.stage.plan(self.at.epoch)
        total = plan.iterations * self.stage.stage.epochs
        sums: defaultdict[str, float] = defaultdict(float, at.sums)
        for iteration, updates in _by_iteration(plan.updates(self.stage.kinds, at.iteration)):
            done = at.epoch * plan.iterations + iteration
            self.stage.set_rate(done, plan.iterations)
            loss = 0.0
            for kind, rows in updates:
                terms = self.stage.update(at.epoch, iteration, kind, rows)
                loss += terms["loss"]
                for name, value in terms.items():
                    sums[f"{kind}.{name}"] += value
            at.iteration, at.sums = iteration + 1, dict(sums)
            if self.report:
                self.report(self.stage.name, done + 1, total, loss / max(len(updates), 1))
            if time.monotonic() - self.saved_s > self.every_s:
                self._checkpoint()
        self._end_epoch({name: value / plan.iterations for name, value in sums.items()})

    def _end_epoch(self, losses: dict[str, float]) -> None:
        at, selection = self.at, self.stage.stage.selection
        scores: dict[str, Score] = {}
        if self.work.recipe.data.refit:
            value = float(at.epoch)  # so that the last one is the best
        else:
            scores = self.stage.score(self.work.choosing)
            value = scores[selection.pool].official["P_MTL"]
            self.stage.stagnation.update(self.stage.task_values(scores))
        better = at.best is None or value > at.best
        if better:
            at.best, at.best_epoch = value, at.epoch
            self._save_weights("best")
            self.stage.new_best()
        self.journal.write(
            "epoch",
            stage=self.stage.name,
            epoch=at.epoch,
            losses={name: round(value, 6) for name, value in losses.items()},
            **self._told(scores),
            task_weights=self.stage.stagnation.weights(),
            best=better,
            seconds=round(time.monotonic() - self.started_s, 2),
        )
        self.started_s = time.monotonic()
        at.finished = at.epoch - at.best_epoch >= selection.patience
        at.epoch, at.iteration, at.sums = at.epoch + 1, 0, {}
        self._checkpoint()

    def _checkpoint(self) -> None:
        self.at.journal_bytes = self.journal.size()
        self.at.stagnation = dict(self.stage.stagnation.state_dict())
        self.stage.save(self.work.folder.checkpoint, asdict(self.at))
        self.saved_s = time.monotonic()

    def _save_weights(self, which: str) -> None:
        path = self.work.folder.weights(self.stage.name, which)
        write_tensors(path, self.stage.learnt.state_dict())


def _official(scores: Mapping[str, Score]) -> dict[str, dict[str, float]]:
    return {pool: score.official for pool, score in scores.items()}


def _by_iteration(
    updates: Iterable[tuple[int, str, Any]],
) -> Iterable[tuple[int, list[tuple[str, Any]]]]:
    """Group the updates of each iteration."""
    current, group = -1, list[tuple[str, Any]]()
    for iteration, kind, rows in updates:
        if iteration != current and group:
            yield current, group
            group = []
        current = iteration
        group.append((kind, rows))
    if group:
        yield current, group


def set_threads(count: int) -> None:
    """Use so many threads for every operation; resuming needs the same number."""
    torch.set_num_threads(count)
