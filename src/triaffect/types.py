"""Types that every layer shares. NumPy and Arrow only; no torch, no input or output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.errors import TableError

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
RowNumbers = NDArray[np.int32] | IntArray
"""Rows of a stream, -1 for none: half as large where 32 bits can count them."""


class Split(StrEnum):
    """Which part of a corpus a moment belongs to.

    A corpus declares the first three (`CORPUS_SPLITS`). A training view sets some training
    people apart to choose on (`HELD_OUT`), and drops what must not be learned (`EXCLUDED`).
    """

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    HELD_OUT = "held out"
    EXCLUDED = "left out"


CORPUS_SPLITS = (Split.TRAIN, Split.VALIDATION, Split.TEST)
"""Splits that a corpus may declare."""

NO_FACE = -1
"""Track of a moment without a face; blank in a table's ``face_id``."""


class LabelOrigin(StrEnum):
    """Where a label came from, so that no one mistakes a rendered label for a human one."""

    HUMAN = "human"
    DERIVED = "derived"
    TEACHER = "teacher"
    RENDERED = "rendered"


class SourceKind(StrEnum):
    """What a source is made of."""

    VIDEO = "video"
    IMAGES = "images"
    SOUND = "sound"


@dataclass(frozen=True)
class Window:
    """Which earlier (and later) instants one moment looks at.

    Attributes:
        span_s: Seconds from the first instant to the last.
        hop_s: Seconds between neighbouring instants.
        causal: The last instant is the moment itself; otherwise the moment is in the middle.
    """

    span_s: float
    hop_s: float
    causal: bool = True

    def offsets_s(self) -> NDArray[np.float64]:
        """Return the seconds to add to a moment's time, ascending, shape (W,), float64.

        >>> Window(span_s=0.5, hop_s=0.25).offsets_s().tolist()
        [-0.5, -0.25, 0.0]
        >>> Window(span_s=0.5, hop_s=0.25, causal=False).offsets_s().tolist()
        [-0.25, 0.0, 0.25]
        """
        count = round(self.span_s / self.hop_s) + 1
        last = 0.0 if self.causal else self.span_s / 2
        return last - self.hop_s * np.arange(count - 1, -1, -1, dtype=np.float64)


@dataclass(frozen=True)
class FeatureSeries:
    """Feature vectors over time.

    Attributes:
        values: Shape (T, D); float16 for network features, uint8 for crops.
        times_s: Seconds from the start of the source, shape (T,).
    """

    values: NDArray[np.generic]
    times_s: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.times_s.shape != (len(self.values),):  # noqa: PLR2004
            raise ValueError(
                f"values (T, D) and times_s (T,) expected, got {self.values.shape} "
                f"and {self.times_s.shape}"
            )


@dataclass(frozen=True)
class Targets:
    """Labels of one task; ``valid`` decides, values under a False are meaningless.

    Attributes:
        values: Values, or for expression a distribution over the classes, shape (N, K).
        valid: Which of them are annotated, shape (N, K).
        weight: Weight of each row in this task's loss, shape (N,).
    """

    values: FloatArray
    valid: BoolArray
    weight: FloatArray

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.values)


KEY_COLUMNS: tuple[pa.Field, ...] = (
    pa.field("source", pa.string(), nullable=False),
    pa.field("person", pa.string(), nullable=False),
    pa.field("track", pa.int32(), nullable=False),
    pa.field("frame", pa.int32(), nullable=False),
    pa.field("time_s", pa.float64(), nullable=False),
    pa.field("split", pa.string(), nullable=False),
    pa.field("label_set", pa.string(), nullable=False),
)
"""Columns of every Moments table. ``label_set`` names the annotation set that the row came
from ("VA", "EXPR", "AU" or "MTL"): the paper draws its batches, and its task discriminator
its classes, from it."""


def weight_column(task_key: str) -> str:
    """Return the name of the column with a task's row weight (float32; null reads as 1).

    >>> weight_column("VA")
    'VA_weight'
    """
    return f"{task_key}_weight"


def origin_column(task_key: str) -> str:
    """Return the name of the column with the `LabelOrigin` of a task's labels (null for none).

    >>> origin_column("VA")
    'VA_origin'
    """
    return f"{task_key}_origin"


def moments_schema(label_columns: dict[str, tuple[str, ...]]) -> pa.Schema:
    """Compute the Arrow schema of a Moments table.

    >>> moments_schema({"VA": ("valence", "arousal")}).names[-4:]
    ['valence', 'arousal', 'VA_weight', 'VA_origin']

    Args:
        label_columns: For each task key its label columns, in output order.

    Returns:
        The key columns, then of each task its labels, weight and origin.
    """
    fields = list(KEY_COLUMNS)
    for key, columns in label_columns.items():
        fields += [pa.field(name, pa.float32()) for name in columns]
        fields.append(pa.field(weight_column(key), pa.float32()))
        fields.append(pa.field(origin_column(key), pa.string()))
    return pa.schema(fields)


@dataclass(frozen=True, eq=False)
class DictionaryColumn:
    """A text column stored as integer codes into its distinct values: a few bytes a row.

    Compares with a text element by element, and indexing gives NumPy text, as with an array of
    text.

    Attributes:
        values: The distinct values.
        codes: Index into ``values`` of each row, small integers, shape (N,).
    """

    values: tuple[str, ...]
    codes: NDArray[np.signedinteger]

    @staticmethod
    def from_codes(values: Sequence[str], codes: NDArray[np.integer]) -> DictionaryColumn:
        """Make a column, its codes in the smallest type that can count the values.

        >>> column = DictionaryColumn.from_codes(["a", "b"], np.array([1, 0, 1]))
        >>> column.codes.dtype, (column == "b").tolist(), column[:2].tolist()
        (dtype('int8'), [True, False, True], ['b', 'a'])

        Args:
            values: The distinct values.
            codes: Index into them of each row, shape (N,).
        """
        return DictionaryColumn(
            tuple(values), codes.astype(np.min_scalar_type(-max(1, len(values))))
        )

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.codes)

    def __eq__(self, other: object) -> BoolArray:  # type: ignore[override]
        """Compare each row with a value, shape (N,)."""
        return self.isin([str(other)])

    def __ne__(self, other: object) -> BoolArray:  # type: ignore[override]
        """Find the rows that have another value, shape (N,)."""
        return ~(self == other)

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, rows: IntArray | BoolArray | slice) -> NDArray[np.str_]:
        """Return the values of some rows as text."""
        texts: NDArray[np.str_] = np.array(self.values, np.str_)[self.codes[rows]]
        return texts

    def unique(self) -> list[str]:
        """List the values that some row has, sorted."""
        return sorted({self.values[code] for code in np.unique(self.codes)})

    def isin(self, values: Sequence[str]) -> BoolArray:
        """Find the rows that have any of some values.

        Args:
            values: Texts, those of the column or others.

        Returns:
            Which rows have one of them, shape (N,), bool.
        """
        mask: BoolArray = np.array([value in values for value in self.values], np.bool_)[self.codes]
        return mask

    def take(self, rows: IntArray) -> DictionaryColumn:
        """Select rows.

        Args:
            rows: Numbers of rows, shape (M,).

        Returns:
            A column of M rows, with the same values and codes.
        """
        return DictionaryColumn(self.values, self.codes[rows])


@dataclass(frozen=True)
class Moments:
    """Labeled moments as an Arrow table, one row a (source, track, frame, label set).

    A label column is null where the moment is not annotated; -1 and -5 never get here.
    """

    table: pa.Table

    def __post_init__(self) -> None:
        missing = [f.name for f in KEY_COLUMNS if f.name not in self.table.column_names]
        if missing:
            raise TableError(
                "a Moments table with " + ", ".join(f.name for f in KEY_COLUMNS),
                "none named " + ", ".join(missing),
            )

    def __len__(self) -> int:
        """Count the rows."""
        return int(self.table.num_rows)

    def column(self, name: str) -> NDArray[np.generic]:
        """Return one column as a NumPy array.

        Args:
            name: Name of the column.

        Returns:
            Its values, shape (N,); nulls become NaN in numeric columns.
        """
        values = self.table.column(name).to_numpy()
        return np.asarray(values)

    def dictionary_column(self, name: str) -> DictionaryColumn:
        """Encode a text column.

        Args:
            name: Name of a column without nulls.

        Returns:
            The column, its distinct values in the order in which they first come.
        """
        column = self.table.column(name).dictionary_encode().combine_chunks()
        return DictionaryColumn.from_codes(column.dictionary.to_pylist(), column.indices.to_numpy())

    def labeled(self, columns: tuple[str, ...]) -> tuple[BoolArray, BoolArray]:
        """Find the rows that have labels.

        Args:
            columns: Label columns; one that the table lacks is missing in every row.

        Returns:
            Which rows have a label in any of the columns, and which in all, shape (N,) each.
        """
        some, every = np.zeros(len(self), np.bool_), np.ones(len(self), np.bool_)
        for name in columns:
            if name in self.table.column_names:
                valid = self.table.column(name).is_valid().to_numpy()
                some |= valid
                every &= valid
            else:
                every[:] = False
        return some, every

    def targets(self, key: str, columns: tuple[str, ...]) -> Targets:
        """Return the labels of one task.

        Args:
            key: The task's key, such as ``"VA"``.
            columns: Its label columns.

        Returns:
            Targets with shape (rows, len(columns)); a column the table lacks is all missing.
        """
        n = len(self)
        values = np.zeros((n, len(columns)), np.float32)
        valid = np.zeros((n, len(columns)), np.bool_)
        for k, name in enumerate(columns):
            if name in self.table.column_names:
                column = self.table.column(name)
                values[:, k], valid[:, k] = column.fill_null(0).to_numpy(), column.is_valid()
        weight = np.ones(n, np.float32)
        if weight_column(key) in self.table.column_names:
            weight = self.table.column(weight_column(key)).fill_null(1).to_numpy()
        return Targets(values, valid, np.asarray(weight, np.float32))

    @staticmethod
    def concat(parts: Iterable[Moments]) -> Moments:
        """Join tables; columns that one of them lacks become null there.

        Args:
            parts: At least one; their rows stay in order.
        """
        tables = [part.table for part in parts]
        return Moments(pa.concat_tables(tables, promote_options="default"))


@dataclass(frozen=True)
class Source:
    """One video, image set or sound file of a corpus, with where to read it.

    Attributes:
        source_id: Unique within the store, such as ``"ravdess/Actor_01/03-01-..."``.
        kind: Video, image set or sound.
        images: Folder or array file with face images; None if there are none.
        video: Video file to take frames or sound from; None if there is none.
        sound: Sound file (may be the video); None if there is none.
    """

    source_id: str
    kind: SourceKind
    images: Path | None = None
    video: Path | None = None
    sound: Path | None = None


@dataclass(frozen=True)
class Batch:
    """What a network sees in one update.

    Attributes:
        kind: The update it belongs to, such as ``"VA"``; also the adversary's class.
        inputs: Arrays by input name, each with the rows first.
        targets: Labels by task key.
        rows: Row numbers within the sample set, shape (N,).
    """

    kind: str
    inputs: dict[str, NDArray[np.generic]]
    targets: dict[str, Targets]
    rows: IntArray
