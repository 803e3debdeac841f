"""What training reports after each epoch: a CSV, TensorBoard's event files, Weights & Biases.

All of them repeat the run's journal, which is written in any case. A run that is resumed takes
back the epochs behind its last checkpoint, so the CSV and the event files are written anew from
the journal when it goes on; a run of Weights & Biases goes on as the one that it was.

Steps count the epochs of all stages from 1, as the rows of the CSV do.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from triaffect.errors import RunError, one_line
from triaffect.io.atomic import disk_errors, make_folder, write_json, write_text
from triaffect.training.run_folder import (
    EpochEnded,
    EventListener,
    JournalEvent,
    RunFolder,
    read_description,
    read_journal,
)

EpochRow = dict[str, Any]
"""One epoch: ``step``, ``stage``, ``epoch`` (from 1), ``best``, ``seconds``, and every figure by a
name such as ``loss/MTL.VA`` and ``validation/ALL.P_VA``."""

_WORDS = ("step", "stage", "epoch", "best")
"""Of a row, what is no figure."""


def epoch_rows(journal: Path) -> list[EpochRow]:
    """List the epochs of a journal.

    Args:
        journal: The file.

    Returns:
        A row for each, in order, with the figures that it has.

    Raises:
        RunError: The journal is damaged.
    """
    rows: list[EpochRow] = []
    for event in read_journal(journal):
        if not isinstance(event, EpochEnded):
            continue
        row: EpochRow = {"step": len(rows) + 1, "stage": event.stage, "epoch": event.epoch + 1}
        row |= {"best": event.best, "seconds": event.seconds}
        row |= {f"loss/{name}": value for name, value in event.losses.items()}
        for split, pools in (("held_out", event.held_out or {}), ("validation", event.validation)):
            for pool, official in pools.items():
                row |= {f"{split}/{pool}.{name}": value for name, value in official.items()}
        row |= {f"task_weight/{key}": value for key, value in event.task_weights.items()}
        rows.append(row)
    return rows


def parse_loggers(text: str) -> tuple[str, ...]:
    """Read which loggers to use, and see that their packages are installed.

    Args:
        text: Names among those of `LOGGERS`, with commas.

    Returns:
        The names, each once.

    Raises:
        RunError: There is no such logger, or its package is missing.

    Examples:
        >>> parse_loggers("csv, csv")
        ('csv',)
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in LOGGERS:
            raise RunError(f"loggers among {', '.join(LOGGERS)}", repr(name), where="--log")
        package, remedy = _PACKAGES.get(name, ("", ""))
        try:
            importlib.import_module(package or "csv")
        except ImportError as error:
            expected = f"the package {name}"
            raise RunError(expected, one_line(error), remedy, where=f"--log {name}") from error
    return names


@contextmanager
def open_loggers(names: Sequence[str], folder: RunFolder) -> Generator[EventListener]:
    """Log a training to what is named.

    Args:
        names: What `parse_loggers` returns.
        folder: The run; everything goes into its folder ``log``.

    Yields:
        What `train` calls with each event, as its ``listener``.

    Raises:
        DiskError: A file cannot be written.
        RunError: Weights & Biases does not take the run.
    """
    with ExitStack() as stack:
        loggers = [LOGGERS[name](folder) for name in names]
        for logger in loggers:
            stack.callback(logger.close)

        def log(event: JournalEvent) -> None:
            if not isinstance(event, EpochEnded):
                return
            rows = epoch_rows(folder.journal)
            for logger in loggers:
                with disk_errors(folder.root / "log"):
                    make_folder(folder.root / "log")
                    logger.write(rows)

        yield log


class CsvLogger:
    """Writes ``log/epochs.csv``, a row an epoch, a cell blank that an epoch has no figure for.

    Args:
        folder: The run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.root / "log" / "epochs.csv"

    def write(self, rows: Sequence[EpochRow]) -> None:
        """Replace the file.

        Args:
            rows: All epochs of the run so far.
        """
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self._path, text.getvalue())

    def close(self) -> None:
        """Nothing is open."""


class TensorBoardLogger:
    """Writes event files into ``log/tensorboard``, every figure as a scalar below its stage.

    Args:
        folder: The run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.root / "log" / "tensorboard"
        self._writer: Any = None

    def write(self, rows: Sequence[EpochRow]) -> None:
        """Add the last epoch; at first all of them, in place of the files of an earlier process.

        Args:
            rows: All epochs of the run so far.
        """
        new = rows[-1:]
        if self._writer is None:
            shutil.rmtree(self._path, ignore_errors=True)
            module = importlib.import_module("torch.utils.tensorboard")
            self._writer, new = module.SummaryWriter(str(self._path)), rows
        for row in new:
            for name, value in row.items():
                if name not in _WORDS:
                    self._writer.add_scalar(f"{row['stage']}/{name}", value, row["step"])
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()


class WandbLogger:
    """Logs to Weights & Biases, in the project ``triaffect`` if ``WANDB_PROJECT`` names no other.

    Its own settings hold: ``wandb login`` or ``WANDB_API_KEY``, ``WANDB_MODE=offline``. The run's
    identity stands in ``log/wandb.json``, so that a resumed training goes on with it.

    Args:
        folder: The run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder, self._path = folder, folder.root / "log" / "wandb.json"
        self._run: Any = None

    def write(self, rows: Sequence[EpochRow]) -> None:
        """Log the last epoch.

        Args:
            rows: All epochs of the run so far.

        Raises:
            RunError: Weights & Biases does not begin the run.
        """
        if self._run is None:
            self._run = self._begin()
        row = rows[-1]
        figures = {f"{row['stage']}/{k}": v for k, v in row.items() if k not in _WORDS}
        self._run.log(figures, step=row["step"])

    def _begin(self) -> Any:  # noqa: ANN401 - wandb is optional
        """Begin a run of Weights & Biases, or go on with that of an earlier process."""
        wandb, stored = importlib.import_module("wandb"), None
        if self._path.is_file():
            stored = json.loads(self._path.read_text("utf-8"))["id"]
        try:
            run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "triaffect"),
                name=self._folder.root.absolute().name,
                id=stored,
                resume="allow",
                dir=str(self._path.parent),
                config=read_description(self._folder.root).recipe.model_dump(mode="json"),
            )
        except Exception as error:  # wandb's own, and those of the network
            remedy = "wandb login, or WANDB_MODE=offline; then --resume"
            raise RunError(
                "a run of wandb", one_line(error), remedy, where="--log wandb"
            ) from error
        write_json(self._path, {"id": run.id})
        return run

    def close(self) -> None:
        """End the run."""
        if self._run is not None:
            self._run.finish()


LOGGERS: dict[str, Callable[[RunFolder], CsvLogger | TensorBoardLogger | WandbLogger]] = {
    "csv": CsvLogger,
    "tensorboard": TensorBoardLogger,
    "wandb": WandbLogger,
}
"""What can be logged to, by the name that ``--log`` takes."""

_PACKAGES = {
    "tensorboard": ("torch.utils.tensorboard", 'pip install "triaffect[tensorboard]"'),
    "wandb": ("wandb", "pip install wandb"),
}
"""By logger, what it imports and what to do where that is missing."""
