"""A model folder's networks on faces and sounds in memory.

The scripts beside this one share it. Everything between a face's crop, or a sound, and a prediction
is the package's own; what is left out is the detection of faces.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triaffect.features.extractors.onnx import OnnxFace, OnnxVoice
from triaffect.features.model_folder import load_model_folder
from triaffect.prediction.buffers import FaceMemory
from triaffect.prediction.heads import Fusion
from triaffect.prediction.predictor import model_folder
from triaffect.tables.schema import Instants
from triaffect.tasks.registry import TASKS
from triaffect.types import BoolArray, FloatArray
from triaffect.voice.stream import VoiceStream

DEFAULT = "default"

Predictions = dict[str, NDArray[np.floating]]
"""Activated predictions by task key, shape (N, K)."""


def model_path(model: str) -> Path:
    """The folder of a model as it is named on the command line."""
    return model_folder(None if model == DEFAULT else Path(model))


class InMemoryModel:
    """The three networks of a model folder.

    Args:
        path: The folder.

    Attributes:
        fusion: The fusing network: faces over a window, and voices, to predictions.
    """

    def __init__(self, path: Path) -> None:
        folder = load_model_folder(path)
        self.fusion, self._face = Fusion(folder, TASKS), OnnxFace(folder)
        self._voice = OnnxVoice(folder) if folder.manifest.voice else None

    def stills(self, crops: NDArray[np.uint8], held: bool = False) -> tuple[FloatArray, BoolArray]:
        """The windows of faces (N, 112, 112, 3) that are seen for one frame, or all the time.

        Returns:
            Vectors, shape (N, W, dim), and presence, shape (N, W).
        """
        part = self.fusion.part
        memory = FaceMemory(part.window, self._face, part.face_dim)
        for time_s in part.window.offsets_s() if held else [0.0]:
            memory.add(_at(time_s, len(crops)), crops)
        return memory.windows(_at(0.0, len(crops)))

    def silence(self, count: int) -> tuple[FloatArray, BoolArray]:
        """The voice of moments without one."""
        return np.zeros((count, self.fusion.part.voice_dim), np.float32), np.zeros(count, np.bool_)

    def predict_faces(self, crops: NDArray[np.uint8]) -> Predictions:
        """Predict faces, each seen for one frame without a sound."""
        return self.fusion(*self.stills(crops), *self.silence(len(crops)))

    @property
    def rate(self) -> int:
        """Samples per second that `voices` takes."""
        assert self._voice is not None, "a model that has no voice network"
        return self._voice.spec.rate

    def voices(self, sound: Iterable[FloatArray]) -> tuple[FloatArray, BoolArray]:
        """Rows of a sound, and in which of them a voice is active.

        Args:
            sound: Mono, in [-1, 1], in chunks of any size, at `rate`.

        Returns:
            Rows, shape (T, dim), and presence, shape (T,).
        """
        assert self._voice is not None, "a model that has no voice network"
        rows, active = [np.empty((0, self._voice.spec.dim), np.float32)], [np.empty(0, np.bool_)]
        for series in VoiceStream(self._voice, sound):
            rows.append(series.values.astype(np.float32))
            active.append(series.active)
        return np.concatenate(rows), np.concatenate(active)


def _at(time_s: float, count: int) -> Instants:
    """Moments at one time, each of another face."""
    number = np.arange(count)
    return replace(Instants.faceless(number, np.full(count, time_s)), track=number)
