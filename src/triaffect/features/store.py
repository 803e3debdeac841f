"""The feature store: rows of every source of one or more corpora, memory-mapped.

A folder of few files, however many sources there are::

    store.json         format, face and voice extractor (null where there is none), versions
    sources.jsonl      a line for each finished source, the only authority on what is there:
                       id, corpus, ranges of rows, digests, files it came from, problem
    face.bin           rows of the face extractor, sorted by source, track, frame
    face_keys.bin      track int32, frame int32, time_s float64 of each
    voice.bin          rows of the voice extractor, sorted by source, time
    voice_times.bin    time_s float64 of each
    moments.arrows     the labels, an Arrow stream (see `triaffect.types.Moments`)
    extractors/face, extractors/voice    model folders of the networks, for networks
    external/<name>    features of other programs, see `triaffect.features.external.format`

All numbers are little-endian. Files only ever grow; rows behind the last line of
``sources.jsonl`` are left from an interrupted extraction and count for nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.errors import StoreError
from triaffect.features.external.format import ExternalStream, names_in, open_stream
from triaffect.features.extractors.spec import ExtractorSpec
from triaffect.features.model_folder import ModelFolder
from triaffect.features.row_file import map_rows
from triaffect.features.timeline import ANY_TRACK, KEY_DTYPE, FileTimeline
from triaffect.io.records import parse_record
from triaffect.types import Moments

FORMAT = 2
"""2: each source has the digest of its labels."""
DESCRIPTION, SOURCES, MOMENTS = "store.json", "sources.jsonl", "moments.arrows"
FACE, FACE_KEYS, VOICE, VOICE_TIMES = "face.bin", "face_keys.bin", "voice.bin", "voice_times.bin"
EXTRACTORS = "extractors"
TIME_DTYPE = np.dtype("<f8")


@dataclass(frozen=True)
class _Description:
    """What ``store.json`` holds."""

    format: Literal[2]
    face: ExtractorSpec | None
    voice: ExtractorSpec | None
    versions: dict[str, str]


@dataclass(frozen=True)
class StoredSource:
    """One finished source: its line in ``sources.jsonl``.

    Attributes:
        source: Its id.
        corpus: Name of its corpus.
        kind: "video", "images" or "sound".
        stills: Its images are unrelated pictures: frame numbers and times order nothing.
        frame_rate: Frames/s of its frame numbers.
        files: Path, size in bytes and time of change of each file it came from.
        face: First row and end in the face files.
        voice: First row and end in the voice files.
        moments: First row and end in the labels.
        moments_end: Bytes of the labels' file up to its last row.
        digest: Hash of its rows and labels.
        labels: Hash of its labels alone, whatever their order.
        problem: What was wrong with a part of it; None if nothing.
    """

    source: str
    corpus: str
    kind: str
    stills: bool
    frame_rate: float
    files: tuple[dict[str, Any], ...]
    face: tuple[int, int]
    voice: tuple[int, int]
    moments: tuple[int, int]
    moments_end: int
    digest: str
    labels: str
    problem: str | None = None


@dataclass(frozen=True)
class _Failure:
    """The line of a source that could not be read."""

    source: str
    failed: str


@dataclass(frozen=True)
class Log:
    """What ``sources.jsonl`` says.

    Attributes:
        entries: Finished sources in the order of their rows.
        failures: Message by id of sources that could not be read and have no rows.
        size: Bytes of whole lines; a cut-off last line is not among them.
    """

    entries: tuple[StoredSource, ...]
    failures: dict[str, str]
    size: int


class FeatureStore:
    """A store opened for reading. Open one with `FeatureStore.open`.

    Attributes:
        path: Its folder.
        face_spec: Face extractor; None if there is none.
        voice_spec: Voice extractor; None if there is none.
        entries: Its sources, in the order of their rows.
        failures: Message by id of sources that could not be extracted.
        face: Face rows (R, Df), memory-mapped.
        voice: Voice rows (V, Dv), memory-mapped.
    """

    def __init__(
        self,
        path: Path,
        face_spec: ExtractorSpec | None,
        voice_spec: ExtractorSpec | None,
        log: Log,
    ) -> None:
        self.path, self.face_spec, self.voice_spec = path, face_spec, voice_spec
        self.entries, self.failures = log.entries, log.failures
        self._streams: dict[str, ExternalStream] = {}
        last = log.entries[-1] if log.entries else None
        faces, voices = (last.face[1], last.voice[1]) if last else (0, 0)
        self._moments_end = last.moments_end if last else 0
        self.face: NDArray[Any]
        self.voice: NDArray[Any]
        self.face, self.voice = (
            map_rows(path / file, spec.row_dtype, spec.dim, count)
            if spec is not None
            else np.empty((0, 0), np.float16)
            for file, spec, count in ((FACE, face_spec, faces), (VOICE, voice_spec, voices))
        )
        self._keys = map_rows(path / FACE_KEYS, KEY_DTYPE, 0, faces)
        self.voice_time_s: NDArray[np.float64] = map_rows(path / VOICE_TIMES, TIME_DTYPE, 0, voices)

    @staticmethod
    def open(path: Path) -> FeatureStore:
        """Open a store.

        Args:
            path: Its folder.

        Raises:
            StoreError: It is missing, half written, damaged or of another format.
        """
        path = Path(path)
        face_spec, voice_spec = read_description(path)
        return FeatureStore(path, face_spec, voice_spec, read_log(path))

    @cached_property
    def sources(self) -> list[str]:
        """List the ids of the sources; a source's position here is its ordinal."""
        return [entry.source for entry in self.entries]

    @cached_property
    def face_source(self) -> NDArray[np.int32]:
        """Return the ordinal of each face row's source, shape (R,)."""
        counts = [entry.face[1] - entry.face[0] for entry in self.entries]
        return np.repeat(np.arange(len(counts), dtype=np.int32), counts)

    @cached_property
    def face_track(self) -> NDArray[np.int32]:
        """Return the track of each face row within its source, shape (R,)."""
        return np.ascontiguousarray(self._keys["track"])

    @cached_property
    def face_frame(self) -> NDArray[np.int32]:
        """Return the 0-based frame of each face row, shape (R,)."""
        return np.ascontiguousarray(self._keys["frame"])

    @cached_property
    def face_time_s(self) -> NDArray[np.float64]:
        """Return the time of each face row in its source, in seconds, shape (R,)."""
        return np.ascontiguousarray(self._keys["time_s"])

    @cached_property
    def voice_source(self) -> NDArray[np.int32]:
        """Return the ordinal of each voice row's source, shape (V,)."""
        counts = [entry.voice[1] - entry.voice[0] for entry in self.entries]
        return np.repeat(np.arange(len(counts), dtype=np.int32), counts)

    @cached_property
    def moments(self) -> Moments:
        """Return the labels of all sources.

        Raises:
            StoreError: The file of labels is damaged.
        """
        return Moments(read_moments(self.path / MOMENTS, self._moments_end))

    def face_timeline(self, source: int, in_frames: bool = False) -> FileTimeline:
        """Return the faces of a source as a timeline.

        Args:
            source: Ordinal of the source.
            in_frames: Time them in frames, not in seconds.
        """
        start, stop = self.entries[source].face
        times = self.face_frame if in_frames else self.face_time_s
        return FileTimeline(self.face, self.face_track[start:stop], times[start:stop], start)

    def voice_timeline(self, source: int) -> FileTimeline:
        """Return the voice rows of the source with this ordinal, timed in seconds."""
        start, stop = self.entries[source].voice
        tracks = np.full(stop - start, ANY_TRACK)
        return FileTimeline(self.voice, tracks, self.voice_time_s[start:stop], start)

    @property
    def externals(self) -> list[str]:
        """List the streams of external features that were joined, sorted by name."""
        return names_in(self.path)

    def external(self, name: str) -> ExternalStream:
        """Return a stream of external features; it is opened once.

        Args:
            name: Its name.

        Raises:
            StoreError: It was not joined, or is damaged.
        """
        if name not in self._streams:
            self._streams[name] = open_stream(self.path, name)
        return self._streams[name]

    def fingerprint(self, externals: Sequence[str] = ()) -> str:
        """Hash extractors, rows and labels, whatever paths they came from.

        Args:
            externals: Names of the streams of external features that count too.

        Returns:
            SHA-256 as hexadecimal digits.

        Raises:
            StoreError: A stream was not joined, or is damaged.
        """
        specs = [spec and asdict(spec) for spec in (self.face_spec, self.voice_spec)]
        content: list[Any] = [
            specs,
            [(entry.source, entry.stills, entry.digest) for entry in self.entries],
        ]
        for stream in map(self.external, externals):
            rows = [(line.source, line.digest) for line in stream.joined.values()]
            content.append([asdict(stream.spec), rows])
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def read_description(path: Path) -> tuple[ExtractorSpec | None, ExtractorSpec | None]:
    """Read which extractors a store was made with.

    Args:
        path: Its folder.

    Returns:
        Its face and its voice extractor, None where it has none.

    Raises:
        StoreError: There is no store of this format.
    """
    file = path / DESCRIPTION
    if not file.is_file():
        got = "a folder without one" if path.is_dir() else "no such folder"
        remedy = "make a store with 'triaffect extract CORPUS --output STORE'"
        raise StoreError(f"a feature store with {DESCRIPTION}", got, remedy, where=path)
    try:
        content = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise StoreError(
            "a store's description", str(error), "extract again", where=file
        ) from error
    if isinstance(content, dict) and content.get("format") != FORMAT:
        got = repr(content.get("format"))
        raise StoreError(f"store format {FORMAT}", got, "extract it again", where=path)
    record = parse_record(_Description, content, StoreError, "extract again", file)
    return record.face, record.voice


def read_log(path: Path) -> Log:
    """Read the finished and failed sources of a store; a line cut off at the end is passed over.

    Args:
        path: The store's folder; without a log it has no sources.

    Raises:
        StoreError: A whole line is not what this program writes, or a source's rows do not follow
            those of the line before.
    """
    file = path / SOURCES
    content = file.read_bytes() if file.is_file() else b""
    size = content.rfind(b"\n") + 1
    entries: list[StoredSource] = []
    failures: dict[str, str] = {}
    for number, line in enumerate(content[:size].splitlines(), 1):
        where = f"{file}:{number}"
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise StoreError("a source's line", str(error), "extract again", where=where) from error
        if isinstance(fields, dict) and "failed" in fields:
            failure = parse_record(_Failure, fields, StoreError, "extract again", where)
            failures[failure.source] = failure.failed
            continue
        entry = parse_record(StoredSource, fields, StoreError, "extract again", where)
        for name in ("face", "voice", "moments"):
            start, stop = getattr(entry, name)
            if start != (getattr(entries[-1], name)[1] if entries else 0) or stop < start:
                expected = f"{name} rows behind those of the line before"
                raise StoreError(expected, f"{start} to {stop}", "extract again", where=where)
        entries.append(entry)
        failures.pop(entry.source, None)
    return Log(tuple(entries), failures, size)


def read_moments(file: Path, size: int) -> pa.Table:
    """Map the labels in the first bytes of a stream, without copying them.

    Args:
        file: The stream.
        size: How many bytes count; 0 if no labels have been finished.

    Returns:
        The labels; without finished ones an empty table with their columns.

    Raises:
        StoreError: The file is missing, cut off or no such stream.
    """
    try:
        content = pa.memory_map(str(file)).read_buffer(size or None)
        if content.size < size:
            raise pa.ArrowInvalid(f"{content.size} of {size} bytes")
        stream = pa.ipc.open_stream(content)
        return stream.read_all() if size else stream.schema.empty_table()
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreError(
            "the labels of a store", str(error), "extract again", where=file
        ) from error


def check_networks(model: ModelFolder, store: FeatureStore) -> None:
    """See that a store was made with those networks that a model has.

    Args:
        model: The model; of a network that it lacks, any vectors will do.
        store: The store.

    Raises:
        StoreError: It was not: what the model says of other vectors means nothing.
    """
    own = {"face": model.manifest.face, "voice": model.manifest.voice}
    made = {"face": store.face_spec, "voice": store.voice_spec}
    for part, network in own.items():
        spec = made[part]
        if network is not None and (spec is None or spec.sha256 != network.sha256):
            expected = f"{network.extractor} ({network.sha256[:12]})"
            raise StoreError(
                f"a store made with the model's own {part} network {expected}",
                "none" if spec is None else f"one made with {spec.describe()}",
                f"extract it with --{part} {model.path}",
                where=store.path,
            )
