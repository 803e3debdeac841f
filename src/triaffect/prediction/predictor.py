"""Prediction: a video, picture or sound in; a row for every frame and face out.

How a row comes about: CenterFace finds the faces of a frame (all of it now and then; in between
they are followed by their gray levels), a tracker numbers them, each is aligned; the aligned
faces of the same track around the moment (the model's window, nearest frame within half a hop)
become vectors, which go with the voice row nearest in time into the fusing network. Decoding,
finding faces and the networks overlap in three threads, each a few frames ahead of the next. A
video's sound is read alongside, just as far ahead as the voice's windows need. So memory does not
grow with the length. Frames that come as they happen get their rows one by one, with the newest
voice there is. A frame without a face gets one row, from the voice alone if one can be heard
(`triaffect.voice.stream`). A picture is one frame at time 0. A sound without pictures gets a row at
every hop of the voice network, numbered from 0 at time 0. What can be chosen of all this is in
`triaffect.prediction.options`.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from copy import copy, deepcopy
from dataclasses import replace
from functools import lru_cache
from itertools import islice, takewhile, tee
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from triaffect.errors import MediaError, ModelError, TriaffectError, printable
from triaffect.faces.detection import CenterFace
from triaffect.faces.stream import FaceStream
from triaffect.faces.tracking import SWEEP_PERIODS, period
from triaffect.features.external.format import streams_of_run
from triaffect.features.extractors.onnx import OnnxFace, OnnxVoice
from triaffect.features.extractors.registry import SHIPPED, shipped_or
from triaffect.features.hub import PREFIX, fetch_model
from triaffect.features.model_folder import DESCRIPTION, file_hash, load_model_folder
from triaffect.io.engines import Engine
from triaffect.io.onnx_session import CPU
from triaffect.media.images import ArrayFrames, FrameSource
from triaffect.media.probe import MediaFile, probe
from triaffect.media.video import Frame
from triaffect.prediction.buffers import (
    FaceMemory,
    FusionInputs,
    InputMemory,
    NewestVoice,
    VoiceMemory,
    VoiceSequence,
)
from triaffect.prediction.external_features import ClipStream, ExternalFeatures, FeatureFiles
from triaffect.prediction.heads import Fusion
from triaffect.prediction.inputs import DEFAULT_INPUTS
from triaffect.prediction.options import DEFAULT, OptionKeywords, Options
from triaffect.prediction.pictures import (
    PictureBatch,
    PictureFaces,
    describe_doubt,
    describe_loss,
    instants_of,
    is_array,
    is_picture,
)
from triaffect.prediction.python_inputs import (
    ByteInput,
    FrameInput,
    MediaInput,
    ProgressCallback,
    TimedFrames,
    list_items,
)
from triaffect.tables.metadata import describe_model
from triaffect.tables.schema import Instants, build_table, table_schema, text_column, to_pandas
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.types import BoolArray, SourceKind, Window
from triaffect.version import __version__
from triaffect.voice.stream import VoiceRows, VoiceStream

if TYPE_CHECKING:
    import pandas as pd

    from triaffect.studies.study import StudyFile

_LEAD_S = 2.0
"""Seconds that are read before the start at least: until then faces are detected, followed, and
searched in the whole frame as often as if it were read from its beginning."""

_SLACK = 1e-6

_SOUND_ROWS = 1024

FRAMES_AT_ONCE = 32
"""Frames that go on together: their faces fill a batch of the face network. No prediction depends
on it; only their crops are held, not the frames."""


class PartialMediaWarning(UserWarning):
    """A file is broken or cut off; there are rows for what could be decoded."""


class DoubtfulMediaWarning(UserWarning):
    """A file is whole, but how it is to be read is not clear, such as which of two sounds."""


class Predictor:
    """A model folder, loaded and ready for any number of files.

    It keeps nothing from one file to the next; several threads may share it.

    Args:
        folder: The model folder; it needs a face and a fusing network, and a voice network if
            that reads voices.
        device: Where the networks run, "cpu" or "cuda". Faces are found on the CPU.
        tasks: The tasks that a model may predict.
        options: Options of its predictions, where a call names no others.
        features: Files of the features of other programs that the model reads, by name; see
            `triaffect.features.external`.

    Attributes:
        tasks: The tasks that this model predicts.
        features: The files of external features.
        schema: Arrow schema of the tables.
        manifest: What the model folder says of itself.
        thresholds: Action units count as present from these probabilities on, by column.
        metadata: The thresholds, the model's name, version and hash, and the package's version;
            the ``attrs`` of every table.
        folder: The model folder.
        device: As given.

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
        features: FeatureFiles | None = None,
    ) -> None:
        model = load_model_folder(Path(folder))
        self._fusion = Fusion(model, tasks, device)
        part = self._fusion.part
        self._face = None if part.external_spec("face") else OnnxFace(model, device)
        has_voice = part.voice_dim and not part.external_spec("voice")
        self._voice = OnnxVoice(model, device) if has_voice else None
        self.features = ExternalFeatures(part, features, model.path)
        self._detector, self.folder, self.device = CenterFace(), model.path, device
        self.tasks = self._fusion.tasks
        self.schema = table_schema(self.tasks)
        self.manifest = model.manifest
        self.thresholds = dict(model.manifest.thresholds)
        self.metadata: dict[str, Any] = {
            "triaffect": __version__,
            "model": describe_model(model.path),
            "thresholds": self.thresholds,
        }
        self._set_options(options)

    def _set_options(self, options: Options) -> None:
        if not options.sound and self._fusion.part.complete and self._voice is not None:
            expected = "a model that can judge a face alone"
            remedy = "do not leave the sound out"
            got = "one that needs a voice as well"
            raise ModelError(expected, got, remedy, where=self.folder)
        self.options = options
        self._faces = FaceStream(
            self._detector.with_min_face(options.min_face_px),
            options.detection_interval_s,
            options.min_face_px,
            options.max_faces,
        )

    def with_options(self, options: Options) -> Predictor:
        """Return a predictor with the same networks, which are not loaded again.

        Args:
            options: Options of its predictions, where a call names no others.

        Returns:
            The other predictor; this one keeps its options.

        Raises:
            ModelError: Sound is left out of a model that cannot do without.
        """
        other = copy(self)
        other._set_options(options)
        return other

    def with_features(self, features: FeatureFiles | None) -> Predictor:
        """Return a predictor with the same networks and other files of external features.

        Raises:
            ModelError: The model reads no features of that name.
        """
        other = copy(self)
        other.features = ExternalFeatures(self._fusion.part, features, self.folder)
        return other

    def __call__(
        self,
        media: MediaInput | Iterable[MediaInput],
        **options: Unpack[OptionKeywords],
    ) -> pd.DataFrame:
        """Predict videos, pictures or sounds, as `predict` does.

        Args:
            media: One input or many, as `triaffect.predict` takes them.
            options: As those of `predict`.

        Returns:
            The prediction table, a row for each frame and face.

        Raises:
            TriaffectError: As `predict`.
        """
        return self.predict(media, **options)

    def predict(
        self,
        media: MediaInput | Iterable[MediaInput],
        *,
        smooth: str = "off",
        baseline: str | float | None = None,
        people: StudyFile | None = None,
        events: StudyFile | Sequence[StudyFile] | None = None,
        event_length: str | float | None = None,
        jobs: int = 1,
        progress: ProgressCallback | None = None,
        features: FeatureFiles | None = None,
        engine: Engine | None = None,
        **options: Unpack[OptionKeywords],
    ) -> pd.DataFrame:
        """Predict videos, pictures or sounds.

        Args:
            media: One input or many, as `triaffect.predict` takes them.
            smooth: Also add smoothed columns, as `triaffect.smooth` does; "off" adds none.
            baseline: Also add columns relative to each face's beginning, or to its median in the
                events of that name, as `triaffect.predict` does.
            people: Who is who; columns are added, and faces of one participant become one.
            events: What happened when; a column ``event`` is added.
            event_length: How long events last that are points, such as "5s".
            jobs: Processes that share the files; with 1 all is done in this one.
            progress: Called with the number of inputs done, their total, and a message.
            features: As `triaffect.predict` takes them, in place of the predictor's own.
            engine: What computes in place of processes of this machine.
            options: ``stride_s``, ``max_faces``, ``min_face_px``, ``detection_interval_s``,
                ``sound``, ``start``, ``end``; those of the predictor hold for the others.

        Returns:
            The prediction table, a row for each frame and face; ``clip`` says of which input. Its
            ``attrs`` hold the model's thresholds, name, version and hash.

        Raises:
            MediaError: No input can be read. If others can, a `PartialMediaWarning` names it.
            TableError: There is no such smoothing or baseline, or a file of people or events
                cannot be read or fits none of the inputs.
            TriaffectError: An option is out of its range.
        """
        from triaffect.prediction.collect import predict_frame  # noqa: PLC0415 - it imports this

        predictor = self._with_keywords(options)
        if features is not None:
            predictor = predictor.with_features(features)
        work = jobs, progress, engine
        return predict_frame(
            predictor, media, (people, events, event_length), smooth, baseline, work
        )

    def stream(
        self, media: MediaInput, **options: Unpack[OptionKeywords]
    ) -> Generator[pd.DataFrame]:
        """Predict one input in parts, in memory that does not grow with its length.

        Args:
            media: A path, ``"webcam:0"``, or anything else that `predict` takes. Frames that
                come one after another, as from a camera, are pairs of the time in seconds and
                RGB pixels (uint8, (height, width, 3)); there is no sound with them.
            options: As those of `predict`.

        Yields:
            Successive parts of the table that `predict` returns. Those of frames come some
            frames behind what was given.

        Raises:
            MediaError: The input cannot be read.
        """
        predictor = self._with_keywords(options)
        for item in list_items(media):
            if isinstance(item, TriaffectError):
                raise item
            with closing(predictor.item_tables(item)) as tables:
                for table in tables:
                    part = to_pandas(table)
                    part.attrs.update(deepcopy(self.metadata))
                    yield part

    def _with_keywords(self, keywords: OptionKeywords) -> Predictor:
        return self.with_options(self.options.changed(keywords)) if keywords else self

    def frames(self, frames: TimedFrames, clip: str = "frames") -> Generator[pd.DataFrame]:
        """Predict frames; use `stream` instead, this name is of 0.1.0.

        Args:
            frames: Time in seconds and RGB pixels (uint8, (height, width, 3)) of each.
            clip: What the table calls them.

        Yields:
            Successive parts of the table, without ``attrs``.
        """
        message = "Predictor.frames(frames) is now Predictor.stream(frames)"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        with closing(self.item_tables(FrameInput(clip, frames))) as tables:
            for table in tables:
                yield to_pandas(table)

    def item_tables(self, item: Path | FrameInput | ByteInput) -> Generator[pa.Table]:
        """Predict one input, as Arrow tables.

        Args:
            item: What `list_items` lists; bytes are written to a temporary file first.

        Yields:
            Successive parts of the table, of the predictor's schema.

        Raises:
            MediaError: The input cannot be read.
        """
        if self.joins_pictures and is_array(item):
            yield from self._from_picture(PictureFaces.read_array(item, self._faces))
        elif isinstance(item, FrameInput):
            footage = ArrayFrames(item.frames, item.name)
            yield from self.predict_source(FrameSource(footage, item.name))
        elif isinstance(item, ByteInput):
            with item.saved() as path:
                for table in self.predict_source(probe(path), item.name):
                    name = text_column([printable(item.name)] * len(table))
                    yield table.set_column(table.schema.get_field_index("clip"), "clip", name)
        else:
            with DEFAULT_INPUTS.open(item) as source:
                yield from self.predict_source(source)

    def tables(self, path: str | Path) -> Generator[pa.Table]:
        """Predict a file, as Arrow tables.

        Args:
            path: A video, picture or sound.

        Yields:
            Successive parts of the table, of the predictor's schema.

        Raises:
            MediaError: The file cannot be read.
        """
        yield from self.predict_source(probe(path))

    def predict_source(
        self, source: MediaFile | FrameSource, clip: str | Path | None = None
    ) -> Generator[pa.Table]:
        """Predict an open source, as Arrow tables, in memory that does not grow with its length.

        Args:
            source: A file, a folder of pictures, a webcam, or frames in memory.
            clip: By what name its external features are looked for; None for its path.

        Yields:
            Successive parts of the table, of the predictor's schema; of a source that is broken
            or cut off, what could be decoded, and then a `PartialMediaWarning`; of one that
            can be read in several ways, a `DoubtfulMediaWarning` that says in which it was.

        Raises:
            MediaError: It cannot be read, or no row lies between the start and the end, or it
                is a sound and sound is left out, or a shorter one than the model's window.
            ModelError: The model reads external features, and there are none.
            TableError: They lack the source, or are not what the model reads.
        """
        count = 0
        if isinstance(source, MediaFile):
            source.sound_track = self.options.sound_track
        streams = self.features.read(source, source.path if clip is None else clip)
        if source.kind is SourceKind.SOUND:
            parts = self._from_sound(source, streams)
        elif self.joins_pictures and is_picture(source):
            parts = self._from_picture(self.read_picture(source))
        else:
            has_sound = source.has_sound and self.options.sound and self._voice is not None
            is_live = isinstance(source, FrameSource) and source.is_live
            rows = self._voice_rows(source, is_live) if has_sound else ()
            memory = self._memory(streams, rows, is_live and has_sound)
            frames: Iterable[Frame] = source.frames(self._read_from_s)
            if self.options.end_s is not None:
                needed_s = self.options.end_s + memory.faces.look_ahead_s
                frames = takewhile(lambda frame: frame.time_s <= needed_s, frames)
            parts = self._from_frames(source.path, frames, memory, is_live)
        with closing(parts) as tables:
            for table in tables:
                count += len(table)
                yield table
        if not count and (self.options.start_s is not None or self.options.end_s is not None):
            lasts = "" if source.duration_s is None else f" of {source.duration_s:.2f} s"
            got = f"a file{lasts} without a row there"
            raise MediaError("a start and end within the file", got, where=source.path)
        if lost := describe_loss(source):
            warnings.warn(lost, PartialMediaWarning, stacklevel=2)
        if doubt := describe_doubt(source):
            warnings.warn(doubt, DoubtfulMediaWarning, stacklevel=2)

    @property
    def joins_pictures(self) -> bool:
        """Whether pictures go through `picture_batch`: not with external features or times."""
        has_times = self.options.start_s is not None or self.options.end_s is not None
        return not has_times and not self._fusion.part.external

    def read_picture(self, source: MediaFile) -> PictureFaces:
        """Detect and align the faces of a picture that was opened.

        Args:
            source: A picture, as `is_picture` tells.

        Raises:
            MediaError: It cannot be read.
        """
        return PictureFaces.read(source, self._faces)

    def picture_batch(self) -> PictureBatch:
        """Return an empty batch, in which the faces of many pictures become rows."""
        assert self._face is not None  # noqa: S101 - `joins_pictures`
        return PictureBatch(self._face, self._fusion, self.tasks)

    def _from_picture(self, picture: PictureFaces) -> Generator[pa.Table]:
        batch = self.picture_batch()
        batch.add(picture)
        yield batch.table()

    @property
    def _read_from_s(self) -> float:
        """Time from which on a file is read, so that rows are as if it were read from time 0."""
        start_s, part = self.options.start_s or 0.0, self._fusion.part
        window = part.window if self._voice is None else self._voice_window
        spans_s = part.window.span_s, window.span_s
        lead_s = (sum(spans_s) if part.voice_sequence else max(spans_s)) + 2 * window.hop_s
        # what a window holds is followed from the same search of the whole picture on
        lead_s += SWEEP_PERIODS * self.options.detection_interval_s
        return max(0.0, start_s - max(_LEAD_S, lead_s))

    def _from_frames(
        self, path: str | Path, frames: Iterable[Frame], memory: InputMemory, is_live: bool = False
    ) -> Generator[pa.Table]:
        stride = RowStride(self.options.stride_s)
        waiting = Instants.faceless(np.empty(0, np.int64), np.empty(0))
        follow = self._faces.follow if is_live else self._faces.follow_prefetched
        at_once = 1 if is_live else FRAMES_AT_ONCE
        with closing(follow(frames)) as stream:
            while group := list(islice(stream, at_once)):
                instants = Instants.concat([instants_of(frame) for frame in group])
                memory.faces.add(instants, np.concatenate([frame.crops for frame in group]))
                time_s, now_s = instants.time_s, float(instants.time_s[-1])
                selected = stride.select(time_s) & self.options.select_rows(time_s)
                waiting = Instants.concat([waiting, instants[selected]])
                complete_s = now_s - memory.faces.look_ahead_s
                count = int(np.searchsorted(waiting.time_s, complete_s, side="right"))
                if count:
                    complete = waiting[:count]
                    yield self._fuse(path, complete, memory.at(complete))
                waiting = waiting[count:]
                memory.forget(float(waiting.time_s[0]) if len(waiting) else now_s)
        if len(waiting):
            yield self._fuse(path, waiting, memory.at(waiting))

    def _memory(
        self,
        streams: Mapping[str, ClipStream],
        voice_rows: Iterable[VoiceRows] = (),
        is_live: bool = False,
    ) -> InputMemory:
        """What is read of one input, by the model's own networks or from external features."""
        part = self._fusion.part
        face, voice = part.external_spec("face"), part.external_spec("voice")
        external_face = streams[face.name].timeline if face else None
        faces = FaceMemory(part.window, self._face, part.face_dim, external_face)
        voices: VoiceMemory | NewestVoice | ClipStream | VoiceSequence
        if voice is not None:
            voices = streams[voice.name]
        elif is_live:
            span_s = part.window.span_s if part.voice_sequence else 0.0
            voices = NewestVoice(voice_rows, self._voice_window, part.voice_dim, span_s)
        else:
            voices = VoiceMemory(voice_rows, self._voice_window, part.voice_dim)
        if part.voice_sequence:
            voices = VoiceSequence(voices, part.window)
        return InputMemory(faces, voices, {spec.name: streams[spec.name] for spec in part.extra})

    def _fuse(self, path: str | Path, instants: Instants, inputs: FusionInputs) -> pa.Table:
        predictions = self._fusion(
            inputs.face, inputs.face_present, inputs.voice, inputs.voice_present, inputs.extra
        )
        active = inputs.voice_present
        if self._fusion.part.voice_sequence:  # of the moment itself
            offsets_s = self._fusion.part.window.offsets_s()
            active = active[:, int(np.abs(offsets_s).argmin())]
        share = inputs.face_present.mean(axis=1)
        return build_table(str(path), instants, predictions, active, self.tasks, share)

    def _from_sound(
        self, source: MediaFile | FrameSource, streams: Mapping[str, ClipStream]
    ) -> Generator[pa.Table]:
        path, voice_spec = source.path, self._fusion.part.external_spec("voice")
        if voice_spec is not None:
            yield from self._from_external_voice(path, streams, streams[voice_spec.name])
            return
        if not self.options.sound or self._voice is None:
            reason = "the model reads faces alone" if self._voice is None else "sound is left out"
            raise MediaError(
                f"a video or picture, as {reason}", "a file of sound alone", where=path
            )
        window, stride = self._voice_window, RowStride(self.options.stride_s)
        is_sequence = self._fusion.part.voice_sequence
        every, again = tee(self._voice_rows(source))
        memory, count = self._memory(streams, again if is_sequence else ()), 0
        if not is_sequence:
            del again  # which would remember every row
        for rows in every:
            count += len(rows.times_s)
            time_s, end_s = rows.times_s, self.options.end_s
            selected = rows.where(stride.select(time_s) & self.options.select_rows(time_s))
            if len(selected.times_s):
                frame = np.round(selected.times_s / window.hop_s).astype(np.int64)
                instants, active = Instants.faceless(frame, selected.times_s), selected.active
                voice = np.where(active[:, None], selected.values, 0).astype(np.float32)
                inputs = memory.at(instants)
                if not is_sequence:
                    inputs = replace(inputs, voice=voice, voice_present=active)
                yield self._fuse(path, instants, inputs)
                memory.forget(float(instants.time_s[-1]))
            if end_s is not None and len(time_s) and time_s[-1] >= end_s:
                break
        if not count:
            expected = f"a sound of at least {window.span_s:g} s for this model"
            raise MediaError(expected, "a shorter one", where=path)

    def _from_external_voice(
        self, path: str | Path, streams: Mapping[str, ClipStream], voice: ClipStream
    ) -> Generator[pa.Table]:
        """A row at each of the voice's: there are neither frames nor a hop of its own network."""
        time_s = voice.times_s
        selected = RowStride(self.options.stride_s).select(time_s)
        number = np.flatnonzero(selected & self.options.select_rows(time_s))
        memory = self._memory(streams)
        for first in range(0, len(number), _SOUND_ROWS):
            some = number[first : first + _SOUND_ROWS]
            instants = Instants.faceless(some, time_s[some])
            yield self._fuse(path, instants, memory.at(instants))

    @property
    def _voice_window(self) -> Window:
        if self._voice is None:  # of no rows, of a model that reads none
            return self._fusion.part.window
        window = self._voice.spec.window
        assert window is not None  # noqa: S101 - every voice extractor has one
        return window

    def _voice_rows(
        self, source: MediaFile | FrameSource, is_live: bool = False
    ) -> Iterable[VoiceRows]:
        """Rows of a sound; what lies long before the start is passed over, in whole seconds."""
        assert self._voice is not None  # noqa: S101 - or nobody asks for it
        voice = self._voice.without_batches() if is_live else self._voice
        step_s, skipped = self._voice.step_s, int(self._read_from_s)
        while abs(skipped / step_s - round(skipped / step_s)) > _SLACK:  # it runs at multiples
            skipped -= 1
        chunks = islice(source.sound(self._voice.spec.rate), skipped, None)
        for rows in VoiceStream(voice, chunks):
            yield replace(rows, times_s=rows.times_s + skipped) if skipped else rows


class RowStride:
    """Selects the moments that get rows: every frame's, or one every so many seconds.

    Of the frames shown from one multiple of the seconds to the next, the first is taken.

    Args:
        stride_s: Seconds from one moment to the next; None for every frame.
    """

    def __init__(self, stride_s: float | None) -> None:
        self._stride_s = stride_s
        self._last = -1

    def select(self, time_s: NDArray[np.float64]) -> BoolArray:
        """Select those of the next rows that get predictions.

        >>> RowStride(0.2).select(np.array([0.0, 0.1, 0.2, 0.3, 0.4])).tolist()
        [True, False, True, False, True]

        Args:
            time_s: Ascending times in seconds, shape (N,), equal for the rows of a frame; they
                go on where those of the call before ended.

        Returns:
            Which rows to take, shape (N,), bool.
        """
        if self._stride_s is None or not len(time_s):
            return np.ones(len(time_s), np.bool_)
        at_s, frame = np.unique(time_s, return_inverse=True)
        step = period(at_s, self._stride_s)
        before = np.concatenate([[self._last], step[:-1]])
        self._last = int(step[-1])
        return np.asarray((step > before)[frame], np.bool_)


def model_folder(path: str | Path | None) -> Path:
    """Find the model folder that a path stands for.

    Args:
        path: A model folder, or a run that has one; ``hf:OWNER/NAME`` for one on the hub of
            Hugging Face, which is fetched; None or ``default`` for the shipped weights.

    Returns:
        The model folder; that it is complete is checked when it is loaded.

    Raises:
        ModelError: None was given, and the package came without; or it is of a run of 0.1.0
            whose network reads external features; or the hub does not give it.
    """
    if path is None and not SHIPPED.is_dir():
        expected, remedy = "the weights that come with the package", "give a model folder"
        raise ModelError(expected, "none in this installation", remedy, where=SHIPPED)
    folder = SHIPPED if path is None else shipped_or(Path(path))
    if folder.as_posix().startswith(PREFIX):  # a command's arguments are paths already
        folder = fetch_model(folder.as_posix())
    if (folder / "model" / DESCRIPTION).is_file():
        folder = folder / "model"
    if not (folder / DESCRIPTION).is_file() and (streams := streams_of_run(folder)):
        raise ModelError(
            "a run with a model folder",
            f"one of version 0.1.0 that reads external features ({', '.join(streams)})",
            "the same triaffect train with --resume writes it",
            where=folder,
        )
    return folder


def load(
    path: str | Path | None = None,
    device: str = CPU,
    options: Options = DEFAULT,
    features: FeatureFiles | None = None,
) -> Predictor:
    """Load a model.

    Args:
        path: A model folder, or a run that has one; ``hf:OWNER/NAME`` for one on the hub of
            Hugging Face; None for the weights that come with the package.
        device: "cpu" or "cuda".
        options: Options of its predictions, where a call names no others.
        features: Files of the features of other programs that the model reads, by name.

    Returns:
        The predictor; call it with a path.

    Raises:
        ModelError: It is missing, damaged or incomplete, the device is not there, or it cannot
            do without sound.
    """
    return Predictor(model_folder(path), device, options=options, features=features)


def load_cached(path: str | Path | None = None, device: str = CPU) -> Predictor:
    """Load a model once, however often it is used; one that changed is loaded again.

    Args:
        path: As that of `load`.
        device: "cpu" or "cuda".

    Returns:
        The predictor; the last four are cached, by folder, device and hash of ``model.json``.

    Raises:
        ModelError: As `load`.
    """
    folder = model_folder(path)
    description = folder / DESCRIPTION
    digest = file_hash(description) if description.is_file() else ""
    return _load_once(folder, device, digest)


@lru_cache(maxsize=4)
def _load_once(folder: Path, device: str, digest: str) -> Predictor:
    del digest  # it is part of the key
    return Predictor(folder, device)
