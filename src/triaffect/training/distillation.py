"""Teachers: networks of finished runs, and their outputs for every row, computed once.

In evaluation mode a network answers each row alone, so what it says of a row is the same in every
epoch, and the student's updates can do without its forward pass.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triaffect.datasets.batches import Samples
from triaffect.errors import RunError
from triaffect.features.model_folder import file_hash
from triaffect.features.store import FeatureStore
from triaffect.io.atomic import disk_errors, make_folder, sync_file, sync_folder, temporary_path
from triaffect.models.base import Ensemble
from triaffect.recipes.config import EXTERNAL, Recipe
from triaffect.tasks.registry import TASKS
from triaffect.tasks.registry import task as task_by_key
from triaffect.tasks.task import Task
from triaffect.training.build import build_net
from triaffect.training.device import Device
from triaffect.training.initial_weights import fill
from triaffect.training.run_folder import (
    ExternalTeacher,
    RunFolder,
    is_finished,
    read_about,
    read_recipe,
    recipes_of_teachers,
)
from triaffect.training.scoring import CHUNK
from triaffect.types import IntArray


def find_teachers(runs: Sequence[Path], recipe: Recipe) -> list[ExternalTeacher]:
    """Find the weights of finished runs and see that they can teach a recipe.

    Args:
        runs: Their folders.
        recipe: The recipe that learns from them.

    Raises:
        RunError: A folder holds no finished run, or one whose network takes another input or
            knows none of the recipe's tasks.
    """
    return [_find_teacher(run, recipe) for run in runs]


def kept_teachers(root: Path, recipe: Recipe, resume: bool) -> list[ExternalTeacher]:
    """The teachers that a run keeps, so that it goes on without the runs that they come from.

    Args:
        root: The run folder, or where it will be.
        recipe: What is trained.
        resume: Whether to go on with the run that is there.

    Raises:
        RunError: Its ``run.json`` is damaged.
    """
    listens = any(stage.teacher == EXTERNAL for stage in recipe.stages.values())
    if not (listens and resume and RunFolder(root).about.exists()):
        return []
    hashes = read_about(root).get("teachers", [])
    kept = enumerate(zip(recipes_of_teachers(root), hashes, strict=True))
    return [ExternalTeacher(theirs, RunFolder(root).teacher(n), sha) for n, (theirs, sha) in kept]


def _find_teacher(run: Path, recipe: Recipe) -> ExternalTeacher:
    theirs = read_recipe(run)
    if not is_finished(run):
        remedy = "finish it with train --resume"
        raise RunError("a finished run as teacher", "one without scores", remedy, where=run)
    wanted, got = _input_of(recipe), _input_of(theirs)
    if got != wanted:
        raise RunError(f"a teacher that takes {wanted}", got, where=run)
    if not set(theirs.tasks) & set(recipe.tasks):
        known = ", ".join(theirs.tasks)
        raise RunError(f"a teacher of {', '.join(recipe.tasks)}", f"one of {known}", where=run)
    weights = RunFolder(run).weights(list(theirs.stages)[-1], "best")
    return ExternalTeacher(theirs, weights, file_hash(weights))


def _input_of(recipe: Recipe) -> str:
    """In words, what a recipe's network is shown."""
    data = recipe.data
    if data.input == "logmel":
        return f"logmel of {data.stretch_s:g} s"
    if data.input == "crops":
        return data.input
    streams = ", ".join((data.face, data.voice, *data.extra))
    return f"windows of {streams}, {data.window}"


def open_teachers(
    folder: RunFolder, store: FeatureStore, known: Sequence[Task], device: Device
) -> nn.Module:
    """The teachers that a run was given, as one network in evaluation mode.

    Args:
        folder: The run folder that keeps them.
        store: What the run learns from.
        known: The tasks of the run; a teacher may know others too, which nobody asks about.
        device: Where the run computes.

    Raises:
        RunError: The folder is damaged.
    """
    members = []
    for number, recipe in enumerate(recipes_of_teachers(folder.root)):
        tasks = [task_by_key(key, (*known, *TASKS)) for key in recipe.tasks]
        stage = list(recipe.stages.values())[-1]
        net = build_net(recipe, stage, store, tasks)
        fill(net, folder.teacher(number))
        members.append(net.to(device.torch_device))
    return Ensemble(members).eval().requires_grad_(requires_grad=False)


def known_to_teachers(folder: RunFolder, tasks: Sequence[Task]) -> list[Task]:
    """Those of a run's tasks that one of its given teachers at least can speak of."""
    known = {key for recipe in recipes_of_teachers(folder.root) for key in recipe.tasks}
    return [task for task in tasks if task.key in known]


Raw = dict[str, Tensor]
"""Raw outputs (N, K) by task key."""

Told = Callable[[int, int], None]
"""Told how many rows are answered, and of how many."""

SYNC_EVERY = 16
"""Chunks that reach the disk together."""


class StoredTeacher:
    """A teacher that answers from a file; what is not in it yet is computed at the first question.

    The file has the raw outputs of all tasks side by side, little-endian float32, a row for each
    of ``rows``. It grows aside by whole chunks, always of the same rows: a killed run goes on
    with the chunks that have certainly reached the disk, and ends with the same bytes.

    Args:
        net: The teacher, frozen and in evaluation mode.
        samples: Where its inputs come from.
        rows: The rows it may be asked about, ascending, each once.
        tasks: What it answers.
        path: The file.
    """

    def __init__(
        self, net: nn.Module, samples: Samples, rows: IntArray, tasks: Sequence[Task], path: Path
    ) -> None:
        self.net, self.path, self._device = net, path, Device.of(net)
        self._samples, self._rows, self._tasks = samples, rows, tasks
        self._width = sum(task.width for task in tasks)
        self._stored: NDArray[np.float32] | None = None

    def raw(self, rows: IntArray) -> Raw:
        """What the teacher says of some rows, raw outputs (N, K) by task key.

        Raises:
            DiskError: The file cannot be written; what there is of it stays.
        """
        stored = self.fill()
        answers = self._device.tensor(stored[np.searchsorted(self._rows, rows)])
        parts = torch.split(answers, [task.width for task in self._tasks], dim=1)
        return {task.key: part for task, part in zip(self._tasks, parts, strict=True)}

    def fill(self, told: Told = lambda done, total: None) -> NDArray[np.float32]:
        """The answers to all rows, (N, sum of K), after computing those that are missing.

        Raises:
            DiskError: The file cannot be written; what there is of it stays.
        """
        if self._stored is None:
            if not self.path.is_file():
                self._write(told)
            shape = (len(self._rows), self._width)
            self._stored = np.memmap(self.path, "<f4", "r", shape=shape)
        return self._stored

    def remove(self) -> None:
        """Delete the file: nobody will ask any more.

        Raises:
            DiskError: It may not be deleted.
        """
        self._stored = None  # first, for where a mapped file cannot be deleted
        with disk_errors(self.path):
            self.path.unlink(missing_ok=True)

    def _write(self, told: Told) -> None:
        """Compute what is missing, then give the file its name."""
        make_folder(self.path.parent)
        aside, total = temporary_path(self.path), len(self._rows)
        with disk_errors(self.path):
            with aside.open("ab") as file:
                done = self._certain(file.tell())
                file.truncate(done * self._width * 4)
                for start in range(done, total, CHUNK):
                    file.write(self._chunk(self._rows[start : start + CHUNK]))
                    if (start // CHUNK + 1) % SYNC_EVERY == 0:
                        file.flush()
                        os.fsync(file.fileno())
                    told(min(start + CHUNK, total), total)
            sync_file(aside)
            aside.replace(self.path)
            sync_folder(self.path.parent)

    def _certain(self, size: int) -> int:
        """Rows of an unfinished file that a power cut cannot have taken: the last may be empty."""
        together = CHUNK * SYNC_EVERY
        return max(0, size // (together * self._width * 4) - 1) * together

    @torch.no_grad()
    def _chunk(self, rows: IntArray) -> bytes:
        raw: Raw = self.net(self._device.tensors(self._samples.inputs(rows))).raw
        answers = torch.cat([raw[task.key] for task in self._tasks], 1)
        return answers.numpy(force=True).astype("<f4").tobytes()
