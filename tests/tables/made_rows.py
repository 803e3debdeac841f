"""Prediction tables with irregular times, faces that come and go, and blanks."""

import itertools
from dataclasses import replace

import numpy as np
import pyarrow as pa

from triaffect.tables.schema import Instants, build_table
from triaffect.tasks.registry import TASKS
from triaffect.types import NO_FACE


def made_rows(moments=60, *, seed=0, faces=2, clip="a.mp4", tasks=TASKS, times_s=None, gaps=True):
    """A clip's table; with gaps faces are missing at random, all of them too, or their numbers."""
    rng = np.random.default_rng(seed)
    if times_s is None:
        steps = rng.choice([0.02, 0.04, 0.11, 0.4, 1.7], moments, p=[0.3, 0.4, 0.2, 0.07, 0.03])
        times_s = np.round(np.cumsum(steps), 6)
    here = rng.uniform(size=(len(times_s), faces)) < (0.8 if gaps else 2)
    rows = [
        (frame, time_s, face)
        for frame, time_s in enumerate(times_s)
        for face in (np.flatnonzero(here[frame]) if here[frame].any() else [NO_FACE])
    ]
    frame, time_s, track = (np.array(column) for column in zip(*rows, strict=True))
    box = np.where((track == NO_FACE)[:, None], np.nan, rng.uniform(0, 99, (len(rows), 4)))
    none = Instants.faceless(frame, time_s)
    box = box.astype(np.float32)
    instants = replace(none, track=track, box=box, detection=box[:, 0] / 100)
    values = {task.key: _drawn(rng, task, len(rows)) for task in tasks}
    blank = rng.uniform(size=len(rows)) < (0.1 if gaps else 0)
    for each in values.values():
        each[blank] = np.nan
    heard = (rng.uniform(size=len(rows)) < 0.5) & ~blank
    return build_table(clip, instants, values, heard, tasks, np.ones(len(rows)))


def _drawn(rng, task, rows):
    values = rng.uniform(*task.display_range, (rows, task.width))
    return values / values.sum(axis=1, keepdims=True) if task.exclusive else values


def cut(table, places):
    """A table in parts, cut at rows."""
    edges = [0, *sorted(places), len(table)]
    return [table.slice(a, b - a) for a, b in itertools.pairwise(edges)]


def joined(tables):
    return pa.concat_tables(tables).combine_chunks()
