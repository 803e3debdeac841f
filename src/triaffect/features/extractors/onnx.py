"""Run the networks of a model folder on face crops and sound, with onnxruntime.

Face extractors take aligned crops uint8 (N, 112, 112, 3) RGB. Voice extractors take mono sound
in [-1, 1] at their own rate, chunk by chunk, and give rows in order of time.

Preprocessing, by the ``input`` of the part (see `triaffect.features.model_folder`):

- ``gray64``: the aligned crop as 64×64 gray levels, uint8.
- ``gray64_close``: its middle likewise, from above the brows to the chin.
- ``rgb224``: the crop resized bilinearly to 224×224, RGB in [0, 1], channels first.
- ``logmel64``: `triaffect.voice.log_mel`, rounded to half precision as stores keep it. The
  stretch is padded with silence at the sound's ends, so that there is a row for every
  multiple of the hop within the sound. Where stretches lie around their time, the network runs
  once a third of a stretch, and rows between are interpolated linearly: neighbors share two
  thirds of their sound.
- ``logmel64_pitch``: the same, with pitch and periodicity beside the bands.
- ``wave22050``: mono at 22,050 samples/s, times 255, clipped to ±255, as SoundNet was fed.
  Complete stretches only: a causal one has its first row after ``span_s``.
- ``soundnet22050``: the same, by `triaffect.features.extractors.soundnet`, which computes once what
  overlapping stretches share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from triaffect.errors import ModelError, first_line
from triaffect.features.extractors import soundnet
from triaffect.features.extractors.soundnet import Blocks, Segments, SoundNet
from triaffect.features.extractors.spec import ExtractorSpec
from triaffect.features.model_folder import SOUNDNET, FacePart, ModelFolder, VoicePart
from triaffect.io.onnx_session import CPU, open_session
from triaffect.types import FeatureSeries, FloatArray, Window
from triaffect.voice.log_mel import BANDS, RATE, ROWS_PER_S, SILENT_ROW, log_mel_stream
from triaffect.voice.stream import VoiceNetwork

GRAY_SIDE = 64


class FaceExtractor(Protocol):
    """Turns aligned face crops into rows; a crop's row does not depend on its neighbors."""

    @property
    def spec(self) -> ExtractorSpec:
        """What it is."""

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.generic]:
        """Make rows of crops.

        Args:
            crops: RGB, uint8, shape (N, 112, 112, 3).

        Returns:
            Rows of type ``spec.dtype``, shape (N, spec.dim).
        """


class VoiceExtractor(VoiceNetwork, Protocol):
    """Turns a sound into rows of type ``spec.dtype``, shape (T, spec.dim), over time.

    Its memory does not grow with the sound's length.
    """

    @property
    def spec(self) -> ExtractorSpec:
        """What it is."""


class GrayCrops:
    """The crop itself as 64×64 gray levels: what a face network learns from.

    Args:
        name: A key of `GRAY_INPUTS`.
    """

    def __init__(self, name: str) -> None:
        self.spec = ExtractorSpec(name, "builtin-1", GRAY_SIDE * GRAY_SIDE, "uint8")

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.generic]:
        """Make rows (N, 4096) uint8 of crops (N, 112, 112, 3)."""
        return GRAY_INPUTS[self.spec.name](crops).reshape(len(crops), -1)


SPECTRUM, PITCHED = "logmel64", "logmel64_pitch"
SPECTRA = {SPECTRUM: BANDS, PITCHED: len(SILENT_ROW)}
"""Columns of the log-mel spectrum, without and with pitch and periodicity."""


class LogMelRows:
    """The log-mel spectrum itself, 100 rows a second: what a voice network learns from.

    Args:
        name: A key of `SPECTRA`.
    """

    def __init__(self, name: str) -> None:
        window = Window(0.025, 1 / ROWS_PER_S, causal=False)
        self.spec = ExtractorSpec(name, "builtin-1", SPECTRA[name], "float16", RATE, window)

    def stream(self, chunks: Iterable[FloatArray]) -> Iterator[FeatureSeries]:
        """Yield rows (T, dim) float16 of a sound; a row's time is the middle of its window."""
        count = 0
        for rows in log_mel_stream(chunks, pitch=self.spec.name == PITCHED):
            times_s = (count + np.arange(len(rows)) + 0.5) / ROWS_PER_S
            count += len(rows)
            yield FeatureSeries(rows.astype(np.float16), times_s)


def gray64(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn face crops gray and average them down to 64×64.

    Args:
        crops: RGB, uint8, shape (N, 112, 112, 3), or another square part of them.

    Returns:
        Gray levels, uint8, shape (N, 64, 64).

    Examples:
        >>> np.unique(gray64(np.full((2, 112, 112, 3), 90, np.uint8))).tolist()
        [90]
    """
    gray = np.empty((len(crops), GRAY_SIDE, GRAY_SIDE), np.uint8)
    for out, crop in zip(gray, crops, strict=True):
        level = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        cv2.resize(level, (GRAY_SIDE, GRAY_SIDE), dst=out, interpolation=cv2.INTER_AREA)
    return gray


CLOSE = slice(26, 110), slice(14, 98)
"""Rows and columns of the crop that ``gray64_close`` shows, at 1.33 times the scale."""


def gray64_close(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn the middle of face crops gray and average it down to 64×64; see `gray64`."""
    return gray64(crops[:, *CLOSE])


GRAY_INPUTS = {"gray64": gray64, "gray64_close": gray64_close}
"""What a face network may see of a crop, by the ``input`` of its part."""

BATCH = 32
RGB_SIDE = 224
WAVE_SCALE = 255.0

_SHARED = 3
"""A voice network runs this often in the length of a stretch."""

_ROUNDING = 1e-6
_TimedRows = Iterable[tuple[NDArray[np.float64], FloatArray]]
_Rows = Callable[[Iterable[FloatArray]], _TimedRows]
"""From a prepared sound in chunks to times and rows."""


class OnnxFace:
    """The face network of a model folder.

    Args:
        folder: The folder.
        device: "cpu" or "cuda".

    Attributes:
        folder: Where it came from.
        gray: Its input if that is one of `GRAY_INPUTS`, else None.

    Raises:
        ModelError: The folder has none, or onnxruntime cannot run it.
    """

    def __init__(self, folder: ModelFolder, device: str = CPU) -> None:
        self._network = OnnxNetwork(folder.network("face"), device)
        part = folder.manifest.face
        assert isinstance(part, FacePart)  # noqa: S101 - else there were no network
        self.folder = folder
        self.spec = ExtractorSpec(part.extractor, part.sha256, part.dim, "float16")
        self._prepare = _FACE_INPUTS[part.input]
        self.gray = part.input if part.input in GRAY_INPUTS else None

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.generic]:
        """Run the network on crops (N, 112, 112, 3) RGB uint8: rows (N, dim) float16."""
        return self._run(crops, self._prepare)

    def read_gray(self, crops: NDArray[np.uint8]) -> NDArray[np.generic]:
        """Run a network whose input is `gray` on crops that are gray already.

        Args:
            crops: As that input has them, uint8, shape (N, 64, 64).

        Returns:
            Rows (N, dim), float16.
        """
        return self._run(crops, np.asarray)

    def _run(
        self, crops: NDArray[np.uint8], prepare: Callable[[NDArray[np.uint8]], NDArray[Any]]
    ) -> NDArray[np.generic]:
        rows = np.empty((len(crops), self.spec.dim), np.float16)
        for start in range(0, len(crops), BATCH):
            batch = crops[start : start + BATCH]
            rows[start : start + BATCH] = self._network(prepare(batch), self.spec.dim)
        return rows


class OnnxVoice:
    """The voice network of a model folder.

    Args:
        folder: The folder.
        device: "cpu" or "cuda".

    Attributes:
        folder: Where it came from.
        reads_spectrum: Whether its input is ``logmel64``, without or with pitch.
        reads_pitch: Whether it is with pitch.
        step_s: Seconds from one run of the network to the next; rows between are interpolated.

    Raises:
        ModelError: The folder has none, or onnxruntime cannot run it.
    """

    def __init__(self, folder: ModelFolder, device: str = CPU) -> None:
        network = OnnxNetwork(folder.network("voice"), device)
        part = folder.manifest.voice
        assert isinstance(part, VoicePart)  # noqa: S101 - else there were no network
        how = _VOICE_INPUTS[part.input]
        self.folder = folder
        self.spec = ExtractorSpec(
            part.extractor, part.sha256, part.dim, "float16", how.sound_rate, part.window
        )
        self._prepare, to_rows = how.prepare, partial(network, dim=part.dim)
        self.reads_spectrum, self.reads_pitch = part.input in SPECTRA, part.input == PITCHED
        every = 1
        if self.reads_spectrum and not part.window.causal:
            every = max(1, int(part.window.span_s / _SHARED / part.window.hop_s + _ROUNDING))
        self.step_s = every * part.window.hop_s
        self._rows: _Rows
        self._single_rows: _Rows | None = None
        if part.input == SOUNDNET:
            first, second = (OnnxNetwork(path, device) for path in folder.blocks())
            self._rows = SoundNet(Blocks(first.run, second.run, to_rows), part.window)
        else:

            def make_rows(batch: int, every: int) -> _Rows:
                segments = Segments(part.window, how.rate, how.pad, batch, every)

                def run(prepared: Iterable[FloatArray]) -> _TimedRows:
                    return ((times_s, to_rows(some)) for times_s, some in segments(prepared))

                if every == 1:
                    return run
                return lambda prepared: interpolate_rows(run(prepared), part.window.hop_s)

            self._rows = make_rows(max(1, BATCH // every), every)
            self._single_rows = make_rows(1, 1)

    def without_batches(self) -> OnnxVoice:
        """Return the same network, each of whose rows comes as soon as its sound has arrived.

        Returns:
            Another extractor, none of whose rows is interpolated; SoundNet's come as before.
        """
        other = copy(self)
        other._rows = self._single_rows or self._rows
        return other

    def stream(self, chunks: Iterable[FloatArray]) -> Iterator[FeatureSeries]:
        """Run the network over a sound: yield rows (T, dim) float16, one every hop."""
        yield from self._series(self._prepare(chunks))

    def stream_spectrum(self, spectrum: Iterable[FloatArray]) -> Iterator[FeatureSeries]:
        """Run a network that reads the log-mel spectrum over its rows (T, 64 or 66)."""
        yield from self._series(_halved(spectrum))

    def _series(self, prepared: Iterable[FloatArray]) -> Iterator[FeatureSeries]:
        for times_s, rows in self._rows(prepared):
            yield FeatureSeries(rows.astype(np.float16), times_s)


def interpolate_rows(rows: _TimedRows, hop_s: float) -> _TimedRows:
    """Fill in rows at every multiple of a hop between those at some of them.

    Args:
        rows: Times in seconds (N,), and rows (N, D), in parts; the first is at time 0.
        hop_s: Seconds from one row to the next in what is yielded.

    Yields:
        As they came, with those between, each linear between its neighbors.

    Examples:
        >>> part = np.array([0.0, 1.0]), np.array([[2.0], [4.0]], np.float32)
        >>> ((times_s, values),) = interpolate_rows([part], 0.5)
        >>> times_s.tolist(), values[:, 0].tolist()
        ([0.0, 0.5, 1.0], [2.0, 3.0, 4.0])
    """
    last: tuple[int, FloatArray] | None = None
    for times_s, part in rows:
        number = np.round(times_s / hop_s).astype(np.int64)
        last = last or (number[0] - 1, part[0])
        number, values = np.append(last[0], number), np.concatenate([last[1][None], part])
        every = np.arange(number[0] + 1, number[-1] + 1)
        right = np.searchsorted(number, every)
        share = ((every - number[right - 1]) / (number[right] - number[right - 1]))[:, None]
        filled = (1 - share) * values[right - 1] + share * values[right]
        yield every * hop_s, filled.astype(np.float32)
        last = number[-1], values[-1]


class OnnxNetwork:
    """One network of a model folder, of one input and one output.

    Args:
        path: Its ONNX file.
        device: "cpu" or "cuda".

    Raises:
        ModelError: onnxruntime cannot load it there.
    """

    def __init__(self, path: Path, device: str = CPU) -> None:
        self._path = path
        self._session = open_session(path, device)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, batch: NDArray[Any], dim: int) -> FloatArray:
        """Run the network and check what it gives.

        Args:
            batch: Its input, N first.
            dim: Expected width of a row.

        Returns:
            Feature rows, float32, shape (N, dim).

        Raises:
            ModelError: The network does not take such a batch, or gives another width.
        """
        rows = self.run(batch)
        if rows.shape != (len(batch), dim):
            raise ModelError(f"rows of {dim} features", f"shape {rows.shape}", where=self._path)
        return rows

    def run(self, batch: NDArray[Any]) -> FloatArray:
        """Run the network.

        Args:
            batch: Its input.

        Returns:
            Its output as float32, of whatever shape.

        Raises:
            ModelError: The network does not take such a batch.
        """
        try:
            return np.asarray(self._session.run(None, {self._input: batch})[0], np.float32)
        except Exception as error:
            raise ModelError(
                f"a network that takes {batch.dtype} {batch.shape}",
                first_line(error),
                where=self._path,
            ) from error


def rgb224(crops: NDArray[np.uint8]) -> FloatArray:
    """Enlarge crops bilinearly to 224×224 and scale their colors to [0, 1].

    Args:
        crops: RGB, uint8, shape (N, 112, 112, 3), at least one.

    Returns:
        Float32, shape (N, 3, 224, 224).

    Examples:
        >>> rgb224(np.full((1, 112, 112, 3), 51, np.uint8)).mean().round(3)
        np.float32(0.2)
    """
    size = (RGB_SIDE, RGB_SIDE)
    large = [cv2.resize(crop, size, interpolation=cv2.INTER_LINEAR) for crop in crops]
    return np.stack(large).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)


_FACE_INPUTS: dict[str, Callable[[NDArray[np.uint8]], NDArray[Any]]] = {
    **GRAY_INPUTS,
    "rgb224": rgb224,
}


@dataclass(frozen=True)
class _VoiceInput:
    sound_rate: int
    rate: int
    prepare: Callable[[Iterable[FloatArray]], Iterator[FloatArray]]
    pad: FloatArray | None


def _halved(spectrum: Iterable[FloatArray]) -> Iterator[FloatArray]:
    for rows in spectrum:
        yield rows.astype(np.float16).astype(np.float32)


def _half_log_mel(chunks: Iterable[FloatArray], *, pitch: bool) -> Iterator[FloatArray]:
    return _halved(log_mel_stream(chunks, pitch=pitch))


def _scaled_wave(chunks: Iterable[FloatArray]) -> Iterator[FloatArray]:
    for chunk in chunks:
        yield np.clip(chunk * np.float32(WAVE_SCALE), -WAVE_SCALE, WAVE_SCALE)


_WAVE = _VoiceInput(soundnet.RATE, soundnet.RATE, _scaled_wave, pad=None)
_VOICE_INPUTS = {
    **{
        name: _VoiceInput(
            sound_rate=RATE,
            rate=ROWS_PER_S,
            prepare=partial(_half_log_mel, pitch=name == PITCHED),
            pad=SILENT_ROW[:columns],
        )
        for name, columns in SPECTRA.items()
    },
    "wave22050": _WAVE,
    SOUNDNET: _WAVE,
}
