"""The recent past of an input: faces and their vectors by track, voice rows, further streams.

Each forgets what no later moment can look at, so memory does not grow with the video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.features.external.format import extra_inputs
from triaffect.features.timeline import ANY_TRACK, MemoryTimeline
from triaffect.prediction.external_features import ClipStream
from triaffect.tables.schema import Instants
from triaffect.types import NO_FACE, BoolArray, FloatArray, IntArray, Window
from triaffect.voice.stream import VoiceRows


class FaceMemory:
    """The faces of the recent past; vectors are made of those that a window holds.

    Args:
        window: Which instants a moment looks at.
        extractor: Makes vectors of crops.
        dim: Width of a vector.
        external: Features of another program that fill the windows in place of vectors.
    """

    def __init__(
        self,
        window: Window,
        extractor: Callable[..., NDArray[Any]] | None,
        dim: int,
        external: MemoryTimeline | None = None,
    ) -> None:
        self._window = window
        self._reach = window.offsets_s()[[0, -1]] + np.array([-1, 1]) * window.hop_s / 2
        self._is_external = external is not None
        self._timeline = MemoryTimeline(dim, extractor) if external is None else external

    @property
    def look_ahead_s(self) -> float:
        """How far past a moment its window reaches; 0 for a causal window."""
        return 0.0 if self._window.causal or self._is_external else float(self._reach[1])

    def add(self, instants: Instants, crops: NDArray[np.uint8]) -> None:
        """Add the faces of the next frames.

        Args:
            instants: N rows in order of time, M of them with a face.
            crops: RGB crops of those with a face, shape (M, 112, 112, 3), uint8.
        """
        if self._is_external:
            return
        has_face = instants.track != NO_FACE
        self._timeline.append(instants.track[has_face], instants.time_s[has_face], crops)

    def windows(self, instants: Instants) -> tuple[FloatArray, BoolArray]:
        """Collect what the windows of moments hold.

        Args:
            instants: N moments; one without a face has an empty window.

        Returns:
            Vectors, zero where absent, shape (N, W, dim), and presence, shape (N, W).
        """
        return self._timeline.windows(instants.track, instants.time_s, self._window)

    def forget(self, before_s: float) -> None:
        """Drop what no moment from a time on can look at.

        Args:
            before_s: Time in seconds of the earliest moment that is still to come.
        """
        self._timeline.forget(before_s + self._reach[0])


class VoiceMemory:
    """Voice rows pulled from a stream as far as they are needed, and no farther back.

    Args:
        rows: Rows in order of time; none for a source without sound.
        window: How the rows were made.
        dim: Width of a row.
    """

    def __init__(self, rows: Iterable[VoiceRows], window: Window, dim: int) -> None:
        self._rows, self._window = iter(rows), window
        self._is_over = False
        self._timeline = MemoryTimeline(dim + 1)  # the last column: whether a voice is active

    def at(
        self, at_s: NDArray[np.float64], tracks: IntArray | None = None
    ) -> tuple[FloatArray, BoolArray]:
        """Take the voice of moments; as much of the stream is read as they need.

        Args:
            at_s: Times in seconds, shape (N,), N at least 1.
            tracks: The moments' faces; they make no difference.

        Returns:
            Rows, zero where no voice is active, shape (N, dim), and presence, shape (N,).
        """
        del tracks
        until_s = float(at_s.max()) + self._window.hop_s
        while not self._is_over and self._timeline.end_s < until_s:
            rows = next(self._rows, None)
            if rows is None:
                self._is_over = True
                break
            tracks = np.full(len(rows.times_s), ANY_TRACK)
            values = np.column_stack([rows.values.astype(np.float32), rows.active])
            self._timeline.append(tracks, rows.times_s, values)
        values = self._timeline.take(self._timeline.voices(at_s, self._window))
        active = values[:, -1] > 0
        return np.where(active[:, None], values[:, :-1], np.float32(0)), active

    def forget(self, before_s: float) -> None:
        """Drop what no moment from a time on can look at.

        Args:
            before_s: Time in seconds of the earliest moment that is still to come.
        """
        self._timeline.forget(before_s - 2 * self._window.hop_s)


class NewestVoice:
    """The voice of a sound that arrives as it happens: nobody waits for what is still to come.

    A thread reads the rows until the sound ends. A voice network that looks at both sides of a
    moment is late by half its window, so a moment gets the newest row there is.

    Args:
        rows: Rows in order of time; taking one waits until its sound has arrived.
        window: How the rows were made.
        dim: Width of a row.
        span_s: Seconds for which older rows are remembered, for moments that look at them too.
    """

    _LATE_S = 2.5
    """A row may be so much older than it is for the network's window alone: spectra come a second
    at a time, and the thread may be behind."""

    def __init__(
        self, rows: Iterable[VoiceRows], window: Window, dim: int, span_s: float = 0.0
    ) -> None:
        reach_s = 0.0 if window.causal else window.span_s / 2
        self._oldest_s, self._span_s = reach_s + self._LATE_S, span_s
        never = VoiceRows(
            np.zeros((1, dim), np.float32), np.array([-np.inf]), np.zeros(1, np.bool_)
        )
        self._recent = never
        self._problem: BaseException | None = None
        Thread(target=self._read, args=(rows,), name="triaffect-voice", daemon=True).start()

    def _read(self, rows: Iterable[VoiceRows]) -> None:
        try:
            for some in rows:
                if len(some.times_s):
                    last = self._recent
                    both = VoiceRows(
                        np.concatenate([last.values, some.values.astype(np.float32)]),
                        np.concatenate([last.times_s, some.times_s]),
                        np.concatenate([last.active, some.active]),
                    )
                    self._recent = both.where(both.times_s >= both.times_s[-1] - self._span_s)
        except BaseException as error:
            self._problem = error

    def at(
        self, at_s: NDArray[np.float64], tracks: IntArray | None = None
    ) -> tuple[FloatArray, BoolArray]:
        """Take the newest voice for moments of now.

        Args:
            at_s: Times in seconds, shape (N,); with a span, those in it get the newest row that
                is not after them.
            tracks: The moments' faces; they make no difference.

        Returns:
            Rows, zero where no voice is active, shape (N, dim), and presence, shape (N,).

        Raises:
            ModelError: The voice network does not take the sound.
        """
        del tracks
        if self._problem is not None:
            raise self._problem
        recent = self._recent
        row = np.full(len(at_s), len(recent.times_s) - 1)
        if self._span_s:
            row = np.maximum(np.searchsorted(recent.times_s, at_s, side="right") - 1, 0)
        age_s = at_s - recent.times_s[row]
        active = (age_s <= self._oldest_s) & recent.active[row]
        if self._span_s:
            active &= age_s >= 0
        return np.where(active[:, None], recent.values[row], np.float32(0)), active

    def forget(self, before_s: float) -> None:
        """Drop nothing: there is but one row.

        Args:
            before_s: Time in seconds.
        """


class VoiceSequence:
    """The voice at every instant of the windows of moments.

    Args:
        voice: Gives the voice at an instant.
        window: Which instants a moment looks at, W of them.
    """

    def __init__(self, voice: VoiceMemory | NewestVoice | ClipStream, window: Window) -> None:
        self._voice, self._offsets_s = voice, window.offsets_s()

    def at(
        self, at_s: NDArray[np.float64], tracks: IntArray | None = None
    ) -> tuple[FloatArray, BoolArray]:
        """Take the voices of moments.

        Args:
            at_s: Times in seconds, shape (N,), N at least 1.
            tracks: The moments' faces, shape (N,).

        Returns:
            Rows, zero where no voice is active, shape (N, W, dim), and presence, shape (N, W).
        """
        instants_s = at_s[:, None] + self._offsets_s
        faces = None if tracks is None else np.repeat(tracks, len(self._offsets_s))
        rows, present = self._voice.at(instants_s.reshape(-1), faces)
        return rows.reshape(*instants_s.shape, -1), present.reshape(instants_s.shape)

    def forget(self, before_s: float) -> None:
        """Drop what no moment from a time on can look at.

        Args:
            before_s: Time in seconds of the earliest moment that is still to come.
        """
        self._voice.forget(before_s + min(0.0, float(self._offsets_s[0])))


@dataclass(frozen=True)
class FusionInputs:
    """What the fusing network takes of N moments.

    Attributes:
        face: Vectors over the window, shape (N, W, face_dim).
        face_present: Which of them exist, shape (N, W).
        voice: Voice vectors, shape (N, voice_dim), or (N, W, voice_dim) of a network that takes
            one at every instant.
        voice_present: Which of them exist, shape (N,) or (N, W).
        extra: Rows and presence of each further stream, by input of the network.
    """

    face: FloatArray
    face_present: BoolArray
    voice: FloatArray
    voice_present: BoolArray
    extra: dict[str, NDArray[Any]]


class InputMemory:
    """All that the fusing network reads of one input.

    Args:
        faces: Fills the windows.
        voice: Gives the voice vector.
        extra: Gives one more vector each, by name of the stream.
    """

    def __init__(
        self,
        faces: FaceMemory,
        voice: VoiceMemory | NewestVoice | ClipStream | VoiceSequence,
        extra: Mapping[str, ClipStream],
    ) -> None:
        self.faces, self._voice, self._extra = faces, voice, extra

    def at(self, instants: Instants) -> FusionInputs:
        """Take what there is of N moments at ascending times."""
        face, face_present = self.faces.windows(instants)
        voice, voice_present = self._voice.at(instants.time_s, instants.track)
        extra: dict[str, NDArray[Any]] = {}
        for name, stream in self._extra.items():
            rows = stream.at(instants.time_s, instants.track)
            extra |= dict(zip(extra_inputs(name), rows, strict=True))
        return FusionInputs(face, face_present, voice, voice_present, extra)

    def forget(self, before_s: float) -> None:
        """Drop what no moment from this time on can look at."""
        for memory in (self.faces, self._voice, *self._extra.values()):
            memory.forget(before_s)
