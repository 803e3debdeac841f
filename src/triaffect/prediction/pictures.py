"""Pictures: their faces one by one, their rows together.

Nothing runs ahead in threads, and the faces of many pictures go through the networks in one batch,
as their rows go into one table: for a small picture that is most of the time. A row does not
depend on the pictures beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.errors import printable
from triaffect.faces.quality import sharpness
from triaffect.faces.stream import FaceStream, FrameFaces
from triaffect.features.extractors.onnx import BATCH, FaceExtractor
from triaffect.features.timeline import window_rows
from triaffect.media.images import ArrayFrames, FrameSource
from triaffect.media.probe import MediaFile
from triaffect.prediction.heads import Fusion
from triaffect.prediction.python_inputs import FrameInput
from triaffect.tables.schema import Instants, build_table
from triaffect.tasks.task import Task
from triaffect.types import NO_FACE, FloatArray, SourceKind, Window

PICTURES_AT_ONCE = 64
"""Pictures whose rows are computed, and kept on the disk, together."""


@dataclass(frozen=True)
class PictureFaces:
    """The faces of one picture, before the networks.

    Attributes:
        clip: What the table calls the picture.
        instants: A row for each face, or one without; N rows.
        crops: The faces aligned, RGB, uint8, shape (M, 112, 112, 3), M at most N.
        problem: What of the picture is lost, as `describe_loss` says it.
        remark: What is doubtful in how it was read, as `describe_doubt` says it.
    """

    clip: str
    instants: Instants
    crops: NDArray[np.uint8]
    problem: str
    remark: str

    @staticmethod
    def read(source: MediaFile, stream: FaceStream) -> PictureFaces:
        """Detect and align the faces of a picture.

        Args:
            source: A picture that was opened.
            stream: Detects and aligns.

        Raises:
            MediaError: It cannot be read.
        """
        (faces,) = [stream.read_picture(frame.rgb).from_left() for frame in source.frames()]
        notes = describe_loss(source), describe_doubt(source)
        return PictureFaces(str(source.path), instants_of(faces), faces.crops, *notes)

    @staticmethod
    def read_array(item: FrameInput, stream: FaceStream) -> PictureFaces:
        """Detect and align the faces of a picture that a program gives.

        Args:
            item: The picture, as `is_array` tells.
            stream: Detects and aligns.

        Raises:
            MediaError: It is no picture.
        """
        frames = ArrayFrames(item.frames, item.name)
        (faces,) = [stream.read_picture(each.rgb).from_left() for each in frames]
        return PictureFaces(item.name, instants_of(faces), faces.crops, "", "")


class PictureBatch:
    """Computes the rows of pictures together.

    Args:
        face: The face network.
        fusion: The fusing network.
        tasks: What it predicts.
    """

    def __init__(self, face: FaceExtractor, fusion: Fusion, tasks: Sequence[Task]) -> None:
        self._face, self._fusion, self._tasks = face, fusion, tasks
        self._pictures: list[tuple[str, Instants]] = []
        self._crops: list[NDArray[np.uint8]] = []
        self._vectors: list[FloatArray] = []

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self._pictures)

    def add(self, picture: PictureFaces) -> None:
        """Add a picture; only some crops at a time are held, however many faces there are.

        Args:
            picture: Its faces.

        Raises:
            ModelError: The network does not take them.
        """
        self._pictures.append((picture.clip, picture.instants))
        if len(picture.crops):
            self._crops.append(picture.crops)
        if sum(map(len, self._crops)) >= BATCH:
            self._make_vectors()

    def _make_vectors(self) -> None:
        crops = np.concatenate(self._crops)
        self._crops.clear()
        self._vectors.append(np.asarray(self._face(crops), np.float32))

    def table(self) -> pa.Table:
        """Compute the rows of all pictures, of which there must be one, and begin anew.

        Returns:
            A table in the order of the pictures, of the predictor's schema.

        Raises:
            ModelError: A network does not take the faces.
        """
        if self._crops:
            self._make_vectors()
        part, pictures = self._fusion.part, self._pictures
        instants = Instants.concat([each for _, each in pictures])
        has_face, count = instants.track != NO_FACE, len(instants)
        positions = _filled_positions(part.window)
        present = has_face[:, None] & positions
        windows = np.zeros((*present.shape, part.face_dim), np.float32)
        if self._vectors:
            windows[np.ix_(has_face, positions)] = np.concatenate(self._vectors)[:, None]
        no_voice = np.zeros(count, np.bool_)
        voices = present.shape if part.voice_sequence else (count,)
        silence = np.zeros((*voices, part.voice_dim), np.float32)
        predictions = self._fusion(windows, present, silence, np.zeros(voices, np.bool_))
        clips = [clip for clip, rows in pictures for _ in range(len(rows))]
        self._pictures, self._vectors = [], []
        share = present.mean(axis=1)
        return build_table(clips, instants, predictions, no_voice, self._tasks, share)


def _filled_positions(window: Window) -> NDArray[np.bool_]:
    """Which positions of a moment's window its own face fills, shape (W,)."""
    return np.asarray(window_rows(np.zeros(1), np.zeros(1), window)[0] >= 0, np.bool_)


def is_picture(source: MediaFile | FrameSource) -> TypeGuard[MediaFile]:
    """Tell whether a source is a single picture.

    Args:
        source: A source that was opened.
    """
    return isinstance(source, MediaFile) and source.kind is SourceKind.IMAGES


def is_array(item: object) -> TypeGuard[FrameInput]:
    """Tell whether an input from a program is a single picture.

    Args:
        item: What `triaffect.prediction.python_inputs.list_items` lists.
    """
    frames = item.frames if isinstance(item, FrameInput) else None
    return isinstance(frames, list) and [time_s for time_s, _ in frames] == [0.0]


def instants_of(frame: FrameFaces) -> Instants:
    """Make a row for each face of a frame; one row for a frame without a face.

    Args:
        frame: The frame's faces.

    Returns:
        Its rows.
    """
    faces, count = frame.detections, max(1, len(frame.tracks))
    number = np.full(count, frame.index, np.int64)
    time_s = np.full(count, frame.time_s, np.float64)
    if not len(faces):
        return Instants.faceless(number, time_s)
    columns = faces.boxes, faces.confidence, faces.landmarks, sharpness(frame.crops)
    return Instants(number, time_s, frame.tracks, *columns)


def describe_loss(source: MediaFile | FrameSource) -> str:
    """Say what was lost of a source that was read to its end; nothing of a whole one.

    Args:
        source: The source.
    """
    if not source.problem:
        return ""
    return f"{printable(source.path)}: {source.problem}; there are rows for what could be decoded"


def describe_doubt(source: MediaFile | FrameSource) -> str:
    """Say what is doubtful in how a source was read; nothing if nothing is.

    Args:
        source: The source, read to its end.
    """
    return f"{printable(source.path)}: {source.remark}" if source.remark else ""
