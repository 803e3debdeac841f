"""External teachers, networks of finished runs; and teachers' outputs, computed once for every row.

In evaluation mode a network's outputs for a row depend on that row alone, so they are the same in
every epoch, and the student's updates can do without the teacher's forward pass.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from triaffect.models.base import Ensemble, load_weights
from triaffect.recipes.config import EXTERNAL, Recipe
from triaffect.tasks.registry import resolve_tasks
from triaffect.tasks.task import Task
from triaffect.training.build import build_net
from triaffect.training.device import TorchDevice
from triaffect.training.run_folder import (
    ExternalTeacher,
    RunFolder,
    is_finished,
    read_description,
    read_recipe,
)
from triaffect.training.scoring import CHUNK
from triaffect.types import IntArray


def find_teachers(runs: Sequence[Path], recipe: Recipe) -> list[ExternalTeacher]:
    """Find the weights of finished runs and see that they can teach a recipe.

    Args:
        runs: Their folders.
        recipe: The recipe that learns from them.

    Returns:
        The last stage of each, in order.

    Raises:
        RunError: A folder holds no finished run, or one whose network takes another input or
            predicts none of the recipe's tasks.
    """
    teachers = []
    needed, keys = _describe_input(recipe), [task.key for task in resolve_tasks(recipe.tasks)]
    for run in runs:
        theirs = read_recipe(run)
        if not is_finished(run):
            remedy = "finish it with train --resume"
            raise RunError("a finished run as teacher", "one without scores", remedy, where=run)
        got = _describe_input(theirs)
        if got != needed:
            raise RunError(f"a teacher that takes {needed}", got, where=run)
        theirs_keys = [task.key for task in resolve_tasks(theirs.tasks)]
        if not set(theirs_keys) & set(keys):
            expected = f"a teacher of {', '.join(keys)}"
            raise RunError(expected, f"one of {', '.join(theirs_keys)}", where=run)
        weights = RunFolder(run).weights(list(theirs.stages)[-1], "best")
        teachers.append(ExternalTeacher(theirs, weights, file_hash(weights)))
    return teachers


def stored_teachers(root: Path, recipe: Recipe, resume: bool) -> list[ExternalTeacher]:
    """Return the teachers that a run has copies of, so that it goes on without their own runs.

    Args:
        root: The run folder, or where it will be.
        recipe: What is trained.
        resume: Whether to go on with the run that is there.

    Returns:
        The teachers, in the order they were given in; none for a run without or a new one.

    Raises:
        RunError: Its ``run.json`` is damaged.
    """
    has_teachers = any(stage.teacher == EXTERNAL for stage in recipe.stages.values())
    folder = RunFolder(root)
    if not (has_teachers and resume and folder.description.exists()):
        return []
    description = read_description(root)
    pairs = zip(description.teachers_recipes, description.teachers, strict=True)
    return [ExternalTeacher(each, folder.teacher(n), sha) for n, (each, sha) in enumerate(pairs)]


def _describe_input(recipe: Recipe) -> str:
    """Say in words what a recipe's network takes."""
    data = recipe.data
    if data.input == "logmel":
        return f"logmel of {data.stretch_s:g} s"
    if data.input == "crops":
        return data.input
    streams = ", ".join((data.face, data.voice, *data.extra))
    return f"windows of {streams}, {data.window}"


def load_teachers(folder: RunFolder, store: FeatureStore, device: TorchDevice) -> nn.Module:
    """Load a run's external teachers as one network in evaluation mode.

    They may predict tasks that the run has not; nothing reads those.

    Args:
        folder: The run folder with their weights.
        store: What the run learns from.
        device: Where the run computes.

    Returns:
        A network whose outputs are means over the teachers, on the device, its weights frozen.

    Raises:
        RunError: The folder is damaged.
        ModelError: Weights are another network's.
    """
    members = []
    for number, recipe in enumerate(read_description(folder.root).teachers_recipes):
        stage = list(recipe.stages.values())[-1]
        net = build_net(recipe, stage, store, resolve_tasks(recipe.tasks))
        load_weights(net, folder.teacher(number), discriminator_optional=True)
        members.append(net.to(device.torch_device))
    return Ensemble(members).eval().requires_grad_(requires_grad=False)


def distilled_tasks(folder: RunFolder, tasks: Sequence[Task]) -> list[Task]:
    """Select those of a run's tasks that one of its external teachers at least predicts.

    Args:
        folder: The run folder, which names the teachers' recipes.
        tasks: The run's tasks.

    Returns:
        Those of them that are learned from the teachers too, in their order.
    """
    recipes = read_description(folder.root).teachers_recipes
    keys = {task.key for recipe in recipes for task in resolve_tasks(recipe.tasks)}
    return [task for task in tasks if task.key in keys]


RawOutputs = dict[str, Tensor]
"""Raw outputs (N, K) by task key."""

RowProgress = Callable[[int, int], None]
"""Called with the number of rows done and of all."""

SYNC_EVERY = 16
"""Chunks that reach the disk together."""


class StoredTeacher:
    """A teacher whose outputs are read from a file; those not in it yet are computed at first use.

    The file has the raw outputs of all tasks side by side, little-endian float32, a row for each
    of ``rows``. It grows under a temporary name by whole chunks, always of the same rows: a
    killed run goes on with the chunks that have certainly reached the disk, and ends with the
    same bytes.

    Args:
        net: The teacher, frozen and in evaluation mode.
        samples: Where its inputs come from.
        rows: The rows that may be read, ascending, each once.
        tasks: The tasks whose outputs are stored.
        path: The file.
    """

    def __init__(
        self, net: nn.Module, samples: Samples, rows: IntArray, tasks: Sequence[Task], path: Path
    ) -> None:
        self.net, self.path, self._device = net, path, TorchDevice.of(net)
        self._samples, self._rows, self._tasks = samples, rows, tasks
        self._width = sum(task.raw_width for task in tasks)
        self._stored: NDArray[np.float32] | None = None

    def raw(self, rows: IntArray) -> RawOutputs:
        """Return raw outputs of some rows.

        Args:
            rows: Rows that may be read, shape (N,), in any order.

        Returns:
            By task key, before the activation, shape (N, K), on the teacher's device.

        Raises:
            DiskError: The file cannot be written; what there is of it stays.
        """
        stored = self.fill()
        outputs = self._device.tensor(stored[np.searchsorted(self._rows, rows)])
        parts = torch.split(outputs, [task.raw_width for task in self._tasks], dim=1)
        return {task.key: part for task, part in zip(self._tasks, parts, strict=True)}

    def fill(self, progress: RowProgress = lambda done, total: None) -> NDArray[np.float32]:
        """Return the outputs for all rows, after computing those that are missing.

        Args:
            progress: Called after each chunk that is computed.

        Returns:
            Raw outputs of all tasks side by side, shape (rows, sum of K), mapped from the file.

        Raises:
            DiskError: The file cannot be written; what there is of it stays.
        """
        if self._stored is None:
            if not self.path.is_file():
                self._write(progress)
            shape = (len(self._rows), self._width)
            self._stored = np.memmap(self.path, "<f4", "r", shape=shape)
        return self._stored

    def remove(self) -> None:
        """Delete the file, which nothing reads any more.

        Raises:
            DiskError: It may not be deleted.
        """
        self._stored = None  # first, for where a mapped file cannot be deleted
        with disk_errors(self.path):
            self.path.unlink(missing_ok=True)

    def _write(self, progress: RowProgress) -> None:
        """Compute what is missing, then give the file its name."""
        make_folder(self.path.parent)
        temporary, total = temporary_path(self.path), len(self._rows)
        with disk_errors(self.path):
            with temporary.open("ab") as file:
                # Of an unfinished file a power cut cannot have taken these rows; the last ones
                # may be empty.
                together = CHUNK * SYNC_EVERY
                done = max(0, file.tell() // (together * self._width * 4) - 1) * together
                file.truncate(done * self._width * 4)
                for start in range(done, total, CHUNK):
                    file.write(self._chunk(self._rows[start : start + CHUNK]))
                    if (start // CHUNK + 1) % SYNC_EVERY == 0:
                        file.flush()
                        os.fsync(file.fileno())
                    progress(min(start + CHUNK, total), total)
            sync_file(temporary)
            temporary.replace(self.path)
            sync_folder(self.path.parent)

    @torch.no_grad()
    def _chunk(self, rows: IntArray) -> bytes:
        raw: RawOutputs = self.net(self._device.tensors(self._samples.inputs(rows))).raw
        outputs = torch.cat([raw[task.key] for task in self._tasks], 1)
        return outputs.numpy(force=True).astype("<f4").tobytes()


@dataclass(frozen=True)
class PoolTeacher:
    """An earlier stage that teaches one update of a stage.

    Attributes:
        net: Its network, frozen and in evaluation mode.
        tasks: What it has learned, and so teaches.
        stored: Its outputs for the update's rows; None where rows are augmented.
    """

    net: nn.Module
    tasks: Sequence[Task]
    stored: StoredTeacher | None
