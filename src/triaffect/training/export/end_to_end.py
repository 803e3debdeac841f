"""One ONNX graph of a whole model: from aligned faces and a spectrum to the answers.

The networks of a model folder are joined as prediction joins them, with what lies between and
behind: vectors rounded to half precision, zeros for what is absent, temperatures, and NaN for
what has no answer. The graph is run beside the parts before it is written. Nothing here needs
torch; `onnx` comes with the extra ``train``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.compose
import onnx.version_converter
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from triaffect.errors import ModelError, first_line
from triaffect.features.external.format import extra_inputs
from triaffect.features.extractors.onnx import GRAY_SIDE, RGB_SIDE, SPECTRA, OnnxNetwork
from triaffect.features.extractors.soundnet import RATE as WAVE_RATE
from triaffect.features.model_folder import SOUNDNET, ModelFolder, load_model_folder
from triaffect.io.atomic import replace_file
from triaffect.io.onnx_session import open_session
from triaffect.prediction.heads import Fusion
from triaffect.tasks.registry import TASKS
from triaffect.tasks.task import Task
from triaffect.voice.log_mel import ROWS_PER_S

OPSET = 18
TOLERANCE = 1e-4
"""How far an answer of the graph may be from that of the parts."""
_LEAST = 1e-7
_ROWS = "rows"


def export_graph(path: Path, output: Path) -> None:
    """Write a model folder as one graph, checked against its networks.

    Args:
        path: The model folder; it has a fusing network, and the networks or external features
            that this reads.
        output: The ONNX file; replaced.

    Raises:
        ModelError: The folder is missing, damaged or incomplete, its voice network is in blocks,
            or the graph answers otherwise than the parts.
        DiskError: The file cannot be written.
    """
    folder = load_model_folder(path)
    fusion, voice = Fusion(folder, TASKS), folder.manifest.voice
    if voice is not None and voice.input == SOUNDNET and not fusion.part.external_spec("voice"):
        expected, got = "a voice network in one file", f"one in three ({SOUNDNET})"
        raise ModelError(expected, got, "run its files one after another", where=path)
    graph = _Graph(folder, fusion).build().SerializeToString()
    _check(graph, folder, fusion)
    with replace_file(output) as temporary:
        temporary.write_bytes(graph)


class _Graph:
    """Collects the nodes, constants, inputs and outputs of the graph of one model."""

    def __init__(self, folder: ModelFolder, fusion: Fusion) -> None:
        self.folder, self.fusion, self.part = folder, fusion, fusion.part
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.functions: list[onnx.FunctionProto] = []
        self.opsets: dict[str, int] = {"": OPSET}
        self.ir_version = 0
        self.width = len(self.part.window.offsets_s())

    def build(self) -> onnx.ModelProto:
        """Join the networks.

        Returns:
            The model; inputs and outputs as the reference of `triaffect export` lists them.
        """
        self._add_faces()
        self._add_voice()
        for spec in self.part.extra:
            vectors, presence = extra_inputs(spec.name)
            self._add_input(vectors, TensorProto.FLOAT, spec.dim)
            self._add_input(presence, TensorProto.BOOL)
            for name in (vectors, presence):
                self._add("Identity", [name], f"fusion/{name}")
        self._add_network("fusion")
        present = self._add_presence()
        for task in self.fusion.tasks:
            self._add_answers(task, present)
        graph = helper.make_graph(
            self.nodes, self.folder.manifest.name, self.inputs, self.outputs, self.constants
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(*each) for each in self.opsets.items()],
            functions=self.functions,
            ir_version=self.ir_version,
        )
        helper.set_model_props(model, {"triaffect": json.dumps(self._describe())})
        return model

    def _describe(self) -> dict[str, Any]:
        """What a program needs beside the graph, as JSON takes it."""
        manifest = self.folder.manifest
        face, voice = manifest.face, manifest.voice
        return {
            "name": manifest.name,
            "version": manifest.version,
            "licence": manifest.licence,
            "tasks": [dict(task) for task in manifest.tasks],
            "thresholds": dict(manifest.thresholds),
            "offsets_s": self.part.window.offsets_s().tolist(),
            "face": face.input if face and not self.part.external_spec("face") else None,
            "voice": voice.input if voice and not self.part.external_spec("voice") else None,
        }

    def _add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:  # noqa: ANN401
        """Add a node of one output; return the output's name."""
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def _constant(self, values: object, dtype: type[Any] = np.float32) -> str:
        """Add a constant; return its name."""
        name = f"constant.{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def _add_input(self, name: str, kind: int, *shape: int) -> str:
        """Add an input of a free number of rows; return its name."""
        self.inputs.append(helper.make_tensor_value_info(name, kind, [_ROWS, *shape]))
        return name

    def _add_network(self, name: str) -> onnx.ModelProto:
        """Add the nodes of a network of the folder, its names behind ``NAME/``."""
        path = self.folder.network(name)
        model = onnx.load(path)
        versions = {each.domain: each.version for each in model.opset_import}
        if versions.get("", OPSET) != OPSET:
            try:
                model = onnx.version_converter.convert_version(model, OPSET)
            except Exception as error:  # whatever the converter cannot do
                expected = f"a network of opset {OPSET}, or one that can be brought to it"
                raise ModelError(expected, first_line(error), where=path) from error
            versions[""] = OPSET
        model = onnx.compose.add_prefix(model, f"{name}/")
        for domain, version in versions.items():
            self.opsets[domain] = max(version, self.opsets.get(domain, 0))
        self.ir_version = max(self.ir_version, model.ir_version)
        self.nodes += model.graph.node
        self.constants += model.graph.initializer
        self.functions += model.functions
        return model

    def _round(self, name: str) -> str:
        """Round values to half precision, as vectors and spectra are kept; return their name."""
        half = self._add("Cast", [name], f"half.{name}", to=TensorProto.FLOAT16)
        return self._add("Cast", [half], f"rounded.{name}", to=TensorProto.FLOAT)

    def _add_faces(self) -> None:
        """Add what leads to the fusing network's faces: crops of a window, or vectors."""
        face, dim = self.folder.manifest.face, self.part.face_dim
        if face is None or self.part.external_spec("face"):
            vectors = self._add_input("face", TensorProto.FLOAT, self.width, dim)
        else:
            is_color = face.input == f"rgb{RGB_SIDE}"
            shape = (3, RGB_SIDE, RGB_SIDE) if is_color else (GRAY_SIDE, GRAY_SIDE)
            kind = TensorProto.FLOAT if is_color else TensorProto.UINT8
            crops = self._add_input("crops", kind, self.width, *shape)
            each = self._constant([-1, *shape], np.int64)
            model = onnx.load(self.folder.network("face"), load_external_data=False)
            self._add("Reshape", [crops, each], f"face/{model.graph.input[0].name}")
            self._add_network("face")
            rows = self._round(f"face/{model.graph.output[0].name}")
            window = self._constant([-1, self.width, dim], np.int64)
            vectors = self._add("Reshape", [rows, window], "window")
        present = self._add_input("face_present", TensorProto.BOOL, self.width)
        self._add("Identity", [present], "fusion/face_present")
        each = self._constant([-1, self.width, 1], np.int64)
        mask = self._add("Reshape", [present, each], "window.present")
        self._add("Where", [mask, vectors, self._constant(0)], "fusion/face")

    def _add_voice(self) -> None:
        """Add what leads to the fusing network's voice: a spectrum or sound, or a vector.

        A network that takes a sequence of voices has one at each position of the window; one that
        takes none gets vectors of no width, and has no input for them.
        """
        voice, dim = self.folder.manifest.voice, self.part.voice_dim
        if not dim:
            zero, one = self._constant([0], np.int64), self._constant([1], np.int64)
            column = self._add("Slice", ["face_present", zero, one, one], "column")
            either = self._add("Not", [column], "not.column")
            never = self._add("And", [column, either], "never")
            flat = self._constant([-1], np.int64)
            self._add("Reshape", [never, flat], "voice_present")
            self._add("Identity", ["voice_present"], "fusion/voice_present")
            numbers = self._add("Cast", [never], "never.numbers", to=TensorProto.FLOAT)
            self._add("Slice", [numbers, zero, zero, one], "fusion/voice")
            return
        positions = (self.width,) if self.part.voice_sequence else ()
        if voice is None or self.part.external_spec("voice"):
            vectors = self._add_input("voice", TensorProto.FLOAT, *positions, dim)
        else:
            model = onnx.load(self.folder.network("voice"), load_external_data=False)
            is_spectrum = voice.input in SPECTRA
            shape: tuple[int, ...] = (round(WAVE_RATE * voice.window.span_s),)
            if is_spectrum:
                shape = round(ROWS_PER_S * voice.window.span_s), SPECTRA[voice.input]
            name = "logmel" if is_spectrum else "wave"
            sound = self._add_input(name, TensorProto.FLOAT, *positions, *shape)
            sound = self._round(sound) if is_spectrum else sound
            each = self._constant([-1, *shape], np.int64)
            self._add("Reshape", [sound, each], f"voice/{model.graph.input[0].name}")
            self._add_network("voice")
            rows = self._round(f"voice/{model.graph.output[0].name}")
            window = self._constant([-1, *positions, dim], np.int64)
            vectors = self._add("Reshape", [rows, window], "voices")
        present = self._add_input("voice_present", TensorProto.BOOL, *positions)
        self._add("Identity", [present], "fusion/voice_present")
        each = self._constant([-1, *positions, 1], np.int64)
        mask = self._add("Reshape", [present, each], "voices.present")
        self._add("Where", [mask, vectors, self._constant(0)], "fusion/voice")

    def _count_present(self, part: str, width: int) -> None:
        """Add masks (rows, 1) ``PART.any`` and ``PART.all`` of its presence at some positions."""
        numbers = self._add("Cast", [f"{part}_present"], f"{part}.numbers", to=TensorProto.FLOAT)
        flat = self._add(
            "Reshape", [numbers, self._constant([-1, width], np.int64)], f"{part}.flat"
        )
        ones = self._constant(np.ones((width, 1)))
        count = self._add("MatMul", [flat, ones], f"{part}.count")
        for name, least in (("any", 0.5), ("all", width - 0.5)):
            self._add("Greater", [count, self._constant(least)], f"{part}.{name}")

    def _add_presence(self) -> str:
        """Add which rows have an answer; return the name of the mask (rows, 1)."""
        self._count_present("face", self.width)
        self._count_present("voice", self.width if self.part.voice_sequence else 1)
        if self.part.complete:
            return self._add("And", ["face.all", "voice.all"], "answered")
        if self.part.needs_face:
            return "face.any"
        present = self._add("Or", ["face.any", "voice.any"], "answered")
        for spec in self.part.extra:
            presence = extra_inputs(spec.name)[1]
            column = self._constant([-1, 1], np.int64)
            mask = self._add("Reshape", [presence, column], f"{presence}.mask")
            present = self._add("Or", [present, mask], f"{presence}.answered")
        return present

    def _add_answers(self, task: Task, present: str) -> None:
        """Add a task's temperature, what is left blank, and its output (rows, K)."""
        key, add = task.key, self._add
        value = f"fusion/{key}"
        manifest = self.folder.manifest
        with_face = manifest.temperatures.get(key, 1.0)
        without = manifest.temperatures_without_face.get(key, with_face)
        if (with_face, without) != (1, 1) and (task.exclusive or task.threshold_columns):
            powers = [self._constant(1 / each) for each in (with_face, without)]
            exponent, one = (
                add("Where", ["face.any", *powers], f"{key}.exponent"),
                self._constant(1),
            )
            bounds = [self._constant(_LEAST), self._constant(1 - _LEAST)]
            inside = add("Clip", [value, *bounds], f"{key}.inside")
            value = add("Pow", [inside, exponent], f"{key}.power")
            rest = add("Sub", [one, inside], f"{key}.rest")
            if task.exclusive:
                value = self._divide_by_sum(value, f"{key}.tempered")
            else:
                other = add("Pow", [rest, exponent], f"{key}.other")
                both = add("Add", [value, other], f"{key}.both")
                value = add("Div", [value, both], f"{key}.tempered")
        blank = self.fusion.blank[key]
        always, without_voice, without_face = blank
        shown = self._constant(~always[None], np.bool_)
        for part, needs_it in (("voice", without_voice), ("face", without_face)):
            other = self._constant(~needs_it[None], np.bool_)
            either = add("Or", [f"{part}.any", other], f"{key}.with.{part}")
            shown = add("And", [shown, either], f"{key}.unblank.{part}")
        if task.exclusive and blank.any():
            value = add("Where", [shown, value, self._constant(0)], f"{key}.shown")
            value = self._divide_by_sum(value, f"{key}.whole")
        shown = add("And", [shown, present], f"{key}.answered")
        if task.facial:
            shown = add("And", [shown, "face.any"], f"{key}.faced")
        add("Where", [shown, value, self._constant(np.nan)], key)
        info = helper.make_tensor_value_info(key, TensorProto.FLOAT, [_ROWS, task.width])
        self.outputs.append(info)

    def _divide_by_sum(self, value: str, name: str) -> str:
        """Add nodes that divide the probabilities of classes by their sum; return the name."""
        axis = self._constant([1], np.int64)
        total = self._add("ReduceSum", [value, axis], f"{name}.sum", keepdims=1)
        return self._add("Div", [value, total], name)


def _check(graph: bytes, folder: ModelFolder, fusion: Fusion) -> None:
    """Compare a graph with the networks that it joins, for four rows that lack different things.

    Raises:
        ModelError: An answer is another by more than `TOLERANCE`, or onnxruntime cannot run it.
    """
    session = open_session(graph)
    rng = np.random.default_rng(0)
    inputs = {node.name: _made_input(node, rng) for node in session.get_inputs()}
    own: dict[str, NDArray[Any]] = {}
    for part, name in (("face", "crops"), ("voice", "logmel"), ("voice", "wave")):
        if name in inputs:
            values, present = inputs[name], inputs[f"{part}_present"]
            values = values.reshape(present.size, *values.shape[present.ndim :])
            if name == "logmel":
                values = values.astype(np.float16).astype(np.float32)
            dim = getattr(fusion.part, f"{part}_dim")
            rows = OnnxNetwork(folder.network(part))(values, dim)
            own[part] = rows.astype(np.float16).reshape(*present.shape, dim)
    if not fusion.part.voice_dim:
        inputs |= {"voice": np.zeros((4, 0), np.float32), "voice_present": np.zeros(4, np.bool_)}
    for part in ("face", "voice"):
        present = inputs[f"{part}_present"]
        own[part] = np.where(present[..., None], own[part] if part in own else inputs[part], 0)
    others = {k: v for k, v in inputs.items() if k not in ("crops", "logmel", "wave")}
    expected = fusion.of_inputs(others | {k: v.astype(np.float32) for k, v in own.items()})
    keys = [task.key for task in fusion.tasks]
    taken = {node.name: inputs[node.name] for node in session.get_inputs()}
    for key, values in zip(keys, session.run(keys, taken), strict=True):
        if not np.allclose(values, expected[key], rtol=0, atol=TOLERANCE, equal_nan=True):
            got = f"{np.nanmax(np.abs(values - expected[key])):.2g} apart in {key}"
            raise ModelError("a graph that answers as its parts", got, where=folder.path)


def _made_input(node: Any, rng: np.random.Generator) -> NDArray[Any]:  # noqa: ANN401 - onnxruntime's
    """Make four rows for an input: all is there; no face; one face; nothing."""
    shape = (4, *node.shape[1:])
    if node.type == "tensor(bool)":
        present = np.ones(shape, np.bool_)
        if node.name.startswith("face"):
            present[1] = present[2, :-1] = False
        else:
            present[2] = False
        present[3] = False
        return present
    if node.type == "tensor(uint8)":
        return rng.integers(0, 256, shape).astype(np.uint8)
    scale, middle = (2.5, -6.0) if node.name == "logmel" else (1.0, 0.0)
    return rng.normal(middle, scale, shape).astype(np.float32)
