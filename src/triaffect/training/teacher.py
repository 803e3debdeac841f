"""A teacher's outputs, computed once for every row and kept in the run folder.

In evaluation mode a network answers each row alone, so what it says of a row is the same in every
epoch, and the student's updates can do without its forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class StoredTeacher:
    """A teacher that answers from a file; what is not in it yet is computed at the first question.

    The file has the raw outputs of all tasks side by side, little-endian float32, a row for each
    of ``rows``. It grows aside by whole chunks, always of the same rows: a killed run goes on
    with the chunks that are there, and ends with the same bytes.

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
        if self._stored is None:
            self._stored = self._open()
        answers = self._place.tensor(self._stored[np.searchsorted(self._rows, rows)])
        parts = torch.split(answers, [task.width for task in self._tasks], dim=1)
        return {task.key: part for task, part in zip(self._tasks, parts, strict=True)}

    def _open(self) -> NDArray[np.float32]:
        if not self.path.is_file():
            self._write()
        shape = (len(self._rows), self._width)
        return np.memmap(self.path, "<f4", "r", shape=shape)

    def _write(self) -> None:
        """Compute what is missing, then give the file its name."""
        make_folder(self.path.parent)
        aside, chunk_bytes = aside_of(self.path), CHUNK * self._width * 4
        with writing(self.path):
            with aside.open("ab") as file:
                done = file.tell() // chunk_bytes
                file.truncate(done * chunk_bytes)
                for start in range(done * CHUNK, len(self._rows), CHUNK):
                    file.write(self._chunk(self._rows[start : start + CHUNK]))
            sync_file(aside)
            aside.replace(self.path)
            sync_folder(self.path.parent)

    @torch.no_grad()
    def _chunk(self, rows: IntArray) -> bytes:
        raw: Raw = self.net(self._place.tensors(self._samples.inputs(rows))).raw
        answers = torch.cat([raw[task.key] for task in self._tasks], 1)
        return answers.numpy(force=True).astype("<f4").tobytes()
