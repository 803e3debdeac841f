"""Prediction: a video, picture or sound in; a row for every frame and face out.

How a row comes about: CenterFace finds the faces of each frame (all of it now and then, in
between near where they were), a tracker numbers them, each is aligned; the aligned faces of the
same track around the moment (the model's window, nearest frame within half a hop) become
vectors, which go with the voice row nearest in time into the fusing network. Decoding, finding
faces and the networks overlap in three threads, each a few frames ahead of the next. A video's
sound is read alongside, just as far ahead as the voice's windows need. So memory does not grow
with the length. A frame without a face gets one row, from the voice alone if one can be heard
(`triaffect.voice.stream`). A picture is one frame at time 0. A sound without pictures
gets a row at every hop of the voice network, numbered from 0 at time 0. What can be chosen of
all this is in `triaffect.prediction.options`.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.errors import MediaError, ModelError
from triaffect.faces.detection import CenterFace, FaceDetector
from triaffect.faces.tracking import Follower
from triaffect.features.external.format import streams_of_run
from triaffect.features.extractors.onnx import OnnxFace, OnnxVoice
from triaffect.features.extractors.registry import SHIPPED
from triaffect.features.extractors.session import CPU
from triaffect.features.model_folder import DESCRIPTION, load_model_folder
from triaffect.media.audio import sound_chunks
from triaffect.media.images import Footage, GivenFrames
from triaffect.media.probe import picture_problem, probe, read_image
from triaffect.media.video import Frame, VideoFrames
from triaffect.prediction.buffers import FaceMemory, VoiceMemory
from triaffect.prediction.faces import Pace, watch
from triaffect.prediction.heads import Fusion
from triaffect.prediction.options import DEFAULT, Options
from triaffect.tables.schema import Instants, build_table, table_schema, to_pandas
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.types import BoolArray, FeatureSeries, FloatArray, SourceKind, Window
from triaffect.voice.stream import Hearing


class PartialMediaWarning(UserWarning):
    """A file is broken or cut off; there are rows for what could be decoded."""


class Predictor:
    """A model folder, loaded and ready for any number of files.

    It keeps nothing from one file to the next; several threads may share it.

    Args:
        folder: The model folder; it needs a face, a voice and a fusing network.
        device: Where the networks run, "cpu" or "cuda". Faces are found on the CPU.
        tasks: The tasks that a model may predict.
        options: What to predict of a file, and how closely to look.

    Attributes:
        tasks: The tasks that this model predicts.
        schema: Arrow schema of the tables.
        thresholds: Action units count as present from these probabilities on, by column.

    Raises:
        ModelError: The folder is missing, damaged or incomplete, the device is not there, or
            sound is left out of a model that cannot do without.
    """

    def __init__(
        self,
        folder: str | Path,
        device: str = CPU,
        tasks: Sequence[Task] = TASKS,
        options: Options = DEFAULT,
    ) -> None:
        cv2.setNumThreads(1)
        model = load_model_folder(Path(folder))
        self._fusion = Fusion(model, tasks, device)
        self._face, self._voice = OnnxFace(model, device), OnnxVoice(model, device)
        self._detector: FaceDetector = CenterFace()
        self._options = options
        if not options.sound and self._fusion.part.complete:
            expected = "a model that can judge a face alone"
            remedy = "do not leave the sound out"
            raise ModelError(expected, "one that needs a voice as well", remedy, where=model.path)
        self.tasks = self._fusion.tasks
        self.schema = table_schema(self.tasks)
        self.thresholds = dict(model.manifest.thresholds)

    def predict(self, path: str | Path) -> pd.DataFrame:
        """Predict a whole file.

        Args:
            path: A video, picture or sound.

        Returns:
            The prediction table, a row for each frame and face.

        Raises:
            MediaError: The file cannot be read.
        """
        return to_pandas(pa.concat_tables(self.tables(path)))

    def stream(self, path: str | Path) -> Generator[pd.DataFrame]:
        """Predict a file in parts, in memory that does not grow with its length.

        Yields:
            Successive parts of the table that `predict` returns.

        Raises:
            MediaError: The file cannot be read.
        """
        with closing(self.tables(path)) as tables:
            for table in tables:
                yield to_pandas(table)

    def frames(
        self,
        frames: Iterable[tuple[float, NDArray[np.uint8]]],
        clip: str = "frames",
    ) -> Iterator[pd.DataFrame]:
        """Predict frames as they come, from a camera or another program; there is no sound.

        Args:
            frames: Time in seconds and RGB pixels (uint8, (height, width, 3)) of each frame,
                in order of time.
            clip: What the table calls them.

        Yields:
            Successive parts of the prediction table, some frames behind what was given.

        Raises:
            MediaError: There is no frame, or one is not as said.
        """
        with closing(self.watch(GivenFrames(frames, clip), clip)) as tables:
            for table in tables:
                yield to_pandas(table)

    def watch(self, footage: Footage, clip: str | Path) -> Generator[pa.Table]:
        """Like `frames`, of a folder of pictures or a camera, as Arrow tables."""
        yield from self._from_frames(clip, footage, self._silence())
        _warn_of(footage.problem, clip)

    def tables(self, path: str | Path) -> Generator[pa.Table]:
        """Like `stream`, as Arrow tables."""
        info = probe(path)
        if info.kind is SourceKind.SOUND:
            yield from self._from_sound(path)
        elif info.kind is SourceKind.IMAGES:
            still = [Frame(0, 0.0, read_image(path))]
            yield from self._from_frames(path, still, self._silence())
            _warn_of(picture_problem(path), path)
        else:
            video, heard = VideoFrames(path), list[str]()
            yield from self._from_frames(path, video, self._hear(path, info.has_sound, heard))
            _warn_of("; ".join(filter(None, [video.problem, *heard])), path)

    def _from_frames(
        self, path: str | Path, frames: Iterable[Frame], voice: VoiceMemory
    ) -> Generator[pa.Table]:
        faces, pace = self._face_memory(), Pace(self._options.every_s)
        waiting = Instants.faceless(np.empty(0, np.int64), np.empty(0))
        with closing(watch(frames, self._follower())) as sights:
            for sight in sights:
                faces.add(sight.instants, sight.crops)
                now_s = float(sight.instants.time_s[-1])
                wanted = sight.instants[pace.wanted(sight.instants.time_s)]
                waiting = Instants.concat([waiting, wanted])
                known_s = now_s - faces.look_ahead_s
                count = int(np.searchsorted(waiting.time_s, known_s, side="right"))
                if count:
                    yield self._fuse(path, waiting[:count], faces, voice)
                waiting = waiting[count:]
                oldest_s = float(waiting.time_s[0]) if len(waiting) else now_s
                faces.forget(oldest_s)
                voice.forget(oldest_s)
        if len(waiting):
            yield self._fuse(path, waiting, faces, voice)

    def _follower(self) -> Follower:
        chosen = self._options
        return Follower(
            self._detector, chosen.detect_every_s, chosen.smallest_face_px, chosen.most_faces
        )

    def _face_memory(self) -> FaceMemory:
        return FaceMemory(self._fusion.part.window, self._face, self._fusion.part.face_dim)

    def _fuse(
        self, path: str | Path, instants: Instants, faces: FaceMemory, voice: VoiceMemory
    ) -> pa.Table:
        return self._answered(path, faces, instants, *voice.at(instants.time_s))

    def _answered(
        self,
        path: str | Path,
        faces: FaceMemory,
        instants: Instants,
        sound: FloatArray,
        heard: BoolArray,
    ) -> pa.Table:
        predictions = self._fusion(*faces.windows(instants), sound, heard)
        return build_table(str(path), instants, predictions, heard, self.tasks)

    def _from_sound(self, path: str | Path) -> Generator[pa.Table]:
        if not self._options.sound:
            expected = "a video or picture, as sound is left out"
            raise MediaError(expected, "a file of sound alone", where=path)
        window, rows_given = self._voice_window, 0
        faces, pace = self._face_memory(), Pace(self._options.every_s)
        problems: list[str] = []
        rows, hearing = self._listen(path, problems)
        for series in rows:
            frame = np.round(series.times_s / window.hop_s).astype(np.int64)
            instants = Instants.faceless(frame, series.times_s)
            heard = hearing.heard(series.times_s, window)
            hearing.forget(float(series.times_s[-1]) - window.span_s)
            sound = np.where(heard[:, None], series.values, 0).astype(np.float32)
            rows_given += len(frame)
            wanted = pace.wanted(series.times_s)
            if wanted.any():
                chosen = instants[wanted], sound[wanted], heard[wanted]
                yield self._answered(path, faces, *chosen)
        if not rows_given:
            expected = f"a sound of at least {window.span_s:g} s for this model"
            raise MediaError(expected, "a shorter one", where=path)
        _warn_of("; ".join(problems), path)

    @property
    def _voice_window(self) -> Window:
        window = self._voice.spec.window
        assert window is not None  # noqa: S101 - every voice extractor has one
        return window

    def _listen(
        self, path: str | Path, problems: list[str]
    ) -> tuple[Iterator[FeatureSeries], Hearing]:
        hearing = Hearing(self._voice.spec.rate)
        chunks = hearing.watch(sound_chunks(path, self._voice.spec.rate, problems))
        return self._voice.stream(chunks), hearing

    def _hear(self, path: str | Path, has_sound: bool, problems: list[str]) -> VoiceMemory:
        rows, hearing = self._listen(path, problems)
        source = rows if has_sound and self._options.sound else iter(())
        return VoiceMemory(source, hearing, self._voice_window, self._fusion.part.voice_dim)

    def _silence(self) -> VoiceMemory:
        hearing = Hearing(self._voice.spec.rate)
        return VoiceMemory(iter(()), hearing, self._voice_window, self._fusion.part.voice_dim)


def _warn_of(problem: str | None, clip: str | Path) -> None:
    if problem:
        message = f"{clip}: {problem}; there are rows for what could be decoded"
        warnings.warn(message, PartialMediaWarning, stacklevel=3)


def model_folder(path: str | Path | None) -> Path:
    """The model folder meant: one that was given, a run's, or the one that comes with the package.

    Raises:
        ModelError: None was given, and the package came without; or it is of a run whose
            network reads external features.
    """
    if path is None and not SHIPPED.is_dir():
        expected, remedy = "the weights that come with the package", "give a model folder"
        raise ModelError(expected, "none in this installation", remedy, where=SHIPPED)
    folder = SHIPPED if path is None else Path(path)
    if (folder / "model" / DESCRIPTION).is_file():
        folder = folder / "model"
    streams = streams_of_run(folder)
    if streams:
        raise ModelError(
            "a model that needs a video alone",
            f"a run whose network also reads external features ({', '.join(streams)})",
            "score it on a store that has them: triaffect evaluate RUN --store STORE",
            where=folder,
        )
    return folder


def load(
    path: str | Path | None = None, device: str = CPU, options: Options = DEFAULT
) -> Predictor:
    """Load a model.

    Args:
        path: Its folder; None for the weights that come with the package.
        device: "cpu" or "cuda".
        options: What to predict of a file, and how closely to look.

    Raises:
        ModelError: It is missing, damaged or incomplete, the device is not there, or it cannot
            do without sound.
    """
    return Predictor(model_folder(path), device, options=options)


@lru_cache(maxsize=4)
def shipped(options: Options = DEFAULT) -> Predictor:
    """The shipped model, loaded once however often it is asked for."""
    return load(options=options)
