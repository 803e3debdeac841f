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
        Amounts by expression, in the order of `EXPRESSIONS`, float32, shape (N, 8).

    Examples:
        >>> fold_votes(np.array([[3, 1, 1]]), ["calm", "contempt", "boredom"])
        array([[3., 0., 0., 0., 0., 0., 0., 2.]], dtype=float32)
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
        """Make labels from an array in which NaN is not annotated.

        Args:
            values: Shape (N, K).
        """
        return TaskLabels(values, ~np.isnan(values))

    def take(self, rows: IntArray | BoolArray) -> TaskLabels:
        """Select rows.

        Args:
            rows: Their numbers, shape (R,), or a mask, shape (N,).

        Returns:
            Labels of the rows in that order.
        """
        return TaskLabels(self.values[rows], self.valid[rows])


def label_columns(tasks: Sequence[Task] = TASKS) -> dict[str, tuple[str, ...]]:
    """Return the label columns of each task by its key, as `moments_schema` takes them.

    Args:
        tasks: Any tasks.

    Examples:
        >>> label_columns(TASKS[:1])
        {'VA': ('valence', 'arousal')}
    """
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
    columns: list[pa.Array] = []
    for field in KEY_COLUMNS:
        key = keys[field.name]
        if isinstance(key, str | int):
            columns.append(pa.repeat(pa.scalar(key, field.type), rows))
        else:
            columns.append(pa.array(key, field.type))
    for task in tasks:
        its = labels.get(task.key)
        if its is None:
            kinds = [pa.float32()] * (task.width + 1) + [pa.string()]
            columns += [pa.nulls(rows, kind) for kind in kinds]
            continue
        if not isinstance(its, TaskLabels):
            its = TaskLabels.from_nan(its)
        values, missing = its.values.astype(np.float32), ~its.valid
        columns += [pa.array(values[:, k], mask=missing[:, k]) for k in range(task.width)]
        labeled = pa.array(its.valid.any(1))
        for filled in (pa.scalar(1.0, pa.float32()), pa.scalar(str(origin))):  # weight and origin
            columns.append(pc.if_else(labeled, filled, pa.scalar(None, filled.type)))
    return Moments(pa.table(columns, schema=moments_schema(label_columns(tasks))))


def join_moments(parts: Sequence[Moments], tasks: Sequence[Task] = TASKS) -> Moments:
    """Join tables of one source.

    Args:
        parts: The tables, all with the columns of the same tasks.
        tasks: The tasks whose columns the table has if there are no parts.

    Returns:
        All their rows in order; a table without rows if there are no parts.
    """
    if parts:
        return Moments.concat(parts)
    return Moments(moments_schema(label_columns(tasks)).empty_table())


def source_frame_rate(source: Source) -> float:
    """Return the average frames/s of a source's video, `DEFAULT_RATE` where it has none.

    Args:
        source: Of any corpus; its video is opened.

    Raises:
        MediaError: It has one, but that cannot be read.
    """
    return VideoFrames(source.video).info.frame_rate if source.video else DEFAULT_RATE


def name_videos(files: Mapping[str, str | None]) -> dict[str, str | None]:
    """Name the video of each source.

    Args:
        files: By the source's id, the file that it is seen or heard in; None for single
            pictures, which are no video.

    Returns:
        By id: the source itself, or joined by "+" all that share its file, such as the two
        people of a twin video; None for single pictures.

    Examples:
        >>> name_videos({"a_left": "a.mp4", "a_right": "a.mp4", "b": None})
        {'a_left': 'a_left + a_right', 'a_right': 'a_left + a_right', 'b': None}
    """
    sharing: defaultdict[str, list[str]] = defaultdict(list)
    for source, file in files.items():
        if file is not None:
            sharing[file].append(source)
    return {
        source: None if file is None else " + ".join(sharing[file])
        for source, file in files.items()
    }
