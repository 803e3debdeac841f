"""Write the networks of a finished run as a model folder, which predicts without torch.

Large weights are stored in half precision. onnxruntime widens them once, when it opens the file, so
the network is as fast and computes in single precision as before. Each weight is off by at most
one part in 2,048.
"""

from __future__ import annotations

import copy
import inspect
import io
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import torch
from onnx import TensorProto, numpy_helper
from onnxscript import opset18
from safetensors.torch import save
from torch import Tensor, nn

from triaffect.errors import RunError
from triaffect.features.external.format import extra_inputs
from triaffect.features.model_folder import (
    ExternalInput,
    FacePart,
    FusionPart,
    Manifest,
    OutputValidity,
    VoicePart,
    load_model_folder,
    write_model_folder,
)
from triaffect.features.store import EXTRACTORS, FeatureStore
from triaffect.metrics.thresholds import read_thresholds
from triaffect.models.base import find_network
from triaffect.recipes.config import FACE, VOICE, DataSpec, Recipe, WindowSpec
from triaffect.tasks.registry import resolve_tasks, task_plugins
from triaffect.tasks.task import Task
from triaffect.training.build import build_net, vector_lengths
from triaffect.training.export.companions import companion_files
from triaffect.training.run_folder import (
    RunFolder,
    exclusive_lock,
    read_description,
)
from triaffect.training.view import TrainingView
from triaffect.types import Moments, Split, Window, origin_column
from triaffect.version import __version__

MIN_HALF_SIZE = 1024
"""Values of a tensor that is worth halving."""
_NARROW = ".float16"


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """Put a model's large single-precision weights into half precision, each behind a cast.

    Weights that half precision cannot hold stay as they are.

    Args:
        model: The model; it is changed.

    Returns:
        The same model; its inputs, outputs and arithmetic stay single precision.
    """
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(weight)
        with np.errstate(over="ignore"):
            narrow = values.astype(np.float16)
        if values.size < MIN_HALF_SIZE or not np.isfinite(narrow).all():
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(narrow, name + _NARROW))
        casts.append(onnx.helper.make_node("Cast", [name + _NARROW], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


OPSET = 18
MIN_LENGTH = 64
"""Least length of an input whose length is free."""
TOLERANCE, HALF_TOLERANCE = 1e-3, 1e-2
"""How far an exported network may be from the one trained, of its largest answer; with weights in
half precision."""
LICENCE = "research use; see LICENSE"
VOICE_HOP_S = 0.25
ANSWERS, SINGLE = "fusion.onnx", WindowSpec(unit="frames", span=0, hop=1).in_seconds()
"""Of a network over crops that answers by itself: the file that does, and what it sees of time."""


class FeatureEncoder(nn.Module):
    """The part of a network over crops or log-mel that is exported: input to features."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Encode inputs as features.

        Args:
            x: Gray crops, uint8, shape (N, 64, 64); or log-mel, float32, shape (N, T, 64).

        Returns:
            Features, float32, shape (N, D).
        """
        features: Tensor = self.net.encode(x)  # type: ignore[operator]
        return features


class FeatureAnswers(nn.Module):
    """The rest of a network over crops: features to activated values, without window or voice."""

    def __init__(self, net: nn.Module, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.net, self.tasks = net, tasks

    def forward(
        self, face: Tensor, face_present: Tensor, voice: Tensor, voice_present: Tensor
    ) -> tuple[Tensor, ...]:
        """Predict from features.

        Args:
            face: Features, shape (N, 1, D).
            face_present: Whether there is a face, shape (N, 1); nobody reads it.
            voice: Nothing, shape (N, 0).
            voice_present: Whether there is a voice, shape (N,); nobody reads it.

        Returns:
            Values or probabilities of each task, shape (N, K).
        """
        raw = self.net.answer(face[:, 0])  # type: ignore[operator]
        return tuple(task.activate(raw[task.key]) for task in self.tasks)


class _Fusion(nn.Module):
    """A multi-task network with plain tensors in and activated values out."""

    def __init__(self, net: nn.Module, tasks: Sequence[Task], extra: Sequence[str] = ()) -> None:
        super().__init__()
        self.net, self.tasks, self.extra = net, tasks, extra

    def forward(
        self,
        face: Tensor,
        face_present: Tensor,
        voice: Tensor,
        voice_present: Tensor,
        *extra: Tensor,
    ) -> tuple[Tensor, ...]:
        inputs = {
            "face": face,
            "face_present": face_present,
            "voice": voice,
            "voice_present": voice_present,
            **dict(zip(self.extra, extra, strict=True)),
        }
        raw = self.net(inputs).raw
        return tuple(task.activate(raw[task.key]) for task in self.tasks)


def export_run(folder: RunFolder, store: FeatureStore) -> None:
    """Write the model folder of a run's last stage, from its best weights.

    A face or voice network makes a folder with that part alone, unless it also answers: then the
    folder predicts faces, without voice. A network over windows makes a whole one: the face and
    voice networks that the store was made with go along, or what the external features are that
    it reads in their place. A card goes with each, and a program that predicts with a model over
    windows, with inputs and answers to check it by.

    Args:
        folder: A finished run.
        store: What it learnt from.

    Raises:
        RunError: The run has not finished its last stage, or another process writes to the
            folder.
        DiskError: The folder cannot be written to.
    """
    description = read_description(folder.root)
    recipe = description.recipe
    tasks = resolve_tasks(recipe.tasks)
    stage = list(recipe.stages)[-1]
    if not folder.weights(stage, "last").is_file():
        raise RunError("a finished run", f"one that lacks the stage {stage}", where=folder.root)
    net = build_net(recipe, recipe.stages[stage], store, tasks)
    folder.load_weights(net, stage, "best")
    net.eval()
    view = TrainingView.of(recipe, store, description.seed, description.leaks)
    plugins, described = task_plugins(tasks), list[dict[str, Any]]()
    for task in tasks:
        described.append({"key": task.key, "name": task.name, "columns": list(task.columns)})
        if task.key in plugins:  # where a task of another package comes from
            described[-1]["plugin"] = plugins[task.key].to_json()
    manifest = Manifest(
        name=recipe.name,
        version=__version__,
        licence=LICENCE,
        tasks=tuple(described),
        recipe=recipe.model_dump(mode="json"),
        versions={"triaffect": __version__, "torch": torch.__version__, "onnx_opset": str(OPSET)},
        label_origins=label_origins(view.moments, tasks),
        thresholds=read_thresholds(folder.thresholds(stage)),
        outputs={
            **{name: OutputValidity(blank="always") for name in description.unlearned},
            **{name: OutputValidity(blank=where) for name, where in description.left_blank.items()},
        },
    )
    manifest, files = _parts(manifest, recipe, net, store, tasks)
    files |= companion_files(manifest, files, _official_scores(folder, stage))
    with exclusive_lock(folder.root):
        write_model_folder(folder.model, manifest, files)


def _official_scores(folder: RunFolder, stage: str) -> dict[str, dict[str, dict[str, float]]]:
    """Read a stage's scores, by split, pool and name; none of a run that has not written them."""
    if not folder.scores.is_file():
        return {}
    splits = json.loads(folder.scores.read_text("utf-8"))[stage]
    return {
        split: {
            pool: {
                name: value
                for name, value in score["official"].items()
                if score["tasks"].get(name.removeprefix("P_"), {"count": 1})["count"]
            }
            for pool, score in pools.items()
        }
        for split, pools in splits.items()
    }


def label_origins(moments: Moments, tasks: Sequence[Task]) -> dict[str, str]:
    """List where each task's training labels came from.

    Args:
        moments: Moments of a `TrainingView`.
        tasks: The tasks.

    Returns:
        By task key, origins such as ``"human+rendered"``; empty for a task without labels.
    """
    training = moments.dictionary_column("split") == Split.TRAIN
    origins = {}
    for task in tasks:
        origins[task.key] = ""
        if origin_column(task.key) not in moments.table.column_names:
            continue
        labeled = pa.array(training & moments.labeled(task.columns)[0])
        column = moments.table.column(origin_column(task.key)).filter(labeled)
        origins[task.key] = "+".join(sorted(each for each in column.unique().to_pylist() if each))
    return origins


def _parts(
    manifest: Manifest, recipe: Recipe, net: nn.Module, store: FeatureStore, tasks: Sequence[Task]
) -> tuple[Manifest, dict[str, bytes | Path]]:
    """The manifest with the run's own parts, and the files behind them."""
    files: dict[str, bytes | Path] = {}
    network = find_network(recipe.net.kind)
    if network.input == "windows":
        return _with_fusion(manifest, recipe, net, store, tasks)
    name, encoder, span_s = recipe.net.kind, FeatureEncoder(net), recipe.data.stretch_s
    part = "face" if network.input == "crops" else "voice"
    example = {"crops": torch.zeros((2, 64, 64), dtype=torch.uint8)}
    if part == "voice":
        assert store.voice_spec is not None  # noqa: S101 - for mypy
        example = {"logmel": torch.zeros((2, round(100 * span_s), store.voice_spec.dim))}
    with torch.no_grad():
        features = encoder(*example.values()).shape[1]
    if part == "face":
        assert store.face_spec is not None  # noqa: S101 - for mypy
        face = FacePart("face.onnx", name, store.face_spec.name, features)
        manifest = replace(manifest, face=face)
    else:
        window = Window(span_s, VOICE_HOP_S, causal=False)
        assert store.voice_spec is not None  # noqa: S101 - for mypy
        voice = VoicePart("voice.onnx", name, store.voice_spec.name, features, window)
        manifest = replace(manifest, voice=voice)
    files[f"{part}.onnx"] = to_onnx(encoder, example, ["features"], half=True)
    files[f"{part}.safetensors"] = _half_weights(net)
    if part == "face" and hasattr(network, "answer"):
        manifest = replace(
            manifest, fusion=FusionPart(ANSWERS, SINGLE, features, 0, needs_face=True)
        )
        rows = {
            "face": torch.zeros((2, 1, features)),
            "face_present": torch.ones((2, 1), dtype=torch.bool),
            "voice": torch.zeros((2, 0)),
            "voice_present": torch.ones(2, dtype=torch.bool),
        }
        keys = [task.key for task in tasks]
        files[ANSWERS] = to_onnx(FeatureAnswers(net, tasks), rows, keys)
    return manifest, files


def _with_fusion(
    manifest: Manifest, recipe: Recipe, net: nn.Module, store: FeatureStore, tasks: Sequence[Task]
) -> tuple[Manifest, dict[str, bytes | Path]]:
    files: dict[str, bytes | Path] = {}
    external = _external_inputs(recipe.data, store)
    replaced = {each.slot for each in external}
    for part in ("face", "voice"):
        source = store.path / EXTRACTORS / part
        if source.is_dir() and part not in replaced:
            extractor = load_model_folder(source)
            if part == "face":
                manifest = replace(manifest, face=extractor.manifest.face)
            else:
                manifest = replace(manifest, voice=extractor.manifest.voice)
            files[f"{part}.onnx"] = extractor.network(part)
            files |= {path.name: path for path in extractor.blocks()}
            if f"{part}.safetensors" in extractor.manifest.files:
                files[f"{part}.safetensors"] = extractor.file(f"{part}.safetensors")
    window = recipe.data.window.in_seconds()
    dims = face_dim, voice_dim = vector_lengths(recipe, store)
    length = len(window.offsets_s())
    voices = (2, length) if recipe.data.voice_sequence else (2,)
    example = {
        "face": torch.zeros((2, length, face_dim)),
        "face_present": torch.ones((2, length), dtype=torch.bool),
        "voice": torch.zeros((*voices, voice_dim)),
        "voice_present": torch.ones(voices, dtype=torch.bool),
    }
    fusion = FusionPart(
        "fusion.onnx",
        window,
        *dims,
        complete=recipe.data.window.complete,
        needs_face=recipe.data.window.needs_face,
        external=external,
        voice_sequence=recipe.data.voice_sequence,
    )
    extra: dict[str, Tensor] = {}
    for spec in fusion.extra:
        vectors, presence = extra_inputs(spec.name)
        extra |= {vectors: torch.zeros((2, spec.dim)), presence: torch.ones(2, dtype=torch.bool)}
    wrapped = _Fusion(net, tasks, tuple(extra))
    files["fusion.onnx"] = to_onnx(wrapped, example | extra, [task.key for task in tasks])
    files["fusion.safetensors"] = _half_weights(net)
    return replace(manifest, fusion=fusion), files


def _external_inputs(data: DataSpec, store: FeatureStore) -> tuple[ExternalInput, ...]:
    """List the external features that a recipe's network reads, as the store has them."""
    own = {name: store.external(name).spec for name in data.external}
    slots: list[tuple[Literal["face", "voice", "extra"], str]] = []
    slots += [("face", data.face)] if data.face != FACE else []
    slots += [("voice", data.voice)] if data.voice != VOICE else []
    slots += [("extra", name) for name in data.extra]
    return tuple(ExternalInput(slot, own[name]) for slot, name in slots)


@torch.library.custom_op("triaffect::gru", mutates_args=())
def _gru(
    x: Tensor, inputs: Tensor, states: Tensor, biases: Tensor, width: int, both: bool
) -> Tensor:
    """A recurrence that the exporter takes as one operation, as ONNX does; it never computes.

    The exporter follows `nn.GRU` step by step, several times, only to learn the shape of the
    result: over 4 steps that took 1.4 s of the processor, over 16 it took 4.2.
    """
    raise RuntimeError("expected the exporter, got values to compute with")


@_gru.register_fake
def _gru_shape(
    x: Tensor, inputs: Tensor, states: Tensor, biases: Tensor, width: int, both: bool
) -> Tensor:
    return x.new_empty((x.shape[0], x.shape[1], width * (1 + both)))


def _gru_to_onnx(x: Any, inputs: Any, states: Any, biases: Any, width: int, both: bool) -> Any:  # noqa: ANN401 - values of onnxscript
    """Write the operation: ONNX has steps before rows, and directions apart from units."""
    steps = opset18.Transpose(x, perm=[1, 0, 2])
    direction = "bidirectional" if both else "forward"
    how = {"direction": direction, "hidden_size": width, "linear_before_reset": 1}
    y, _ = opset18.GRU(steps, inputs, states, biases, **how)
    return opset18.Reshape(opset18.Transpose(y, perm=[2, 0, 1, 3]), [0, 0, -1])


class _GruOperation(nn.Module):
    """Stands for a GRU of one layer while it is exported: the same numbers in ONNX's order.

    Args:
        gru: The layer; it begins with zeros.
    """

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        self.width, self.both = gru.hidden_size, gru.bidirectional

        def stacked(*names: str) -> Tensor:
            ends = ("", "_reverse") if gru.bidirectional else ("",)
            return torch.stack([torch.cat([ordered(name + end) for name in names]) for end in ends])

        def ordered(name: str) -> Tensor:
            reset, update, new = gru.get_parameter(name).detach().chunk(3)
            return torch.cat([update, reset, new])

        self.register_buffer("inputs", stacked("weight_ih_l0"))
        self.register_buffer("states", stacked("weight_hh_l0"))
        self.register_buffer("biases", stacked("bias_ih_l0", "bias_hh_l0"))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Compute the output (N, W, D) of vectors (N, W, F), in place of the state nothing."""
        y: Tensor = _gru(x, self.inputs, self.states, self.biases, self.width, self.both)
        return y, None


def _with_operations(net: nn.Module) -> nn.Module:
    """Return a copy of a network whose GRU layers are single operations, if it has any."""
    if not any(isinstance(module, nn.GRU) for module in net.modules()):
        return net
    copied = copy.deepcopy(net)
    for name, module in list(copied.named_modules()):
        if isinstance(module, nn.GRU) and module.num_layers == 1 and module.batch_first:
            parent, _, own = name.rpartition(".")
            setattr(copied.get_submodule(parent), own, _GruOperation(module))
    return copied


def to_onnx(
    net: nn.Module,
    example: dict[str, Tensor],
    outputs: Sequence[str],
    *,
    free_length: bool = False,
    half: bool = False,
) -> bytes:
    """Export a network with a free number of rows; the result is checked against the network.

    Args:
        net: The network.
        example: An input by each name.
        outputs: Names of what it gives.
        free_length: Whether an input's last axis is free too.
        half: Keep the weights in half precision; see `triaffect.training.export.run`.

    Returns:
        An ONNX model.

    Raises:
        RunError: The exported network answers differently.
    """
    net.eval()
    free = {0: torch.export.Dim("rows")}
    length = {1: torch.export.Dim("length", min=MIN_LENGTH)} if free_length else {}
    shapes = [
        free | {value.ndim - axis: dim for axis, dim in length.items()}
        for value in example.values()
    ]
    with quiet_exporter():
        program: Any = torch.onnx.export(
            _with_operations(net),
            tuple(example.values()),
            input_names=list(example),
            output_names=list(outputs),
            dynamic_shapes=_nest_variadic(net, shapes),
            opset_version=OPSET,
            dynamo=True,
            custom_translation_table={torch.ops.triaffect.gru.default: _gru_to_onnx},
            verbose=False,
        )
    buffer = io.BytesIO()
    model = without_traces(program.model_proto)
    onnx.save(halve(model) if half else model, buffer)
    _check(net, example, buffer.getvalue(), HALF_TOLERANCE if half else TOLERANCE)
    return buffer.getvalue()


def _nest_variadic(net: nn.Module, shapes: list[dict[int, Any]]) -> tuple[Any, ...]:
    """Put the shapes of what a network takes by ``*arguments`` into a tuple of their own."""
    named = [
        parameter
        for parameter in inspect.signature(net.forward).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_POSITIONAL
    ]
    rest = tuple(shapes[len(named) :])
    return (*shapes[: len(named)], rest) if rest else tuple(shapes)


def without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove the exporter's notes, which tell where its code lay on this machine.

    Args:
        model: The model; it is changed.

    Returns:
        The same model.
    """
    del model.metadata_props[:]
    model.graph.ClearField("doc_string")
    for part in (model.graph, *model.functions):
        for item in (part, *part.node, *part.value_info):
            del item.metadata_props[:]
        for node in part.node:
            node.ClearField("doc_string")
    for item in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del item.metadata_props[:]
    return model


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep the exporter's remarks about its own insides from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _check(net: nn.Module, example: dict[str, Tensor], graph: bytes, tolerance: float) -> None:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    varied = {name: _like(value, generator) for name, value in example.items()}
    with torch.no_grad():
        expected = net(*varied.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    got = session.run(None, {name: value.numpy() for name, value in varied.items()})
    for one, other in zip(expected, got, strict=True):
        difference = float(np.abs(one.numpy() - other).max())
        # Large answers, such as class scores in the hundreds, are less exact in single precision.
        if difference > tolerance * max(1.0, float(one.abs().max())):
            raise RunError("an exported network that answers alike", f"{difference:.2g} apart")


def _like(value: Tensor, generator: torch.Generator) -> Tensor:
    """Random values of the same type for another number of rows."""
    shape = (3, *value.shape[1:])
    if value.dtype == torch.uint8:
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    if value.dtype == torch.bool:
        return torch.rand(shape, generator=generator) < 0.5  # noqa: PLR2004
    return torch.randn(shape, generator=generator)


def _half_weights(net: nn.Module) -> bytes:
    """Weights to train on, at half precision: they take half the room."""
    state: dict[str, Any] = net.state_dict()
    halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    return bytes(save({k: v.contiguous() for k, v in halves.items()}))
