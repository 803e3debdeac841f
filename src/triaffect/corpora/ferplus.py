"""FER+: 48×48 gray web faces with the votes of ten people (Barsoum et al. 2016).

One file ``ferplus.npz`` holds ``images`` (N, 48, 48), ``votes`` (N, 10), ``vote_columns`` and
``split``; all faces form one source whose frame number is the row of that file.

Labels are the distribution of the votes over the eight expressions (contempt counts as other;
votes for "unknown" and "not a face" leave it). Rows for which one of those two has more votes
than any expression are left out. Scores compare with the majority, the arg-max of the
distribution, in which the expression that comes first wins a tie.

The file repeats images exactly, some across its splits. A group of equal images is one
"person" and stays in one split: PublicTest is the test split, a training row equal to a
test image is left out, and a tenth of the other groups, chosen by the images' hash, is the
validation split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from triaffect.corpora.frame_clock import EvenlyNumbered
from triaffect.corpora.rows import DEFAULT_RATE, MEANING, Key, TaskLabels, build_moments, fold_votes
from triaffect.errors import AnnotationError
from triaffect.tasks.expression import EXPRESSION
from triaffect.types import BoolArray, FloatArray, LabelOrigin, Moments, Source, SourceKind, Split

FILE_NAME = "ferplus.npz"
NO_EXPRESSION = ("unknown", "NF")
VALIDATION_ONE_IN = 10
"""One group of equal images in so many goes to the validation split."""

_TEST_SPLIT = "PublicTest"
_DIGEST_BYTES = 8


class FerPlusArrays(NamedTuple):
    """The arrays of the file: uint8 (N, 48, 48), (N, 10), text (10,) and (N,)."""

    images: NDArray[np.uint8]
    votes: NDArray[np.uint8]
    vote_columns: NDArray[np.str_]
    split: NDArray[np.str_]


class FerPlus(EvenlyNumbered):
    """Reader of FER+.

    Args:
        root: The folder of ``ferplus.npz``, or that file.
    """

    name = "ferplus"
    description = f"FER+: {FILE_NAME} with images, votes, vote_columns and split"
    aligned = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self._path = _array_file(root)
        self._source = Source(f"{self.name}/images", SourceKind.IMAGES, images=self._path)

    @classmethod
    def recognizes(cls, root: Path) -> bool:
        """Return whether a path is of this corpus's form.

        Args:
            root: A folder or file; the array file and its folder are.
        """
        path = _array_file(root)
        return path.name == FILE_NAME and path.is_file()

    def sources(self) -> list[Source]:
        """List the one source."""
        return [self._source]

    def moments(self, source: Source) -> Moments:
        """Read the vote distributions of all rows that show an expression.

        Args:
            source: The one of `sources`.

        Returns:
            A row an image, whose frame is its row in the file; the ``p_`` columns are shares of
            the votes.

        Raises:
            AnnotationError: The file lacks an array, or one has the wrong shape.
        """
        votes = self._arrays.votes
        split, keep = self._split_and_keep
        rows = np.flatnonzero(keep)
        keys: dict[str, Key] = {
            "source": source.source_id,
            "person": [f"{self.name}/{digest:016x}" for digest in self._digests[rows]],
            "track": 0,
            "frame": rows.astype(np.int32),
            "time_s": rows / DEFAULT_RATE,
            "split": split[rows],
            "label_set": EXPRESSION.key,
        }
        amounts = expression_votes(votes[rows], self._arrays.vote_columns.tolist())
        labels = TaskLabels.from_nan(amounts / amounts.sum(1, keepdims=True))
        return build_moments(len(rows), keys, {EXPRESSION.key: labels}, LabelOrigin.HUMAN)

    def images(self, source: Source) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield the images of all rows that have a moment, gray repeated.

        Args:
            source: The one of `sources`.

        Yields:
            Row number, and pixels, uint8, shape (48, 48, 3).
        """
        del source
        images = self._arrays.images
        for row in np.flatnonzero(self._split_and_keep[1]):
            yield int(row), np.repeat(images[row][:, :, None], 3, axis=2)

    @cached_property
    def _arrays(self) -> FerPlusArrays:
        return read_arrays(self._path)

    @cached_property
    def _digests(self) -> NDArray[np.uint64]:
        """Hash of each image, shape (N,)."""
        digests = b"".join(
            hashlib.blake2b(image, digest_size=_DIGEST_BYTES).digest()
            for image in np.ascontiguousarray(self._arrays.images)
        )
        return np.frombuffer(digests, "<u8")

    @cached_property
    def _split_and_keep(self) -> tuple[NDArray[np.str_], BoolArray]:
        """Split of each row and whether it is used, shapes (N,)."""
        arrays, columns = self._arrays, self._arrays.vote_columns.tolist()
        test = arrays.split == _TEST_SPLIT
        validation = self._digests % VALIDATION_ONE_IN == 0
        split = np.where(validation, Split.VALIDATION, Split.TRAIN)
        split = np.where(test, Split.TEST, split)
        repeats_test = ~test & np.isin(self._digests, self._digests[test])
        best = expression_votes(arrays.votes, columns).max(1)
        none = arrays.votes[:, [columns.index(name) for name in NO_EXPRESSION]].max(1)
        return split, (best > 0) & (best >= none) & ~repeats_test


def _array_file(root: Path) -> Path:
    return root / FILE_NAME if root.is_dir() else root


def expression_votes(votes: NDArray[np.integer], columns: list[str]) -> FloatArray:
    """Add up votes by the expression they mean; those for "unknown" and "NF" do not count.

    Args:
        votes: Number of votes, shape (N, 10).
        columns: The file's name of each of the ten columns.

    Returns:
        Votes by expression, in the order of the task's columns, shape (N, 8).

    Examples:
        >>> expression_votes(np.array([[7, 2, 1]]), ["happiness", "contempt", "unknown"])
        array([[0., 0., 0., 0., 7., 0., 0., 2.]], dtype=float32)
    """
    named = [k for k, name in enumerate(columns) if name not in NO_EXPRESSION]
    return fold_votes(votes[:, named], [columns[k] for k in named])


def read_arrays(path: Path) -> FerPlusArrays:
    """Read the array file whole; nothing pickled in it is run.

    Args:
        path: ``ferplus.npz``.

    Returns:
        Its four arrays, checked against each other.

    Raises:
        AnnotationError: It lacks an array, or one has the wrong shape or unknown names.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = FerPlusArrays(*(file[name] for name in FerPlusArrays._fields))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise AnnotationError(FerPlus.description, str(error), where=path) from error
    count = len(arrays.images)
    names = {str(name) for name in arrays.vote_columns}
    fits = (
        arrays.images.ndim == 3  # noqa: PLR2004
        and arrays.images.dtype == np.uint8
        and arrays.votes.shape == (count, len(arrays.vote_columns))
        and arrays.split.shape == (count,)
    )
    if not fits:
        shapes = ", ".join(f"{n} {a.dtype}{a.shape}" for n, a in arrays._asdict().items())
        raise AnnotationError(
            "uint8 images (N, 48, 48) with N votes and splits", shapes, where=path
        )
    if not set(NO_EXPRESSION) <= names <= MEANING.keys() | set(NO_EXPRESSION):
        raise AnnotationError(
            "vote columns named " + ", ".join([*MEANING, *NO_EXPRESSION]),
            ", ".join(sorted(names)),
            where=path,
        )
    return arrays
