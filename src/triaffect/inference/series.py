"""Prediction tables as series over time: what belongs together, and whose values are whose."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from operator import itemgetter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.inference.table import NO_FACE
from triaffect.tasks.task import Task
from triaffect.types import IntArray

Times = NDArray[np.float64]
Values = NDArray[np.float64]


def stretches(tables: Iterable[pa.Table]) -> Iterator[Iterator[pa.Table]]:
    """Parts of a table, grouped into stretches of one clip over which time does not fall.

    Each stretch must be read to its end before the next is asked for.
    """
    for _, parts in groupby(_numbered(tables), key=itemgetter(0)):
        yield (part for _, part in parts)


def _numbered(tables: Iterable[pa.Table]) -> Iterator[tuple[int, pa.Table]]:
    """Slices that lie within one stretch, with the number of the stretch."""
    number, clip, time_s = 0, None, -np.inf
    for table in tables:
        if not len(table):
            continue
        clips, times = table["clip"].to_numpy(), times_of(table)
        is_new = clips != np.append(np.array([clip], object), clips[:-1])
        is_new |= times < np.append(time_s, times[:-1])
        cuts = np.flatnonzero(is_new)
        edges = np.unique([0, *cuts, len(table)]).tolist()
        for start, end in pairwise(edges):
            number += bool(is_new[start])
            yield number, table.slice(start, end - start)
        clip, time_s = clips[-1], times[-1]


def times_of(table: pa.Table) -> Times:
    """Seconds from the start, shape (N,)."""
    times: Times = table["time_s"].to_numpy().astype(np.float64)
    return times


def faces_of(table: pa.Table) -> IntArray:
    """Number of the face, `NO_FACE` for none, shape (N,)."""
    faces: IntArray = table["face_id"].cast(pa.int64()).fill_null(NO_FACE).to_numpy()
    return faces


def values_of(table: pa.Table, columns: Sequence[str]) -> Values:
    """Columns of numbers, NaN where blank, shape (N, K)."""
    values = np.empty((len(table), len(columns)))
    for k, name in enumerate(columns):
        values[:, k] = table[name].cast(pa.float64()).to_numpy()
    return values


def rows_by_face(faces: IntArray) -> Iterator[tuple[int, IntArray]]:
    """Each face, or `NO_FACE`, with the numbers of its rows in order."""
    order = np.argsort(faces, kind="stable")
    found, starts = np.unique(faces[order], return_index=True)
    yield from zip(found.tolist(), np.split(order, starts[1:]), strict=True)


def with_columns(table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    """The table with columns put at its end; those of the same names give way."""
    kept = table.drop_columns([name for name in table.column_names if name in columns])
    for name, values in columns.items():
        kept = kept.append_column(name, values)
    return kept


def tasks_in(names: Sequence[str], tasks: Sequence[Task]) -> tuple[Task, ...]:
    """The tasks of which a table has every column."""
    return tuple(task for task in tasks if set(task.prediction_columns) <= set(names))
