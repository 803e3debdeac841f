"""What thresholds set on held-out people are worth: the units' score with them and with 0.5.

    python benchmarks/check_thresholds.py STORE RUN...

RUN are finished runs of recipes that set thresholds. Told is the last stage's mean F1 of the action
units on the test split, by run and on average.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean, stdev

import torch

from triaffect.features.store import FeatureStore
from triaffect.metrics.abaw import score_targets
from triaffect.training.scoring import open_run, predict_rows, truth_of

KEY = "AU"


def scores(run: Path, store: FeatureStore) -> tuple[float, float]:
    """Score with 0.5, and with the run's thresholds."""
    work, stages = open_run(run, store)
    stage, rows = stages[-1], work.pools("test")["ALL"]
    truth, said = (
        truth_of(work.samples, rows),
        predict_rows(stage.net, work.samples, rows, work.tasks),
    )
    plain, tuned = (score_targets(truth, said, tasks) for tasks in (work.tasks, stage.tasks))
    return plain.tasks[KEY].value, tuned.tasks[KEY].value


def main() -> None:
    """Score every run twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    store = FeatureStore.open(arguments.store)
    found = [scores(run, store) for run in arguments.runs]
    for run, (plain, tuned) in zip(arguments.runs, found, strict=True):
        print(f"{run}: {plain:.3f} with 0.5, {tuned:.3f} with thresholds")
    gains = [tuned - plain for plain, tuned in found]
    spread = f", standard deviation {stdev(gains):.3f}" if len(gains) > 1 else ""
    print(f"mean gain {mean(gains):+.3f}{spread}, {sum(g > 0 for g in gains)} of {len(gains)} runs")


if __name__ == "__main__":
    main()
