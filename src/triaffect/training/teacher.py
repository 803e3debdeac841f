"""A teacher's outputs, computed once for every row and kept in the run folder.

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

from triaffect.features.disk import aside_of, make_folder, sync_file, sync_folder, writing
from triaffect.samples.dataset import Samples
from triaffect.tasks.task import Task
from triaffect.training.place import Place
from triaffect.training.scoring import CHUNK
from triaffect.types import IntArray

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
        self.net, self.path, self._place = net, path, Place.of(net)
        self._samples, self._rows, self._tasks = samples, rows, tasks
        self._width = sum(task.width for task in tasks)
        self._stored: NDArray[np.float32] | None = None

    def raw(self, rows: IntArray) -> Raw:
        """What the teacher says of some rows, raw outputs (N, K) by task key.

        Raises:
            DiskError: The file cannot be written; what there is of it stays.
        """
        stored = self.fill()
        answers = self._place.tensor(stored[np.searchsorted(self._rows, rows)])
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
        with writing(self.path):
            self.path.unlink(missing_ok=True)

    def _write(self, told: Told) -> None:
        """Compute what is missing, then give the file its name."""
        make_folder(self.path.parent)
        aside, total = aside_of(self.path), len(self._rows)
        with writing(self.path):
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
        raw: Raw = self.net(self._place.tensors(self._samples.inputs(rows))).raw
        answers = torch.cat([raw[task.key] for task in self._tasks], 1)
        return answers.numpy(force=True).astype("<f4").tobytes()
