"""A model folder that follows the whole contract, with small random networks, and clips for it."""

import wave
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import skimage.data
from onnx import TensorProto, helper, numpy_helper

from triaffect.features.model_folder import (
    FacePart,
    FusionPart,
    Manifest,
    VoicePart,
    write_model_folder,
)
from triaffect.media.writer import write_video
from triaffect.synthetic.voice import utter
from triaffect.tasks.registry import TASKS
from triaffect.types import Window

FACE_DIM, VOICE_DIM = 8, 6
VOICE_WINDOW = Window(1.0, 0.2, causal=False)
FACE_WINDOW = Window(0.8, 0.2)
ACTIVATIONS = {"VA": "Tanh", "EXPR": "Softmax", "AU": "Sigmoid"}
F, U8, B = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.BOOL


def write_tiny_model(
    path: Path, *, seed: int = 0, window: Window = FACE_WINDOW, tasks=TASKS, **changes
) -> Path:
    """A model folder; ``changes`` replace fields of its manifest."""
    rng = np.random.default_rng(seed)
    fields = {
        "name": "tiny",
        "version": "1",
        "licence": "Apache-2.0",
        "tasks": tuple({"key": t.key, "name": t.name, "columns": list(t.columns)} for t in tasks),
        "face": FacePart("face.onnx", "tiny_face", "gray64", FACE_DIM),
        "voice": VoicePart("voice.onnx", "tiny_voice", "logmel64", VOICE_DIM, VOICE_WINDOW),
        "fusion": FusionPart("fusion.onnx", window, FACE_DIM, VOICE_DIM),
        "thresholds": {"AU1": 0.4},
    }
    networks = {
        "face.onnx": _face(rng),
        "voice.onnx": _voice(rng),
        "fusion.onnx": _fusion(rng, len(window.offsets_s()), tasks),
    }
    write_model_folder(path, Manifest(**{**fields, **changes}), networks)
    return path


def _weights(rng, name, *shape, scale=1.0):
    values = rng.normal(0, scale / np.sqrt(shape[0]), shape).astype(np.float32)
    return numpy_helper.from_array(values, name)


def _constant(name, values):
    return numpy_helper.from_array(np.asarray(values), name)


def _model(nodes, inputs, outputs, constants):
    made = [helper.make_tensor_value_info(*each) for each in inputs]
    given = [helper.make_tensor_value_info(*each) for each in outputs]
    graph = helper.make_graph(nodes, "tiny", made, given, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _face(rng):
    node = helper.make_node
    nodes = [
        node("Cast", ["crops"], ["level"], to=F),
        node("Sub", ["level", "middle"], ["centred"]),
        node("Div", ["centred", "scale"], ["scaled"]),
        node("Flatten", ["scaled"], ["flat"]),
        node("MatMul", ["flat", "w"], ["features"]),
    ]
    constants = [
        _constant("middle", np.float32(127)),
        _constant("scale", np.float32(60)),
        _weights(rng, "w", 4096, FACE_DIM, scale=2),
    ]
    inputs, outputs = [("crops", U8, ["N", 64, 64])], [("features", F, ["N", FACE_DIM])]
    return _model(nodes, inputs, outputs, constants)


def _voice(rng):
    node = helper.make_node
    nodes = [
        node("ReduceMean", ["logmel"], ["mean"], axes=[1], keepdims=0),
        node("MatMul", ["mean", "w"], ["features"]),
    ]
    inputs, outputs = [("logmel", F, ["N", 100, 64])], [("features", F, ["N", VOICE_DIM])]
    return _model(nodes, inputs, outputs, [_weights(rng, "w", 64, VOICE_DIM)])


def _fusion(rng, width, tasks):
    node = helper.make_node
    nodes = [
        node("Cast", ["face_present"], ["face_mask"], to=F),
        node("Unsqueeze", ["face_mask", "last"], ["face_mask3"]),
        node("Mul", ["face", "face_mask3"], ["faces"]),
        node("Flatten", ["faces"], ["face_flat"]),
        node("Cast", ["voice_present"], ["voice_mask"], to=F),
        node("Unsqueeze", ["voice_mask", "last"], ["voice_mask2"]),
        node("Mul", ["voice", "voice_mask2"], ["voices"]),
        node("Concat", ["face_flat", "voices", "face_mask", "voice_mask2"], ["all"], axis=1),
    ]
    constants = [_constant("last", np.array([-1]))]
    for task in tasks:
        key, columns = task.key, width * (FACE_DIM + 1) + VOICE_DIM + 1
        constants.append(_weights(rng, f"w_{key}", columns, task.width))
        nodes.append(node("MatMul", ["all", f"w_{key}"], [f"raw_{key}"]))
        nodes.append(node(ACTIVATIONS.get(key, "Sigmoid"), [f"raw_{key}"], [key]))
    inputs = [
        ("face", F, ["N", width, FACE_DIM]),
        ("face_present", B, ["N", width]),
        ("voice", F, ["N", VOICE_DIM]),
        ("voice_present", B, ["N"]),
    ]
    outputs = [(task.key, F, ["N", task.width]) for task in tasks]
    return _model(nodes, inputs, outputs, constants)


@cache
def portrait():
    """A public-domain portrait with one face, 256x256 RGB."""
    return np.ascontiguousarray(skimage.data.astronaut()[::2, ::2])


@cache
def _talk():
    return utter(6.0, valence=0.2, arousal=0.4)


def tone(seconds):
    """A rendered voice, 16 kHz; the first seconds of always the same."""
    return _talk()[: round(seconds * 16_000)]


def write_clip(path, frames=30, rate=25, *, sound=True, faceless=(), copies=1):
    """A video of the portrait, drifting; ``faceless`` frames are gray, ``copies`` side by side."""

    def pictures():
        for k in range(frames):
            shifted = np.roll(portrait(), k % 8, axis=1)
            one = np.full_like(shifted, 90) if k in faceless else shifted
            yield np.concatenate([one] * copies, axis=1)

    heard = {True: tone(frames / rate), False: None}[sound] if isinstance(sound, bool) else sound
    write_video(path, pictures(), rate, heard)
    return path


def write_sound(path, samples, rate=16_000):
    """A WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path
