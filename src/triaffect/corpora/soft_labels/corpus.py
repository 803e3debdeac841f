"""A corpus with labels from tables of other programs, or derived from others, added to its own.

Nobody has labeled the action units of most faces, but programs that read them can be run over
pictures, and their tables are labels to learn from: soft ones, of origin ``teacher``. Two of them
that agree are worth more than either; where they disagree on whether a unit is present, its
label is missing. Ratings on a scale of their own (``human`` or ``derived``), and valence and
arousal that follow from votes for expressions, come in the same way.

What is missing is filled, cell by cell: first by tables of people's labels, then by those of
programs, so that nobody's label is mixed with a program's. A row of moments has one origin a
task; labels of another origin are a row of their own, of the same moment. Of videos with several
faces, tables label the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from itertools import combinations
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from triaffect.corpora.base import Corpus, CorpusView, open_corpus
from triaffect.corpora.frame_clock import FrameClock, video_clock
from triaffect.corpora.label_table import LabelTable, whole_clip_times_s
from triaffect.corpora.media_folder import OwnMedia
from triaffect.corpora.rows import MULTI_TASK_SET, Key, TaskLabels, build_moments
from triaffect.corpora.soft_labels.tables import (
    MOST_OTHER,
    LabelMapping,
    SoftLabelTable,
    read_mapping,
)
from triaffect.errors import AnnotationError, MediaError, TableError, TriaffectError
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION, EXPRESSIONS
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL
from triaffect.types import (
    KEY_COLUMNS,
    BoolArray,
    LabelOrigin,
    Moments,
    Source,
    SourceKind,
    Split,
    origin_column,
    weight_column,
)

DISAGREEMENT = 0.5
"""Two programs' probabilities of a unit that differ by more are no label."""

_MOST_DISAGREEMENT = 1 / 3
"""Share of pictures on which two programs disagree; those two disagree on at most 0.16."""
_MOST_APART = 0.95
_KEYS = [field.name for field in KEY_COLUMNS]
_ARRAYS = ".npz"
_RANKS = (LabelOrigin.HUMAN, LabelOrigin.RENDERED, LabelOrigin.TEACHER, LabelOrigin.DERIVED)
"""Origins in the order in which their tables fill what is missing."""


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
    corpus = open_corpus(root, reader, unlabeled=bool(labels_from))
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
        if path and mapping.columns:
            tables.append(SoftLabelTable.read(mapping, Path(path)))
        elif mapping.expression_means and not equals:
            derived.append(mapping)
        else:
            expected = f"{mapping_name}=FILE" if mapping.columns else f"{mapping_name} alone"
            raise TableError(expected, text, where="--labels-from")
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
        corpus: Any corpus, or one's own media without labels.
        tables: The tables; several that map to the same unit are taken together.
        derived: Mappings whose ``expression_means`` turn votes into valence and arousal.
        test_share: Share of the people whose training rows become the test split; rows of other
            splits stay there.
        validation_share: Likewise of the validation split.

    Attributes:
        corpus: The corpus.
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
        self.corpus = corpus
        self._tables, self._derived = tables, derived
        self._test_share, self._validation_share = test_share, validation_share
        names = Counter(name for each in self.sources() for name in _names(each))
        self._ambiguous = frozenset(name for name, count in names.items() if count > 1)

    def doubts(self) -> list[str]:
        """Say what may be wrong with the tables, a sentence each.

        Raises:
            TableError: A table labels no moment of any of the corpus's clips, names one twice, or
                has a frame that a video has not; or there are no votes to derive labels from.
        """
        sentences = [doubt for table in self._tables for doubt in table.doubts]
        sources = self.sources()
        for table in self._tables:
            missing, silent, count = [], [], 0
            for source in sources:
                for clip, labels in self._matches(table, source).items():
                    count += 1
                    if labels is None:
                        missing.append(clip)
                    elif labels:
                        silent.append((clip, labels))
            sentences += _doubt_matches(table, count, missing, silent)
        for one, other in combinations(self._tables, 2):
            sentences += _doubt_agreement(one, other)
        for mapping in self._derived:
            if not any(_has_votes(self.corpus, source) for source in sources):
                expected = f"votes for expressions, for labels by '{mapping.title}'"
                raise TableError(expected, "a corpus without any", where="--labels-from")
        return sentences

    def _matches(self, table: SoftLabelTable, source: Source) -> dict[str, str | None]:
        """Say of each clip why the table labels no moment of it; empty if it does.

        Clips are the sources, or the numbers of an array's pictures. None if it has no row.
        """
        clip, frame_column = _clip(source), table.mapping.frame
        is_own = isinstance(self.corpus, OwnMedia)
        frames = set()
        if _is_array(source) or not is_own:
            try:
                frames = set(self.corpus.moments(source).column("frame").tolist())
            except TriaffectError:
                return {clip: ""}  # extraction says what is wrong with it
        if _is_array(source):
            numbers = map(str, sorted(frames))
            return {each: "" if None in table.rows.get(each, ()) else None for each in numbers}
        named = self._named(table, source)
        if not named:
            return {clip: None}
        if _is_picture(source):
            frame = next(iter(named)) or 0
            other = f"frame {frame + table.mapping.first_frame} of {clip}, which is a picture"
            return {clip: "" if 0 in named else other}
        if None in named:
            other = f"rows of {clip}, but no column {frame_column}, which the mapping names"
            return {clip: "" if frame_column is None else other}
        if is_own and source.video is not None:
            with suppress(MediaError):  # its clock is not cached, as workers would get them all
                self._check_frames(table, source, named, video_clock(source.video))
        other = f"frames of {clip} that the corpus does not label"
        return {clip: other if frames and frames.isdisjoint(named) else ""}

    def moments(self, source: Source) -> Moments:
        """Labels of one source: the corpus's own, then those of the tables.

        Args:
            source: One of `sources`.

        Returns:
            The corpus's rows, with what they lack of each task from the origin of their labels;
            where that is of another origin, a row more of the same moment; and rows of moments of
            one's own media that only the tables label, whose person and split are the corpus's.

        Raises:
            AnnotationError: As of the corpus.
            MediaError: As of the corpus.
            TableError: As of the corpus, or a table names a moment twice or one that is not there.
        """
        own = self.corpus.moments(source)
        rows = [self._rows(table, source, own.column("frame")) for table in self._tables]
        moments = self._add_moments(own, source, rows)
        layers = [
            (task, *layer)
            for task in (ACTION_UNITS, VALENCE_AROUSAL, EXPRESSION)
            for layer in self._layers(task, moments, rows)
        ]
        for task, origin, values in layers:
            moments = _fill(moments, task, origin, values)
        if len(moments) > len(own):
            order = np.argsort(moments.column("frame"), kind="stable")
            moments = Moments(moments.table.take(pa.array(order)))
        moments = _drop_unlabeled(moments)
        return _assign_splits(moments, self._test_share, self._validation_share)

    def _rows(
        self, table: SoftLabelTable, source: Source, frames: NDArray[np.generic]
    ) -> Mapping[int, int]:
        """Row of a table by the frame that it labels; frames are those of the corpus's moments."""
        if _is_array(source):
            rows = {frame: table.rows.get(str(frame), {}).get(None) for frame in frames.tolist()}
            return {frame: row for frame, row in rows.items() if row is not None}
        named = self._named(table, source)
        if _is_picture(source):
            return {0: named[0]} if 0 in named else {}
        if None in named:
            if table.mapping.frame is not None or not (source.video or source.sound):
                return {}
            if not len(frames):
                clock = self.clock(source)
                frames = clock.frames(whole_clip_times_s(source, clock))
            return dict.fromkeys(frames.tolist(), named[None])
        if named and source.video is not None and self._may_add(frames):
            self._check_frames(table, source, named, self.clock(source))
        return {frame: row for frame, row in named.items() if frame is not None}

    def _named(self, table: SoftLabelTable, source: Source) -> dict[int | None, int]:
        """Row of a table by frame under any name of a clip; a picture's frame is 0."""
        clip, rows = _clip(source), {}
        first: dict[int | None, str] = {}
        path, *names = _names(source)
        is_picture = _is_picture(source)
        for name in (path, *(name for name in names if name not in self._ambiguous)):
            for frame, row in table.rows.get(name, {}).items():
                at = 0 if frame is None and is_picture else frame
                if at in rows:
                    got = f"{clip} twice, as {first[at]} and as {name}"
                    raise TableError("each picture once", got, where=table.path)
                rows[at], first[at] = row, name
        return rows

    def _check_frames(
        self,
        table: SoftLabelTable,
        source: Source,
        named: Mapping[int | None, int],
        clock: FrameClock,
    ) -> None:
        """See that a video has the frames that a table names."""
        count, start = len(clock.times_s), table.mapping.first_frame
        last = max(frame for frame in named if frame is not None)
        if count and last >= count:
            row, column = named[last], table.mapping.frame or "frame"
            clip = next(name for name, rows in table.rows.items() if row in rows.values())
            expected = f"a frame of the video, from {start} to {count - 1 + start}"
            where = table.cell(clip, row, column)
            raise TableError(expected, str(last + start), where=where)

    def _may_add(self, frames: NDArray[np.generic]) -> bool:
        """Whether moments may be added to a source of which the corpus has moments of frames."""
        return isinstance(self.corpus, OwnMedia) or not len(frames)

    def _add_moments(
        self, own: Moments, source: Source, rows: Sequence[Mapping[int, int]]
    ) -> Moments:
        """Add rows without labels for moments of the first face that only the tables have."""
        columns = (own.column(name).tolist() for name in ("frame", "track"))
        there = [frame for frame, track in zip(*columns, strict=True) if track <= 0]
        frames = np.array(sorted(set().union(*rows).difference(there)), np.int64)
        if not len(frames) or not self._may_add(own.column("frame")):
            return own
        people: Sequence[tuple[str, str] | None] = [(source.source_id, Split.TRAIN)] * len(frames)
        if isinstance(self.corpus, LabelTable):
            people = self.corpus.people(source, frames)
        frames = frames[np.array([each is not None for each in people])]
        whose = [each for each in people if each is not None]
        keys: dict[str, Key] = {
            "source": source.source_id,
            "person": [person for person, _ in whose],
            "track": 0,
            "frame": frames.astype(np.int32),
            "time_s": self.clock(source).times(frames) if len(frames) else np.zeros(0),
            "split": [str(split) for _, split in whose],
            "label_set": MULTI_TASK_SET,
        }
        added = build_moments(len(frames), keys, {}, LabelOrigin.TEACHER)
        return Moments.concat([own, added]) if len(own) else added

    def _layers(
        self, task: Task, moments: Moments, rows: Sequence[Mapping[int, int]]
    ) -> Iterator[tuple[LabelOrigin, NDArray[np.float64]]]:
        """Yield what fills a task's missing labels, and its origin; values (N, K), NaN for none.

        A cell that people label, even if they contradict each other, is none of programs'.
        """
        closed = moments.targets(task.key, task.columns).valid.copy()
        pairs = [
            (table.mapping.origin, _values(table, each, task, moments))
            for table, each in zip(self._tables, rows, strict=True)
            if not set(table.columns).isdisjoint(task.columns)
        ]
        groups = [(origin, [each for its, each in pairs if its is origin]) for origin in _RANKS]
        if task is VALENCE_AROUSAL:
            groups += [(each.origin, [_derive(moments, each)]) for each in self._derived]
        for origin, several in groups:
            if several:
                values = np.stack(several)
                labels = _COMBINED.get(task.key, _mean)(values)
                yield origin, np.where(closed, np.nan, labels)
                closed |= ~np.isnan(values).all(0)


def _clip(source: Source) -> str:
    return source.source_id.partition("/")[2]


def _names(source: Source) -> tuple[str, ...]:
    """Path and name of a clip, with ending and without, as far as they differ."""
    path = PurePosixPath(_clip(source))
    file = source.sound or source.video or source.images
    ending = "" if file is None else file.suffix
    bare = path.with_suffix("") if path.suffix == ending else path
    whole = bare.parent / f"{bare.name}{ending}"
    names = (path, path.name, path.stem, bare, whole, whole.name)
    return tuple(dict.fromkeys(str(name) for name in names))


def _is_array(source: Source) -> bool:
    return source.images is not None and source.images.suffix == _ARRAYS


def _is_picture(source: Source) -> bool:
    """Whether a source is a single picture, and not a folder of a video's."""
    is_stills = source.kind is SourceKind.IMAGES and source.video is None
    return is_stills and source.images is not None and not source.images.is_dir()


def _has_votes(corpus: Corpus, source: Source) -> bool:
    """Whether a source has moments with all shares of the expressions, as far as it is right."""
    with suppress(TriaffectError):
        return bool(corpus.moments(source).labeled(EXPRESSION.columns)[1].any())
    return False


def _doubt_matches(
    table: SoftLabelTable, count: int, missing: Sequence[str], silent: Sequence[tuple[str, str]]
) -> list[str]:
    """Say of how many of the corpus's clips a table labels no moment; refuse one that labels none.

    Missing are the clips of which it has no row; the others are silent, each with the reason.
    """
    if missing and len(missing) == count:
        expected = f"rows of the corpus's clips, such as {missing[0]}"
        got = next(iter(table.rows), "no rows, or none that is reliable")
        raise TableError(expected, got, where=table.path)
    if silent and len(missing) + len(silent) == count:
        expected = "rows that label a moment of the corpus's clips"
        raise TableError(expected, silent[0][1], where=table.path)
    if np.isnan(table.values).all():
        expected = f"a number of {' or '.join(table.columns)} in at least one row"
        raise TableError(expected, "blank cells only", where=table.path)
    sentences = []
    if missing:
        some = f"{len(missing):,} of {count:,} clips, such as {missing[0]}"
        sentences.append(f"{table.path}: no row of {some}")
    if silent:
        some = f"{len(silent):,} of {count:,} clips: {silent[0][1]}"
        sentences.append(f"{table.path}: no row labels a moment of {some}")
    return sentences


def _values(
    table: SoftLabelTable, rows: Mapping[int, int], task: Task, moments: Moments
) -> NDArray[np.float64]:
    """Values that a table has of a task at each moment of the first face, NaN for none, (N, K)."""
    values = np.full((len(moments), task.width), np.nan)
    frames, tracks = (moments.column(name).tolist() for name in ("frame", "track"))
    at = [n for n, frame in enumerate(frames) if frame in rows and tracks[n] <= 0]
    matches = [rows[frames[n]] for n in at]
    for k, column in enumerate(table.columns):
        if column in task.columns:
            values[at, task.columns.index(column)] = table.values[matches, k]
    return values


def _doubt_agreement(one: SoftLabelTable, other: SoftLabelTable) -> list[str]:
    """Say on which units two tables disagree so often that one may mean something else."""
    if one.mapping.origin is not other.mapping.origin:  # then one of them decides
        return []
    both = [
        (row, other.rows[clip][frame])
        for clip, rows in one.rows.items()
        for frame, row in rows.items()
        if frame in other.rows.get(clip, ())
    ]
    shared = [name for name in one.columns if name in other.columns]
    groups = {name: [name] for name in shared if name in ACTION_UNITS.columns}
    if set(EXPRESSION.columns) <= set(shared):
        groups["the expression"] = list(EXPRESSION.columns)
    doubts = []
    for what, columns in groups.items() if both else ():
        pair = zip((one, other), zip(*both, strict=True), strict=True)
        values = np.stack(
            [
                each.values[np.ix_(rows, [each.columns.index(name) for name in columns])]
                for each, rows in pair
            ]
        )
        there = values[:, ~np.isnan(values).any(axis=(0, 2))]
        combined = (combine_expressions if len(columns) > 1 else combine_units)(there)
        apart = int(np.isnan(combined[:, 0]).sum())
        if apart > _MOST_DISAGREEMENT * len(combined):
            some = f"{apart:,} of {len(combined):,} rows, which have no label of it"
            doubts.append(f"{one.path} and {other.path} disagree on {what} in {some}")
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


def combine_expressions(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take several programs' probabilities of the expressions together.

    Args:
        shares: Of each program, NaN where it says nothing, shape (programs, N, 8).

    Returns:
        Their mean, NaN where nothing is said, or where two programs give more than `DISAGREEMENT`
        of the probability to different expressions, shape (N, 8).

    >>> combine_expressions(np.array([[[0.8, 0.2], [1, 0]], [[0.6, 0.4], [0, 1]]])).round(2)
    array([[0.7, 0.3],
           [nan, nan]])
    """
    apart = np.zeros(shares.shape[1])
    for one, other in combinations(shares, 2):
        apart = np.fmax(apart, np.abs(one - other).sum(axis=1) / 2)
    too_far = apart > DISAGREEMENT
    return np.where(too_far[:, None], np.nan, _mean(shares))


_COMBINED = {ACTION_UNITS.key: combine_units, EXPRESSION.key: combine_expressions}
"""How labels of several programs are taken together; of other tasks by their mean."""


def _fill(
    moments: Moments, task: Task, origin: LabelOrigin, values: NDArray[np.float64]
) -> Moments:
    """Fill missing labels of a task, of one origin.

    Args:
        moments: The rows; the first N of them are filled.
        task: The task.
        origin: Where the values come from.
        values: NaN for none, shape (N, K).

    Returns:
        The rows; one whose labels are of another origin stays as it is, and another one of the same
        moment comes after the last.
    """
    n, (own, _) = len(values), moments.labeled(task.columns)
    same = pc.equal(moments.table[origin_column(task.key)], str(origin)).fill_null(False)
    apart = np.flatnonzero(own[:n] & ~same.to_numpy()[:n] & ~np.isnan(values).all(1))
    table = moments.table
    if len(apart):  # the columns that it lacks become null
        table = Moments.concat([moments, Moments(table.select(_KEYS).take(pa.array(apart)))]).table
    filled = np.full((len(table), task.width), np.nan)
    filled[:n] = values
    filled[len(moments) :], filled[apart] = values[apart], np.nan
    labels = TaskLabels.from_nan(filled)
    for k, name in enumerate(task.columns):
        column = pa.array(labels.values[:, k].astype(np.float32))
        table = _with_column(table, name, labels.valid[:, k], column)
    new = labels.valid.any(axis=1) & ~np.append(own, np.zeros(len(apart), np.bool_))
    table = _with_column(table, weight_column(task.key), new, pa.scalar(1.0, pa.float32()))
    return Moments(_with_column(table, origin_column(task.key), new, pa.scalar(str(origin))))


def _with_column(
    table: pa.Table, name: str, where: BoolArray, values: pa.Array | pa.Scalar
) -> pa.Table:
    """A table with other values of a column in some rows."""
    index, field = table.column_names.index(name), table.schema.field(name)
    if not where.any():
        return table
    return table.set_column(index, field, pc.if_else(pa.array(where), values, table[name]))


def _derive(moments: Moments, mapping: LabelMapping) -> NDArray[np.float64]:
    """Valence and arousal of rows whose expressions have a distribution, NaN for none, (N, 2)."""
    votes = moments.targets(EXPRESSION.key, EXPRESSION.columns)
    has_mean = np.array([word in mapping.expression_means for word in EXPRESSIONS])
    means = np.array([mapping.expression_means.get(word, (0.0, 0.0)) for word in EXPRESSIONS])
    share = np.where(votes.valid, votes.values, 0.0) * has_mean
    total = share.sum(1, keepdims=True)
    usable = votes.valid.all(1, keepdims=True) & (total >= 1 - MOST_OTHER)
    values: NDArray[np.float64] = np.where(usable, share @ means / np.maximum(total, 1e-9), np.nan)
    return values


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
