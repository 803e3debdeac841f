"""Features of other programs at prediction: which files, and a media file's rows by time.

A model whose network reads external features says in ``model.json`` what they are. Their files are
those that `triaffect join` reads, and the rows stand in a `MemoryTimeline`, which is searched as
the store's are: a moment without a row has none in training and in prediction alike.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from triaffect.errors import MediaError, ModelError, TableError
from triaffect.features.external.format import ExternalSpec
from triaffect.features.model_folder import FusionPart
from triaffect.features.timeline import MemoryTimeline
from triaffect.media.frames_at import frame_times
from triaffect.media.images import FrameSource
from triaffect.media.probe import MediaFile
from triaffect.types import BoolArray, FloatArray, IntArray, SourceKind

FeatureFiles: TypeAlias = "str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]]"
"""Feature files by the stream's name, or those of the only stream."""


@dataclass(frozen=True)
class ClipStream:
    """Rows of one stream for one media file.

    Attributes:
        timeline: The rows.
        period_s: The farthest a row may be from its moment.
        times_s: Times of the rows, ascending, each once.
    """

    timeline: MemoryTimeline
    period_s: float
    times_s: NDArray[np.float64]

    def at(
        self, at_s: NDArray[np.float64], tracks: IntArray | None = None
    ) -> tuple[FloatArray, BoolArray]:
        """Take the row nearest to each moment (N,), as training does.

        Returns:
            Rows, zero where absent, shape (N, D), and presence, shape (N,).
        """
        assert tracks is not None  # noqa: S101 - rows may belong to a face
        rows = self.timeline.nearest(tracks, at_s, self.period_s)
        return self.timeline.take(rows), rows >= 0

    def forget(self, before_s: float) -> None:
        """Drop what no moment from this time on can look at."""
        self.timeline.forget(before_s - 2 * self.period_s)


class ExternalFeatures:
    """The feature files that were given for the streams that a model reads.

    Args:
        part: What the model says of its fusing network.
        files: The files; None if none were given.
        where: The model, for messages.

    Attributes:
        files: The files by name of the stream.

    Raises:
        ModelError: The model reads no stream of that name.
    """

    def __init__(self, part: FusionPart, files: FeatureFiles | None, where: Path) -> None:
        self._specs = {each.spec.name: each.spec for each in part.external}
        self._where = where
        self.files = self._by_name(files)

    def _by_name(self, files: FeatureFiles | None) -> dict[str, Path]:
        if files is None:
            return {}
        names = ", ".join(self._specs)
        if not self._specs:
            expected, got = "no features", "some for a model that reads a video alone"
            raise ModelError(expected, got, "leave --features out", where=self._where)
        if not isinstance(files, Mapping):
            if len(self._specs) > 1:
                expected, got = f"a file for each of {names}", "one without a name"
                raise ModelError(expected, got, "give --features NAME=FILE", where=self._where)
            files = dict.fromkeys(self._specs, files)
        for name in files:
            if name not in self._specs:
                raise ModelError(f"features named {names}", f"'{name}'", where=self._where)
        return {name: Path(path) for name, path in files.items()}

    def check(self, clips: Iterable[Path] = ()) -> None:
        """See that there are files for every stream, and that none fits several media files.

        Raises:
            ModelError: There are none for a stream.
            TableError: Some fit several.
        """
        lacking = [name for name in self._specs if name not in self.files]
        if lacking:
            remedy = " ".join(f"--features {name}=FILE" for name in lacking)
            expected = f"features of other programs ({', '.join(lacking)}), which this model reads"
            raise ModelError(expected, "none", f"give {remedy}", where=self._where)
        if self.files:
            from triaffect.features.external.join import check_one_each  # noqa: PLC0415 - heavy

            names = [str(path.absolute()) for path in clips]
            for path in self.files.values():
                check_one_each(path, names)

    def read(self, source: MediaFile | FrameSource, clip: str | Path) -> dict[str, ClipStream]:
        """Read the rows of a media file.

        Args:
            source: The opened file.
            clip: Its path.

        Returns:
            Rows by name of the stream.

        Raises:
            ModelError: There are no files for a stream.
            TableError: They lack the media file, or its rows are not what the model reads.
        """
        self.check()
        return {
            name: _read_stream(self.files[name], spec, source, str(Path(clip).absolute()))
            for name, spec in self._specs.items()
        }


def parse_feature_files(texts: Sequence[str]) -> FeatureFiles | None:
    """Read ``NAME=FILE`` texts, or the only file without a name; None for no text.

    Raises:
        ModelError: A name comes twice, or there are several without one.
    """
    named: dict[str, str] = {}
    for text in texts:
        name, has_name, path = text.partition("=")
        if not (has_name and re.fullmatch(r"[a-z0-9_]+", name)):
            if len(texts) == 1:
                return text
            raise ModelError("NAME=FILE for each of several", text, where="--features")
        if name in named:
            raise ModelError("each name once", f"'{name}' twice", where="--features")
        named[name] = path
    return named or None


def feature_state(files: FeatureFiles | None) -> str:
    """Sizes and times of change, by which files are seen to be still the same; empty for none."""
    if files is None:
        return ""
    from triaffect.features.external.files import files_in  # noqa: PLC0415 - heavy

    lines = []
    named = files if isinstance(files, Mapping) else {"": files}
    for name, location in sorted(named.items()):
        path = Path(location)
        for file in sorted(files_in(path)[0].values()) if path.is_dir() else [path]:
            state = file.stat() if file.exists() else None
            content = (state.st_size, state.st_mtime_ns) if state else None
            lines.append(f"\n{name} {file.absolute()} {content}")
    return "".join(lines)


def _read_stream(
    features: Path, spec: ExternalSpec, source: MediaFile | FrameSource, clip: str
) -> ClipStream:
    from triaffect.features.external.join import read_clip, timed_rows  # noqa: PLC0415 - heavy

    raw, path = read_clip(features, spec, clip)
    rows = timed_rows(raw, spec, partial(_frame_times, source), path)
    if rows.values.shape[1] != spec.dim:
        raise TableError(f"{spec.dim} values a row", str(rows.values.shape[1]), where=path)
    if rows.columns != spec.columns:
        expected = f"the columns {', '.join(spec.columns) or 'of an array, without names'}"
        got = ", ".join(rows.columns) or "those of an array, without names"
        raise TableError(expected, got, "give the file that training had", where=path)
    timeline = MemoryTimeline(spec.dim)
    timeline.append(rows.keys["track"].astype(np.int64), rows.keys["time_s"], rows.values)
    period_s = spec.period_s(_frame_rate(source) if spec.rate is None else spec.rate)
    return ClipStream(timeline, period_s, np.unique(rows.keys["time_s"]))


def _frame_rate(source: MediaFile | FrameSource) -> float:
    """Frames a second; a picture, whose only frame is at time 0, counts as one second."""
    rate = 1.0 if source.kind is SourceKind.IMAGES else source.frame_rate
    if rate is None:
        expected, got = "a file of which the frame rate is clear", "another"
        raise MediaError(expected, got, "its features have a row a frame", where=source.path)
    return rate


def _frame_times(
    source: MediaFile | FrameSource, frame: NDArray[np.integer]
) -> NDArray[np.float64]:
    rate = _frame_rate(source)
    if not isinstance(source, MediaFile) or source.video is None:
        return np.asarray(frame / rate, np.float64)
    from triaffect.features.external.join import interpolate_times  # noqa: PLC0415 - heavy

    times_s = frame_times(source.path)
    return interpolate_times(frame, np.arange(len(times_s)), times_s, rate)
