"""Annotation delay: a rater's valence and arousal describe the face of a moment before.

Raters follow a face with a slider, and lag behind it; a value given at time t is moved to the
moment t - delay. Labels of other tasks are given picture by picture and stay. A row that has
both is parted, and each moved label is joined with the other labels of the frame it lands on.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import numpy as np
import pandas as pd
import pyarrow as pa

from triaffect.corpora.base import Corpus, CorpusView, is_stills
from triaffect.corpora.frame_clock import FrameClock
from triaffect.errors import TriaffectError
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL
from triaffect.types import (
    KEY_COLUMNS,
    NO_FACE,
    BoolArray,
    Moments,
    Source,
    origin_column,
    weight_column,
)

_ROUNDING_S = 1e-9
"""A time that is negative by less is 0."""

_RATED = VALENCE_AROUSAL.columns
_MOVED = (
    *_RATED,
    weight_column(VALENCE_AROUSAL.key),
    origin_column(VALENCE_AROUSAL.key),
)
_JOINED_ON = ["source", "person", "track", "split", "label_set", "frame"]
_KEYS = [field.name for field in KEY_COLUMNS]


class DelayedRatings(CorpusView):
    """A corpus whose valence and arousal are moved to an earlier moment.

    Unrelated pictures are in no order, and stay as they are.

    Args:
        corpus: Any corpus.
        delay_s: How long raters lag behind, in seconds.
    """

    def __init__(self, corpus: Corpus, delay_s: float) -> None:
        super().__init__(corpus)
        self._delay_s = delay_s

    def unmoved(self) -> list[str]:
        """List the sources of unrelated pictures that have labels of valence or arousal.

        Returns:
            Their ids. One whose labels cannot be read is none; extraction tells what is wrong
            with it.
        """
        unmoved = []
        for source in self.sources():
            if is_stills(self._corpus, source):
                with suppress(TriaffectError):
                    if _is_labeled(self._corpus.moments(source).table, _RATED).any():
                        unmoved.append(source.source_id)
        return unmoved

    def moments(self, source: Source) -> Moments:
        """Read the labels of one source, those of valence and arousal moved.

        Args:
            source: One of `sources`.

        Returns:
            The corpus's rows, as `move_ratings` moves them; unrelated pictures keep theirs.

        Raises:
            AnnotationError: As of the corpus.
            MediaError: As of the corpus, or the video that tells the frames cannot be read.
            TableError: As of the corpus.
        """
        moments = self._corpus.moments(source)
        if is_stills(self._corpus, source) or not _is_labeled(moments.table, _RATED).any():
            return moments
        return move_ratings(moments, self._delay_s, self._corpus.clock(source))


def move_ratings(moments: Moments, delay_s: float, clock: FrameClock) -> Moments:
    """Move valence and arousal, with their weights and origins, to an earlier moment.

    Args:
        moments: Labels of one source.
        delay_s: By how many seconds.
        clock: Of the source; tells the frame.

    Returns:
        The same labels: those of other tasks at their own moment, joined with what landed on
        their frame, within a person, track, split and label set. What has no such partner has
        a row of its own. A label that lands before time 0 is left out, one that lands before
        the first picture has no face.
    """
    table = moments.table
    rated = _is_labeled(table, _RATED)
    if delay_s == 0 or not rated.any():
        return moments
    others = [name for name in table.column_names if name not in (*_KEYS, *_MOVED)]
    stay = _numbered(table.filter(~rated | _is_labeled(table, others)).to_pandas())
    ratings = table.filter(rated)
    times_s = ratings.column("time_s").to_numpy() - delay_s
    earlier: pd.DataFrame = ratings.filter(times_s >= -_ROUNDING_S).to_pandas()
    times_s = np.maximum(times_s[times_s >= -_ROUNDING_S], 0.0)
    earlier["time_s"], earlier["frame"] = times_s, clock.frames(times_s).astype(np.int32)
    earlier.loc[~clock.is_shown(times_s), "track"] = NO_FACE
    moved = _numbered(earlier)
    if not len(stay) + len(moved):  # pandas cannot join nothing with nothing
        return Moments(table.slice(0, 0))
    joined = stay.drop(columns=list(_MOVED)).merge(
        moved[[*_JOINED_ON, "time_s", "nth", *_MOVED]],
        how="outer",
        on=[*_JOINED_ON, "nth"],
        suffixes=("", "_moved"),
    )
    joined["time_s"] = joined["time_s"].fillna(joined["time_s_moved"])
    joined = joined.sort_values(["label_set", "split", "track", "time_s"], kind="stable")
    return Moments(pa.Table.from_pandas(joined, table.schema, preserve_index=False))


def _is_labeled(table: pa.Table, columns: Iterable[str]) -> BoolArray:
    """Return which rows have a value in any of the columns, shape (rows,)."""
    labeled = np.zeros(len(table), np.bool_)
    for name in set(columns) & set(table.column_names):
        labeled |= table.column(name).is_valid().to_numpy()
    return labeled


def _numbered(rows: pd.DataFrame) -> pd.DataFrame:
    """Number rows among those of the same key, so that none is joined twice."""
    return rows.assign(nth=rows.groupby(_JOINED_ON).cumcount())
