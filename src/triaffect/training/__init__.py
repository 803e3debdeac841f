"""The loop, its stages, checkpoints, journal and export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.training.device import TorchDevice
    from triaffect.training.export import export_run
    from triaffect.training.run_folder import (
        Journal,
        RunDescription,
        RunFolder,
        read_description,
        read_journal,
    )
    from triaffect.training.scoring import open_run, predict_rows, score_run
    from triaffect.training.trainer import train
    from triaffect.training.view import LeakChoice, Leaks, TrainingView

__all__ = [
    "Journal",
    "LeakChoice",
    "Leaks",
    "RunDescription",
    "RunFolder",
    "TorchDevice",
    "TrainingView",
    "export_run",
    "open_run",
    "predict_rows",
    "read_description",
    "read_journal",
    "score_run",
    "train",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "device": ["TorchDevice"],
        "export": ["export_run"],
        "run_folder": [
            "Journal",
            "RunDescription",
            "RunFolder",
            "read_description",
            "read_journal",
        ],
        "scoring": ["open_run", "predict_rows", "score_run"],
        "trainer": ["train"],
        "view": ["LeakChoice", "Leaks", "TrainingView"],
    },
)
