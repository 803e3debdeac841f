"""The fusing network of a model folder: faces over a window, and a voice, to every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triaffect.errors import ModelError, first_line
from triaffect.features.external.format import extra_inputs
from triaffect.features.model_folder import FusionPart, ModelFolder
from triaffect.io.onnx_session import CPU, open_session
from triaffect.io.plugins import Plugin
from triaffect.tasks.metrics import leave_blank
from triaffect.tasks.registry import load_task
from triaffect.tasks.task import Task
from triaffect.types import BoolArray, FloatArray

_INPUTS = ("face", "face_present", "voice", "voice_present")


class Fusion:
    """The fusing network, checked against what the rest of the folder gives it.

    Args:
        folder: The model folder.
        tasks: Every task that is known.
        device: "cpu" or "cuda".
        fill_blank: Give the network's number also where the model leaves an output blank, for
            files that must have every number.

    Attributes:
        part: What ``model.json`` says of the network.
        tasks: The tasks it predicts, in the order of its outputs.
        blank: By task key, which of its columns no row has, which no row without a voice, and
            which no row without a face; shape (3, K), bool.

    Raises:
        ModelError: The folder has no fusing network, a task of it is unknown, or its
            networks do not fit together.
    """

    def __init__(
        self,
        folder: ModelFolder,
        tasks: Sequence[Task],
        device: str = CPU,
        *,
        fill_blank: bool = False,
    ) -> None:
        self._path = folder.network("fusion")
        self._session = open_session(self._path, device)
        part = folder.manifest.fusion
        assert isinstance(part, FusionPart)  # noqa: S101 - else there were no network
        self.part = part
        self.tasks = _tasks_of(folder, tasks)
        self._keys = [task.key for task in self.tasks]
        with_face = folder.manifest.temperatures
        without_face = {**with_face, **folder.manifest.temperatures_without_face}
        self._temperatures = {
            key: (with_face.get(key, 1.0), without_face.get(key, 1.0)) for key in self._keys
        }
        outputs = {} if fill_blank else folder.manifest.outputs
        whens = "always", "without voice", "without face"
        self.blank: dict[str, BoolArray] = {}
        for task in self.tasks:
            blanks = [outputs[name].blank if name in outputs else "" for name in task.columns]
            self.blank[task.key] = np.array([[each == when for each in blanks] for when in whens])
        self._presences = [extra_inputs(spec.name)[1] for spec in part.extra]
        self._check_fit(folder)

    def __call__(
        self,
        face: FloatArray,
        face_present: BoolArray,
        voice: FloatArray,
        voice_present: BoolArray,
        extra: Mapping[str, NDArray[Any]] | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        """Predict.

        Args:
            face: Face vectors over the window, shape (N, W, face_dim).
            face_present: Which of them exist, shape (N, W).
            voice: Voice vectors, shape (N, voice_dim), or of a network that takes one at every
                instant (N, W, voice_dim).
            voice_present: Which of them exist, shape (N,) or (N, W).
            extra: Of each further stream that the network reads ``extra.NAME`` (N, D) and
                ``extra.NAME.present`` (N,).

        Returns:
            Activated predictions by task key, shape (N, K); NaN for a row with neither, or that
            lacks what the network cannot do without; of a facial task, NaN
            for a row without a face; NaN for an output that the model leaves blank there.

        Raises:
            ModelError: The network does not take the rows, or gives another width.
        """
        own: tuple[NDArray[Any], ...] = (face, face_present, voice, voice_present)
        inputs = dict(zip(_INPUTS, own, strict=True)) | dict(extra or {})
        spoken = np.atleast_2d(voice_present.T).T  # (N, 1), or (N, W) of a sequence
        has_voice = np.asarray(spoken.any(axis=1))
        has_face = np.asarray(face_present.any(axis=1))
        present = has_face | has_voice
        for name in self._presences:
            present = present | inputs[name].astype(np.bool_)
        if self.part.complete:
            present = np.asarray(face_present.all(axis=1) & spoken.all(axis=1))
        elif self.part.needs_face:
            present = has_face
        every = {
            task.key: np.full((len(present), task.width), np.nan, np.float32) for task in self.tasks
        }
        if present.any():
            rows = {name: values[present] for name, values in inputs.items()}
            for task, values in zip(self.tasks, self._run(rows), strict=True):
                if values.shape != (present.sum(), task.width):
                    got = f"shape {values.shape}"
                    raise ModelError(f"{task.width} outputs {task.key}", got, where=self._path)
                every[task.key][present] = self._calibrate(
                    task, values, has_face[present], has_voice[present]
                )
                if task.facial:
                    every[task.key][~has_face] = np.nan
        return every

    def _calibrate(
        self, task: Task, values: NDArray[np.float32], has_face: BoolArray, has_voice: BoolArray
    ) -> NDArray[np.float32]:
        """Apply a task's temperature, and leave out the outputs that the model keeps blank.

        Args:
            task: The task.
            values: Activated predictions of moments with a face or a voice, shape (N, K).
            has_face: Which of them have a face in the window, shape (N,).
            has_voice: Which of them have a voice, shape (N,).

        Returns:
            Shape (N, K). Probabilities of classes still sum to 1 over those that are not blank.
        """
        temperatures = self._temperatures[task.key]
        if temperatures != (1.0, 1.0):
            values = task.with_temperature(values, np.where(has_face[:, None], *temperatures))
        always, without_voice, without_face = self.blank[task.key]
        is_blank = always | (without_voice & ~has_voice[:, None])
        is_blank = is_blank | (without_face & ~has_face[:, None])
        return leave_blank(values, is_blank, exclusive=task.exclusive)

    def of_inputs(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Predict from every input by its name, as ``WindowSamples.inputs`` gives them."""
        extra = {name: values for name, values in inputs.items() if name not in _INPUTS}
        face, face_present, voice, voice_present = (inputs[name] for name in _INPUTS)
        return self(face, face_present, voice, voice_present, extra)

    def _run(self, inputs: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        try:
            return list(self._session.run(self._keys, inputs))
        except Exception as error:  # onnxruntime's own exceptions share no other base
            shapes = ", ".join(f"{name} {values.shape}" for name, values in inputs.items())
            expected = f"a network that takes {shapes}"
            raise ModelError(expected, first_line(error), where=self._path) from error

    def _check_fit(self, folder: ModelFolder) -> None:
        """Check that widths of vectors and names of inputs and outputs fit together."""
        face, voice = folder.manifest.face, folder.manifest.voice
        available = [("face", face.dim if face else 0), ("voice", voice.dim if voice else 0)]
        taken = [("face", self.part.face_dim), ("voice", self.part.voice_dim)]
        for (name, has), (_, wants) in zip(available, taken, strict=True):
            spec = self.part.external_spec(name)
            if spec is not None and spec.dim != wants:
                expected, got = f"{name} vectors of {wants}", f"'{spec.name}' of {spec.dim}"
                raise ModelError(expected, got, where=folder.path)
            if spec is None and has != wants:
                expected = f"{name} vectors of {wants}"
                raise ModelError(expected, f"a {name} network that gives {has}", where=folder.path)

        inputs = {node.name for node in self._session.get_inputs()}
        outputs = {node.name for node in self._session.get_outputs()}
        names = [*_INPUTS, *self._presences]
        for name, offered in [(n, inputs) for n in names] + [(k, outputs) for k in self._keys]:
            if name not in offered:
                got = ", ".join(sorted(offered))
                raise ModelError(f"a network with '{name}'", got, where=self._path)


def _tasks_of(folder: ModelFolder, present: Sequence[Task]) -> tuple[Task, ...]:
    by_key = {task.key: task for task in present}
    result = []
    for entry in folder.manifest.tasks:
        task = by_key.get(entry["key"])
        if task is None and "plugin" in entry:
            task = load_task(Plugin(**entry["plugin"]), entry["key"])
        if task is None or list(task.columns) != entry["columns"]:
            expected = f"tasks among {', '.join(by_key)} with their columns"
            remedy = "install the version of triaffect that wrote the model"
            raise ModelError(expected, str(entry), remedy, where=folder.path)
        result.append(task)
    return tuple(result)
