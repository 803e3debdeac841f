"""What became of each input, and the mark beside a table that is not whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from triaffect.errors import TriaffectError, printable


class State(StrEnum):
    """How much of an input is in the table."""

    WHOLE = "whole"
    PARTIAL = "partial"
    DOUBTFUL = "doubtful"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    NOT_STARTED = "not started"
    PASSED_OVER = "passed over"


@dataclass(frozen=True)
class FileResult:
    """What became of one input.

    Attributes:
        path: The input as given.
        rows: Rows of the table that are its.
        error: Why it failed; None if it did not.
        problem: What was lost of a file that is broken or cut off; empty for a whole one.
        remark: What is doubtful in how it was read, such as which of two sounds; or empty.
        stopped: How much there is of a file that an interruption left undone; None if it did not.
    """

    path: Path
    rows: int = 0
    error: TriaffectError | None = None
    problem: str = ""
    stopped: State | None = None
    remark: str = ""

    @property
    def state(self) -> State:
        """How much of it is in the table."""
        if self.stopped:
            return self.stopped
        if self.error:
            return State.FAILED
        if self.problem:
            return State.PARTIAL
        return State.DOUBTFUL if self.remark else State.WHOLE

    @property
    def message(self) -> str:
        """What to tell of it, in words; empty for a whole one."""
        texts = [str(self.error or ""), self.problem, self.remark]
        return "; ".join(filter(None, texts)) or str(self.stopped or "")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; what was done until then is kept.

    Args:
        output: The partial table; None if there was not one row.
        results: What became of each input, in order.
    """

    def __init__(self, output: Path | None, results: Sequence[FileResult]) -> None:
        super().__init__()
        self.output, self.results = output, list(results)


def partial_name(output: Path) -> Path:
    """Return where the rows of interrupted work are, beside the table.

    >>> partial_name(Path("t.csv")).name
    't.partial.csv'

    Args:
        output: The table.
    """
    return output.with_name(f"{output.stem}.partial{output.suffix}")


def meta_name(output: Path) -> Path:
    """Return the path of the file that describes a table, beside it.

    >>> meta_name(Path("t.csv")).name
    't.csv.meta.json'

    Args:
        output: The table.
    """
    return output.with_name(output.name + ".meta.json")


def problems(results: Sequence[FileResult]) -> list[dict[str, Any]]:
    """List the inputs that are not wholly in the table, or read doubtfully, for JSON.

    >>> problems([FileResult(Path("a.mp4"), 10), FileResult(Path("b.mp4"), 3, problem="cut off")])
    [{'clip': 'b.mp4', 'state': 'partial', 'rows': 3, 'problem': 'cut off'}]

    Args:
        results: What became of each input.

    Returns:
        For each its ``clip``, ``state`` (as `State`), ``rows`` in the table, and ``problem`` in
        words; nothing for a whole one.
    """
    return [
        {
            "clip": printable(result.path),
            "state": str(result.state),
            "rows": result.rows,
            "problem": result.message,
        }
        for result in results
        if result.state is not State.WHOLE
    ]
