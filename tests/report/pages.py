"""Prediction tables and journals to make pages of."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa

from triaffect.tables.schema import Instants, build_table
from triaffect.tasks.registry import TASKS
from triaffect.types import NO_FACE


def made_table(clip="clip.mp4", frames=60, faces=1, gap=range(0), tasks=TASKS) -> pa.Table:
    """A clip with faces in every frame but those of the gap."""
    rng = np.random.default_rng(0)
    rows = [
        (k, face)
        for k in range(frames)
        for face in (range(faces) if k not in gap and faces else [NO_FACE])
    ]
    frame, track = np.array(rows).T
    box = np.where((track == NO_FACE)[:, None], np.nan, 50.0) * np.ones((1, 4))
    blank = Instants.faceless(frame, frame / 25)
    instants = replace(blank, track=track, box=box, detection=box[:, 0] / 100)
    values = {}
    for task in tasks:
        values[task.key] = rng.dirichlet(np.ones(task.width), len(frame))
    voice, share = np.ones(len(frame), bool), np.ones(len(frame))
    return build_table(clip, instants, values, voice, tasks, share)


def made_journal(epochs=8):
    """Lines of a run of two stages."""
    yield {"event": "started", "seed": 0}
    for stage in ("teacher", "student"):
        for epoch in range(epochs):
            learnt = 1 - math.exp(-epoch / 4)
            yield {
                "event": "epoch",
                "stage": stage,
                "epoch": epoch,
                "losses": {"MTL.loss": 2 - learnt, "MTL.EXPR": 1.0, "VA.loss": 1 - learnt / 2},
                "validation": {
                    "VA": {"P_VA": learnt, "P_EXPR": 0.0, "P_AU": 0.0, "P_MTL": learnt},
                    "MTL": {"P_VA": learnt, "P_EXPR": 0.3, "P_AU": 0.2, "P_MTL": 0.5 + learnt},
                },
                "best": True,
                "seconds": 1.0,
            }


SUMMARY = {
    "teacher": {"official": {"P_VA": 0.5, "P_EXPR": 0.4, "P_AU": 0.5, "P_MTL": 1.4}},
    "student": {"official": {"P_VA": 0.6, "P_EXPR": 0.4, "P_AU": 0.5, "P_MTL": 1.5}},
    "chance": {"official": {"P_VA": 0.0, "P_EXPR": 0.1, "P_AU": 0.3, "P_MTL": 0.4}},
    "seconds": {"extract": 12.34},
    "predictions": "predictions.csv",
}
