"""Labels from tables of other programs, or derived from others, added to those of a corpus.

Nobody has labeled the action units of most faces, but programs that read them can be run over
pictures, and their tables are labels to learn from: soft ones, of origin ``teacher``. Two of them
that agree are worth more than either; where they disagree on whether a unit is present, its
label is missing. Ratings on a scale of their own (``human`` or ``derived``), and valence and
arousal that follow from votes for expressions, come in the same way.

How a table's columns become labels is a *mapping*, a TOML file::

    title = "OpenFace 2.2"       # what made the table
    origin = "teacher"           # human, derived, teacher or rendered
    clip = "clip"                # column with the file's path or name
    frame = "frame"              # column with the frame; left out for pictures
    first_frame = 1              # number of the first frame there
    reliable = { column = "confidence", least = 0.8 }   # other rows are passed over

    [columns.AU12]               # a column of a task
    from = ["AU12_r"]            # the mean of these
    center = 0.54                # a unit is as likely present as not; a rating is 0
    scale = 0.93                 # a unit's odds grow by e; a rating is 1

Columns that a table lacks are passed over, if it has any. Blank cells and rows of clips that the
corpus lacks are none. Labels that the corpus has itself stay.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from importlib.resources import files
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triaffect.corpora.base import READERS, Corpus, CorpusView, open_corpus
from triaffect.corpora.label_table import LabelTable
from triaffect.corpora.media_folder import MediaFolder, OwnMedia
from triaffect.corpora.music.tables import refuse_computed_tags
from triaffect.corpora.rows import MULTI_TASK_SET, TaskLabels, build_moments
from triaffect.errors import AnnotationError, TableError
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION, EXPRESSIONS
from triaffect.tasks.registry import TASKS
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL
from triaffect.types import (
    BoolArray,
    LabelOrigin,
    Moments,
    Source,
    SourceKind,
    Split,
    origin_column,
    weight_column,
)

PACKAGED = ("openface", "blendshapes", "category_means")
"""Mappings that come with the package, by name."""

DISAGREEMENT = 0.5
"""Two programs' probabilities of a unit that differ by more are no label."""

_MOST_LOGITS = 6.0
_MOST_CERTAIN, _LEAST_SPREAD = 0.2, 0.05
"""More of a unit at the end of the scale, or a smaller deviation of it, is another scale: OpenFace
and MediaPipe have at most 0.01 there, and at least 0.7 of deviation, over four sets of faces."""
_MOST_BLANK = 0.5
_MOST_DISAGREEMENT = 1 / 3
"""Share of pictures on which two programs disagree; those two disagree on at most 0.16."""
_MOST_OTHER = 1 / 3
"""Share of the votes for "other" from which nothing is derived from the rest."""

_MOST_APART = 0.95
_ARRAYS = ".npz"


class _MappingTable(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ReliableRows(_MappingTable):
    """Rows of a table count if a column holds at least some value."""

    column: str
    least: float


class ColumnMapping(_MappingTable):
    """One column of a task from the mean of some of a table's: (mean - center) / scale.

    Attributes:
        sources: Columns of the table, ``from`` in the file.
        center: Of a unit, the mean from which it is more likely present; of a rating, its zero.
        scale: Of a unit, what a logit is worth; of a rating, what 1 is worth. Negative turns it.
    """

    sources: tuple[str, ...] = Field(alias="from", min_length=1)
    center: float
    scale: float


class LabelMapping(_MappingTable):
    """How the columns of another program's table become labels; see the module."""

    title: str
    origin: LabelOrigin
    clip: str = "clip"
    frame: str | None = None
    first_frame: int = 0
    reliable: ReliableRows | None = None
    columns: dict[str, ColumnMapping] = {}
    expression_means: dict[str, tuple[float, float]] = {}


_MAPPED = {column: task for task in (ACTION_UNITS, VALENCE_AROUSAL) for column in task.columns}
"""Tasks whose columns a mapping may name, by column."""


def read_mapping(name: str) -> LabelMapping:
    """Read a mapping.

    Args:
        name: One of `PACKAGED`, or the path of a TOML file.

    Raises:
        TableError: There is no such file, or it holds what no mapping has.
    """
    try:
        if name in PACKAGED:
            text = (files("triaffect.corpora") / "mappings" / f"{name}.toml").read_text("utf-8")
        else:
            text = Path(name).read_text("utf-8")
        mapping = LabelMapping.model_validate(tomllib.loads(text))
    except OSError as error:
        expected = f"{', '.join(PACKAGED)}, or a TOML file of a mapping"
        raise TableError(expected, error.strerror or "no file", where=name) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise TableError("a mapping of columns", f"{key}: {first['msg']}", where=name) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TableError("a TOML file of a mapping", str(error), where=name) from error
    unknown = [column for column in mapping.columns if column not in _MAPPED]
    unknown += [word for word in mapping.expression_means if word not in EXPRESSIONS]
    if unknown:
        expected = f"columns among {', '.join(_MAPPED)}, and expressions"
        raise TableError(expected, ", ".join(unknown), where=name)
    if any(each.scale == 0 for each in mapping.columns.values()):
        raise TableError("a scale other than 0", "0", where=name)
    return mapping


@dataclass(frozen=True)
class SoftLabelTable:
    """A table read by its mapping.

    Attributes:
        mapping: The mapping.
        columns: Columns of tasks that it has.
        values: Logits of units, ratings in [-1, 1]; NaN for none, shape (rows, columns).
        rows: Row by clip, as the table names it, and frame; the frame is None for a picture.
        path: The file or folder.
        doubts: What may be wrong with its numbers, a sentence each.
    """

    mapping: LabelMapping
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    rows: Mapping[tuple[str, int | None], int]
    path: Path
    doubts: tuple[str, ...]

    @cached_property
    def clips(self) -> frozenset[str]:
        """Clips as it names them."""
        return frozenset(clip for clip, _ in self.rows)

    @cached_property
    def frames(self) -> dict[str, list[int]]:
        """Frames that the table has of each clip of which it has any."""
        frames: dict[str, list[int]] = {}
        for clip, frame in self.rows:
            if frame is not None:
                frames.setdefault(clip, []).append(frame)
        return frames

    @staticmethod
    def read(mapping: LabelMapping, path: Path) -> SoftLabelTable:
        """Read a CSV table, or a folder of them, one a clip and named as it.

        Args:
            mapping: What its columns mean.
            path: The file or folder.

        Raises:
            TableError: It cannot be read, lacks the clip's column or all columns of the mapping,
                has a cell that is no number, or is `refuse_computed_tags`'s table.
        """
        refuse_computed_tags(path)
        if path.is_dir():
            tables: list[tuple[pd.DataFrame, str | None]] = [
                (_read_csv(file), file.stem) for file in sorted(path.glob("*.csv"))
            ]
            if not tables:
                raise TableError("CSV files, one a clip", "none", where=path)
        else:
            tables = [(_read_csv(path), None)]
        parts = [_map_table(mapping, table, stem, path) for table, stem in tables]
        columns = tuple(dict.fromkeys(column for part in parts for column in part[0]))
        values = pd.concat([pd.DataFrame(part[0]) for part in parts], ignore_index=True)
        keys = [key for part in parts for key in part[1]]
        rows: dict[tuple[str, int | None], int] = {}
        for number, (clip, frame) in enumerate(keys):
            if (clip, frame) in rows:
                at = "" if frame is None else f", frame {frame}"
                raise TableError("each picture once", f"{clip}{at} twice", where=path)
            rows[clip, frame] = number
        mapped = values[list(columns)].to_numpy(copy=True)
        doubts = [
            f"{path}: {column}: {doubt}"
            for k, column in enumerate(columns)
            if (doubt := _doubt_column(column, mapped[:, k]))
        ]
        for k, column in enumerate(columns):
            most = _MOST_LOGITS if _MAPPED[column] is ACTION_UNITS else 1.0
            mapped[:, k] = mapped[:, k].clip(-most, most)
        return SoftLabelTable(mapping, columns, mapped, rows, path, tuple(doubts))


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, skipinitialspace=True, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise TableError("a CSV table in UTF-8", reason, where=path) from error
    return table.rename(columns=str.strip)


def _map_table(
    mapping: LabelMapping, table: pd.DataFrame, stem: str | None, path: Path
) -> tuple[dict[str, NDArray[np.float64]], list[tuple[str, int | None]]]:
    """Compute a table's values by column of a task, and the clip and frame of its rows."""
    if stem is None and mapping.clip not in table.columns:
        got = ", ".join(table.columns[:5]) or "an empty file"
        raise TableError(f"a column {mapping.clip}", got, where=path)
    there = {
        column: each
        for column, each in mapping.columns.items()
        if all(name in table.columns for name in each.sources)
    }
    if not there:
        names = sorted({name for each in mapping.columns.values() for name in each.sources})
        raise TableError(f"columns such as {', '.join(names[:4])}", "none of them", where=path)
    if mapping.reliable and mapping.reliable.column in table.columns:
        sure = _numbers(table, mapping.reliable.column, path) >= mapping.reliable.least
        table = table[sure]
    values: dict[str, NDArray[np.float64]] = {}
    for column, each in there.items():
        mean = np.mean([_numbers(table, name, path) for name in each.sources], axis=0)
        values[column] = (mean - each.center) / each.scale
    clips = [stem] * len(table) if stem is not None else table[mapping.clip].str.strip().tolist()
    frames: list[int | None] = [None] * len(table)
    if mapping.frame is not None and mapping.frame in table.columns:
        numbers = _numbers(table, mapping.frame, path) - mapping.first_frame
        if not (np.isfinite(numbers).all() and (numbers >= 0).all()):
            expected = f"frames from {mapping.first_frame}"
            raise TableError(expected, "a blank or smaller one", where=f"{path}, {mapping.frame}")
        frames = numbers.astype(int).tolist()
    return values, list(zip(clips, frames, strict=True))


def _numbers(table: pd.DataFrame, column: str, path: Path) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(table[column].astype(np.float64), np.float64)
    except ValueError as error:
        raise TableError("numbers", str(error), where=f"{path}, column {column}") from error
    if np.isinf(numbers).any():
        raise TableError("finite numbers", "inf", where=f"{path}, column {column}")
    return numbers


def _doubt_column(column: str, values: NDArray[np.float64]) -> str | None:
    """Say what may be wrong with a column's logits or ratings, before they are held in range."""
    there = values[~np.isnan(values)]
    if len(there) < (1 - _MOST_BLANK) * len(values):
        return f"{len(values) - len(there):,} of {len(values):,} cells are blank, and no labels"
    if not len(there):
        return None
    if _MAPPED[column] is not ACTION_UNITS:
        outside = int((np.abs(there) > 1 + 1e-6).sum())
        ends = "are outside its mapping's scale, and taken as its ends"
        return f"{outside:,} of {len(there):,} ratings {ends}" if outside else None
    certain = float((there >= _MOST_LOGITS).mean())
    if certain > _MOST_CERTAIN:
        return (
            f"present beyond doubt in {certain:.0%} of the rows; on another scale than its mapping?"
        )
    if len(there) > 1 and there.std() < _LEAST_SPREAD:
        return "hardly differs between rows; on another scale than its mapping?"
    return None


def open_with_labels(
    root: Path,
    labels_from: Sequence[str],
    *,
    reader: str | None = None,
    name: str | None = None,
    test_share: float = 0.0,
    validation_share: float = 0.0,
) -> Corpus:
    """Open a corpus, and add labels from tables of other programs.

    Args:
        root: Its folder or file; with such tables also a folder of pictures beside which lie
            tables of something else.
        labels_from: Texts ``MAPPING=FILE``, or the name of a mapping that needs no file.
        reader: As of `open_corpus`.
        name: Name of a corpus of one's own media, the first part of its sources' ids.
        test_share: As of `SoftLabels`.
        validation_share: As of `SoftLabels`.

    Raises:
        AnnotationError: As of `open_corpus`, or a corpus with a name of its own gets another.
        TableError: A table or mapping is wrong; see `read_mapping` and `SoftLabelTable.read`.
    """
    if labels_from and reader is None and root.is_dir() and not LabelTable.recognizes(root):
        plain = any(each.recognizes(root) for each in READERS if each is not MediaFolder)
        corpus: Corpus = open_corpus(root) if plain else MediaFolder(root)
    else:
        corpus = open_corpus(root, reader)
    if name is not None:
        if not isinstance(corpus, OwnMedia):
            raise AnnotationError(f"--name for own media, not {corpus.name}", name, where=root)
        if not name or "/" in name:
            raise AnnotationError("a name without /", repr(name), where="--name")
        corpus.name = name
    tables, derived = [], []
    for text in labels_from:
        mapping_name, equals, path = text.partition("=")
        mapping = read_mapping(mapping_name)
        if equals:
            tables.append(SoftLabelTable.read(mapping, Path(path)))
        elif mapping.expression_means:
            derived.append(mapping)
        else:
            raise TableError(f"{mapping_name}=FILE", text, where="--labels-from")
    if test_share + validation_share > _MOST_APART:
        got = f"{test_share + validation_share:g}"
        raise AnnotationError("someone left to learn from", got, where="--test-share")
    if not labels_from and not test_share + validation_share:
        return corpus
    return SoftLabels(
        corpus, tables, derived, test_share=test_share, validation_share=validation_share
    )


class SoftLabels(CorpusView):
    """A corpus with labels added from tables of other programs.

    Args:
        corpus: Any corpus, or a folder's media without labels.
        tables: The tables; several that map to the same unit are taken together.
        derived: Mappings whose ``expression_means`` turn votes into valence and arousal.
        test_share: Share of the people whose training rows become the test split; rows of other
            splits stay there.
        validation_share: Likewise of the validation split.
    """

    def __init__(
        self,
        corpus: Corpus,
        tables: Sequence[SoftLabelTable],
        derived: Sequence[LabelMapping] = (),
        *,
        test_share: float = 0.0,
        validation_share: float = 0.0,
    ) -> None:
        super().__init__(corpus)
        self._tables, self._derived = tables, derived
        self._test_share, self._validation_share = test_share, validation_share
        names = Counter(name for each in self.sources() for name in _names(_clip(each)))
        self._ambiguous = frozenset(name for name, count in names.items() if count > 1)

    def doubts(self) -> list[str]:
        """Say what may be wrong with the tables, a sentence each.

        Raises:
            TableError: A table has no row of any of the corpus's clips.
        """
        sentences = [doubt for table in self._tables for doubt in table.doubts]
        clips = self._clips() if self._tables else []
        for table in self._tables:
            missing = [each for each in clips if table.clips.isdisjoint(self._names_of(each))]
            if clips and len(missing) == len(clips):
                expected = f"rows of the corpus's clips, such as {clips[0]}"
                got = next((clip for clip, _ in table.rows), "no rows, or none that is reliable")
                raise TableError(expected, got, where=table.path)
            if missing:
                some = f"{len(missing):,} of {len(clips):,} clips, such as {missing[0]}"
                sentences.append(f"{table.path}: no row of {some}")
        for one, other in combinations(self._tables, 2):
            sentences += _doubt_agreement(one, other)
        return sentences

    def _clips(self) -> list[str]:
        """What tables have rows of: the sources, or the numbers of an array's pictures."""
        clips: list[str] = []
        for source in self.sources():
            if source.images is not None and source.images.suffix == _ARRAYS:
                clips += map(str, self._corpus.moments(source).column("frame").tolist())
            else:
                clips.append(_clip(source))
        return clips

    def moments(self, source: Source) -> Moments:
        """Labels of one source: the corpus's own, then those of the tables.

        Raises:
            AnnotationError: As of the corpus.
            MediaError: As of the corpus.
            TableError: As of the corpus.
        """
        moments = self._corpus.moments(source)
        if not len(moments):
            moments = self._unlabeled(source)
        for task in (ACTION_UNITS, VALENCE_AROUSAL):
            moments = self._add(moments, source, task.key, task.columns)
        for mapping in self._derived:
            moments = _derive(moments, mapping)
        moments = _drop_unlabeled(moments)
        return _assign_splits(moments, self._test_share, self._validation_share)

    def _unlabeled(self, source: Source) -> Moments:
        """Make rows without labels for what the tables know of a source without labels."""
        clip = _clip(source)
        if source.kind is SourceKind.IMAGES:
            is_named = any(self._find(table, clip, None) is not None for table in self._tables)
            frames = np.zeros(int(is_named), np.int32)
        else:
            there = {
                frame
                for table in self._tables
                for name in self._names_of(clip)
                for frame in table.frames.get(name, ())
            }
            frames = np.array(sorted(there), np.int32)
        times_s = self.clock(source).times(frames.astype(np.int64)) if len(frames) else np.zeros(0)
        keys: dict[str, Any] = {
            "source": source.source_id,
            "person": source.source_id,
            "track": 0,
            "frame": frames,
            "time_s": times_s,
            "split": str(Split.TRAIN),
            "label_set": MULTI_TASK_SET,
        }
        return build_moments(len(frames), keys, {}, LabelOrigin.TEACHER)

    def _add(self, moments: Moments, source: Source, key: str, columns: tuple[str, ...]) -> Moments:
        """Add the tables' labels of one task where the corpus has none."""
        tables = [table for table in self._tables if set(table.columns) & set(columns)]
        if not tables or not len(moments):
            return moments
        clip = _clip(source)
        is_array = source.images is not None and source.images.suffix == _ARRAYS
        frames = moments.column("frame").tolist()
        values = np.full((len(tables), len(frames), len(columns)), np.nan)
        for t, table in enumerate(tables):
            for row, frame in enumerate(frames):
                if is_array:
                    match = table.rows.get((str(frame), None))
                else:
                    picture = source.kind is SourceKind.IMAGES
                    match = self._find(table, clip, None if picture else frame)
                if match is not None:
                    for k, column in enumerate(table.columns):
                        if column in columns:
                            values[t, row, columns.index(column)] = table.values[match, k]
        labels = combine_units(values) if key == ACTION_UNITS.key else _mean(values)
        return _fill(moments, key, columns, labels, tables[0].mapping.origin)

    def _names_of(self, clip: str) -> list[str]:
        """What a table may call a clip: its path, and names that no other clip has."""
        path, *names = _names(clip)
        return [path, *(name for name in names if name not in self._ambiguous)]

    def _find(self, table: SoftLabelTable, clip: str, frame: int | None) -> int | None:
        """Find a table's row of a clip's frame, or of a picture."""
        for name in self._names_of(clip):
            match = table.rows.get((name, frame))
            if match is None and frame is None:
                match = table.rows.get((name, 0))  # of a program that takes a picture for a video
            if match is not None:
                return match
        return None


def _clip(source: Source) -> str:
    return source.source_id.partition("/")[2]


def _names(clip: str) -> tuple[str, ...]:
    """Path of a clip, its name, and its name without ending, as far as they differ."""
    path = PurePosixPath(clip)
    return tuple(dict.fromkeys((clip, path.name, path.stem)))


def _doubt_agreement(one: SoftLabelTable, other: SoftLabelTable) -> list[str]:
    """Say on which units two tables disagree so often that one may mean something else."""
    both = [(one.rows[key], other.rows[key]) for key in one.rows if key in other.rows]
    units = [name for name in one.columns if name in other.columns and name in ACTION_UNITS.columns]
    doubts = []
    for unit in units if both else ():
        pair = zip((one, other), zip(*both, strict=True), strict=True)
        p = [1 / (1 + np.exp(-each.values[rows, each.columns.index(unit)])) for each, rows in pair]
        there = ~np.isnan(p[0] + p[1])
        apart = int((np.abs(p[0] - p[1])[there] > DISAGREEMENT).sum())
        if apart > _MOST_DISAGREEMENT * there.sum():
            some = f"{apart:,} of {int(there.sum()):,} rows, which have no label of it"
            doubts.append(f"{one.path} and {other.path} disagree on {unit} in {some}")
    return doubts


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over tables (T, N, K) of what is there, NaN where nothing is, shape (N, K)."""
    there = ~np.isnan(values)
    count = there.sum(0)
    total = np.where(there, values, 0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def combine_units(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take several programs' logits of the same units together.

    Args:
        logits: Of each program, NaN where it says nothing, shape (programs, N, K).

    Returns:
        Probability of the mean logit, NaN where nothing is said, or where two programs differ by
        more than `DISAGREEMENT`, shape (N, K).

    >>> combine_units(np.array([[[2.0, -3.0]], [[1.0, 3.0]]])).round(2)
    array([[0.82,  nan]])
    """
    p = 1 / (1 + np.exp(-logits))
    low = np.where(np.isnan(p), np.inf, p).min(0)
    high = np.where(np.isnan(p), -np.inf, p).max(0)
    joined = 1 / (1 + np.exp(-_mean(logits)))
    return np.where(high - low > DISAGREEMENT, np.nan, joined)


def _fill(
    moments: Moments,
    key: str,
    columns: tuple[str, ...],
    values: NDArray[np.float64],
    origin: LabelOrigin,
) -> Moments:
    """Fill a task's labels in rows that have none of it; values (N, K) with NaN for none."""
    own, _ = moments.labeled(columns)
    labels = TaskLabels.from_nan(np.where(own[:, None], np.nan, values))
    new: BoolArray = np.asarray(labels.valid.any(axis=1))
    table = moments.table
    for k, name in enumerate(columns):
        before = table.column(name).combine_chunks()
        added = pa.array(labels.values[:, k].astype(np.float32), mask=~labels.valid[:, k])
        table = _with_column(table, name, before.is_null().to_numpy(zero_copy_only=False), added)
    n = len(table)
    table = _with_column(table, weight_column(key), new, pa.repeat(pa.scalar(1.0, pa.float32()), n))
    origins = pa.repeat(pa.scalar(str(origin)), n)
    return Moments(_with_column(table, origin_column(key), new, origins))


def _with_column(table: pa.Table, name: str, where: BoolArray, values: pa.Array) -> pa.Table:
    index = table.column_names.index(name)
    before = table.column(name).combine_chunks()
    return table.set_column(
        index, table.schema.field(name), pc.if_else(pa.array(where), values, before)
    )


def _derive(moments: Moments, mapping: LabelMapping) -> Moments:
    """Add valence and arousal of rows whose expressions have a distribution."""
    if not mapping.expression_means or not len(moments):
        return moments
    votes = moments.targets(EXPRESSION.key, EXPRESSION.columns)
    has_mean = np.array([word in mapping.expression_means for word in EXPRESSIONS])
    means = np.array([mapping.expression_means.get(word, (0.0, 0.0)) for word in EXPRESSIONS])
    share = np.where(votes.valid, votes.values, 0.0) * has_mean
    total = share.sum(1, keepdims=True)
    usable = votes.valid.all(1, keepdims=True) & (total >= 1 - _MOST_OTHER)
    values = np.where(usable, share @ means / np.maximum(total, 1e-9), np.nan)
    return _fill(moments, VALENCE_AROUSAL.key, VALENCE_AROUSAL.columns, values, mapping.origin)


def _drop_unlabeled(moments: Moments) -> Moments:
    """Leave rows with a label, each in the label set of its one task, or of several."""
    labeled = np.stack([moments.labeled(task.columns)[0] for task in TASKS], axis=1)
    sets = np.full(len(labeled), MULTI_TASK_SET, dtype=object)
    for k, task in enumerate(TASKS):
        sets[labeled[:, k] & (labeled.sum(1) == 1)] = task.key
    table = moments.table
    index = table.column_names.index("label_set")
    table = table.set_column(index, table.schema.field("label_set"), pa.array(sets, pa.string()))
    return Moments(table.filter(pa.array(labeled.any(1))))


def _assign_splits(moments: Moments, test: float, validation: float) -> Moments:
    """Assign splits by the person's name alone, so that tables of one person agree."""
    if not test + validation or not len(moments):
        return moments
    splits = []
    columns = (moments.table.column(name).to_pylist() for name in ("person", "split"))
    for person, own in zip(*columns, strict=True):
        if own != Split.TRAIN:
            splits.append(Split(own))
            continue
        digest = blake2b(person.encode(), digest_size=8).digest()
        at = int.from_bytes(digest) / 2**64
        split = Split.TEST if at < test else Split.TRAIN
        splits.append(Split.VALIDATION if test <= at < test + validation else split)
    table = moments.table
    index = table.column_names.index("split")
    column = pa.array([str(split) for split in splits], pa.string())
    return Moments(table.set_column(index, table.schema.field("split"), column))
