"""The journal of a run: one JSON object a line, in the order things happened."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from triaffect.features.disk import sync_folder, writing

Listener = Callable[[dict[str, Any]], None]


class Journal:
    """Append-only JSON lines.

    Args:
        path: File to append to; made when first written.
        listener: Told of every line as it is written.
    """

    def __init__(self, path: Path, listener: Listener | None = None) -> None:
        self._path, self._listener = path, listener

    def write(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - anything JSON can say
        """Add one line with its event's name first, and wait until it is on the disk.

        Raises:
            DiskError: It cannot be written; `cut` takes away what was.
        """
        line = json.dumps({"event": event, **fields}, separators=(",", ":"))
        with writing(self._path):
            is_first = not self.size()
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
            if is_first:
                sync_folder(self._path.parent)
        if self._listener:
            self._listener({"event": event, **fields})

    def size(self) -> int:
        """Bytes written so far."""
        return self._path.stat().st_size if self._path.exists() else 0

    def cut(self, size: int) -> None:
        """Forget what was written after ``size`` bytes; a resumed run writes it again."""
        if self.size() > size:
            with writing(self._path), self._path.open("r+b") as file:
                file.truncate(size)


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """Lines of a journal; a last line cut off by a kill is left out."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)
