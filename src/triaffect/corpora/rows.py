"""What readers share: label arrays into a Moments table, frame numbers, names of emotions.

Corpora name acted or voted emotions in their own words. The eight expressions have no
contempt and no boredom, so both count as ``other``; calm speech counts as ``neutral``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from triaffect.media.video import VideoFrames
from triaffect.tasks.expression import EXPRESSIONS
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.types import (
    KEY_COLUMNS,
    BoolArray,
    FloatArray,
    IntArray,
    LabelOrigin,
    Moments,
    Source,
    moments_schema,
)

MEANING = MappingProxyType(
    {
        # the expressions themselves
        "neutral": "neutral",
        "anger": "anger",
        "disgust": "disgust",
        "fear": "fear",
        "happiness": "happiness",
        "sadness": "sadness",
        "surprise": "surprise",
        # RAVDESS
        "calm": "neutral",
        "happy": "happiness",
        "sad": "sadness",
        "angry": "anger",
        "fearful": "fear",
        "surprised": "surprise",
        # FER+
        "contempt": "other",
        # EMO-DB
        "boredom": "other",
    }
)
"""Expression by a corpus's own name of the emotion."""


def fold_votes(
    amounts: NDArray[np.integer] | NDArray[np.floating], emotions: Sequence[str]
) -> FloatArray:
    """Add up votes for a corpus's own emotions by the expression they mean.

    Args:
        amounts: Votes or probabilities, shape (N, len(emotions)).
        emotions: The corpus's own name of each column; all of them in `MEANING`.

    Returns:
        Amounts by expression, shape (N, 8).
    """
    folded = np.zeros((len(amounts), len(EXPRESSIONS)), np.float32)
    for k, emotion in enumerate(emotions):
        folded[:, EXPRESSIONS.index(MEANING[emotion])] += amounts[:, k]
    return folded


DEFAULT_RATE = 30.0
"""Frames/s by which frames are numbered where no video tells; about that of Aff-Wild2."""

MULTI_TASK_SET = "MTL"
"""Label set of rows that are annotated for several tasks at once."""

Key = str | int | Sequence[str] | NDArray[np.generic]
"""What a key column holds: one value for all rows, or one a row."""


@dataclass(frozen=True)
class TaskLabels:
    """Labels of one task as a parser read them; ``valid`` decides, not the values.

    Attributes:
        values: Values, or for expression a distribution over the classes, shape (N, K).
        valid: Which of them are annotated, shape (N, K).
    """

    values: NDArray[np.floating]
    valid: BoolArray

    @staticmethod
    def from_nan(values: NDArray[np.floating]) -> TaskLabels:
        """Read an array (N, K) in which NaN is not annotated."""
        return TaskLabels(values, ~np.isnan(values))

    def take(self, rows: IntArray | BoolArray) -> TaskLabels:
        """Select rows, by their numbers or by a mask."""
        return TaskLabels(self.values[rows], self.valid[rows])


def label_columns(tasks: Sequence[Task] = TASKS) -> dict[str, tuple[str, ...]]:
    """Label columns of each task by its key, as `moments_schema` wants them."""
    return {task.key: task.columns for task in tasks}


def build_moments(
    rows: int,
    keys: Mapping[str, Key],
    labels: Mapping[str, TaskLabels | NDArray[np.floating]],
    origin: LabelOrigin,
    tasks: Sequence[Task] = TASKS,
) -> Moments:
    """Build a Moments table with every label column of every task.

    Args:
        rows: Number of rows N.
        keys: The key columns by name; a single value stands for all rows.
        labels: Labels of N rows by task key; a task may be absent. In an array (N, K) instead, NaN
            is not annotated.
        origin: Where all these labels came from.
        tasks: The tasks whose columns the table has.

    Returns:
        The table; a task's weight is 1 and its origin set in rows with a label of that task,
        and both are null elsewhere.
    """
    columns = [_key_column(keys[field.name], field.type, rows) for field in KEY_COLUMNS]
    for task in tasks:
        columns += _task_columns(labels.get(task.key), task.width, rows, origin)
    return Moments(pa.table(columns, schema=moments_schema(label_columns(tasks))))


def join_moments(parts: Sequence[Moments], tasks: Sequence[Task] = TASKS) -> Moments:
    """Join tables of one source; without any, a table with all columns and no rows."""
    if parts:
        return Moments.concat(parts)
    return Moments(moments_schema(label_columns(tasks)).empty_table())


def source_frame_rate(source: Source) -> float:
    """Average frames/s of a source's video, `DEFAULT_RATE` where it has none.

    Raises:
        MediaError: It has one, but that cannot be read.
    """
    return VideoFrames(source.video).info.frame_rate if source.video else DEFAULT_RATE


def _key_column(value: Key, kind: pa.DataType, rows: int) -> pa.Array:
    if isinstance(value, str | int):
        return pa.repeat(pa.scalar(value, kind), rows)
    return pa.array(value, kind)


def _task_columns(
    labels: TaskLabels | NDArray[np.floating] | None, width: int, rows: int, origin: LabelOrigin
) -> list[pa.Array]:
    if labels is None:
        kinds = [pa.float32()] * (width + 1) + [pa.string()]
        return [pa.nulls(rows, kind) for kind in kinds]
    if not isinstance(labels, TaskLabels):
        labels = TaskLabels.from_nan(labels)
    values, missing = labels.values.astype(np.float32), ~labels.valid
    columns = [pa.array(values[:, k], mask=missing[:, k]) for k in range(width)]
    labeled = pa.array(labels.valid.any(1))
    weight = pc.if_else(labeled, pa.scalar(1.0, pa.float32()), pa.scalar(None, pa.float32()))
    origins = pc.if_else(labeled, pa.scalar(str(origin)), pa.scalar(None, pa.string()))
    return [*columns, weight, origins]


def name_videos(files: Mapping[str, str | None]) -> dict[str, str | None]:
    """Name the video of each source.

    Args:
        files: By the source's id, the file that it is seen or heard in; None for single
            pictures, which are no video.

    Returns:
        By id: the source itself, or joined by "+" all that share its file, such as the two
        people of a twin video; None for single pictures.
    """
    sharing: defaultdict[str, list[str]] = defaultdict(list)
    for source, file in files.items():
        if file is not None:
            sharing[file].append(source)
    return {
        source: None if file is None else " + ".join(sharing[file])
        for source, file in files.items()
    }
